from __future__ import annotations

import pytest

from tests.monitor.simulator.xapi_client import Client


@pytest.fixture
def client() -> Client:
    return Client()
