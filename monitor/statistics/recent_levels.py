"""Count the service levels of the last half hour and hour. Pure; times are POSIX milliseconds.

A queue is drawn anew each second, and an hour may have thousands of visits. So visits are counted
by the minute in which they began, and each is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from monitor.statistics.totals import RecentVisit

HOUR_MS: Final = 3_600_000
_MINUTE_MS: Final = 60_000
_SPANS: Final = (30, 60)
"""Minutes."""


class RecentLevels:
    """Count the recent levels of queues."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], _MinuteTally] = {}

    def of(
        self,
        num: str,
        settled: Sequence[list[RecentVisit]],
        others: Iterable[RecentVisit],
        now: int,
        terms: tuple[int, int],
    ) -> list[tuple[int, int]]:
        """Return how many visits count and how many were answered in time, for both spans.

        The first is the half hour. A span ends now and begins with a full minute; only visits that
        began in it are in it.

        ``settled``: the visits that were counted for good, a list a day, the latest day first.
        Visits may be added to their ends and taken from their fronts: those count on while they are
        young. ``others``: those that may change yet. ``terms``: the seconds within which a caller
        is to be answered and below which who gives up is left out.
        """
        changing = _MinuteTally(terms)
        changing.add(others)
        tallies = [changing]
        for at, visits in enumerate(settled):
            known = self._known.get((num, at))
            if known is None or known.terms != terms:
                known = self._known[num, at] = _MinuteTally(terms)
            known.catch_up(visits)
            known.forget(now // _MINUTE_MS - _SPANS[-1])
            tallies.append(known)
        return [_sum(tallies, now // _MINUTE_MS - span) for span in _SPANS]


class _MinuteTally:
    """Hold how many visits count, and how many of them were answered in time.

    ``minutes``: both numbers by the minute, since 1970, in which the visits began.
    """

    __slots__ = ("_last", "minutes", "terms")

    def __init__(self, terms: tuple[int, int]) -> None:
        self.terms = terms
        self.minutes: dict[int, tuple[int, int]] = {}
        self._last: RecentVisit | None = None

    def catch_up(self, visits: list[RecentVisit]) -> None:
        """Look at the visits that were added to the list since the last time."""
        added: list[RecentVisit] = []
        for visit in reversed(visits):
            if visit is self._last:
                break
            added.append(visit)
        else:  # another list
            self.minutes.clear()
        self.add(added)
        self._last = visits[-1] if visits else None

    def add(self, visits: Iterable[RecentVisit]) -> None:
        """Count visits."""
        target, short = self.terms
        for visit in visits:
            if not _is_left_out(visit, target, short):
                minute = visit.since // _MINUTE_MS
                counted, in_time = self.minutes.get(minute, (0, 0))
                in_time += visit.end == "answered" and visit.wait <= target * 1000
                self.minutes[minute] = counted + 1, in_time

    def forget(self, before: int) -> None:
        """Forget the minutes before this one."""
        for minute in [minute for minute in self.minutes if minute < before]:
            del self.minutes[minute]


def _sum(tallies: Iterable[_MinuteTally], since: int) -> tuple[int, int]:
    """Return how many visits count that began in this minute or later, and how many in time."""
    counts = [
        both for tally in tallies for minute, both in tally.minutes.items() if minute >= since
    ]
    return sum(counted for counted, _ in counts), sum(in_time for _, in_time in counts)


def _is_left_out(visit: RecentVisit, target: int, short: int) -> bool:
    if visit.end == "abandoned":
        return visit.wait < short * 1000
    return visit.end == "waiting" and visit.wait <= target * 1000
