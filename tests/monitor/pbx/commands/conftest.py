from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.monitor.pbx.commanding import Desk, commanding


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with commanding() as desk:
        yield desk
