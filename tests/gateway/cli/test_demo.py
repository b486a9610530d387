"""``callmon demo``: what it prints works, and it opens the wall where somebody sees it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx
import pytest

from gateway.cli.demo import has_screen
from tests.bus import free_port, until
from tests.gateway.cli.console import LONGEST_LINE, WITHIN, found_in, running


async def test_the_demos_lines_work_when_they_are_pasted() -> None:
    options = ("--rate", "600", "--hours", "0.1", "--allowed-host", "demo.example")
    demo = ("demo", "--port", str(free_port()), *options)
    async with running(*demo, until="Ctrl-C") as (_, printed):
        curl = (
            next(line for line in printed.splitlines() if "callsinfo" in line)
            .split("curl ", 1)[1]
            .strip()
        )
        frames = found_in(r"-m websockets '([^']+)'", printed)
        async with httpx.AsyncClient(timeout=WITHIN) as http, asyncio.timeout(WITHIN):
            while (await http.get(curl)).json().get("count", 0) == 0:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.1)
            own = curl.partition("/webapi/")[0]
            for origin, status in (
                (own, 200),
                ("http://elsewhere.example", 403),
            ):  # its key is known to everybody
                events = curl.replace("pbx.callsinfo.get", "events?topics=calls")
                async with http.stream("GET", events, headers={"Origin": origin}) as answer:
                    assert answer.status_code == status
            port = own.rpartition(":")[2]
            for host, status in (  # a name of another's that leads here must not read it
                (f"localhost:{port}", 200),
                (f"demo.example:{port}", 200),
                (f"elsewhere.example:{port}", 403),
            ):
                for address in (curl, f"{own}/wall"):
                    answer = await http.get(address, headers={"Host": host})
                    assert answer.status_code == status, (host, address)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "websockets", frames),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LONGEST_LINE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN):
            while b'"type":"snapshot"' not in (line := await process.stdout.readline()):
                assert line, "it ended before a snapshot came"
        process.kill()
        await process.wait()


async def test_a_host_that_is_none_is_told_in_words() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "demo", "--port", "0", "--allowed-host", "http://a"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WITHIN):
        _, said = await process.communicate()
    assert process.returncode != 0
    assert "--allowed-host: 'http://a' is no name or address" in " ".join(said.decode().split())


async def test_the_demo_can_be_ended_while_it_makes_the_calls_of_the_hours_before() -> None:
    async with running("demo", "--port", "0", "--hours", "12", until="calls of the last 3.1 hours"):
        pass


async def test_the_demo_opens_on_the_wall(tmp_path: Path) -> None:
    browser, told = tmp_path / "browser", tmp_path / "told"
    browser.write_text(f'#!/bin/sh\necho "$1" >{told}\n', encoding="utf-8")
    browser.chmod(0o755)
    demo = ("demo", "--port", "0", "--hours", "0.1", "--browser")
    async with running(*demo, until="Ctrl-C", BROWSER=f"{browser} %s") as (_, printed):
        await until(lambda: told.exists() and told.read_text(encoding="utf-8").endswith("\n"))
        assert told.read_text(encoding="utf-8").strip() == found_in(r"wallboard +(\S+)", printed)


@pytest.mark.parametrize(
    ("environment", "terminal", "opens"),
    [
        ({"DISPLAY": ":0"}, True, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True, True),
        ({}, True, sys.platform in ("darwin", "win32")),
        ({"DISPLAY": ":0"}, False, False),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, True, False),
    ],
)
def test_a_browser_is_opened_unasked_where_somebody_sees_it(
    environment: dict[str, str], terminal: bool, opens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert has_screen() is opens
