"""Fixtures that several packages' tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.bus import Bus, RealBus, fake_bus, real_bus


@pytest.fixture
async def valkey() -> AsyncIterator[RealBus]:
    """A real server of the test's own, to be killed at will."""
    async with real_bus() as bus:
        yield bus


@pytest.fixture(params=["fakeredis", "valkey"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """The test runs twice: on the in-process server and on a real one."""
    if request.param == "valkey":
        async with real_bus() as real:
            yield real
    else:
        async with fake_bus() as fake:
            yield fake
