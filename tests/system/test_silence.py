"""Test that a PBX's silence, as of a pulled cable, is told within the promised time."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from monitor.pbx.facts import ConnectionChanged, Fact, Source
from monitor.pbx.v20_client import PbxSettings
from monitor.pbx.v20_source import PbxSource
from monitor.shared.tasks import running
from tests.bus import until
from tests.system.processes import ROOT

PROMISED_S = 5.0
"""Where events are followed.

Where calls are only read, the longest pause between two reads is added.
"""


@asynccontextmanager
async def simulator() -> AsyncIterator[tuple[asyncio.subprocess.Process, list[str]]]:
    """A process; its address, client id and secret."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.system.simulating", stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            place = (await process.stdout.readline()).decode().split()
        yield process, place
    finally:
        process.kill()
        await process.wait()


SLOW_S = 4.2
"""Who answers within so long is not lost."""
LONG_S = 0.3
"""Who stood still for so long himself may begin anew to wait for an answer."""


class Stillness:
    """For how many seconds this process, which judges, stood still itself.

    And when it last did for long.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._long: tuple[float, float] = (0.0, 0.0)

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.05)
            now = time.monotonic()
            self.seconds += now - before - 0.05
            if now - before - 0.05 > LONG_S:
                self._long = now, self.seconds

    def mark(self) -> tuple[float, float]:
        """Return the time and how long it had stood still by then."""
        return time.monotonic(), self.seconds

    def waited(self, since: tuple[float, float]) -> float:
        """Return the seconds since a mark, or since the last long pause, in which it judged."""
        at, still = max(since, self._long)
        return time.monotonic() - at - (self.seconds - still)


class Watched:
    """Watch a source's connection; ``lost_after``: seconds from the last mark to its loss."""

    def __init__(
        self, still: Stillness, source: Source, url: str, client_id: str, secret: str
    ) -> None:
        self.mark, self.lost_after = still.mark(), 0.0
        self._still = still
        self.settings = PbxSettings(url, client_id, secret, source=source)
        self.told: list[str] = []
        self.connection = ""
        self.source = PbxSource(self.settings, self._emit)

    def _emit(self, fact: Fact) -> None:
        if isinstance(fact, ConnectionChanged):
            self.connection = fact.connection
            self.told.append(fact.connection)
            if fact.connection == "lost":
                self.lost_after = self._still.waited(self.mark)


async def answers_late(
    process: asyncio.subprocess.Process, address: str, watched: Watched
) -> float:
    """Let the simulator stand still for three seconds; return after how many it answered again."""
    await until(lambda: watched.connection == "connected")
    watched.told.clear()
    process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    await asyncio.sleep(3.0)  # what it takes to answer is the thing itself
    process.send_signal(signal.SIGCONT)
    async with httpx.AsyncClient(timeout=60.0) as http:
        await http.get(address)
    answered = time.monotonic() - stopped
    await asyncio.sleep(0.5)  # in which it would be told, if it were
    return answered


@pytest.mark.parametrize("source", ["auto", "activecalls"])
async def test_a_pbx_that_stands_still_is_told_as_lost_in_the_promised_time_and_a_slow_one_is_not(
    source: Source,
) -> None:
    async with simulator() as (process, place):
        still = Stillness()
        watched = Watched(still, source, *place)
        async with running(watched.source.run(), still.run()):
            await until(lambda: watched.connection == "connected")
            for _ in range(5):
                if await answers_late(process, place[0], watched) < SLOW_S:
                    break  # else it was the machine that let it answer later still
            else:
                pytest.skip("this machine is too busy to let a PBX answer in time")
            assert "lost" not in watched.told
            process.send_signal(signal.SIGSTOP)
            watched.mark = still.mark()
            await until(lambda: watched.connection == "lost")
            pause = watched.settings.poll_idle if source == "activecalls" else 0.0
            assert watched.lost_after < PROMISED_S + pause
            process.send_signal(signal.SIGCONT)
            await until(lambda: watched.connection == "connected")
