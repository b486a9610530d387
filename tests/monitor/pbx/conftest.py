from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from monitor.pbx.v20_client import PbxClient
from tests.monitor.pbx.scripted import ScriptedPbx, scripted_pbx, settings_for


@pytest.fixture
async def pbx() -> AsyncIterator[ScriptedPbx]:
    async with scripted_pbx() as pbx:
        yield pbx


@pytest.fixture
async def client(pbx: ScriptedPbx) -> AsyncIterator[PbxClient]:
    client = PbxClient(settings_for(pbx.url))
    yield client
    await client.close()
