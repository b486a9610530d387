"""Sums of durations. Whole milliseconds, so that the order in which they are added does not matter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct, field

from monitor.shared.timestamps import moment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def unix_ms(instant: str) -> int:
    """The POSIX milliseconds of an instant."""
    return (moment(instant) - _EPOCH) // _MS


class DurationTally(Struct):
    """How many durations, their sum and the longest, in milliseconds."""

    count: int = 0
    total: int = 0
    longest: int = 0

    def add(self, duration: int) -> None:
        """One more; milliseconds, below 0 counts as 0."""
        duration = max(0, duration)
        self.count += 1
        self.total += duration
        self.longest = max(self.longest, duration)

    def copy(self) -> DurationTally:
        """The same, to be changed apart."""
        return DurationTally(self.count, self.total, self.longest)


class Spread(Struct):
    """Durations by their length, so that any threshold of whole seconds can be applied later."""

    buckets: dict[int, tuple[int, int]] = field(default_factory=dict)
    """How many, and their sum in milliseconds. ``2 n``: of exactly n seconds; ``2 n + 1``: longer, but not n + 1."""
    longest: int = 0
    """Milliseconds."""
    untimed: int = 0
    """How many there were of which nobody knows how long they took."""

    def add(self, duration: int | None) -> None:
        """One more; milliseconds, below 0 counts as 0. None: nobody knows how long."""
        if duration is None:
            self.untimed += 1
            return
        duration = max(0, duration)
        seconds, rest = divmod(duration, 1000)
        bucket = 2 * seconds + (rest > 0)
        count, total = self.buckets.get(bucket, (0, 0))
        self.buckets[bucket] = (count + 1, total + duration)
        self.longest = max(self.longest, duration)

    @property
    def count(self) -> int:
        """How many, those included of which nobody knows how long they took."""
        return self.untimed + sum(count for count, _ in self.buckets.values())

    def within(self, seconds: int) -> int:
        """How many took no longer than that."""
        return sum(count for bucket, (count, _) in self.buckets.items() if bucket <= 2 * seconds)

    def below(self, seconds: int) -> int:
        """How many took less than that."""
        return sum(count for bucket, (count, _) in self.buckets.items() if bucket < 2 * seconds)

    def lasting(self, seconds: int) -> DurationTally:
        """Those that took as long or longer."""
        chosen = [held for bucket, held in self.buckets.items() if bucket >= 2 * seconds]
        count, total = sum(count for count, _ in chosen), sum(total for _, total in chosen)
        return DurationTally(count, total, self.longest if count else 0)

    def copy(self) -> Spread:
        """The same, to be changed apart."""
        return Spread(dict(self.buckets), self.longest, self.untimed)
