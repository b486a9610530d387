"""What is special about the rare kinds of calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.call_kinds import Kind
from monitor.simulator.calls.ground_truth import TruthCall
from monitor.simulator.calls.switchboard import ActiveCallRow
from monitor.simulator.traffic.notations import redialled
from tests.monitor.simulator.traffic.test_generator import Day, day


def moments(today: Day, calls: int = 25) -> Iterator[tuple[TruthCall, ActiveCallRow]]:
    """Play the calls; yield each call and its row, four times a second."""
    for _ in range(60_000):
        today.traffic.advance(0.25)
        yield from zip(today.switchboard.truth(), today.switchboard.active_calls(), strict=True)
        if today.traffic.stats.over >= calls:
            return


def of(kind: Kind) -> Day:
    return day(10.0, limit=25, kinds=(kind,))


def statuses(truth: TruthCall, dn_type: str) -> list[str]:
    return [leg.status for leg in truth.legs if leg.dn_type == dn_type]


def test_an_ordered_call_has_makecall_as_its_caller_while_the_phone_rings() -> None:
    rows = [row for _, row in moments(of("ordered"))]
    assert any(row.caller == "MakeCall" for row in rows)
    assert any(row.caller[:1] == "1" and "(+" in row.callee for row in rows)


def test_a_page_connects_many_phones_that_never_ring() -> None:
    seen = [truth for truth, _ in moments(of("paging"))]
    assert max(len(truth.legs) for truth in seen) > 3
    assert all(set(statuses(truth, "extension")) == {"Connected"} for truth in seen)


@pytest.mark.parametrize(
    ("kind", "dn_type"),
    [
        ("fax", "fax"),
        ("own_fax", "fax"),
        ("own_parking", "parking"),
        ("own_voicemail", "specialmenu"),
        ("own_menu", "ivr"),
        ("holiday", "ivr"),
        ("parked", "parking"),
        ("crm_app", "routepoint"),
    ],
)
def test_machines_take_calls(kind: Kind, dn_type: str) -> None:
    assert any(statuses(truth, dn_type) == ["Connected"] for truth, _ in moments(of(kind)))


def test_an_agent_has_two_calls() -> None:
    today = of("two_calls")
    most = 0
    for _ in moments(today):
        most = max(most, *(today.switchboard.in_use(n) for n in today.directory.extensions()))
    assert most == 2


def test_an_agent_of_a_queue_waits_in_it_or_listens_to_a_machine() -> None:
    today = of("waiting_agent")
    seen = {
        leg.dn_type
        for truth, _ in moments(today)
        for leg in truth.legs
        if truth.legs[0].dn_type == "extension" and len(truth.legs) == 2
    }
    assert {"queue", "ivr", "specialmenu"} <= seen


def test_one_agent_rings_twice_in_one_call() -> None:
    turns: dict[tuple[int, str], list[bool]] = {}
    for truth, _ in moments(of("rung_twice")):
        for agent in {leg.dn for leg in truth.legs} | {dn for _, dn in turns}:
            turn = turns.setdefault((truth.call_id, agent), [])
            if turn[-1:] != [agent in truth.routing_to]:
                turn.append(agent in truth.routing_to)
    assert any(turn.count(True) >= 2 for turn in turns.values())


def test_a_supervisor_joins_a_talk_and_is_no_party_of_it() -> None:
    three = [truth for truth, _ in moments(of("supervised")) if len(truth.legs) == 3]
    assert three
    assert all(len(truth.talk_to) == 1 for truth in three)


def test_a_phone_shows_a_second_participant_that_goes() -> None:
    today = of("second_participant")
    seen = set()
    for truth, _ in moments(today):
        for leg in truth.legs:
            if leg.dn_type == "extension":
                views = today.switchboard.participants(leg.dn)
                seen |= {(view.status, view.device_id == "") for view in views}
    assert ("Ringing", True) in seen
    assert ("Connected", True) not in seen


def test_a_missed_caller_is_called_back_in_another_notation() -> None:
    today = of("called_back")
    list(moments(today))
    numbers = {plan.outside[0] for i in range(40) if (plan := today.traffic.plan(i)) is not None}
    back = [end for end in today.switchboard.ended() if end.direction == "Outbound"]
    assert len(back) > 15
    dialled = {leg.external_party for end in back for leg in end.legs if leg.dn[0] == "1"}
    assert dialled & {redialled(number) for number in numbers}


def test_a_missed_caller_rings_again() -> None:
    today = of("calls_again")
    list(moments(today))
    outcomes: dict[str, list[str]] = {}
    for end in today.switchboard.ended():
        outcomes.setdefault(end.caller, []).append(end.outcome)
    assert ["missed", "answered"] in outcomes.values()


def test_a_queue_that_was_left_calls_back() -> None:
    rows = [row for _, row in moments(of("queue_callback"))]
    assert any(row.callee == "QCB Queue callback" for row in rows)
    assert any(row.caller == "QCB Queue callback" for row in rows)


@pytest.mark.parametrize("kind", ["attended", "attended_ringing"])
@pytest.mark.parametrize("survivor", ["first", "second"])
def test_either_call_survives_an_attended_transfer(kind: Kind, survivor: str) -> None:
    switches = Switches(survivor="second" if survivor == "second" else "first")
    today = day(10.0, limit=25, kinds=(kind,), switches=switches)
    handed_over = 0
    before: dict[int, set[str]] = {}
    for truth, _ in moments(today):
        now = {leg.dn for leg in truth.legs}
        came, known = now - before.get(truth.call_id, now), before.get(truth.call_id, now)
        handed_over += bool(came) and (len(now & known), len(now), len(known)) == (1, 2, 2)
        before[truth.call_id] = now
    assert handed_over > 5
    assert today.traffic.stats.over == 25
    assert today.switchboard.calls == {}
    assert today.client.errors == []


def test_an_ai_agent_answers_at_once() -> None:
    waits = [
        truth.answered_at - truth.started_at
        for truth, _ in moments(of("ai_agent"))
        if truth.answered_at and "121" in truth.talk_to
    ]
    assert waits
    assert max(waits) < 1.5
