"""Test that the gateway's metrics move when they must, under names that fit Prometheus' rules."""

from __future__ import annotations

import re

import pytest

from gateway.metrics.stream import STUCK
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


async def test_what_a_day_brings_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.commands.dispatcher.CLAIM_WITHIN_S", 60.0)  # of a slow machine
    async with observed() as site:
        await a_day(site)
        found = await site.until(
            "gateway",
            lambda s: (
                s.value("callmon_gateway_frames_total", type="heartbeat") > 0
                and s.value("callmon_gateway_connections_ended_total", code="gone") > 0
                and s.value("callmon_gateway_feed_connected") == 2
                and s.value("callmon_gateway_stale") == 0
                and s.value("callmon_gateway_heard_age_seconds", space="live") < 3
                # A busy machine merges changes.
                and s.value("callmon_gateway_changes_total", space="live") > 3
                and s.value("callmon_gateway_delivery_seconds_count", way="written", space="live")
                > 3
            ),
        )
        assert badly_named(found) == []
        value = found.value
        assert value("callmon_gateway_ready") == value("callmon_gateway_keys_loaded") == 1
        assert value("callmon_gateway_pbx_connected", pbx=PBX) == 1
        # following
        changes = value("callmon_gateway_changes_total", space="live")
        held = value("callmon_gateway_log_changes", space="live")
        assert held >= changes > 3, "the first state may have come with changes before it"
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
