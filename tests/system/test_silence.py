"""A PBX that falls silent without a word, as behind a cable that is out: told within the time that is promised."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from monitor.pbx.client import PbxSettings
from monitor.pbx.facts import ConnectionChanged, Fact, Source
from monitor.pbx.silence import watch_silence
from monitor.pbx.source import PbxSource
from tests.bus import until
from tests.system.processes import ROOT

PROMISED_S = 5.0
"""Where events are followed. Where calls are only read, the longest pause between two reads is added."""


@asynccontextmanager
async def simulator() -> AsyncIterator[tuple[asyncio.subprocess.Process, list[str]]]:
    """A process; its address, client id and secret."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.system.simulating", stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            yield process, (await process.stdout.readline()).decode().split()
    finally:
        process.kill()
        await process.wait()


class Stillness:
    """For how many seconds this process, which judges, stood still itself."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.05)
            self.seconds += time.monotonic() - before - 0.05


class Watched:
    """A source at its usual pace, and what it tells of the connection and when."""

    def __init__(self, source: Source, url: str, client_id: str, secret: str) -> None:
        self.settings = PbxSettings(url, client_id, secret, source=source)
        self.told: list[tuple[str, float]] = []
        self.source = PbxSource(self.settings, self._emit)

    def _emit(self, fact: Fact) -> None:
        if isinstance(fact, ConnectionChanged):
            self.told.append((fact.connection, time.monotonic()))

    @property
    def connection(self) -> str:
        return self.told[-1][0] if self.told else ""


async def test_a_pbx_that_stands_still_is_told_as_lost_in_the_promised_time_and_a_slow_one_is_not() -> None:
    async with simulator() as (process, place):
        watched = [Watched("auto", *place), Watched("activecalls", *place)]
        still = Stillness()
        tasks = [asyncio.create_task(one.source.run()) for one in watched] + [asyncio.create_task(still.run())]
        try:
            await until(lambda: all(one.connection == "connected" for one in watched))
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(3.0)  # what it takes to answer is the thing itself
            process.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.5)
            assert ["lost" in dict(one.told) for one in watched] == [False, False]
            process.send_signal(signal.SIGSTOP)
            stopped, before = time.monotonic(), still.seconds
            await until(lambda: all(one.connection == "lost" for one in watched))
            for one in watched:
                pause = one.settings.poll_idle if one.settings.source == "activecalls" else 0.0
                assert one.told[-1][1] - stopped - (still.seconds - before) < PROMISED_S + pause
            process.send_signal(signal.SIGCONT)
            await until(lambda: all(one.connection == "connected" for one in watched))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_stood_still_himself_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    heard = time.monotonic()

    def tell() -> None:
        told.append(time.monotonic())

    watching = asyncio.create_task(watch_silence(1.0, lambda: heard, tell))
    await asyncio.sleep(0.1)
    time.sleep(1.6)  # noqa: ASYNC251 - that is the fault
    heard = time.monotonic()  # what came meanwhile is read a moment later
    await asyncio.sleep(0.1)
    assert told == []
    await until(lambda: bool(told))
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
