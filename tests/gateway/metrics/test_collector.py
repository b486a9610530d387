"""Test that the gateway's metrics move when they must, under names that fit Prometheus' rules."""

from __future__ import annotations

import random
import re
import socket
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from gateway.cli.runtime import metrics_server
from gateway.counters import FanoutCounters
from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.hub import Hub
from gateway.metrics.stream import STUCK
from gateway.replication.replica import Replica
from gateway.visibility import Visibility
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.entities.topics import TOPICS, Ivr, empty_state
from monitor.shared.errors import ConfigError
from monitor.shared.redis.key_names import SpaceKeys
from tests.bus import until_async
from tests.gateway.cli.console import free_port
from tests.gateway.cli.runtime.test_workers import gateways, settings_file
from tests.gateway.entities import START
from tests.observed import Scrape, a_day, observed
from tests.system.stack import PBX


def badly_named(scrape: Scrape) -> list[str]:
    """Families of ours against the conventions, or without a word of help."""
    bad = []
    for family in scrape.families.values():
        if not family.name.startswith("callmon_"):
            continue
        samples = {sample.name for sample in family.samples}
        if not family.documentation.endswith((".", "…")):
            bad.append(f"{family.name}: no help")
        if family.type == "counter" and any(
            not name.endswith(("_total", "_created")) for name in samples
        ):
            bad.append(f"{family.name}: a counter is a _total")
        if family.type == "histogram" and not family.name.endswith("_seconds"):
            bad.append(f"{family.name}: a histogram of what?")
        if "milli" in family.name or family.name.endswith(("_ms", "_count", "_sum", "_bucket")):
            bad.append(f"{family.name}: not a base unit")
    return bad


async def test_what_a_day_brings_can_be_read() -> None:
    async with observed() as site:
        await a_day(site)
        found = await site.until(
            "gateway",
            lambda s: (
                s.value("callmon_gateway_frames_total", type="heartbeat") > 0
                and s.value("callmon_gateway_connections_ended_total", code="gone") > 0
            ),
        )
        assert badly_named(found) == []
        value = found.value
        assert value("callmon_gateway_ready") == value("callmon_gateway_keys_loaded") == 1
        assert value("callmon_gateway_pbx_connected", pbx=PBX) == 1
        # following
        assert value("callmon_gateway_feed_connected") == 2
        assert value("callmon_gateway_stale") == 0
        assert value("callmon_gateway_heard_age_seconds", space="live") < 3
        changes = value("callmon_gateway_changes_total", space="live")
        assert value("callmon_gateway_log_changes", space="live") == changes > 3
        assert value("callmon_gateway_states_loaded_total", space="live") >= 1
        assert value("callmon_gateway_entities", topic="extensions") == 20
        # the stream
        assert value("callmon_gateway_connections", transport="websocket") == 1
        assert value("callmon_gateway_connections_accepted_total", transport="sse") == 1
        assert value("callmon_gateway_connections_refused_total", reason="key_unknown") == 1
        assert value("callmon_gateway_subscribers", space="live", encoding="json") == 1
        assert value("callmon_gateway_topic_subscribers", topic="calls") == 1
        assert value("callmon_gateway_views", space="live", kind="whole") == 1
        frames = value("callmon_gateway_frames_total", type="change", space="live")
        assert frames > 3
        assert value("callmon_gateway_frame_bytes_total", type="change") > 100 * frames
        assert value("callmon_gateway_snapshots_total", reason="subscribed") >= 2
        assert value("callmon_gateway_snapshots_total", reason="log") == 0
        assert value("callmon_gateway_stuck_subscribers") == 0
        stuck = found.families["callmon_gateway_stuck_subscribers"]
        assert stuck.documentation == f"Clients that have taken nothing for {STUCK:g} seconds."
        written = value("callmon_gateway_delivery_seconds_count", way="written", space="live")
        assert 3 < written <= frames
        assert 0 < value("callmon_gateway_delivery_seconds_sum", way="written") < 5 * written
        assert value("callmon_gateway_delivery_seconds_count", way="awaited") >= 1
        # requests
        assert value("callmon_gateway_requests_total", command="pbx.callsinfo.get") == 2
        assert value("callmon_gateway_requests_total", command="none", result="key_unknown") == 1
        assert value("callmon_gateway_requests_total", command="ext.fwd.set", result="ok") == 2
        assert (
            value(
                "callmon_gateway_requests_total", command="queue.agents.set", result="unknown_queue"
            )
            == 1
        )
        assert value("callmon_gateway_budget_refusals_total", kind="makecall") == 1
        assert (
            value("callmon_gateway_requests_total", command="makecall", result="too_many_requests")
            == 1
        )
        assert value("callmon_gateway_request_duration_seconds_count", command="ext.fwd.set") == 2
        assert value("callmon_gateway_commands_waiting") == 0
        # the process
        assert value("process_resident_memory_bytes") > 10_000_000
        assert value("callmon_build_info", program="gateway") == 1
        # nothing that is nobody's business
        text = (await site.http.get(site.addresses["gateway"])).text
        assert not re.search(r'="\+?[0-9]{5,}"', text), "a label looks like a phone number"
        assert "a-key-for-tests" not in text
        assert "nobodys-key" not in text


async def test_nothing_else_is_served_beside_the_metrics() -> None:
    registry = metrics_server.new_registry("gateway")
    async with (
        metrics_server.exposed(registry, "127.0.0.1", 0) as address,
        httpx.AsyncClient() as http,
    ):
        assert address.endswith("/metrics")
        assert (await http.get(address)).status_code == 200
        assert (await http.get(address.replace("/metrics", "/"))).status_code == 404
        assert (await http.post(address)).status_code == 405
        port = httpx.URL(address).port or 0
        with pytest.raises(
            ConfigError,
            match=r"Cannot serve metrics, as set in \[metrics\], on 127.0.0.1:\d+: another program",
        ):
            async with metrics_server.exposed(CollectorRegistry(), "127.0.0.1", port):
                pass
    with pytest.raises(ConfigError, match="a port is at most 65535"):
        async with metrics_server.exposed(registry, "127.0.0.1", 70_000):
            pass


async def test_each_worker_serves_its_own_on_the_next_port(tmp_path: Path) -> None:
    metrics_port = next_to_each_other(2)
    file = settings_file(tmp_path, "redis://127.0.0.1:1", free_port())
    with file.open("a", encoding="utf-8") as more:
        more.write(f"[metrics]\ngateway_port = {metrics_port}\n")
    async with gateways(file, 2), httpx.AsyncClient() as http:

        async def answers(port: int) -> bool:
            try:
                return (
                    "callmon_gateway_ready 0.0"
                    in (await http.get(f"http://127.0.0.1:{port}/metrics")).text
                )
            except httpx.TransportError:
                return False

        for port in (metrics_port, metrics_port + 1):
            await until_async(partial(answers, port), 30)


def next_to_each_other(count: int) -> int:
    """Return the first of ``count`` adjacent free ports, below the kernel's ephemeral ones."""
    while True:
        first = random.randrange(20_000, 32_000)
        with ExitStack() as stack, suppress(OSError, OverflowError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


class _Line:
    """A connection whose client takes all, or nothing."""

    def __init__(self) -> None:
        self.ready = True
        self.frames: list[bytes] = []

    def push(self, frame: bytes) -> bool:
        if self.ready:
            self.frames.append(frame)
        return self.ready


class _Desk:
    """A hub on a replica with a short log, a clock of the test's own, and subscribers on lines."""

    def __init__(self, log_length: int = 10) -> None:
        self.now = 1_000.0
        self.replica = Replica(SpaceKeys("main", "live"), log_length)
        self.replica.load(Position("1-t", 0), START, empty_state(TOPICS))
        self.hub = Hub(self.replica, lambda: None, lambda: self.now)
        self.view = FilteredView(frozenset({"ivrs"}), Visibility())

    @property
    def counters(self) -> FanoutCounters:
        return self.hub.counters

    def change(self, heard: float) -> None:
        assert self.replica.position is not None
        seq = self.replica.position.seq + 1
        before = self.replica.state["ivrs"].get("1")
        edit = Edit("ivrs", "1", before, Ivr("1", f"name {seq}"))
        self.replica.apply(Change(Position("1-t", seq), START, (edit,), "trace", heard))


def test_a_delivery_is_as_old_as_the_oldest_change_in_its_frame() -> None:
    desk = _Desk()
    quick, slow = _Line(), _Line()
    places = [
        desk.hub.subscribe(desk.view, "json", lambda: None, line=line)
        for line in (quick, slow, slow)
    ]
    for place in places:
        desk.hub.next_messages(place)
    slow.ready = False
    desk.change(heard=999.0)
    desk.hub.changed()
    assert (desk.counters.written.count, desk.counters.written.total) == (1, 1.0)
    assert (desk.counters.changes, desk.counters.merged) == (1, 0)
    desk.now += 2.0
    desk.change(heard=1_001.5)
    desk.hub.changed()
    assert desk.counters.written.total == pytest.approx(1.5)
    for place in places[1:]:
        (message,) = desk.hub.next_messages(place)
    assert desk.counters.awaited.count == 2
    assert desk.counters.awaited.total == pytest.approx(2 * 3.0)
    assert (desk.counters.changes, desk.counters.merged) == (4, 2)
    assert desk.counters.change_bytes == sum(map(len, quick.frames)) + 2 * len(message)


def test_a_change_of_an_older_monitor_has_no_age() -> None:
    desk = _Desk()
    line = _Line()
    desk.hub.next_messages(desk.hub.subscribe(desk.view, "json", lambda: None, line=line))
    desk.change(heard=0.0)
    desk.hub.changed()
    assert (desk.counters.changes, desk.counters.written.count) == (1, 0)


def test_snapshots_are_told_apart_by_why_they_were_sent() -> None:
    desk = _Desk(log_length=2)
    lagging = desk.hub.subscribe(desk.view, "json", lambda: None)
    desk.hub.next_messages(lagging)
    for _ in range(3):
        desk.change(heard=999.0)
        desk.hub.changed()
    desk.hub.next_messages(lagging)
    assert desk.counters.snapshots == {"subscribed": 1, "log": 1}
    desk.hub.next_messages(
        desk.hub.subscribe(desk.view, "json", lambda: None, since=Position("1-t", 0))
    )
    assert desk.counters.snapshots["log"] == 2
    desk.replica.load(Position("2-t", 0), START, empty_state(TOPICS))
    desk.hub.changed()
    desk.hub.next_messages(lagging)
    assert desk.counters.snapshots["epoch"] == 1
