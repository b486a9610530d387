"""Find out which legs of a call only listen: supervisors, and phones that play a page. Pure.

*Listeners.* A leg is a listener's if its extension joined a talk of two others from the side: a
supervisor who listens, whispers or barges in. These signs must all be there. Its leg was Connected
when it was first seen. No router, queue, group or transfer made it. Its other side is an extension
that is connected to somebody else, and that one to it, as far as Call Control shows it. Both had
been connected before the leg came; what comes at one moment is a page. So a phone that rang, the
party of a transfer, and a guest of a conference (its other side is the conference) are none. It
listens until its other side is another one, or until somebody's other side is the listener. Nobody
can know whether a supervisor listens or speaks; nor that one listens who is not monitored, whose
agent is not monitored, or who was there before the monitor.

*Pages.* A phone that connects without ringing in a call to a ring group of the kind Paging is a
listener's too. Without that ring group's name in a row or a participant, it counts as talking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from monitor.pbx.facts import Participant
from monitor.tracking.call_evidence import ROUTER, CallReading
from monitor.tracking.caller_rules import Place
from monitor.tracking.leg_rules import DerivedLeg


def mark_listeners(
    legs: tuple[DerivedLeg, ...],
    said: CallReading,
    place: Place,
    unrung: frozenset[str],
    since: Mapping[str, tuple[str, float]],
    visible: frozenset[str],
    now: float,
    *,
    before: tuple[DerivedLeg, ...] = (),
) -> tuple[DerivedLeg, ...]:
    """Return the legs with those marked that listen.

    ``unrung``: keys of legs that were Connected when they were first seen, without the
    originator's. ``since``: key of a leg → its state until now, and since when it is in it.
    ``visible``: DNs whose legs Call Control shows. ``before``: the legs until now.
    """
    pairs, listened = _pairs(said, since, visible), _listened(said, before)

    def listens(leg: DerivedLeg) -> bool:
        p = leg.participant
        if leg.key not in unrung or p is None or p.referred_by_dn:
            return False
        if place.paging or listened.get(leg.key) == p.party_dn:
            return True
        return _joined(p, pairs, since.get(leg.key, ("", now))[1])

    return tuple(replace(leg, listening=listens(leg)) for leg in legs)


def _listened(said: CallReading, before: tuple[DerivedLeg, ...]) -> dict[str, str]:
    """Return the keys of the legs that listened until now and that nobody talks to, and to whom."""
    talked_to = {leg.participant.party_dn for leg in said.listed}
    return {
        leg.key: leg.participant.party_dn
        for leg in before
        if leg.listening and leg.participant is not None and leg.dn not in talked_to
    }


def _pairs(
    said: CallReading, since: Mapping[str, tuple[str, float]], visible: frozenset[str]
) -> dict[str, tuple[str, float]]:
    """Return extensions that are connected to a person, to whom, and since when both are.

    The other person must be connected to it, as far as Call Control shows that one.
    """
    connected = [leg for leg, _ in said.legs if leg.participant.status == "Connected"]
    sides = {(leg.participant.dn, leg.participant.party_dn) for leg in connected}
    pairs: dict[str, tuple[str, float]] = {}
    for leg in connected:
        dn, other = leg.participant.dn, leg.participant.party_dn
        people = leg.kind == "extension" and leg.party_kind in ("extension", "externalline")
        if people and ((other, dn) in sides or other not in visible):
            (own, began), (others, answered) = (since.get(one, ("", 0.0)) for one in (dn, other))
            if own == others == "Connected":
                pairs[dn] = other, max(began, answered)
    return pairs


def _joined(p: Participant, pairs: Mapping[str, tuple[str, float]], came: float) -> bool:
    """Return whether a participant that came then joined two others who had talked before."""
    if p.originated_by_dn == ROUTER or p.on_behalf_of_dn or p.party_dn not in pairs:
        return False
    other, since = pairs[p.party_dn]
    return other != p.dn and since < came
