"""Test the inference of a call as a whole: orders, repetitions, and live against ended."""

from __future__ import annotations

import dataclasses
import random

from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    Fact,
    Participant,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
)
from monitor.shared.entities import topics
from monitor.simulator.behaviour_options import Switches
from monitor.tracking.call_evidence import PEOPLE, CallEvidence
from monitor.tracking.call_inference import CallInference, infer
from monitor.tracking.directory_index import DirectoryIndex
from monitor.tracking.entity_builder import build_call, build_ended
from monitor.tracking.pbx_state import PbxState
from monitor.tracking.tracker import Tracker
from tests.monitor.tracking.pbx_facts import (
    EXTENSIONS,
    NOON,
    Told,
    directory,
    participant,
)
from tests.monitor.tracking.test_tracker_simulator import Followed

CALLS = (1, 2, 3)
_TRUNK = "10000"
_FROM_OUTSIDE = frozenset({"FromExternal", "Inbound", "External"})


def _number(call: int) -> str:
    """The outside number of a call: no two calls have the same."""
    return f"+49170{call:04}"


@st.composite
def _participant(draw: st.DrawFn, call: int) -> Participant:
    """A participant of a PBX that never contradicts itself about a number or an id."""
    dn = draw(st.sampled_from([*EXTENSIONS, "800", _TRUNK]))
    if dn == _TRUNK:  # its legs name the outside number, whoever is at the other side
        party = draw(st.sampled_from([*EXTENSIONS, "800", "700", "999", "600"]))
    else:
        party = draw(st.sampled_from([_TRUNK, "101", "800"]))
    if _TRUNK in (dn, party):
        party = f"{party}:{_number(call)}"
    return participant(
        dn,
        call * 10 + draw(st.integers(1, 4)),
        call,
        draw(st.sampled_from(["Dialing", "Ringing", "Connected", "Hold"])),
        party,
        draw(st.integers(1, 5)),
        on_behalf_of_dn=draw(st.sampled_from(["", "", "800", "600"])),
        referred_by_dn=draw(st.sampled_from(["", "", "101"])),
        originated_by_dn=draw(st.sampled_from(["", "", "ROUTER"])),
    )


@st.composite
def _row(draw: st.DrawFn, call: int) -> ActiveCall:
    outside = f"10000 skyetel ({_number(call)})"
    callees = ["", "101 Ext 101", "101 Ext 101, 102 Ext 102", "800 Sales", "700 Main", outside]
    changed = draw(st.none() | st.integers(0, 200).map(lambda seconds: NOON + seconds))
    return ActiveCall(
        call,
        draw(st.sampled_from([outside, "100 Ext 100", "10000 skyetel (anonymous)", ""])),
        draw(st.sampled_from(callees)),
        draw(st.sampled_from(["Initiating", "Routing", "Talking", "Transferring", "Rerouting"])),
        changed,
        None,
    )


def _unique(participants: list[Participant]) -> tuple[Participant, ...]:
    return tuple({(p.dn, p.id): p for p in participants}.values())


_any_call = st.sampled_from(CALLS)
_participants = st.lists(_any_call.flatmap(_participant), max_size=6).map(_unique)
_rows = st.lists(_any_call.flatmap(_row), max_size=3, unique_by=lambda row: row.id).map(tuple)
_DNS = dict.fromkeys(EXTENSIONS, "Wextension")


@st.composite
def _fact(draw: st.DrawFn, at: float) -> Fact:
    """A fact of this time."""
    moment = NOON + at
    kind = draw(st.sampled_from(["seen", "seen", "gone", "read", "rows", "rows"]))
    if kind == "seen":
        return ParticipantSeen(draw(_any_call.flatmap(_participant)), moment, moment)
    if kind == "gone":
        gone = draw(_any_call.flatmap(_participant))
        return ParticipantGone(gone.dn, gone.id, moment, moment, draw(st.integers(0, 1)))
    if kind == "read":
        return ParticipantsRead(draw(_participants), _DNS, moment, moment)
    return ActiveCallsRead(draw(_rows), moment, moment)


@st.composite
def _histories(draw: st.DrawFn) -> list[Fact]:
    """Facts in the order of their times, after those that a tracker begins with."""
    times = sorted(draw(st.lists(st.integers(10, 200), max_size=14)))
    return [draw(_fact(float(at))) for at in times]


def _state(history: list[Fact], last: list[Fact]) -> topics.State:
    pbx = Told()
    for fact in (*history, *last):
        pbx.tracker.apply(fact)
    return pbx.tracker.state


@given(_histories(), st.lists(_participant(1), min_size=2, max_size=6).map(_unique))
def test_the_order_in_which_a_full_read_lists_participants_means_nothing(
    history: list[Fact], participants: tuple[Participant, ...]
) -> None:
    at = NOON + 300
    one: Fact = ParticipantsRead(participants, _DNS, at, at)
    two: Fact = ParticipantsRead(participants[::-1], _DNS, at, at)
    assert _state(history, [one]) == _state(history, [two])


@given(_histories(), _rows)
def test_the_order_of_rows_means_nothing(history: list[Fact], rows: tuple[ActiveCall, ...]) -> None:
    at = NOON + 300
    one: Fact = ActiveCallsRead(rows, at, at)
    two: Fact = ActiveCallsRead(rows[::-1], at, at)
    assert _state(history, [one]) == _state(history, [two])


@st.composite
def _of_one_instant(draw: st.DrawFn) -> list[Fact]:
    """One fact about each of several calls, all of one instant."""
    at = NOON + 300
    facts: list[Fact] = []
    for call in draw(st.lists(_any_call, min_size=2, unique=True)):
        seen = draw(_participant(call))
        if draw(st.booleans()):
            facts.append(ParticipantSeen(seen, at, at))
        else:
            facts.append(ParticipantGone(seen.dn, seen.id, at, at, draw(st.integers(0, 1))))
    return facts


@given(_histories(), _of_one_instant())
def test_facts_of_one_instant_about_different_calls_may_come_in_any_order(
    history: list[Fact], facts: list[Fact]
) -> None:
    assert _state(history, facts) == _state(history, facts[::-1])


@given(_histories())
def test_a_fact_that_is_told_twice_changes_nothing_the_second_time(history: list[Fact]) -> None:
    pbx, once = Told(), Told()
    for fact in (directory(), *history):
        assert once.tracker.apply(fact) == pbx.tracker.apply(fact)
        assert pbx.tracker.apply(fact) == ()
    last: list[Fact] = [
        ParticipantsRead((), _DNS, NOON + 900, NOON + 900),
        ActiveCallsRead((), NOON + 901, NOON + 901),
    ]
    for fact in last:
        assert once.tracker.apply(fact) == pbx.tracker.apply(fact), (
            "nor does it change how the calls end"
        )


def test_a_participant_that_is_known_word_for_word_touches_no_call() -> None:
    pbx = Told()
    pbx.see("10000", 1, 8, "Connected", "800:+491701", 1)
    pbx.see("10000", 1, 8, "Connected", "105:+491701", 1)
    assert pbx.legs(8)["105"] == ("Ringing", "10000"), "the queue had accepted the caller"
    heard = pbx.now
    again = ParticipantSeen(participant("10001", 2, 8, "Connected", "999:+48555", 2), heard, heard)
    assert pbx.tell(again) != ()
    assert pbx.tell(again) == ()


def _inferences(tracker: Tracker) -> dict[int, CallInference]:
    return dict(tracker._inferences)


def _entities(call: CallInference, state: PbxState) -> tuple[topics.Call, topics.EndedCall]:
    """The call as it is shown, and as it would be kept if it ended now."""
    known = state.directory_index, state.phones
    return build_call(call, *known), build_ended(call, *known, NOON + 900, looking=True)


def test_asking_again_from_the_same_evidence_changes_no_call_of_the_simulator() -> None:
    pbx = Followed(3, Switches(on_behalf_of=True, callees="joined"), calls=60)
    pauses = random.Random(3)
    asked = 0
    while pbx.traffic.stats.over < 60:
        pbx.play(pauses.choice((0.05, 0.2, 1.0)))
        pbx.poll()
        registry, state = pbx.held._call_registry, pbx.held._pbx_state
        for id_, call in _inferences(pbx.held).items():
            again = infer(
                registry.calls[id_], call, state.directory_index, registry.visible, state.at
            )
            asked += 1
            assert _entities(again, state) == _entities(call, state)
    assert asked > 500


@given(_histories())
def test_what_is_shown_of_a_call_never_contradicts_what_is_kept_when_it_ends(
    history: list[Fact],
) -> None:
    pbx = Told()
    shown: dict[int, list[topics.Call]] = {}
    for fact in history:
        before = _inferences(pbx.tracker)
        over = {
            edit.after.call_id
            for edit in pbx.tracker.apply(fact)
            if isinstance(edit.after, topics.EndedCall) and edit.before is None
        }
        state = pbx.tracker._pbx_state
        for id_, inference in _inferences(pbx.tracker).items():
            transferred = id_ in before and inference.continues != before[id_].continues
            if transferred:
                shown[id_] = shown.pop(inference.continues[-1])
            elif id_ in over:  # a call with the same id has ended, and this one has begun
                del before[id_]
            if id_ not in before:
                shown[id_] = []
            call, ended = _entities(inference, state)
            shown[id_].append(call)
            _compare(shown[id_], ended)
            if inference != before.get(id_) and not transferred:
                _compare_parties(inference, before.get(id_), call, ended)


def _compare(shown: list[topics.Call], ended: topics.EndedCall) -> None:
    call = shown[-1]
    assert (ended.answered_at, ended.started_at) == (call.answered_at, call.started_at)
    if call.answered_at is None:
        assert ended.outcome != "answered"
    else:
        with_legs = [one for one in shown if one.legs]
        waited = bool(with_legs) and with_legs[-1].queue != ""
        assert ended.outcome == ("abandoned" if waited else "answered")
    queues = [one.queue for one in shown if one.queue]
    assert ended.queue in ("", queues[-1] if queues else "")  # empty if it left for a machine
    assert (ended.queues, ended.groups) == (call.queues, call.groups)
    directions = [one.direction for one in shown if one.legs] or [call.direction]
    # A call counts as one from inside until something tells where it comes from.
    outside = directions[-1] in _FROM_OUTSIDE
    directions = [one for one in directions if (one in _FROM_OUTSIDE) == outside]
    reached = [direction for direction in directions if not direction.startswith("From")]
    assert ended.direction == (reached or directions)[-1]
    assert ended.extensions == tuple(sorted({dn for one in shown for dn in one.extensions}))


def _compare_parties(
    inference: CallInference,
    before: CallInference | None,
    call: topics.Call,
    ended: topics.EndedCall,
) -> None:
    owner, originator = call.owner, inference.originator
    if (
        owner is not None
        and owner.dn_num == originator.dn
        and inference.legs[0].key == owner.dn_num
    ):
        outside = owner.dn_type == "externalline" and originator.external
        number = owner.external_party if outside else owner.dn_num
        assert ended.caller in (number, "") or not number, "a number may be told later, not another"
    others = {
        leg.external_party if leg.kind == "externalline" else leg.dn
        for leg in inference.legs
        if leg.kind in PEOPLE | {"ringgroup"}
        and leg.key != originator.dn
        and leg.status != "Dialing"
    }
    answered_now = call.answered_at is not None and (before is None or before.answer.at is None)
    takers = {number for _, number in inference.answer.by_row}
    if len(takers) > 1:  # a row proved the answer and named several: nobody knows who answered
        takers.add("")
    if others and (answered_now or call.answered_at is None):
        hidden = "" in others
        assert ended.callee in others | takers or hidden or ended.outcome == "handled"


def test_a_call_with_thousands_of_participants_is_inferred_in_linear_time() -> None:
    """Count the looks at a participant's DN, which no clock can falsify."""
    few, many = _looks(50), _looks(400)
    assert many < few * 8 * 1.5


def _looks(size: int) -> int:
    looks = 0

    class Counted(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal looks
            looks += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    listed = [
        *(participant("100", n, 1, "Connected", f"5{n:04}", 1) for n in range(size)),
        *(participant(f"5{n:04}", size + n, 1, "Ringing", "100", 2) for n in range(size)),
        *(participant(_TRUNK, 2 * size + n, 1, "Hold", "100:+4930", 3) for n in range(size)),
    ]
    evidence = CallEvidence(1, NOON)
    for one in listed:
        counted = dataclasses.replace(one, dn=Counted(one.dn), party_dn=Counted(one.party_dn))
        evidence.participants[one.dn, one.id] = counted
    infer(evidence, None, DirectoryIndex(directory()), frozenset(EXTENSIONS), NOON)
    return looks
