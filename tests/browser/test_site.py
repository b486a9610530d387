"""Test the wallboard of a site of processes: kill Redis, revoke a key by command."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.browser.chromium import Page
from tests.bus import RealBus
from tests.system.processes import ROOT, Site, site
from tests.system.stack import PBX

CALLER = "+15550001111"


@pytest.fixture
async def pbx() -> AsyncIterator[SimulatedPbx]:
    async with SimulatedPbx(SimulatorSettings(extensions=30, queues=3, traffic=False)) as simulated:
        yield simulated


@pytest.fixture
async def place(pbx: SimulatedPbx, valkey: RealBus, tmp_path: Path) -> AsyncIterator[Site]:
    async with site(pbx, valkey, tmp_path) as held:
        await held.start("monitor")
        await held.start("gateway", "--port", str(held.port))
        yield held


async def callmon(*arguments: str) -> str:
    """What a command prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


async def key_of(place: Site) -> str:
    """A key made by command, once a monitor keeps it."""
    made = await callmon(
        "key", "new", "--name", "wall", "--pbx", PBX, "--config", str(place.settings)
    )
    found = re.search(r"shown this once: (\S+)", made)
    assert found is not None, made
    return found[1]


async def opened(page: Page, pbx: SimulatedPbx, place: Site) -> None:
    """The calls on the page, one of which waits."""
    await page.go(f"{place.address}/wall?view=calls&theme=dark&lang=en#key={await key_of(place)}")
    await page.until("document.querySelector('.fresh.live')")
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "800")
    await page.shows(CALLER, "table.calls")


async def test_redis_killed_is_said_and_found_again_without_reload(
    page: Page, pbx: SimulatedPbx, valkey: RealBus, place: Site
) -> None:
    await opened(page, pbx, place)
    await page.run("window.marked = true")
    valkey.kill()
    await page.shows("No news from the monitor", ".banner")
    assert CALLER in await page.text("table.calls"), "the last known state stays"
    await page.until("document.querySelector('.wall.stale')")
    await valkey.start()
    await page.until("!document.querySelector('.banner') && document.querySelector('.fresh.live')")
    call = pbx.switchboard.arrive("10000", "+15550002222")
    pbx.switchboard.route(call, "801")
    await page.shows("+15550002222", "table.calls")
    assert await page.run("window.marked") is True
    assert not page.complaints


async def test_a_key_that_is_revoked_by_command_shows_nothing_any_more(
    page: Page, pbx: SimulatedPbx, place: Site
) -> None:
    await opened(page, pbx, place)
    await callmon("key", "revoke", "wall", "--pbx", PBX, "--config", str(place.settings))
    await page.until("document.querySelector('form input')")
    await page.until("document.querySelector('[role=alert]')?.innerText")  # it says why
    assert CALLER not in await page.text()
