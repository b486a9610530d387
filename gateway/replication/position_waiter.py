"""Wait until a PBX's replicas have reached a position, so that a caller can read its own write."""

from __future__ import annotations

import asyncio

from gateway.replication.replica import Replica
from monitor.shared.changes import Position


class PositionWaiter:
    """Wake those that wait for a position of the two replicas.

    :meth:`moved` must be called whenever a replica changed.
    """

    def __init__(self, live: Replica, book: Replica) -> None:
        self._live = live
        self._book = book
        self._waiting: dict[asyncio.Future[None], tuple[Position | None, Position | None]] = {}

    @property
    def waiting(self) -> int:
        """Return how many callers wait."""
        return len(self._waiting)

    def reached(self, live: Position | None, book: Position | None) -> bool:
        """Return whether each replica is at its position or further on.

        A newer epoch is further on. None is reached anywhere.
        """
        return _reached(self._live, live) and _reached(self._book, book)

    @property
    def monitor_heard(self) -> bool:
        """Return whether the monitor's heartbeat came recently."""
        return self._live.position is not None and self._live.stale_since is None

    def moved(self) -> None:
        """Wake the callers whose positions are reached; a replica has moved."""
        for future, (live, book) in self._waiting.items():
            if not future.done() and self.reached(live, book):
                future.set_result(None)

    async def wait(self, live: Position | None, book: Position | None, seconds: float) -> bool:
        """Wait until the positions are reached; return False if they were not in time.

        ``seconds``: the longest wait.
        """
        if self.reached(live, book):
            return True
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiting] = (live, book)
        try:
            async with asyncio.timeout(seconds):
                await waiting
        except TimeoutError:
            return False
        finally:
            del self._waiting[waiting]
        return True

    def space_of(self, position: Position, otherwise: str) -> str:
        """Return the space of a position by its epoch: ``live`` or ``book``.

        A position does not say its space. ``otherwise``: what to return if it is neither.
        """
        for space, replica in (("live", self._live), ("book", self._book)):
            if replica.position is not None and replica.position.epoch == position.epoch:
                return space
        return otherwise


def _reached(replica: Replica, position: Position | None) -> bool:
    return position is None or (replica.position is not None and replica.position >= position)
