"""Sample how the replicas follow the monitor: age, what they missed and read again, size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from monitor.shared.metrics.metric_table import Sample

if TYPE_CHECKING:
    from gateway.replication.follower import StateFollower
    from gateway.replication.replica import Replica

_REASONS = ("gap", "announced", "compared", "subscribed")


def samples(
    pbx: str, space: str, replica: Replica, feed: StateFollower, now: float
) -> Iterator[Sample]:
    """Yield the samples of one space of a PBX. ``now``: POSIX seconds."""
    labels, counters = [pbx, space], feed.counters
    age = max(0.0, now - feed.heard_at) if feed.heard_at else 0.0
    stale = replica.position is None or replica.stale_since is not None
    yield "callmon_gateway_feed_connected", labels, feed.connected
    yield "callmon_gateway_heard_age_seconds", labels, age
    yield "callmon_gateway_stale", labels, stale
    yield "callmon_gateway_behind_positions", labels, counters.behind
    yield "callmon_gateway_changes", labels, counters.changes
    yield "callmon_gateway_states_loaded", labels, counters.loads
    yield "callmon_gateway_feed_losses", labels, counters.losses
    for reason in _REASONS:
        yield "callmon_gateway_catch_ups", [*labels, reason], counters.catch_ups[reason]
    yield "callmon_gateway_log_changes", labels, replica.log_length
    for topic, entities in replica.state.items():
        yield "callmon_gateway_entities", [pbx, topic], len(entities)
