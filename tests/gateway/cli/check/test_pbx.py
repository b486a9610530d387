"""What ``callmon check`` finds at a PBX."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.cli.check import pbx as check_pbx
from gateway.cli.check.pbx import _Site
from monitor.pbx.http_client.token import Claims
from monitor.pbx.v20_client import PbxClient
from monitor.simulator.server import SimulatedPbx
from tests.bus import RealBus
from tests.gateway.cli.check.scene import check, client_of, said_of
from tests.monitor.pbx.documented import KEY, documented


def site(client: PbxClient, ahead: float | None = 0.0) -> _Site:
    return _Site(client, "PBX main", Claims(), ahead)


@pytest.mark.parametrize(
    ("ahead", "says"),
    [
        (0.4, "ok    PBX main, clock: the PBX's is 0 s"),
        (-40.0, "WRONG PBX main, clock: the PBX's is 40 s behind"),
    ],
)
async def test_clocks_that_are_far_apart_are_said(
    pbx: SimulatedPbx, ahead: float, says: str
) -> None:
    async with client_of(pbx) as client:
        assert str(await check_pbx._clock(site(client, ahead))).startswith(says)


async def test_the_clock_is_told_by_the_token_and_else_by_calls(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await check.run(settings)
    assert re.search(
        r"ok    PBX main, clock: the PBX's is \d+ s (behind|ahead of) this host's",
        capsys.readouterr().out,
    )
    async with client_of(pbx) as client:
        assert "there are no calls now" in str(await check_pbx._clock(site(client, None)))
        pbx.switchboard.route(pbx.switchboard.arrive("10000", "+15550001111"), "800")
        assert re.search(r"the PBX's is \d s", str(await check_pbx._clock(site(client, None))))


@pytest.mark.parametrize(
    ("days", "says"), [(5, "WRONG PBX main, certificate: it holds until"), (50, "ok    PBX main")]
)
async def test_a_certificate_that_ends_soon_is_said(
    pbx: SimulatedPbx, days: int, says: str, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with client_of(pbx) as client:
        ends = datetime.now(tz=UTC) + timedelta(days=days, hours=1)
        client.counters.certificate_ends = ends.timestamp()
        found = check_pbx._certificate(site(client))
    assert f"{ends:%Y-%m-%d}" in (found.wrong or found.detail)
    assert says.startswith("WRONG") == bool(found.wrong)


async def test_a_service_that_has_lost_its_pbx_is_found_out(
    valkey: RealBus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with documented() as service:
        file = tmp_path / "callmon.toml"
        file.write_text(
            f'[redis]\nurl = "{valkey.url}"\n[[pbx]]\nname = "main"\nurl = "{service.url}"\nkey = '
            f'"{KEY}"\n',
            encoding="utf-8",
        )
        assert await check.run(file) == 0
        assert "answers; 3 extensions" in capsys.readouterr().out
        service.tells["Callmon-Stale-Since"] = "2026-03-04T08:15:30.250Z"
        assert await check.run(file) == 1
        assert "nothing from its PBX since 2026-03-04T08:15:30.250Z" in capsys.readouterr().out


async def test_a_collection_that_may_not_be_read_is_named_and_the_rest_is_tried(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx.faults.answer_with(403, 100, "/xapi/v1/ActiveCalls")
    pbx.faults.answer_with(403, 100, "/xapi/v1/Trunks")
    pbx.faults.answer_with(404, 100, "/xapi/v1/Peers")
    pbx.faults.answer_with(404, 100, "/xapi/v1/OfficeHours")
    said = await said_of(settings, capsys)
    assert (
        "WRONG PBX main, XAPI: the API client may not read Trunks (no lines); ActiveCalls (no "
        "calls without a monitored phone, as in a queue): give it the role" in said[1]
    )
    assert "System Administrator" in said[1]
    assert "the PBX has no Peers (voicemail, parking places, fax" in said[1]
    assert "; OfficeHours (no time zone" in said[1]
    assert [line.split(", ", 1)[1].partition(":")[0] for line in said[1:]] == [
        "XAPI", "Call Control", "web client", "certificate", "clock"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("right", "says"),
    [
        ("XAPIEnabled", "XAPI: the PBX refuses every read: tick XAPI at the API client"),
        (
            "CallControlEnabled",
            "Call Control: the PBX refuses it: tick Call Control API at the API client",
        ),
    ],
)
async def test_an_interface_that_is_not_ticked_is_said(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str], right: str, says: str
) -> None:
    for principal in pbx.directory.service_principals.values():
        principal[right] = False
    said = await said_of(settings, capsys)
    assert any(line.startswith(f"WRONG PBX main, {says}") for line in said)
    assert any(line.startswith("ok    PBX main, web client") for line in said)


async def test_a_licence_that_is_too_small_is_said(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx.tokens.licence = "professional"
    said = await said_of(settings, capsys)
    for part in ("XAPI", "Call Control"):
        (line,) = [line for line in said if line.startswith(f"WRONG PBX main, {part}:")]
        assert "the PBX's licence is too small: its token has no role Enterprise" in line


async def test_a_part_that_fails_does_not_keep_the_others_from_being_tried(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx.faults.answer_with(500, 100, "/xapi/v1/Users")
    pbx.faults.answer_with(500, 100, "/webclient")
    said = await said_of(settings, capsys)
    assert len([line for line in said if line.startswith("WRONG")]) == 3
    assert said[-1].startswith("ok    PBX main, clock")
