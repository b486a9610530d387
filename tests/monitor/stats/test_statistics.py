"""What each kind of call counts for, example by example."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from monitor.model import entities as e
from monitor.model.change import Edit
from monitor.model.instants import from_unix
from monitor.model.wire import Malformed, to_json
from monitor.stats.day import UnknownZone
from monitor.stats.figures import Durations, FigureEdit
from monitor.stats.saved import Saved, decode, encode
from monitor.stats.statistics import Statistics
from monitor.stats.terms import Terms
from tests.monitor.stats.play import all_figures, figure, restarted
from tests.monitor.stats.scene import NOON, Scene, extension, queue, system

_MIDNIGHT = NOON + 12 * 3600


class Counting:
    """A scene, and statistics that are told of it."""

    def __init__(self, terms: Terms | None = None, at: float = NOON) -> None:
        self.scene = Scene(at)
        self.statistics = Statistics(terms or Terms())
        self.tell(*self.scene.begin())

    def tell(self, *edits: Edit) -> tuple[FigureEdit, ...]:
        return self.statistics.apply(edits, self.scene.at)

    def pass_time(self, seconds: float) -> tuple[FigureEdit, ...]:
        self.scene.at += seconds
        return self.statistics.tick(self.scene.at)

    def restart(self) -> None:
        self.statistics = restarted(self.statistics, self.scene.state, self.scene.at)

    def queue(self, num: str = "800") -> Any:
        return figure(self.statistics, "queuestats", num)

    def ext(self, num: str = "101") -> Any:
        return figure(self.statistics, "extstats", num)

    @property
    def pbx(self) -> Any:
        return figure(self.statistics, "pbxstats", "pbx")

    def wait_and_answer(self, id_: int, wait: float, talk: float, ext: str = "101") -> None:
        self.tell(*self.scene.arrive(id_))
        self.tell(*self.scene.wait(id_, "800"))
        self.tell(*self.scene.ring(id_, ext))
        self.pass_time(wait)
        self.tell(*self.scene.answer(id_, ext))
        self.pass_time(talk)
        self.tell(*self.scene.end(id_))

    def wait_in_vain(self, id_: int, wait: float) -> None:
        self.tell(*self.scene.arrive(id_))
        self.tell(*self.scene.wait(id_, "800"))
        self.pass_time(wait)
        self.tell(*self.scene.end(id_))


@pytest.fixture
def pbx() -> Counting:
    return Counting()


# queues


def test_a_queue_of_which_nobody_came_has_no_service_level(pbx: Counting) -> None:
    it = pbx.queue()
    assert (it.offered, it.service_level, it.waits) == (0, None, Durations(0, 0.0, None, None))
    assert (it.date, it.target, it.short_below) == ("2026-03-04", 20, 5)


def test_a_call_answered_from_a_queue(pbx: Counting) -> None:
    pbx.wait_and_answer(1, 12.5, 60)
    it = pbx.queue()
    assert (it.offered, it.answered, it.answered_in_target, it.service_level) == (1, 1, 1, 100.0)
    assert it.waits == Durations(1, 12.5, 12.5, 12.5)
    assert it.talks == Durations(1, 60.0, 60.0, 60.0)


def test_the_service_level_is_those_answered_in_time_of_those_offered_without_short_abandons(pbx: Counting) -> None:
    for id_, wait in enumerate((3, 20, 20.001, 40)):
        pbx.wait_and_answer(id_, wait, 10)
    for id_, wait in enumerate((4.999, 5, 100), start=10):
        pbx.wait_in_vain(id_, wait)
    it = pbx.queue()
    assert (it.offered, it.answered, it.answered_in_target) == (7, 4, 2)
    assert (it.abandoned, it.short_abandoned) == (2, 1)
    assert it.service_level == 33.3, "2 of 4 + 2"
    assert it.abandons == Durations(2, 105.0, 52.5, 100.0)


def test_who_waits_counts_against_the_service_level_once_he_waits_too_long(pbx: Counting) -> None:
    pbx.wait_and_answer(1, 5, 5)
    pbx.tell(*pbx.scene.arrive(2))
    pbx.tell(*pbx.scene.wait(2, "800"))
    pbx.pass_time(20)
    assert (pbx.queue().waiting, pbx.queue().service_level) == (1, 100.0)
    told = pbx.pass_time(1)
    assert [edit.id for edit in told] == ["800"]
    assert pbx.queue().service_level == 50.0
    assert pbx.pass_time(1) == ()


def test_a_caller_led_from_one_queue_to_another_counts_in_both(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.pass_time(30)
    pbx.tell(*pbx.scene.wait(1, "801"))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(8)
    pbx.tell(*pbx.scene.answer(1, "101"))
    assert (pbx.queue("800").offered, pbx.queue("800").diverted, pbx.queue("800").service_level) == (1, 1, 0.0)
    assert (pbx.queue("801").answered, pbx.queue("801").waits.total) == (1, 8.0)
    assert pbx.pbx.calls == 1


def test_a_caller_led_to_voicemail_was_diverted(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.pass_time(30)
    pbx.tell(*pbx.scene.menu(1))
    pbx.pass_time(30)
    pbx.tell(*pbx.scene.end(1))
    assert (pbx.queue().diverted, pbx.queue().abandoned) == (1, 0)


def test_an_answered_caller_who_is_put_in_a_queue_again_waits_anew(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    for ext, talk in (("101", 100), ("102", 50)):
        pbx.tell(*pbx.scene.wait(1, "800"))
        pbx.tell(*pbx.scene.ring(1, ext))
        pbx.pass_time(10)
        pbx.tell(*pbx.scene.answer(1, ext))
        pbx.pass_time(talk)
    pbx.tell(*pbx.scene.end(1))
    it = pbx.queue()
    assert (it.offered, it.answered, it.diverted) == (2, 2, 0)
    assert it.waits == Durations(2, 20.0, 10.0, 10.0)
    assert it.talks == Durations(2, 150.0, 75.0, 100.0)


@pytest.mark.parametrize("then", ["wait", "answer"])
def test_a_moment_outside_the_queue_is_no_diversion(pbx: Counting, then: str) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(10)
    pbx.tell(*pbx.scene.menu(1))
    pbx.scene.at += 1
    pbx.tell(*(pbx.scene.wait(1, "800") if then == "wait" else pbx.scene.answer(1, "101")))
    assert (pbx.queue().offered, pbx.queue().diverted) == (1, 0)
    assert (pbx.queue().waiting, pbx.queue().answered) == ((1, 0) if then == "wait" else (0, 1))


def test_a_queue_has_the_target_set_here_before_the_one_set_at_the_pbx() -> None:
    pbx = Counting(Terms(target=30, targets={"801": 10}))
    pbx.tell(Edit("queues", "800", queue("800"), queue("800", 60)), Edit("queues", "801", None, queue("801", 60)))
    pbx.tell(Edit("queues", "802", None, queue("802", 0)))
    assert [pbx.queue(num).target for num in ("800", "801", "802")] == [60, 10, 30]


def test_an_answer_told_more_exactly_later_is_put_right(pbx: Counting) -> None:
    """A new tracker finds a call answered, and only then reads since when."""
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(10)
    began = pbx.scene.at
    pbx.scene.at += 7
    pbx.tell(*pbx.scene.answer(1, "101"))
    assert pbx.queue().waits.total == 17.0
    pbx.scene.lines[1].answered = began
    pbx.tell(*pbx.scene.silence(1, "none"))
    pbx.pass_time(3)
    pbx.tell(*pbx.scene.end(1))
    assert pbx.queue().waits.total == pbx.ext().waits.total == 10.0
    assert pbx.ext().talks.total == pbx.pbx.inbound.talks.total == 10.0


# extensions


def test_of_phones_that_ring_together_one_answers_and_for_the_others_it_was_taken_elsewhere(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    for ext in ("101", "102", "103"):
        pbx.tell(*pbx.scene.ring(1, ext))
    pbx.pass_time(6)
    assert (pbx.ext().ringing, pbx.ext().service_level) == (1, None)
    pbx.tell(*pbx.scene.silence(1, "103"))
    pbx.scene.at += 0.5
    pbx.tell(*pbx.scene.answer(1, "102"))
    pbx.pass_time(30)
    pbx.tell(*pbx.scene.end(1))
    assert [pbx.ext(ext).elsewhere for ext in ("101", "102", "103")] == [1, 0, 1]
    it = pbx.ext("102")
    assert (it.offered, it.answered, it.queue_offered, it.queue_answered, it.service_level) == (1, 1, 1, 1, 100.0)
    assert (it.waits.total, it.talks.total) == (6.5, 30.0)
    assert pbx.ext("101").service_level is None


def test_a_phone_that_rang_out_before_another_took_the_call_missed_it(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    for _ in range(2):
        pbx.tell(*pbx.scene.ring(1, "101"))
        pbx.pass_time(15)
        pbx.tell(*pbx.scene.silence(1, "101"))
        assert (pbx.ext().ringing, pbx.ext().missed) == (1, 0), "it may have been taken elsewhere in this moment"
        pbx.pass_time(3)
        assert (pbx.ext().ringing, pbx.ext().missed) == (0, 1)
    pbx.tell(*pbx.scene.ring(1, "102"))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.answer(1, "102"))
    assert (pbx.ext("101").offered, pbx.ext("101").missed, pbx.ext("101").service_level) == (1, 1, 0.0)
    assert pbx.ext("102").answered == 1


def test_a_call_handed_on_that_another_takes_was_taken_elsewhere_at_once(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.tell(*pbx.scene.answer(1, "101"))
    pbx.pass_time(60)
    pbx.tell(*pbx.scene.wait(1, "800"))
    for ext in ("102", "103"):
        pbx.tell(*pbx.scene.ring(1, ext))
    pbx.pass_time(9)
    pbx.tell(*pbx.scene.silence(1, "103"))
    pbx.scene.at += 0.5
    pbx.tell(*pbx.scene.answer(1, "102"))
    assert (pbx.ext("103").elsewhere, pbx.ext("103").ringing, pbx.ext("102").answered) == (1, 0, 1)


def test_a_caller_who_gives_up_while_a_phone_rings(pbx: Counting) -> None:
    for id_, wait in ((1, 3), (2, 12)):
        pbx.tell(*pbx.scene.arrive(id_))
        pbx.tell(*pbx.scene.ring(id_, "101"))
        pbx.pass_time(wait)
        pbx.tell(*pbx.scene.end(id_))
    it = pbx.ext()
    assert (it.offered, it.abandoned, it.short_abandoned, it.service_level) == (2, 1, 1, 0.0)
    assert it.abandons == Durations(1, 12.0, 12.0, 12.0)
    assert (pbx.pbx.inbound.calls, pbx.pbx.inbound.missed) == (2, 2)


def test_an_internal_call_is_placed_at_one_end_and_offered_at_the_other(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.dial(1, "101"))
    pbx.tell(*pbx.scene.ring(1, "102"))
    pbx.pass_time(4)
    pbx.tell(*pbx.scene.answer(1, "102"))
    assert (pbx.ext("101").placed_answered, pbx.ext("101").placed_talks.count) == (1, 0), "they talk still"
    pbx.pass_time(25)
    pbx.tell(*pbx.scene.end(1))
    assert (pbx.ext("101").placed, pbx.ext("101").offered, pbx.ext("101").placed_talks.total) == (1, 0, 25.0)
    assert (pbx.ext("102").placed, pbx.ext("102").answered, pbx.ext("102").talks.total) == (0, 1, 25.0)
    assert (pbx.ext("102").queue_offered, pbx.pbx.internal.answered) == (0, 1)


def test_who_hands_a_call_on_has_talked_as_long_as_he_was_in_it(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.tell(*pbx.scene.answer(1, "101"))
    pbx.pass_time(20)
    pbx.tell(*pbx.scene.silence(1, "101"))
    pbx.tell(*pbx.scene.ring(1, "102"))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.answer(1, "102"))
    pbx.pass_time(40)
    pbx.tell(*pbx.scene.end(1))
    assert (pbx.ext("101").talks.total, pbx.ext("102").talks.total) == (20.0, 40.0)
    assert (pbx.ext("102").waits.total, pbx.ext("102").elsewhere) == (5.0, 0)
    assert pbx.pbx.inbound.talks.total == 65.0


def test_calls_to_the_outside(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.dial(1, "101", outside=True))
    pbx.pass_time(10)
    pbx.tell(*pbx.scene.answer_outside(1))
    pbx.pass_time(30)
    pbx.tell(*pbx.scene.end(1))
    pbx.tell(*pbx.scene.dial(2, "101", outside=True))
    pbx.pass_time(10)
    pbx.tell(*pbx.scene.end(2))
    it = pbx.ext()
    assert (it.placed, it.placed_answered, it.placed_talks) == (2, 1, Durations(1, 30.0, 30.0, 30.0))
    out = pbx.pbx.outbound
    assert (out.calls, out.answered, out.unanswered, out.talks.total) == (2, 1, 1, 30.0)


# the PBX


def test_the_peak_is_when_most_calls_went_on_first(pbx: Counting) -> None:
    for id_ in (1, 2, 3):
        pbx.pass_time(10)
        pbx.tell(*pbx.scene.arrive(id_))
    peak_at = from_unix(pbx.scene.at)
    pbx.pass_time(10)
    pbx.tell(*pbx.scene.end(1))
    pbx.pass_time(10)
    pbx.tell(*pbx.scene.arrive(4))
    assert (pbx.pbx.peak, pbx.pbx.peak_at, pbx.pbx.inbound.pending) == (3, peak_at, 3)


def test_a_call_that_ended_before_it_was_seen_counts_by_its_end_alone(pbx: Counting) -> None:
    other = Scene(NOON)
    other.begin()
    other.arrive(1)
    other.wait(1, "801")
    other.wait(1, "800")
    other.ring(1, "101")
    other.at += 10
    other.answer(1, "101")
    other.at += 5
    _, ended = other.end(1)
    pbx.scene.at = other.at
    pbx.tell(ended)
    it = pbx.queue("801")
    assert (it.offered, it.answered, it.waits.count, it.service_level) == (1, 1, 0, None)
    assert (pbx.queue("800").offered, pbx.queue("800").diverted) == (1, 1)
    assert (pbx.ext().answered, pbx.ext().waits.count, pbx.ext().talks.total) == (1, 0, 5.0)
    assert (pbx.pbx.inbound.answered, pbx.pbx.inbound.talks.total) == (1, 5.0)
    before = all_figures(pbx.statistics)
    pbx.pass_time(120)
    pbx.tell(ended)
    assert all_figures(pbx.statistics) == before


@pytest.mark.parametrize("settled", [False, True])
def test_a_better_word_of_a_calls_end_takes_the_place_of_the_first(pbx: Counting, settled: bool) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(9)
    _, first = edits = pbx.scene.end(1, "missed")
    pbx.tell(*edits)
    if settled:
        pbx.pass_time(61)
    assert isinstance(first.after, e.EndedCall)
    better = replace(first.after, started_at=from_unix(NOON + 1), answered_at=from_unix(NOON + 4), outcome="answered")
    pbx.tell(Edit("ended", first.after.id, first.after, None), Edit("ended", better.id, None, better))
    pbx.tell(first)
    inbound = pbx.pbx.inbound
    assert (inbound.calls, inbound.answered, inbound.missed) == ((1, 0, 1) if settled else (1, 1, 0))
    assert (pbx.ext().offered, pbx.ext().answered) == ((1, 0) if settled else (1, 1))


def test_the_word_of_a_calls_end_may_be_put_right_under_the_same_id(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.pass_time(9)
    _, first = edits = pbx.scene.end(1, "missed")
    pbx.tell(*edits)
    assert isinstance(first.after, e.EndedCall)
    pbx.tell(Edit("ended", first.id, first.after, replace(first.after, outcome="abandoned")))
    pbx.tell(first)
    assert (pbx.pbx.calls, pbx.pbx.inbound.missed, pbx.pbx.inbound.abandoned) == (1, 0, 1)


def test_a_call_that_begins_as_another_of_its_id_ends_is_not_that_one(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.pass_time(9)
    edits = pbx.scene.end(1)
    pbx.tell(*edits)
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*edits)
    assert (pbx.pbx.calls, pbx.pbx.inbound.pending) == (2, 1)


@pytest.mark.parametrize("known_by", ["participant", "caller"])
def test_a_call_is_known_again_though_it_is_told_to_have_begun_at_another_time(pbx: Counting, known_by: str) -> None:
    pbx.scene.at += 100
    pbx.tell(*pbx.scene.arrive(1))
    if known_by == "participant":
        pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(30)
    pbx.scene.lines[1].started += 30 if known_by == "participant" else -60
    pbx.scene.state["calls"]["1"] = pbx.scene.lines[1].call()
    pbx.restart()
    assert (pbx.pbx.calls, pbx.pbx.inbound.pending) == (1, 1)


def test_an_id_given_to_another_call_is_another_call(pbx: Counting) -> None:
    for _ in range(3):
        pbx.wait_in_vain(1, 30)
        pbx.pass_time(40)
    assert (pbx.pbx.calls, pbx.queue().abandoned) == (3, 3)
    pbx.tell(*pbx.scene.arrive(1))
    pbx.restart()
    pbx.scene.lines.clear()
    pbx.scene.at += 3600
    pbx.scene.state["calls"].clear()
    again = pbx.scene.arrive(1)
    assert isinstance(again[0].after, e.Call)
    pbx.scene.state["calls"]["1"] = replace(again[0].after, owner=None)
    pbx.restart()
    assert (pbx.pbx.calls, pbx.pbx.inbound.unknown, pbx.pbx.inbound.pending) == (5, 1, 1)


# what nobody saw


def test_a_call_that_is_gone_after_a_restart_ended_nobody_knows_when(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.tell(*pbx.scene.arrive(2))
    pbx.tell(*pbx.scene.ring(2, "102"))
    pbx.tell(*pbx.scene.answer(2, "102"))
    pbx.scene.at += 3600
    pbx.scene.state["calls"].clear()
    pbx.restart()
    assert (pbx.queue().unknown, pbx.queue().waiting, pbx.queue().service_level) == (1, 0, None)
    assert (pbx.ext("101").unknown, pbx.ext("102").answered, pbx.ext("102").talks.count) == (1, 1, 0)
    assert (pbx.pbx.inbound.unknown, pbx.pbx.inbound.answered, pbx.pbx.inbound.talks.count) == (1, 1, 0)
    word = pbx.scene.lines[2].ended(pbx.scene.at, "answered")
    pbx.tell(Edit("ended", word.id, None, word))
    assert (pbx.pbx.calls, pbx.pbx.inbound.talks.count) == (2, 0)


def test_a_call_that_was_only_thought_to_be_gone_goes_on(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    held = dict(pbx.scene.state["calls"])
    pbx.scene.state["calls"].clear()
    pbx.restart()
    assert pbx.queue().unknown == 1
    pbx.scene.state["calls"].update(held)
    pbx.tell(Edit("calls", "1", None, held["1"]))
    assert (pbx.queue().offered, pbx.queue().unknown, pbx.queue().waiting, pbx.pbx.calls) == (1, 0, 1, 1)


def test_a_call_that_ended_while_the_pbx_was_out_of_sight_is_in_no_talk_time(pbx: Counting) -> None:
    for id_ in (1, 2):
        pbx.tell(*pbx.scene.arrive(id_))
        pbx.tell(*pbx.scene.ring(id_, f"10{id_}"))
        pbx.tell(*pbx.scene.answer(id_, f"10{id_}"))
    pbx.pass_time(10)
    pbx.tell(Edit("system", "pbx", system("connected"), system("lost")))
    pbx.pass_time(600)
    pbx.tell(Edit("system", "pbx", system("lost"), system("connected")))
    pbx.scene.at += 1
    pbx.tell(*pbx.scene.end(1))
    pbx.pass_time(60)
    pbx.tell(*pbx.scene.end(2))
    assert (pbx.ext("101").talks.count, pbx.ext("102").talks.total) == (0, 671.0)
    assert (pbx.pbx.inbound.answered, pbx.pbx.inbound.talks.count) == (2, 1)


# days


def test_at_midnight_all_begins_anew_but_for_the_calls_that_go_on() -> None:
    pbx = Counting(at=_MIDNIGHT - 60)
    pbx.wait_and_answer(1, 10, 20)
    pbx.tell(*pbx.scene.arrive(2))
    pbx.tell(*pbx.scene.wait(2, "800"))
    told = pbx.pass_time(31)
    assert {(edit.topic, edit.id) for edit in told} >= {("queuestats", "800"), ("pbxstats", "pbx"), ("extstats", "101")}
    assert (pbx.queue().date, pbx.queue().offered, pbx.pbx.calls) == ("2026-03-05", 0, 0)
    assert (pbx.pbx.since, pbx.pbx.counted_since) == ("2026-03-05T00:00:00.000Z", "2026-03-05T00:00:00.000Z")
    assert (pbx.pbx.peak, pbx.pbx.peak_at) == (1, "2026-03-05T00:00:00.000Z")
    pbx.tell(*pbx.scene.ring(2, "101"))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.answer(2, "101"))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.end(2))
    assert (pbx.queue().answered, pbx.queue().offered, pbx.pbx.calls) == (0, 0, 0), "that wait was yesterday's"
    assert (pbx.ext().offered, pbx.ext().answered) == (1, 1), "it rang today"
    pbx.pass_time(120)
    assert (pbx.ext().offered, pbx.ext().answered, pbx.queue().offered) == (1, 1, 0)


@pytest.mark.parametrize(
    ("noon", "hours"), [("2026-03-29T10:00:00Z", 23), ("2026-10-25T11:00:00Z", 25), ("2026-03-04T11:00:00Z", 24)]
)
def test_a_day_on_which_clocks_change_is_counted_whole(noon: str, hours: int) -> None:
    start = datetime.fromisoformat(noon).timestamp()
    pbx = Counting(Terms(zone="Europe/Berlin"), at=start)
    day = pbx.statistics.saved.day
    assert day is not None
    assert day.end - day.start == hours * 3_600_000
    pbx = Counting(Terms(zone="Europe/Berlin"), at=day.start / 1000)
    for id_ in range(hours):
        pbx.wait_and_answer(id_, 10, 20)
        pbx.pass_time(3570)
        assert pbx.queue().answered == (id_ + 1) % hours
    assert pbx.queue().date > day.date


def test_a_monitor_that_was_away_at_midnight_tells_from_when_it_counted() -> None:
    pbx = Counting(at=_MIDNIGHT - 3600)
    pbx.wait_in_vain(1, 30)
    pbx.scene.at = _MIDNIGHT + 3600
    pbx.restart()
    assert (pbx.pbx.since, pbx.pbx.counted_since) == ("2026-03-05T00:00:00.000Z", "2026-03-05T01:00:00.000Z")
    assert (pbx.pbx.calls, pbx.pbx.peak, pbx.pbx.peak_at) == (0, 0, None)


def test_a_clock_set_back_a_little_over_midnight_begins_no_day_anew() -> None:
    pbx = Counting(at=_MIDNIGHT)
    pbx.wait_in_vain(1, 30)
    pbx.scene.at = _MIDNIGHT - 2
    pbx.statistics.tick(pbx.scene.at)
    assert (pbx.queue().date, pbx.queue().abandoned) == ("2026-03-05", 1)
    pbx.statistics.tick(_MIDNIGHT - 90_000)
    assert pbx.queue().date == "2026-03-03"


def test_another_zone_keeps_what_was_counted() -> None:
    pbx = Counting()
    pbx.wait_in_vain(1, 30)
    heir = Statistics(Terms(zone="Europe/Moscow"), pbx.statistics.saved)
    heir.reconcile(pbx.scene.state, pbx.scene.at)
    it = figure(heir, "pbxstats", "pbx")
    assert (it.calls, it.zone, it.since) == (1, "Europe/Moscow", "2026-03-03T21:00:00.000Z")


def test_a_zone_that_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownZone):
        Statistics(Terms(zone="Nowhere"))


# what there is, and what is kept


def test_queues_and_extensions_have_figures_as_long_as_they_are_there(pbx: Counting) -> None:
    pbx.wait_and_answer(1, 5, 5)
    pbx.tell(Edit("queues", "800", queue("800"), None))
    told = pbx.tell(Edit("extensions", "101", extension("101"), None))
    assert [(edit.topic, edit.id, edit.after) for edit in told] == [("extstats", "101", None)]
    assert "800" not in pbx.statistics.figures["queuestats"]
    told = pbx.tell(
        Edit("extensions", "101", None, extension("101")), Edit("extensions", "104", None, extension("104"))
    )
    assert [edit.id for edit in told] == ["101", "104"]
    assert (pbx.ext("101").answered, pbx.ext("104").offered) == (1, 0)


def test_a_call_counted_for_good_is_kept_as_its_id_and_times_alone(pbx: Counting) -> None:
    for id_ in range(50):
        pbx.wait_and_answer(id_, 10, 20)
    before = all_figures(pbx.statistics)
    assert pbx.pass_time(61) == ()
    assert all_figures(pbx.statistics) == before
    held = pbx.statistics.saved.held
    assert (held.open, held.closed, len(held.counted)) == ({}, {}, 50)
    assert len(encode(pbx.statistics.saved)) < 2500
    pbx.restart()
    assert all_figures(pbx.statistics) == before
    pbx.pass_time(3 * 86_400)
    assert pbx.statistics.saved.held.counted == {}


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01", encode(Saved(version=99))])
def test_what_another_version_kept_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


def test_figures_are_written_in_camel_case(pbx: Counting) -> None:
    assert b'"shortAbandoned":0' in to_json(pbx.queue())
    assert b'"serviceLevel":null' in to_json(pbx.ext())
    assert b'"countedSince":"2026-03-04T12:00:00.000Z"' in to_json(pbx.pbx)
