"""One call, joined from what Call Control and ActiveCalls say of it. Pure.

Call Control lists the legs ("participants") of the DNs that the API client may monitor, with the other side of each.
ActiveCalls lists every call with a state word and its two parties as text. Neither is whole; the rules:

*Legs.* A visible participant is a leg; several devices of one DN are one leg, in the state of the one furthest on.
The other side of a visible leg (``party_dn``) is a leg too, in the state that answers this one's: Connected to
Connected, Ringing to Dialing, which rings; but a caller whom a queue, an IVR or somebody has accepted stays Connected
while the next phone rings. What is in no participant comes from the ActiveCalls row: the caller's trunk, a queue, an
IVR, a second trunk, an extension that may not be monitored.

*Waiting.* A caller (not a queue that calls back) waits in a queue from the first sign of it until somebody answers or
the row names somebody who is not its agent. Signs are a row whose callee is a queue (be it older than the first agent's
ringing), a participant connected to one, a leg ringing on behalf of one. While agents ring, the queue's leg stays.

*Who began it.* The row's caller; before there is a row, the dialling extension, or the trunk behind a ringing one;
without rows, the other side of a leg that the PBX routed. It is kept for the call's life, as a transfer does not change
it. It comes from outside if a trunk began it, or a number that is no DN.

*Direction* follows from who began it and the legs that there are. Inbound and Internal need somebody beside the
originator whom the call has reached: an extension, voicemail, a conference; a queue or an IVR is not yet somebody.

*State* is the row's word, if the row was asked for after the call's last event; else what the legs say.

*Times.* startedAt is the earliest time that anything says of the call: the first event, or the row's. answeredAt is the
moment of the event with which two people (extension, outside line, conference) were connected; for a call that nobody
saw being answered, the row's LastChangeStatus, if it was not the same with another callee: from a queue to somebody the
word may stay Talking. Both are kept. 3CX gives participants no time stamps. A row that says of a caller whom no queue
and no machine had that he talks to a person proves the answer, even if an event has overtaken that row on its way.

*Outcome.* Who was not answered was missed, or gave up. If a leg that rang changed and was gone before it could be read,
or the call was past its ringing when it was first seen, it may have been answered: nobody knows.

*DID.* The PBX's own word (``party_did``) if it gives one, else a configured one, else the trunk's only inbound rule.
"""

from __future__ import annotations

from monitor.legs import PEOPLE, ROUTER, CallRecord, Side, party_kind, people_connected, sides
from monitor.model import entities as e
from monitor.partytext import NOBODY, PartyText, parse, parse_several
from monitor.pbx.facts import Participant
from monitor.roster import Roster

_REACHED = frozenset({"extension", "specialmenu", "conference", "fax", "parking", "routepoint"})
_LINGER = 5.0
"""Seconds that a leg may be missing between two reads and still be the same."""
_OUTSIDE = frozenset({"externalline", "unknown"})
_MACHINES = frozenset({"ivr", "specialmenu", "parking", "fax", "routepoint"})
_ACCEPTING = _MACHINES | {"queue"}
_PAST_RINGING = frozenset({"Talking", "Transferring"})
_STATES: dict[str, e.CallState] = {
    "Initiating": "Initiating",
    "Routing": "Routing",
    "Talking": "Talking",
    "Transferring": "Transferring",
    "Rerouting": "Rerouting",
}


def observe(call: CallRecord, roster: Roster, visible: frozenset[str], at: float) -> None:
    """Draw all conclusions after the call's participants or its row have changed.

    ``visible``: the DNs whose legs Call Control shows; of those no row tells anything better. ``at``: now.
    """
    row = call.row
    caller = parse(row.caller, roster.kind) if row else NOBODY
    callees = parse_several(row.callee, roster.kind) if row else ()
    _times(call)
    _originator(call, roster, caller)
    _stage(call, roster, callees, at)
    call.sides = sides(call, roster, visible, caller, callees)
    _answer(call, roster, callees, at)
    remember(call, at)
    if call.new:
        talked = state(call) in _PAST_RINGING and not (call.stage or call.machine or call.recorded)
        call.answer_unseen = talked and call.answered_at is None
    call.new = False


def remember(call: CallRecord, at: float) -> None:
    """Keep what the call's later life and its end need: since when, through what, whom it reached."""
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
        now = direction(call)
        if call.lasting is None or not now.startswith("From"):
            call.lasting = now
    others = [s for s in call.sides if s.key != call.originator and s.kind in PEOPLE and s.status != "Dialing"]
    taken = [side for side in others if side.status == "Connected"]
    if call.answered_at is None and others:
        _reach(call, others[-1])
    elif taken and (call.answered_at == at or not call.reached):
        _reach(call, taken[0])


def _note_presence(call: CallRecord, at: float) -> None:
    """Note since when each leg is there. One that is told of again soon was never gone: who left was read before."""
    kept = {key: held for key, held in call.there.items() if held[1] is None or at - held[1] < _LINGER}
    present = {side.key for side in call.sides}
    gone = {key: (since, at if left is None else left) for key, (since, left) in kept.items() if key not in present}
    call.there = gone | {key: (kept[key][0] if key in kept else at, None) for key in present}


def direction(call: CallRecord) -> e.Direction:
    """Tell the direction from who began the call and the legs that it has now."""
    lines = sum(side.kind == "externalline" for side in call.sides)
    reached = any(side.kind in _REACHED and (call.external or side.dn != call.originator) for side in call.sides)
    if call.external:
        return "Inbound" if reached else "External" if lines > 1 else "FromExternal"
    if lines:
        return "Outbound"
    return "Internal" if reached else "FromInternal"


def state(call: CallRecord) -> e.CallState:
    """Tell the state: the row's word if it is fresh, else what the legs say."""
    if call.fresh and call.row is not None:
        return _STATES.get(call.row.status, "Unknown")
    statuses = [side.status for side in call.sides]
    if statuses.count("Connected") > 1 and "Ringing" not in statuses:
        return "Talking"
    if "Ringing" in statuses:
        ringing = [side.participant for side in call.sides if side.status == "Ringing" and side.participant]
        return "Transferring" if any(p.referred_by_dn for p in ringing) else "Routing"
    return "Initiating" if "Dialing" in statuses else "Talking" if "Connected" in statuses else "Unknown"


def owner(call: CallRecord) -> Side | None:
    """Find the originator's leg while there is one, else the oldest that is left."""
    for side in call.sides:
        if side.key == call.originator:
            return side
    return min(call.sides, key=lambda side: (call.there.get(side.key, (0.0, None))[0], side.key), default=None)


def outcome(call: CallRecord, *, looking: bool) -> e.Outcome:
    """Tell how the call ended. ``looking``: whether the PBX was being watched at its end.

    A call of which nobody saw whether it was answered, or whom it rang, ended nobody knows how.
    """
    if call.answered_at is not None:
        return "answered"
    if not looking or call.answer_unseen:
        return "unknown"
    if call.stage:
        return "abandoned"
    if call.external:
        return "missed"
    if not call.extensions and not call.lines:  # it stood in a row, and no leg of it was seen
        return "unknown"
    return "missed" if (call.reached or call.recorded) and not call.lines else "unanswered"


def lasting_direction(call: CallRecord) -> e.Direction:
    """Tell the direction for good: the last in which the call had reached somebody, else the last that it had."""
    return call.lasting or direction(call)


def _times(call: CallRecord) -> None:
    row = call.row
    if row is not None:
        told = [time for time in (row.established_at, row.last_change_status) if time is not None]
        call.started_at = min([call.started_at, *told])
        if call.changed is None or call.changed[0] != row.last_change_status:
            call.changed = row.last_change_status, row.callee


def _originator(call: CallRecord, roster: Roster, caller: PartyText) -> None:
    if call.external is None:
        found = _first_sign(call, roster)
        if found is None and caller != NOBODY:
            found = (caller.dn, roster.kind(caller.dn) in _OUTSIDE, caller.number)
        if found is None:
            found = _routed(call, roster)
        if found is not None:
            call.originator, call.external, call.caller_number = found
    if call.external and caller.dn and roster.kind(caller.dn) == "externalline":
        call.originator = call.originator or caller.dn
        if caller.dn == call.originator:
            call.caller_number = call.caller_number or caller.number
    if call.external:
        call.dialled = call.dialled or next((p.party_did for p in call.participants.values() if p.party_did), "")
        call.did = roster.did(call.dialled, call.originator)


def _first_sign(call: CallRecord, roster: Roster) -> tuple[str, bool, str] | None:
    """Who began it, as participants tell: originator's DN, whether it is outside, the caller's number."""
    for p in call.participants.values():
        kind = party_kind(p, roster)
        if p.status == "Dialing":
            if roster.kind(p.dn) == "externalline":
                return p.dn, True, p.party_caller_id
            return p.dn, False, p.dn
        if p.status == "Ringing" and p.party_dn and not p.referred_by_dn:
            outside = kind == "externalline"
            return p.party_dn, outside, p.party_caller_id if outside else p.party_dn
    for p in call.participants.values():
        if p.status != "Connected" or p.leg_id != 1:
            continue
        if roster.kind(p.dn) == "extension":
            return p.dn, False, p.dn
        if roster.kind(p.dn) == "externalline":
            return p.dn, True, p.party_caller_id
    return None


def _routed(call: CallRecord, roster: Roster) -> tuple[str, bool, str] | None:
    """The same of a call that nobody saw ringing: a leg that the router made has the caller at its other side."""
    for p in call.participants.values():
        kind = party_kind(p, roster)
        if p.originated_by_dn == ROUTER and not p.referred_by_dn and kind in ("extension", "externalline"):
            outside = kind == "externalline"
            return p.party_dn, outside, p.party_caller_id if outside else p.party_dn
    return None


def _stage(call: CallRecord, roster: Roster, callees: tuple[PartyText, ...], at: float) -> None:
    """Find out whether the caller waits in a queue or listens to a machine."""
    held = call.queue
    if call.row is not None and not call.fresh and call.row.status == "Talking":
        # An event has overtaken this row, but whom a queue or a machine had accepted by then stays accepted.
        call.hosted = call.hosted or any(roster.kind(party.dn) in _ACCEPTING for party in callees)
        call.accepted = call.accepted or call.hosted
    if call.fresh and call.row is not None:
        _stage_of_row(call, roster, callees, call.row.status)
    elif call.answered_at is None and not call.queue:
        call.queue = _queue_behind(call, roster, callees)
    for participant in call.participants.values():
        _stage_of_participant(call, roster, participant)
    if call.queue and call.queue == call.originator:
        call.queues.add(call.queue)
        call.queue = ""
    if people_connected(call, roster) or _left_queue(call, roster):
        call.queue = ""
    if not call.queue:
        call.queued_at = None
        return
    call.queues.add(call.queue)
    call.last_queue = call.queue
    call.accepted = True
    if call.queue != held:
        told = call.talking_since
        call.queued_at = at if told is None else told
    if call.first_queued_at is None:
        call.first_queued_at = call.queued_at


def _stage_of_row(call: CallRecord, roster: Roster, callees: tuple[PartyText, ...], word: str) -> None:
    dns = {party.dn: roster.kind(party.dn) for party in callees if party.dn}
    queue = next((dn for dn, kind in dns.items() if kind == "queue"), "")
    agents = roster.agents.get(call.queue, frozenset())
    if queue:
        call.queue = queue
    elif dns and (word in ("Talking", "Rerouting") or not dns.keys() <= agents):
        call.queue = ""
    call.machine = next((dn for dn, kind in dns.items() if kind in _MACHINES), "")
    call.hosted = call.hosted or bool(queue or call.machine)
    call.groups.update(dn for dn, kind in dns.items() if kind == "ringgroup")
    call.accepted = call.accepted or word in ("Talking", "Transferring")


def _queue_behind(call: CallRecord, roster: Roster, callees: tuple[PartyText, ...]) -> str:
    """The queue that a row named just before an event: its agents ring now, and the next row may name one of them."""
    queue = next((party.dn for party in callees if roster.kind(party.dn) == "queue"), "")
    ringing = {p.dn for p in call.participants.values() if p.dn != call.originator and p.status == "Ringing"}
    return queue if ringing <= roster.agents.get(queue, frozenset()) else ""


def _stage_of_participant(call: CallRecord, roster: Roster, p: Participant) -> None:
    own, party = roster.kind(p.dn), party_kind(p, roster)
    behalf = roster.kind(p.on_behalf_of_dn)
    if behalf == "ringgroup":
        call.groups.add(p.on_behalf_of_dn)
    if party == "ringgroup":
        call.groups.add(p.party_dn)
    if p.status == "Connected" and "queue" in (own, party):
        call.queue = p.dn if own == "queue" else p.party_dn
    elif p.status == "Ringing" and behalf == "queue":
        call.queue = p.on_behalf_of_dn
    if own == "extension" and p.dn != call.originator and p.status != "Dialing":
        call.machine = ""


def _left_queue(call: CallRecord, roster: Roster) -> bool:
    """Tell whether the waiting caller's own leg shows that he is connected to something else than a queue."""
    return any(
        p.dn == call.originator and p.status == "Connected" and party_kind(p, roster) not in ("queue", "unknown")
        for p in call.participants.values()
    )


def _answer(call: CallRecord, roster: Roster, callees: tuple[PartyText, ...], at: float) -> None:
    """Note when the call was answered: with the event, or as the row tells if it was found answered already."""
    told = call.talking_since
    if call.answered_at is None:
        if sum(side.kind in PEOPLE and side.status == "Connected" for side in call.sides) > 1:
            call.answered_at, call.found_answered = at, call.new or not call.participants
        elif _answered_by_row(call, roster, callees):
            changed = call.row.last_change_status if call.row is not None else None
            call.answered_at, call.found_answered = at if changed is None else min(changed, at), False
        else:
            return
    if call.found_answered and told is not None:
        call.answered_at, call.found_answered = min(call.answered_at, told), False


def _answered_by_row(call: CallRecord, roster: Roster, callees: tuple[PartyText, ...]) -> bool:
    """Tell whether the row proves the answer though no leg shows it, as it is over or not read yet.

    A queue or a machine that accepted the caller leaves the word at Talking while the next phone rings.
    """
    if call.row is None or call.row.status != "Talking":
        return False
    if call.hosted or call.queues:
        return False
    return bool(callees) and all(roster.kind(party.dn) in PEOPLE for party in callees)


def _reach(call: CallRecord, side: Side) -> None:
    call.reached = side.dn
    call.reached_number = side.external_party if side.kind == "externalline" else side.dn
