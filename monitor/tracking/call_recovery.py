"""Restore what an earlier monitor knew of calls that still go on. Pure.

A new leader reads the PBX's state again. But the PBX does not say since when a call goes on, which
queue it came through or who began it. If a call is the same as a stored one, these facts are taken
over from the stored one. It is the same if it has the same participant, or the same caller under
the same id. A stored call of which nothing is left has ended while no monitor was watching.
"""

from __future__ import annotations

from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix, moment
from monitor.tracking.leg_rules import CallRecord


def is_same(record: CallRecord, call: topics.Call) -> bool:
    """Return whether the record and the stored call are the same call.

    The id alone does not prove it: a PBX that restarted numbers its calls from the beginning again.
    A common participant proves it. So does the same caller under the same id, if one of these is
    true:

    - The caller has a number outside.
    - The record did not start later than the last moment known of the stored call, plus one second.
      (For the start, the PBX may tell only when the call changed last.)
    """
    known = {
        (leg.dn_num, leg.participant_id) for leg in call.legs if leg.participant_id is not None
    }
    if known & record.participants.keys():
        return True
    callers = {
        leg.external_party if leg.dn_type == "externalline" else leg.dn_num for leg in call.legs
    }
    if record.caller_number not in callers:
        return False
    times = (call.started_at, call.answered_at, call.queued_at, *(leg.since for leg in call.legs))
    latest = max(moment(time).timestamp() for time in times if time is not None)
    return bool(record.external and record.caller_number) or record.started_at <= latest + 1.0


def take_over(record: CallRecord, call: topics.Call) -> None:
    """Add to the record what the stored call knows and the PBX does not say."""
    record.started_at = min(record.started_at, moment(call.started_at).timestamp())
    record.answer_unseen = False
    if call.answered_at is not None:
        record.answered_at, record.answer_time_uncertain = (
            moment(call.answered_at).timestamp(),
            False,
        )
        record.caller_connected = True
    record.queues.update(call.queues)
    record.groups.update(call.groups)
    record.extensions.update(call.extensions)
    record.lines.update(call.lines)
    record.queue = record.queue or call.queue
    if call.queue and call.queued_at is not None:
        record.first_queued_at = moment(call.queued_at).timestamp()
        # Otherwise it went on to another queue meanwhile; there it waits since it was found.
        if record.queue == call.queue:
            record.queued_at, record.last_queue = record.first_queued_at, call.queue
    owner = call.owner
    if owner is not None:
        record.originator = owner.dn_num
        record.external = call.direction in ("FromExternal", "Inbound", "External")
        record.caller_number = (
            owner.external_party if owner.dn_type == "externalline" else owner.dn_num
        )
        record.withheld = owner.hidden
        record.caller_connected = record.caller_connected or owner.status == "Connected"
        record.hosted = record.hosted or (owner.status == "Connected" and call.answered_at is None)
    # Reversed: of two legs on a trunk, the first one has the DN as its key.
    for leg in reversed(call.legs):
        if leg.since is not None:
            record.since[leg.dn_num] = (leg.status, moment(leg.since).timestamp())


def ended_unseen(call: topics.Call, at: float) -> topics.EndedCall:
    """Return the stored call as one that ended while no monitor was watching.

    ``at``: when it was found to be gone, POSIX seconds.
    """
    owner = call.owner
    outside = owner is not None and owner.dn_type == "externalline"
    others = [
        leg
        for leg in (*call.talk_to, *call.routing_to)
        if leg.dn_type in ("extension", "externalline")
    ]
    callee = others[0] if others else None
    return topics.EndedCall(
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
        callee=(callee.external_party if callee.dn_type == "externalline" else callee.dn_num)
        if callee
        else "",
        callee_name=callee.name if callee is not None and callee.dn_type == "extension" else "",
        extensions=call.extensions,
        queues=call.queues,
        groups=call.groups,
        lines=call.lines,
        extgroups=call.extgroups,
        queued_at=call.queued_at,
        hidden=owner is not None and owner.hidden,
    )
