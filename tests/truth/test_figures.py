"""Test the figures against what somebody would count by hand."""

from __future__ import annotations

from tests.truth.acts import watched
from tests.truth.figures import Day, Lasted

DAY = """
    0 arrived L1(+491)
    1 routed >Q1
    1 entered Q1
    3 polled Q1
    3 ringing 101 >Q1
    8 picked_up 101
    8 left Q1
    20 transferred 101 >Q2
    20 left 101
    20 entered Q2
    26 ended
    call 2
    30 arrived L1(+492)
    31 routed >Q1
    31 entered Q1
    35 routed >102
    35 left Q1
    35 ringing 102
    45 ended
    call 3
    50 dialled 101 >+493
    50 ringing L1(+493)
    55 picked_up L1
    60 ended
    call 4
    70 dialled 102 >101
    70 ringing 101
    75 ended
"""


def test_a_day_of_four_calls_is_counted_as_by_hand() -> None:
    day = Day.of(watched(DAY).over)
    first, second = day.queues["Q1"], day.queues["Q2"]
    assert (first.offered, first.answered, first.abandoned, first.diverted) == (2, 1, 0, 1)
    assert (first.waits, first.talks) == (Lasted(1, 7.0), Lasted(1, 12.0))
    assert (second.offered, second.abandoned, second.abandons) == (1, 1, Lasted(1, 6.0))
    one, two = day.phones["101"], day.phones["102"]
    assert (one.offered, one.answered, one.abandoned, one.queue_answered) == (2, 1, 1, 1)
    assert (one.waits, one.talks, one.abandons) == (Lasted(1, 5.0), Lasted(1, 12.0), Lasted(1, 5.0))
    assert (one.placed, one.placed_answered, one.placed_talks) == (1, 1, Lasted(1, 5.0))
    assert (two.offered, two.queue_offered, two.abandoned, two.placed) == (1, 0, 1, 1)
    inbound, outbound, internal = (day.kinds[kind] for kind in ("inbound", "outbound", "internal"))
    assert (inbound.calls, inbound.answered, inbound.missed) == (2, 1, 1)
    assert inbound.talks == Lasted(1, 12.0), "waiting in a queue is no talk"
    assert (outbound.calls, outbound.answered, outbound.talks) == (1, 1, Lasted(1, 5.0))
    assert (internal.calls, internal.missed) == (1, 1)
