"""Let everything else have its turn while many WebSockets are read.

A client may send some hundred frames at once. Thousands of clients that do so together would hold
up all others for seconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

READING_A_TURN_S: Final = 0.005
"""Seconds of reading after which everything else has its turn."""


class ReadTurns:
    """Have sockets read in the order in which their data came, for some milliseconds a turn."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._spent = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._renewing = False

    def begin(self, read: Callable[[], None]) -> bool:
        """Call ``read`` when it has its turn. Return whether that was at once."""
        self._renew_soon()
        if self._waiting or self._spent >= READING_A_TURN_S:
            self._waiting.append(read)
            return False
        self._read(read)
        return True

    def _read(self, read: Callable[[], None]) -> None:
        began = self._clock()
        try:
            read()
        finally:
            self._spent += self._clock() - began

    def _renew_soon(self) -> None:
        if not self._renewing:
            self._renewing = True
            asyncio.get_running_loop().call_soon(self._renew)  # sockets are polled first

    def _renew(self) -> None:
        self._renewing = False
        self._spent = 0.0
        try:
            while self._waiting and self._spent < READING_A_TURN_S:
                self._read(self._waiting.popleft())
        finally:  # also if one fails: the others are still in line
            if self._waiting or self._spent:
                self._renew_soon()
