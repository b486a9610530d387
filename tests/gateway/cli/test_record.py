"""Test ``callmon record`` and ``callmon demo --replay``, and what keeps them from doing harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.cli.demo import DEMO_KEY
from monitor.recording import file_format
from monitor.shared.redis.key_names import SpaceKeys
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import RealBus
from tests.gateway.cli.console import WITHIN, callmon, running

SETTINGS = """
[redis]
url = "{redis}"

[[pbx]]
name = "main"
url = "{url}"
client_id = "{id}"
client_secret = "{secret}"
poll_interval = 0.3

[[pbx]]
name = "older"
url = "http://127.0.0.1:1"
key = "some-key-or-other"
"""


@pytest.fixture
async def pbx() -> AsyncIterator[SimulatedPbx]:
    async with SimulatedPbx(
        SimulatorSettings(extensions=30, queues=2, rate=300, speed=5)
    ) as simulated:
        yield simulated


@pytest.fixture
def settings(pbx: SimulatedPbx, valkey: RealBus, tmp_path: Path) -> str:
    file = tmp_path / "callmon.toml"
    text = SETTINGS.format(
        redis=valkey.url, url=pbx.url, id=pbx.client_id, secret=pbx.client_secret
    )
    file.write_text(text, encoding="utf-8")
    return str(file)


async def test_a_recording_is_made_and_shown(settings: str, tmp_path: Path) -> None:
    file = tmp_path / "monday.jsonl.gz"
    made = await callmon("record", "-c", settings, "--pbx", "main", "--minutes", "0.15", str(file))
    assert made.code == 0, made.err
    assert "outside numbers and names are masked" in made.out
    assert file_format.read(file).header.settings["poll_interval"] == 0.3
    shown = ("demo", "--port", "0", "--replay", str(file), "--speed", "2")
    async with (
        running(*shown, until="Ctrl-C") as (_, printed),
        httpx.AsyncClient(timeout=WITHIN) as http,
    ):
        address = next(word for word in printed.split() if "/wall#" in word).partition("/wall#")[0]
        calls = 0
        async with asyncio.timeout(WITHIN):
            while not calls:
                answer = await http.get(f"{address}/webapi/{DEMO_KEY}/pbx.callsinfo.get")
                calls = answer.json().get("count", 0) if answer.status_code == 200 else 0
                await asyncio.sleep(0.1)


async def test_a_client_that_a_monitor_uses_is_left_alone(
    settings: str, pbx: SimulatedPbx, valkey: RealBus, tmp_path: Path
) -> None:
    client = valkey.client()
    try:
        await client.set(SpaceKeys("main", "live").lease, b"host/1234")
    finally:
        await client.aclose()
    file = tmp_path / "a.jsonl"
    refused = await callmon("record", "-c", settings, "--pbx", "main", str(file))
    assert refused.code == 1
    assert "host/1234 follows main with this API client" in refused.err
    assert not file.exists()

    secret = tmp_path / "secret"
    secret.write_text(pbx.client_secret, encoding="utf-8")
    other = ("--client-id", pbx.client_id, "--client-secret-file", str(secret))
    record = ("record", "-c", settings, "--pbx", "main", "--minutes", "5", *other, str(file))
    async with running(*record, until="connected"):
        pass
    assert file_format.read(file).lines


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Name the PBX with --pbx; known are: main, older."),
        (("--pbx", "othre"), "There is no PBX 'othre'; known are: main, older."),
        (
            ("--pbx", "older"),
            "older is reached through the documented interface; a 3CX itself can be recorded.",
        ),
        (("--pbx", "main", "--client-id", "other"), "--client-id needs --client-secret-file too."),
    ],
)
async def test_what_cannot_be_recorded_is_said_and_nothing_written(
    settings: str, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    file = tmp_path / "a.jsonl"
    refused = await callmon("record", "-c", settings, *arguments, str(file))
    assert refused.code == 1
    assert sentence in refused.err
    assert not file.exists()


async def test_what_is_no_recording_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(b"\x89PNG\r\n")
    refused = await callmon("demo", "--port", "0", "--replay", str(file))
    assert refused.code == 1
    assert "picture.png is not a recording of callmon." in refused.err
