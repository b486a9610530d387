"""Sum the accounts of calls. Pure; times are POSIX milliseconds.

The same functions add what a call counts for, whether it goes on, is just over, or is counted for
good. Only what began within the day is added.
"""

from __future__ import annotations

from msgspec import Struct, field

from monitor.statistics.call_account import CallAccount, Kind, talk_time
from monitor.statistics.day import Day
from monitor.statistics.durations import DurationTally, Spread, Summed
from monitor.statistics.extension_visits import ExtensionVisit, how
from monitor.statistics.queue_visits import End, QueueVisit

MOST_NUMBERS = 20_000
"""Queues, and extensions, that are counted in a day. A call may name some that the directory does
not have."""


MOST_RECENT = 10_000
"""Visits of a queue that are kept for its recent service level; of more, the first are left out if
it is counted anew: after a restart, and by another target."""


class RecentVisit(Struct, frozen=True, array_like=True, gc=False):
    """Hold what the recent service level needs of a visit to a queue."""

    since: int
    """POSIX milliseconds."""
    wait: int
    """Milliseconds, so far if the caller waits yet."""
    end: End


class QueueTotals(Summed):
    """Hold what is counted of a queue."""

    offered: int = 0
    diverted: int = 0
    unknown: int = 0
    waits: Spread = field(default_factory=Spread)
    abandons: Spread = field(default_factory=Spread)
    talks: DurationTally = field(default_factory=DurationTally)
    waiting: list[int] = field(default_factory=list)
    """Milliseconds that each present caller has waited so far; empty in what is counted for
    good."""
    diverted_waits: Spread = field(default_factory=Spread)
    """Waits of the ``diverted``; older checkpoints have their number alone."""
    callbacks: int = 0
    callbacks_failed: int = 0
    recent: list[RecentVisit] = field(default_factory=list)
    """Visits that began not much longer ago than the recent service level looks back."""

    def forget_recent(self, before: int) -> None:
        """Forget the first recent visits, up to one that did not begin before this.

        They stand in the order in which they ended: what it leaves goes with a later call.
        ``before``: POSIX milliseconds.
        """
        ages = (at for at, visit in enumerate(self.recent) if visit.since >= before)
        del self.recent[: next(ages, len(self.recent))]


class ExtensionTotals(Summed):
    """Hold what is counted of an extension."""

    offered: int = 0
    missed: int = 0
    elsewhere: int = 0
    unknown: int = 0
    waits: Spread = field(default_factory=Spread)
    abandons: Spread = field(default_factory=Spread)
    talks: DurationTally = field(default_factory=DurationTally)
    queue_offered: int = 0
    queue_answered: int = 0
    placed: int = 0
    placed_answered: int = 0
    placed_talks: DurationTally = field(default_factory=DurationTally)
    ringing: list[int] = field(default_factory=list)
    """Milliseconds that each ringing call has rung so far; empty in what is counted for good."""


class TrafficTotals(Summed):
    """Hold what is counted of the PBX's calls of one direction."""

    calls: int = 0
    answered: int = 0
    missed: int = 0
    abandoned: int = 0
    unanswered: int = 0
    unknown: int = 0
    talks: DurationTally = field(default_factory=DurationTally)
    handled: int = 0
    transferred: int = 0


class Totals(Struct):
    """Hold what is counted for good of a day's calls."""

    queues: dict[str, QueueTotals] = field(default_factory=dict)
    extensions: dict[str, ExtensionTotals] = field(default_factory=dict)
    traffic: dict[Kind, TrafficTotals] = field(default_factory=dict)

    def count(self, account: CallAccount, day: Day) -> None:
        """Count for good a call that is over."""
        for num in queues_of(account):
            if num in self.queues or len(self.queues) < MOST_NUMBERS:
                add_visits(self.queues.setdefault(num, QueueTotals()), num, account, day, 0)
        for turn in account.turns:
            if turn.num in self.extensions or len(self.extensions) < MOST_NUMBERS:
                tally = self.extensions.setdefault(turn.num, ExtensionTotals())
                add_turn(tally, turn.num, account, day, 0)
        add_call(self.traffic.setdefault(account.kind, TrafficTotals()), account, day)


def queues_of(account: CallAccount) -> set[str]:
    """Return the queues for which a call counts."""
    return {visit.queue for visit in account.visits} | ({account.callback_of} - {""})


def add_visits(tally: QueueTotals, num: str, account: CallAccount, day: Day, now: int) -> None:
    """Add a call's visits to one queue, or the queue's call to somebody.

    ``now``: POSIX milliseconds.
    """
    if num == account.callback_of and day.has(account.started):
        tally.callbacks += 1
        over = account.ended is not None and account.outcome != "unknown"
        tally.callbacks_failed += over and account.answered is None
    following: list[QueueVisit | None] = [*account.visits[1:], None]
    for visit, after in zip(account.visits, following, strict=False):
        if visit.queue == num and day.has(visit.since):
            tally.offered += 1
            _add_visit(tally, visit, now)
            if visit.end == "answered" and visit.until is not None:
                _add_talk(tally.talks, visit.until, account, None if after is None else after.since)


def add_turn(tally: ExtensionTotals, num: str, account: CallAccount, day: Day, now: int) -> None:
    """Add a call's visit to one extension. ``now``: POSIX milliseconds."""
    for turn in account.turns:
        if turn.num == num and day.has(turn.since):
            if turn.placed:
                _add_placed(tally, turn)
            else:
                _add_received(tally, turn, account, now)


def add_call(tally: TrafficTotals, account: CallAccount, day: Day) -> None:
    """Add a call to the totals of its direction."""
    if not day.has(account.started):
        return
    tally.calls += 1
    if account.answered is not None:
        tally.answered += 1
        _add_talk(tally.talks, account.answered, account, None)
        return
    match account.outcome:
        case "missed":
            tally.missed += 1
        case "abandoned":
            tally.abandoned += 1
        case "unanswered":
            tally.unanswered += 1
        case "handled":
            tally.handled += 1
        case "transferred":
            tally.transferred += 1
        case "unknown" | "answered":
            tally.unknown += 1
        case None:
            pass


def _add_visit(tally: QueueTotals, visit: QueueVisit, now: int) -> None:
    wait = now - visit.since if visit.end == "waiting" else visit.wait
    if visit.end != "unknown" and wait is not None:
        tally.recent.append(RecentVisit(visit.since, max(0, wait), visit.end))
        del tally.recent[:-MOST_RECENT]
    match visit.end:
        case "waiting":
            tally.waiting.append(now - visit.since)
        case "answered":
            tally.waits.add(visit.wait)
        case "abandoned":
            tally.abandons.add(visit.wait)
        case "diverted":
            tally.diverted += 1
            tally.diverted_waits.add(visit.wait)
        case "unknown":
            tally.unknown += 1


def _add_received(
    tally: ExtensionTotals, turn: ExtensionVisit, account: CallAccount, now: int
) -> None:
    answers = [other for other in account.turns if other.answered is not None]
    moments = tuple(other.answered for other in answers if other.answered is not None)
    heard = all(other.by_event for other in answers if not other.placed)
    if account.answered is not None:
        moments = (*moments, account.answered)
    tally.offered += 1
    tally.queue_offered += turn.queue != ""
    match how(turn, moments, account.ended, now, known=account.seen, heard=heard):
        case "answered":
            tally.waits.add(turn.wait)
            tally.queue_answered += turn.queue != ""
            if turn.talking is None and turn.talked is not None:
                tally.talks.add(turn.talked)
        case "abandoned":
            tally.abandons.add(turn.wait)
        case "missed":
            tally.missed += 1
        case "elsewhere":
            tally.elsewhere += 1
        case "unknown":
            tally.unknown += 1
        case "ringing":
            tally.ringing.append(now - turn.since)


def _add_placed(tally: ExtensionTotals, turn: ExtensionVisit) -> None:
    tally.placed += 1
    if turn.answered is not None:
        tally.placed_answered += 1
        if turn.talking is None and turn.talked is not None:
            tally.placed_talks.add(turn.talked)


def _add_talk(times: DurationTally, since: int, account: CallAccount, until: int | None) -> None:
    """Add the duration of a talk: to ``until``, else to the call's end.

    Adds nothing if the talk goes on or nobody saw its end.
    """
    talked = talk_time(account, since, until)
    if talked is not None:
        times.add(talked)
