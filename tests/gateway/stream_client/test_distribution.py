"""Test ``callmon-client``: built, installed with websockets alone, and used with a real gateway."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import venv
from email import message_from_bytes
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest
import websockets

from tests.conftest import ROOT
from tests.gateway.entities import call
from tests.gateway.serving import lines_of, serving

FOLDER = ROOT / "gateway" / "stream_client"
PROGRAM = '''
"""A program of a user, as mypy --strict wants it."""

import asyncio
import sys

from callmon_client import Connection, StreamClient, StreamMisconfigured, StreamRefused, Update


def told(connection: Connection) -> None:
    print(connection.status, connection.reason)


async def calls(url: str) -> int:
    seen: list[Update] = []
    async with StreamClient(url, "reader-key", ["calls"], on_connection=told) as client:
        async for update in client:
            seen.append(update)
            for id_, call in update.state["calls"].items():
                number: str = id_
                print(update.kind, update.position.seq, number, call["state"], flush=True)
            if update.kind == "change":
                break
    return len(seen)


async def refused(url: str) -> StreamRefused:
    async with StreamClient(url, "no-such-key", ["calls"]) as client:
        try:
            await anext(aiter(client))
        except StreamRefused as error:
            return error
    raise AssertionError


print(asyncio.run(calls(sys.argv[1])))
print(asyncio.run(refused(sys.argv[1])).code)
try:
    StreamClient(sys.argv[1], "reader-key", ["calls"], "msgpack")
except StreamMisconfigured as error:
    print(error)
print([name for name in sys.modules if name.partition(".")[0] in ("monitor", "gateway", "msgspec")])
'''


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=FOLDER,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel and websockets, and nothing else."""
    place = tmp_path_factory.mktemp("user")
    venv.create(place, with_pip=False, symlinks=True)
    (packages,) = place.glob("lib/python3.*/site-packages")
    with ZipFile(wheel) as packed:  # it is pure: to unpack it is to install it
        packed.extractall(packages)
    shutil.copytree(Path(websockets.__path__[0]), packages / "websockets")
    return place / "bin" / "python"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM, encoding="utf-8")
    return file


def test_it_needs_websockets_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as packed:
        (name,) = (name for name in packed.namelist() if name.endswith("/METADATA"))
        described = message_from_bytes(packed.read(name))
        contents = {name.partition("/")[2] for name in packed.namelist()}
    required = described.get_all("Requires-Dist", [])
    assert [each for each in required if "extra ==" not in each] == ["websockets>=16"]
    assert described["Version"] == metadata.version("callmon")
    assert "from callmon_client import StreamClient" in described.get_payload()
    assert {file.name for file in FOLDER.glob("*.py")} | {"py.typed"} <= contents
    assert "licenses/LICENSE" in contents


async def test_a_user_of_it_follows_a_gateway(python: Path, program: Path) -> None:
    async with serving() as served:
        served.put("calls", "1", call(1))
        lines = await lines_of(served, "snapshot", python, "-I", program, served.url())
    assert lines == [
        "connecting",
        "live",
        "snapshot 1 1 Talking",
        "change 2 1 Talking",
        "change 2 2 Talking",
        "closed",
        "2",
        "401",
        "The encoding 'msgpack' needs the package msgpack: pip install callmon-client[msgpack].",
        "[]",
    ]


async def test_the_program_of_its_readme_runs(python: Path, tmp_path: Path) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    file = tmp_path / "program.py"
    async with serving() as served:
        placed = program.replace("ws://127.0.0.1:8765/webapi/stream", served.url())
        file.write_text(placed.replace('"KEY"', '"reader-key"'), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(python, "-I", "-u", file), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(90):
                assert await process.stdout.readline() == b"snapshot {} {}\n"
                served.put("calls", "7", call(7))
                while not (line := await process.stdout.readline()).startswith(b"change"):
                    assert line.startswith(b"heartbeat")
                assert line.startswith(b"change {'calls': {'7': {")
        finally:
            process.kill()
            await process.wait()


def test_its_types_reach_its_users(python: Path, program: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from callmon_client import StreamClient\nStreamClient(7, '', [], 'xml').position.epoch\n",
        encoding="utf-8",
    )
    found = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file="),
            *("--cache-dir", tmp_path / "cache", "--python-executable", python, program, wrong),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert found.stderr == ""
    errors = re.findall(r"^(\w+)\.py:\d+: error: .*\[([\w-]+)\]$", found.stdout, re.MULTILINE)
    assert sorted(errors) == [
        ("wrong", "arg-type"),
        ("wrong", "arg-type"),
        ("wrong", "union-attr"),
    ], found.stdout


def test_the_licence_is_the_project_s() -> None:
    assert (FOLDER / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
