"""Test that the monitor's metrics move when they must.

What of the PBX is told is told by who leads alone.
"""

from __future__ import annotations

import asyncio
import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from monitor import run as monitor_run
from monitor.config import MonitorSection, MonitorSettings
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import fake_bus, only, until
from tests.gateway.metrics.test_collector import badly_named
from tests.observed import Scrape, a_day, observed
from tests.system.stack import PBX, running, section


async def test_what_a_day_brings_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.commands.dispatcher.CLAIM_WITHIN_S", 60.0)  # of a slow machine
    async with observed() as site:
        await a_day(site)
        found = await site.until(
            "monitor",
            lambda s: (
                s.value("callmon_monitor_audit_entries_total", result="kept") >= 4
                and s.value("callmon_pbx_events_total", kind="removed") > 0
                and s.value("callmon_calls_today", outcome="answered") > 0
                and s.value("callmon_monitor_lease_sure") == 1
                and s.value("callmon_monitor_commands_in_hand") == 0
                and s.value("callmon_pbx_connected", pbx=PBX) == 1
                # A busy machine merges changes.
                and s.value("callmon_monitor_event_to_publish_seconds_count", space="live") > 3
            ),
        )
        assert badly_named(found) == []
        value = found.value
        assert value("callmon_monitor_leads", pbx=PBX) == value("callmon_monitor_lease_sure") == 1
        assert value("callmon_monitor_terms_total") == 1
        # the bus
        published = value("callmon_monitor_publish_duration_seconds_count", space="live")
        assert published > 3
        assert (
            3 < value("callmon_monitor_event_to_publish_seconds_count", space="live") <= published
        )
        assert value("callmon_monitor_edits_published_total", space="live") >= published
        assert value("callmon_monitor_epochs_total", space="live") >= 1
        assert value("callmon_monitor_redis_errors_total") == 0
        # commands
        assert value("callmon_monitor_commands_total", command="ext.fwd.set", result="success") == 2
        assert (
            value(
                "callmon_monitor_commands_total", command="queue.agents.set", result="unknown_queue"
            )
            == 1
        )
        assert value("callmon_monitor_command_duration_seconds_count", command="makecall") == 1
        assert value("callmon_monitor_commands_in_hand") == 0
        # the PBX's interface
        assert value("callmon_pbx_requests_total", kind="participant", result="ok") > 0
        assert value("callmon_pbx_requests_total", kind="command", result="ok") >= 3
        assert value("callmon_pbx_request_duration_seconds_count", kind="active_calls") > 0
        assert value("callmon_pbx_tokens_total", event="minted") == 1
        assert value("callmon_pbx_event_sockets_total", event="opened") == 1
        assert value("callmon_pbx_events_total", kind="upserted") > 0
        assert value("callmon_pbx_readings_total", what="directory") >= 1
        assert value("callmon_pbx_readings_total", what="participants") >= 1
        assert abs(value("callmon_pbx_clock_offset_seconds")) < 5
        # what is going on
        assert value("callmon_pbx_connected", pbx=PBX) == 1
        assert value("callmon_calls") > 0
        assert value("callmon_extensions") == 20
        assert value("callmon_queue_agents", queue="800") > 0
        assert value("callmon_queue_agents", queue="800", name="Sales") > 0
        assert value("callmon_line_capacity", line="10000") > 0
        assert {
            sample.labels["queue"] for sample in found.families["callmon_queue_waiting"].samples
        } == {"800", "801"}
        assert value("callmon_queue_callers_today", outcome="offered") >= value(
            "callmon_queue_callers_today", outcome="answered"
        )
        # nothing that is nobody's business: lines are known by their DNs, people not at all
        labels = {
            text
            for family in found.families.values()
            for sample in family.samples
            for text in sample.labels.values()
        }
        assert not [text for text in labels if re.fullmatch(r"\+?[0-9]{6,}", text)]
        assert not labels & {"101", "102"}


async def test_a_standby_says_that_it_does_not_lead_and_nothing_of_the_pbx() -> None:
    async with (
        SimulatedPbx(SimulatorSettings(extensions=5, queues=1, traffic=False)) as pbx,
        fake_bus() as bus,
    ):

        def scrape(registry: CollectorRegistry) -> Scrape:
            text = generate_latest(registry).decode()
            return Scrape(
                {family.name: family for family in text_string_to_metric_families(text)}, text
            )

        async def watching(name: str, registry: CollectorRegistry) -> None:
            settings = MonitorSettings(
                pbx=(section(pbx),), monitor=MonitorSection(name=name, lease_duration=10.0)
            )
            await monitor_run.run(settings, only(bus.client()), registry=registry)

        def leads(registry: CollectorRegistry) -> bool:
            return scrape(registry).names >= {"callmon_pbx_connected"}

        first, second = CollectorRegistry(), CollectorRegistry()
        leader = asyncio.create_task(watching("first", first))
        async with running(asyncio.create_task(watching("second", second))):
            await until(lambda: leads(first) or leads(second))
            await until(
                lambda: "callmon_monitor_leads" in scrape(first).names & scrape(second).names
            )
            standing_by = scrape(second if leads(first) else first)
            assert standing_by.value("callmon_monitor_leads") == 0
            assert not [
                name
                for name in standing_by.names
                if name.startswith(("callmon_queue", "callmon_calls"))
            ]
            assert "callmon_pbx_connected" not in standing_by.names
            leader.cancel()
            await asyncio.gather(leader, return_exceptions=True)
            await until(lambda: leads(second))
            assert scrape(second).value("callmon_monitor_leads") == 1
