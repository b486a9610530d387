"""What the tests of ``callmon top`` draw."""

from __future__ import annotations

import pytest

from gateway.stream_client import Entities
from tests.gateway.cli.top import scene


@pytest.fixture
def state() -> Entities:
    return scene.state()
