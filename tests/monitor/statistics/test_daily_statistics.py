"""Test what each kind of call counts for, example by example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from monitor.shared.changes import Edit
from monitor.shared.entities.statistics import Durations, RecentLevel
from monitor.shared.timestamps import from_unix
from monitor.statistics.settings import StatisticsSettings
from tests.monitor.statistics.counting import Counting
from tests.monitor.statistics.play import all_stats
from tests.monitor.statistics.scene import NOON, queue

# queues


def test_a_call_answered_from_a_queue(pbx: Counting) -> None:
    pbx.wait_and_answer(1, 12.5, 60)
    it = pbx.queue()
    assert (it.offered, it.answered, it.answered_in_target, it.service_level) == (1, 1, 1, 100.0)
    assert it.waits == Durations(1, 12.5, 12.5, 12.5)
    assert it.talks == Durations(1, 60.0, 60.0, 60.0)


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
    assert (
        pbx.queue("800").offered,
        pbx.queue("800").diverted,
        pbx.queue("800").service_level,
    ) == (1, 1, 0.0)
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


def test_the_level_of_the_last_hour_is_that_of_callers_who_came_in_during_it(pbx: Counting) -> None:
    pbx.wait_and_answer(1, 25, 5)
    pbx.pass_time(1800)
    pbx.wait_and_answer(2, 5, 5)
    pbx.wait_in_vain(3, 2)
    pbx.wait_in_vain(4, 30)
    pbx.tell(*pbx.scene.arrive(5))
    pbx.tell(*pbx.scene.wait(5, "800"))
    it = pbx.queue()
    assert it.last_hour == RecentLevel(3, 1, 33.3)
    assert it.last_half_hour == RecentLevel(2, 1, 50.0)
    pbx.pass_time(21)
    assert pbx.queue().last_half_hour == RecentLevel(3, 1, 33.3), "the last one waits too long now"
    pbx.tell(*pbx.scene.end(5))
    assert pbx.pass_time(1870), "time alone moves it on"
    assert pbx.queue().last_hour == RecentLevel(3, 1, 33.3)
    assert pbx.queue().last_half_hour == RecentLevel(0, 0, None)
    pbx.pass_time(3600)
    assert pbx.queue().last_hour == RecentLevel(0, 0, None)
    assert (pbx.queue().offered, pbx.queue().service_level) == (5, 25.0), "the day has them all"
    assert not any(tally.recent for tally in pbx.statistics.saved.tallies.queues.values())


def test_the_last_hour_goes_on_over_midnight_and_a_restart() -> None:
    pbx = Counting(at=NOON + 12 * 3600 - 600)
    pbx.wait_and_answer(1, 5, 5)
    pbx.wait_and_answer(2, 25, 5)
    pbx.pass_time(900)
    pbx.wait_and_answer(3, 5, 5)
    assert pbx.queue().offered == 1
    assert pbx.queue().last_hour == RecentLevel(3, 2, 66.7)
    assert pbx.queue().yesterday.last_hour is None
    pbx.restart()
    pbx.pass_time(1)
    assert pbx.queue().last_hour == RecentLevel(3, 2, 66.7)


# extensions


def test_a_phone_that_rings_tells_by_time_alone_that_its_target_has_passed(
    pbx: Counting,
) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(1)
    drawn = [[edit.topic for edit in pbx.pass_time(1)] for _ in range(18)]
    assert not any(drawn)
    assert (pbx.ext().ringing, pbx.ext().service_level) == (1, None)
    assert [edit.topic for edit in pbx.pass_time(1.5)] == ["extstats"]
    assert pbx.ext().service_level == 0.0
    pbx.tell(*pbx.scene.silence(1, "101"))
    assert pbx.ext().missed == 0, "it may have been taken elsewhere at this moment"
    pbx.pass_time(30)
    assert (pbx.ext().missed, pbx.ext().ringing) == (1, 0)


def test_time_that_was_set_back_and_a_restart_lose_no_target(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(19)
    pbx.restart()
    pbx.pass_time(5)
    assert pbx.ext().service_level == 0.0
    pbx.pass_time(-10)
    assert pbx.ext().service_level is None
    pbx.pass_time(30)
    assert pbx.ext().service_level == 0.0


def test_of_phones_that_ring_together_one_answers_and_for_the_others_it_was_taken_elsewhere(
    pbx: Counting,
) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    for ext in ("101", "102", "103"):
        pbx.tell(*pbx.scene.ring(1, ext))
    pbx.pass_time(6)
    assert (pbx.ext().ringing, pbx.ext().service_level) == (1, None)
    pbx.tell(*pbx.scene.silence(1, "103"))
    pbx.scene.at += 0.2
    pbx.tell(*pbx.scene.answer(1, "102"))
    pbx.pass_time(30)
    pbx.tell(*pbx.scene.end(1))
    assert [pbx.ext(ext).elsewhere for ext in ("101", "102", "103")] == [1, 0, 1]
    it = pbx.ext("102")
    assert (it.offered, it.answered, it.queue_offered, it.queue_answered, it.service_level) == (
        1,
        1,
        1,
        1,
        100.0,
    )
    assert (it.waits.total, it.talks.total) == (6.2, 30.0)
    assert pbx.ext("101").service_level is None


def test_a_phone_that_rang_out_before_another_took_the_call_missed_it(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    for _ in range(2):
        pbx.tell(*pbx.scene.ring(1, "101"))
        pbx.pass_time(15)
        pbx.tell(*pbx.scene.silence(1, "101"))
        assert (pbx.ext().ringing, pbx.ext().missed) == (1, 0), (
            "it may have been taken elsewhere in this moment"
        )
        pbx.pass_time(3)
        assert (pbx.ext().ringing, pbx.ext().missed) == (0, 1)
    pbx.tell(*pbx.scene.ring(1, "102"))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.answer(1, "102"))
    assert (pbx.ext("101").offered, pbx.ext("101").missed, pbx.ext("101").service_level) == (
        1,
        1,
        0.0,
    )
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
    pbx.scene.at += 0.2
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
    assert (pbx.ext("101").placed_answered, pbx.ext("101").placed_talks.count) == (1, 0), (
        "they talk still"
    )
    pbx.pass_time(25)
    pbx.tell(*pbx.scene.end(1))
    assert (pbx.ext("101").placed, pbx.ext("101").offered, pbx.ext("101").placed_talks.total) == (
        1,
        0,
        25.0,
    )
    assert (pbx.ext("102").placed, pbx.ext("102").answered, pbx.ext("102").talks.total) == (
        0,
        1,
        25.0,
    )
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
    assert pbx.pbx.inbound.talks.total == 60.0


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
    assert (it.placed, it.placed_answered, it.placed_talks) == (
        2,
        1,
        Durations(1, 30.0, 30.0, 30.0),
    )
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


def test_breaches_are_the_waits_beyond_the_pbxs_sla_time_however_they_end() -> None:
    pbx = Counting(StatisticsSettings(target=10, targets={"800": 5}))
    pbx.tell(Edit("queues", "800", queue("800"), queue("800", 30)))
    for id_, wait in enumerate((6, 30, 31), 1):
        pbx.wait_and_answer(id_, wait, 1)
    for id_, wait in enumerate((30, 31), 10):
        pbx.wait_in_vain(id_, wait)
    for id_, wait in enumerate((30, 31), 20):
        pbx.tell(*pbx.scene.arrive(id_))
        pbx.tell(*pbx.scene.wait(id_, "800"))
        pbx.pass_time(wait)
        pbx.tell(*pbx.scene.menu(id_))
    pbx.pass_time(120)
    it = pbx.queue()
    assert (it.target, it.answered_in_target, it.sla_breaches) == (5, 0, 3)
    assert (it.unanswered, it.abandoned, it.diverted) == (4, 2, 2)
    pbx.tell(*pbx.scene.arrive(30))
    pbx.tell(*pbx.scene.wait(30, "800"))
    pbx.pass_time(30)
    assert pbx.queue().sla_breaches == 3
    pbx.pass_time(0.001)
    assert pbx.queue().sla_breaches == 4, "somebody waits now"
    pbx.tell(Edit("queues", "800", queue("800", 30), queue("800")))
    assert pbx.queue().sla_breaches == 8, "without an SLA time the target counts"


def test_an_answer_that_a_clock_set_back_puts_before_the_wait_ended_it(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.pass_time(-600)
    call = pbx.scene.lines[1]
    call.answered, call.rang = pbx.scene.at, "101"
    call.seen.add("101")
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.end(1))  # nobody read the call between the answer and its end
    it = pbx.queue()
    assert (it.answered, it.abandoned, it.short_abandoned, it.waits.longest) == (1, 0, 0, 0.0)


@pytest.mark.parametrize("back", [1.0, 30.0, 600.0, 3000.0])
def test_a_clock_that_is_set_back_during_a_call_makes_nothing_negative(back: float) -> None:
    def figures(it: Any) -> Iterator[float]:
        for name in it.__struct_fields__:
            value = getattr(it, name)
            if isinstance(value, Struct):
                yield from figures(value)
            elif isinstance(value, int | float):
                yield value

    def lowest() -> float:
        stats = all_stats(counting.statistics).values()
        return min(figure for it in stats for figure in figures(it))

    counting = pbx = Counting()
    for id_, step in enumerate(("wait", "ring", "answer", "answered"), 1):
        pbx.tell(*pbx.scene.arrive(id_))
        pbx.pass_time(-back if step == "wait" else 5)
        pbx.tell(*pbx.scene.wait(id_, "800"))
        pbx.pass_time(-back if step == "ring" else 5)
        pbx.tell(*pbx.scene.ring(id_, "101"))
        pbx.pass_time(-back if step == "answer" else 5)
        assert lowest() == 0
        pbx.tell(*pbx.scene.answer(id_, "101"))
        pbx.pass_time(-back if step == "answered" else 5)
        pbx.tell(*pbx.scene.end(id_))
        assert lowest() == 0
    pbx.pass_time(3600 + 61)
    assert lowest() == 0
    assert (pbx.queue().answered, pbx.queue().unanswered, pbx.ext().answered) == (4, 0, 4)
