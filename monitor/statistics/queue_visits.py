"""A call's visits to queues. Pure; times are POSIX milliseconds.

A visit begins when the caller comes into a queue. It ends *answered* when somebody begins to talk with him, *diverted*
when he is led elsewhere, *abandoned* when the call ends, *unknown* when it ended unseen: also when he is found to have
left the queue after a time in which nobody watched, and talks to nobody, as he may have talked in between. What the
sources tell one after the other may be one event: who is back in the same queue, talks or is gone within two seconds of
having left it has not been diverted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from monitor.shared.entities import topics as e
from monitor.statistics.durations import unix_ms

End: TypeAlias = Literal["waiting", "answered", "abandoned", "diverted", "unknown"]

_LEFT = frozenset({"diverted", "unknown"})
"""Of a caller who has left a queue, nobody having been seen to answer."""
SOON = 2_000
"""Milliseconds within which one event may be told in parts."""


class QueueVisit(Struct, frozen=True):
    """One visit. ``until``: when the wait ended, the answer included; None while it goes on."""

    queue: str
    since: int
    until: int | None = None
    end: End = "waiting"
    timed: bool = True
    """Whether ``since`` was seen; else it is only before ``until``."""

    @property
    def wait(self) -> int | None:
        """How long the wait was; None if it goes on or nobody knows."""
        return self.until - self.since if self.timed and self.until is not None else None


Visits: TypeAlias = tuple[QueueVisit, ...]


def observed(visits: Visits, call: e.Call, talk: int | None, at: int, *, unwatched: bool = False) -> Visits:
    """The visits after the call has come to look like this. ``talk``: when talk began, if it now did; ``at``: now.

    ``unwatched``: nobody watched for a time before.
    """
    if visits and visits[-1].end in _LEFT and talk is not None:
        visits = _answered_after_all(visits, talk)
    left: End = "unknown" if unwatched else "diverted"
    if call.queue:
        since = at if call.queued_at is None else unix_ms(call.queued_at)
        return _waits(visits, call.queue, since, talk, left)
    return _left(visits, talk, at, left)


def concluded(visits: Visits, word: e.EndedCall, answered: int | None, ended: int, *, seen: bool) -> Visits:
    """The visits of a call that ended as told."""
    if not visits:
        return of_end_alone(word, unix_ms(word.started_at))
    last = visits[-1]
    if last.end == "waiting":
        if answered is not None and answered >= last.since:
            return _with_last(visits, until=answered, end="answered")
        known = seen and word.outcome != "unknown"
        return _with_last(visits, until=max(ended, last.since), end="abandoned" if known else "unknown")
    if last.end == "diverted" and last.until is not None and ended - last.until <= SOON and _gave_up(word, last.queue):
        return _with_last(visits, end="abandoned")
    return visits


def lost(visits: Visits, at: int) -> Visits:
    """The visits of a call that was found to be over."""
    if visits and visits[-1].end == "waiting":
        return _with_last(visits, until=max(at, visits[-1].since), end="unknown")
    return visits


def passed(call: e.Call, started: int) -> Visits:
    """The visits that were over when the call was first seen. ``started``: when the call began."""
    caller = "" if call.owner is None else call.owner.dn_num
    visits = _passed([queue for queue in call.queues if queue != call.queue], caller, started)
    if visits and call.answered_at is not None and not call.queue:
        return _with_last(visits, until=max(unix_ms(call.answered_at), started), end="answered")
    return visits


def of_end_alone(word: e.EndedCall, started: int) -> Visits:
    """The visits of a call of which only the end is known."""
    end: End = "diverted"
    if word.outcome in ("answered", "abandoned", "unknown"):
        end = word.outcome
    others = _passed([queue for queue in word.queues if queue != word.queue], word.caller, started)
    if not word.queue:
        return others
    until = unix_ms(word.answered_at or word.ended_at)
    return (*others, QueueVisit(word.queue, started, max(until, started), end, False))


def moved(visits: Visits, before: int, now: int) -> Visits:
    """With the answer at another moment than was thought."""
    return tuple(
        replace(visit, until=max(now, visit.since)) if visit.end == "answered" and visit.until == before else visit
        for visit in visits
    )


def _passed(queues: Sequence[str], caller: str, started: int) -> Visits:
    """Visits of which nothing is known but that there were; a queue that calls somebody back has been in none."""
    return tuple(QueueVisit(queue, started, started, "diverted", False) for queue in queues if queue != caller)


def _waits(visits: Visits, queue: str, since: int, talk: int | None, left: End) -> Visits:
    last = visits[-1] if visits else None
    if last is not None and last.queue == queue and last.end == "waiting":
        return visits
    if any(visit.queue == queue and visit.since == since for visit in visits):
        return visits
    if last is not None and last.queue == queue and last.end in _LEFT and _soon(last, since):
        return _with_last(visits, until=None, end="waiting")
    return (*_left(visits, talk, since, left), QueueVisit(queue, since))


def _left(visits: Visits, talk: int | None, at: int, end: End) -> Visits:
    if not visits or visits[-1].end != "waiting":
        return visits
    since = visits[-1].since
    if talk is not None:
        return _with_last(visits, until=max(talk, since), end="answered")
    return _with_last(visits, until=max(at, since), end=end)


def _answered_after_all(visits: Visits, talk: int) -> Visits:
    return _with_last(visits, until=max(talk, visits[-1].since), end="answered") if _soon(visits[-1], talk) else visits


def _soon(visit: QueueVisit, at: int) -> bool:
    return visit.until is not None and at - visit.until <= SOON


def _gave_up(word: e.EndedCall, queue: str) -> bool:
    return word.outcome == "abandoned" and word.queue == queue


def _with_last(visits: Visits, **changes: object) -> Visits:
    return (*visits[:-1], replace(visits[-1], **changes))
