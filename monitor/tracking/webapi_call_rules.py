"""Infer and build a call that the documented interface tells. Pure.

This is the pipeline of :mod:`monitor.tracking.call_inference` for a PBX that is reached so. It
yields the same value, with the same path; the other stages have little to find out.
What is told is shown as it is told. What is not told stays null or empty, except for what follows
surely from the legs: a caller waits in the queue that has a leg; a call with two people connected
was answered; a call from outside was begun by its only trunk. Of several devices of an extension,
the one furthest on is its leg.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from msgspec import structs

from monitor.pbx.webapi.facts import ToldCall
from monitor.shared.entities import topics
from monitor.shared.phone_index import PhoneIndex
from monitor.shared.timestamps import from_unix, moment
from monitor.tracking.call_evidence import RANK
from monitor.tracking.call_inference import (
    CallAnswer,
    CallInference,
    call_direction,
    follow_path,
    lasting_direction,
    state_of_legs,
)
from monitor.tracking.caller_rules import Originator, Place
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.entity_builder import call_with
from monitor.tracking.leg_rules import DerivedLeg

_FROM_OUTSIDE = frozenset({"FromExternal", "Inbound", "External"})
_OTHER_RANK = 4
"""Hold and the like: further on than connected."""
_ANOTHER_AFTER = 1.0


def is_another(before: ToldCall, now: ToldCall) -> bool:
    """Return whether the PBX has given a call's id to another call.

    That call began later: the start of one call never moves to a later time.
    """
    if (
        before.info is None
        or now.info is None
        or before.info.started_at is None
        or now.info.started_at is None
    ):
        return False
    return now.info.started_at > before.info.started_at + _ANOTHER_AFTER


def infer_told(
    told: ToldCall, previous: CallInference | None, directory_index: DirectoryIndex, now: float
) -> CallInference:
    """Return what follows from what is told now.

    ``previous``: the inference before, or None. ``now``: POSIX seconds.
    """
    before = previous or CallInference(told.id, now)
    legs, info = _legs(told), told.info
    originator = _originator(before.originator, told, directory_index)
    derived = tuple(_derived(originator, legs))
    place = _place(before.place, legs, directory_index, now)
    if info is not None:
        answer = CallAnswer(info.answered_at)
    else:
        seen = before.answer.at is None and sum(leg.talks for leg in derived) > 1
        answer = CallAnswer(now) if seen else before.answer
    direction = told.direction or lasting_direction(
        before.path.lasting, call_direction(originator, derived)
    )
    return CallInference(
        id=told.id,
        started_at=_started_at(before, told),
        originator=originator,
        place=place,
        legs=derived,
        answer=answer,
        path=follow_path(
            derived,
            originator,
            place,
            answer,
            before.path,
            now,
            lasting=lasting_direction(before.path.lasting, direction),
        ),
        state=info.state if info is not None else state_of_legs(derived),
        direction=direction,
    )


def build_told(
    call: CallInference, told: ToldCall, directory_index: DirectoryIndex, phones: PhoneIndex
) -> topics.Call:
    """Build a call as it is told, with what was inferred of it."""
    since: dict[tuple[str, str], float] = {}
    for side in call.legs:
        since.setdefault((side.dn, side.external_party), call.path.since[side.key][1])

    def named(leg: topics.Leg) -> topics.Leg:
        return _named(leg, since.get((leg.dn_num, leg.external_party)), directory_index, phones)

    legs = tuple(named(leg) for leg in _legs(told))
    by_dn = {leg.dn_num: leg for leg in reversed(legs)}
    by_both = {(leg.dn_num, leg.external_party): leg for leg in reversed(legs)}

    def shown(leg: topics.Leg) -> topics.Leg:
        both = leg.dn_num, leg.external_party  # a trunk may have two legs
        found = by_both.get(both) or by_dn.get(leg.dn_num)
        return named(leg) if found is None else found

    built = call_with(call, legs, by_dn.get(call.originator.dn), directory_index)
    info = told.info
    if info is None:
        return built
    return structs.replace(
        built,
        owner=shown(info.owner) if info.owner is not None else None,
        talk_to=tuple(map(shown, info.talk_to)),
        routing_to=tuple(map(shown, info.routing_to)),
    )


def _legs(told: ToldCall) -> tuple[topics.Leg, ...]:
    """Return the legs, with one leg for each extension."""
    best: dict[str, topics.Leg] = {}
    for leg in told.legs:
        held = best.get(leg.dn_num)
        if leg.dn_type == "extension" and (held is None or _rank(leg) > _rank(held)):
            best[leg.dn_num] = leg
    return tuple(leg for leg in told.legs if leg.dn_type != "extension" or best[leg.dn_num] is leg)


def _started_at(before: CallInference, told: ToldCall) -> float:
    if told.info is None or told.info.started_at is None:
        return before.started_at
    return told.info.started_at


def _derived(originator: Originator, legs: Sequence[topics.Leg]) -> Iterator[DerivedLeg]:
    """Yield the legs as derived legs.

    Of two legs on the caller's trunk, the caller's own is the first.
    """
    first: dict[str, topics.Leg] = {}
    for leg in sorted(legs, key=lambda leg: leg.external_party != originator.number):
        first.setdefault(leg.dn_num, leg)
    for leg in legs:
        again = leg.dn_type == "externalline" and leg is not first[leg.dn_num]
        yield DerivedLeg(
            leg.dn_num,
            leg.dn_type,
            leg.external_party,
            leg.status,
            again=again,
            listening=leg.listening,
        )


def _rank(leg: topics.Leg) -> int:
    return RANK.get(leg.status, _OTHER_RANK)


def _originator(before: Originator, told: ToldCall, directory_index: DirectoryIndex) -> Originator:
    """Keep the originator: the owner that was told first, as a transfer does not change it."""
    found = before if before.dn else _first_owner(before, told)
    did = directory_index.did("", found.dn) if found.external else ""
    return replace(found, did=told.did or did)


def _first_owner(before: Originator, told: ToldCall) -> Originator:
    external = told.direction in _FROM_OUTSIDE if told.direction is not None else None
    owner = told.info.owner if told.info is not None else _likely_owner(told, external=external)
    if owner is None:
        return replace(before, external=external)
    outside = owner.dn_type == "externalline"
    return Originator(
        dn=owner.dn_num,
        external=outside if external is None else external,
        number=owner.external_party if outside else owner.dn_num,
        withheld=owner.hidden,
    )


def _likely_owner(told: ToldCall, *, external: bool | None) -> topics.Leg | None:
    """Return the only trunk of a call from outside, or the only leg that dials, else None."""
    trunks = [leg for leg in told.legs if leg.dn_type == "externalline"]
    dialling = [leg for leg in told.legs if leg.status == "Dialing"]
    candidates = trunks if external else dialling
    return candidates[0] if len(candidates) == 1 else None


def _place(
    before: Place, legs: Sequence[topics.Leg], directory_index: DirectoryIndex, now: float
) -> Place:
    """Find the queue in which the caller waits, or which rings agents for the caller.

    Such a queue has a leg, or a leg rings on its behalf.
    """
    own = next((leg for leg in legs if leg.dn_type == "queue"), None)
    behalf = {leg.on_behalf_of for leg in legs if leg.on_behalf_of}
    ringing = (leg.on_behalf_of for leg in legs if leg.status == "Ringing")
    behind = next((dn for dn in ringing if dn in directory_index.queues), "")
    queue = own.dn_num if own is not None else behind
    queued_at = _queued_at(before, queue, own, now)
    return Place(
        queue=queue,
        queued_at=queued_at,
        last_queue=queue or before.last_queue,
        first_queued_at=queued_at if before.first_queued_at is None else before.first_queued_at,
        queues=before.queues | (behalf & directory_index.queues.keys()) | ({queue} - {""}),
        groups=before.groups | (behalf & directory_index.groups.keys()),
    )


def _queued_at(before: Place, queue: str, own: topics.Leg | None, now: float) -> float | None:
    """Return since when the caller waits. ``own``: the queue's leg."""
    if not queue:
        return None
    if queue == before.queue and before.queued_at is not None:
        return before.queued_at
    told = own.since if own is not None else None
    return now if told is None else moment(told).timestamp()


def _named(
    leg: topics.Leg, since: float | None, directory_index: DirectoryIndex, phones: PhoneIndex
) -> topics.Leg:
    """Return the leg with names and time filled in where they are not told but known here."""
    outside = leg.dn_type == "externalline"
    return structs.replace(
        leg,
        name=leg.name or directory_index.name(leg.dn_num),
        party_name=leg.party_name
        or (
            phones.name(leg.external_party) if outside else directory_index.name(leg.external_party)
        ),
        since=leg.since or (None if since is None else from_unix(since)),
    )
