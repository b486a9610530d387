"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from tests.bus import Bus, RealBus, fake_bus, real_bus

# What passed passes again: whoever changes nothing must not meet a new example. `make fuzz` looks for those.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile("fuzz" if os.environ.get("CALLMON_FUZZ") else "same")


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
