"""Bound the bytes that slow connections hold, all of them together.

A connection may be slow to send its request, or slow to take an answer. One of them holds little.
Thousands do not, and each of them may be a stranger. What an honest client holds is gone within
seconds. So when all hold too much, those that have held theirs longest are dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST_UNFINISHED_BYTES: Final = 32 * 1024 * 1024
"""Bytes in memory of all requests, handshakes and messages that are not whole yet, or wait for
their turn."""
MOST_UNTAKEN_BYTES: Final = 128 * 1024 * 1024
"""Bytes of answers and frames that clients have not taken yet, beside what the kernel holds. The
stream waits before it comes so far: see :data:`gateway.fair_share.MOST_UNSENT_BYTES_IN_ALL`."""


class HeldBytes:
    """Count the bytes that each connection holds, and drop the longest holders above ``most``."""

    def __init__(self, most: int) -> None:
        self.bytes = 0
        """Bytes that all connections hold."""
        self._most = most
        self._holders: OrderedDict[object, tuple[int, Callable[[], None]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._holders)

    def hold(self, holder: object, size: int, drop: Callable[[], None]) -> None:
        """Count ``size`` bytes for this connection, in place of what it held before.

        ``drop``: drops the connection. It may be called at once.
        """
        before, _ = self._holders.get(holder, (0, drop))
        self._holders[holder] = size, drop
        self.bytes += size - before
        while self.bytes > self._most:
            _, (dropped, drop_longest) = self._holders.popitem(last=False)
            self.bytes -= dropped
            drop_longest()

    def let_go(self, holder: object) -> None:
        """Count nothing for this connection any more."""
        size, _ = self._holders.pop(holder, (0, None))
        self.bytes -= size
