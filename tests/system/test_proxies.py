"""Test that monitor and gateway connect directly, whatever proxies the environment names."""

from __future__ import annotations

import asyncio

import pytest

from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.browser.world import World
from tests.bus import RealBus
from tests.proxies import connect_proxy
from tests.system.stack import monitoring


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_the_programs_use_no_proxy(
    tls: bool, valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect_proxy(1) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        settings = SimulatorSettings(extensions=12, queues=2, traffic=False, tls=tls)
        async with (
            SimulatedPbx(settings) as pbx,
            World(pbx, valkey, monitoring(pbx, valkey.client(), watchdog=60.0)) as world,
        ):
            world.queued()
            async with asyncio.timeout(60):
                while (await world.ask("pbx.calls.get")).get("result") != 1:  # noqa: ASYNC110 - another task's state
                    await asyncio.sleep(0.05)
        assert not proxy.asked
