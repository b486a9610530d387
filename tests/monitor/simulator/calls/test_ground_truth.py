"""Test how calls end, and which way they went."""

from __future__ import annotations

import random

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.call_kinds import MIX
from monitor.simulator.calls.ground_truth import TruthCall, TruthEnded
from monitor.simulator.calls.switchboard import Switchboard
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.traffic.generator import TrafficGenerator
from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, NO_DEVICE, NOON, Bench
from tests.truth.calls import Story, Watcher, plain


def test_a_caller_who_leaves_a_queue_or_a_menu_has_abandoned(pbx: Bench) -> None:
    queued, ringing, menu = (pbx.switchboard.arrive("10000", CALLER) for _ in range(3))
    pbx.switchboard.route(queued, "800")
    pbx.switchboard.route(ringing, "800")
    pbx.switchboard.poll(ringing, ("104",))
    pbx.switchboard.route(menu, "700")
    assert [pbx.end(call).outcome for call in (queued, ringing, menu)] == ["abandoned"] * 3
    inside = pbx.switchboard.dial("100", "800")
    assert (pbx.end(inside).outcome, pbx.end(inside).queue) == ("abandoned", "800")


def test_an_unanswered_call_from_outside_was_missed_even_if_nothing_rang(pbx: Bench) -> None:
    rung, unrung = pbx.inbound("100"), pbx.switchboard.arrive("10000", CALLER)
    forwarded = pbx.switchboard.arrive("10002", CALLER)
    pbx.switchboard.route(forwarded, MOBILE)
    assert [pbx.end(call).outcome for call in (rung, unrung, forwarded)] == ["missed"] * 3


def test_an_unanswered_call_from_inside_was_missed_where_it_rang_and_else_unanswered(
    pbx: Bench,
) -> None:
    inside, outside = pbx.switchboard.dial("100", "107"), pbx.switchboard.dial("110", MOBILE)
    absent, group = pbx.switchboard.dial("111", NO_DEVICE), pbx.switchboard.dial("112", "600")
    outcomes = [pbx.end(call).outcome for call in (inside, outside, absent, group)]
    assert outcomes == ["missed", "unanswered", "missed", "missed"]


def test_voicemail_after_ringing_is_a_missed_call(pbx: Bench) -> None:
    call = pbx.inbound("100")
    pbx.switchboard.divert(call, "100", "999")
    assert pbx.truth(call).direction == "Inbound"
    end = pbx.end(call)
    assert (end.outcome, end.answered_at) == ("missed", None)


def test_the_answer_is_the_first_talk_and_stays(pbx: Bench) -> None:
    call = pbx.inbound("100")
    pbx.now += 4
    pbx.switchboard.answer(call, "100")
    pbx.now += 4
    pbx.switchboard.transfer(call, "100", "101")
    pbx.now += 4
    pbx.switchboard.no_answer(call)
    pbx.switchboard.no_answer(call)
    end = pbx.end(call)
    assert (end.outcome, end.answered_at, end.ended_at) == ("answered", NOON + 4, NOON + 12)


def test_a_queue_is_not_an_answer_but_an_agent_is(pbx: Bench) -> None:
    call = pbx.switchboard.dial("100", "800")
    assert (pbx.truth(call).direction, pbx.truth(call).answered_at) == ("FromInternal", None)
    assert pbx.legs(call) == {"100": ("Connected", "800"), "800": ("Connected", "100")}
    pbx.switchboard.poll(call, ("104",))
    assert pbx.legs(call)["100"] == ("Connected", "800")
    assert pbx.legs(call)["104"] == ("Ringing", "100")
    pbx.switchboard.answer(call, "104")
    assert pbx.legs(call) == {"100": ("Connected", "104"), "104": ("Connected", "100")}
    assert (pbx.end(call).outcome, pbx.end(call).queue) == ("answered", "800")


def test_an_ended_call_keeps_the_direction_that_had_reached_somebody(pbx: Bench) -> None:
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "800")
    pbx.switchboard.poll(call, ("104",))
    pbx.switchboard.no_answer(call)
    assert pbx.truth(call).direction == "FromExternal"
    assert pbx.end(call).direction == "Inbound"


def test_a_dialled_ring_group_is_the_other_side_until_a_member_answers(pbx: Bench) -> None:
    call = pbx.switchboard.dial("100", "600")
    assert pbx.legs(call) == {
        "100": ("Dialing", "600"),
        "101": ("Ringing", "100"),
        "102": ("Ringing", "100"),
    }
    pbx.switchboard.answer(call, "101")
    assert pbx.legs(call) == {"100": ("Connected", "101"), "101": ("Connected", "100")}


@pytest.mark.parametrize(
    "switches",
    [Switches(), Switches(survivor="second"), Switches(attended="new", route_point="rings")],
)
def test_what_the_simulator_says_of_its_calls_is_what_the_journal_tells(
    switches: Switches,
) -> None:
    """The journal's reader shares nothing with the simulator's rules, nor with the tracker's."""
    pbx = Journaled(switches, calls=150)
    pauses = random.Random(5)
    looks = 0
    while pbx.traffic.stats.over < 150:
        pbx.traffic.advance(pauses.choice((0.05, 0.2, 1.0)))
        truth = {call.call_id: call for call in pbx.switchboard.truth()}
        assert truth.keys() == pbx.watcher.calls.keys()
        for id_, call in truth.items():
            looks += 1
            pbx.compare(call, pbx.watcher.calls[id_])
        ends = {(end.call_id, end.started_at): end for end in pbx.switchboard.ended()}
        for story in pbx.watcher.over:
            end = ends.get((story.id, story.started_at))
            if end is None:  # the id of a consultation goes on with the first call's story
                assert story.handed_over
            else:
                compare_ends(end, story)
        pbx.watcher.over.clear()
    assert looks > 1_000


class Journaled:
    """A simulated PBX with every kind of call, and somebody who reads its journal."""

    def __init__(self, switches: Switches, calls: int) -> None:
        self.directory = make_directory(5, 60, 4, 50, "callmon", switches.monitored)
        self.switchboard = Switchboard(self.directory, switches, lambda: self.now)
        self.watcher = Watcher()
        self.switchboard.on_act(self.watcher.saw)
        self.traffic = TrafficGenerator(
            self.switchboard,
            self.directory,
            5,
            rate=240,
            limit=calls,
            mix=dict.fromkeys(MIX, 1.0),
        )

    @property
    def now(self) -> float:
        return NOON + (self.traffic.now if hasattr(self, "traffic") else 0.0)

    def compare(self, call: TruthCall, story: Story) -> None:
        lasting = self.switchboard.calls[call.call_id].lasting or call.direction
        owner = story.beginner if story.beginner in story.parties else next(iter(story.parties))
        said = (lasting, call.state, call.queue, call.owner, call.started_at, call.answered_at)
        assert said == (
            story.lasting,
            story.state,
            story.queue,
            owner,
            story.started_at,
            story.answered_at,
        ), story.acts
        assert {leg.dn: leg.status for leg in call.legs} == {
            dn: party.how for dn, party in story.parties.items()
        }, story.acts


def compare_ends(end: TruthEnded, story: Story) -> None:
    said = (end.direction, end.outcome, end.started_at, end.answered_at, end.ended_at)
    assert said == (
        story.lasting,
        story.outcome,
        story.started_at,
        story.answered_at,
        story.ended_at,
    ), story.acts
    assert plain(end.caller) == story.caller
