"""Sum durations in whole milliseconds, so that the order of adding does not matter."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Self

from msgspec import Struct, field

from monitor.shared.timestamps import moment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def unix_ms(instant: str) -> int:
    """Return the POSIX milliseconds of an instant."""
    return (moment(instant) - _EPOCH) // _MS


class Summed(Struct):
    """Provide independent copies of sums. Every field is a number or has a method ``copy``."""

    def copy(self) -> Self:
        """Return an independent copy."""
        made = copy(self)
        for name in self.__struct_fields__:
            if not isinstance(value := getattr(made, name), int):
                setattr(made, name, value.copy())
        return made


class DurationTally(Summed):
    """Hold the number of durations, their sum and the longest, in milliseconds."""

    count: int = 0
    total: int = 0
    longest: int = 0

    def copy(self) -> Self:
        """Return an independent copy."""
        return type(self)(self.count, self.total, self.longest)

    def add(self, duration: int) -> None:
        """Add one duration in milliseconds; one below 0 counts as 0."""
        duration = max(0, duration)
        self.count += 1
        self.total += duration
        self.longest = max(self.longest, duration)


class Spread(Summed):
    """Hold durations by their length.

    So any threshold of whole seconds can be applied later.
    """

    buckets: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Class → number of durations and their sum in milliseconds. Class ``2 n``: exactly n seconds.
    Class ``2 n + 1``: more than n and less than n + 1 seconds."""
    longest: int = 0
    """Milliseconds."""
    untimed: int = 0
    """Number of cases whose duration nobody knows."""

    def copy(self) -> Self:
        """Return an independent copy."""
        return type(self)(self.buckets.copy(), self.longest, self.untimed)

    def add(self, duration: int | None) -> None:
        """Add one duration in milliseconds; one below 0 counts as 0.

        None: nobody knows how long it was.
        """
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
        """Return the number of all cases, including those whose duration nobody knows."""
        return self.untimed + sum(count for count, _ in self.buckets.values())

    def within(self, seconds: int) -> int:
        """Return the number of durations that were not longer than this."""
        return sum(count for bucket, (count, _) in self.buckets.items() if bucket <= 2 * seconds)

    def beyond(self, seconds: int) -> int:
        """Return the number of durations that were longer than this."""
        return sum(count for bucket, (count, _) in self.buckets.items() if bucket > 2 * seconds)

    def below(self, seconds: int) -> int:
        """Return the number of durations that were shorter than this."""
        return sum(count for bucket, (count, _) in self.buckets.items() if bucket < 2 * seconds)

    def lasting(self, seconds: int) -> DurationTally:
        """Return the durations that were at least this long."""
        chosen = [held for bucket, held in self.buckets.items() if bucket >= 2 * seconds]
        count, total = sum(count for count, _ in chosen), sum(total for _, total in chosen)
        return DurationTally(count, total, self.longest if count else 0)
