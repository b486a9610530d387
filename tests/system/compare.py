"""Compare what a subscriber holds with what really happens at the simulated PBX.

The truth is the simulator's own, told by its legs and not through what its APIs show. A client can
know less where the PBX does not say: the settings (:class:`Known`) tell what it may miss. What it
says must be true all the same.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gateway.stream_client import Entities
from monitor.shared.timestamps import moment
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.ground_truth import TruthCall, TruthEnded, TruthLeg
from monitor.simulator.calls.switchboard import Switchboard
from monitor.simulator.pbx_data.directory import Directory

BETWEEN_POLLS = 1.2
"""Seconds between two reads of ActiveCalls, at most, in the tests' settings."""
_ONLY_WATCHED = ("direction", "queue", "did", "owner", "talkTo", "startedAt", "answeredAt")
_LINE = r"\('externalline', '[^']*', '(?:Dialing|Connected)'\)"
_ACCEPTED = re.compile(rf": leg \S+ is {_LINE}, should be {_LINE}$")
_CONFERRED = re.compile(
    r": leg \S+ is \('conference', '\S*', '\w+'\), should be \('conference', '\S*', '\w+'\)$"
)
_QUEUED = re.compile(r": leg \S+ \('queue', '[^']*', 'Connected'\) is missing;")
HIDDEN = ("anonymous", "Restricted", "unavailable")
"""Words in place of the number of a caller who hides it; it may also be empty."""
NOT_ALWAYS_TOLD = frozenset(("supervised",))
"""Kinds of calls that only one moment tells apart from others.

Who listens is known by coming after two who talk, and by their legs. If all three came while nobody
watched, or if the agent is not monitored, nobody can know it."""
NOT_TOLD_BY_ROWS = NOT_ALWAYS_TOLD | {"paging"}
"""Kinds that are not told apart where ActiveCalls is all that is known."""
SYSTEM_KINDS = {"queue", "ivr", "specialmenu", "parking", "conference", "fax"}


class Pbx(Protocol):
    """A simulated PBX: what the comparison needs of it."""

    client_id: str
    directory: Directory
    switchboard: Switchboard
    switches: Switches


@dataclass(frozen=True, slots=True)
class Known:
    """What the PBX's interfaces let a client know.

    ``tolerance``: seconds by which times may be off.
    """

    visible: frozenset[str]
    """DNs whose legs Call Control shows."""
    everyone: bool
    """True if Call Control shows all extensions and the PBX is near.

    A leg that rings for less than a round trip is gone before a read's answer is there.
    """
    party_did: bool
    only_rule: Mapping[str, str] = field(default_factory=dict)
    """Trunk → name of its only inbound rule."""
    rules: frozenset[str] = frozenset()
    """Names of all inbound rules."""
    tolerance: float = 1.5
    arrives: float = 0.5
    """Seconds for an answer to be there, where everything shares one slow machine."""

    @classmethod
    def of(
        cls, pbx: Pbx, tolerance: float = 1.5, arrives: float = 0.5, *, call_control: bool = True
    ) -> Known:
        """What can be known of this PBX.

        Without Call Control that is what ActiveCalls' rows name.
        """
        rules = {trunk: pbx.directory.rules(trunk) for trunk in pbx.directory.trunk_numbers()}
        visible = frozenset(pbx.directory.peers(pbx.client_id)) if call_control else frozenset()
        return cls(
            visible,
            visible >= set(pbx.directory.extensions()) and not pbx.switches.latency,
            pbx.switches.party_did,
            {trunk: str(found[0]["RuleName"]) for trunk, found in rules.items() if len(found) == 1},
            frozenset(str(rule["RuleName"]) for found in rules.values() for rule in found),
            tolerance,
            arrives,
        )


def differences(pbx: Pbx, state: Entities, known: Known, unseen: Container[int] = ()) -> list[str]:
    """Every way in which the calls that go on are held otherwise than they are, in words.

    ``unseen``: calls whose beginnings nobody watched.
    """
    truth = {str(call.call_id): _lasting(pbx, call) for call in pbx.switchboard.truth()}
    named = {str(row.id): row.dns for row in pbx.switchboard.active_calls()}
    held = state.get("calls", {})
    found = [f"call {id_} is missing" for id_ in truth.keys() - held.keys()]
    found += [f"call {id_} is a ghost: {held[id_]}" for id_ in held.keys() - truth.keys()]
    for id_ in truth.keys() & held.keys():
        wrong = [f"call {id_}: {what}" for what in _call(truth[id_], held[id_], known, named[id_])]
        if truth[id_].call_id in unseen:
            wrong = knowable(wrong)
        elif not truth[id_].accepted_shown:  # that passed between two reads
            wrong = [what for what in wrong if not _ACCEPTED.search(what)]
        found += wrong
    busy = {leg.dn for call in truth.values() for leg in call.legs if leg.dn_type == "extension"}
    sure = known.visible | frozenset().union(*named.values())
    for number, extension in state.get("extensions", {}).items():
        if (extension["status"] == "Busy") != (number in busy) and (
            number in sure or number not in busy
        ):
            found.append(f"extension {number} is {extension['status']}")
    return found


def _lasting(pbx: Pbx, call: TruthCall) -> TruthCall:
    """Return the call with the direction that stays between two rings."""
    lasting = pbx.switchboard.calls[call.call_id].lasting
    return replace(call, direction=lasting or call.direction)


def knowable(found: list[str]) -> list[str]:
    """Return the differences that are faults even if a call was not watched from its beginning.

    No answer tells who began a call, when, through which queue, nor that it waits there still while
    agents ring; nor whether a caller's line had been accepted before the phone began to ring that
    rings now; nor who is whose other side in a conference.
    """
    told = [what for what in found if not any(f": {word} " in what for word in _ONLY_WATCHED)]
    return [
        what
        for what in told
        if not any(hidden.search(what) for hidden in (_ACCEPTED, _CONFERRED, _QUEUED))
    ]


def _own_legs(held: Mapping[str, Any], *, stand_in: bool) -> list[Mapping[str, Any]]:
    """Return the legs, without a ring group's: it may stand in for members that are not shown."""
    legs: list[Mapping[str, Any]] = held["AConnList"]
    return [leg for leg in legs if not (stand_in and leg["dnType"] == "ringgroup")]


def _call(
    truth: TruthCall, held: Mapping[str, Any], known: Known, named: frozenset[str]
) -> Iterator[str]:
    hidden = _hidden(truth, known) - named
    lenient = {
        leg.dn
        for leg in truth.legs
        if leg.dn not in known.visible
        and (hidden or _dials_group(truth, leg) or _is_rung_first(truth, leg))
    }
    legs = {
        leg.dn: (leg.dn_type, shown_number(leg.external_party), leg.status) for leg in truth.legs
    }
    mine = {
        leg["dnNum"]: (leg["dnType"], leg["externalParty"], leg["status"])
        for leg in _own_legs(held, stand_in=bool(hidden))
    }
    if len(mine) != len(_own_legs(held, stand_in=bool(hidden))):
        yield f"a leg is held twice: {held['AConnList']}"
    for dn in legs.keys() - mine.keys() - hidden:
        yield f"leg {dn} {legs[dn]} is missing; held {mine}"
    for dn in mine.keys() - legs.keys():
        yield f"leg {dn} {mine[dn]} is a ghost; true {legs}"
    for dn in legs.keys() & mine.keys() - hidden:
        if mine[dn] != legs[dn] and dn not in lenient:
            yield f"leg {dn} is {mine[dn]}, should be {legs[dn]}"
    if held["state"] != truth.state:
        yield f"state {held['state']}, should be {truth.state}"
    anonymous = {leg.dn for leg in truth.legs if leg.external_party in HIDDEN}
    told = {leg["dnNum"] for leg in held["AConnList"] if leg["hidden"]}
    nameless = {leg.dn for leg in truth.legs if not leg.external_party}
    if told - anonymous - nameless or (anonymous & mine.keys()) - told:
        yield f"hidden is told at {told}, should be at {anonymous}"
    if not hidden:
        yield from _shape(truth, held, known)
    # It may be inferred from the first DN that was seen: a menu may pass between two reads.
    inferred = held["did"] in known.rules and not known.party_did
    if held["did"] not in (_did(truth, known), truth.did) and not inferred:
        yield f"did {held['did']!r}, should be {_did(truth, known)!r}"
    yield from _times(truth, held, known)


def shown_number(number: str) -> str:
    """The number as it is shown: without notation, and empty if the caller hides it."""
    text = re.sub(r"^sips?:", "", number)
    text = re.split(r"[@;]", text)[0].replace("(0)", "")
    digits = re.sub(r"[ ()/-]", "", text)
    return "" if number in HIDDEN else digits if re.fullmatch(r"[+]?[0-9]+", digits) else number


def _shape(truth: TruthCall, held: Mapping[str, Any], known: Known) -> Iterator[str]:
    owner = held["owner"]["dnNum"] if held["owner"] else None
    direction = held["direction"]
    unseen = not known.everyone and direction.startswith("From")  # a phone may have rung unseen
    pairs = (
        ("direction", direction, direction if unseen else truth.direction),
        ("owner", owner, truth.owner),
        ("talkTo", {leg["dnNum"] for leg in held["talkTo"]}, set(truth.talk_to)),
        ("routingTo", {leg["dnNum"] for leg in held["routingTo"]}, set(truth.routing_to)),
        ("queue", held["queue"], truth.queue),
    )
    for name, mine, true in pairs:
        if mine != true:
            yield f"{name} {mine}, should be {true}"


def _hidden(truth: TruthCall, known: Known) -> set[str]:
    """Return DNs of legs never shown: unmonitored extensions, hosts seen between two polls."""
    return {
        leg.dn
        for leg in truth.legs
        if leg.dn not in known.visible
        and (
            leg.dn_type == "extension"
            or (leg.dn not in truth.shown and leg.dn_type in SYSTEM_KINDS)
        )
    }


def _dials_group(truth: TruthCall, leg: TruthLeg) -> bool:
    """Return whether the leg has dialled a ring group: a row names a ringing phone instead."""
    others = (other for other in truth.legs if other is not leg)
    return leg.status == "Dialing" and all(
        leg.external_party not in (o.dn, o.external_party) for o in others
    )


def _is_rung_first(truth: TruthCall, leg: TruthLeg) -> bool:
    """Return whether it is the phone of an ordered call: no row tells what it will dial."""
    return leg.status == "Ringing" and truth.legs == (leg,)


def _did(truth: TruthCall | TruthEnded, known: Known) -> str:
    """The name of the rule, where the PBX tells the number or there is but one."""
    trunk = next((leg.dn for leg in truth.legs if leg.dn_type == "externalline"), "")
    if known.party_did and any(
        leg.dn_type == "extension" and leg.dn in known.visible for leg in truth.legs
    ):
        return truth.did
    return truth.did if known.only_rule.get(trunk) == truth.did else ""


def _times(truth: TruthCall | TruthEnded, held: Mapping[str, Any], known: Known) -> Iterator[str]:
    if abs(moment(held["startedAt"]).timestamp() - truth.started_at) > known.tolerance:
        off = moment(held["startedAt"]).timestamp() - truth.started_at
        yield f"startedAt is off by {off:.3f} s"
    if held["answeredAt"] is None and truth.answer_shown_at is None:
        return  # it went on to ring somebody else before any read of its answer
    parted = truth.parted_at if isinstance(truth, TruthCall) else None
    if (
        held["answeredAt"] is None
        and parted is not None
        and not arrived(truth.answer_shown_at, parted, known.arrives)
    ):
        return  # or while the first that told of it was on its way, which then counts no more
    if (held["answeredAt"] is None) != (truth.answered_at is None):
        yield f"answeredAt {held['answeredAt']}, should be {truth.answered_at}"
    elif truth.answered_at is not None:
        off = moment(held["answeredAt"]).timestamp() - truth.answered_at
        if abs(off) > known.tolerance:
            yield f"answeredAt is off by {off:.3f} s"


def ended_differences(
    pbx: Pbx, ended: Mapping[str, Mapping[str, Any]], known: Known, but: Container[int] = ()
) -> list[str]:
    """Return the differences of the calls that are over.

    ``ended``: the topic, gathered over time. ``but``: calls that are not looked at.
    """
    held = {entity["callID"]: entity for entity in ended.values()}
    found: list[str] = []
    for truth in pbx.switchboard.ended():
        mine = held.pop(truth.call_id, None)
        if truth.call_id in but:
            continue
        if mine is None:
            if arrived(truth.shown_at, truth.ended_at, known.arrives):
                found.append(f"ended call {truth.call_id} is missing: {truth}")
            continue
        found += [
            f"ended call {truth.call_id}: {what}; {mine} {truth}"
            for what in _ended(truth, mine, known)
        ]
    return found + [f"ended call {call_id} is a ghost" for call_id in held]


def arrived(at: float | None, changed: float, within: float) -> bool:
    """Return whether the value was read before it changed: a change discards a late answer."""
    return at is not None and changed - at > within


def _ended(truth: TruthEnded, held: Mapping[str, Any], known: Known) -> Iterator[str]:
    if not arrived(truth.shown_at, truth.ended_at, known.arrives):
        return  # hardly anything was told of it
    seen = known.visible | truth.shown
    whole = all(
        leg.dn in seen and (leg.dn_type != "extension" or leg.dn in known.visible)
        for leg in truth.legs
    )
    if (
        not whole
        and held["answeredAt"] is None
        and truth.ended_at - (truth.answered_at or 0.0) < BETWEEN_POLLS
    ):
        return  # phones that are not monitored talked for less than the time between two reads
    answer_told = arrived(truth.answer_shown_at, truth.ended_at, known.arrives)
    if truth.answered_at is not None and not answer_told and held["answeredAt"] is None:
        return  # it was over before any read of it was answered
    yield from _times(truth, held, known)
    if abs(moment(held["endedAt"]).timestamp() - truth.ended_at) > known.tolerance:
        yield f"endedAt is off by {moment(held['endedAt']).timestamp() - truth.ended_at:.3f} s"
    unseen = not known.everyone and held["direction"].startswith(
        "From"
    )  # somebody's phone may have rung unseen
    # else its last moments may have passed between two reads
    told = answer_told or arrived(truth.last_shown_at, truth.ended_at, known.arrives)
    if whole and told and not unseen and held["direction"] != truth.direction:
        yield f"direction {held['direction']}, should be {truth.direction}"
    if whole and told and held["outcome"] != truth.outcome:
        yield f"outcome {held['outcome']}, should be {truth.outcome}"
    from_the_start = truth.answer_shown_at is None or truth.shown_at != truth.answer_shown_at
    if from_the_start and held["caller"] != shown_number(truth.caller):
        yield f"caller {held['caller']}, should be {truth.caller}"
