from __future__ import annotations

import pytest

from tests.monitor.statistics.counting import Counting


@pytest.fixture
def pbx() -> Counting:
    return Counting()
