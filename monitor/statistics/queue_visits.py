"""Follow a call's visits to queues. Pure; times are POSIX milliseconds.

A visit begins when the caller comes into a queue. It ends *answered* when somebody begins to talk
with the caller, *diverted* when the caller is led elsewhere, *abandoned* when the call ends. It
ends *unknown* when its end was not seen. That includes a caller who has left the queue during a
time in which nobody watched, and who talks to nobody: there may have been a talk in between.

What the sources tell one after the other may be one event. If a caller is back in the same queue,
talks or is gone within two seconds of leaving it, the caller does not count as diverted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from monitor.shared.entities import topics
from monitor.statistics.durations import unix_ms

End: TypeAlias = Literal["waiting", "answered", "abandoned", "diverted", "unknown"]

MOST_VISITS = 100
"""Visits of one call that are counted: a call that goes round and round counts no more."""
_LEFT = frozenset({"diverted", "unknown"})
"""Ends of a visit whose caller has left the queue and was not seen to be answered."""
SOON_MS = 2_000
"""Milliseconds within which one event may be told in parts."""


class QueueVisit(Struct, frozen=True):
    """Hold one visit.

    ``until``: when the wait ended, by the answer or otherwise; None while it goes on.
    """

    queue: str
    since: int
    until: int | None = None
    end: End = "waiting"
    timed: bool = True
    """True if ``since`` was seen; otherwise it is only known to be before ``until``."""

    @property
    def wait(self) -> int | None:
        """Return how long the wait was; None if it goes on or nobody knows."""
        return self.until - self.since if self.timed and self.until is not None else None


Visits: TypeAlias = tuple[QueueVisit, ...]


def observed(
    visits: Visits, call: topics.Call, talk: int | None, at: int, *, unwatched: bool = False
) -> Visits:
    """Return the visits after the call has changed to this.

    ``talk``: when talk began, if it has just begun. ``at``: now. ``unwatched``: nobody watched for
    a time before.
    """
    if visits and visits[-1].end in _LEFT and talk is not None:
        visits = _answered_after_all(visits, talk)
    left: End = "unknown" if unwatched else "diverted"
    if call.queue:
        since = at if call.queued_at is None else unix_ms(call.queued_at)
        return _waits(visits, call.queue, since, talk, left)
    return _left(visits, talk, at, left)


def concluded(
    visits: Visits,
    word: topics.EndedCall,
    answered: int | None,
    ended: int,
    *,
    seen: bool,
    news: bool = False,
) -> Visits:
    """Return the visits of a call that ended as ``word`` tells.

    ``seen``: whether it was watched to its end. ``news``: whether ``word`` is the first to tell of
    an answer. Then it ended the wait, also if a clock that was set back puts it before the wait.
    """
    if not visits:
        return of_end_alone(word, unix_ms(word.started_at))
    last = visits[-1]
    if word.outcome == "transferred" and last.end in ("waiting", "abandoned"):
        return visits[:-1]  # the first call's caller waits on in this place
    if last.end == "waiting":
        if answered is not None and (news or answered >= last.since):
            return _with_last(visits, until=max(answered, last.since), end="answered")
        known = seen and word.outcome != "unknown"
        return _with_last(
            visits, until=max(ended, last.since), end="abandoned" if known else "unknown"
        )
    if (
        last.end == "diverted"
        and last.until is not None
        and ended - last.until <= SOON_MS
        and _gave_up(word, last.queue)
    ):
        return _with_last(visits, end="abandoned")
    return visits


def lost(visits: Visits, at: int) -> Visits:
    """Return the visits of a call that was found to be over. ``at``: when it was found."""
    if visits and visits[-1].end == "waiting":
        return _with_last(visits, until=max(at, visits[-1].since), end="unknown")
    return visits


def passed(call: topics.Call, started: int) -> Visits:
    """Return the visits that were over when the call was first seen.

    ``started``: when the call began. A call without legs has none: it is being ordered, and a queue
    that is in it is to call.
    """
    if not call.legs:
        return ()
    caller = "" if call.owner is None else call.owner.dn_num
    visits = _passed([queue for queue in call.queues if queue != call.queue], caller, started)
    if visits and call.answered_at is not None and not call.queue:
        return _with_last(visits, until=max(unix_ms(call.answered_at), started), end="answered")
    return visits


def of_end_alone(word: topics.EndedCall, started: int) -> Visits:
    """Return the visits of a call of which only the end is known."""
    end: End = "diverted"
    if word.outcome in ("answered", "abandoned", "unknown"):
        end = word.outcome
    others = _passed([queue for queue in word.queues if queue != word.queue], word.caller, started)
    if not word.queue:
        return others
    until = unix_ms(word.answered_at or word.ended_at)
    return (*others, QueueVisit(word.queue, started, max(until, started), end, False))


def moved(visits: Visits, before: int, now: int) -> Visits:
    """Move the answer from ``before`` to ``now`` in the visits that have it."""
    return tuple(
        replace(visit, until=max(now, visit.since))
        if visit.end == "answered" and visit.until == before
        else visit
        for visit in visits
    )


def _passed(queues: Sequence[str], caller: str, started: int) -> Visits:
    """Return visits of which nothing is known but that they took place.

    A queue that calls somebody back is itself the caller and has visited no queue.
    """
    return tuple(
        QueueVisit(queue, started, started, "diverted", False)
        for queue in queues[:MOST_VISITS]
        if queue != caller
    )


def _waits(visits: Visits, queue: str, since: int, talk: int | None, left: End) -> Visits:
    last = visits[-1] if visits else None
    if last is not None and last.queue == queue and last.end == "waiting":
        return visits
    if any(visit.queue == queue and visit.since == since for visit in visits):
        return visits
    if last is not None and last.queue == queue and last.end in _LEFT and _soon(last, since):
        return _with_last(visits, until=None, end="waiting")
    if len(visits) >= MOST_VISITS:
        return _left(visits, talk, since, left)
    return (*_left(visits, talk, since, left), QueueVisit(queue, since))


def _left(visits: Visits, talk: int | None, at: int, end: End) -> Visits:
    if not visits or visits[-1].end != "waiting":
        return visits
    since = visits[-1].since
    if talk is not None:
        return _with_last(visits, until=max(talk, since), end="answered")
    return _with_last(visits, until=max(at, since), end=end)


def _answered_after_all(visits: Visits, talk: int) -> Visits:
    return (
        _with_last(visits, until=max(talk, visits[-1].since), end="answered")
        if _soon(visits[-1], talk)
        else visits
    )


def _soon(visit: QueueVisit, at: int) -> bool:
    return visit.until is not None and at - visit.until <= SOON_MS


def _gave_up(word: topics.EndedCall, queue: str) -> bool:
    return word.outcome == "abandoned" and word.queue == queue


def _with_last(visits: Visits, **changes: object) -> Visits:
    return (*visits[:-1], replace(visits[-1], **changes))
