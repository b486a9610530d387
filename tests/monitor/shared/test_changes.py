"""Positions, edits and changes: what followers of a history reckon with."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.shared.changes import (
    BELIEVED_AHEAD_MS,
    Edit,
    Position,
    apply,
    difference,
    epoch_name,
    is_ahead,
    is_epoch,
    is_seq,
    merge,
)
from monitor.shared.entities.topics import Ivr, State

NOW_MS = 1_800_000_000_000
STATES = st.fixed_dictionaries(
    {
        topic: st.dictionaries(
            st.sampled_from("123"), st.builds(Ivr, st.just("1"), st.sampled_from("ab")), max_size=3
        )
        for topic in ("ivrs", "groups")
    }
)
OLD, NEW, NEWER = Ivr("1", "old"), Ivr("1", "new"), Ivr("1", "newer")


def test_a_newer_epoch_is_greater_though_its_number_is_smaller() -> None:
    first, second = epoch_name(NOW_MS, None, "z"), epoch_name(NOW_MS + 1, None, "a")
    assert Position(first, 9) < Position(first, 10) < Position(second, 0)
    assert str(Position("e", 7)) == "e/7"


def test_an_epoch_is_newer_than_the_newest_seen_though_the_clock_went_back() -> None:
    seen = epoch_name(NOW_MS + 3_600_000, None, "zzz")
    assert epoch_name(NOW_MS, seen, "a") == "001800003600001-a"
    assert epoch_name(NOW_MS, seen, "a") > seen
    assert epoch_name(NOW_MS, epoch_name(5, None, "a"), "b") == "001800000000000-b"


def test_an_epoch_of_another_age_is_neither_believed_nor_exceeded() -> None:
    edge = epoch_name(NOW_MS + BELIEVED_AHEAD_MS, None, "a")
    beyond = epoch_name(NOW_MS + BELIEVED_AHEAD_MS + 1, None, "a")
    assert not is_ahead(edge, NOW_MS)
    assert is_ahead(beyond, NOW_MS)
    assert is_ahead("no epoch", NOW_MS)
    assert epoch_name(NOW_MS, beyond, "b") == epoch_name(NOW_MS, "no epoch", "b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1800000000000-a",
        "001800000000000-",
        "001800000000000",
        "001800000000000-" + "a" * 65,
        "001800000000000-a b",
        "001800000000000-a\n",
        "٠٠١٨٠٠٠٠٠٠٠٠٠٠٠-a",
    ],
)
def test_another_text_is_no_epoch(text: str) -> None:
    assert not is_epoch(text)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("0", True),
        ("9007199254740991", True),
        ("9007199254740992", False),
        ("1" * 5_000, False),
        ("", False),
        ("-1", False),
        ("1.0", False),
        (" 1", False),
        ("²", False),
        ("٣", False),
    ],
)
def test_a_number_is_one_that_every_client_can_count_to(text: str, right: bool) -> None:
    assert is_seq(text) is right


def test_edits_of_one_entity_become_one() -> None:
    edits = [
        Edit("ivrs", "1", OLD, NEW),
        Edit("groups", "1", None, NEW),
        Edit("ivrs", "1", NEW, NEWER),
    ]
    assert merge(edits) == (Edit("ivrs", "1", OLD, NEWER), Edit("groups", "1", None, NEW))


def test_edits_that_cancel_each_other_are_none() -> None:
    there_and_back = [Edit("ivrs", "1", OLD, NEW), Edit("ivrs", "1", NEW, OLD)]
    come_and_gone = [Edit("ivrs", "2", None, NEW), Edit("ivrs", "2", NEW, None)]
    assert merge(there_and_back + come_and_gone) == ()


@given(STATES, STATES)
def test_the_difference_of_two_states_turns_one_into_the_other(before: State, after: State) -> None:
    state = copy.deepcopy(before)
    edits = difference(before, after)
    apply(state, edits)
    assert state == after
    assert all(edit.before != edit.after for edit in edits)
    assert len({(edit.topic, edit.id) for edit in edits}) == len(edits)


@given(STATES, STATES, STATES)
def test_merged_edits_do_what_they_do_one_by_one(first: State, second: State, third: State) -> None:
    state = copy.deepcopy(first)
    edits = merge([*difference(first, second), *difference(second, third)])
    assert all(first[edit.topic].get(edit.id) == edit.before for edit in edits)
    apply(state, edits)
    assert state == third


def test_who_applies_twice_has_the_same() -> None:
    state: State = {"ivrs": {"1": OLD, "2": OLD}}
    for _ in range(2):
        apply(state, [Edit("ivrs", "1", OLD, None), Edit("ivrs", "2", OLD, NEW)])
    assert state == {"ivrs": {"2": NEW}}
