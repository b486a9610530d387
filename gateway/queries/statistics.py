"""Answer the queries about the day's statistics. Pure."""

from __future__ import annotations

from typing import TypeVar

from gateway.errors import KeyLimited, NoState, UnknownExtension, UnknownQueue
from gateway.queries.context import QueryContext
from monitor.shared.entities.statistics import (
    EXTENSION_STATS,
    PBX_ID,
    PBX_STATS,
    QUEUE_STATS,
    ExtensionStats,
    PbxStats,
    QueueStats,
)
from monitor.shared.entities.topics import Extension, Queue

_StatsT = TypeVar("_StatsT", QueueStats, ExtensionStats, PbxStats)


def queue_stats(asked: QueryContext) -> QueueStats:
    """Return a queue's day statistics (``queue.stats.get``). Raises UnknownQueue, NoState."""
    queue = asked.named("queues", Queue, UnknownQueue, "queue")
    return _counted(asked.one(QUEUE_STATS, QueueStats, queue.num))


def extension_stats(asked: QueryContext) -> ExtensionStats:
    """Return an extension's statistics of the day (``ext.stats.get``).

    Raises UnknownExtension, NoState.
    """
    extension = asked.named("extensions", Extension, UnknownExtension, "extension")
    return _counted(asked.one(EXTENSION_STATS, ExtensionStats, extension.num))


def pbx_stats(asked: QueryContext) -> PbxStats:
    """Return the PBX's statistics of the day (``pbx.stats.get``). Raises KeyLimited, NoState."""
    if asked.visibility.limits.any:
        raise KeyLimited(
            "This key is limited to some extensions, queues or groups; the PBX's statistics cover "
            "more than these."
        )
    return _counted(asked.one(PBX_STATS, PbxStats, PBX_ID))


def _counted(found: _StatsT | None) -> _StatsT:
    if found is None:
        raise NoState("Nothing of this day has been counted yet.")
    return found
