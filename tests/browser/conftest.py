"""Provide a browser for each worker, a page for each test, and a callmon with scripted calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.browser import chromium
from tests.browser.chromium import Page
from tests.browser.world import World
from tests.bus import fake_bus
from tests.system.stack import monitoring


@pytest.fixture(scope="session")
def browser() -> Iterator[Path]:
    program = chromium.binary()
    if program is None:
        pytest.skip(
            "There is no Chromium on this machine (Debian: apt install chromium), so no page was "
            "looked at."
        )
    with chromium.running(program) as profile:
        yield profile


@pytest.fixture
async def page(browser: Path) -> AsyncIterator[Page]:
    async with chromium.opened(browser) as opened:
        yield opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A PBX in which nothing happens unless the test does it, monitor, bus and gateway."""
    settings = SimulatorSettings(extensions=30, queues=3, traffic=False)
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(fake_bus())
        pbx = await stack.enter_async_context(SimulatedPbx(settings))
        held = World(pbx, bus, monitoring(pbx, bus.client(), watchdog=5.0))
        await stack.enter_async_context(held)
        yield held
