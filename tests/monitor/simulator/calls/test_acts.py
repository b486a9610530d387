"""Test that the journal tells all that is done in calls, in order, and only to those who ask."""

from __future__ import annotations

from typing import Literal

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.call_kinds import KINDS
from monitor.simulator.calls.acts import Act
from monitor.simulator.calls.model import OperationRefused
from monitor.simulator.calls.switchboard import Switchboard
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.traffic.generator import TrafficGenerator
from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, NOON, Bench
from tests.truth.calls import Watcher


class Journal:
    """What was done at a bench since this was asked last."""

    def __init__(self, pbx: Bench) -> None:
        self.acts: list[Act] = []
        pbx.switchboard.on_act(self.acts.append)

    def told(self) -> list[str]:
        told = [f"{act.deed} {act.dn}{act.to and '>' + act.to}".strip() for act in self.acts]
        self.acts.clear()
        return told


def test_an_act_says_when_what_where_and_between_whom(pbx: Bench) -> None:
    journal = Journal(pbx)
    call = pbx.switchboard.arrive("10000", CALLER, "+4930123")
    assert journal.acts == [
        Act(NOON, "arrived", call.id, "10000", "externalline", CALLER, "+4930123")
    ]
    pbx.now += 3
    pbx.switchboard.route(call, MOBILE)
    routed, ringing = journal.acts[1:]
    assert routed == Act(NOON + 3, "routed", call.id, to=MOBILE)
    assert (ringing.deed, ringing.kind, ringing.number) == ("ringing", "externalline", MOBILE)


def test_a_queue_without_greeting_rings_its_agents_in_vain_and_then_one_answers(pbx: Bench) -> None:
    journal = Journal(pbx)
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "800", greeting=False)
    pbx.switchboard.wait(call)
    pbx.switchboard.poll(call, ("104",))
    pbx.switchboard.no_answer(call)
    pbx.switchboard.poll(call, ("104", "105"))
    pbx.switchboard.answer(call, "105")
    pbx.switchboard.drop(call, "105")
    assert journal.told() == [
        "arrived 10000",
        *("routed >800", "entered 800", "unheard 800", "waits 800"),
        *("polled 800", "ringing 104>800", "timed_out 104", "silent 104"),
        *("polled 800", "ringing 104>800", "ringing 105>800"),
        *("picked_up 105", "silent 104", "left 800"),
        *("hung_up 105", "ended"),
    ]


def test_transfers_merges_conferences_diversions_and_refusals_name_who_did_it(pbx: Bench) -> None:
    call, journal = pbx.talk("100"), Journal(pbx)
    pbx.switchboard.transfer(call, "100", "101")
    pbx.switchboard.no_answer(call)
    pbx.switchboard.answer(call, "100")
    assert journal.told() == [
        *("transferred 100>101", "left 100", "ringing 101"),
        *("timed_out 101", "silent 101", "returned 100", "ringing 100", "picked_up 100"),
    ]
    second = pbx.switchboard.dial("100", "107")
    pbx.switchboard.answer(second, "107")
    journal.told()
    pbx.switchboard.merge(call, second, "100")
    (merged, *_) = journal.acts
    assert (merged.call, merged.other, merged.dn, merged.to) == (call.id, second.id, "100", "107")
    assert journal.told() == ["merged 100>107", "left 100", "ended"]
    pbx.switchboard.invite(call, "107", "110")
    pbx.switchboard.drop(call, "110")
    told = journal.told()
    assert told[0] == "invited 107>110"
    assert told[-3:] == ["ringing 110", "rejected 110", "silent 110"]
    rung = pbx.inbound("111")
    journal.told()
    pbx.switchboard.divert(rung, "111", "112")
    pbx.switchboard.add_route(rung, "112", "113")
    assert journal.told() == [
        *("diverted 111>112", "silent 111", "ringing 112"),
        *("forked 112>113", "ringing 113"),
    ]


def test_an_ordered_call_rings_its_own_phone_first(pbx: Bench) -> None:
    journal = Journal(pbx)
    call = pbx.switchboard.ring_first("100", "107")
    pbx.switchboard.answer(call, "100")
    assert journal.told() == ["ordered 100>107", "ringing 100", "picked_up 100", "ringing 107"]
    pbx.switchboard.restart()
    assert journal.told() == ["restarted"]


def test_phones_that_connect_without_a_ring_say_how(pbx: Bench) -> None:
    journal = Journal(pbx)
    page = pbx.switchboard.page("100", ["101", "102"], "600")
    pbx.switchboard.drop(page, "100")
    assert journal.told() == [
        *("paged 100>600", "auto_answered 101", "auto_answered 102", "hung_up 100", "ended"),
    ]
    call = pbx.talk("100")
    journal.told()
    pbx.switchboard.supervise(call, "100", "110")
    pbx.switchboard.drop(call, "110")
    pbx.switchboard.transfer(call, "100", "SP11")
    pbx.switchboard.retrieve(call, "112")
    assert journal.told() == [
        *("listens 110>100", "hung_up 110", "left 110"),
        *("transferred 100>SP11", "left 100", "entered SP11", "retrieved 112", "left SP11"),
    ]


def test_a_phone_that_is_in_a_call_rings_for_a_second_one(pbx: Bench) -> None:
    pbx.talk("100")
    journal = Journal(pbx)
    second = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.ring_busy(second, "100")
    pbx.switchboard.ring_twice(second, "100")
    pbx.switchboard.answer(second, "100")
    assert journal.told() == ["arrived 10000", "routed >100", "ringing 100", "picked_up 100"]


def test_a_merge_into_the_second_call_names_the_first_which_ends() -> None:
    pbx = Bench(Switches(survivor="second"))
    first = pbx.talk("100")
    second = pbx.switchboard.dial("100", "107")
    journal = Journal(pbx)
    pbx.switchboard.merge(first, second, "100")
    (merged, *_) = journal.acts
    assert (merged.call, merged.other, merged.dn, merged.to) == (
        second.id,
        first.id,
        "100",
        "10002",
    )
    assert [act.call for act in journal.acts] == [second.id, first.id, second.id, first.id]
    assert journal.told() == ["merged 100>10002", "left 100", "left 100", "ended"]


def test_what_is_refused_is_not_in_the_journal(pbx: Bench) -> None:
    call, journal = pbx.talk("100"), Journal(pbx)
    for refused in (
        lambda: pbx.switchboard.transfer(call, "100", "nowhere"),
        lambda: pbx.switchboard.poll(call, ("104",)),
        lambda: pbx.switchboard.merge(call, call, "100"),
        lambda: pbx.switchboard.invite(call, "100", "800"),
        lambda: pbx.switchboard.divert(call, "100", "101"),
        lambda: pbx.switchboard.dial("100", "nowhere"),
        lambda: pbx.switchboard.page("100", ["101"]),
        lambda: pbx.switchboard.supervise(call, "100", "100"),
        lambda: pbx.switchboard.retrieve(call, "101"),
    ):
        with pytest.raises(OperationRefused):
            refused()
    assert journal.told() == []


@pytest.mark.parametrize("survivor", ["first", "second"])
def test_whoever_follows_the_journal_knows_who_is_in_every_call_of_any_traffic(
    survivor: Literal["first", "second"],
) -> None:
    """A step of the simulator that the journal leaves out would show here."""
    now = NOON
    directory = make_directory(3, 60, 4)
    switches = Switches(route_point="rings", survivor=survivor)
    switchboard = Switchboard(directory, switches, lambda: now)
    watcher = Watcher()
    switchboard.on_act(watcher.saw)
    everything = dict.fromkeys(KINDS, 1.0)
    traffic = TrafficGenerator(switchboard, directory, 3, rate=200, limit=CALLS, mix=everything)
    while traffic.stats.over < CALLS:
        traffic.advance(0.5)
        now = NOON + traffic.now
        true = {
            call.id: {leg.dn.number: leg.status for leg in call.legs.values()}
            for call in switchboard.calls.values()
        }
        told = {
            story.id: {party.dn: party.how for party in story.parties.values()}
            for story in watcher.calls.values()
        }
        assert told == true
    assert len(watcher.over) >= CALLS
    assert all(traffic.stats.kinds[kind] for kind in KINDS)


CALLS = 300
