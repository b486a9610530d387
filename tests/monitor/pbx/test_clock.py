from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.clock import PbxClock


def test_before_the_pbx_said_anything_our_own_clock_is_taken() -> None:
    clock = PbxClock(lambda: 50.0, lambda: 1000.0)
    assert clock.at(50.0) == 1000.0
    assert clock.at(40.0) == 990.0


def test_until_the_pbx_tells_its_clock_the_date_of_an_answer_stands_in_for_it() -> None:
    clock = PbxClock(lambda: 50.0, lambda: 1000.0)
    clock.take_date(90_000.0, 50.0)
    clock.take_date(90_003.0, 52.0)  # says nothing new
    assert clock.at(50.0) == 90_000.5
    assert clock.ahead_of_ours is None
    clock.learn(90_000.2, 50.0, 50.0)
    assert clock.at(50.0) == 90_000.2


def test_the_pbx_looked_at_its_clock_between_question_and_answer() -> None:
    clock = PbxClock(lambda: 0.0, lambda: 0.0)
    clock.learn(5000.0, 10.0, 10.2)
    assert abs(clock.at(10.1) - 5000.0) < 1e-9
    clock.learn(5001.05, 11.0, 11.2)  # says nothing new
    assert abs(clock.at(10.1) - 5000.0) < 1e-9


@given(
    st.floats(-1e6, 1e6),
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2), st.floats(0, 100)), min_size=1),
)
def test_the_estimate_is_never_further_off_than_the_last_answer_was_late(
    ahead: float, answers: list[tuple[float, float, float]]
) -> None:
    clock = PbxClock(lambda: 0.0, lambda: 0.0)
    now = 0.0
    for there, back, pause in answers:
        now += pause
        clock.learn(now + there + ahead, now, now + there + back)
        assert abs(clock.at(now) - (now + ahead)) <= there + back + 1e-6
