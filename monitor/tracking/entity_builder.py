"""Build entities: calls from what was inferred of them, DNs from their calls. Pure.

*Outcome.* A caller who talked, was sent to a queue and gave up there has abandoned; the answer
stays. A call that was not answered is missed, abandoned, unanswered, or handled: a machine took
it. A call from outside that went on to voicemail is missed all the same. The outcome is unknown
in three cases. Two are that a ringing leg changed and was gone before it could be read, and that
the call was past its ringing when it was first seen: it may have been answered then. The third is a
call inside of which nobody saw the beginning or a ring: it may have been missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nsmallest
from typing import Final

from msgspec.structs import replace

from monitor.shared.entities import topics
from monitor.shared.entities.calls import is_calling_program
from monitor.shared.phone_index import PhoneIndex
from monitor.shared.phone_numbers import plain
from monitor.shared.timestamps import from_unix
from monitor.tracking.call_evidence import ACCEPTING, PEOPLE
from monitor.tracking.call_inference import CallAnswer, CallInference, CallPath
from monitor.tracking.caller_rules import Originator, Place
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.leg_rules import DerivedLeg

_ACTIVITIES: tuple[topics.Activity, ...] = (
    "Talking",
    "Ringing",
    "Dialing",
    "Listening",
    "Waiting",
)
_TOLD_IN_PARTS_S: Final = 2.0
"""Seconds within which the leaving of a queue and an answer may be one event."""
_ACTIVITY: dict[str, topics.Activity] = {"Ringing": "Ringing", "Dialing": "Dialing"}


def build_call(
    call: CallInference, directory_index: DirectoryIndex, phones: PhoneIndex
) -> topics.Call:
    """Build a call as it was inferred last."""
    legs = {leg.key: _leg(call, leg, directory_index, phones) for leg in call.legs}
    owner = _owner(call)
    own = legs[owner.key] if owner is not None else None
    return call_with(call, tuple(legs.values()), own, directory_index)


def _owner(call: CallInference) -> DerivedLeg | None:
    """Return the originator's leg, else the oldest leg, else None."""
    for leg in call.legs:
        if leg.key == call.originator.dn:
            return leg
    return min(call.legs, key=lambda leg: (call.path.presence[leg.key][0], leg.key), default=None)


def call_with(
    call: CallInference,
    legs: tuple[topics.Leg, ...],
    owner: topics.Leg | None,
    directory_index: DirectoryIndex,
) -> topics.Call:
    """Build a call with these legs as they are shown. ``owner``: one of them, or None."""
    talking = owner is not None and owner.status == "Connected"
    extensions = tuple(sorted({leg.dn_num for leg in legs if leg.dn_type == "extension"}))
    return topics.Call(
        call_id=call.id,
        direction=call.direction,
        state=call.state,
        started_at=from_unix(call.started_at),
        answered_at=_instant(call.answer.at),
        did=call.originator.did,
        owner=owner,
        talk_to=_others_connected(legs, owner) if talking else (),
        routing_to=tuple(leg for leg in legs if leg.status == "Ringing"),
        legs=legs,
        queue=call.place.queue,
        queued_at=_instant(call.place.queued_at),
        extensions=extensions,
        queues=tuple(sorted(call.place.queues)),
        groups=tuple(sorted(call.place.groups)),
        lines=tuple(sorted({leg.dn_num for leg in legs if leg.dn_type == "externalline"})),
        extgroups=_extgroups(extensions, directory_index),
        continues=call.continues,
    )


def _others_connected(
    legs: Sequence[topics.Leg], owner: topics.Leg | None
) -> tuple[topics.Leg, ...]:
    return tuple(
        leg for leg in legs if leg.status == "Connected" and leg is not owner and not leg.listening
    )


def build_ended(
    call: CallInference,
    directory_index: DirectoryIndex,
    phones: PhoneIndex,
    at: float,
    *,
    looking: bool,
    found: bool = False,
    transferred: bool = False,
) -> topics.EndedCall:
    """Build a call that is over from what was inferred of it last.

    ``at``: when it ended, POSIX seconds. ``looking``: whether an answer would have been seen.
    ``found``: whether its beginning was not seen. ``transferred``: whether it went on in another
    call.
    """
    originator, place, answer, path = call.originator, call.place, call.answer, call.path
    outcome = call_outcome(
        originator, place, answer, path, looking=looking, found=found, transferred=transferred
    )
    callee, outside = path.handled_by, False
    if outcome != "handled":
        callee, outside = _callee(call), path.reached in path.lines
        if callee == originator.destination != "":
            outside = directory_index.kind(callee) == "unknown"
    caller = originator.number
    extensions = tuple(sorted(path.extensions))
    return topics.EndedCall(
        call_id=call.id,
        direction=path.lasting or call.direction,
        did=originator.did,
        queue="" if _was_diverted(call) else place.last_queue,
        started_at=from_unix(call.started_at),
        answered_at=_instant(answer.at),
        ended_at=from_unix(max(at, call.started_at)),
        outcome=outcome,
        caller=caller,
        caller_name=phones.name(caller) if originator.external else directory_index.name(caller),
        callee=callee,
        callee_name=phones.name(callee) if outside else directory_index.name(callee),
        extensions=extensions,
        queues=tuple(sorted(place.queues)),
        groups=tuple(sorted(place.groups)),
        lines=tuple(sorted(path.lines)),
        extgroups=_extgroups(extensions, directory_index),
        queued_at=_instant(place.first_queued_at),
        hidden=originator.withheld and not caller,
        mailbox=place.mailbox,
        continues=call.continues,
    )


def _callee(call: CallInference) -> str:
    """Return the party that took the call, else the one that it tried to reach last."""
    originator, place, path = call.originator, call.place, call.path
    mailbox = place.mailbox if place.mailbox != originator.dn else ""
    reached = path.reached_number or place.last_queue
    return reached or mailbox or path.rang_app or originator.destination


def call_outcome(
    originator: Originator,
    place: Place,
    answer: CallAnswer,
    path: CallPath,
    *,
    looking: bool,
    found: bool = False,
    transferred: bool = False,
) -> topics.Outcome:
    """Return how the call ended.

    ``looking``: whether an answer would have been seen until the end. If not, and if none was seen,
    the outcome is ``unknown``. ``found``: whether its beginning was not seen. ``transferred``:
    whether it went on in another call.
    """
    if answer.at is not None:
        return "abandoned" if path.stage == "queue" else "answered"
    if transferred:
        return "transferred"
    if not looking or answer.unseen:
        return "unknown"
    meant = originator.external or place.mailbox in ("", originator.dn)  # else for a person
    if path.handled_by and not path.reached and meant:
        return "handled"
    if path.stage:
        return "abandoned"
    return "missed" if originator.external else _outcome_inside(path, found=found)


def _outcome_inside(path: CallPath, *, found: bool) -> topics.Outcome:
    """Return how a call ended that began inside, was not answered and is at no queue or menu."""
    if not path.extensions and not path.lines:  # ActiveCalls listed it, but no leg of it was seen
        return "unknown"
    if path.lines:
        return "unanswered"
    # Of a ring that an earlier monitor saw, only the direction may be left.
    if path.reached or path.recorded or (found and path.lasting == "Internal"):
        return "missed"
    return "unknown" if found else "unanswered"


def _was_diverted(call: CallInference) -> bool:
    """Return whether the queue had no part in how the call went: its statistics say diverted.

    An answer just after the caller had left is still the queue's, as sources are read in turn.
    """
    diverted_at, answered_at = call.place.diverted_at, call.answer.at
    if diverted_at is None:
        return False
    return answered_at is None or not diverted_at <= answered_at <= diverted_at + _TOLD_IN_PARTS_S


def extension(
    idle: topics.Extension,
    talks: tuple[topics.Talk, ...],
    held: topics.Entity | None,
    at: float,
) -> topics.Extension:
    """Build an extension with what it does in its calls.

    ``held``: the extension as it was built last. ``at``: now, POSIX seconds.
    """
    activity: topics.Activity = next(
        (a for a in _ACTIVITIES if any(t.activity == a for t in talks)), "Idle"
    )
    return replace(
        idle,
        status="Busy" if talks else "Free",
        activity=activity,
        since=_activity_since(held, activity, talks, at),
        talks=talks,
        available=idle.available and not talks,
        presence_since=_presence_since(held, idle, at),
    )


def talks_of(call: topics.Call) -> Mapping[str, Sequence[topics.Talk]]:
    """Return what each DN does in a call: one talk for each of its legs."""
    present = [leg for leg in call.legs if not leg.listening]
    persons = _first_two(leg for leg in present if _is_person(leg) or is_calling_program(call, leg))
    hosts = _first_two(
        leg for leg in present if leg.status == "Ringing" or leg.dn_type in ACCEPTING
    )
    talks: dict[str, list[topics.Talk]] = {}
    for leg in call.legs:
        activity, since = _activity(leg, persons, hosts)
        talk = topics.Talk(
            call_id=call.call_id,
            activity=activity,
            since=since,
            num=leg.external_party,
            name=leg.party_name,
            external=bool(call.lines),
            queue=call.queue,
        )
        talks.setdefault(leg.dn_num, []).append(talk)
    return talks


def queue(empty: topics.Queue, on_it: Sequence[topics.Call]) -> topics.Queue:
    """Build a queue with those of the calls that wait in it, the oldest first."""
    waiting = [
        _waiting(call, call.owner)
        for call in on_it
        if call.queue == empty.num and call.owner is not None
    ]
    return replace(
        empty, waiting=tuple(sorted(waiting, key=lambda caller: (caller.since, caller.call_id)))
    )


def _waiting(call: topics.Call, owner: topics.Leg) -> topics.WaitingCaller:
    outside = owner.dn_type == "externalline"
    return topics.WaitingCaller(
        call_id=call.call_id,
        num=owner.external_party if outside else owner.dn_num,
        name=owner.party_name if outside else owner.name,
        since=call.queued_at or call.started_at,
        hidden=owner.hidden,
    )


def _leg(
    call: CallInference, leg: DerivedLeg, directory_index: DirectoryIndex, phones: PhoneIndex
) -> topics.Leg:
    p = leg.participant
    told = p is not None and p.party_dn != ""
    other = directory_index.kind(p.party_dn if p is not None and told else leg.external_party)
    outside = leg.kind == "externalline" or other == ("externalline" if told else "unknown")
    name = phones.name(leg.external_party) if outside else directory_index.name(leg.external_party)
    built = topics.Leg(
        dn_num=leg.dn,
        dn_type=leg.kind,
        external_party=leg.external_party,
        status=leg.status,
        name=directory_index.name(leg.dn),
        party_name=name,
        since=_instant(call.path.since[leg.key][1]),
        hidden=leg.withheld,
        listening=leg.listening,
    )
    if p is None:
        return built
    if not name and plain(p.party_caller_name) != leg.external_party:
        name = p.party_caller_name  # not the number itself, as some trunks present it: +1 646 555
    return replace(
        built,
        party_name=name,
        party_dn=p.party_dn,
        on_behalf_of=p.on_behalf_of_dn,
        referred_by=p.referred_by_dn,
        leg_id=p.leg_id,
        participant_id=p.id,
        device_id=p.device_id,
    )


def _activity(
    leg: topics.Leg, persons: Sequence[topics.Leg], hosts: Sequence[topics.Leg]
) -> tuple[topics.Activity, str | None]:
    """Return what an extension does at this leg, and since when.

    It waits only if the other side is known to be no person, or to be rung. It talks, or waits,
    since both it and one other leg that shows so have been there. ``persons``, ``hosts``: the first
    two legs of the call that show that it talks, or waits.
    """
    if leg.status in _ACTIVITY:
        return _ACTIVITY[leg.status], leg.since
    if leg.listening:
        return "Listening", leg.since
    person = _other(leg, persons)
    if person is not None:
        return "Talking", _both_since(leg, person)
    host = _other(leg, hosts)
    return ("Talking", leg.since) if host is None else ("Waiting", _both_since(leg, host))


def _is_person(leg: topics.Leg) -> bool:
    return (leg.dn_type in PEOPLE or leg.dn_type == "unknown") and leg.status not in _ACTIVITY


def _first_two(legs: Iterable[topics.Leg]) -> list[topics.Leg]:
    """Return the two legs that have been there longest, so that one is left beside any other."""
    return nsmallest(2, legs, key=lambda leg: (leg.since is None, leg.since or ""))


def _other(leg: topics.Leg, first_two: Sequence[topics.Leg]) -> topics.Leg | None:
    return next((other for other in first_two if other is not leg), None)


def _both_since(leg: topics.Leg, other: topics.Leg) -> str | None:
    if leg.since is None or other.since is None:
        return leg.since
    return max(leg.since, other.since)


def _activity_since(
    held: topics.Entity | None, activity: topics.Activity, talks: tuple[topics.Talk, ...], at: float
) -> str | None:
    if activity != "Idle":
        return min(
            (t.since for t in talks if t.activity == activity and t.since is not None), default=None
        )
    if not isinstance(held, topics.Extension):
        return None
    return held.since if held.activity == "Idle" else from_unix(at)


def _presence_since(held: topics.Entity | None, now: topics.Extension, at: float) -> str | None:
    if not isinstance(held, topics.Extension):
        return None
    if not _presence_differs(held, now):
        return held.presence_since
    return from_unix(at) if at else None


def _presence_differs(before: topics.Extension, now: topics.Extension) -> bool:
    """Return whether the presence differs in what both states tell.

    Nothing follows from a login that was not told before.
    """
    logins = {login.num: login.status for login in before.q_status}
    pairs = [(logins.get(login.num), login.status) for login in now.q_status]
    pairs.append((before.q_global_status, now.q_global_status))
    if any(old is not None and new is not None and old != new for old, new in pairs):
        return True
    return (before.enabled, before.registered, before.fwd_name) != (
        now.enabled,
        now.registered,
        now.fwd_name,
    )


def _extgroups(extensions: Sequence[str], directory_index: DirectoryIndex) -> tuple[str, ...]:
    return tuple(
        sorted(
            {
                group
                for number in extensions
                for group in directory_index.extgroups_of.get(number, ())
            }
        )
    )


def _instant(at: float | None) -> str | None:
    return None if at is None else from_unix(at)
