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


def test_what_begins_before_midnight_belongs_to_that_day_with_all_that_comes_of_it() -> None:
    """Midnight is at 30: a caller comes into Q2 after it, and the next call begins with it."""
    journal = DAY.replace("20 entered Q2", "35 entered Q2").replace("26 ended", "40 ended")
    over = watched(journal).over
    before, after = Day.of(over, until=30), Day.of(over, since=30)
    assert {num: it.answered for num, it in before.queues.items()} == {"Q1": 1}
    assert {num: it.offered for num, it in after.queues.items()} == {"Q1": 1, "Q2": 1}
    assert after.queues["Q2"].abandons == Lasted(1, 5.0)
    assert before.phones["101"].answered == 1
    assert set(before.phones) == {"101"}
    assert (before.kinds["inbound"].calls, after.kinds["inbound"].calls) == (1, 1)
    assert "outbound" not in before.kinds


def test_a_handed_over_ring_counts_in_the_first_call_and_who_did_not_ring_did_not_wait() -> None:
    day = Day.of(
        watched(
            """
            0 arrived L1(+491)
            1 routed >101
            1 ringing 101
            4 picked_up 101
            call 2
            8 dialled 101 >102
            8 ringing 102
            call 1
            12 merged 101 >102 of 2
            12 left 101
            call 2
            12 ended
            call 1
            15 picked_up 102
            18 transferred 102 >P1
            18 left 102
            18 entered P1
            20 retrieved 103
            20 left P1
            26 ended
            """
        ).over
    )
    assert (day.kinds["internal"].calls, day.kinds["internal"].transferred) == (1, 1)
    assert day.kinds["inbound"].talks == Lasted(1, 8.0 + 3.0 + 6.0)
    rung, took = day.phones["102"], day.phones["103"]
    assert (rung.offered, rung.answered, rung.waits, rung.talks) == (
        *(1, 1),
        *(Lasted(1, 3.0), Lasted(1, 3.0)),
    )
    assert (took.offered, took.answered, took.waits, took.talks) == (
        *(1, 1),
        *(Lasted(), Lasted(1, 6.0)),
    )
