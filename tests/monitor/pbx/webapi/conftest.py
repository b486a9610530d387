from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.monitor.pbx.documented import Documented, documented


@pytest.fixture
async def service() -> AsyncIterator[Documented]:
    async with documented() as there:
        yield there
