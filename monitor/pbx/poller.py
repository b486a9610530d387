"""Reading ActiveCalls: at an interval, and soon after it is poked.

Pokes that come close together make one read. A poke while a read is under way makes another one after it, as that
read's question was asked before whatever the poke is about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from monitor.pbx.client import PbxClient
from monitor.pbx.clock import PbxClock
from monitor.pbx.facts import ActiveCallsRead

GAP = 0.2
"""Seconds between the starts of two reads."""
_IDLE = 2.0
"""How many times longer the interval is while there are no calls, if events tell of new ones."""


class Poller:
    """Reads ActiveCalls. ``emit`` is called synchronously."""

    def __init__(self, client: PbxClient, emit: Callable[[ActiveCallsRead], None], clock: PbxClock) -> None:
        self._client, self._emit, self._clock = client, emit, clock
        self._poked = asyncio.Event()
        self._began = float("-inf")
        self._calls = True
        self._looking: list[asyncio.Future[None]] = []
        self.alone = False
        """Whether no events tell of new calls, so that there is no idling."""

    def poke(self) -> None:
        """Read soon."""
        self._poked.set()

    async def look(self) -> None:
        """Read soon, and wait until what was asked for from now on has been told."""
        told = asyncio.get_running_loop().create_future()
        self._looking.append(told)
        self.poke()
        try:
            await told
        finally:
            if told in self._looking:
                self._looking.remove(told)

    async def run(self, on_read: Callable[[], None]) -> NoReturn:
        """Read until something goes wrong; raises PbxError. ``on_read``: called after each read."""
        while True:
            await asyncio.sleep(max(0.0, self._began + GAP - self._clock.now()))
            self._poked.clear()
            await self._read()
            on_read()
            await self._interval()

    async def _read(self) -> None:
        self._began = asked = self._clock.now()
        looking = list(self._looking)
        answer = await self._client.active_calls()
        if answer.server_now is not None:
            self._clock.learn(answer.server_now, asked, self._clock.now())
        self._calls = bool(answer.rows)
        self._emit(ActiveCallsRead(answer.rows, asked, self._clock.at(asked)))
        for told in looking:
            if not told.done():
                told.set_result(None)

    async def _interval(self) -> None:
        interval = self._client.settings.poll_interval
        if not self._calls and not self.alone:
            interval *= _IDLE
        try:
            async with asyncio.timeout(interval):
                await self._poked.wait()
        except TimeoutError:
            return
