"""What one call counts for: who waited in which queue, at which extensions it rang and how long they talked. Pure.

An account follows the call as it is shown, and is concluded when the call is over. Times are POSIX milliseconds.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from monitor.shared.entities import topics as e
from monitor.statistics import extension_visits as turns
from monitor.statistics import queue_visits as visits
from monitor.statistics.durations import unix_ms
from monitor.statistics.extension_visits import ExtensionVisit
from monitor.statistics.queue_visits import QueueVisit

Kind: TypeAlias = Literal["inbound", "outbound", "internal"]

_KINDS: dict[e.Direction, Kind] = {
    "FromExternal": "inbound",
    "Inbound": "inbound",
    "External": "inbound",
    "Outbound": "outbound",
    "FromInternal": "internal",
    "Internal": "internal",
}
_SAME_START = 10_000
"""Milliseconds by which a call's start may be told otherwise later."""


class CallAccount(Struct, frozen=True):
    """One call's account."""

    call_id: int
    started: int
    caller: str
    """The caller's number; empty if unknown."""
    handles: tuple[tuple[str, int], ...]
    """DN and participant id of its legs as they were seen last: by these it is known again."""
    kind: Kind
    answered: int | None = None
    visits: tuple[QueueVisit, ...] = ()
    """In queues, the oldest first."""
    turns: tuple[ExtensionVisit, ...] = ()
    """One an extension."""
    ended: int | None = None
    """None while it goes on."""
    outcome: e.Outcome | None = None
    seen: bool = True
    """Whether its end was watched, so that it is known how long it took."""


def opened(call: e.Call, at: int) -> CallAccount:
    """A new account, of a call as it is first seen. ``at``: now."""
    started = unix_ms(call.started_at)
    kind = _KINDS[call.direction]
    return observed(CallAccount(call.call_id, started, "", (), kind, visits=visits.passed(call, started)), call, at)


def observed(account: CallAccount, call: e.Call, at: int, *, unwatched: bool = False) -> CallAccount:
    """The account after the call has come to look like this. ``at``: now. ``unwatched``: nobody watched before."""
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
        handles=tuple((leg.dn_num, leg.participant_id) for leg in call.legs if leg.participant_id is not None),
        kind=account.kind if call.direction.startswith("From") else _KINDS[call.direction],
        answered=answered,
        visits=waited,
        turns=taken,
    )


def concluded(account: CallAccount, word: e.EndedCall, *, seen: bool) -> CallAccount:
    """The account of a call that ended as told. ``seen``: whether it was watched to its end."""
    ended = unix_ms(word.ended_at)
    answered = account.answered if word.answered_at is None else unix_ms(word.answered_at)
    return replace(
        account,
        started=unix_ms(word.started_at),
        caller=word.caller or account.caller,
        kind=_KINDS[word.direction],
        answered=answered,
        visits=visits.concluded(account.visits, word, answered, ended, seen=seen),
        turns=turns.concluded(account.turns, word, answered, ended, seen=seen),
        ended=ended,
        outcome=word.outcome,
        seen=seen and word.outcome != "unknown",
    )


def vanished(account: CallAccount, at: int) -> CallAccount:
    """The account of a call that was found to be over, without a word of how it ended."""
    return replace(
        account,
        visits=visits.lost(account.visits, at),
        turns=turns.lost(account.turns, at),
        ended=at,
        outcome="unknown" if account.answered is None else "answered",
        seen=False,
    )


def of_end_alone(word: e.EndedCall) -> CallAccount:
    """The account of a call of which only the end is known: where it waited and rang, but not how long."""
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
    )


def is_same(account: CallAccount, call: e.Call) -> bool:
    """Whether a call found after a restart is the account's: ids may have been given anew meanwhile."""
    handles = {(leg.dn_num, leg.participant_id) for leg in call.legs if leg.participant_id is not None}
    if handles & set(account.handles):
        return True
    later, caller = unix_ms(call.started_at) - account.started, _caller(call)
    if account.kind == "inbound" and caller and caller == account.caller:
        return True  # the time that is told for its start may be that of its last change
    return abs(later) < _SAME_START or (later < 0 and caller in ("", account.caller))


def is_same_life(started: int, ended: int | None, first: int, last: int) -> bool:
    """Whether a call with these times is the one of the same id that is told to have lasted from ``first`` to ``last``.

    ``ended``: None if it is not known when it ended.
    """
    return started == first or (first - _SAME_START <= started < last and (ended is None or first < ended))


def _caller(call: e.Call) -> str:
    owner = call.owner
    if owner is None:
        return ""
    return owner.external_party if owner.dn_type == "externalline" else owner.dn_num


def _answer_moved(account: CallAccount, before: int, now: int) -> CallAccount:
    """What was answered at that moment was answered at this one: a later read has told better."""
    return replace(
        account, visits=visits.moved(account.visits, before, now), turns=turns.moved(account.turns, before, now)
    )
