"""The settings by which a day is counted."""

from __future__ import annotations

from monitor.shared.changes import Edit
from monitor.statistics.settings import StatisticsSettings
from tests.monitor.statistics.counting import Counting
from tests.monitor.statistics.scene import queue


def test_a_queue_has_the_target_set_here_before_the_one_set_at_the_pbx() -> None:
    pbx = Counting(StatisticsSettings(target=30, targets={"801": 10}))
    pbx.tell(
        Edit("queues", "800", queue("800"), queue("800", 60)),
        Edit("queues", "801", None, queue("801", 60)),
    )
    pbx.tell(Edit("queues", "802", None, queue("802", 0)))
    assert [pbx.queue(num).target for num in ("800", "801", "802")] == [60, 10, 30]


def test_a_target_of_zero_is_none_that_was_set() -> None:
    """3CX has 0 where nothing was entered."""
    terms = StatisticsSettings(target=20, targets={"800": 0, "801": 7})
    assert terms.queue_target("800", 0) == terms.queue_target("800", None) == 20
    assert terms.queue_target("800", 45) == 45
    assert terms.queue_target("801", 45) == 7
