"""Test statistics over midnight and restarts, and of queues and extensions that come and go."""

from __future__ import annotations

from datetime import datetime

import pytest

from monitor.shared.changes import Edit
from monitor.shared.time_zones import UnknownZone
from monitor.statistics.checkpoint_format import encode
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.settings import StatisticsSettings
from tests.monitor.statistics.counting import Counting
from tests.monitor.statistics.play import all_stats, stats_of
from tests.monitor.statistics.scene import NOON, extension, queue

_MIDNIGHT = NOON + 12 * 3600


def test_at_midnight_all_begins_anew_but_for_the_calls_that_go_on() -> None:
    pbx = Counting(at=_MIDNIGHT - 60)
    pbx.wait_and_answer(1, 10, 20)
    pbx.tell(*pbx.scene.arrive(2))
    pbx.tell(*pbx.scene.wait(2, "800"))
    told = pbx.pass_time(31)
    assert {(edit.topic, edit.id) for edit in told} >= {
        ("queuestats", "800"),
        ("pbxstats", "pbx"),
        ("extstats", "101"),
    }
    assert (pbx.queue().date, pbx.queue().offered, pbx.pbx.calls) == ("2026-03-05", 0, 0)
    assert (pbx.pbx.since, pbx.pbx.counted_since) == (
        "2026-03-05T00:00:00.000Z",
        "2026-03-05T00:00:00.000Z",
    )
    assert (pbx.pbx.peak, pbx.pbx.peak_at) == (1, "2026-03-05T00:00:00.000Z")
    pbx.tell(*pbx.scene.ring(2, "101"))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.answer(2, "101"))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.end(2))
    assert (pbx.queue().answered, pbx.queue().offered, pbx.pbx.calls) == (0, 0, 0), (
        "that wait was yesterday's"
    )
    assert (pbx.ext().offered, pbx.ext().answered) == (1, 1), "it rang today"
    pbx.pass_time(120)
    assert (pbx.ext().offered, pbx.ext().answered, pbx.queue().offered) == (1, 1, 0)


def test_a_new_days_statistics_are_drawn_a_few_at_a_time_and_are_those_drawn_at_once() -> None:
    few, at_once = (Counting(at=_MIDNIGHT - 60) for _ in range(2))
    for pbx in (few, at_once):
        pbx.wait_and_answer(1, 10, 20)
        pbx.tell(*pbx.scene.arrive(2))
        pbx.tell(*pbx.scene.wait(2, "800"))
        pbx.scene.at = _MIDNIGHT + 1
    at_once.pass_time(0)
    drawn = [few.statistics.tick(few.scene.at, 1)]
    while few.statistics.undrawn:
        if len(drawn) == 4:  # something happens between two turns
            for pbx in (few, at_once):
                pbx.statistics.take(pbx.scene.ring(2, "101"), pbx.scene.at)
        drawn.append(few.statistics.draw(1))
    topics = [edit.topic for edits in drawn for edit in edits]
    assert all(len(edits) <= 1 for edits in drawn)
    assert topics.index("extstats") > topics.index("pbxstats")
    assert topics.count("extstats") > 1
    for pbx in (few, at_once):
        pbx.pass_time(1)
    assert all_stats(few.statistics) == all_stats(at_once.statistics)
    assert (few.ext().offered, few.queue().date) == (1, "2026-03-05")


def over_midnight(pbx: Counting) -> None:
    """A caller comes in at 23:59 and is answered at 00:01; another gives up at 00:02."""
    for id_ in (1, 2):
        pbx.tell(*pbx.scene.arrive(id_))
        pbx.tell(*pbx.scene.wait(id_, "800"))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.scene.at = _MIDNIGHT + 60
    pbx.tell(*pbx.scene.answer(1, "101"))
    pbx.pass_time(60)
    pbx.tell(*pbx.scene.end(2))
    pbx.pass_time(30)
    pbx.tell(*pbx.scene.end(1))


@pytest.mark.parametrize("restarted_at", [None, _MIDNIGHT + 10, _MIDNIGHT + 100])
def test_a_caller_of_2359_who_is_answered_at_0001_is_in_the_answers_of_yesterday_alone(
    restarted_at: float | None,
) -> None:
    pbx = Counting(at=_MIDNIGHT - 60)
    over_midnight(pbx)
    if restarted_at is not None:
        pbx = Counting(at=_MIDNIGHT - 60)
        pbx.tell(*pbx.scene.arrive(1))
        pbx.tell(*pbx.scene.wait(1, "800"))
        pbx.tell(*pbx.scene.arrive(2))
        pbx.tell(*pbx.scene.wait(2, "800"))
        pbx.tell(*pbx.scene.ring(1, "101"))
        pbx.scene.at = min(restarted_at, _MIDNIGHT + 60)
        pbx.restart()
        pbx.scene.at = _MIDNIGHT + 60
        pbx.tell(*pbx.scene.answer(1, "101"))
        pbx.scene.at = max(restarted_at, _MIDNIGHT + 60)
        pbx.restart()
        pbx.scene.at = _MIDNIGHT + 120
        pbx.tell(*pbx.scene.end(2))
        pbx.pass_time(30)
        pbx.tell(*pbx.scene.end(1))
    for _ in range(2):
        today, yesterday = pbx.queue(), pbx.queue().yesterday
        assert (today.date, today.offered, today.answered) == ("2026-03-05", 0, 0)
        assert (yesterday.date, yesterday.offered, yesterday.answered) == ("2026-03-04", 2, 1)
        assert (yesterday.abandoned, yesterday.waiting, yesterday.unanswered) == (1, 0, 1)
        assert (yesterday.waits.longest, yesterday.talks.longest) == (120.0, 90.0)
        assert pbx.ext().yesterday.answered == 1
        assert pbx.ext().offered == 0
        assert (pbx.pbx.calls, pbx.pbx.yesterday.calls, pbx.pbx.yesterday.answered) == (0, 2, 1)
        assert yesterday.yesterday is None
        pbx.pass_time(120)  # it is counted for good
    assert [one.yesterday.yesterday for one in (pbx.pbx, pbx.ext())] == [None, None]
    pbx.tell(*pbx.scene.arrive(3))
    assert (pbx.pbx.active, pbx.pbx.yesterday.active) == (1, 0), "it goes on today alone"
    pbx.tell(*pbx.scene.end(3))
    pbx.pass_time(86_400)
    assert pbx.queue().yesterday.offered == 0
    pbx.pass_time(2 * 86_400)
    assert pbx.queue().yesterday is None, "nobody counted the day between"


def test_yesterday_is_drawn_anew_while_a_call_of_it_is_not_settled_and_then_no_more() -> None:
    pbx = Counting(at=_MIDNIGHT - 60)
    over_midnight(pbx)
    before = pbx.queue().yesterday
    pbx.pass_time(30)
    assert pbx.queue().yesterday == before
    pbx.pass_time(61)  # counted for good
    pbx.tell(*pbx.scene.arrive(3), *pbx.scene.wait(3, "800"))
    kept = pbx.queue().yesterday
    assert kept == before
    pbx.tell(*pbx.scene.end(3))
    pbx.pass_time(1)
    assert pbx.queue().yesterday is kept


def test_a_call_of_yesterday_that_is_told_again_counts_no_second_time() -> None:
    pbx = Counting(at=_MIDNIGHT - 4 * 3600)
    pbx.wait_in_vain(1, 30)
    told = Edit("ended", "x", None, next(iter(pbx.scene.state["ended"].values())))
    pbx.scene.at = _MIDNIGHT - 30
    pbx.wait_in_vain(2, 10)
    later = list(pbx.scene.state["ended"].values())[-1]
    pbx.scene.at = _MIDNIGHT + 300
    for _ in range(2):
        pbx.tell(told, Edit("ended", "y", None, later))
        pbx.pass_time(61)
        assert pbx.queue().yesterday.offered == 2
        pbx.restart()
    assert pbx.queue().yesterday.offered == 2


def test_another_zone_forgets_yesterday_so_that_no_call_is_in_two_days() -> None:
    pbx = Counting(at=_MIDNIGHT - 60)
    over_midnight(pbx)
    heir = Statistics(StatisticsSettings(zone="Europe/London"), pbx.statistics.saved)
    heir.reconcile(pbx.scene.state, pbx.scene.at)
    assert stats_of(heir, "queuestats", "800").yesterday is None


@pytest.mark.parametrize(
    ("noon", "hours"),
    [("2026-03-29T10:00:00Z", 23), ("2026-10-25T11:00:00Z", 25), ("2026-03-04T11:00:00Z", 24)],
)
def test_a_day_on_which_clocks_change_is_counted_whole(noon: str, hours: int) -> None:
    start = datetime.fromisoformat(noon).timestamp()
    pbx = Counting(StatisticsSettings(zone="Europe/Berlin"), at=start)
    day = pbx.statistics.saved.day
    assert day is not None
    assert day.end - day.start == hours * 3_600_000
    pbx = Counting(StatisticsSettings(zone="Europe/Berlin"), at=day.start / 1000)
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
    assert (pbx.pbx.since, pbx.pbx.counted_since) == (
        "2026-03-05T00:00:00.000Z",
        "2026-03-05T01:00:00.000Z",
    )
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
    heir = Statistics(StatisticsSettings(zone="Europe/Moscow"), pbx.statistics.saved)
    heir.reconcile(pbx.scene.state, pbx.scene.at)
    it = stats_of(heir, "pbxstats", "pbx")
    assert (it.calls, it.zone, it.since) == (1, "Europe/Moscow", "2026-03-03T21:00:00.000Z")


def test_a_zone_that_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownZone):
        Statistics(StatisticsSettings(zone="Nowhere"))


def test_yesterdays_call_told_again_after_midnight_does_not_go_on() -> None:
    pbx = Counting(at=_MIDNIGHT - 120)
    first = pbx.scene.arrive(1)
    pbx.tell(*first)
    pbx.pass_time(10)
    pbx.tell(*pbx.scene.end(1))
    pbx.pass_time(61)
    pbx.pass_time(60)
    pbx.tell(*first)
    assert (pbx.pbx.date, pbx.pbx.peak, pbx.statistics.saved.held.open) == ("2026-03-05", 0, {})


# what there is, and what is kept


def test_queues_and_extensions_have_statistics_as_long_as_they_are_there(pbx: Counting) -> None:
    pbx.wait_and_answer(1, 5, 5)
    pbx.tell(Edit("queues", "800", queue("800"), None))
    told = pbx.tell(Edit("extensions", "101", extension("101"), None))
    assert [(edit.topic, edit.id, edit.after) for edit in told] == [("extstats", "101", None)]
    assert "800" not in pbx.statistics.figures["queuestats"]
    told = pbx.tell(
        Edit("extensions", "101", None, extension("101")),
        Edit("extensions", "104", None, extension("104")),
    )
    assert [edit.id for edit in told] == ["101", "104"]
    assert (pbx.ext("101").answered, pbx.ext("104").offered) == (1, 0)


def test_a_call_counted_for_good_is_kept_as_its_id_and_times_alone(pbx: Counting) -> None:
    for id_ in range(50):
        pbx.wait_and_answer(id_, 10, 20)
    before = all_stats(pbx.statistics)
    assert pbx.pass_time(61) == ()
    assert all_stats(pbx.statistics) == before
    held = pbx.statistics.saved.held
    assert (held.open, held.closed, len(held.counted)) == ({}, {}, 50)
    pbx.restart()
    assert all_stats(pbx.statistics) == before
    pbx.pass_time(7300)  # until then its wait is kept, for the service level of the last hour
    assert len(encode(pbx.statistics.saved)) < 2500
    pbx.pass_time(3 * 86_400)
    assert pbx.statistics.saved.held.counted == {}
