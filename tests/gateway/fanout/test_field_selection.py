"""Test that a selection shows just the fields that were asked for, and those that identify."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.docs.example_data import live_state
from gateway.fanout.field_selection import (
    KEYS,
    BadFields,
    FieldSelection,
    Selection,
    names_of,
    selection_of,
)
from gateway.fanout.filters import filter_of
from monitor.shared.entities.topics import BOOK_TOPICS, FLEET_TOPICS, TOPICS
from tests.gateway.histories import field_selections, plain

STATE = live_state()


def test_it_is_known_of_every_topic_what_identifies_its_entities() -> None:
    assert set(KEYS) == {
        *TOPICS.values(),
        *BOOK_TOPICS.values(),
        *FLEET_TOPICS.values(),
    }
    for topic, kind in (TOPICS | BOOK_TOPICS).items():
        assert set(KEYS[kind]) <= set(names_of(topic))


@pytest.mark.parametrize("topic", [topic for topic, entities in STATE.items() if entities])
def test_what_identifies_an_entity_makes_its_id(topic: str) -> None:
    for id_, entity in STATE[topic].items():
        shown = plain(FieldSelection(frozenset()).of(entity))
        keys = "@".join(str(value) for value in shown.values())
        assert id_ == (keys or "pbx")


@given(field_selections(), st.sampled_from(sorted(topic for topic in STATE if STATE[topic])))
def test_each_field_that_was_asked_for_is_as_in_the_whole_entity(
    wanted: FieldSelection, topic: str
) -> None:
    for entity in STATE[topic].values():
        whole: dict[str, Any] = plain(entity)
        expected = {*KEYS[type(entity)], *wanted.names} & set(whole)
        shown = wanted.of(entity)
        assert plain(shown) == {name: whole[name] for name in expected}
        assert list(shown) == [name for name in whole if name in expected]


@given(field_selections(), st.sampled_from(sorted(topic for topic in STATE if STATE[topic])))
def test_two_states_differ_if_what_is_selected_of_them_does(
    wanted: FieldSelection, topic: str
) -> None:
    entity = next(iter(STATE[topic].values()))
    for field in msgspec.structs.fields(type(entity)):
        other = msgspec.structs.replace(entity, **{field.name: object()})
        assert wanted.differ(entity, other) is (wanted.of(entity) != wanted.of(other))
        assert not wanted.differ(other, other)


@pytest.mark.parametrize(
    ("given_", "topics", "says"),
    [
        ([], ["calls"], "fields is empty; leave it out"),
        ("num", ["calls"], "must be a list"),
        ({"calls": ["state"]}, ["calls"], "must be a list"),
        (["x"] * 1_001, ["calls"], "at most 1000"),
        ([7], ["queues"], "that is not text; queues has num, name, agents"),
        (["call_id"], ["calls"], "'call_id'; calls has callID, direction"),
        (["waiting"], ["calls"], "'waiting'; calls has callID"),
        (["x"], ["lines", "groups"], "groups has num, name, members, strategy; lines has num"),
        (["x" * 5_000], [*TOPICS], f"field '{'x' * 64}'; system has"),
    ],
)
def test_what_is_no_selection_is_refused_with_the_right_names(
    given_: object, topics: list[str], says: str
) -> None:
    with pytest.raises(BadFields) as error:
        selection_of(given_, topics)
    assert says in str(error.value)
    assert len(str(error.value)) < 1_000


def test_a_name_is_known_if_any_of_the_topics_has_it() -> None:
    wanted = selection_of(["waiting", "state", "state"], ["calls", "queues"])
    assert wanted == FieldSelection(frozenset({"waiting", "state"}))
    assert selection_of(None, ["calls"]) is None


def test_no_text_of_a_client_is_kept() -> None:
    """What is selected of each kind is remembered, also when those who asked are gone."""
    wanted = selection_of(["".join(("wai", "ting"))], ["queues"])
    assert wanted is not None
    ours = names_of("queues")
    assert all(any(name is own for own in ours) for name in wanted.names)


def test_a_selection_is_as_large_as_its_parts() -> None:
    fields, chosen = FieldSelection(frozenset({"num"})), filter_of({"ext": ["101"]})
    assert chosen is not None
    assert Selection(chosen, fields).size == chosen.size + fields.size
    assert Selection(None, FieldSelection(frozenset({"num", "name"}))).size > fields.size
