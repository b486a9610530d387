"""What ``callmon check`` finds at a PBX, and what ``--fix`` mends there."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.peers import add_peers
from monitor.errors import PbxRefused
from monitor.pbx.client import PbxClient, PbxSettings
from monitor.simulator.pbx import SimulatedPbx, SimulatorSettings
from monitor.simulator.switches import Switches
from tests.bus import RealBus
from tests.monitor.pbx.documented import KEY, documented

check: Any = importlib.import_module("gateway.cli.check")  # the package's own name of it is the command


@pytest.fixture
async def pbx() -> AsyncIterator[SimulatedPbx]:
    """An API client that may monitor half of the extensions."""
    settings = SimulatorSettings(extensions=12, queues=2, traffic=False, switches=Switches(monitored="half"))
    async with SimulatedPbx(settings) as simulated:
        yield simulated


@pytest.fixture
def settings(pbx: SimulatedPbx, valkey: RealBus, tmp_path: Path) -> Path:
    file = tmp_path / "callmon.toml"
    file.write_text(
        f"""
[redis]
url = "{valkey.url}"

[[pbx]]
name = "main"
url = "{pbx.url}"
client_id = "{pbx.client_id}"
client_secret = "{pbx.client_secret}"
""",
        encoding="utf-8",
    )
    return file


def monitored(pbx: SimulatedPbx) -> set[str]:
    return set(pbx.directory.peers(pbx.client_id))


def unmonitored(pbx: SimulatedPbx) -> set[str]:
    return set(pbx.directory.extensions()) - monitored(pbx)


async def test_without_fix_nothing_is_changed(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = monitored(pbx)
    assert await check.run(settings) == 1
    said = capsys.readouterr().out
    assert f"WRONG PBX main, Call Control: {len(unmonitored(pbx))} extensions are not monitored" in said
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


async def test_an_api_client_that_is_not_shown_to_itself_is_said(pbx: SimulatedPbx) -> None:
    async with client_of(pbx) as client:
        for principal in list(pbx.directory.service_principals.values()):
            principal["Number"] = "somebody else"
        with pytest.raises(PbxRefused, match="an administrator must add them"):
            await add_peers(client, {"100"}, lambda _: True)


async def test_clocks_that_are_far_apart_are_said(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await check.run(settings)
    assert "ok    PBX main, clock: the PBX tells its time with calls" in capsys.readouterr().out
    pbx.switchboard.route(pbx.switchboard.arrive("10000", "+15550001111"), "800")
    await check.run(settings)
    assert "ok    PBX main, clock: the PBX's is 0 s" in capsys.readouterr().out
    monkeypatch.setattr(check, "_APART", -1.0)
    await check.run(settings)
    assert "WRONG PBX main, clock: the PBX's is 0 s" in capsys.readouterr().out


@pytest.mark.parametrize(("days", "says"), [(5, "WRONG PBX main, certificate: it holds until"), (50, "ok    PBX main")])
async def test_a_certificate_that_ends_soon_is_said(
    pbx: SimulatedPbx, days: int, says: str, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with client_of(pbx) as client:
        ends = datetime.now(tz=UTC) + timedelta(days=days, hours=1)
        client.measures.certificate_ends = ends.timestamp()
        found = check._certificate(client, "PBX main")
    assert f"{ends:%Y-%m-%d}" in (found.wrong or found.detail)
    assert says.startswith("WRONG") == bool(found.wrong)


@asynccontextmanager
async def client_of(pbx: SimulatedPbx) -> AsyncIterator[PbxClient]:
    client = PbxClient(PbxSettings(url=pbx.url, client_id=pbx.client_id, client_secret=pbx.client_secret))
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture(params=[False, True], ids=["there", "missing"])
def state_dir(request: pytest.FixtureRequest, settings: Path, tmp_path: Path) -> tuple[Path, bool]:
    """In the settings; and whether it is missing."""
    missing, folder = bool(request.param), tmp_path / "state"
    if not missing:
        folder.mkdir()
    text = settings.read_text(encoding="utf-8")
    settings.write_text(f'[monitor]\nstate_dir = "{folder}"\n{text}', encoding="utf-8")
    return folder, missing


async def test_whether_the_state_dir_can_be_written_to_is_told(
    settings: Path, state_dir: tuple[Path, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, missing = state_dir
    await check.run(settings)
    wrong = f"WRONG state_dir: {folder} cannot be written to: No such file or directory; make it"
    assert (wrong if missing else f"ok    state_dir: {folder} can be written to") in capsys.readouterr().out


async def test_a_service_that_has_lost_its_pbx_is_found_out(
    valkey: RealBus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with documented() as service:
        file = tmp_path / "callmon.toml"
        file.write_text(
            f'[redis]\nurl = "{valkey.url}"\n[[pbx]]\nname = "main"\nurl = "{service.url}"\nkey = "{KEY}"\n',
            encoding="utf-8",
        )
        assert await check.run(file) == 0
        assert "answers; 3 extensions" in capsys.readouterr().out
        service.tells["Callmon-Stale-Since"] = "2026-03-04T08:15:30.250Z"
        assert await check.run(file) == 1
        assert "nothing of its PBX since 2026-03-04T08:15:30.250Z" in capsys.readouterr().out
