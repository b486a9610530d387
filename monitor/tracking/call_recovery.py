"""Restore what an earlier monitor knew of calls that still go on. Pure.

A new leader reads the PBX's state again. But the PBX does not say since when a call goes on, which
queue it came through or who began it. If a call is the same as a stored one, these facts are taken
over from the stored one. It is the same if it has the same participant, or the same caller under
the same id. A stored call of which nothing is left has ended while no monitor was watching.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix, moment
from monitor.tracking.call_inference import CallAnswer, CallInference, CallPath
from monitor.tracking.caller_rules import Originator, Place

_FROM_OUTSIDE: Final = frozenset({"FromExternal", "Inbound", "External"})


def is_same(
    inference: CallInference, call: topics.Call, participants: Collection[tuple[str, int]] = ()
) -> bool:
    """Return whether the inferred call and the stored one are the same call.

    ``participants``: DN and id of those that are in the call now. The call's id alone does not
    prove it: a PBX that restarted numbers its calls from the beginning again. A common participant
    proves it. So does the same caller under the same id, if one of these is true:

    - The caller has a number outside.
    - The call did not start later than the last moment known of the stored call, plus one second.
      (For the start, the PBX may tell only when the call changed last.)

    A stored call that had not shown any leg yet is the same: it had begun in the moment before.
    """
    if not call.legs or any((leg.dn_num, leg.participant_id) in participants for leg in call.legs):
        return True
    originator = inference.originator
    if originator.number not in map(_number, call.legs):
        return False
    times = (call.started_at, call.answered_at, call.queued_at, *(leg.since for leg in call.legs))
    latest = max(_seconds(time) for time in times if time is not None)
    return bool(originator.external and originator.number) or inference.started_at <= latest + 1.0


def recalled(inference: CallInference, call: topics.Call) -> CallInference:
    """Return the inference with what the stored call knows and the PBX does not say."""
    owner = call.owner
    connected = owner is not None and owner.status == "Connected"
    answer = CallAnswer(inference.answer.at, inference.answer.time_uncertain)
    if call.answered_at is not None:
        answer = CallAnswer(_seconds(call.answered_at))
    path = _path(inference.path, call)
    # Reversed: of two legs on a trunk, the first one has the DN as its key.
    since = {
        leg.dn_num: (leg.status, _seconds(leg.since))
        for leg in reversed(call.legs)
        if leg.since is not None
    }
    return replace(
        inference,
        started_at=min(inference.started_at, _seconds(call.started_at)),
        originator=inference.originator if owner is None else _originator(inference, call, owner),
        place=replace(
            _place(inference.place, call),
            caller_connected=inference.place.caller_connected
            or connected
            or call.answered_at is not None,
        ),
        answer=answer,
        path=replace(
            path,
            since={**path.since, **since},
            lines=path.lines.union(call.lines),
            extensions=path.extensions.union(call.extensions),
            lasting=call.direction,
            unrung=frozenset(leg.dn_num for leg in call.legs if leg.listening),
            hosted=path.hosted or (connected and call.answered_at is None),
        ),
    )


def _path(path: CallPath, call: topics.Call) -> CallPath:
    """Return the path with who had answered the stored call, if nobody is seen who did."""
    taker = _taker(call)
    if path.reached or taker is None or call.answered_at is None:
        return path
    return replace(path, reached=taker.dn_num, reached_number=_number(taker))


def _originator(inference: CallInference, call: topics.Call, owner: topics.Leg) -> Originator:
    return replace(
        inference.originator,
        dn=owner.dn_num,
        external=call.direction in _FROM_OUTSIDE,
        number=_number(owner),
        withheld=owner.hidden,
        did=inference.originator.did or call.did,
    )


def _place(place: Place, call: topics.Call) -> Place:
    place = replace(
        place,
        queue=place.queue or call.queue,
        queues=place.queues.union(call.queues),
        groups=place.groups.union(call.groups),
    )
    if not call.queue or call.queued_at is None:
        return place
    queued_at = _seconds(call.queued_at)
    if place.queue != call.queue:
        # It went on to another queue meanwhile; there it waits since it was found.
        return replace(place, first_queued_at=queued_at)
    return replace(place, first_queued_at=queued_at, queued_at=queued_at, last_queue=call.queue)


def _number(leg: topics.Leg | None) -> str:
    """Return the number behind a leg: the outside number for a trunk, else the DN."""
    if leg is None:
        return ""
    return leg.external_party if leg.dn_type == "externalline" else leg.dn_num


def _seconds(instant: str) -> float:
    return moment(instant).timestamp()


def ended_unseen(call: topics.Call, at: float) -> topics.EndedCall:
    """Return the stored call as one that ended while no monitor was watching.

    ``at``: when it was found to be gone, POSIX seconds.
    """
    owner = call.owner
    outside = owner is not None and owner.dn_type == "externalline"
    callee = _taker(call)
    return topics.EndedCall(
        call_id=call.call_id,
        direction=call.direction,
        did=call.did,
        queue=call.queue or max(call.queues, default=""),
        started_at=call.started_at,
        answered_at=call.answered_at,
        ended_at=from_unix(at),
        outcome="answered" if call.answered_at is not None else "unknown",
        caller=_number(owner),
        caller_name=(owner.party_name if outside else owner.name) if owner is not None else "",
        callee=_number(callee),
        callee_name=callee.name if callee is not None and callee.dn_type == "extension" else "",
        extensions=call.extensions,
        queues=call.queues,
        groups=call.groups,
        lines=call.lines,
        extgroups=call.extgroups,
        queued_at=call.queued_at,
        hidden=owner is not None and owner.hidden,
    )


def _taker(call: topics.Call) -> topics.Leg | None:
    """Return the leg of who took the stored call, else of who rings; None if there is none."""
    others = (*call.talk_to, *call.routing_to)
    return next((leg for leg in others if leg.dn_type in ("extension", "externalline")), None)
