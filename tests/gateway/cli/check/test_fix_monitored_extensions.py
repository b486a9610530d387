"""What ``callmon check --fix`` mends at a PBX."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.check.fix_monitored_extensions import add_peers
from monitor.shared.errors import PbxRefused
from monitor.simulator.server import SimulatedPbx
from tests.gateway.cli.check.scene import check, client_of, monitored, unmonitored


async def test_without_fix_nothing_is_changed(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = monitored(pbx)
    assert await check.run(settings) == 1
    said = capsys.readouterr().out
    assert (
        f"WRONG PBX main, Call Control: {len(unmonitored(pbx))} extensions are not monitored"
        in said
    )
    assert "callmon check --fix" in said
    assert monitored(pbx) == before


async def test_fix_adds_the_missing_and_keeps_the_others(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, missing, asked = monitored(pbx), unmonitored(pbx), list[str]()

    def agree(question: str) -> bool:
        asked.append(question)
        return True

    assert await check.run(settings, agree) == 0
    assert len(asked) == 1
    assert f"Add {len(missing)} extensions" in asked[0]
    assert monitored(pbx) == before | missing
    assert f"{len(missing)} were added" in capsys.readouterr().out
    assert await check.run(settings, agree) == 0
    assert len(asked) == 1, "there is nothing left to ask for"


async def test_who_does_not_agree_is_heeded(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = monitored(pbx)
    assert await check.run(settings, lambda _: False) == 1
    assert monitored(pbx) == before
    assert "nothing was changed" in capsys.readouterr().out


async def test_a_pbx_that_does_not_let_the_client_change_itself_is_said(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx.faults.answer_with(403, 10, "/xapi/v1/ServicePrincipals")
    assert await check.run(settings, lambda _: True) == 1
    assert "the PBX does not let this client add them" in capsys.readouterr().out


async def test_an_api_client_that_cannot_see_itself_is_told_so(pbx: SimulatedPbx) -> None:
    async with client_of(pbx) as client:
        for principal in list(pbx.directory.service_principals.values()):
            principal["Number"] = "somebody else"
        with pytest.raises(PbxRefused, match="an administrator must add the extensions"):
            await add_peers(client, {"100"}, lambda _: True)
