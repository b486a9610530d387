"""Test a site's own commands: what may be registered, and the documented example in use."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.docs.asyncapi import asyncapi
from gateway.operations import plugins
from gateway.operations.operation_table import COMMANDS, RESERVED, Command, register
from gateway.parameters import Parameter
from gateway.queries.context import QueryContext
from monitor.shared.errors import ConfigError
from tests.gateway.entities import call
from tests.gateway.serving import frame, say, serving
from tests.gateway.world import FULL, client, view

EXAMPLE = Path(__file__).parents[3] / "deploy" / "example-commands"


@pytest.fixture
def registry() -> Iterator[None]:
    """Whatever is registered is forgotten again."""
    commands, reserved = dict(COMMANDS), set(RESERVED)
    yield
    COMMANDS.clear()
    COMMANDS.update(commands)
    RESERVED.clear()
    RESERVED.update(reserved)


def count(asked: QueryContext) -> dict[str, int]:
    return {"calls": len(asked.live["calls"]), "times": asked.arguments.whole("times")}


TIMES = Parameter("times", "whole", "how often", required=True)
MINE = Command(
    "site.count.get",
    "read",
    "how many calls",
    (TIMES,),
    query=count,
    methods=("GET", "HEAD", "POST"),
)


@pytest.mark.usefixtures("registry")
async def test_a_registered_command_is_served_and_checked_like_all_others() -> None:
    register(MINE)
    async with client() as http:
        assert (await http.get(f"/webapi/{FULL}/site.count.get?times=2")).json()["times"] == 2
        same = await http.get(f"/webapi/{FULL}/site.count.get?times=2&time=seconds")
        assert same.json()["times"] == 2
        bad = await http.get(f"/webapi/{FULL}/site.count.get?times=often")
        assert (bad.status_code, bad.json()["error"]["code"]) == (400, "bad_parameter")
        listed = (await http.get(f"/webapi/{FULL}/")).json()
        assert "site.count.get" in listed["commands"]


@pytest.mark.usefixtures("registry")
async def test_a_registered_query_may_be_watched_and_is_described() -> None:
    register(MINE)
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await say(
            connection, {"type": "subscribe", "query": "site.count.get", "params": {"times": 2}}
        )
        assert (await frame(connection))["result"] == {"calls": 0, "times": 2}
        served.put("calls", "1", call(1))
        assert (await frame(connection))["result"] == {"calls": 1, "times": 2}
    assert "site.count.get" in asyncapi("1.0")["components"]["schemas"]["Watchable"]["enum"]


def fails_with_calls(asked: QueryContext) -> int:
    return 1 // (1 - len(asked.live["calls"]))


@pytest.mark.usefixtures("registry")
async def test_a_registered_query_that_fails_costs_nobody_else_his_answer() -> None:
    register(Command("site.fails.get", "read", "fails with a call", query=fails_with_calls))
    register(MINE)
    async with serving() as served, served.connect() as one, served.connect() as other:
        await frame(one)
        await say(one, {"type": "subscribe", "query": "site.fails.get"})
        await frame(other)
        await say(other, {"type": "subscribe", "query": "site.count.get", "params": {"times": 2}})
        assert (await frame(one))["result"] == 1
        assert (await frame(other))["result"] == {"calls": 0, "times": 2}
        served.put("calls", "1", call(1))
        assert (await frame(one))["code"] == "internal"
        assert (await frame(other))["result"] == {"calls": 1, "times": 2}


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("command", "why"),
    [
        (Command("count", "read", "", query=count), "not a name"),
        (Command("../x.get", "read", "", query=count), "not a name"),
        (Command("pbx.ac.get", "read", "", query=count), "already"),
        (Command("site.count.get", "read", ""), "either a query or a composition"),
        (Command("site.count.get", "root", "", query=count), "scopes are read"),  # type: ignore[arg-type]
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(command: Command, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        register(command)
    assert command.name not in COMMANDS or command.name == "pbx.ac.get"


@pytest.mark.usefixtures("registry")
async def test_before_there_is_a_state_a_composition_says_so_as_all_else_does() -> None:
    async def compose(run: object, arguments: object) -> object:
        assert callable(run)
        return await run("queue.free.get", num="800")

    register(Command("site.first", "read", "", composition=compose))
    async with client(view(loaded=False)) as http:
        answer = await http.get(f"/webapi/{FULL}/site.first")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_state")


@pytest.mark.usefixtures("registry")
async def test_a_composition_runs_with_its_callers_rights_and_no_others() -> None:
    async def compose(run: object, arguments: object) -> object:
        assert callable(run)
        return await run("makecall", first="101", second="102")

    register(Command("site.dial", "read", "", composition=compose))
    async with client() as http:
        answer = await http.get("/webapi/qRQi5xQj8SvI/site.dial")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "scope_missing")
        answer = await http.get(f"/webapi/{FULL}/site.dial")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_monitor")


@pytest.mark.parametrize(
    "value", ["tests.gateway.operations.test_plugins:nothing", "no.such.module:x", "os:sep"]
)
def test_an_entry_point_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    point = EntryPoint("mine", value, plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    with pytest.raises(ConfigError, match=re.escape(f"mine = {value}")):
        plugins.load()


@asynccontextmanager
async def demo(site: Path) -> AsyncIterator[str]:
    """A demo with what is installed there; what it prints up to its keys."""
    options = ("--control", "--port", "0", "--rate", "600", "--hours", "0.1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "demo", *options),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(site)},
        cwd=EXAMPLE.parents[1],
    )
    assert process.stdout is not None
    printed = ""
    try:
        async with asyncio.timeout(60):
            while "Ctrl-C" not in printed:
                line = await process.stdout.readline()
                assert line, printed
                printed += line.decode()
        yield printed
    finally:
        process.terminate()
        await process.wait()


async def test_the_documented_example_installs_and_answers(tmp_path: Path) -> None:
    pip = (
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    )
    installing = await asyncio.create_subprocess_exec(*pip, "--target", str(tmp_path), str(EXAMPLE))
    assert await installing.wait() == 0
    async with demo(tmp_path) as printed:
        found = re.search(r"(http://127\.0\.0\.1:\d+)/webapi/(\S+)/ext\.fwd\.set", printed)
        assert found is not None
        async with httpx.AsyncClient(base_url=found[1], timeout=60) as http:
            longest = await _ready(http, f"/webapi/{found[2]}/site.longest.get?num=800")
            assert longest["waiting"] >= 0
            assert longest["longest"] is None or longest["longest"]["since"].endswith("Z")
            call = await http.post(
                f"/webapi/{found[2]}/site.callback", json={"queue": "800", "number": "5155550100"}
            )
            assert call.json()["result"] is (call.status_code == 200)
            assert call.status_code in (200, 409), call.text


async def _ready(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            answer = await http.get(path)
            if answer.status_code == 200:
                return dict(answer.json())
            assert answer.status_code == 503 or answer.json()["error"]["code"] == "unknown_queue", (
                answer.text
            )
