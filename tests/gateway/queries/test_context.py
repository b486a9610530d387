"""What a query is answered from, and the order of what it lists."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.queries.context import in_order


def test_numbers_come_by_value_and_names_after_them() -> None:
    assert in_order(["HOL", "1000", "99", "100", "099", "QCB", "99", "777"]) == (
        ("099", "99", "100", "777", "1000", "HOL", "QCB")
    )


@given(st.lists(st.text(max_size=4) | st.integers(0, 99999).map(str)))
def test_the_order_is_the_same_whatever_came_first(numbers: list[str]) -> None:
    assert in_order(numbers) == in_order(reversed(numbers)) == in_order(in_order(numbers))
    assert set(in_order(numbers)) == set(numbers)
