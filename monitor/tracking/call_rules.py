"""Infer one call from what Call Control and ActiveCalls say of it. Pure.

Call Control lists the legs ("participants") of the DNs that the API client may monitor, with the
other side of each leg. ActiveCalls lists every call with a state word and its two parties as text.
Neither is complete. The rules are:

*Legs.* A visible participant is a leg. Several devices of one DN are one leg, in the state of the
device that is furthest on. The other side of a visible leg (``party_dn``) is a leg too. Its state
matches the state of the visible leg: Connected for Connected, Dialing for Ringing, Ringing for
Dialing. There is one exception: a caller who was accepted by a queue, an IVR or a person stays
Connected while the next phone rings. Legs that are in no participant come from the ActiveCalls row:
the caller's trunk, a queue, an IVR, a second trunk, an extension that may not be monitored.

*Waiting.* A caller waits in a queue from the first sign of it. (A queue that calls back is no
caller.) The wait ends when somebody answers, or when the row names somebody who is not an agent of
the queue. These are signs: a row whose callee is a queue, even if the row is older than the first
agent's ringing; a participant connected to a queue; a leg that rings on behalf of one. While agents
ring, the queue's leg stays.

*Who began it.* The row's caller began the call. Before there is a row, it is the dialling
extension, or the trunk behind a ringing one. Without rows, it is the other side of a leg that the
PBX routed. The originator is kept for the call's life, as a transfer does not change it. The call
comes from outside if a trunk began it, or a number that is no DN.

*Direction* follows from the originator and the present legs. Inbound and Internal need somebody
beside the originator whom the call has reached: an extension, voicemail, a conference. A queue does
not count as somebody, nor does an IVR for a caller from outside.

*State* is the row's word, if the row was asked for after the call's last event. Otherwise it is
what the legs say.

*Times.* startedAt is the earliest time that anything says of the call: the first event, or the
row's. answeredAt is the moment of the event with which two people (extension, outside line,
conference) were connected. If nobody saw the answer, it is the row's LastChangeStatus, unless that
time was first told with another callee: when a call goes from a queue to a person, the word may
stay Talking. Both times are kept. 3CX gives participants no time stamps. A row can prove the
answer: it says that a caller whom no queue and no machine had accepted talks to a person. It proves
that even if an event came after the row was asked for.

*Outcome.* A call that was not answered is missed, abandoned, unanswered, or handled: a machine took
it. A call from outside that went on to voicemail is missed all the same. The outcome is unknown
in two cases: a ringing leg changed and was gone before it could be read, or the call was past its
ringing when it was first seen. It may have been answered then.

*DID.* The PBX's own word (``party_did``) if it gives one, else a configured one, else the trunk's
only inbound rule.
"""

from __future__ import annotations

from monitor.pbx.facts import Participant
from monitor.shared.entities import topics
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.leg_rules import (
    PEOPLE,
    ROUTER,
    CallRecord,
    DerivedLeg,
    party_kind,
    people_connected,
    sides,
)
from monitor.tracking.party_text import MAKE_CALL, NOBODY, PartyText, parse, parse_several

_REACHED = frozenset({"extension", "specialmenu", "conference", "fax", "parking", "routepoint"})
_LINGER = 5.0
"""Seconds that a leg may be missing between two reads and still be the same."""
_OUTSIDE = frozenset({"externalline", "unknown"})
_MACHINES = frozenset({"ivr", "specialmenu", "parking", "fax", "routepoint"})
_ACCEPTING = _MACHINES | {"queue"}
_ENDS_OUTSIDE = frozenset({"fax", "routepoint"})
"""Machines that a call from outside is meant for."""
_PAST_RINGING = frozenset({"Talking", "Transferring"})
_STATES: dict[str, topics.CallState] = {
    "Initiating": "Initiating",
    "Routing": "Routing",
    "Talking": "Talking",
    "Transferring": "Transferring",
    "Rerouting": "Rerouting",
}


def observe(
    call: CallRecord, directory_index: DirectoryIndex, visible: frozenset[str], at: float
) -> None:
    """Draw all conclusions after the call's participants or its row have changed.

    ``visible``: the DNs whose legs Call Control shows; for these a row is never the better source.
    ``at``: now.
    """
    row = call.row
    caller = parse(row.caller, directory_index) if row else NOBODY
    callees = parse_several(row.callee, directory_index) if row else ()
    _times(call)
    _originator(call, directory_index, caller, callees)
    _stage(call, directory_index, callees, at)
    call.sides = sides(call, directory_index, visible, caller, callees)
    unanswered = call.answered_at is None
    _answer(call, directory_index, callees, at)
    remember(call, at, answered_now=unanswered and call.answered_at is not None)
    if call.new:
        talked = state(call) in _PAST_RINGING and not (
            call.stage or call.machine_dn or call.recorded
        )
        call.answer_unseen = talked and call.answered_at is None
    call.new = False


def remember(call: CallRecord, at: float, *, answered_now: bool = False) -> None:
    """Keep what is needed later in the call and at its end.

    That is: since when each leg is in its state, the path of the call, and whom it reached.
    ``answered_now``: the last observation was the first that showed the answer.
    """
    since: dict[str, tuple[str, float]] = {}
    for side in call.sides:
        held = call.since.get(side.key)
        since[side.key] = held if held is not None and held[0] == side.status else (side.status, at)
        if side.kind == "externalline":
            call.lines.add(side.dn)
        if side.kind == "extension":
            call.extensions.add(side.dn)
    call.since = since
    _note_presence(call, at)
    if call.sides:
        kinds = {side.kind for side in call.sides}
        call.recorded = call.recorded or "specialmenu" in kinds
        call.hosted = call.hosted or bool(kinds & _ACCEPTING)
        call.stage = "queue" if call.queue else "ivr" if "ivr" in kinds else ""
        call.handled_by = _handling_machine(call)
        now = direction(call)
        if call.lasting is None or not now.startswith("From"):
            call.lasting = now
    others = [
        s
        for s in call.sides
        if s.key != call.originator and s.kind in PEOPLE and s.status != "Dialing"
    ]
    taken = [side for side in others if side.status == "Connected"]
    if call.answered_at is None and others:
        _reach(call, others[-1])
    elif taken and (answered_now or call.answered_at == at or not call.reached):
        _reach(call, taken[0])


def _handling_machine(call: CallRecord) -> str:
    """Return the DN of the machine that has the caller now; empty if people are rung or talk.

    An outside caller in an IVR is still on the way to somebody, and so is one who is parked.
    """
    kinds = _ENDS_OUTSIDE if call.external else _MACHINES
    machines = [s for s in call.sides if s.kind in kinds and s.status == "Connected"]
    others = [s for s in call.sides if s.key != call.originator and s.kind in PEOPLE]
    return machines[0].dn if machines and not others else ""


def _note_presence(call: CallRecord, at: float) -> None:
    """Note since when each leg is there.

    A leg that comes back within :data:`_LINGER` seconds counts as never gone: only its removal was
    read before its return.
    """
    kept = {
        key: held
        for key, held in call.presence.items()
        if held[1] is None or at - held[1] < _LINGER
    }
    present = {side.key for side in call.sides}
    gone = {
        key: (since, at if left is None else left)
        for key, (since, left) in kept.items()
        if key not in present
    }
    call.presence = gone | {key: (kept[key][0] if key in kept else at, None) for key in present}


def direction(call: CallRecord) -> topics.Direction:
    """Return the direction that follows from the originator and the present legs."""
    lines = sum(side.kind == "externalline" for side in call.sides)
    reached = any(
        side.kind in _REACHED and (call.external or side.dn != call.originator)
        for side in call.sides
    ) or (call.external is False and any(side.kind == "ivr" for side in call.sides))
    if call.external:
        return "Inbound" if reached else "External" if lines > 1 else "FromExternal"
    if lines:
        return "Outbound"
    return "Internal" if reached else "FromInternal"


def state(call: CallRecord) -> topics.CallState:
    """Return the state: the row's word if it is fresh and known, else what the legs say."""
    told = _STATES.get(call.row.status) if call.fresh and call.row is not None else None
    if told is not None:
        return told
    statuses = [side.status for side in call.sides]
    if statuses.count("Connected") > 1 and "Ringing" not in statuses:
        return "Talking"
    if "Ringing" in statuses:
        ringing = [
            side.participant for side in call.sides if side.status == "Ringing" and side.participant
        ]
        return "Transferring" if any(p.referred_by_dn for p in ringing) else "Routing"
    return (
        "Initiating"
        if "Dialing" in statuses
        else "Talking"
        if "Connected" in statuses
        else "Unknown"
    )


def owner(call: CallRecord) -> DerivedLeg | None:
    """Return the originator's leg, else the oldest leg, else None."""
    for side in call.sides:
        if side.key == call.originator:
            return side
    return min(
        call.sides,
        key=lambda side: (call.presence.get(side.key, (0.0, None))[0], side.key),
        default=None,
    )


def outcome(call: CallRecord, *, looking: bool) -> topics.Outcome:
    """Return how the call ended. ``looking``: whether the PBX was being watched at its end.

    The outcome is ``unknown`` if nobody saw whether the call was answered.
    """
    if call.answered_at is not None:
        return "answered"
    if not looking or call.answer_unseen:
        return "unknown"
    meant = call.external or call.mailbox in ("", call.originator)  # else it was for a person
    if call.handled_by and not call.reached and meant:
        return "handled"
    if call.stage:
        return "abandoned"
    if call.external:
        return "missed"
    if not call.extensions and not call.lines:  # ActiveCalls listed it, but no leg of it was seen
        return "unknown"
    return "missed" if (call.reached or call.recorded) and not call.lines else "unanswered"


def lasting_direction(call: CallRecord) -> topics.Direction:
    """Return the final direction of the call.

    It is the last direction in which the call had reached somebody, else the last one that it had.
    """
    return call.lasting or direction(call)


def _times(call: CallRecord) -> None:
    row = call.row
    if row is not None:
        told = [time for time in (row.established_at, row.last_change_status) if time is not None]
        call.started_at = min([call.started_at, *told])
        if call.changed is None or call.changed[0] != row.last_change_status:
            call.changed = row.last_change_status, row.callee


def _originator(
    call: CallRecord,
    directory_index: DirectoryIndex,
    caller: PartyText,
    callees: tuple[PartyText, ...],
) -> None:
    if call.external is None:
        found = _first_sign(call, directory_index)
        if found is None:
            found = _told_by_row(directory_index, caller, callees)
        if found is None:
            found = _routed(call, directory_index)
        if found is not None:
            call.originator, call.external, call.caller_number = found
    if call.external and not call.caller_number:
        call.withheld = call.withheld or caller.withheld or _withheld(call)
    if call.external and caller.dn and directory_index.kind(caller.dn) == "externalline":
        call.originator = call.originator or caller.dn
        if caller.dn == call.originator:
            call.caller_number = call.caller_number or caller.number
    if call.external:
        call.dialled = call.dialled or next(
            (p.party_did for p in call.participants.values() if p.party_did), ""
        )
        call.did = directory_index.did(call.dialled, call.originator)


def _told_by_row(
    directory_index: DirectoryIndex, caller: PartyText, callees: tuple[PartyText, ...]
) -> tuple[str, bool, str] | None:
    """Return the same as :func:`_first_sign` according to the row, or None.

    A caller's text that gives neither a DN nor a number leaves open where the call comes from.
    While the PBX rings the phone of an ordered call, its callee is who ordered it.
    """
    if caller.name == MAKE_CALL and not caller.dn and not caller.number:
        ordering = [p for p in callees if directory_index.kind(p.dn) == "extension"]
        return (ordering[0].dn, False, ordering[0].dn) if len(ordering) == 1 else None
    if not caller.dn and not caller.number and not caller.withheld:
        return None
    return caller.dn, directory_index.kind(caller.dn) in _OUTSIDE, caller.number


def _first_sign(call: CallRecord, directory_index: DirectoryIndex) -> tuple[str, bool, str] | None:
    """Return who began the call according to its participants, or None.

    The parts: originator's DN, whether that is outside, the caller's number.
    """
    for p in call.participants.values():
        kind = party_kind(p, directory_index)
        if p.originated_by_dn == p.dn and directory_index.kind(p.dn) == "extension":
            # A call that this extension ordered: its own phone rings first.
            return p.dn, False, p.dn
        if p.status == "Dialing":
            if directory_index.kind(p.dn) == "externalline":
                return p.dn, True, p.party_caller_id
            return p.dn, False, p.dn
        if p.status == "Ringing" and p.party_dn and not p.referred_by_dn:
            outside = kind == "externalline"
            return p.party_dn, outside, p.party_caller_id if outside else p.party_dn
    for p in call.participants.values():
        if p.status != "Connected" or p.leg_id != 1:
            continue
        if directory_index.kind(p.dn) == "extension":
            return p.dn, False, p.dn
        if directory_index.kind(p.dn) == "externalline":
            return p.dn, True, p.party_caller_id
    return None


def _withheld(call: CallRecord) -> bool:
    return any(p.withheld for p in call.participants.values())


def _routed(call: CallRecord, directory_index: DirectoryIndex) -> tuple[str, bool, str] | None:
    """Return the same as :func:`_first_sign` for a call that nobody saw ringing, or None.

    A leg that the router made has the caller at its other side.
    """
    for p in call.participants.values():
        kind = party_kind(p, directory_index)
        if (
            p.originated_by_dn == ROUTER
            and not p.referred_by_dn
            and kind in ("extension", "externalline")
        ):
            outside = kind == "externalline"
            return p.party_dn, outside, p.party_caller_id if outside else p.party_dn
    return None


def _stage(
    call: CallRecord, directory_index: DirectoryIndex, callees: tuple[PartyText, ...], at: float
) -> None:
    """Find out whether the caller waits in a queue or listens to a machine."""
    held = call.queue
    if call.row is not None and not call.fresh and call.row.status in _PAST_RINGING:
        # An event came after this row was asked for. A caller whom a queue or a machine had
        # accepted by then stays accepted all the same.
        call.hosted = call.hosted or any(
            directory_index.kind(party.dn) in _ACCEPTING for party in callees
        )
        call.caller_connected = call.caller_connected or call.hosted
    if call.fresh and call.row is not None:
        _stage_of_row(call, directory_index, callees, call.row.status)
    elif call.answered_at is None and not call.queue:
        call.queue = _queue_behind(call, directory_index, callees)
    for participant in call.participants.values():
        _stage_of_participant(call, directory_index, participant)
    if call.queue and call.queue == call.originator:
        call.queues.add(call.queue)
        call.queue = ""
    if people_connected(call, directory_index) or _left_queue(call, directory_index):
        call.queue = ""
    if not call.queue:
        call.queued_at = None
        return
    call.queues.add(call.queue)
    call.last_queue = call.queue
    call.caller_connected = True
    if call.queue != held:
        told = call.talking_since
        call.queued_at = at if told is None else told
    if call.first_queued_at is None:
        call.first_queued_at = call.queued_at


def _stage_of_row(
    call: CallRecord, directory_index: DirectoryIndex, callees: tuple[PartyText, ...], word: str
) -> None:
    dns = {party.dn: directory_index.kind(party.dn) for party in callees if party.dn}
    queue = next((dn for dn, kind in dns.items() if kind == "queue"), "")
    agents = directory_index.agents.get(call.queue, frozenset())
    if queue:
        call.queue = queue
    elif dns and (word in ("Talking", "Rerouting") or not dns.keys() <= agents):
        call.queue = ""
    call.machine_dn = next((dn for dn, kind in dns.items() if kind in _MACHINES), "")
    call.hosted = call.hosted or bool(queue or call.machine_dn)
    call.groups.update(dn for dn, kind in dns.items() if kind == "ringgroup")
    call.caller_connected = call.caller_connected or word in ("Talking", "Transferring")


def _queue_behind(
    call: CallRecord, directory_index: DirectoryIndex, callees: tuple[PartyText, ...]
) -> str:
    """Return the queue that a row named just before an event; empty if there is none.

    Its agents ring now, and the next row may name one of them instead of the queue.
    """
    queue = next((party.dn for party in callees if directory_index.kind(party.dn) == "queue"), "")
    ringing = {
        p.dn
        for p in call.participants.values()
        if p.dn != call.originator and p.status == "Ringing"
    }
    return queue if ringing <= directory_index.agents.get(queue, frozenset()) else ""


def _stage_of_participant(
    call: CallRecord, directory_index: DirectoryIndex, p: Participant
) -> None:
    own, party = directory_index.kind(p.dn), party_kind(p, directory_index)
    behalf = directory_index.kind(p.on_behalf_of_dn)
    if behalf == "ringgroup":
        call.groups.add(p.on_behalf_of_dn)
    if party == "ringgroup":
        call.groups.add(p.party_dn)
    if p.status == "Connected" and "queue" in (own, party):
        call.queue = p.dn if own == "queue" else p.party_dn
    elif p.status == "Ringing" and behalf == "queue":
        call.queue = p.on_behalf_of_dn
    if own == "extension" and p.dn != call.originator and p.status != "Dialing":
        call.machine_dn = ""
    if party == "specialmenu" and directory_index.kind(p.party_caller_id) == "extension":
        call.mailbox = p.party_caller_id


def _left_queue(call: CallRecord, directory_index: DirectoryIndex) -> bool:
    """Return whether the waiting caller's own leg is connected to something other than a queue."""
    return any(
        p.dn == call.originator
        and p.status == "Connected"
        and party_kind(p, directory_index) not in ("queue", "unknown")
        for p in call.participants.values()
    )


def _answer(
    call: CallRecord, directory_index: DirectoryIndex, callees: tuple[PartyText, ...], at: float
) -> None:
    """Note when the call was answered: at the event, else as the row tells."""
    told = call.talking_since
    if call.answered_at is None:
        if sum(side.kind in PEOPLE and side.status == "Connected" for side in call.sides) > 1:
            call.answered_at, call.answer_time_uncertain = at, call.new or not call.participants
        elif _answered_by_row(call, directory_index, callees):
            changed = call.row.last_change_status if call.row is not None else None
            call.answered_at, call.answer_time_uncertain = (
                at if changed is None else min(changed, at),
                False,
            )
        else:
            return
    if call.answer_time_uncertain and told is not None:
        call.answered_at, call.answer_time_uncertain = min(call.answered_at, told), False


def _answered_by_row(
    call: CallRecord, directory_index: DirectoryIndex, callees: tuple[PartyText, ...]
) -> bool:
    """Return whether the row proves the answer although no leg shows it.

    The leg may be over or not read yet. If a queue or a machine accepted the caller, the row proves
    nothing: its word stays Talking while the next phone rings.
    """
    if call.row is None or call.row.status != "Talking":
        return False
    if call.hosted or call.queues:
        return False
    return bool(callees) and all(directory_index.kind(party.dn) in PEOPLE for party in callees)


def _reach(call: CallRecord, side: DerivedLeg) -> None:
    call.reached = side.dn
    call.reached_number = side.external_party if side.kind == "externalline" else side.dn
