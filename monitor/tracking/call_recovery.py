"""What an earlier monitor knew of calls that still go on, and the PBX does not say. Pure.

A new leader reads the PBX's state anew, but the PBX does not say since when a call goes on, which queue it came through
or who began it. Where a call is the same as the stored one (the same participant, or the same caller under the same
id), that is taken over. Stored calls of which nothing is left ended while nobody was looking.
"""

from __future__ import annotations

from monitor.shared.entities import topics as e
from monitor.shared.timestamps import from_unix, moment
from monitor.tracking.leg_rules import CallRecord


def is_same(record: CallRecord, call: e.Call) -> bool:
    """Tell whether the record is of the stored call: a PBX that restarted meanwhile numbers its calls anew.

    One of its participants tells it. Else the same caller under the same id does, if he has a number outside, or if
    nothing told of the call is later than all that was known of it: the PBX may tell but the time of its last change.
    """
    known = {(leg.dn_num, leg.participant_id) for leg in call.legs if leg.participant_id is not None}
    if known & record.participants.keys():
        return True
    callers = {leg.external_party if leg.dn_type == "externalline" else leg.dn_num for leg in call.legs}
    if record.caller_number not in callers:
        return False
    times = (call.started_at, call.answered_at, call.queued_at, *(leg.since for leg in call.legs))
    latest = max(moment(time).timestamp() for time in times if time is not None)
    return bool(record.external and record.caller_number) or record.started_at <= latest + 1.0


def take_over(record: CallRecord, call: e.Call) -> None:
    """Give the record what the stored call knows beyond what the PBX says."""
    record.started_at = min(record.started_at, moment(call.started_at).timestamp())
    record.answer_unseen = False
    if call.answered_at is not None:
        record.answered_at, record.answer_time_uncertain = moment(call.answered_at).timestamp(), False
        record.caller_connected = True
    record.queues.update(call.queues)
    record.groups.update(call.groups)
    record.extensions.update(call.extensions)
    record.lines.update(call.lines)
    record.queue = record.queue or call.queue
    if call.queue and call.queued_at is not None:
        record.first_queued_at = moment(call.queued_at).timestamp()
        if record.queue == call.queue:  # else it went on to another meanwhile, and waits there since it was found
            record.queued_at, record.last_queue = record.first_queued_at, call.queue
    owner = call.owner
    if owner is not None:
        record.originator = owner.dn_num
        record.external = call.direction in ("FromExternal", "Inbound", "External")
        record.caller_number = owner.external_party if owner.dn_type == "externalline" else owner.dn_num
        record.caller_connected = record.caller_connected or owner.status == "Connected"
        record.hosted = record.hosted or (owner.status == "Connected" and call.answered_at is None)
    for leg in reversed(call.legs):  # of two legs on a trunk the first is the one that is known by its DN
        if leg.since is not None:
            record.since[leg.dn_num] = (leg.status, moment(leg.since).timestamp())


def ended_unseen(call: e.Call, at: float) -> e.EndedCall:
    """The stored call as one that ended while nobody was looking. ``at``: when it was found to be gone."""
    owner = call.owner
    outside = owner is not None and owner.dn_type == "externalline"
    others = [leg for leg in (*call.talk_to, *call.routing_to) if leg.dn_type in ("extension", "externalline")]
    callee = others[0] if others else None
    return e.EndedCall(
        call_id=call.call_id,
        direction=call.direction,
        did=call.did,
        queue=call.queue or max(call.queues, default=""),
        started_at=call.started_at,
        answered_at=call.answered_at,
        ended_at=from_unix(at),
        outcome="answered" if call.answered_at is not None else "unknown",
        caller=(owner.external_party if outside else owner.dn_num) if owner is not None else "",
        caller_name=(owner.party_name if outside else owner.name) if owner is not None else "",
        callee=(callee.external_party if callee.dn_type == "externalline" else callee.dn_num) if callee else "",
        callee_name=callee.name if callee is not None and callee.dn_type == "extension" else "",
        extensions=call.extensions,
        queues=call.queues,
        groups=call.groups,
        lines=call.lines,
        extgroups=call.extgroups,
        queued_at=call.queued_at,
    )
