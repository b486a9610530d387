"""Follow a PBX only while somebody asks for it, and let go of it after a while.

A request or a client of the stream is somebody who asks. What is followed is let go once nobody
has asked for ``idle_s`` seconds and nobody is connected. Who asks next waits for the state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from monitor.shared.tasks import end

FIRST_STATE_WITHIN_S: Final = 5.0
"""Seconds for which the first request waits for the state."""
HEARD_WITHIN_S: Final = 1.5
"""Seconds for which it waits, besides, until the monitor is heard: longer than a heartbeat."""
_LOOKS: Final = 10
"""Looks at whether somebody asks, in the time after which a PBX is let go."""

_log = structlog.get_logger(__name__)


class Demand:
    """Know whether a PBX is asked for. ``idle_s``: None if it is followed always."""

    def __init__(self, pbx: str, idle_s: float | None = None) -> None:
        self.asks = 0
        """Requests so far. The code that answers a request adds it here."""
        self.followed = idle_s is None
        """True while the PBX is followed."""
        self._pbx = pbx
        self._idle_s = idle_s
        self._wanted = asyncio.Event()
        self._moved = asyncio.Event()
        self._waiting = 0

    @property
    def always(self) -> bool:
        """Return whether the PBX is followed always."""
        return self._idle_s is None

    def ask(self) -> None:
        """Note that somebody asks for the PBX; have it followed."""
        self.asks += 1
        self._wanted.set()

    def moved(self) -> None:
        """Note that the state moved, or that the monitor is heard."""
        self._moved.set()

    async def becomes(self, true: Callable[[], bool], within: float) -> bool:
        """Wait until it is true of the state, for ``within`` seconds at most; return whether it is.

        It is looked at whenever the state moved.
        """
        self._waiting += 1
        try:
            async with asyncio.timeout(within):
                while not true():
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return true()
        finally:
            self._waiting -= 1
        return True

    async def run(
        self,
        follow: Callable[[], Coroutine[Any, Any, None]],
        occupied: Callable[[], bool],
        let_go: Callable[[], None],
    ) -> None:
        """Run ``follow`` while somebody asks. Never returns; its caller must await it.

        ``occupied``: returns whether somebody is connected. ``let_go``: is called when nothing runs
        any more.
        """
        while True:
            await self._wanted.wait()
            self.followed = True
            _log.info("following_start", pbx=self._pbx)
            following = asyncio.create_task(follow())
            try:
                await self._until_idle(occupied)
            finally:
                self._wanted.clear()  # a request from here on has it followed again
                self.followed = False
                await end([following])
                let_go()
            _log.info("following_end", pbx=self._pbx, idle_s=self._idle_s)

    async def _until_idle(self, occupied: Callable[[], bool]) -> None:
        loop, idle_s = asyncio.get_running_loop(), self._idle_s or 0.0
        asks, since = self.asks, loop.time()
        while loop.time() < since + idle_s:
            await asyncio.sleep(idle_s / _LOOKS)
            if self.asks != asks or self._waiting or occupied():
                asks, since = self.asks, loop.time()
