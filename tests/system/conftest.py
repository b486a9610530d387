"""Provide what tests of whole sites share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import RealBus
from tests.system.processes import Site, site


@pytest.fixture(autouse=True)
def unhurried_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is carried out in this process take its time: no test here is about lateness."""
    for within in ("CLAIM_WITHIN_S", "START_WITHIN_S", "OWN_WITHIN_S"):
        monkeypatch.setattr(f"gateway.commands.dispatcher.{within}", 60.0)
    monkeypatch.setattr("monitor.pbx.commands.execute_and_reread.LOOK_WITHIN_S", 60.0)
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 60.0)


@pytest.fixture
async def pbx() -> AsyncIterator[SimulatedPbx]:
    """In a rush: 10 calls a second, short ones."""
    async with SimulatedPbx(
        SimulatorSettings(extensions=60, queues=3, rate=600, speed=5)
    ) as simulated:
        yield simulated


@pytest.fixture
async def place(pbx: SimulatedPbx, valkey: RealBus, tmp_path: Path) -> AsyncIterator[Site]:
    """Nothing runs there yet but PBX and Redis."""
    async with site(pbx, valkey, tmp_path) as held:
        yield held


@pytest.fixture
async def steady(pbx: SimulatedPbx, valkey: RealBus, tmp_path: Path) -> AsyncIterator[Site]:
    """Run a site whose monitor still leads after a pause of seconds: no new epoch begins."""
    async with site(pbx, valkey, tmp_path, lease=30.0) as held:
        yield held
