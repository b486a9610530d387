"""A PBX whose API client may monitor half of the extensions, and settings that name it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import RealBus


@pytest.fixture
async def pbx() -> AsyncIterator[SimulatedPbx]:
    """An API client that may monitor half of the extensions."""
    settings = SimulatorSettings(
        extensions=12, queues=2, traffic=False, switches=Switches(monitored="half")
    )
    async with SimulatedPbx(settings) as simulated:
        yield simulated


@pytest.fixture
def settings(pbx: SimulatedPbx, valkey: RealBus, tmp_path: Path) -> Path:
    file = tmp_path / "callmon.toml"
    file.write_text(
        f"""
[redis]
url = "{valkey.url}"

[[pbx]]
name = "main"
url = "{pbx.url}"
client_id = "{pbx.client_id}"
client_secret = "{pbx.client_secret}"
""",
        encoding="utf-8",
    )
    return file
