"""A simulated PBX, and a client of its web client's interface."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from monitor.pbx.myphone.client import MyPhoneClient
from monitor.simulator.server import SimulatedPbx
from tests.monitor.pbx.myphone.web_clients import (
    web_client,
)
from tests.monitor.simulator.api_client import QUIET


@pytest.fixture
async def pbx() -> AsyncIterator[SimulatedPbx]:
    async with SimulatedPbx(QUIET) as pbx:
        yield pbx


@pytest.fixture
async def web(pbx: SimulatedPbx) -> AsyncIterator[MyPhoneClient]:
    async with web_client(pbx) as web:
        yield web
