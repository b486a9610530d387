"""Count the day as somebody would who watched the building.

The definitions, in the words of :mod:`monitor.shared.entities.statistics`:

- A *queue* is offered a caller each time that the caller comes into it. The caller is answered when
  somebody picks up a phone while the queue has the call, abandons if the call ends in the queue,
  is diverted if the call leaves it otherwise. The wait lasts from coming in to that moment. The
  talk is the call's talk time from the answer to the end of the call or to its next queue.
- A *phone* is offered a call if it rings there, or if it comes to talk there without a ring: the
  call was handed over to it, it answered by itself, it took a parked caller. That is once, however
  often it rings. A supervisor who listens is offered nothing. A phone answers the call if it ever
  talks with somebody in it. Else its last ring tells: abandoned if the call ended with it,
  elsewhere if somebody else picked up at its end, missed if the call went on otherwise. The wait
  lasts from the first ring to the answer, or to the end of the last ring; without a ring there is
  none. The talk is all the time for which it talks with somebody in the call. The call comes from
  a queue if a queue had it when the phone rang or picked up.
- A consultation that was handed over while it rang was offered to nobody: it rings on in the first
  call.
- A *placed* call began at this phone. It is answered if the phone ever talks with somebody in it.
- The *PBX* counts each call once: by its lasting direction (from outside: inbound, also if it went
  out again) and by its outcome, with its talk time. Who talked and then gave up in a queue was
  answered.
- A *day* has what began in it, with all that came of it later: a caller belongs to the day in which
  the queue was entered, a phone's part to that in which it first rang, dialled or talked there, a
  call to that in which it began.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from tests.truth.calls import Story, Turn

KINDS: Final = {
    "FromExternal": "inbound",
    "Inbound": "inbound",
    "External": "inbound",
    "Outbound": "outbound",
    "FromInternal": "internal",
    "Internal": "internal",
}


@dataclass(slots=True)
class Lasted:
    """Times of one sort: how many, and their sum in seconds."""

    count: int = 0
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.total += seconds


@dataclass(slots=True)
class QueueDay:
    """A queue's day. Abandoned: all who gave up, however soon."""

    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    diverted: int = 0
    waits: Lasted = field(default_factory=Lasted)
    abandons: Lasted = field(default_factory=Lasted)
    talks: Lasted = field(default_factory=Lasted)


@dataclass(slots=True)
class PhoneDay:
    """A phone's day. Abandoned: all who gave up, however soon."""

    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    missed: int = 0
    elsewhere: int = 0
    queue_offered: int = 0
    queue_answered: int = 0
    placed: int = 0
    placed_answered: int = 0
    waits: Lasted = field(default_factory=Lasted)
    abandons: Lasted = field(default_factory=Lasted)
    talks: Lasted = field(default_factory=Lasted)
    placed_talks: Lasted = field(default_factory=Lasted)


@dataclass(slots=True)
class LineDay:
    """The PBX's day in one direction."""

    calls: int = 0
    answered: int = 0
    missed: int = 0
    abandoned: int = 0
    unanswered: int = 0
    handled: int = 0
    transferred: int = 0
    talks: Lasted = field(default_factory=Lasted)


@dataclass(slots=True)
class Day:
    """What a day of calls came to. ``since``, ``until``: POSIX seconds at which it began, ended."""

    since: float = -inf
    until: float = inf
    queues: dict[str, QueueDay] = field(default_factory=dict)
    phones: dict[str, PhoneDay] = field(default_factory=dict)
    kinds: dict[str, LineDay] = field(default_factory=dict)

    @property
    def edges(self) -> tuple[float, float]:
        """Begin and end of the day."""
        return self.since, self.until

    @classmethod
    def of(cls, stories: Iterable[Story], since: float = -inf, until: float = inf) -> Day:
        """Count calls that are over."""
        day = cls(since, until)
        for story in stories:
            day.add(story)
        return day

    def add(self, story: Story) -> None:
        """Count one call that is over."""
        for visit in story.visits:
            if not self.since <= visit.since < self.until:
                continue
            queue = self.queues.setdefault(visit.queue, QueueDay())
            queue.offered += 1
            until = visit.since if visit.until is None else visit.until
            match visit.how:
                case "answered":
                    queue.answered += 1
                    queue.waits.add(until - visit.since)
                    queue.talks.add(story.talk_between(until, visit.talked_until or until))
                case "abandoned":
                    queue.abandoned += 1
                    queue.abandons.add(until - visit.since)
                case _:
                    queue.diverted += 1
        for dn, turn in story.turns.items():
            if self.since <= turn.since < self.until:
                _add_turn(self.phones.setdefault(dn, PhoneDay()), turn)
        if not self.since <= story.started_at < self.until:
            return
        kind = self.kinds.setdefault(KINDS[story.lasting], LineDay())
        kind.calls += 1
        outcome = story.outcome if story.answered_at is None else "answered"
        setattr(kind, outcome, getattr(kind, outcome) + 1)
        if story.talk_time is not None:
            kind.talks.add(story.talk_time)


def _add_turn(phone: PhoneDay, turn: Turn) -> None:
    if turn.placed:
        phone.placed += 1
        if turn.answered_at is not None:
            phone.placed_answered += 1
            phone.placed_talks.add(turn.talked)
        return
    phone.offered += 1
    phone.queue_offered += turn.from_queue
    until = turn.since if turn.until is None else turn.until
    if turn.answered_at is not None:
        phone.answered += 1
        phone.queue_answered += turn.from_queue
        if turn.rings:
            phone.waits.add(until - turn.since)
        phone.talks.add(turn.talked)
        return
    setattr(phone, turn.how, getattr(phone, turn.how) + 1)
    if turn.how == "abandoned":
        phone.abandons.add(until - turn.since)
