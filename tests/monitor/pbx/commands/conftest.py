from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from monitor.pbx.commands import execute_and_reread
from tests.monitor.pbx.commanding import Desk, commanding


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call that was just made be read, however busy the machine is."""
    monkeypatch.setattr(execute_and_reread, "LOOK_WITHIN_S", 60.0)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with commanding() as desk:
        yield desk
