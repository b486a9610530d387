"""Update the day's statistics of one PBX from the tracker's edits. Pure: edits bring the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from msgspec.structs import replace

from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.shared.entities.statistics import (
    EXTENSION_STATS,
    PBX_ID,
    PBX_STATS,
    QUEUE_STATS,
    ExtensionStats,
    PbxStats,
    QueueStats,
    StatisticsEntity,
)
from monitor.shared.time_zones import UnknownZone, zone_info
from monitor.statistics import entity_builder
from monitor.statistics.call_account import CallAccount
from monitor.statistics.checkpoint_format import CountedDay, SavedStatistics
from monitor.statistics.day import Day, day_of
from monitor.statistics.open_calls import OpenCalls
from monitor.statistics.recent_levels import HOUR_MS, RecentLevels
from monitor.statistics.settings import StatisticsSettings
from monitor.statistics.subjects import PBX, Place
from monitor.statistics.totals import (
    ExtensionTotals,
    QueueTotals,
    Totals,
    TrafficTotals,
    add_call,
    add_turn,
    add_visits,
)

_NO_ZONE = "UTC"
"""The time zone if neither the settings nor the PBX name one."""
_SETTLE_MS = 60_000
"""Milliseconds during which the told end of a call may still be corrected."""
_BACK_MS = HOUR_MS
"""Milliseconds by which a clock may be set back over midnight without beginning another day."""
_UNNOTICED_MS = 60_000
"""Milliseconds without counting that are not yet a gap."""
_MINUTE_MS = 60_000
_TOPICS = {"queues": QUEUE_STATS, "extensions": EXTENSION_STATS, "system": PBX_STATS}


class Statistics:
    """Count the day's statistics. ``at`` is POSIX seconds on the PBX's clock.

    ``saved``: what an earlier monitor counted. With a new tracker, call :meth:`reconcile` once the
    tracker has the full state. After that, hand all its edits to :meth:`take`, and call
    :meth:`tick` again and again. If ``terms`` name no zone, the PBX's own zone is used once it is
    told. Raises UnknownZone if the zone of ``terms`` is not known.
    """

    def __init__(self, terms: StatisticsSettings, saved: SavedStatistics | None = None) -> None:
        if terms.zone:
            zone_info(terms.zone)
        self.terms = terms
        self.saved = SavedStatistics() if saved is None else saved
        self._zone = terms.zone or (self.saved.day.zone if self.saved.day is not None else _NO_ZONE)
        self.figures: topics.State = {topic: {} for topic in _TOPICS.values()}
        """topic → id → statistics, as the edits have made them."""
        self._accounts = OpenCalls(self.saved.held)
        self._places = self._accounts.places
        self._recent = RecentLevels()
        self._yesterdays: dict[Place, tuple[tuple[bool, int | None], StatisticsEntity]] = {}
        """Place → the day before, and what it was drawn by."""
        self._due: list[Place] = []
        """Places whose statistics are to be drawn."""
        self._sla_times: dict[str, int | None] = {}
        self._extensions: set[str] = set()
        self._watched_since: int | None = 0
        self._ticked = 0
        self._minute = 0

    def reconcile(self, state: topics.State, at: float) -> tuple[Edit, ...]:
        """Bring everything in line with a full state; calls that it does not have are over.

        It may be called at any time.
        """
        for system in topics.table(state, "system", topics.System).values():
            self._enter_zone(system.time_zone)
        now = self._pass(at)
        self._sla_times = {
            num: queue.sla_time
            for num, queue in topics.table(state, "queues", topics.Queue).items()
        }
        self._extensions = set(state["extensions"])
        self._watched_since = 0
        self._accounts.forget(self._day.start - _BACK_MS)
        self._yesterdays.clear()
        ended = topics.table(state, "ended", topics.EndedCall).values()
        self._accounts.reread(topics.table(state, "calls", topics.Call).values(), ended, now)
        self._note_peak(now)
        self._touch_all()
        self._line_up()
        return self.draw()

    def take(self, edits: Sequence[Edit], at: float) -> None:
        """Take in the edits of one fact, as the tracker returned them.

        The statistics follow with the next :meth:`tick`.
        """
        now = self._pass(at)
        for edit in edits:
            self._learn(edit, now)
        self._accounts.take(edits, now, self._watched_since)
        self._note_peak(now)

    def tick(self, at: float, most: int | None = None) -> tuple[Edit, ...]:
        """Advance the time, draw the statistics and return what changed of them.

        Time alone changes something at midnight, when a target is missed, when a call is counted
        for good, and each minute in a queue's recent service levels. Call it about every second:
        statistics that changed often in between then change once.

        ``most``: entities that are drawn now. The rest wait for :meth:`draw`: call it until nothing
        is :attr:`undrawn`, before the next tick.
        """
        now = self._pass(at)
        for account in self._accounts.settle(now - _SETTLE_MS):
            self.saved.tallies.count(account, self._day)
            if self.saved.previous is not None:
                self.saved.previous.tallies.count(account, self.saved.previous.day)
        begin, end = sorted((self._ticked, now))  # the clock may have been set back
        self._ticked = now
        self._places.touched |= set(self._accounts.unsettled(begin, end, self.terms.target))
        if self._minute != now // _MINUTE_MS:
            self._minute = now // _MINUTE_MS
            self._move_on(now)
        if not self.figures[PBX_STATS]:
            self._touch_all()
        self._line_up()
        return self.draw(most)

    @property
    def undrawn(self) -> bool:
        """Return whether :meth:`draw` has anything left of the last tick."""
        return bool(self._due)

    def draw(self, most: int | None = None) -> tuple[Edit, ...]:
        """Draw so many of the statistics that wait for it, and return what changed of them.

        The PBX and its queues come first. None: all of them.
        """
        now, due = self.saved.at, self._due[:most]
        del self._due[:most]
        edits: list[Edit] = []
        for topic, num in due:
            edits += self._put(_TOPICS[topic], num, self._entity(topic, num, now))
        return tuple(edits)

    def _line_up(self) -> None:
        """Let all statistics that may have changed wait to be drawn."""
        pbx = self.figures[PBX_STATS].get(PBX_ID)
        if not isinstance(pbx, PbxStats) or pbx.active != self._accounts.going_on:
            self._places.touched.add(PBX)
        touched = {*self._due, *self._places.touched}
        self._due = sorted(touched, key=lambda place: (place[0] == "extensions", place))
        self._places.touched.clear()

    def _move_on(self, now: int) -> None:
        """Let the recent service levels begin a minute later."""
        for counted in (self.saved.tallies, *self._previous_totals()):
            for tally in counted.queues.values():
                tally.forget_recent(now - HOUR_MS - _MINUTE_MS)
        for num, entity in self.figures[QUEUE_STATS].items():
            if isinstance(entity, QueueStats) and entity.last_hour and entity.last_hour.counted:
                self._places.touched.add(("queues", num))

    def _previous_totals(self) -> tuple[Totals, ...]:
        return () if self.saved.previous is None else (self.saved.previous.tallies,)

    # time

    @property
    def _day(self) -> Day:
        day = self.saved.day
        if day is None:
            raise RuntimeError("no time was told yet")
        return day

    def _pass(self, at: float) -> int:
        """Set the time; begin a new day if it is one. Return the time in POSIX milliseconds."""
        now = round(at * 1_000_000) // 1000
        saved, day = self.saved, self.saved.day
        if day is None or not day.start - _BACK_MS <= now < day.end:
            self._begin(day_of(now, self._zone), now)
        elif day.zone != self._zone:
            saved.day = day_of(now, self._zone)  # what was counted stays counted
            saved.previous = None  # days of two zones overlap: a call could count in both
            self._touch_all()
        saved.at = now
        return now

    def _begin(self, day: Day, now: int) -> None:
        saved = self.saved
        passed_midnight = saved.day is not None and 0 <= day.start - saved.at <= _UNNOTICED_MS
        saved.previous = self._ended_day(day)
        self._yesterdays.clear()
        saved.day, saved.tallies = day, Totals()
        saved.counted_since = day.start if passed_midnight else now
        saved.peak = self._accounts.going_on
        saved.peak_at = saved.counted_since if saved.peak else None
        self._accounts.forget(day.start - _BACK_MS)
        self._touch_all()

    def _ended_day(self, day: Day) -> CountedDay | None:
        """Return what was counted of the day before this one; None if that was not counted."""
        saved = self.saved
        if saved.day is None or saved.day.end != day.start:
            return None
        return CountedDay(saved.day, saved.counted_since, saved.peak, saved.peak_at, saved.tallies)

    # entities

    def _learn(self, edit: Edit, now: int) -> None:
        """Note which queues and extensions there are, and whether the PBX is in sight."""
        match edit.after:
            case topics.Queue():
                if edit.before is None or self._sla_times.get(edit.id) != edit.after.sla_time:
                    self._places.touched.add(("queues", edit.id))
                self._sla_times[edit.id] = edit.after.sla_time
            case topics.Extension() if edit.id not in self._extensions:
                self._extensions.add(edit.id)
                self._places.touched.add(("extensions", edit.id))
            case topics.System():
                self._see(edit.after.connection == "connected", now)
                self._enter_zone(edit.after.time_zone)
            case None if edit.topic in ("queues", "extensions"):
                self._sla_times.pop(edit.id, None)
                self._extensions.discard(edit.id)
                self._places.touched.add((edit.topic, edit.id))
            case _:
                pass

    def _enter_zone(self, told: str) -> None:
        """Use the PBX's own zone, if the settings name none and the zone is known here."""
        if told and not self.terms.zone:
            with suppress(UnknownZone):
                self._zone = zone_info(told).key

    def _see(self, connected: bool, now: int) -> None:
        if not connected:
            self._watched_since = None
        elif self._watched_since is None:
            self._watched_since = now

    def _touch_all(self) -> None:
        nums = (
            ("queues", {*self._sla_times, *self.figures[QUEUE_STATS]}),
            ("extensions", {*self._extensions, *self.figures[EXTENSION_STATS]}),
        )
        self._places.touched |= {PBX, *((topic, num) for topic, all_ in nums for num in all_)}

    def _note_peak(self, now: int) -> None:
        if self._accounts.going_on > self.saved.peak:
            self.saved.peak, self.saved.peak_at = self._accounts.going_on, now
            self._places.touched.add(PBX)

    def _put(self, topic: str, id_: str, after: StatisticsEntity | None) -> tuple[Edit, ...]:
        before = self.figures[topic].pop(id_, None)
        if after is not None:
            self.figures[topic][id_] = after
        return () if before == after else (Edit(topic, id_, before, after),)

    def _entity(self, topic: str, num: str, now: int) -> StatisticsEntity | None:
        """Draw one entity; return None for a queue or an extension that does not exist."""
        if (topic == "queues" and num not in self._sla_times) or (
            topic == "extensions" and num not in self._extensions
        ):
            return None
        drawn: StatisticsEntity
        if topic == "queues":
            drawn = self._queue_of_late(num, now)
        else:
            drawn = self._of_day(topic, num, self._today, self._accounts.going_on, now)
        return replace(drawn, yesterday=self._yesterday(topic, num, now))

    @property
    def _today(self) -> CountedDay:
        saved = self.saved
        return CountedDay(self._day, saved.counted_since, saved.peak, saved.peak_at, saved.tallies)

    def _yesterday(self, topic: str, num: str, now: int) -> StatisticsEntity | None:
        """Draw the day before of an entity; anew only if a call of that day is not settled yet."""
        previous = self.saved.previous
        if previous is None:
            return None
        late = any(True for _ in self._begun_yesterday(topic, num))
        state = (late, self._sla_times.get(num))
        known = self._yesterdays.get((topic, num))
        if known is None or late or known[0] != state:
            known = state, self._of_day(topic, num, previous, 0, now)
            self._yesterdays[topic, num] = known
        return known[1]

    def _begun_yesterday(self, topic: str, num: str) -> Iterator[CallAccount]:
        """Yield the accounts of calls that count for a place and began before today."""
        for account in self._places.of((topic, num)):
            if account.started < self._day.start:
                yield account

    def _of_day(
        self, topic: str, num: str, counted: CountedDay, active: int, now: int
    ) -> StatisticsEntity:
        """Draw one day of an entity. ``active``: calls that go on."""
        match topic:
            case "queues":
                return self._queue_day(num, self._queue_totals(num, counted, now), counted.day)
            case "extensions":
                return self._extension_day(num, counted.tallies, counted.day, now)
            case _:
                return self._pbx_day(counted, active)

    def _queue_of_late(self, num: str, now: int) -> QueueStats:
        """Draw a queue's day with its service level of late, over midnight too."""
        days = [self._today]
        totals = self._queue_totals(num, days[0], now)
        others = totals.recent
        if self.saved.previous is not None:
            days.append(self.saved.previous)
            before = QueueTotals()
            for account in self._begun_yesterday("queues", num):
                add_visits(before, num, account, self.saved.previous.day, now)
            others = others + before.recent
        settled = [
            counted.tallies.queues[num].recent if num in counted.tallies.queues else []
            for counted in days
        ]
        drawn = self._queue_day(num, totals, self._day)
        terms = (drawn.target, drawn.short_below)
        half_hour, hour = (
            entity_builder.recent_level(*level)
            for level in self._recent.of(num, settled, others, now, terms)
        )
        return replace(drawn, last_half_hour=half_hour, last_hour=hour)

    def _queue_totals(self, num: str, counted: CountedDay, now: int) -> QueueTotals:
        """Return a queue's day; of its recent visits those that are not counted for good."""
        totals = counted.tallies.queues.get(num, QueueTotals()).copy()
        totals.recent = []
        for account in self._places.of(("queues", num)):
            add_visits(totals, num, account, counted.day, now)
        return totals

    def _queue_day(self, num: str, totals: QueueTotals, day: Day) -> QueueStats:
        sla_time = self._sla_times.get(num)
        target = self.terms.queue_target(num, sla_time)
        return entity_builder.queue(num, totals, day, target, self.terms.short, sla_time)

    def _extension_day(self, num: str, tallies: Totals, day: Day, now: int) -> ExtensionStats:
        tally = tallies.extensions.get(num, ExtensionTotals()).copy()
        for account in self._places.of(("extensions", num)):
            add_turn(tally, num, account, day, now)
        return entity_builder.extension(num, tally, day, self.terms.target, self.terms.short)

    def _pbx_day(self, counted: CountedDay, active: int) -> PbxStats:
        traffic = {kind: tally.copy() for kind, tally in counted.tallies.traffic.items()}
        for account in self._places.of(PBX):
            if account.kind not in traffic:
                traffic[account.kind] = TrafficTotals()
            add_call(traffic[account.kind], account, counted.day)
        return entity_builder.pbx(
            traffic, counted.day, counted.counted_since, counted.peak, counted.peak_at, active
        )
