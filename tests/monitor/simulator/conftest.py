from __future__ import annotations

import pytest

from tests.monitor.simulator.exchange_bench import Bench


@pytest.fixture
def pbx() -> Bench:
    return Bench()
