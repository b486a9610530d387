"""Follow the calls of a service with the documented interface, and its ended calls.

Two answers tell of the calls. If they do not fit together, something happened between them. Then
both are asked for again at once. The pace is that of :mod:`monitor.pbx.adaptive_interval`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, NoReturn

from monitor.pbx.adaptive_interval import AdaptiveInterval
from monitor.pbx.clock import PbxClock
from monitor.pbx.http_client import secret
from monitor.pbx.webapi.client import WebApiSettings
from monitor.pbx.webapi.facts import CallsTold, EndedTold
from monitor.pbx.webapi.resource_reader import WebApiReader
from monitor.shared.backoff import Backoff
from monitor.shared.errors import PbxError

_GAP_S: Final = 0.1
"""Fewest seconds between two reads of the calls."""
_TORN: Final = 3
"""Reads in a row that do not fit together, after which the last one is taken as it is."""
_ENDED_EVERY_S: Final = 5.0
"""Seconds between two readings of the ended calls. There may be a thousand of them."""
_LOOK_WITHIN_S: Final = 2.0


class CallsFollower:
    """Read calls again and again.

    ``emit`` is called synchronously. ``on_read`` is called after each read, ``on_failure`` when one
    failed.
    """

    def __init__(
        self,
        reader: WebApiReader,
        settings: WebApiSettings,
        clock: PbxClock,
        emit: Callable[[CallsTold | EndedTold], None],
        on_read: Callable[[], None],
        on_failure: Callable[[PbxError], None],
    ) -> None:
        self._reader, self._clock, self._settings = reader, clock, settings
        self._emit, self._on_read, self._on_failure = emit, on_read, on_failure
        self._pace = AdaptiveInterval(settings.poll_interval, settings.poll_idle)
        self._poked = asyncio.Event()
        self._looking: list[asyncio.Future[None]] = []
        self._told: CallsTold | None = None
        self._ended_wanted = asyncio.Event()
        self.asked_at: float | None = None
        """Monotonic time since which an answer is awaited; None while none is."""
        self.failures = 0
        """Failed reads in a row."""

    @property
    def read(self) -> bool:
        """Return whether calls have been read at all."""
        return self._told is not None

    def request_read(self) -> None:
        """Read the calls soon."""
        self._poked.set()

    async def read_and_wait(self) -> None:
        """Ask for a read of the calls and wait for it, at most :data:`_LOOK_WITHIN_S` seconds.

        It does not wait for ever, as the command that it is to show is done already.
        """
        told = asyncio.get_running_loop().create_future()
        self._looking.append(told)
        self.request_read()
        try:
            async with asyncio.timeout(_LOOK_WITHIN_S):
                await told
        except TimeoutError:
            return
        finally:
            self._looking.remove(told)

    async def run(self) -> NoReturn:
        """Read the calls until cancelled."""
        backoff = Backoff()
        while True:
            self._poked.clear()
            looking = list(self._looking)
            began = self._clock.now()
            try:
                calls = await self._fitting()
            except PbxError as error:
                self._pace.failed()
                self.failures += 1
                self._on_failure(error)
                await secret.pause(backoff.pause(error), self._settings.key)
                continue
            backoff.reset()
            self.failures = 0
            self._take(calls, self._clock.now() - began)
            for told in looking:
                if not told.done():
                    told.set_result(None)
            await self._wait()

    async def run_ended(self) -> NoReturn:
        """Read the ended calls until cancelled: at the start, and each time after calls are gone.

        Nothing is emitted if the service keeps no list of them.
        """
        backoff = Backoff()
        self._ended_wanted.set()
        while True:
            await self._ended_wanted.wait()
            self._ended_wanted.clear()
            try:
                told = await self._reader.ended()
            except PbxError as error:
                self._ended_wanted.set()
                await secret.pause(backoff.pause(error), self._settings.key)
                continue
            backoff.reset()
            if told is not None:
                self._emit(told)
            await asyncio.sleep(_ENDED_EVERY_S)

    async def _fitting(self) -> CallsTold:
        self.asked_at = time.monotonic()
        try:
            for _ in range(_TORN):
                calls, fits = await self._reader.calls()
                if fits:
                    break
        finally:
            self.asked_at = None
        return calls

    def _take(self, calls: CallsTold, took: float) -> None:
        before, self._told = self._told, calls
        self._pace.answered(
            took, news=before is None or before.calls != calls.calls, busy=bool(calls.calls)
        )
        self._emit(calls)
        if before is not None and {call.id for call in before.calls} - {
            call.id for call in calls.calls
        }:
            self._ended_wanted.set()
        self._on_read()

    async def _wait(self) -> None:
        least = max(_GAP_S, self._pace.least)
        await asyncio.sleep(least)
        try:
            async with asyncio.timeout(max(0.0, self._pace.interval - least)):
                await self._poked.wait()
        except TimeoutError:
            return
