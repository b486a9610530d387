"""The gateway's metrics: what must have moved has, under names that Prometheus' conventions ask for."""

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
from monitor.shared.errors import ConfigError
from monitor.shared.histogram import Histogram
from tests.bus import until_async
from tests.gateway.cli.console import free_port
from tests.gateway.cli.runtime.test_workers import gateways, settings_file
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
    """The first of so many ports in a row that are free, below those that the kernel gives to whoever asks for any."""
    while True:
        first = random.randrange(20_000, 32_000)
        with ExitStack() as stack, suppress(OSError, OverflowError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def test_a_histogram_adds_up() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds, times in ((0.05, 1), (0.1, 3), (0.5, 1), (7.0, 2), (-1.0, 1)):
        histogram.add(seconds, times)
    assert histogram.buckets() == [("0.1", 5), ("1.0", 6), ("+Inf", 8)]
    assert histogram.count == 8
    assert histogram.total == pytest.approx(0.05 + 0.3 + 0.5 + 14)
