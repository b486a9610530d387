"""Collect the stream's metrics: who is connected and watches what, what was sent and how late.

Clients that take nothing are counted too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from gateway.stream.sse import EventStream
from gateway.visibility import NO_LIMITS

if TYPE_CHECKING:
    from gateway.fanout.hub import Hub
    from gateway.pbx_context import PbxContext
    from gateway.stream.server import StreamServer

STUCK = 5.0
"""Seconds without taking anything after which a client counts as stuck."""
_LABELS = ["pbx", "space"]
_TRANSPORTS = ("websocket", "sse")
_WHYS = ("subscribed", "epoch", "log", "size")


def collect(pbxs: Mapping[str, PbxContext], live: StreamServer) -> Iterator[Metric]:
    """Yield the metrics of all PBXs, by name."""
    hubs = [
        hub
        for name, view in pbxs.items()
        for hub in ((name, "live", view.hub), (name, "book", view.book_hub))
    ]
    yield from _connections(live)
    yield from _subscribers(hubs)
    yield from _frames(hubs)
    yield from _deliveries(hubs)
    watching = GaugeMetricFamily(
        "callmon_gateway_query_watchers",
        "Clients and waiting requests that watch a query.",
        labels=["pbx"],
    )
    for name, view in pbxs.items():
        watching.add_metric([name], len(view.watches))
    yield watching


def _connections(live: StreamServer) -> Iterator[Metric]:
    now = GaugeMetricFamily(
        "callmon_gateway_connections", "Clients on the stream.", labels=["transport"]
    )
    counted = Counter(
        "sse" if isinstance(one, EventStream) else "websocket" for one in live.sessions
    )
    accepted = CounterMetricFamily(
        "callmon_gateway_connections_accepted", "Clients admitted.", labels=["transport"]
    )
    for transport in _TRANSPORTS:
        now.add_metric([transport], counted[transport])
        accepted.add_metric([transport], live.counters.accepted[transport])
    refused = CounterMetricFamily(
        "callmon_gateway_connections_refused", "Clients refused.", labels=["reason"]
    )
    for reason, count in live.counters.refused.items():
        refused.add_metric([reason], count)
    ended = CounterMetricFamily(
        "callmon_gateway_connections_ended",
        "Connections that ended, by close code; gone: the client left by itself.",
        labels=["code"],
    )
    for code, count in live.counters.ended.items():
        ended.add_metric([code], count)
    stuck = sum(one.blocked >= STUCK for one in live.sessions)
    yield from (now, accepted, refused, ended)
    yield GaugeMetricFamily(
        "callmon_gateway_stuck_subscribers",
        f"Clients that have taken nothing for {STUCK:g} seconds.",
        stuck,
    )


def _subscribers(hubs: list[tuple[str, str, Hub]]) -> Iterator[Metric]:
    subscribers = GaugeMetricFamily(
        "callmon_gateway_subscribers", "Subscribers, by encoding.", labels=[*_LABELS, "encoding"]
    )
    topics = GaugeMetricFamily(
        "callmon_gateway_topic_subscribers", "Subscribers of each topic.", labels=["pbx", "topic"]
    )
    views = GaugeMetricFamily(
        "callmon_gateway_views",
        "Different views in use, whose frames are made once for all subscribers that share them: "
        "whole, filtered by the "
        "subscription, or limited by the key.",
        labels=[*_LABELS, "kind"],
    )
    lagging = GaugeMetricFamily(
        "callmon_gateway_lagging_subscribers", "Subscribers that changes wait for.", labels=_LABELS
    )
    for pbx, space, hub in hubs:
        encodings, watched, kinds, late = _looked_at(hub)
        for encoding in ("json", "msgpack"):
            subscribers.add_metric([pbx, space, encoding], encodings[encoding])
        for topic, count in watched.items():
            topics.add_metric([pbx, topic], count)
        for kind in ("whole", "filtered", "limited"):
            views.add_metric([pbx, space, kind], kinds[kind])
        lagging.add_metric([pbx, space], late)
    yield from (subscribers, topics, views, lagging)


def _looked_at(hub: Hub) -> tuple[Counter[str], Counter[str], Counter[str], int]:
    """Return subscribers by encoding and by topic, views by kind, and how many subscribers lag."""
    encodings: Counter[str] = Counter()
    topics: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    late = 0
    epoch = hub.position.epoch if hub.position is not None else None
    for track in hub.tracks:
        view = track.view
        kinds[
            "limited"
            if view.visibility.limits != NO_LIMITS
            else "filtered"
            if view.filter
            else "whole"
        ] += 1
        for topic in view.topics:
            topics[topic] += len(track.subscribers)
        for one in track.subscribers:
            encodings[one.encoding] += 1
            told = one.position
            late += told is None or told.epoch != epoch or told.seq < track.changed_at
    return encodings, topics, kinds, late


def _frames(hubs: list[tuple[str, str, Hub]]) -> Iterator[Metric]:
    frames = CounterMetricFamily(
        "callmon_gateway_frames", "Frames sent.", labels=[*_LABELS, "type"]
    )
    size = CounterMetricFamily(
        "callmon_gateway_frame_bytes", "Bytes of frames sent.", labels=[*_LABELS, "type"]
    )
    merged = CounterMetricFamily(
        "callmon_gateway_merged_frames", "Frames sent that merged several changes.", labels=_LABELS
    )
    snapshots = CounterMetricFamily(
        "callmon_gateway_snapshots",
        "Snapshots sent: after a subscription, when a new epoch began, as the log did not reach "
        "back (log), as the change "
        "would have been larger (size).",
        labels=[*_LABELS, "reason"],
    )
    for pbx, space, hub in hubs:
        counters = hub.counters
        for kind, count, total in (
            ("change", counters.changes, counters.change_bytes),
            ("snapshot", counters.snapshot_parts, counters.snapshot_bytes),
            ("heartbeat", counters.heartbeats, counters.heartbeat_bytes),
        ):
            frames.add_metric([pbx, space, kind], count)
            size.add_metric([pbx, space, kind], total)
        merged.add_metric([pbx, space], counters.merged)
        for why in _WHYS:
            snapshots.add_metric([pbx, space, why], counters.snapshots[why])
    yield from (frames, size, merged, snapshots)


def _deliveries(hubs: list[tuple[str, str, Hub]]) -> Iterator[Metric]:
    deliveries = HistogramMetricFamily(
        "callmon_gateway_delivery_seconds",
        "From when the monitor heard of the oldest change in a frame until the frame was handed "
        "to the transport, by "
        "both hosts' clocks. way=written: by the hub, to clients that had taken all before. "
        "way=awaited: by the "
        "client's own turn (server-sent events, keys that expire, clients that had not), its "
        "slowness included.",
        labels=[*_LABELS, "way"],
    )
    for pbx, space, hub in hubs:
        for way, histogram in (
            ("written", hub.counters.written),
            ("awaited", hub.counters.awaited),
        ):
            deliveries.add_metric([pbx, space, way], histogram.buckets(), histogram.total)
    yield deliveries
