"""Play traffic at a simulated PBX, and let callmon and somebody in the building watch it."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    ConnectionChanged,
    Fact,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
    QueueFiguresRead,
)
from monitor.pbx.parsing.callcontrol import parse_participant
from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.call_kinds import MIX, Kind
from monitor.simulator.calls.queue_figures import QueueFigures
from monitor.simulator.calls.switchboard import Event, ParticipantRemove, Switchboard
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.traffic.generator import TrafficGenerator
from monitor.statistics.checkpoint_format import CountedDay, SavedStatistics
from monitor.statistics.counting_tracker import CountingTracker
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.durations import unix_ms
from monitor.statistics.open_calls import OpenCallsState
from monitor.statistics.settings import StatisticsSettings
from monitor.statistics.totals import Totals
from monitor.tracking.tracker import Tracker
from tests.comparison.evidence import Evidence
from tests.monitor.tracking.test_tracker_simulator import CLIENT, _directory_read
from tests.truth.calls import Story, Watcher

NOON: Final = 1_700_049_600.0
MIDNIGHT: Final = NOON + 12 * 3600
PAUSES: Final = (0.05, 0.2, 1.0)
"""Seconds between two reads of ActiveCalls."""
_RATE: Final = 240
"""Calls a minute. Now and then all phones are busy: queues fill, and voicemail takes calls."""
_STEPS: Final = 4
"""Moments within the latency at which answers come."""
_TWICE: Final = 0.3
"""Share of events that come twice, if the PBX sends duplicates."""

Key: TypeAlias = tuple[int, tuple[int, ...]]
"""A call's last id, and the ids that it had before: a consultation may have had that last one."""


class Watched:
    """A simulated PBX with traffic, callmon's tracker and statistics, and the watcher's stories."""

    def __init__(
        self,
        seed: int,
        switches: Switches,
        calls: int,
        *,
        call_control: bool = True,
        mix: Mapping[Kind, float] = MIX,
        over_midnight: bool = False,
        extensions: int = 60,
        queues: int = 4,
        pauses: tuple[float, ...] = PAUSES,
        web_client: bool = False,
    ) -> None:
        self._spaces = pauses
        self.in_queues: dict[int, dict[str, float]] = {}
        """Identity of a story → queue → when the call was first shown with it."""
        self._began = MIDNIGHT - calls / _RATE * 30 if over_midnight else NOON
        self.switches = switches
        self.calls = calls
        self.directory = make_directory(seed, extensions, queues, 50, CLIENT, switches.monitored)
        self.switchboard = Switchboard(self.directory, switches, self._clock)
        self.watcher = Watcher()
        self._touched: dict[int, float] = {}
        """Calls of which an event was read since the last look, and when that was."""
        self._between: Callable[[Story], None] | None = None
        self.switchboard.on_act(lambda act: self._look_between(act.at))
        self.switchboard.on_act(self.watcher.saw)
        self._figures = QueueFigures(self.switchboard, self._counted, lambda: web_client)
        self.evidence: dict[int, Evidence] = {}
        """Identity of a story → what was told of it."""
        mine = (CLIENT, *self.directory.peers(CLIENT)) if call_control else ()
        self.visible = frozenset(mine)
        self.ended: dict[Key, list[topics.EndedCall]] = {}
        self._pauses = random.Random(seed)
        self._asked = 0.0
        self._late: list[tuple[float, float, Event, float]] = []
        """Reads under way: when the answer comes, when it was asked for, of what, event's time."""
        self._settings = StatisticsSettings(zone="UTC", short=0)
        self.statistics = Statistics(self._settings)
        self.held = CountingTracker(Tracker("monitor"), self.statistics)
        self.traffic = TrafficGenerator(
            self.switchboard, self.directory, seed, rate=_RATE, limit=calls, mix=mix
        )
        self._begin(call_control=call_control)

    @property
    def now(self) -> float:
        """POSIX seconds at the PBX."""
        return self._clock()

    @property
    def over(self) -> bool:
        """Whether all calls were played."""
        return self.traffic.stats.over >= self.calls

    def play(
        self, look: Callable[[], None], between: Callable[[Story], None] | None = None
    ) -> None:
        """Play all calls; call ``look`` after each read of ActiveCalls.

        ``between``: called with each call of which events were read, before anything else happens.
        """
        self._between = between
        while not self.over:
            self._advance(self._pauses.choice(self._spaces))
            self.poll()
            look()
        self._advance(max(self._spaces))
        self.poll()
        look()

    def shown_after(self, story: Story) -> list[float | None]:
        """Seconds until the call was shown with each queue that it came into; None for never."""
        shown = self.in_queues.pop(id(story), {})
        since = {visit.queue: visit.since for visit in reversed(story.visits)}
        return [shown[queue] - at if queue in shown else None for queue, at in since.items()]

    def alone(self, ended: topics.EndedCall) -> Statistics | None:
        """Return statistics of one call alone, which ended less than a minute ago.

        They have it as it was counted among all others. None if it was not counted.
        """
        whole = self.statistics.saved
        key = f"{ended.call_id}@{unix_ms(ended.started_at)}"
        closed = whole.held.closed.get(key)
        if closed is None:
            return None
        saved = SavedStatistics(
            at=whole.at, day=whole.day, held=OpenCallsState(closed={key: closed})
        )
        if whole.previous is not None:
            day = whole.previous.day
            saved.previous = CountedDay(day, day.start, 0, None, Totals())
        statistics = Statistics(self._settings, saved)
        statistics.reconcile(self._empty(), whole.at / 1000)
        return statistics

    def poll(self) -> None:
        """Read ActiveCalls, and let the tracker's time pass."""
        self._look_between(self.now + 1)
        rows = self.switchboard.active_calls()
        told = tuple(
            ActiveCall(r.id, r.caller, r.callee, r.status, r.last_change_status, r.established_at)
            for r in rows
        )
        for row in rows:
            self._evidence_of(row.id).row(row, self.now)
        self._apply(ActiveCallsRead(told, self._moment(), self.now))
        self._told(self.held.tick(self.now))

    def _look_between(self, before: float) -> None:
        """Have the calls looked at whose events came before this moment, POSIX seconds."""
        for call, at in list(self._touched.items()):
            if at < before:
                del self._touched[call]
                story = self.watcher.calls.get(call)
                if story is not None and self._between is not None:
                    self._between(story)

    def _advance(self, seconds: float) -> None:
        """Let the PBX's time pass, and answers come when they are due."""
        until = self.traffic.now + seconds
        step = self.switches.latency / _STEPS or seconds
        while self.traffic.now < until:
            self.traffic.advance(min(step, until - self.traffic.now))
            while self._late and self._late[0][0] <= self.traffic.now:
                _, asked, event, at = heapq.heappop(self._late)
                self._read(event, asked, at)

    def _clock(self) -> float:
        return self._began + self.traffic.now if hasattr(self, "traffic") else self._began

    def _begin(self, *, call_control: bool) -> None:
        source = "callcontrol+activecalls" if call_control else "activecalls"
        self._apply(ConnectionChanged("connected", "", self.now, source))
        self._apply(_directory_read(self.directory, self.now))
        if call_control:
            kinds = {
                dn.number: f"W{dn.kind}" for dn in self.directory.dns() if dn.number in self.visible
            }
            self._apply(ParticipantsRead((), kinds, self._moment(), self.now))
            self.switchboard.listen(self._hear)
        self.poll()

    def _hear(self, event: Event) -> None:
        if event.dn not in self.visible:
            return
        for _ in range(1 + (self.switches.duplicates and self._pauses.random() < _TWICE)):
            asked, latency = self._moment(), self.switches.latency
            if latency:
                due = self.traffic.now + self._pauses.uniform(0.0, latency)
                heapq.heappush(self._late, (due, asked, event, self.now))
            else:
                self._read(event, asked, self.now)

    def _read(self, event: Event, asked: float, at: float) -> None:
        """Read what an event at ``at`` was about."""
        number, id_ = event.dn, event.participant_id
        removed = isinstance(event, ParticipantRemove)
        view = None if removed else self.switchboard.participant(number, id_)
        if view is None:
            for evidence in self.evidence.values():
                if evidence.gone(number, id_):
                    self._touched[evidence.story.id] = self.now
            self._apply(ParticipantGone(number, id_, asked, at))
            return
        seen = parse_participant(view.to_json(self.switches))
        if view.callid in self.watcher.calls:
            self._evidence_of(view.callid).participant(seen, at)
            self._touched[view.callid] = self.now
        self._apply(ParticipantSeen(seen, asked, at))

    def _evidence_of(self, call_id: int) -> Evidence:
        story = self.watcher.calls[call_id]
        if id(story) not in self.evidence:
            self.evidence[id(story)] = Evidence(story, self.visible, self.switches.latency)
        return self.evidence[id(story)]

    def _counted(self, _: str) -> None:
        """Tell the PBX's own figures of its queues, as its web client shows them."""
        queues = self.directory.queue_numbers()
        figures = {queue: self._figures.of(queue) for queue in queues}
        self._apply(QueueFiguresRead(figures, self.now))

    def _apply(self, fact: Fact) -> None:
        self._told(self.held.apply(fact))

    def _told(self, edits: tuple[Edit, ...]) -> None:
        """Gather what ended, and when calls are shown with their queues."""
        for edit in edits:
            if isinstance(edit.after, topics.Call) and edit.after.queues:
                story = self.watcher.calls.get(edit.after.call_id)
                if story is not None:
                    shown = self.in_queues.setdefault(id(story), {})
                    for queue in edit.after.queues:
                        shown.setdefault(queue, self.now)
            if isinstance(edit.after, topics.EndedCall):
                key = (edit.after.call_id, edit.after.continues)
                if edit.before is None:
                    self.ended.setdefault(key, []).append(edit.after)
                elif key in self.ended:  # it is told anew, in better words
                    self.ended[key][-1] = edit.after

    def _empty(self) -> topics.State:
        state: dict[str, Any] = {topic: {} for topic in self.held.state}
        queues, extensions = self.directory.queue_numbers(), self.directory.extensions()
        for topic, numbers in (("queues", queues), ("extensions", extensions)):
            state[topic] = {number: self.held.state[topic][number] for number in numbers}
        return state

    def _moment(self) -> float:
        self._asked += 1.0
        return self._asked
