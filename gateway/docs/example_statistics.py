"""Give the statistics of a morning at the small PBX of the examples. Pure."""

from __future__ import annotations

from monitor.shared.entities.statistics import (
    Durations,
    ExtensionStats,
    PbxStats,
    QueueStats,
    Traffic,
)

_DATE = "2026-03-04"


def queue_stats() -> QueueStats:
    """Return the statistics of the queue."""
    return QueueStats(
        num="800",
        date=_DATE,
        target=30,
        short_below=5,
        offered=42,
        answered=36,
        answered_in_target=31,
        abandoned=3,
        short_abandoned=1,
        diverted=1,
        unknown=0,
        waiting=1,
        service_level=77.5,
        waits=Durations(36, 511.2, 14.2, 71.0),
        abandons=Durations(3, 143.1, 47.7, 80.3),
        talks=Durations(35, 6_402.5, 182.9, 913.8),
    )


def extension_stats() -> ExtensionStats:
    """Return the statistics of one of the queue's agents."""
    return ExtensionStats(
        num="101",
        date=_DATE,
        target=20,
        short_below=5,
        offered=21,
        answered=17,
        answered_in_target=16,
        abandoned=1,
        short_abandoned=0,
        missed=2,
        elsewhere=1,
        unknown=0,
        ringing=0,
        service_level=80.0,
        waits=Durations(17, 127.5, 7.5, 24.1),
        abandons=Durations(1, 12.4, 12.4, 12.4),
        talks=Durations(16, 2_912.0, 182.0, 640.2),
        queue_offered=18,
        queue_answered=15,
        placed=4,
        placed_answered=3,
        placed_talks=Durations(3, 301.5, 100.5, 180.0),
    )


def pbx_stats() -> PbxStats:
    """Return the statistics of the whole PBX."""
    return PbxStats(
        date=_DATE,
        zone="Europe/Berlin",
        since="2026-03-03T23:00:00.000Z",
        counted_since="2026-03-03T23:00:00.000Z",
        calls=68,
        answered=55,
        inbound=Traffic(47, 38, 4, 4, 0, 0, 1, Durations(37, 6_641.5, 179.5, 913.8)),
        outbound=Traffic(14, 11, 0, 0, 3, 0, 0, Durations(11, 1_298.0, 118.0, 402.9)),
        internal=Traffic(7, 6, 0, 0, 1, 0, 0, Durations(6, 291.0, 48.5, 121.7)),
        peak=7,
        peak_at="2026-03-04T07:41:12.300Z",
        active=3,
    )
