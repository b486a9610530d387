"""Read ActiveCalls at a pace that follows the changes, and soon after a request.

Requests that come close together make one read. A request while a read is under way makes
another read after it: the first one was asked before the change that caused the request. The pace
is that of :mod:`monitor.pbx.adaptive_interval`. If a PBX is slow or asks for time, requests do not
hurry it either. :mod:`monitor.pbx.xapi.read_budget` says how close together requested reads are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

from monitor.pbx.adaptive_interval import AdaptiveInterval
from monitor.pbx.clock import PbxClock
from monitor.pbx.facts import ActiveCall, ActiveCallsRead
from monitor.pbx.v20_client import PbxClient
from monitor.pbx.xapi.read_budget import ReadBudget
from monitor.shared.errors import PbxError


class ActiveCallsPoller:
    """Read ActiveCalls again and again. ``emit`` is called synchronously."""

    def __init__(
        self, client: PbxClient, emit: Callable[[ActiveCallsRead], None], clock: PbxClock
    ) -> None:
        self._client, self._emit, self._clock = client, emit, clock
        self._poked = asyncio.Event()
        self._began = self._ended = float("-inf")
        self._pace = AdaptiveInterval(client.settings.poll_interval, client.settings.poll_idle)
        self._budget = ReadBudget()
        self._rows: tuple[ActiveCall, ...] = ()
        self._failed = False
        self._looking: list[asyncio.Future[None]] = []
        self.asked_at: float | None = None
        """Monotonic time since which an answer is awaited; None while none is."""

    @property
    def calls_go_on(self) -> bool:
        """Return whether the last answer listed any call; False if it was an error."""
        return bool(self._rows) and not self._failed

    def request_read(self) -> None:
        """Read ActiveCalls soon."""
        self._poked.set()

    async def read_and_wait(self) -> None:
        """Ask for a read, and wait until its answer has been emitted.

        A read that is under way already does not count.
        """
        told = asyncio.get_running_loop().create_future()
        self._looking.append(told)
        self.request_read()
        try:
            await told
        finally:
            if told in self._looking:
                self._looking.remove(told)

    async def run(self, on_read: Callable[[], None]) -> NoReturn:
        """Read until something goes wrong, then raise its PbxError.

        ``on_read`` is called after each read.
        """
        while True:
            await asyncio.sleep(
                max(self._began + self._budget.gap, self._ended + self._pace.least)
                - self._clock.now()
            )
            self._poked.clear()
            try:
                await self._read()
            except PbxError:
                self._pace.failed()
                self._failed = True
                raise
            on_read()
            await self._interval()

    async def _read(self) -> None:
        self._began = asked = self._clock.now()
        looking = list(self._looking)
        self.asked_at = time.monotonic()
        try:
            answer = await self._client.active_calls()
        finally:
            self.asked_at = None
        self._ended = self._clock.now()
        if answer.server_now is not None:
            self._clock.learn(answer.server_now, asked, self._ended)
        self._pace.answered(
            self._ended - asked, news=answer.rows != self._rows, busy=bool(answer.rows)
        )
        self._rows = answer.rows
        failed, self._failed = self._failed, False
        self._emit(ActiveCallsRead(answer.rows, asked, self._clock.at(asked), failed))
        self._budget.spent(answer.cpu_seconds, self._ended, time.process_time())
        for told in looking:
            if not told.done():
                told.set_result(None)

    async def _interval(self) -> None:
        try:
            async with asyncio.timeout(self._pace.interval):
                await self._poked.wait()
        except TimeoutError:
            return
