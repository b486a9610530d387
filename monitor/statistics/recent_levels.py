"""Count the service levels of the last half hour and hour. Pure; times are POSIX milliseconds.

A queue is drawn anew each second, and an hour may have thousands of visits. So each visit is looked
at once a minute: in between, only those that were added since are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from monitor.statistics.totals import MOST_RECENT, RecentVisit

HOUR_MS: Final = 3_600_000
_SPANS_MS: Final = (HOUR_MS // 2, HOUR_MS)


class RecentLevels:
    """Count the recent levels of queues."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], _SpanTally] = {}

    def of(
        self,
        num: str,
        settled: Sequence[list[RecentVisit]],
        others: Iterable[RecentVisit],
        terms: tuple[int, int, int],
    ) -> list[tuple[int, int]]:
        """Return how many visits count and how many were answered in time, for both spans.

        The first is the half hour, and only visits that began in a span are in it.

        ``settled``: the visits that were counted for good, a list a day, the latest day first. They
        may grow between two calls; anything else takes a new list. ``others``: those that may
        change yet. ``terms``: the present minute, and the seconds within which a caller is to be
        answered and below which who gives up is left out.
        """
        whole = _SpanTally([], terms)
        whole.add(others)
        for at, visits in enumerate(settled):
            known = self._known.get((num, at))
            if known is None or not known.goes_on(visits, terms):
                known = self._known[num, at] = _SpanTally(visits, terms)
            known.catch_up()
            whole.join(known)
        return list(zip(whole.counted, whole.answered, strict=True))


class _SpanTally:
    """Hold how many visits of a list count, and how many of them were answered in time.

    For each of the spans. ``upto``: as many visits of the list were looked at.
    """

    __slots__ = ("_terms", "_visits", "answered", "counted", "upto")

    def __init__(self, visits: list[RecentVisit], terms: tuple[int, int, int]) -> None:
        self._visits = visits
        self._terms = terms
        self.upto = 0
        self.counted = [0 for _ in _SPANS_MS]
        self.answered = [0 for _ in _SPANS_MS]

    def goes_on(self, visits: list[RecentVisit], terms: tuple[int, int, int]) -> bool:
        """Return whether it holds for this list; a full list loses its first visits."""
        return visits is self._visits and terms == self._terms and len(visits) < MOST_RECENT

    def catch_up(self) -> None:
        """Look at the visits that were added to the list."""
        self.add(self._visits[self.upto :])
        self.upto = len(self._visits)

    def add(self, visits: Iterable[RecentVisit]) -> None:
        """Count visits."""
        minute, target, short = self._terms
        for visit in visits:
            if visit.since < minute - HOUR_MS or _is_left_out(visit, target, short):
                continue
            in_time = visit.end == "answered" and visit.wait <= target * 1000
            for at, span in enumerate(_SPANS_MS):
                if visit.since >= minute - span:
                    self.counted[at] += 1
                    self.answered[at] += in_time

    def join(self, other: _SpanTally) -> None:
        """Add what another one has counted."""
        for at, _ in enumerate(_SPANS_MS):
            self.counted[at] += other.counted[at]
            self.answered[at] += other.answered[at]


def _is_left_out(visit: RecentVisit, target: int, short: int) -> bool:
    if visit.end == "abandoned":
        return visit.wait < short * 1000
    return visit.end == "waiting" and visit.wait <= target * 1000
