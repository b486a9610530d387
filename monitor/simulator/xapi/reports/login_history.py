"""Keep when agents were logged in to their queues.

An agent is logged in to a queue while the user is logged in globally and to that queue. The history
begins with the PBX.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from monitor.simulator.pbx_data.directory import Directory

SESSIONS_KEPT: Final = 100_000
"""Number of past sessions that are kept; the oldest are forgotten first."""


class LoginHistory:
    """Follow the directory and keep when which agent was logged in to which queue."""

    def __init__(self, directory: Directory, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        self._since: dict[tuple[str, str], float] = {}
        self._past: deque[tuple[tuple[str, str], float, float]] = deque(maxlen=SESSIONS_KEPT)
        directory.on_change(lambda _: self._look())
        directory.logins.on_change(self._look)
        self._look()

    def sessions(
        self, queue: str, agent: str, start: float, end: float
    ) -> Iterator[tuple[float, float]]:
        """Yield first and last moment of each session, cut at the period, oldest first."""
        own = [(began, ended) for key, began, ended in self._past if key == (queue, agent)]
        if (queue, agent) in self._since:
            own.append((self._since[queue, agent], self._clock()))
        for began, ended in own:
            if began < end and ended > start:
                yield max(began, start), min(ended, end)

    def seconds(self, queue: str, agent: str, start: float, end: float) -> float:
        """Return the seconds for which an agent was logged in to a queue in a period."""
        return sum(ended - began for began, ended in self.sessions(queue, agent, start, end))

    def _look(self) -> None:
        """Compare with what was known and note what began and what ended."""
        now = self._clock()
        present = set(self._present())
        for key in [key for key in self._since if key not in present]:
            self._past.append((key, self._since.pop(key), now))
        for key in present:
            self._since.setdefault(key, now)

    def _present(self) -> Iterator[tuple[str, str]]:
        for queue in self._directory.queue_numbers():
            for agent in self._directory.agents(queue):
                user = self._directory.entity(agent)
                there = user is not None and user["QueueStatus"] == "LoggedIn"
                if there and self._directory.logins.logged_in(queue, agent):
                    yield queue, agent
