"""Compare the PBX's own figures of its queues with what callmon counts. Pure.

Two counts of the same calls are never equal at every moment: either side may hear of a caller
first. And the PBX began to count at another time. Rules:

- Compared are the callers in a queue now, and those offered, answered and abandoned. It is not
  known whether a PBX counts callers who are led elsewhere as abandoned: both is taken as right.
- The difference of both counts is watched over a *window*: at least ten seconds and two messages of
  the PBX. A window holds the least and the greatest difference. It is *quiet* if both are the same.
- Of the counts, only what was added since a common beginning is compared. The beginning is the
  first quiet window. If there is none for a minute, all differences seen so far count as possible
  beginnings, until there is one.
- A difference is told after two windows in a row without any moment of agreement. It is over after
  one window with such a moment.
- Counting begins again when one side begins again (midnight, a restart, a lost connection). Callers
  who wait across midnight belong to the day before here: nothing is compared before they have left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from monitor.shared.entities.statistics import QueueStats
from monitor.shared.entities.topics import Queue

Figure: TypeAlias = Literal["in_queue", "offered", "answered", "abandoned"]

FIGURES: Final[tuple[Figure, ...]] = get_args(Figure)
WINDOW_S: Final = 10.0
PUSHES: Final = 2
"""Messages of the PBX within a window, at least."""
_PATIENCE: Final = 6
"""Windows to wait for a quiet one."""
_STALE_S: Final = 300.0
"""Seconds without a message about a queue after which it is not compared any more."""

_WORDS: Final[Mapping[Figure, str]] = {
    "in_queue": "waiting callers",
    "offered": "callers who came in",
    "answered": "answered callers",
    "abandoned": "callers who gave up",
}


@dataclass(frozen=True, slots=True)
class FigureDifference:
    """Tell that the PBX's figure differs from ours, or that it does so no more.

    ``difference``: the PBX's figure minus ours; 0 if they agree again. ``since``: POSIX seconds.
    """

    queue: str
    figure: Figure
    difference: int
    since: float

    @property
    def sentence(self) -> str:
        """Return it in words, without the time."""
        way = "higher" if self.difference > 0 else "lower"
        return (
            f"Queue {self.queue}: the PBX's count of {_WORDS[self.figure]} is "
            f"{abs(self.difference)} {way} than callmon's."
        )


@dataclass(slots=True)
class _Measure:
    """Follow the difference of one pair of counts."""

    begins: tuple[float, float] | None = None
    """Least and greatest difference that means agreement; None before there is a beginning."""
    seen: tuple[float, float] | None = None
    """Least and greatest difference of the present window."""
    before: tuple[float, float] | None = None
    """The same of all windows while there is no beginning."""
    windows: int = 0
    apart: float = 0.0
    """The difference of the last window: 0 if it had a moment of agreement."""
    difference: float = 0.0
    """The difference that is told."""

    def sample(self, difference: float) -> None:
        self.seen = _joined(self.seen, (difference, difference))

    def close(self) -> None:
        """End a window."""
        seen, self.seen = self.seen, None
        if seen is None:
            return
        if self.begins is None:
            self._begin(seen)
            return
        least, greatest = self.begins
        apart = max(0.0, seen[0] - greatest) + min(0.0, seen[1] - least)
        if apart * self.apart > 0:
            self.difference = min(apart, self.apart, key=abs)
        elif not apart:
            self.difference = 0.0
            if seen[0] == seen[1]:
                self.begins = seen
        self.apart = apart

    def _begin(self, seen: tuple[float, float]) -> None:
        self.windows += 1
        self.before = _joined(self.before, seen)
        if seen[0] == seen[1]:
            self.begins = seen
        elif self.windows >= _PATIENCE:
            self.begins = self.before


def _absolute() -> dict[str, _Measure]:
    return {"in_queue": _Measure(begins=(0.0, 0.0))}


@dataclass(slots=True)
class _Compared:
    """Follow one queue."""

    theirs: Mapping[str, float] = field(default_factory=dict)
    ours: QueueStats | None = None
    told_at: float = 0.0
    began: float | None = None
    """Time at which the present window began."""
    pushes: int = 0
    measures: dict[str, _Measure] = field(default_factory=_absolute)
    told: dict[Figure, FigureDifference] = field(default_factory=dict)

    def begin_anew(self) -> None:
        self.measures = _absolute()
        self.began, self.pushes = None, 0


class FiguresComparison:
    """Compare all queues of one PBX. Times are POSIX seconds on one clock."""

    def __init__(self) -> None:
        self._queues: dict[str, _Compared] = {}
        self._news: list[FigureDifference] = []

    @property
    def differences(self) -> Mapping[tuple[str, Figure], int]:
        """Return every compared queue and figure → the PBX's figure minus ours; 0: they agree."""
        return {
            (queue, figure): compared.told[figure].difference if figure in compared.told else 0
            for queue, compared in self._queues.items()
            for figure in FIGURES
        }

    @property
    def lasting(self) -> list[FigureDifference]:
        """Return the differences that last now."""
        return [told for compared in self._queues.values() for told in compared.told.values()]

    def news(self) -> list[FigureDifference]:
        """Return the differences that have begun or ended since this was asked last.

        One that only became larger or smaller is not among them.
        """
        news, self._news = self._news, []
        return news

    def told(self, figures: Mapping[str, Mapping[str, float]], at: float) -> None:
        """Take in what the PBX tells of its queues."""
        for queue, theirs in figures.items():
            compared = self._queues.setdefault(queue, _Compared())
            if _less(theirs, compared.theirs):
                compared.begin_anew()
            compared.theirs, compared.told_at = theirs, at
            compared.pushes += 1

    def look(
        self,
        queues: Mapping[str, Queue],
        counted: Mapping[str, QueueStats],
        now: float,
        *,
        connected: bool,
    ) -> None:
        """Compare with what is counted here. Call it about every second."""
        for number, compared in list(self._queues.items()):
            queue, ours = queues.get(number), counted.get(number)
            stale = not 0.0 <= now - compared.told_at <= _STALE_S
            if queue is None or ours is None or stale:
                compared.begin_anew()
                self._tell(number, compared, now)
                del self._queues[number]
            elif not connected:
                compared.begin_anew()
            else:
                self._compare(queue, ours, compared, now)
            self._tell(number, compared, now)

    def _compare(self, queue: Queue, ours: QueueStats, compared: _Compared, now: float) -> None:
        if compared.ours is not None and (
            ours.date != compared.ours.date or ours.offered < compared.ours.offered
        ):
            compared.begin_anew()
        compared.ours = ours
        if len(queue.waiting) != ours.waiting:
            return  # a moment of change, or callers who came in yesterday
        if compared.began is None or now < compared.began:
            compared.began, compared.pushes = now, 0
        for name, difference in _differences(compared.theirs, ours):
            compared.measures.setdefault(name, _Measure()).sample(difference)
        if now - compared.began >= WINDOW_S and compared.pushes >= PUSHES:
            for measure in compared.measures.values():
                measure.close()
            compared.began, compared.pushes = now, 0

    def _tell(self, number: str, compared: _Compared, now: float) -> None:
        measures = compared.measures
        values: dict[Figure, float] = {
            "in_queue": measures["in_queue"].difference,
            "offered": _value(measures, "offered"),
            "answered": _value(measures, "answered"),
            "abandoned": min(
                _value(measures, "abandoned"), _value(measures, "abandoned_or_led"), key=abs
            ),
        }
        for figure, value in values.items():
            known, difference = compared.told.pop(figure, None), round(value)
            since = now if known is None else known.since
            found = FigureDifference(number, figure, difference, since)
            if difference:
                compared.told[figure] = found
            if (known is None) is bool(difference):  # it has begun or ended, not only changed
                self._news.append(found)


def _differences(theirs: Mapping[str, float], ours: QueueStats) -> Iterator[tuple[str, float]]:
    """Yield the PBX's figures minus ours, where the PBX tells them."""
    abandoned = ours.abandoned + ours.short_abandoned
    if "waiting" in theirs and "ringing" in theirs:
        yield "in_queue", theirs["waiting"] + theirs["ringing"] - ours.waiting
    if "offered" in theirs:
        yield "offered", theirs["offered"] - ours.offered
    if "answered" in theirs:
        yield "answered", theirs["answered"] - ours.answered
    if "abandoned" in theirs:
        yield "abandoned", theirs["abandoned"] - abandoned
        yield "abandoned_or_led", theirs["abandoned"] - abandoned - ours.diverted - ours.unknown


def _less(theirs: Mapping[str, float], before: Mapping[str, float]) -> bool:
    """Return whether a count went back, so that the PBX has begun again."""
    return any(
        name in theirs and theirs[name] < before.get(name, 0.0)
        for name in ("offered", "answered", "abandoned")
    )


def _joined(known: tuple[float, float] | None, more: tuple[float, float]) -> tuple[float, float]:
    return more if known is None else (min(known[0], more[0]), max(known[1], more[1]))


def _value(measures: Mapping[str, _Measure], name: str) -> float:
    measure = measures.get(name)
    return 0.0 if measure is None else measure.difference
