"""Test what the documented interface tells, fact by fact."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from monitor.pbx.facts import ConnectionChanged, UserRow
from monitor.pbx.webapi import parser
from monitor.pbx.webapi.facts import BusyTold, CallsTold, EndedTold, ToldCall
from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.shared.errors import PbxGarbled
from monitor.shared.timestamps import from_unix
from monitor.tracking import webapi_call_rules
from monitor.tracking.pbx_state import ENDED_KEPT, LISTED
from monitor.tracking.webapi_tracker import WebApiTracker
from tests.monitor.tracking.pbx_facts import NOON, directory
from tests.steps import steps

TOM = {"dnNum": "100", "dnType": "extension", "externalParty": "101", "status": "Connected"}
ANN = {"dnNum": "101", "dnType": "extension", "externalParty": "100", "status": "Connected"}
OUTSIDE = {"dnNum": "10000", "dnType": "line", "externalParty": "+491701", "status": "Connected"}
SALES = {"dnNum": "800", "dnType": "queue", "externalParty": "+491701", "status": "Connected"}


def told(id_: int, direction: str, *legs: dict[str, str], **info: Any) -> ToldCall:
    """A call as both answers tell it, begun by the first leg."""
    others = list(legs[1:])
    row = {
        "callID": id_,
        "state": "Talking",
        "startedAt": from_unix(NOON - 20),
        "answeredAt": from_unix(NOON - 10),
        "owner": legs[0],
        "talkTo": [leg for leg in others if leg["status"] == "Connected"],
        "routingTo": [leg for leg in others if leg["status"] == "Ringing"],
    } | info
    by_legs = {
        "AConnByCallID": [
            {"callID": id_, "direction": direction, "did": "", "AConnList": list(legs)}
        ]
    }
    calls, fits = parser.joined(parser.connections(by_legs), parser.infos({"callsInfo": [row]}))
    assert fits
    return calls[0]


class Held:
    """A mirror; checks that the edits account for every change of its state."""

    def __init__(self, memories: topics.State | None = None) -> None:
        self.mirror = WebApiTracker("monitor-1", {"10000": "Hotline"})
        self.now = NOON
        self._copy: topics.State = topics.empty_state(topics.TOPICS | topics.BOOK_TOPICS)
        if memories is not None:
            self.mirror.remember(memories)
            self._copy["ended"] = dict(self.mirror.state["ended"])
        self.tell(ConnectionChanged("connected", "", NOON, "webapi"))
        self.tell(directory())

    def tell(self, fact: Any) -> tuple[Edit, ...]:
        self.now += 1
        return self._check(self.mirror.apply(fact))

    def tick(self) -> tuple[Edit, ...]:
        return self._check(self.mirror.tick(self.now))

    def calls(self, *calls: ToldCall) -> tuple[Edit, ...]:
        return self.tell(CallsTold(calls, self.now))

    @property
    def ended(self) -> list[topics.EndedCall]:
        return list(topics.table(self.mirror.state, "ended", topics.EndedCall).values())

    def call(self, id_: int) -> topics.Call:
        return topics.table(self.mirror.state, "calls", topics.Call)[str(id_)]

    def extension(self, number: str) -> topics.Extension:
        return topics.table(self.mirror.state, "extensions", topics.Extension)[number]

    def _check(self, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
        for edit in edits:
            assert edit.before == self._copy[edit.topic].get(edit.id)
            assert edit.before != edit.after
            if edit.after is None:
                del self._copy[edit.topic][edit.id]
            else:
                self._copy[edit.topic][edit.id] = edit.after
        assert self._copy == self.mirror.state | self.mirror.book
        return edits


@pytest.fixture
def held() -> Held:
    there = Held()
    before = there.mirror.ready
    there.calls()
    assert (before, there.mirror.ready) == (False, True)
    return there


def test_a_call_is_shown_as_it_is_told(held: Held) -> None:
    held.calls(told(7, "Inbound", OUTSIDE, ANN))
    call = held.call(7)
    assert (call.direction, call.state, call.did) == ("Inbound", "Talking", "Hotline")
    assert call.answered_at == from_unix(NOON - 10)
    assert call.owner is not None
    assert (call.owner.dn_type, call.owner.leg_id) == ("externalline", None)
    assert (call.extensions, call.lines) == (("101",), ("10000",))
    assert held.extension("101").status == "Busy"
    assert held.calls(told(7, "Inbound", OUTSIDE, ANN)) == (), "what is told again is no news"


def test_a_call_that_is_told_no_more_has_ended(held: Held) -> None:
    held.calls(told(7, "Inbound", OUTSIDE, ANN))
    held.calls()
    assert [(call.call_id, call.outcome, call.caller, call.callee) for call in held.ended] == [
        (7, "answered", "+491701", "101")
    ]
    assert held.extension("101").status == "Free"


def test_a_call_led_out_on_the_trunk_by_which_it_came_has_two_legs_there(held: Held) -> None:
    held.calls(told(7, "External", OUTSIDE, OUTSIDE | {"externalParty": "+49888"}))
    call = held.call(7)
    assert call.owner is not None
    assert (call.owner.external_party, [leg.external_party for leg in call.talk_to]) == (
        "+491701",
        ["+49888"],
    )
    held.calls()
    assert [(call.outcome, call.caller, call.callee) for call in held.ended] == [
        ("answered", "+491701", "+49888")
    ]


def test_an_id_that_begins_anew_is_another_call(held: Held) -> None:
    held.calls(told(7, "Inbound", OUTSIDE, ANN))
    held.calls(told(7, "Internal", TOM, ANN, startedAt=from_unix(NOON + 60), answeredAt=None))
    assert [call.caller for call in held.ended] == ["+491701"]
    assert held.call(7).direction == "Internal"


def test_a_call_that_ends_while_the_service_is_away_is_not_said_to_be_missed(held: Held) -> None:
    held.calls(
        told(7, "Inbound", OUTSIDE, ANN | {"status": "Ringing"}, answeredAt=None, state="Routing")
    )
    held.tell(ConnectionChanged("lost", "gone", held.now))
    held.tell(ConnectionChanged("connected", "", held.now, "webapi"))
    held.calls()
    assert held.ended[0].outcome == "unknown"


def test_a_caller_who_waits_stands_in_the_queue_until_he_gives_up(held: Held) -> None:
    held.calls(told(7, "FromExternal", OUTSIDE, SALES, answeredAt=None))
    waiting = topics.table(held.mirror.state, "queues", topics.Queue)["800"].waiting
    assert [caller.num for caller in waiting] == ["+491701"]
    held.calls()
    assert (held.ended[0].outcome, held.ended[0].queue) == ("abandoned", "800")


def test_of_two_devices_the_one_furthest_on_is_the_leg(held: Held) -> None:
    held.calls(told(7, "Internal", TOM, ANN | {"status": "Ringing"}, ANN))
    assert [(leg.dn_num, leg.status) for leg in held.call(7).legs] == [
        ("100", "Connected"),
        ("101", "Connected"),
    ]
    assert len(held.extension("101").talks) == 1


def test_the_services_own_word_of_an_end_takes_the_place_of_ours(held: Held) -> None:
    held.calls(told(7, "Inbound", OUTSIDE, ANN))
    held.calls()
    own = held.ended[0]
    better = topics.EndedCall(
        7,
        "Inbound",
        "Main",
        "",
        from_unix(NOON - 21),
        None,
        own.ended_at,
        "missed",
        "+491701",
        "",
        "101",
        "",
    )
    held.tell(EndedTold((better,), held.now))
    assert held.ended == [better]
    assert held.tell(EndedTold((better,), held.now)) == ()


def test_how_calls_ended_is_remembered_no_longer_than_they_are_shown(held: Held) -> None:
    for id_ in range(ENDED_KEPT + 200):
        held.mirror.apply(CallsTold((told(id_, "Inbound", OUTSIDE, ANN),), held.now))
    held.mirror.tick(held.now)
    assert len(held.mirror.state["ended"]) == ENDED_KEPT
    assert len(held.mirror._concluded) <= ENDED_KEPT, (
        "where the service keeps no list nothing else empties it"
    )


def test_a_new_monitor_takes_over_what_the_last_one_knew(held: Held) -> None:
    held.calls(
        told(7, "FromExternal", OUTSIDE, SALES, answeredAt=None), told(8, "Internal", TOM, ANN)
    )
    before = held.call(7)
    heir = Held({topic: dict(table) for topic, table in held.mirror.state.items()})
    heir.now += 100
    heir.calls(told(7, "FromExternal", OUTSIDE, SALES, answeredAt=None))
    heir.tick()
    assert heir.call(7).queued_at == before.queued_at
    assert [call.call_id for call in heir.ended] == [8]


def test_without_calls_the_states_tell_who_is_busy(held: Held) -> None:
    held.tell(BusyTold(frozenset({"101"}), held.now))
    assert (held.extension("101").status, held.extension("101").available) == ("Busy", False)
    held.tell(directory())
    assert held.extension("101").status == "Busy"
    held.tell(BusyTold(frozenset(), held.now))
    assert (held.extension("101").status, held.extension("101").available) == ("Free", True)


def test_answers_of_another_shape_are_refused_and_odd_fields_left_out() -> None:
    assert parser.numbers({"nums": ["100", 101, None, {}, "100"]}) == ("100", "101")
    assert (
        parser.connections(
            {"AConnByCallID": [{"callID": "x"}, 5, {"callID": "7", "AConnList": [{}]}]}
        )[7].legs
        == ()
    )
    shapes: tuple[Any, ...] = (None, [], {"nums": "100"}, "100")
    for wrong in shapes:
        with pytest.raises(PbxGarbled):
            parser.numbers(wrong)


def test_a_call_that_ended_as_the_service_tells_it_has_bounded_lists(held: Held) -> None:
    held.calls(told(7, "Inbound", OUTSIDE, ANN))
    held.calls()
    (own,) = held.ended
    everywhere = tuple(f"{n:05}" for n in range(2_000))
    held.tell(EndedTold((replace(own, extensions=everywhere),), held.now))
    assert [call.extensions for call in held.ended] == [everywhere[:LISTED]]


def test_the_legs_of_one_call_cost_each_the_same() -> None:
    def cost(size: int) -> int:
        held = Held()
        legs = tuple(
            topics.Leg(f"1{n:05}", "externalline", f"+49{n}", "Connected") for n in range(size)
        )
        call = ToldCall(7, legs, "Inbound", "", None)
        held.calls(call)
        inference, phones = held.mirror._inferences[7], held.mirror._pbx_state.phones
        index = held.mirror._pbx_state.directory_index
        return steps(lambda: webapi_call_rules.build_told(inference, call, index, phones))

    cost(400)  # fills caches
    assert cost(400) < 5 * cost(100)


def test_calls_that_end_together_cost_one_look_at_all_extensions() -> None:
    def cost(calls: int, others: int) -> int:
        held = Held()
        users = (*directory().users, *(UserRow(n, f"5{n:05}") for n in range(others)))
        held.tell(directory(users=users))
        held.calls(*(told(id_, "Inbound", OUTSIDE, ANN) for id_ in range(calls)))
        held.tell(BusyTold(frozenset({"101"}), held.now))
        gone = CallsTold((), held.now)
        work = steps(lambda: held.mirror.apply(gone))
        assert len(held.ended) == calls
        assert held.extension("101").status == "Busy", "by its own state"
        return work

    cost(10, 0)  # fills caches
    assert cost(40, 400) - cost(40, 100) == cost(10, 400) - cost(10, 100)


def test_a_leg_that_is_told_to_listen_does_not_talk(held: Held) -> None:
    ann = {**ANN, "externalParty": "+491701"}
    beside: Any = {**TOM, "listening": True}
    held.calls(by_legs_alone(told(7, "Inbound", OUTSIDE, ann, beside)))
    assert [leg.dn_num for leg in held.call(7).talk_to] == ["101"]
    assert (held.extension("100").activity, held.extension("101").activity) == (
        "Listening",
        "Talking",
    )
    held.calls(by_legs_alone(told(8, "Inbound", OUTSIDE, beside)))
    assert held.call(8).answered_at is None, "nobody talks with the caller"


def by_legs_alone(call: ToldCall) -> ToldCall:
    """The call as a service tells it that has its legs alone."""
    return ToldCall(call.id, call.legs, call.direction, call.did, None)
