"""Test the statistics against what really happens at the simulated PBX, with the real tracker.

Monitors are replaced.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import pytest

from monitor.pbx.facts import ConnectionChanged, ParticipantsRead
from monitor.pbx.parsing.callcontrol import parse_participant
from monitor.shared.changes import Edit
from monitor.simulator.behaviour_options import Switches
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.settings import StatisticsSettings
from monitor.tracking.tracker import Tracker
from tests.monitor.statistics.play import restarted, stats_of
from tests.monitor.tracking.test_tracker_simulator import (
    ROWS_ALONE,
    SETTINGS,
    Followed,
    _directory_read,
)

FOLLOWED = {
    **{
        name: (SETTINGS[name], True)
        for name in ("defaults", "half and by target", "all the other way round")
    },
    **{f"rows alone, {name}": (switches, False) for name, switches in ROWS_ALONE.items()},
}
UNRECOGNISED = "rows alone, callees joined"
"""No row tells when a call began that has moved on, so another tracker does not know it again."""
CALLS = 130
_MOMENT = 1.1
"""Seconds between two reads, at most."""


class Counted(Followed):
    """Run a simulated PBX, its tracker and statistics, and record what really happened."""

    def __init__(
        self, switches: Switches, *, call_control: bool, without: frozenset[str] = frozenset()
    ) -> None:
        self.statistics = Statistics(StatisticsSettings())
        self.true: dict[int, list[tuple[str, float, float | None]]] = defaultdict(list)
        """Call → its queues in order, each with the times of entry and of the answer."""
        super().__init__(7, switches, call_control=call_control, without=without)
        self.traffic.limit = CALLS

    def look(self) -> None:
        """Note in which queues callers really wait."""
        for call in self.switchboard.truth():
            noted = self.true[call.call_id]
            if call.queue != (noted[-1][0] if noted else ""):
                noted.append((call.queue, self.now, call.answered_at))

    def replace_monitor(self) -> None:
        """Another monitor takes over: with a tracker of its own, and what the first one kept."""
        state, source = (
            self.held.state,
            "callcontrol+activecalls" if self._visible else "activecalls",
        )
        kept, self.statistics = (
            self.statistics,
            Statistics(StatisticsSettings()),
        )  # nothing is told before the whole state is read
        self.held = Tracker("another")
        self.held.remember(state)
        self.held.apply(ConnectionChanged("connected", "", self.now, source))
        self.held.apply(_directory_read(self.directory, self.now))
        if self._visible:
            self._read_participants()
        self.poll()
        assert self.held.ready
        self.statistics = restarted(kept, self.held.state, self.now)
        self.statistics.take(self.held.tick(self.now), self.now)

    def _read_participants(self) -> None:
        views = [view for number in self._visible for view in self.switchboard.participants(number)]
        for view in views:
            self.switchboard.served_participant(view)
        seen = tuple(parse_participant(view.to_json(self.switches)) for view in views)
        kinds = {
            dn.number: f"W{dn.kind}" for dn in self.directory.dns() if dn.number in self._visible
        }
        self._told_to(self.held.apply(ParticipantsRead(seen, kinds, self._moment(), self.now)))

    def _apply(self, fact: Any) -> None:
        self._told_to(self.held.apply(fact))

    def _told_to(self, edits: tuple[Edit, ...]) -> None:
        self.ended |= {
            edit.id: edit.after
            for edit in edits
            if edit.topic == "ended" and edit.after is not None
        }
        self.statistics.take(edits, self.now)

    def truth(self) -> dict[str, Counter[str]]:
        """By queue: how many came in, were answered, and gave up, of the calls that are over.

        A queue that rang its agents before any read showed it cannot be known.
        """
        counted: dict[str, Counter[str]] = defaultdict(Counter)
        for call in self.switchboard.ended():
            noted = self.true[call.call_id]
            for (queue, since, _), after in zip(noted, [*noted[1:], None], strict=False):
                if queue in call.shown:
                    answered = call.answered_at if after is None else after[2]
                    taken = answered is not None and answered > since - _MOMENT
                    counted[queue]["offered"] += 1
                    counted[queue][
                        "answered" if taken else "abandoned" if after is None else "diverted"
                    ] += 1
        return counted


@pytest.mark.parametrize("name", FOLLOWED)
def test_the_statistics_are_what_really_happened(name: str) -> None:
    _compare(*FOLLOWED[name], replaced=False)


@pytest.mark.parametrize("name", [name for name in FOLLOWED if name != UNRECOGNISED])
def test_monitors_that_take_over_from_each_other_count_the_same(name: str) -> None:
    _compare(*FOLLOWED[name], replaced=True)


def _compare(switches: Switches, call_control: bool, *, replaced: bool) -> None:
    pbx = Counted(switches, call_control=call_control)
    pauses = random.Random(1)
    polls = 0
    while pbx.traffic.stats.over < CALLS:
        pbx.play(pauses.choice((0.05, 0.2, 1.0)))
        pbx.look()
        pbx.poll()
        pbx.statistics.tick(pbx.now)
        polls += 1
        if replaced and polls % 40 == 0:
            pbx.replace_monitor()
    true = pbx.truth()
    mine = {
        num: Counter(
            offered=it.offered,
            answered=it.answered,
            abandoned=it.abandoned + it.short_abandoned,
            diverted=it.diverted,
        )
        for num in pbx.directory.queue_numbers()
        if (it := stats_of(pbx.statistics, "queuestats", num)).offered
    }
    assert mine == true
    assert sum(counts["answered"] for counts in mine.values()) > 30
    extensions = [
        stats_of(pbx.statistics, "extstats", num) for num in pbx.statistics.figures["extstats"]
    ]
    assert sum(it.queue_answered for it in extensions) == sum(
        counts["answered"] for counts in mine.values()
    )
    whole = stats_of(pbx.statistics, "pbxstats", "pbx")
    ended: list[Any] = list(pbx.ended.values())
    assert (whole.calls, whole.answered) == (
        len(ended),
        sum(it.outcome == "answered" for it in ended),
    )
