"""Test that the parts make the whole and nothing counts twice, for all histories of calls."""

from __future__ import annotations

from collections import Counter
from itertools import cycle

from hypothesis import given
from hypothesis import strategies as st

from monitor.shared.changes import Change, Edit, Position
from monitor.shared.codec import decode_change, encode_change
from monitor.shared.entities.statistics import (
    ExtensionStats,
    PbxStats,
    QueueStats,
    StatisticsEntity,
    Traffic,
)
from monitor.shared.timestamps import from_unix
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.settings import StatisticsSettings
from tests.examples import examples
from tests.monitor.statistics.play import (
    Step,
    all_stats,
    counted,
    histories,
    played,
    restarted,
    stats_of,
)
from tests.monitor.statistics.scene import NOON, QUEUES, Scene

_EVENING = NOON + 11.9 * 3600
"""Six minutes to midnight in UTC."""


def _whole(it: StatisticsEntity) -> bool:
    """Whether the parts make the whole."""
    match it:
        case QueueStats():
            gone = it.abandoned + it.short_abandoned + it.diverted + it.unknown
            return it.offered == it.answered + gone + it.waiting
        case ExtensionStats():
            gone = it.abandoned + it.short_abandoned + it.missed + it.elsewhere + it.unknown
            return it.offered == it.answered + gone + it.ringing and it.placed >= it.placed_answered
        case PbxStats():
            kinds = (it.inbound, it.outbound, it.internal)
            return it.calls == sum(kind.calls for kind in kinds) and all(
                _whole_traffic(kind) for kind in kinds
            )


def _whole_traffic(it: Traffic) -> bool:
    over = it.answered + it.missed + it.abandoned + it.unanswered + it.unknown
    return it.pending >= 0 and it.calls == over + it.pending and it.talks.count <= it.answered


@examples(40)
@given(histories(longest=200))
def test_the_parts_make_the_whole_at_every_step(steps: list[Step]) -> None:
    scene, statistics = Scene(), Statistics(StatisticsSettings())
    for edits in played(scene, steps):
        statistics.take(edits, scene.at)
        assert all(edit.before != edit.after for edit in statistics.tick(scene.at))
        for it in all_stats(statistics).values():
            assert _whole(it), it
            if not isinstance(it, PbxStats):
                assert it.service_level is None or 0 <= it.service_level <= 100
                assert it.answered_in_target <= it.answered
                assert (
                    it.waits.longest is None
                    or (it.waits.longest + 0.1) * it.waits.count >= it.waits.total
                )
        assert stats_of(statistics, "pbxstats", "pbx").peak >= len(scene.state["calls"])


@examples(40)
@given(histories(shortest=3.0))
def test_queues_count_what_really_became_of_every_wait(steps: list[Step]) -> None:
    statistics, scene = counted(steps)
    for num in QUEUES:
        waits = [wait for wait in scene.all_waits() if wait.queue == num]
        ends = Counter(wait.end for wait in waits)
        it = stats_of(statistics, "queuestats", num)
        assert it.offered == len(waits)
        assert it.answered == ends["answered"]
        assert it.abandoned + it.short_abandoned == ends["abandoned"]
        assert it.diverted == ends["diverted"]
        assert it.waiting == ends["waiting"]
        answered = [round(wait.until - wait.since, 3) for wait in waits if wait.end == "answered"]
        assert it.waits.longest == (round(max(answered), 1) if answered else None)
        assert it.answered_in_target == sum(wait <= 20 for wait in answered)
    pbx = stats_of(statistics, "pbxstats", "pbx")
    kinds = Counter(kind for _, kind in scene.started)
    assert (pbx.inbound.calls, pbx.outbound.calls) == (kinds["inbound"], kinds["outbound"])
    assert pbx.internal.calls == kinds["internal"]


@examples(40)
@given(histories(), st.data())
def test_what_is_told_again_changes_nothing(steps: list[Step], data: st.DataObject) -> None:
    once, _ = counted(steps)
    scene, often = Scene(), Statistics(StatisticsSettings())
    told: list[Edit] = []
    for edits in played(scene, steps):
        often.take(edits, scene.at)
        told += edits
        again = data.draw(st.lists(st.sampled_from(told), max_size=4))
        for edit in again:
            often.take((edit,), scene.at)
        often.take(again, scene.at)
        often.tick(scene.at)
    assert all_stats(often) == all_stats(once)


@examples(30)
@given(histories())
def test_edits_that_were_written_and_read_again_count_the_same(steps: list[Step]) -> None:
    once, _ = counted(steps)
    scene, read = Scene(), Statistics(StatisticsSettings())
    for seq, edits in enumerate(played(scene, steps)):
        change = Change(Position("000000000000001-a", seq), from_unix(scene.at), edits)
        read.take(decode_change(encode_change(change)).edits, scene.at)
        read.tick(scene.at)
    assert all_stats(read) == all_stats(once)


@examples(40)
@given(
    histories(), st.lists(st.booleans(), min_size=1, max_size=9), st.sampled_from([NOON, _EVENING])
)
def test_a_restart_at_any_point_changes_nothing(
    steps: list[Step], restarts: list[bool], at: float
) -> None:
    once, _ = counted(steps, at=at)
    scene, handed_on = Scene(at), Statistics(StatisticsSettings())
    for edits, restart in zip(played(scene, steps), cycle(restarts), strict=False):
        handed_on.take(edits, scene.at)
        handed_on.tick(scene.at)
        if restart:
            handed_on = restarted(handed_on, scene.state, scene.at)
    assert all_stats(handed_on) == all_stats(once)


@examples(40)
@given(histories(longest=30), st.integers(0, 60), st.integers(0, 30))
def test_a_take_over_with_old_statistics_counts_every_call_once(
    steps: list[Step], kept: int, away: int
) -> None:
    """A monitor dies some time after it saved its statistics.

    The next finds another state than they tell of.
    """
    once, _ = counted(steps)
    scene, statistics = Scene(), Statistics(StatisticsSettings())
    old, heir = statistics, None
    for index, edits in enumerate(played(scene, steps)):
        if heir is not None:
            heir.take(edits, scene.at)
            continue
        statistics.take(edits, scene.at)
        if index == kept:
            old = restarted(statistics, scene.state, scene.at)
        if index == kept + away:
            heir = restarted(old, scene.state, scene.at)
    if heir is not None:
        heir.tick(scene.at)
        mine, true = stats_of(heir, "pbxstats", "pbx"), stats_of(once, "pbxstats", "pbx")
        assert (mine.calls, mine.answered) == (true.calls, true.answered)
        assert (mine.inbound.calls, mine.outbound.calls) == (
            true.inbound.calls,
            true.outbound.calls,
        )
        assert all(_whole(it) for it in all_stats(heir).values())


@examples(40)
@given(histories(shortest=3.0, longest=60.0))
def test_after_midnight_only_what_began_after_it_counts(steps: list[Step]) -> None:
    statistics, scene = counted(steps, at=_EVENING)
    midnight = NOON + 12 * 3600
    first = _EVENING if scene.at < midnight else midnight
    for num in QUEUES:
        waits = Counter(
            wait.end for wait in scene.all_waits() if wait.queue == num and wait.since >= first
        )
        it = stats_of(statistics, "queuestats", num)
        assert it.date == ("2026-03-04" if scene.at < midnight else "2026-03-05")
        assert (it.offered, it.answered, it.waiting) == (
            waits.total(),
            waits["answered"],
            waits["waiting"],
        )
    assert stats_of(statistics, "pbxstats", "pbx").calls == sum(
        at >= first for at, _ in scene.started
    )
    assert stats_of(statistics, "pbxstats", "pbx").peak >= len(scene.state["calls"])


@examples(30)
@given(histories(), st.integers(1, 120), st.integers(0, 30))
def test_other_terms_after_a_restart_are_as_if_they_had_always_been(
    steps: list[Step], target: int, short: int
) -> None:
    terms = StatisticsSettings(target=target, short=short, targets={"801": target + 7})
    always, scene = counted(steps, terms)
    statistics, _ = counted(steps)
    heir = Statistics(terms, statistics.saved)
    heir.reconcile(scene.state, scene.at)
    assert all_stats(heir) == all_stats(always)


@examples(30)
@given(histories(shortest=3.0, longest=200.0))
def test_over_midnight_every_wait_is_in_one_day_with_its_end(steps: list[Step]) -> None:
    scene, statistics = Scene(_EVENING), Statistics(StatisticsSettings())
    midnight = NOON + 12 * 3600
    for edits in played(scene, steps):
        statistics.take(edits, scene.at)
        for it in all_stats(statistics).values():
            assert it.yesterday is None or _whole(it.yesterday)
        statistics.tick(scene.at)
    scene.at = max(scene.at, midnight) + 61
    statistics.tick(scene.at)
    for num in QUEUES:
        today = stats_of(statistics, "queuestats", num)
        for it, waits in (
            (today, [wait for wait in scene.all_waits() if wait.since >= midnight]),
            (today.yesterday, [wait for wait in scene.all_waits() if wait.since < midnight]),
        ):
            ends = Counter(wait.end for wait in waits if wait.queue == num)
            assert it.offered == sum(ends.values())
            assert it.answered == ends["answered"]
            assert it.unanswered == it.offered - ends["answered"] - ends["waiting"]
    pbx = stats_of(statistics, "pbxstats", "pbx")
    begun = [at for at, _ in scene.started]
    assert pbx.calls == sum(at >= midnight for at in begun)
    assert pbx.yesterday.calls == sum(at < midnight for at in begun)
