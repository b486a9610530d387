"""Keep the account of one call: its waits in queues, and its ringing and talks at extensions. Pure.

An account follows the call as it is shown, and is concluded when the call is over. Times are POSIX
milliseconds.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from monitor.shared.entities import topics
from monitor.statistics import extension_visits as turns
from monitor.statistics import queue_visits as visits
from monitor.statistics.durations import unix_ms
from monitor.statistics.extension_visits import ExtensionVisit
from monitor.statistics.queue_visits import QueueVisit

Kind: TypeAlias = Literal["inbound", "outbound", "internal"]

_KINDS: dict[topics.Direction, Kind] = {
    "FromExternal": "inbound",
    "Inbound": "inbound",
    "External": "inbound",
    "Outbound": "outbound",
    "FromInternal": "internal",
    "Internal": "internal",
}
_MOST_SILENCES: Final = 50
_SAME_START_MS = 10_000
"""Milliseconds by which a call's start may be told differently later."""


class CallAccount(Struct, frozen=True):
    """Hold the account of one call."""

    call_id: int
    started: int
    caller: str
    """The caller's number; empty if unknown."""
    handles: tuple[tuple[str, int], ...]
    """DN and participant id of its legs as they were last seen; the call is recognised by them."""
    kind: Kind
    answered: int | None = None
    visits: tuple[QueueVisit, ...] = ()
    """Visits to queues, the oldest first."""
    turns: tuple[ExtensionVisit, ...] = ()
    """Visits to extensions, one for each extension."""
    ended: int | None = None
    """None while the call goes on."""
    outcome: topics.Outcome | None = None
    seen: bool = True
    """True if its end was watched, so that its duration is known."""
    callback_of: str = ""
    """Queue that placed the call, to call somebody back; empty if none did."""
    silences: tuple[tuple[int, int | None], ...] = ()
    """Begin and end of each time after the answer in which nobody talked to anybody: the caller
    waited, was parked, or listened to a menu. The last one has no end while it lasts."""


def opened(call: topics.Call, at: int) -> CallAccount:
    """Return a new account of a call that is first seen. ``at``: now."""
    started = unix_ms(call.started_at)
    kind = _KINDS[call.direction]
    return observed(
        CallAccount(call.call_id, started, "", (), kind, visits=visits.passed(call, started)),
        call,
        at,
    )


def observed(
    account: CallAccount, call: topics.Call, at: int, *, unwatched: bool = False
) -> CallAccount:
    """Return the account after the call has changed to this.

    ``at``: now. ``unwatched``: the PBX was not watched just before.
    """
    if not unwatched:
        account = _without_withdrawn(account, call)
    if account.answered is not None and call.answered_at is None and _is_page(call):
        taken_back = turns.without_answer(account.turns)
        account = replace(account, answered=None, turns=taken_back, silences=())
    answered = account.answered if call.answered_at is None else unix_ms(call.answered_at)
    if account.answered is not None and answered is not None and answered != account.answered:
        account = _answer_moved(account, account.answered, answered)
    taken = turns.observed(account.turns, call, answered, at)
    began = turns.talk_began(account.turns, taken)
    if began is None and account.answered is None:
        began = answered
    waited = visits.observed(account.visits, call, began, at, unwatched=unwatched)
    if waited != account.visits and waited[-1].end == "answered":
        taken = turns.came_through(taken, account.turns, waited[-1].queue)
    return replace(
        account,
        started=unix_ms(call.started_at),
        caller=_caller(call) or account.caller,
        handles=tuple(
            (leg.dn_num, leg.participant_id) for leg in call.legs if leg.participant_id is not None
        ),
        kind=account.kind if call.direction.startswith("From") else _KINDS[call.direction],
        answered=answered,
        visits=waited,
        turns=taken,
        callback_of=account.callback_of or _placing_queue(call, waited),
        silences=account.silences
        if answered is None
        else _silences(account.silences, at, talking=len(turns.connected_people(call)) > 1),
    )


def _without_withdrawn(account: CallAccount, call: topics.Call) -> CallAccount:
    """Return the account without a visit to a queue in which the caller turned out not to be.

    The queue had been concluded from who rang, and the PBX said otherwise.
    """
    last = account.visits[-1] if account.visits else None
    if last is None or last.end != "waiting" or last.queue in call.queues:
        return account
    return replace(
        account,
        visits=account.visits[:-1],
        turns=tuple(
            replace(turn, queue="") if turn.queue == last.queue else turn for turn in account.turns
        ),
    )


def _is_page(call: topics.Call) -> bool:
    """Return whether phones play what the caller says.

    Until the paging group is known, the first phone that plays it may pass for an answer.
    """
    return any(leg.listening for leg in call.legs)


def talk_time(account: CallAccount, since: int, until: int | None) -> int | None:
    """Return the milliseconds of talk in a part of a call: talk alone, without the silences.

    ``until``: None stands for the call's end. Returns None if the talk goes on, or if nobody saw
    its end.
    """
    if until is None:
        until = account.ended if account.seen else None
    if until is None:
        return None
    silent = sum(
        max(0, min(until, until if end is None else end) - max(since, began))
        for began, end in account.silences
    )
    return max(0, until - since - silent)


def _silences(
    before: tuple[tuple[int, int | None], ...], at: int, *, talking: bool
) -> tuple[tuple[int, int | None], ...]:
    silent = bool(before) and before[-1][1] is None
    if silent and talking:
        return (*before[:-1], (before[-1][0], at))
    if silent or talking or len(before) >= _MOST_SILENCES:
        return before
    return (*before, (at, None))


def concluded(account: CallAccount, word: topics.EndedCall, *, seen: bool) -> CallAccount:
    """Return the account of a call that ended as ``word`` tells.

    ``seen``: whether the call was watched to its end.
    """
    ended = unix_ms(word.ended_at)
    answered = account.answered if word.answered_at is None else unix_ms(word.answered_at)
    return replace(
        account,
        started=unix_ms(word.started_at),
        caller=word.caller or account.caller,
        kind=_KINDS[word.direction],
        answered=answered,
        visits=visits.concluded(
            account.visits, word, answered, ended, seen=seen, news=account.answered is None
        ),
        turns=turns.concluded(account.turns, word, answered, ended, seen=seen),
        ended=ended,
        outcome=word.outcome,
        seen=seen and word.outcome != "unknown",
        callback_of=account.callback_of or _calling_queue(word),
    )


def vanished(account: CallAccount, at: int) -> CallAccount:
    """Return the account of a call that is gone and whose end was not told.

    ``at``: when it was found to be gone.
    """
    return replace(
        account,
        visits=visits.lost(account.visits, at),
        turns=turns.lost(account.turns, at),
        ended=at,
        outcome="unknown" if account.answered is None else "answered",
        seen=False,
    )


def of_end_alone(word: topics.EndedCall) -> CallAccount:
    """Return the account of a call of which only the end is known.

    It tells where the call waited and rang, but not how long.
    """
    started = unix_ms(word.started_at)
    return CallAccount(
        word.call_id,
        started,
        word.caller,
        (),
        _KINDS[word.direction],
        None if word.answered_at is None else unix_ms(word.answered_at),
        visits.of_end_alone(word, started),
        turns.of_end_alone(word, started),
        unix_ms(word.ended_at),
        word.outcome,
        word.outcome != "unknown",
        _calling_queue(word),
    )


def is_same(account: CallAccount, call: topics.Call) -> bool:
    """Return whether a call found after a restart is the account's call.

    The id alone does not prove it: the PBX may have reused ids meanwhile.
    """
    handles = {
        (leg.dn_num, leg.participant_id) for leg in call.legs if leg.participant_id is not None
    }
    if handles & set(account.handles):
        return True
    later, caller = unix_ms(call.started_at) - account.started, _caller(call)
    if account.kind == "inbound" and caller and caller == account.caller:
        return True  # the told start may be the time of the last change
    return abs(later) < _SAME_START_MS or (later < 0 and caller in ("", account.caller))


def is_same_life(started: int, ended: int | None, first: int, last: int) -> bool:
    """Return whether two calls with the same id are one call, by their times.

    ``started``, ``ended``: of the one; ``ended`` is None if it is not known. ``first``, ``last``:
    start and end that are told of the other.
    """
    return started == first or (
        first - _SAME_START_MS <= started < last and (ended is None or first < ended)
    )


def _caller(call: topics.Call) -> str:
    owner = call.owner
    if owner is None:
        return ""
    return owner.external_party if owner.dn_type == "externalline" else owner.dn_num


def _placing_queue(call: topics.Call, waited: visits.Visits) -> str:
    """Return the queue that began the call, or an empty text.

    A queue in which somebody waited did not: its leg may be the last that is left of the call.
    """
    owner = call.owner
    if owner is None or owner.dn_type != "queue":
        return ""
    return "" if any(visit.queue == owner.dn_num for visit in waited) else owner.dn_num


def _calling_queue(word: topics.EndedCall) -> str:
    return word.caller if word.caller in word.queues else ""


def _answer_moved(account: CallAccount, before: int, now: int) -> CallAccount:
    """Move the time of an answer from ``before`` to ``now``, as a later read knows it better."""
    return replace(
        account,
        visits=visits.moved(account.visits, before, now),
        turns=turns.moved(account.turns, before, now),
    )
