"""Test that the index leaves out nothing of a view, and saves looking at the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fanout import entity_index
from gateway.fanout.entity_index import EntityIndex
from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.filters import EntityFilter, filter_of
from gateway.visibility import EVERYTHING, Limits, Visibility
from monitor.shared.entities.topics import TOPICS
from tests.gateway.entities import call, extension, queue
from tests.gateway.histories import Ledger, Put, limits, puts, views
from tests.steps import steps

ALL = frozenset(TOPICS)


@given(
    st.lists(st.lists(puts(), max_size=4), min_size=1, max_size=4),
    st.lists(views(), min_size=1, max_size=3),
    st.integers(0, 6),
    st.booleans(),
)
def test_a_snapshot_by_the_index_is_the_snapshot(
    stretches: list[list[list[Put]]], several: list[FilteredView], log_length: int, again: bool
) -> None:
    """Whatever happens between two looks: changes, more than the log holds, a new epoch."""
    ledger = Ledger(log_length)
    ledger.start_epoch()
    index = EntityIndex(ledger)
    for stretch in stretches:
        for change in stretch:
            ledger.put(change)
        for view in several:
            assert view.snapshot(ledger, index.candidates) == view.snapshot(ledger)
        if again:
            ledger.start_epoch()


@given(limits(), st.lists(puts(), min_size=1, max_size=5))
def test_a_limited_key_finds_all_that_it_may_see(some: Limits, history: list[list[Put]]) -> None:
    ledger = Ledger()
    ledger.start_epoch()
    for change in history:
        ledger.put(change)
    view = FilteredView(ALL, Visibility(some))
    assert view.snapshot(ledger, EntityIndex(ledger).candidates) == view.snapshot(ledger)


def large(extensions: int) -> Ledger:
    ledger = Ledger()
    for number in range(extensions):
        ledger.state["extensions"][f"{number}"] = extension(f"{number}", (f"8{number % 100}",))
        ledger.state["calls"][f"{number}"] = call(number, (f"{number}",))
    ledger.state["queues"]["800"] = queue("800")
    ledger.start_epoch()
    return ledger


def test_only_what_may_match_is_looked_at() -> None:
    ledger = large(1_000)
    index = EntityIndex(ledger)
    view = FilteredView(ALL, EVERYTHING, filter_of({"ext": ["17", "none"]}))
    assert list(index.candidates(view, "extensions")) == ["17"]
    assert list(index.candidates(view, "calls")) == ["17"]
    assert list(index.candidates(view, "queues")) == ["800"], "the field says nothing of queues"
    both = FilteredView(ALL, EVERYTHING, filter_of({"ext": ["17"], "queue": ["817"]}))
    assert list(index.candidates(both, "extensions")) == ["17"], "by the field that finds fewer"
    limited = FilteredView(ALL, Visibility(Limits(frozenset({"3", "4"}))))
    assert sorted(index.candidates(limited, "calls")) == ["3", "4"]
    assert list(index.candidates(limited, "queues")) == []


def test_a_filtered_snapshot_costs_as_much_in_a_large_state_as_in_a_small_one() -> None:
    costs = []
    for extensions in (50, 2_000):
        ledger = large(extensions)
        index = EntityIndex(ledger)
        filters = [EntityFilter(ext=frozenset({f"{number}"})) for number in range(20)]
        several = [
            FilteredView(frozenset({"calls", "extensions"}), EVERYTHING, each) for each in filters
        ]
        several[0].snapshot(ledger, index.candidates)  # makes the tables
        ledger.put([("calls", "1", None)])
        costs.append(
            steps(lambda: [view.snapshot(ledger, index.candidates) for view in several])  # noqa: B023
        )
    assert costs[1] == costs[0]


def test_after_very_many_changes_the_tables_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that one subscriber does not wait for all of the log to be followed."""
    ledger = large(10)
    index = EntityIndex(ledger)
    view = FilteredView(frozenset({"calls"}), EVERYTHING, filter_of({"ext": ["3"]}))
    assert list(view.snapshot(ledger, index.candidates)["calls"]) == ["3"]
    for number in range(entity_index._MOST_FOLLOWED + 1):
        ledger.put([("calls", "3", call(3, ("3",) if number % 2 else ("4",)))])
    monkeypatch.setattr(ledger, "since", None)  # it must not be asked
    assert view.snapshot(ledger, index.candidates)["calls"] == {}
