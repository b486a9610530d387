"""Test what ``callmon check`` finds at a PBX, and what ``--fix`` repairs there."""

from __future__ import annotations

import importlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.check import pbx as check_pbx
from gateway.cli.check.fix_monitored_extensions import add_peers
from gateway.cli.check.pbx import _Site
from monitor.pbx.http_client.token import Claims
from monitor.pbx.v20_client import PbxClient, PbxSettings
from monitor.shared.errors import PbxRefused
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import RealBus
from tests.monitor.pbx.documented import KEY, documented

check: Any = importlib.import_module(
    "gateway.cli.check.command"
)  # the package's own name of it is the command


def site(client: PbxClient, ahead: float | None = 0.0) -> _Site:
    return _Site(client, "PBX main", Claims(), ahead)


@pytest.fixture
async def pbx() -> AsyncIterator[SimulatedPbx]:
    """An API client that may monitor half of the extensions."""
    settings = SimulatorSettings(
        extensions=12, queues=2, traffic=False, switches=Switches(monitored="half")
    )
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
        assert "the PBX's is 0 s" in str(await check_pbx._clock(site(client, None)))


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


@asynccontextmanager
async def client_of(pbx: SimulatedPbx) -> AsyncIterator[PbxClient]:
    client = PbxClient(
        PbxSettings(url=pbx.url, client_id=pbx.client_id, client_secret=pbx.client_secret)
    )
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
    made = f"ok    state_dir: {folder} is not there yet; the monitor makes it"
    assert (
        made if missing else f"ok    state_dir: {folder} can be written to"
    ) in capsys.readouterr().out


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


def keep_secret_in(settings: Path, file: Path) -> None:
    """Whether the file is there or not."""
    text = re.sub(
        r'client_secret = ".*"',
        f'client_secret_file = "{file}"',
        settings.read_text(encoding="utf-8"),
    )
    settings.write_text(text, encoding="utf-8")


async def said_of(settings: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is said of the PBX; each thing wrong is counted, and no sentence ends twice."""
    code = await check.run(settings)
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    wrong = [line for line in lines if line.startswith("WRONG")]
    assert lines[-1].startswith(f"{len(wrong)} thing" if wrong else "All is well.")
    assert code == bool(wrong)
    assert [line for line in lines if ".." in line or ".:" in line] == []
    return [line for line in lines if "PBX main" in line]


async def test_a_collection_that_may_not_be_read_is_named_and_the_rest_is_tried(
    pbx: SimulatedPbx, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pbx.faults.answer_with(403, 100, "/xapi/v1/ActiveCalls")
    pbx.faults.answer_with(403, 100, "/xapi/v1/Trunks")
    said = await said_of(settings, capsys)
    assert (
        "WRONG PBX main, XAPI: the API client may not read Trunks, ActiveCalls, so callmon has no "
        "data of that" in said[1]
    )
    assert "System Administrator" in said[1]
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


async def test_a_secret_that_cannot_be_read_is_a_thing_to_put_right_like_others(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_secret_in(settings, tmp_path / "none")
    assert await said_of(settings, capsys) == [
        (
            f"WRONG PBX main: client_secret_file cannot be read: No such file or directory: "
            f"{tmp_path}/none"
        )
    ]


def add_section(settings: Path, client_id: str) -> None:
    """Another section for the same PBX."""
    text = settings.read_text(encoding="utf-8").partition('[[pbx]]\nname = "second"')[0]
    section = text[text.index("[[pbx]]") :].replace('"main"', '"second"')
    settings.write_text(text + section.replace('"callmon"', f'"{client_id}"'), encoding="utf-8")


async def test_one_api_client_for_two_sections_is_a_thing_to_put_right(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_section(settings, "callmon")
    assert await check.run(settings) == 1
    twice = "WRONG PBX second: it has the url and client_id of main; 3CX keeps one token a client"
    assert twice in capsys.readouterr().out
    add_section(settings, "other")
    await check.run(settings)
    assert "client_id of main" not in capsys.readouterr().out


async def test_a_gateways_settings_are_tried_without_any_secret_of_the_pbx(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_secret_in(settings, tmp_path / "none")
    assert await check.run(settings, gateway=True) == 0
    said = capsys.readouterr().out
    assert (
        "ok    rights on Redis, gateway of main: its user has all the rights that it needs" in said
    )
    assert "PBX main" not in said
