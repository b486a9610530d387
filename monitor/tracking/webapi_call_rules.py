"""Turn a call that the documented interface tells into a record and an entity. Pure.

What is told is shown as it is told. What is not told stays null or empty, except for what follows
surely from the legs: a caller waits in the queue that has a leg; a call with two people connected
was answered; a call from outside was begun by its only trunk. Of several devices of an extension,
the one furthest on is its leg.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from monitor.pbx.webapi.facts import ToldCall
from monitor.shared.entities import topics
from monitor.shared.phone_index import PhoneIndex
from monitor.shared.timestamps import from_unix, moment
from monitor.tracking import call_rules
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.leg_rules import PEOPLE, RANK, CallRecord, DerivedLeg

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


def observe(record: CallRecord, told: ToldCall, directory_index: DirectoryIndex, at: float) -> None:
    """Draw all conclusions from what is told now. ``at``: now, POSIX seconds."""
    legs = _legs(told)
    info = told.info
    if info is not None and info.started_at is not None:
        record.started_at = info.started_at
    _originator(record, told)
    record.sides = tuple(_sides(record, legs))
    _queue(record, legs, directory_index, at)
    record.did = told.did or (directory_index.did("", record.originator) if record.external else "")
    if info is not None:
        record.answered_at = info.answered_at
    elif record.answered_at is None and _people(legs) > 1:
        record.answered_at = at
    before = record.lasting
    call_rules.remember(record, at)
    now = told.direction or call_rules.direction(record)
    record.lasting = now if before is None or not now.startswith("From") else before


def draw(
    record: CallRecord, told: ToldCall, directory_index: DirectoryIndex, phones: PhoneIndex
) -> topics.Call:
    """Return the call as of its last observation."""
    since: dict[tuple[str, str], float] = {}
    for side in record.sides:
        since.setdefault((side.dn, side.external_party), record.since[side.key][1])

    def named(leg: topics.Leg) -> topics.Leg:
        return _named(leg, since.get((leg.dn_num, leg.external_party)), directory_index, phones)

    legs = tuple(named(leg) for leg in _legs(told))
    by_dn = {leg.dn_num: leg for leg in reversed(legs)}
    by_both = {(leg.dn_num, leg.external_party): leg for leg in reversed(legs)}

    def shown(leg: topics.Leg) -> topics.Leg:
        found = by_both.get((leg.dn_num, leg.external_party)) or by_dn.get(
            leg.dn_num
        )  # a trunk may have two
        return named(leg) if found is None else found

    info = told.info
    if info is not None:
        owner = shown(info.owner) if info.owner is not None else None
        talk_to, routing_to = tuple(map(shown, info.talk_to)), tuple(map(shown, info.routing_to))
    else:
        owner = by_dn.get(record.originator)
        talking = owner is not None and owner.status == "Connected"
        talk_to = tuple(
            leg for leg in legs if talking and leg is not owner and leg.status == "Connected"
        )
        routing_to = tuple(leg for leg in legs if leg.status == "Ringing")
    extensions = tuple(sorted({leg.dn_num for leg in legs if leg.dn_type == "extension"}))
    return topics.Call(
        call_id=told.id,
        direction=told.direction or call_rules.direction(record),
        state=info.state if info is not None else call_rules.state(record),
        started_at=from_unix(record.started_at),
        answered_at=None if record.answered_at is None else from_unix(record.answered_at),
        did=record.did,
        owner=owner,
        talk_to=talk_to,
        routing_to=routing_to,
        legs=legs,
        queue=record.queue,
        queued_at=None if record.queued_at is None else from_unix(record.queued_at),
        extensions=extensions,
        queues=tuple(sorted(record.queues)),
        groups=tuple(sorted(record.groups)),
        lines=tuple(sorted({leg.dn_num for leg in legs if leg.dn_type == "externalline"})),
        extgroups=tuple(
            sorted(
                {group for num in extensions for group in directory_index.extgroups_of.get(num, ())}
            )
        ),
    )


def _legs(told: ToldCall) -> tuple[topics.Leg, ...]:
    """Return the legs, with one leg for each extension."""
    best: dict[str, topics.Leg] = {}
    for leg in told.legs:
        held = best.get(leg.dn_num)
        if leg.dn_type == "extension" and (held is None or _rank(leg) > _rank(held)):
            best[leg.dn_num] = leg
    return tuple(leg for leg in told.legs if leg.dn_type != "extension" or best[leg.dn_num] is leg)


def _sides(record: CallRecord, legs: Sequence[topics.Leg]) -> Iterator[DerivedLeg]:
    """Yield the legs as derived legs.

    Of two legs on the caller's trunk, the caller's own is the first.
    """
    first: dict[str, topics.Leg] = {}
    for leg in sorted(legs, key=lambda leg: leg.external_party != record.caller_number):
        first.setdefault(leg.dn_num, leg)
    for leg in legs:
        again = leg.dn_type == "externalline" and leg is not first[leg.dn_num]
        yield DerivedLeg(leg.dn_num, leg.dn_type, leg.external_party, leg.status, again=again)


def _rank(leg: topics.Leg) -> int:
    return RANK.get(leg.status, _OTHER_RANK)


def _people(legs: Sequence[topics.Leg]) -> int:
    return sum(leg.dn_type in PEOPLE and leg.status == "Connected" for leg in legs)


def _originator(record: CallRecord, told: ToldCall) -> None:
    """Keep the originator: the owner that was told first, as a transfer does not change it."""
    if record.originator:
        return
    external = told.direction in _FROM_OUTSIDE if told.direction is not None else None
    owner = told.info.owner if told.info is not None else None
    if owner is None and told.info is None:
        trunks = [leg for leg in told.legs if leg.dn_type == "externalline"]
        dialling = [leg for leg in told.legs if leg.status == "Dialing"]
        candidates = trunks if external else dialling
        owner = candidates[0] if len(candidates) == 1 else None
    if owner is None:
        record.external = external
        return
    record.originator = owner.dn_num
    record.external = owner.dn_type == "externalline" if external is None else external
    record.caller_number = owner.external_party if owner.dn_type == "externalline" else owner.dn_num
    record.withheld = owner.hidden


def _queue(
    record: CallRecord, legs: Sequence[topics.Leg], directory_index: DirectoryIndex, at: float
) -> None:
    """Find the queue in which the caller waits, or which rings agents for the caller.

    Such a queue has a leg, or a leg rings on its behalf.
    """
    own = next((leg for leg in legs if leg.dn_type == "queue"), None)
    behalf = {leg.on_behalf_of for leg in legs if leg.on_behalf_of}
    ringing = next(
        (
            leg.on_behalf_of
            for leg in legs
            if leg.status == "Ringing" and leg.on_behalf_of in directory_index.queues
        ),
        "",
    )
    held, record.queue = record.queue, own.dn_num if own is not None else ringing
    record.queues.update(behalf & directory_index.queues.keys())
    record.groups.update(behalf & directory_index.groups.keys())
    if not record.queue:
        record.queued_at = None
        return
    record.queues.add(record.queue)
    record.last_queue = record.queue
    if record.queue != held or record.queued_at is None:
        told = own.since if own is not None else None
        record.queued_at = at if told is None else moment(told).timestamp()
    if record.first_queued_at is None:
        record.first_queued_at = record.queued_at


def _named(
    leg: topics.Leg, since: float | None, directory_index: DirectoryIndex, phones: PhoneIndex
) -> topics.Leg:
    """Return the leg with names and time filled in where they are not told but known here."""
    outside = leg.dn_type == "externalline"
    return replace(
        leg,
        name=leg.name or directory_index.name(leg.dn_num),
        party_name=leg.party_name
        or (
            phones.name(leg.external_party) if outside else directory_index.name(leg.external_party)
        ),
        since=leg.since or (None if since is None else from_unix(since)),
    )
