"""Build the entities of the statistics from totals. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.shared.entities.statistics import (
    Durations,
    ExtensionStats,
    PbxStats,
    QueueStats,
    RecentLevel,
    Traffic,
)
from monitor.shared.timestamps import from_unix
from monitor.statistics.call_account import Kind
from monitor.statistics.day import Day
from monitor.statistics.durations import DurationTally
from monitor.statistics.totals import ExtensionTotals, QueueTotals, TrafficTotals


def queue(
    num: str, tally: QueueTotals, day: Day, target: int, short: int, sla_time: int | None = None
) -> QueueStats:
    """Build a queue's day.

    ``target``, ``short``, ``sla_time``: seconds. ``sla_time``: the PBX's; None or 0 if it has none.
    """
    abandons = tally.abandons.lasting(short)
    return QueueStats(
        num=num,
        date=day.date,
        target=target,
        short_below=short,
        offered=tally.offered,
        answered=tally.waits.count,
        answered_in_target=tally.waits.within(target),
        abandoned=abandons.count + tally.abandons.untimed,
        short_abandoned=tally.abandons.below(short),
        diverted=tally.diverted,
        unknown=tally.unknown,
        waiting=len(tally.waiting),
        service_level=_level(tally, tally.waiting, target, short),
        waits=durations(tally.waits.lasting(0)),
        abandons=durations(abandons),
        talks=durations(tally.talks),
        unanswered=tally.offered - tally.waits.count - len(tally.waiting),
        callbacks=tally.callbacks,
        callbacks_failed=tally.callbacks_failed,
        sla_breaches=_breaches(tally, sla_time or target),
    )


def recent_level(counted: int, answered: int) -> RecentLevel:
    """Build a queue's service level of late."""
    return RecentLevel(counted, answered, _percent(answered, counted))


def extension(
    num: str, tally: ExtensionTotals, day: Day, target: int, short: int
) -> ExtensionStats:
    """Build an extension's day. ``target``, ``short``: seconds."""
    abandons = tally.abandons.lasting(short)
    return ExtensionStats(
        num=num,
        date=day.date,
        target=target,
        short_below=short,
        offered=tally.offered,
        answered=tally.waits.count,
        answered_in_target=tally.waits.within(target),
        abandoned=abandons.count + tally.abandons.untimed,
        short_abandoned=tally.abandons.below(short),
        missed=tally.missed,
        elsewhere=tally.elsewhere,
        unknown=tally.unknown,
        ringing=len(tally.ringing),
        service_level=_level(tally, tally.ringing, target, short, apart=tally.elsewhere),
        waits=durations(tally.waits.lasting(0)),
        abandons=durations(abandons),
        talks=durations(tally.talks),
        queue_offered=tally.queue_offered,
        queue_answered=tally.queue_answered,
        placed=tally.placed,
        placed_answered=tally.placed_answered,
        placed_talks=durations(tally.placed_talks),
        unanswered=tally.offered - tally.waits.count - len(tally.ringing),
    )


def pbx(
    traffic: Mapping[Kind, TrafficTotals],
    day: Day,
    counted_since: int,
    peak: int,
    peak_at: int | None,
    active: int,
) -> PbxStats:
    """Build the PBX's day. Times are POSIX milliseconds."""
    inbound, outbound, internal = (
        _traffic(traffic.get(kind, TrafficTotals())) for kind in ("inbound", "outbound", "internal")
    )
    return PbxStats(
        date=day.date,
        zone=day.zone,
        since=from_unix(day.start / 1000),
        counted_since=from_unix(counted_since / 1000),
        calls=inbound.calls + outbound.calls + internal.calls,
        answered=inbound.answered + outbound.answered + internal.answered,
        inbound=inbound,
        outbound=outbound,
        internal=internal,
        peak=peak,
        peak_at=None if peak_at is None else from_unix(peak_at / 1000),
        active=active,
    )


def durations(times: DurationTally) -> Durations:
    """Build the entity of durations, in seconds."""
    if not times.count:
        return Durations(0, 0.0, None, None)
    average = round(times.total / times.count / 1000, 1)
    return Durations(
        times.count, round(times.total / 1000, 1), average, round(times.longest / 1000, 1)
    )


def _traffic(tally: TrafficTotals) -> Traffic:
    over = tally.answered + tally.missed + tally.abandoned + tally.unanswered + tally.unknown
    over += tally.handled + tally.transferred
    return Traffic(
        calls=tally.calls,
        answered=tally.answered,
        missed=tally.missed,
        abandoned=tally.abandoned,
        unanswered=tally.unanswered,
        unknown=tally.unknown,
        pending=tally.calls - over,
        talks=durations(tally.talks),
        handled=tally.handled,
        transferred=tally.transferred,
    )


def _level(
    tally: QueueTotals | ExtensionTotals,
    lasting: list[int],
    target: int,
    short: int,
    *,
    apart: int = 0,
) -> float | None:
    """Return the percentage that was answered within the target; None if there is nothing to count.

    ``lasting``: how long those that go on have waited, milliseconds each. ``apart``: number of
    others that do not count.
    """
    unseen = tally.abandons.untimed + tally.waits.untimed + tally.unknown
    left_out = tally.abandons.below(short) + unseen + _in_time(lasting, target) + apart
    return _percent(tally.waits.within(target), tally.offered - left_out)


def _breaches(tally: QueueTotals, sla_time: int) -> int:
    """Return how many callers waited longer than the SLA time, however their wait ended."""
    over = (tally.waits, tally.abandons, tally.diverted_waits)
    waiting = sum(milliseconds > sla_time * 1000 for milliseconds in tally.waiting)
    return sum(spread.beyond(sla_time) for spread in over) + waiting


def _in_time(lasting: list[int], target: int) -> int:
    """Return how many of those that go on may yet be answered within the target.

    ``lasting``: milliseconds each. ``target``: seconds.
    """
    return sum(milliseconds <= target * 1000 for milliseconds in lasting)


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole > 0 else None
