"""Sample the stream: who is connected and watches what, what was sent and how late.

Clients that take nothing are counted too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.stream.sse import EventStream
from gateway.visibility import NO_LIMITS
from monitor.shared.metrics.metric_table import Sample

if TYPE_CHECKING:
    from gateway.fanout.hub import Hub
    from gateway.stream.server import StreamServer

STUCK = 5.0
"""Seconds without taking anything after which a client counts as stuck."""
_TRANSPORTS = ("websocket", "sse")
_WHYS = ("subscribed", "epoch", "log", "size")


def connections(live: StreamServer) -> Iterator[Sample]:
    """Yield the samples of the connections to all PBXs."""
    now = Counter("sse" if isinstance(one, EventStream) else "websocket" for one in live.sessions)
    for transport in _TRANSPORTS:
        accepted = live.counters.accepted[transport]
        yield "callmon_gateway_connections", [transport], now[transport]
        yield "callmon_gateway_connections_accepted", [transport], accepted
    for reason, count in live.counters.refused.items():
        yield "callmon_gateway_connections_refused", [reason], count
    for code, count in live.counters.ended.items():
        yield "callmon_gateway_connections_ended", [code], count
    stuck = sum(one.blocked >= STUCK for one in live.sessions)
    yield "callmon_gateway_stuck_subscribers", [], stuck


def samples(pbx: str, space: str, hub: Hub) -> Iterator[Sample]:
    """Yield the samples of one space of a PBX."""
    yield from _subscribers(pbx, space, hub)
    labels, counters = [pbx, space], hub.counters
    for kind, count, total in (
        ("change", counters.changes, counters.change_bytes),
        ("snapshot", counters.snapshot_parts, counters.snapshot_bytes),
        ("heartbeat", counters.heartbeats, counters.heartbeat_bytes),
    ):
        yield "callmon_gateway_frames", [*labels, kind], count
        yield "callmon_gateway_frame_bytes", [*labels, kind], total
    yield "callmon_gateway_merged_frames", labels, counters.merged
    for why in _WHYS:
        yield "callmon_gateway_snapshots", [*labels, why], counters.snapshots[why]
    yield "callmon_gateway_delivery_seconds", [*labels, "written"], counters.written
    yield "callmon_gateway_delivery_seconds", [*labels, "awaited"], counters.awaited


def _subscribers(pbx: str, space: str, hub: Hub) -> Iterator[Sample]:
    encodings, topics, kinds, late = _looked_at(hub)
    for encoding in ("json", "msgpack"):
        yield "callmon_gateway_subscribers", [pbx, space, encoding], encodings[encoding]
    for topic, count in topics.items():
        yield "callmon_gateway_topic_subscribers", [pbx, topic], count
    for kind in ("whole", "filtered", "limited"):
        yield "callmon_gateway_views", [pbx, space, kind], kinds[kind]
    yield "callmon_gateway_lagging_subscribers", [pbx, space], late


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
