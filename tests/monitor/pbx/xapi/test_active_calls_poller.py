"""When the active calls are read."""

from __future__ import annotations

from monitor.pbx.facts import (
    ActiveCallsRead,
)
from monitor.pbx.xapi.read_budget import LEAST_GAP_S
from tests.monitor.pbx.scripted import ScriptedPbx, following, settings_for
from tests.monitor.pbx.test_v20_source import ROWS


async def test_pokes_are_gathered_and_one_during_a_read_causes_another(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url, poll_interval=60.0)) as (source, facts):
        await facts.connected()
        held = pbx.hold(ROWS)
        for _ in range(10):
            source.request_read()
        await held.asked.wait()
        asked = pbx.requests[ROWS]
        for _ in range(10):
            source.request_read()
        before = len(facts.all)
        held.release()
        first = await facts.until(ActiveCallsRead, after=before)
        second = await facts.until(ActiveCallsRead, lambda read: read is not first, before)
        assert second.asked - first.asked >= LEAST_GAP_S * 0.9
        assert pbx.requests[ROWS] == asked + 1


async def test_an_event_has_active_calls_read_soon(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url, poll_interval=60.0)) as (_, facts):
        await facts.connected()
        await pbx.upsert(1, "Ringing")
        seen = await facts.seen("Ringing")
        await facts.until(ActiveCallsRead, lambda read: read.asked > seen.heard)


async def test_times_are_those_of_the_pbx(pbx: ScriptedPbx) -> None:
    pbx.rows = [{"Id": 7, "ServerNow": "2026-03-04T03:15:30Z"}]
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        await pbx.upsert(1, "Ringing")
        assert abs((await facts.seen("Ringing")).at - 1772594130.0) < 15
