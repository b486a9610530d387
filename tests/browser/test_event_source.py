"""Test with a browser's EventSource, which gives up for good after a status other than 200."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.browser.chromium import Page
from tests.browser.world import World
from tests.bus import Bus, fake_bus
from tests.system.stack import KEY, gateway, monitoring

_OPEN = """
window.seen = [];
window.source = new EventSource("/webapi/%s/events?topics=calls,system");
source.onmessage = ({ data }) => seen.push(JSON.parse(data).type);
source.onerror = () => {
  const closed = source.readyState === EventSource.CLOSED;
  seen.push("closed for " + (closed ? "good" : "a while"));
};
"""


@pytest.fixture
async def empty_bus() -> AsyncIterator[Bus]:
    async with fake_bus() as bus:
        yield bus


async def test_opened_while_there_is_no_state_it_becomes_live_when_that_comes(
    page: Page, empty_bus: Bus
) -> None:
    settings = SimulatorSettings(extensions=12, queues=2, traffic=False)
    async with gateway(empty_bus.client()) as address, SimulatedPbx(settings) as pbx:
        await page.go(f"{address}/wall")
        await page.until("document.readyState === 'complete' && location.pathname === '/wall'")
        await page.run(_OPEN % KEY)
        await page.until("seen.length >= 2")
        assert await page.run("[...new Set(seen)]") == ["closed for a while"]
        async with monitoring(pbx, empty_bus.client(), watchdog=5.0):
            await page.until("seen.includes('snapshot')")
            assert await page.run("source.readyState === EventSource.OPEN")
        await page.run("source.close()")


async def test_a_key_that_is_refused_closes_it_for_good(page: Page, world: World) -> None:
    await page.go(f"{world.address}/wall")
    await page.until("document.readyState === 'complete' && location.pathname === '/wall'")
    await page.run(_OPEN % "no-such-key")
    await page.until("seen.length >= 1")
    assert await page.run("seen") == ["closed for good"]
