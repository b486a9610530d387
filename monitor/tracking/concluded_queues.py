"""Conclude from who rings that a call waits in a queue that nothing has named yet. Pure.

Agents may ring before anything names the queue: the caller came in between two reads, and the row
names the phone that rings. Then the queue is concluded from who rings, if nothing else explains it
(:meth:`~monitor.tracking.directory_index.DirectoryIndex.only_queue`). That needs a call from
outside of which nothing else was told, and phones that began to ring together. Such a queue is
likely, not told. It stands until the PBX says otherwise while these phones still ring: the row
names another place, or a phone rings too that is not an agent. Then it is as if it had never been
concluded. A single phone of an agent is not a sign by itself: it may be called directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from monitor.tracking.call_evidence import CallReading, ListedLeg
from monitor.tracking.caller_rules import Originator, Place
from monitor.tracking.directory_index import DirectoryIndex

_TOGETHER: Final = 0.5
"""Seconds within which phones that are rung at once begin to ring."""


def conclude_queue(
    place: Place,
    said: CallReading,
    originator: Originator,
    directory_index: DirectoryIndex,
    since: Mapping[str, tuple[str, float]],
    now: float,
) -> Place:
    """Return the place with the queue for which phones must be ringing, if that is known.

    A phone rings, and no queue, group or machine has been told of. ``since``: key of a leg → its
    state until now, and since when it is in it.
    """
    queue = _queue_of(said, originator, directory_index, since, now)
    if not queue:
        return place
    return replace(
        place,
        queue=queue,
        queued_at=now,
        last_queue=queue,
        first_queued_at=now,
        concluded=queue,
        queues=frozenset({queue}),
        routed_on=True,
        caller_connected=True,
    )


def is_refuted(
    said: CallReading, originator: Originator, before: Place, directory_index: DirectoryIndex
) -> bool:
    """Return whether the PBX says that the phones ring for something else than was concluded."""
    queue = before.concluded
    if queue != before.queue:
        return False
    agents = directory_index.agents.get(queue, frozenset())
    rung = said.ringing - {originator.dn}
    if agents.isdisjoint(rung):
        return False
    named = {dn for dn in _fresh_callees(said) if dn != queue}
    behalf = {leg.participant.on_behalf_of_dn for leg in said.listed} - {"", queue}
    return bool(behalf) or not rung <= agents or not named <= agents


def without_concluded(before: Place) -> Place:
    """Return the place as it was known before a queue was concluded."""
    return replace(
        before,
        queue="",
        queued_at=None,
        last_queue="",
        first_queued_at=None,
        concluded="",
        queues=before.queues - {before.concluded},
        routed_on=before.hosted,
        caller_connected=before.hosted,
    )


def _queue_of(
    said: CallReading,
    originator: Originator,
    directory_index: DirectoryIndex,
    since: Mapping[str, tuple[str, float]],
    now: float,
) -> str:
    """Return the queue for which phones must be ringing; empty if something else may explain it."""
    if not originator.external or said.order is not None:
        return ""
    if any(kind != "extension" for party, kind in said.parties.callees if party.dn):
        return ""
    if not all(_is_rung(leg, originator) for leg in said.listed):
        return ""
    rung = said.ringing
    begun = [since.get(dn, ("", now))[1] for dn in rung]
    if max(begun) - min(begun) > _TOGETHER or since.keys() - rung - {originator.dn}:
        return ""
    return directory_index.only_queue(rung, originator.dn, originator.dialled)


def _is_rung(leg: ListedLeg, originator: Originator) -> bool:
    """Return whether an extension is rung for the caller, on nobody's behalf."""
    p = leg.participant
    routed = p.party_dn == originator.dn and not p.referred_by_dn and not p.on_behalf_of_dn
    return routed and leg.kind == "extension" and p.status == "Ringing"


def _fresh_callees(said: CallReading) -> set[str]:
    return {party.dn for party, _ in said.parties.callees if party.dn} if said.fresh else set()
