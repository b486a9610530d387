"""Collect how the replicas follow the monitor: age, what they missed and read anew, size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from gateway.pbx_context import PbxContext
    from gateway.replication.follower import StateFollower
    from gateway.replication.replica import Replica

_LABELS = ["pbx", "space"]
_REASONS = ("gap", "announced", "compared", "subscribed")


def collect(pbxs: Mapping[str, PbxContext], now: float) -> Iterator[Metric]:
    """Yield the metrics of all PBXs, by name. ``now``: POSIX seconds."""
    spaces = list(_spaces(pbxs))
    yield from _state(spaces, now)
    yield from _history(spaces)
    held = GaugeMetricFamily(
        "callmon_gateway_entities", "Entities held, by topic.", labels=["pbx", "topic"]
    )
    for pbx, _, replica, _ in spaces:
        for topic, entities in replica.state.items():
            held.add_metric([pbx, topic], len(entities))
    yield held


def _state(spaces: list[tuple[str, str, Replica, StateFollower]], now: float) -> Iterator[Metric]:
    connected = GaugeMetricFamily(
        "callmon_gateway_feed_connected",
        "1 if the space is followed on Redis, else 0.",
        labels=_LABELS,
    )
    age = GaugeMetricFamily(
        "callmon_gateway_heard_age_seconds",
        "Time since which nothing has been heard from the monitor.",
        labels=_LABELS,
    )
    stale = GaugeMetricFamily(
        "callmon_gateway_stale",
        "1 if answers are marked stale because the monitor is silent, else 0.",
        labels=_LABELS,
    )
    behind = GaugeMetricFamily(
        "callmon_gateway_behind_positions",
        "Positions by which Redis was ahead when this gateway last compared, every five seconds.",
        labels=_LABELS,
    )
    for pbx, space, replica, feed in spaces:
        connected.add_metric([pbx, space], float(feed.connected))
        age.add_metric([pbx, space], max(0.0, now - feed.heard_at) if feed.heard_at else 0.0)
        stale.add_metric(
            [pbx, space], float(replica.position is None or replica.stale_since is not None)
        )
        behind.add_metric([pbx, space], feed.counters.behind)
    yield from (connected, age, stale, behind)


def _history(spaces: list[tuple[str, str, Replica, StateFollower]]) -> Iterator[Metric]:
    changes = CounterMetricFamily("callmon_gateway_changes", "Changes applied.", labels=_LABELS)
    loads = CounterMetricFamily(
        "callmon_gateway_states_loaded", "Whole states read from Redis.", labels=_LABELS
    )
    losses = CounterMetricFamily(
        "callmon_gateway_feed_losses",
        "Times that the subscription on Redis was lost.",
        labels=_LABELS,
    )
    gaps = CounterMetricFamily(
        "callmon_gateway_catch_ups",
        "Reads of log or state: gap (a change was missing), announced (only a position was sent), "
        "compared (Redis "
        "was ahead), subscribed (a subscription began).",
        labels=[*_LABELS, "reason"],
    )
    length = GaugeMetricFamily(
        "callmon_gateway_log_changes", "Changes kept for clients that come back.", labels=_LABELS
    )
    for pbx, space, replica, feed in spaces:
        changes.add_metric([pbx, space], feed.counters.changes)
        loads.add_metric([pbx, space], feed.counters.loads)
        losses.add_metric([pbx, space], feed.counters.losses)
        for reason in _REASONS:
            gaps.add_metric([pbx, space, reason], feed.counters.catch_ups[reason])
        length.add_metric([pbx, space], replica.log_length)
    yield from (changes, loads, losses, gaps, length)


def _spaces(pbxs: Mapping[str, PbxContext]) -> Iterator[tuple[str, str, Replica, StateFollower]]:
    for name, view in pbxs.items():
        yield name, "live", view.live, view.live_feed
        yield name, "book", view.book, view.book_feed
