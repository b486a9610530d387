"""Test the JavaScript client as npm packs it: installed, run under Node, and its types."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.fanout.filters import FIELDS
from monitor.shared.entities.topics import BOOK_TOPICS, FLEET_TOPICS, TOPICS
from tests.browser import node
from tests.conftest import ROOT
from tests.gateway.entities import call
from tests.gateway.serving import lines_of, serving

STATIC = ROOT / "gateway" / "static"
TYPES = Path(__file__).parent / "types"
PROGRAM = """
import { StreamClient } from "callmon-client";
const [url, key] = process.argv.slice(2);
const client = new StreamClient({ url, key, topics: ["calls"] });
const calls = () => [...client.state.get("calls").keys()].join();
client.addEventListener("state", () => console.log("state", calls()));
client.addEventListener("change", () => {
  console.log("change", calls(), client.position.seq);
  client.close();
});
client.addEventListener("connection", ({ detail: { status, code } }) => {
  console.log(status, code ?? "");
});
client.connect();
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a program that has installed the package and nothing else, without a net."""
    npm = node.npm()
    packed, user = tmp_path_factory.mktemp("packed"), tmp_path_factory.mktemp("user")
    quiet = ("--silent", "--offline", "--no-audit", "--no-fund", "--no-update-notifier")
    _run(npm, "pack", *quiet, "--pack-destination", packed, STATIC, cwd=packed)
    (package,) = packed.glob("*.tgz")
    (user / "package.json").write_text('{"type": "module"}')
    _run(npm, "install", *quiet, package, cwd=user)
    (user / "program.js").write_text(PROGRAM)
    return user


def _run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_holds_the_module_its_types_and_what_people_read(user: Path) -> None:
    package = user / "node_modules" / "callmon-client"
    assert {file.name for file in package.iterdir()} == {
        *("LICENSE", "README.md", "callmon.d.ts", "callmon.js", "package.json"),
    }
    for name in ("callmon.js", "callmon.d.ts"):
        assert (package / name).read_bytes() == (STATIC / name).read_bytes()
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "dependencies" not in json.loads((package / "package.json").read_text())


async def test_node_follows_a_gateway_with_it(user: Path) -> None:
    async with serving() as served, asyncio.timeout(90):
        served.put("calls", "1", call(1))
        run = (*node.with_websocket(), "--no-warnings", str(user / "program.js"))
        address = f"http://{served.host}/webapi/stream"
        lines = await lines_of(served, "state", *run, address, "reader-key")
        assert lines == ["connecting", "live", "state 1", "change 1,2 2", "closed"]
        refused = await asyncio.create_subprocess_exec(
            *(*run, served.url(), "no-such-key"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, warned = await refused.communicate()
    assert said.decode().split("\n") == ["connecting ", "refused 401", ""]
    assert warned.startswith(b"callmon: ")


def test_its_types_hold_for_the_module_and_for_its_users(user: Path, tmp_path: Path) -> None:
    """Only the mistakes of ``wrong.ts`` are found, and each of them."""
    tsc = node.tsc()
    for file in TYPES.iterdir():
        shutil.copy(file, tmp_path)
    shutil.copy(STATIC / "callmon.js", tmp_path / "module.js")
    shutil.copytree(user / "node_modules", tmp_path / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    options = {
        "allowJs": True,
        "checkJs": True,
        "lib": ["es2023", "dom", "dom.iterable"],
        "module": "nodenext",
        "noEmit": True,
        "noImplicitAny": False,  # of the module; what its types say, conforms.ts compares
        "strict": True,
        "target": "es2022",
        "types": [],
    }
    settings = {"compilerOptions": options, "include": ["*.ts", "module.js"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [tsc, "-p", tmp_path], capture_output=True, text=True, check=False, timeout=170
    )
    found = re.findall(r"^(\S+)\((\d+),\d+\): error", done.stdout, re.MULTILINE)
    wrong = (TYPES / "wrong.ts").read_text(encoding="utf-8").splitlines()
    assert [(Path(file).name, int(line)) for file, line in found] == [
        ("wrong.ts", number) for number in range(3, len(wrong) + 1)
    ], done.stdout


def test_its_types_name_each_topic_and_each_field_of_a_filter() -> None:
    text = (STATIC / "callmon.d.ts").read_text(encoding="utf-8")
    (topics,) = re.findall(r"export type Topic =([^;]+);", text)
    (fields,) = re.findall(r"export interface Filter {([^}]+)}", text)
    assert set(re.findall(r'"(\w+)"', topics)) == {*TOPICS, *BOOK_TOPICS, *FLEET_TOPICS}
    assert set(re.findall(r"^  (\w+)\?:", fields, re.MULTILINE)) == set(FIELDS)
