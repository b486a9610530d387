"""Follow a call's visits to extensions. Pure; times are POSIX milliseconds.

There is one visit for each extension, however often the call rings or talks there. A visit is
*placed* if the call began there; otherwise it begins with the first ring. An extension that never
rang has a visit too once it is connected: an attended transfer handed the talk to it, it took a
parked caller, or its phone answered by itself. 3CX's reports count it as one that answered. It is
answered, and not timed, as there was no ring. In a call that an attended transfer gave another id,
whoever comes with it comes at that moment. A supervisor who listens in, and a phone that plays a
page, have no visit.

A visit is answered when the extension first talks: when two people of the call are connected and
the extension is one of them. For a visit without talk, its last ring tells how it went:
``elsewhere`` if somebody else took the call while it rang, ``abandoned`` if the call ended with the
ring, ``missed`` if the call went on without it. What events tell within a quarter of a second is
one moment. Where no event told of the ring's end, two seconds are, as sources are read in turn; so
they are for an answer to a queue's call of which no event told, as nothing tells its time.

An extension talks in one call at a time. If it is connected in several, 3CX does not tell which of
them is on hold; the talk counts for the one that it took last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import nsmallest
from operator import itemgetter
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from monitor.shared.entities import topics
from monitor.shared.entities.calls import is_calling_program
from monitor.statistics.durations import unix_ms
from monitor.statistics.queue_visits import SOON_MS

End: TypeAlias = Literal["answered", "abandoned", "missed", "elsewhere", "unknown", "ringing"]

MOST_TURNS = 500
"""Extensions of one call that are counted."""
_PEOPLE = frozenset({"extension", "externalline", "conference"})
_APART = frozenset({"Dialing", "Ringing"})
"""Statuses of a leg that does not talk to anybody yet."""
_SAME_MS = 250
"""Milliseconds within which events may tell of one moment."""
_FROM_INSIDE = frozenset({"FromInternal", "Internal", "Outbound"})


class ExtensionVisit(Struct, frozen=True):
    """Hold the part that one extension has in a call."""

    num: str
    since: int
    placed: bool
    queue: str = ""
    """The queue from which it rang."""
    timed: bool = True
    """True if ``since`` was seen; otherwise it is only known to be before the answer."""
    ceased: int | None = None
    """Time at which it last stopped ringing; None while it rings or if it never rang."""
    answered: int | None = None
    talking: int | None = None
    """Time since which it talks now; None if it does not."""
    talked: int | None = 0
    """Milliseconds of talk, without the talk that goes on; None if nobody knows."""
    rang: int | None = None
    """Time at which its last ring began; None if it rang once: then it is ``since``.

    Of a placed visit, None unless its own phone rang first, as for an ordered call."""
    on_hold: bool = False
    """True while the extension is connected here and talks in a call that it took later."""
    by_event: bool = False
    """True if an event tells when its last ring ends: its own participant is known."""

    @property
    def wait(self) -> int | None:
        """Return how long it rang before the answer, or until it stopped; None if nobody knows."""
        until = self.ceased if self.answered is None else self.answered
        return until - self.since if self.timed and until is not None else None


Turns: TypeAlias = tuple[ExtensionVisit, ...]


def connected_people(call: topics.Call) -> list[topics.Leg]:
    """Return the legs at which a person is connected who can talk: not one who only listens.

    The program that began the call counts as one.
    """
    return [
        leg
        for leg in call.legs
        if (leg.dn_type in _PEOPLE or is_calling_program(call, leg))
        and leg.status not in _APART
        and not leg.listening
    ]


def observed(
    turns: Turns,
    call: topics.Call,
    answered: int | None,
    at: int,
) -> Turns:
    """Return the visits after the call has changed to this.

    ``answered``: when the call was answered, None if it was not. ``at``: now.
    """
    listeners = {leg.dn_num for leg in call.legs if leg.listening}
    if answered is None or call.answered_at is None:  # a page: what it was taken for was not a talk
        turns = tuple(turn for turn in turns if turn.num not in listeners)
    legs = {
        leg.dn_num: leg for leg in call.legs if leg.dn_type == "extension" and not leg.listening
    }
    turns = _begun_by_owner(turns, call, legs)
    talkers = {leg.dn_num: _since(leg, at) for leg in connected_people(call)}
    if len(talkers) < 2 or answered is None:
        talkers = {}
    earliest = nsmallest(2, talkers.items(), key=itemgetter(1))
    first = answered if all(turn.answered is None for turn in turns) else None
    held = {turn.num: turn for turn in turns}
    for num, leg in legs.items():
        if num not in held and len(held) >= MOST_TURNS:
            continue
        turn = held.get(num) or _opened(leg, call, at, turns)
        if num in talkers:
            held[num] = _talks(turn, _talk_since(turn, talkers[num], earliest, first))
        else:
            held[num] = _silent(turn, call, leg if leg.status == "Ringing" else None, at)
    return tuple(
        turn if num in legs else _silent(turn, call, None, at) for num, turn in held.items()
    )


def without_answer(turns: Turns) -> Turns:
    """Return the visits of a call whose answer was taken back: nobody has talked in it."""
    return tuple(
        replace(turn, answered=None, talking=None, talked=0, on_hold=False) for turn in turns
    )


def talk_began(before: Turns, now: Turns) -> int | None:
    """Return the earliest start of a talk that ``before`` does not have; None if there is none."""
    were = {turn.num for turn in before if turn.talking is not None}
    return min(
        (turn.talking for turn in now if turn.talking is not None and turn.num not in were),
        default=None,
    )


def came_through(turns: Turns, before: Turns, queue: str) -> Turns:
    """Set the queue of the visits that have just begun to talk: they took its caller."""
    spoke = {turn.num for turn in before if turn.answered is not None}
    return tuple(
        replace(turn, queue=queue)
        if turn.talking is not None and turn.num not in spoke and not turn.placed
        else turn
        for turn in turns
    )


def concluded(
    turns: Turns, word: topics.EndedCall, answered: int | None, ended: int, *, seen: bool
) -> Turns:
    """Return the visits of a call that ended as ``word`` tells.

    ``answered``: when the call was answered, None if it was not. ``ended``: when it ended.
    ``seen``: whether it was watched to its end.
    """
    if not turns:
        return of_end_alone(word, unix_ms(word.started_at))
    if answered is not None and all(turn.answered is None for turn in turns):
        taker = _taker(turns, word)
        turns = tuple(
            _talks(turn, max(answered, turn.since)) if turn.placed or turn.num == taker else turn
            for turn in turns
        )
    if word.outcome == "transferred":  # its phones ring on in the call for which it was made
        turns = tuple(turn for turn in turns if turn.placed)
    # Who was connected at the moment of the end, without a ring, was not in this call, but in the
    # one that took its id. A phone that began to ring just then rang.
    turns = tuple(turn for turn in turns if turn.placed or turn.timed or turn.since != ended)
    return tuple(_closed(turn, ended, seen=seen) for turn in turns)


def _taker(turns: Turns, word: topics.EndedCall) -> str:
    """Return the extension that took a call; empty if nobody knows.

    What an earlier monitor stored in the moment of the end may name nobody. The only phone that
    rang took it then.
    """
    rang = {turn.num for turn in turns if not turn.placed}
    return rang.pop() if len(rang) == 1 and not (word.callee or word.extensions) else word.callee


def lost(turns: Turns, at: int) -> Turns:
    """Return the visits of a call that was found to be over. ``at``: when it was found."""
    return tuple(_closed(turn, at, seen=False) for turn in turns)


def of_end_alone(word: topics.EndedCall, started: int) -> Turns:
    """Return the visits of a call of which only the end is known.

    One is at the extension that placed it. One is at the extension that took it, or that was
    reached last.
    """
    ended = unix_ms(word.ended_at)
    answered = None if word.answered_at is None else max(unix_ms(word.answered_at), started)
    talked = 0 if answered is None else ended - answered if word.outcome != "unknown" else None
    turns: list[ExtensionVisit] = []
    if word.direction in _FROM_INSIDE and word.caller in word.extensions:
        turns.append(
            ExtensionVisit(word.caller, started, True, "", False, None, answered, None, talked)
        )
    if (
        word.callee in word.extensions
        and word.callee != word.caller
        and word.outcome != "transferred"
    ):
        ceased = ended if answered is None else answered
        turns.append(
            ExtensionVisit(
                word.callee, started, False, word.queue, False, ceased, answered, None, talked
            )
        )
    return tuple(turns)


def talking(turns: Turns) -> frozenset[str]:
    """Return the extensions that talk now."""
    return frozenset(turn.num for turn in turns if turn.talking is not None)


def put_on_hold(turns: Turns, num: str, at: int) -> Turns:
    """Return the visits after this extension has turned to another call, if it talks here."""
    return tuple(
        replace(_stopped(turn, at), on_hold=True)
        if turn.num == num and turn.talking is not None
        else turn
        for turn in turns
    )


def resumed(turns: Turns, num: str, at: int) -> Turns:
    """Return the visits after this extension has come back, if its talk here was on hold."""
    return tuple(
        replace(turn, on_hold=False, talking=at) if turn.num == num and turn.on_hold else turn
        for turn in turns
    )


def moved(turns: Turns, before: int, now: int) -> Turns:
    """Move the answer from ``before`` to ``now`` in the visits that have it."""
    return tuple(
        replace(
            turn,
            answered=max(now, turn.since),
            talking=max(now, turn.since) if turn.talking == before else turn.talking,
            ceased=max(now, turn.since) if turn.ceased == before else turn.ceased,
        )
        if turn.answered == before
        else turn
        for turn in turns
    )


def how(
    turn: ExtensionVisit,
    moments: tuple[int, ...],
    ended: int | None,
    now: int,
    *,
    known: bool,
    heard: bool = True,
) -> End:
    """Return how a call to an extension went there.

    ``moments``: when the call was answered, here or elsewhere. ``ended``: when it ended, None while
    it goes on. ``known``: whether anybody saw how it ended. ``heard``: whether events told of the
    answers at extensions.
    """
    if turn.answered is not None:
        return "answered"
    if turn.ceased is None:
        return "ringing"
    last = turn.since if turn.rang is None else turn.rang
    soon = _soon(turn, turn.ceased)
    timed = heard or not turn.queue
    if any(last <= moment <= (soon if timed else turn.ceased + SOON_MS) for moment in moments):
        return "elsewhere"
    if any(last - _SAME_MS <= at < last and turn.ceased <= at + SOON_MS for at in moments):
        return "elsewhere"  # it rang with the phone that answered, and was told late
    if ended is None:
        return "ringing" if now <= soon else "missed"
    if ended > soon:
        return "missed"
    return "abandoned" if known else "unknown"


def changes_between(turn: ExtensionVisit, begin: int, end: int, target: int) -> bool:
    """Return whether time alone may change, between two moments, what a visit counts for.

    While its call goes on: it rings for longer than the target (seconds), or is missed.
    """
    if turn.placed or turn.answered is not None:
        return False
    late = turn.since + 1000 * target
    return begin <= late <= end or (
        turn.ceased is not None and begin <= _soon(turn, turn.ceased) <= end
    )


def _soon(turn: ExtensionVisit, ceased: int) -> int:
    """Return until when it is open whether a call that no longer rings was taken elsewhere."""
    return ceased + (_SAME_MS if turn.by_event else SOON_MS)


def _opened(leg: topics.Leg, call: topics.Call, at: int, others: Turns) -> ExtensionVisit:
    """Return a new visit. ``others``: the visits before it."""
    owns = call.owner is not None and call.owner.dn_num == leg.dn_num
    begun = any(turn.placed for turn in others)  # the owner may be the oldest that is left
    placed = leg.status == "Dialing" or (owns and not begun and call.direction in _FROM_INSIDE)
    handed = others and call.continues  # the leg began in the consultation, another call
    since = at if handed else _since(leg, at)
    rang = since if placed and leg.status == "Ringing" else None
    return ExtensionVisit(leg.dn_num, since, placed, timed=leg.status in _APART, rang=rang)


def _begun_by_owner(turns: Turns, call: topics.Call, legs: Collection[str]) -> Turns:
    """Return the visits after somebody else turned out to have begun the call.

    The leg that is read first may be that of a phone that answered by itself, or that rings and
    does not tell for whom. It is the owner's until the call's first leg, or a row, is read.
    ``legs``: the extensions in the call.
    """
    owner = "" if call.owner is None else call.owner.dn_num
    unsure = [turn for turn in turns if turn.placed and (not turn.timed or turn.rang is not None)]
    wrong = next((turn for turn in unsure if turn.num in legs and turn.num != owner), None)
    if wrong is None or not owner:
        return turns
    inside = call.direction in _FROM_INSIDE
    return tuple(
        replace(turn, placed=False, ceased=turn.answered, rang=None)
        if turn is wrong
        else replace(turn, placed=True, ceased=None)
        if inside and turn.num == owner and not turn.timed
        else turn
        for turn in turns
    )


def _talk_since(
    turn: ExtensionVisit, own: int, earliest: Sequence[tuple[str, int]], first: int | None
) -> int:
    """Return when an extension began to talk.

    That is when it and one other were connected; for the first to talk, when the call was answered.
    ``own``: when it was connected. ``earliest``: the two that were connected first.
    """
    if first is not None and first >= turn.since:
        return first
    return max(own, next(since for num, since in earliest if num != turn.num))


def _talks(turn: ExtensionVisit, since: int) -> ExtensionVisit:
    if turn.talking is not None or turn.on_hold:
        return turn
    since = max(since, turn.since)
    rang = not turn.placed and turn.answered is None
    return replace(
        turn,
        answered=since if turn.answered is None else turn.answered,
        talking=since,
        ceased=since if rang else turn.ceased,
    )


def _silent(
    turn: ExtensionVisit, call: topics.Call, ring: topics.Leg | None, at: int
) -> ExtensionVisit:
    """Return a visit that does not talk now.

    ``ring``: its leg, if it rings; that is so if it is to be answered and has not stopped.
    """
    turn = replace(_stopped(turn, at), on_hold=False)
    if turn.placed or turn.answered is not None:
        return turn
    if ring is not None:
        return replace(
            turn,
            ceased=None,
            rang=turn.rang if turn.ceased is None else at,
            queue=turn.queue or call.queue,
            by_event=ring.participant_id is not None,
        )
    return turn if turn.ceased is not None else replace(turn, ceased=max(at, turn.since))


def _stopped(turn: ExtensionVisit, at: int) -> ExtensionVisit:
    """Return the visit with its talk, if there is one, ended."""
    if turn.talking is None:
        return turn
    talked = None if turn.talked is None else turn.talked + max(0, at - turn.talking)
    return replace(turn, talking=None, talked=talked)


def _closed(turn: ExtensionVisit, ended: int, *, seen: bool) -> ExtensionVisit:
    if turn.talking is not None:
        talked = (
            turn.talked + max(0, ended - turn.talking) if seen and turn.talked is not None else None
        )
        return replace(turn, talking=None, talked=talked)
    if turn.placed or turn.answered is not None or turn.ceased is not None:
        return turn
    return replace(turn, ceased=max(ended, turn.since))


def _since(leg: topics.Leg, at: int) -> int:
    return at if leg.since is None else unix_ms(leg.since)
