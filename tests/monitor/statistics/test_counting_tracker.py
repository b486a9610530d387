"""Test the day's statistics beside a tracker: what is published when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_fields

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    ConnectionChanged,
    ContactsRead,
    Fact,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
    QueueFiguresRead,
    SystemRow,
)
from monitor.shared.changes import Edit, apply
from monitor.shared.entities import topics
from monitor.shared.entities.statistics import PBX_ID, ExtensionStats, PbxStats, QueueStats
from monitor.shared.timestamps import from_unix, moment
from monitor.statistics.checkpoint_format import SavedStatistics, decode, encode
from monitor.statistics.counting_tracker import CountingTracker
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.settings import StatisticsSettings
from monitor.tracking import call_recovery
from monitor.tracking.tracker import Tracker
from tests.monitor.tracking.pbx_facts import EXTENSIONS, NOON, directory, participant

FIGURES = {"queuestats", "extstats", "pbxstats"}


class World:
    """A counting tracker, and the state that its edits make."""

    def __init__(
        self, zone: str = "", told: str = "", saved: SavedStatistics | None = None
    ) -> None:
        self.counting: CountingTracker[Fact] = CountingTracker(
            Tracker("test"), Statistics(StatisticsSettings(zone), saved)
        )
        self.made = topics.empty_state(topics.TOPICS)
        self.first = (
            ConnectionChanged("connected", "", NOON, "callcontrol+activecalls"),
            directory(system=SystemRow(time_zone=told)),
            ParticipantsRead((), dict.fromkeys(EXTENSIONS, "Wextension"), NOON, NOON, frozenset()),
            ActiveCallsRead((), NOON, NOON),
        )

    def tell(self, *facts: Fact) -> set[str]:
        """The topics that change with them."""
        return self._made([edit for fact in facts for edit in self.counting.apply(fact)])

    def tick(self, at: float) -> set[str]:
        return self._made(list(self.counting.tick(at)))

    def counts(self) -> bool:
        return self.counting.saved is not None

    def pbx(self) -> PbxStats:
        return topics.table(self.counting.state, "pbxstats", PbxStats)[PBX_ID]

    def _made(self, edits: list[Edit]) -> set[str]:
        apply(self.made, edits)
        assert self.made == self.counting.state, "what is given out makes the state"
        return {edit.topic for edit in edits}


def call(at: float) -> ParticipantSeen:
    return ParticipantSeen(participant("101", 1, 7, "Ringing", "10000:+4930123"), at, at)


def test_nothing_is_counted_before_the_whole_state_is_known_and_then_all_at_once() -> None:
    world = World()
    for fact in world.first[:-1]:
        assert not world.tell(fact) & FIGURES
        assert not world.tick(NOON) & FIGURES
    assert not world.counts()
    assert world.tell(world.first[-1]) >= FIGURES
    assert world.counts()
    assert set(world.counting.state["queuestats"]) == {"800"}
    assert set(world.counting.state["extstats"]) == set(EXTENSIONS)
    assert world.pbx().calls == 0


def test_what_happens_is_drawn_with_the_next_tick() -> None:
    world = World()
    world.tell(*world.first)
    assert not world.tell(call(NOON + 1)) & FIGURES
    assert world.pbx().calls == 0
    assert world.tick(NOON + 2) == {"extstats", "pbxstats"}
    assert (world.pbx().calls, world.pbx().peak) == (1, 1)
    assert world.tick(NOON + 3) == set()


def test_an_address_book_tells_no_time() -> None:
    world = World()
    world.tell(*world.first)
    assert world.tell(ContactsRead(())) == set()
    assert world.tell(call(NOON + 1)) == {"calls", "extensions", "lines"}


def test_the_day_is_that_of_the_pbxs_zone_unless_the_settings_name_one() -> None:
    for given, told, zone, since in (
        ("", "", "UTC", "2026-03-04T00:00:00.000Z"),
        ("", "Europe/Moscow", "Europe/Moscow", "2026-03-03T21:00:00.000Z"),
        ("Europe/Berlin", "Europe/Moscow", "Europe/Berlin", "2026-03-03T23:00:00.000Z"),
        ("", "Mars/Base", "UTC", "2026-03-04T00:00:00.000Z"),
    ):
        world = World(given, told)
        world.tell(*world.first)
        assert (world.pbx().zone, world.pbx().since) == (zone, since)


def test_a_zone_that_is_told_later_holds_from_then_on() -> None:
    world = World()
    world.tell(*world.first)
    world.tell(directory(system=SystemRow(time_zone="Asia/Tokyo"), at=NOON + 1))
    assert world.tick(NOON + 2) == {"pbxstats"}
    assert (world.pbx().zone, world.pbx().since) == ("Asia/Tokyo", "2026-03-03T15:00:00.000Z")


def test_a_clock_that_leaps_and_is_put_right_within_the_minute_costs_no_statistics() -> None:
    for leap in (18 * 3600.0, -18 * 3600.0):
        world = World()
        world.tell(*world.first)
        world.tell(call(NOON + 1))
        world.tick(NOON + 2)
        for second in range(3, 33):
            world.tick(NOON + second + leap)
        assert (world.pbx().date, world.pbx().calls) == ("2026-03-04", 1), leap
        world.tick(NOON + 33)
        assert (world.pbx().date, world.pbx().calls) == ("2026-03-04", 1), leap


def test_a_wrong_clock_of_the_host_that_takes_over_costs_no_statistics() -> None:
    before = World()
    before.tell(*before.first, call(NOON + 1))
    before.tick(NOON + 2)
    assert before.counting.saved is not None
    for wrong in (18 * 3600.0, -18 * 3600.0):
        world = World(saved=decode(encode(before.counting.saved)))
        world.tell(ConnectionChanged("connecting", "", NOON + wrong, ""))
        world.tick(NOON + wrong)
        world.tell(*world.first)
        assert (world.pbx().date, world.pbx().calls) == ("2026-03-04", 1), wrong


def test_a_clock_that_was_set_for_good_is_followed() -> None:
    for leap, date in ((18 * 3600.0, "2026-03-05"), (-18 * 3600.0, "2026-03-03")):
        world = World()
        world.tell(*world.first)
        world.tell(call(NOON + 1))
        world.tick(NOON + 2)
        for second in range(3, 66):
            world.tick(NOON + second + leap)
        assert world.pbx().date == date
        world.tell(
            ParticipantSeen(
                participant("102", 2, 8, "Ringing", "10000:+4930124"), NOON, NOON + 66 + leap
            )
        )
        world.tick(NOON + 67 + leap)
        assert world.pbx().calls == 1


def test_a_call_found_by_the_time_of_its_last_change_counts_once_after_redis_was_emptied() -> None:
    def row(status: str, at: float) -> ActiveCallsRead:
        return ActiveCallsRead(
            (ActiveCall(7, "10000 t (+4930123)", "101 Ext 101", status, at, at),), at, at
        )

    world, connected = World(), ConnectionChanged("connected", "", NOON, "activecalls")
    world.tell(connected, directory(), row("Routing", NOON), row("Talking", NOON + 30))
    world.tick(NOON + 31)
    assert world.counting.saved is not None
    kept = decode(encode(world.counting.saved))
    heir: CountingTracker[Fact] = CountingTracker(
        Tracker("heir"), Statistics(StatisticsSettings(), kept)
    )
    for fact in (connected, directory(at=NOON + 60), row("Talking", NOON + 30)):
        heir.apply(fact)
    heir.tick(NOON + 61)
    stats = topics.table(heir.state, "pbxstats", PbxStats)[PBX_ID]
    assert (stats.calls, stats.answered, stats.inbound.unknown) == (1, 1, 0)
    extension = topics.table(heir.state, "extstats", ExtensionStats)["101"]
    assert (extension.offered, extension.answered) == (1, 1)


def test_a_call_that_only_the_lost_leader_saw_is_counted_once_when_it_is_known() -> None:
    lost, heir = World(), World()
    lost.tell(*lost.first, call(NOON + 1))
    gone = ParticipantGone("101", 1, NOON + 9, NOON + 9)
    lost.tell(gone, ActiveCallsRead((), NOON + 10, NOON + 10))
    lost.tick(NOON + 20)
    found = list(topics.table(lost.counting.state, "ended", topics.EndedCall).values())
    assert len(found) == lost.pbx().calls == 1
    heir.tell(*heir.first)
    heir.tick(NOON + 60)
    for again in (0, 1, 90):
        heir._made(list(heir.counting.join_ended(found)))
        heir.tick(NOON + 61 + again)
        assert heir.pbx().inbound == lost.pbx().inbound


@pytest.mark.parametrize("later", [0.0, 0.05])
def test_an_end_that_is_known_better_since_the_checkpoint_is_counted_as_it_was(
    later: float,
) -> None:
    world = World()
    world.tell(*world.first, call(NOON + 1))
    world.tick(NOON + 2)
    (going_on,) = topics.table(world.counting.state, "calls", topics.Call).values()
    unseen = call_recovery.ended_unseen(going_on, NOON + 9)
    seen = replace_fields(
        unseen,
        outcome="missed",
        started_at=from_unix(moment(unseen.started_at).timestamp() + later),
    )
    blind = World()
    blind.tell(*blind.first)
    blind._made(list(blind.counting.join_ended([unseen])))
    blind.tick(NOON + 10)
    assert (blind.pbx().inbound.unknown, blind.pbx().inbound.missed) == (1, 0)
    assert blind.counting.saved is not None
    heir = World(saved=decode(encode(blind.counting.saved)))
    heir.counting.remember(topics.empty_state(topics.TOPICS) | {"ended": {seen.id: seen}})
    for fact in heir.first:
        heir.counting.apply(fact)
    stats = topics.table(heir.counting.state, "pbxstats", PbxStats)[PBX_ID]
    assert (stats.calls, stats.inbound.unknown, stats.inbound.missed) == (1, 0, 1)


def test_a_queue_that_calls_somebody_back_was_offered_nobody() -> None:
    world = World()
    world.tell(*world.first)
    row = ActiveCall(7, "800 Sales", "10000 skyetel (+4930123)", "Talking", NOON + 1, NOON + 1)
    world.tell(ActiveCallsRead((row,), NOON + 1, NOON + 1))
    agent = participant("101", 1, 7, "Connected", "10000:+4930123", 4, on_behalf_of_dn="800")
    world.tell(
        ParticipantSeen(agent, NOON + 5, NOON + 5), ParticipantGone("101", 1, NOON + 9, NOON + 9)
    )
    for _ in range(2):
        world.tick(NOON + 10)
        queue = topics.table(world.counting.state, "queuestats", QueueStats)["800"]
        extension = topics.table(world.counting.state, "extstats", ExtensionStats)["101"]
        assert (queue.offered, extension.answered, world.pbx().outbound.calls) == (0, 1, 1)
        assert (queue.callbacks, queue.callbacks_failed) == (1, 0)
        world.tell(ActiveCallsRead((), NOON + 11, NOON + 11))


def test_a_call_back_that_nobody_answers_has_failed_once_it_is_over() -> None:
    world = World()
    world.tell(*world.first)
    row = ActiveCall(7, "800 Sales", "10000 skyetel (+4930123)", "Routing", NOON + 1, NOON + 1)
    world.tell(ActiveCallsRead((row,), NOON + 1, NOON + 1))
    for failed in (0, 1):
        world.tick(NOON + 2 + failed)
        queue = topics.table(world.counting.state, "queuestats", QueueStats)["800"]
        assert (queue.offered, queue.callbacks, queue.callbacks_failed) == (0, 1, failed)
        world.tell(ActiveCallsRead((), NOON + 3, NOON + 3))
    world.tick(NOON + 90)
    queue = topics.table(world.counting.state, "queuestats", QueueStats)["800"]
    assert (queue.callbacks, queue.callbacks_failed) == (1, 1), "and when it is counted for good"


def test_which_calls_were_counted_is_remembered_for_the_day_and_no_longer() -> None:
    world = World()
    world.tell(*world.first)
    world.tell(
        call(NOON + 1),
        ParticipantGone("101", 1, NOON + 2, NOON + 2),
        ActiveCallsRead((), NOON + 3, NOON + 3),
    )
    world.tick(NOON + 90)
    assert world.counting.saved is not None
    for hour in range(1, 12):
        world.tick(NOON + hour * 3600)
        assert set(world.counting.saved.held.counted) == {7}
    world.tick(NOON + 12 * 3600)
    assert world.pbx().date == "2026-03-05"
    assert world.counting.saved.held.counted == {}, "it is written every few seconds"


def test_a_clock_set_back_by_minutes_is_followed_at_once() -> None:
    world = World()
    world.tell(*world.first)
    world.tick(
        NOON + 600
    )  # until the PBX tells its time with the first call, ours is taken for its
    gone = ParticipantGone("101", 1, NOON + 8, NOON + 8)
    world.tell(call(NOON + 1), gone, ActiveCallsRead((), NOON + 9, NOON + 9))
    world.tick(NOON + 10)
    extension = topics.table(world.counting.state, "extstats", ExtensionStats)["101"]
    assert (extension.abandoned + extension.missed, extension.abandons.longest) == (1, 7.0)


def test_the_pbxs_own_figures_are_compared_and_change_nothing_of_ours() -> None:
    world = World()
    figures = {"800": {"waiting": 0.0, "ringing": 0.0, "offered": 7.0, "answered": 7.0}}
    assert world.tell(QueueFiguresRead(figures, NOON)) == set()
    assert dict(world.counting.comparison.differences) == {}, "nothing is counted yet"
    world.tell(*world.first)
    at = NOON

    def pass_by(seconds: int) -> None:
        nonlocal at
        for _ in range(seconds):
            at += 1.0
            assert world.tell(QueueFiguresRead(figures, at)) == set()
            world.tick(at)

    pass_by(15)
    figures["800"] = {**figures["800"], "answered": 8.0}
    pass_by(40)
    [news] = world.counting.comparison.news()
    assert (news.queue, news.figure, news.difference) == ("800", "answered", 1)
    world.tell(ConnectionChanged("lost", "", at))
    world.tick(at + 1.0)
    [news] = world.counting.comparison.news()
    assert (news.figure, news.difference) == ("answered", 0)


def _taken_over(*gone: ParticipantGone) -> World:
    """A heir of 101's call to 102. Its statistics are of when it rang, its state is of later."""
    world = World()

    def leg(dn: str, id_: int, status: str, other: str, at: float) -> ParticipantSeen:
        return ParticipantSeen(participant(dn, id_, 7, status, other), at, at)

    world.tell(*world.first, leg("101", 1, "Dialing", "102", NOON + 1))
    world.tell(leg("102", 2, "Ringing", "101", NOON + 1))
    world.tick(NOON + 2)
    assert world.counting.saved is not None
    heir = World(saved=decode(encode(world.counting.saved)))
    for dn, id_, other in (("101", 1, "102"), ("102", 2, "101")):
        world.tell(leg(dn, id_, "Connected", other, NOON + 3))
    world.tell(*gone)
    assert world.made["calls"].keys() == {"7"}
    heir.counting.remember(world.made, ())
    return heir


def _answers(heir: World) -> tuple[int, int, int]:
    """Of 101's placed calls, of 102, and calls that rang at 102 and were taken elsewhere."""
    told = topics.table(heir.counting.state, "extstats", ExtensionStats)
    return told["101"].placed_answered, told["102"].answered, told["102"].elsewhere


def test_who_took_a_call_that_a_new_monitor_sees_one_leg_of_took_it() -> None:
    """What is left is the caller, alone for a moment."""
    heir = _taken_over()
    connected, known, read, rows = heir.first
    alone = (participant("101", 1, 7, "Connected", ""),)
    assert isinstance(read, ParticipantsRead)
    heir.tell(connected, known, replace(read, participants=alone), rows)
    gone = ParticipantGone("101", 1, NOON + 4, NOON + 4)
    heir.tell(gone, ActiveCallsRead((), NOON + 5, NOON + 5))
    heir.tick(NOON + 64)
    [ended] = topics.table(heir.counting.state, "ended", topics.EndedCall).values()
    assert (ended.outcome, ended.caller, ended.callee) == ("answered", "101", "102")
    assert _answers(heir) == (1, 1, 0)


def test_who_took_a_call_of_which_no_leg_was_left_to_take_over_took_it() -> None:
    """The last monitor was cut off after it wrote that all had hung up."""
    heir = _taken_over(
        *(ParticipantGone(dn, id_, NOON + 4, NOON + 4) for dn, id_ in (("101", 1), ("102", 2)))
    )
    heir.tell(*heir.first)
    heir.tick(NOON + 64)
    [ended] = topics.table(heir.counting.state, "ended", topics.EndedCall).values()
    assert (ended.outcome, ended.callee) == ("answered", "")
    assert _answers(heir) == (1, 1, 0)
