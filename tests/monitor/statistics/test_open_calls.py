"""Test that a call counts once: told again, in other words, under another id, or cut short."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix
from monitor.statistics import open_calls
from tests.monitor.statistics.counting import Counting
from tests.monitor.statistics.play import all_stats
from tests.monitor.statistics.scene import NOON, Scene, system
from tests.steps import steps


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
    before = all_stats(pbx.statistics)
    pbx.pass_time(120)
    pbx.tell(ended)
    assert all_stats(pbx.statistics) == before


@pytest.mark.parametrize("settled", [False, True])
def test_a_better_word_of_a_calls_end_takes_the_place_of_the_first(
    pbx: Counting, settled: bool
) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.ring(1, "101"))
    pbx.pass_time(9)
    _, first = edits = pbx.scene.end(1, "missed")
    pbx.tell(*edits)
    if settled:
        pbx.pass_time(61)
    assert isinstance(first.after, topics.EndedCall)
    better = replace(
        first.after,
        started_at=from_unix(NOON + 1),
        answered_at=from_unix(NOON + 4),
        outcome="answered",
    )
    pbx.tell(
        Edit("ended", first.after.id, first.after, None), Edit("ended", better.id, None, better)
    )
    pbx.tell(first)
    inbound = pbx.pbx.inbound
    assert (inbound.calls, inbound.answered, inbound.missed) == (
        (1, 0, 1) if settled else (1, 1, 0)
    )
    assert (pbx.ext().offered, pbx.ext().answered) == ((1, 0) if settled else (1, 1))


def test_the_word_of_a_calls_end_may_be_put_right_under_the_same_id(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.pass_time(9)
    _, first = edits = pbx.scene.end(1, "missed")
    pbx.tell(*edits)
    assert isinstance(first.after, topics.EndedCall)
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


def test_a_call_that_is_over_as_it_is_seen_counts_once(pbx: Counting) -> None:
    edits = (*pbx.scene.arrive(1), *pbx.scene.end(1))
    for edit in edits:
        pbx.tell(edit)
    pbx.pass_time(61)
    pbx.tell(edits[-1])
    assert (pbx.pbx.calls, pbx.pbx.inbound.abandoned) == (1, 1)


def test_short_calls_of_one_id_that_are_known_by_their_ends_alone_are_two(pbx: Counting) -> None:
    for _ in range(2):
        pbx.scene.arrive(1)
        pbx.scene.at += 3
        pbx.scene.end(1)
        pbx.scene.at += 1
    pbx.restart()
    assert pbx.pbx.calls == 2


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
    assert (pbx.ext("101").unknown, pbx.ext("102").answered, pbx.ext("102").talks.count) == (
        1,
        1,
        0,
    )
    assert (pbx.pbx.inbound.unknown, pbx.pbx.inbound.answered, pbx.pbx.inbound.talks.count) == (
        1,
        1,
        0,
    )
    word = pbx.scene.lines[2].ended(pbx.scene.at, "answered")
    pbx.tell(Edit("ended", word.id, None, word))
    assert (pbx.pbx.calls, pbx.pbx.inbound.talks.count) == (2, 0)


def _answered_and_handed_on(scene: Scene) -> None:
    """Answer a queue's caller and transfer the call unwatched: no reading shows the answer."""
    scene.ring(1, "101")
    scene.answer(1, "101")
    scene.lines[1].answered = None
    scene.menu(1)


def test_a_wait_that_was_answered_while_no_monitor_watched_ended_nobody_knows_how(
    pbx: Counting,
) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.scene.at += 60
    _answered_and_handed_on(pbx.scene)
    pbx.restart()
    found = pbx.queue()
    assert (found.offered, found.unknown, found.diverted, found.waiting) == (1, 1, 0, 0)
    assert found.service_level is None


def test_a_wait_that_was_answered_while_the_pbx_was_out_of_sight_ended_nobody_knows_how(
    pbx: Counting,
) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.tell(Edit("system", "pbx", None, system("lost")))
    pbx.scene.at += 60
    _answered_and_handed_on(pbx.scene)
    pbx.tell(Edit("calls", "1", pbx.statistics._accounts._last[1], pbx.scene.state["calls"]["1"]))
    pbx.tell(Edit("system", "pbx", None, system("connected")))
    found = pbx.queue()
    assert (found.offered, found.unknown, found.diverted, found.waiting) == (1, 1, 0, 0)
    pbx.pass_time(60)
    pbx.tell(*pbx.scene.wait(1, "801"))
    pbx.pass_time(60)
    pbx.tell(*pbx.scene.menu(1))  # and what is seen is told as before
    assert (pbx.queue("801").offered, pbx.queue("801").diverted, pbx.queue("801").unknown) == (
        1,
        1,
        0,
    )


def test_a_wait_whose_caller_is_found_in_talk_after_a_restart_was_answered(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    pbx.scene.at += 60
    pbx.scene.ring(1, "101")
    pbx.scene.answer(1, "101")
    pbx.restart()
    assert (pbx.queue().answered, pbx.queue().unknown, pbx.queue().diverted) == (1, 0, 0)


def test_a_call_that_was_only_thought_to_be_gone_goes_on(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    pbx.tell(*pbx.scene.wait(1, "800"))
    held = dict(pbx.scene.state["calls"])
    pbx.scene.state["calls"].clear()
    pbx.restart()
    assert pbx.queue().unknown == 1
    pbx.scene.state["calls"].update(held)
    pbx.tell(Edit("calls", "1", None, held["1"]))
    assert (pbx.queue().offered, pbx.queue().unknown, pbx.queue().waiting, pbx.pbx.calls) == (
        1,
        0,
        1,
        1,
    )


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


def test_a_call_costs_the_same_after_a_minute_with_four_times_the_calls() -> None:
    def cost(size: int) -> int:
        pbx = Counting()
        for id_ in range(1, size + 1):
            pbx.tell(*pbx.scene.arrive(id_), *pbx.scene.end(id_))
        other = Scene(NOON)
        other.begin()
        other.arrive(size + 1)
        came, alone = pbx.scene.arrive(size + 2), other.end(size + 1)[1:]
        at = pbx.scene.at
        work = steps(lambda: pbx.statistics.take(came, at))
        work += steps(lambda: pbx.statistics.take(alone, at))
        assert pbx.pbx.calls == size, "the figures follow with the tick"
        pbx.pass_time(1)
        assert pbx.pbx.calls == size + 2
        return work

    cost(10)  # fills caches
    assert cost(400) < 1.2 * cost(100)


def test_of_calls_counted_for_good_the_newest_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_calls, "COUNTED_KEPT", 3)
    pbx = Counting()
    for id_ in (*range(1, 6), *[9] * (open_calls.LIVES_KEPT + 5)):
        pbx.tell(*pbx.scene.arrive(id_), *pbx.scene.end(id_))
        pbx.pass_time(61)
    counted = pbx.statistics.saved.held.counted
    assert list(counted) == [4, 5, 9]
    assert len(counted[9]) == open_calls.LIVES_KEPT
    assert pbx.pbx.calls == 5 + open_calls.LIVES_KEPT + 5
    assert pbx.statistics._accounts._closed == {}, "nothing else is kept of them"


@pytest.mark.parametrize("restart", [False, True])
def test_an_end_told_again_counts_once_also_if_its_id_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    monkeypatch.setattr(open_calls, "COUNTED_KEPT", 3)
    pbx = Counting()
    ends = list[Edit]()
    for id_ in range(1, 6):
        call = (*pbx.scene.arrive(id_), *pbx.scene.end(id_))
        if id_ not in (2, 4):
            pbx.tell(*call)
        ends.append(call[-1])
        pbx.pass_time(61)
    pbx.tell(*pbx.scene.arrive(6), *pbx.scene.end(6))
    pbx.pass_time(61)
    assert list(pbx.statistics.saved.held.counted) == [3, 5, 6], "not told yet: 2 and 4"
    if restart:
        pbx.restart()
    for told in ends:
        pbx.tell(told)
    assert pbx.pbx.calls == 5, "all but the second, which might be one that was counted"


def test_a_call_that_changes_for_ever_is_kept_in_bounds(pbx: Counting) -> None:
    pbx.tell(*pbx.scene.arrive(1))
    for _ in range(1_500):
        pbx.scene.at += 1
        pbx.tell(*pbx.scene.ring(1, "101"), *pbx.scene.silence(1, "101"))
    assert len(pbx.statistics._accounts._taken[1]) <= 1_000


@pytest.mark.parametrize("first_to_end", [1, 2])
def test_an_agent_with_two_calls_talks_in_one_of_them_at_a_time(
    pbx: Counting, first_to_end: int
) -> None:
    for call in (1, 2):
        pbx.tell(*pbx.scene.arrive(call))
        pbx.tell(*pbx.scene.ring(call, "101"))
        pbx.tell(*pbx.scene.answer(call, "101"))
        pbx.pass_time(20)
    pbx.tell(*pbx.scene.silence(1, "102"))  # nothing new of the call on hold
    pbx.restart()
    pbx.tell(*pbx.scene.end(first_to_end))
    pbx.pass_time(5)
    pbx.tell(*pbx.scene.end(3 - first_to_end))
    pbx.pass_time(120)
    talks = pbx.ext("101").talks
    assert (talks.count, talks.total) == (2, 45.0)
    assert talks.longest == 25.0


def test_a_talk_on_hold_goes_on_when_the_later_call_ends(pbx: Counting) -> None:
    for call in (1, 2, 3):
        pbx.tell(*pbx.scene.arrive(call))
        pbx.tell(*pbx.scene.ring(call, "101"))
        pbx.tell(*pbx.scene.answer(call, "101"))
        pbx.pass_time(10)
    for call in (3, 2, 1):
        pbx.tell(*pbx.scene.end(call))
        pbx.pass_time(7)
    pbx.pass_time(120)
    talks = pbx.ext("101").talks
    assert (talks.count, talks.total, talks.longest) == (3, 44.0, 17.0)
