"""Test what each field of a filter means for each topic, and what is no filter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.filters import FIELDS, MOST_VALUES, BadFilter, EntityFilter, filter_of
from gateway.visibility import EVERYTHING, Limits, Visibility
from monitor.shared.entities.topics import TOPICS, Entity, empty_state
from tests.gateway import entities
from tests.gateway.histories import Ledger, Put, entity_filters, puts

CALL = entities.call(7, ("101", "102"), ("800",), ("600",))
ENDED = entities.ended(8, ("101",), ("800",))
EXTENSION = entities.extension("101", ("800",), ("600",), ("Sales",))


@pytest.mark.parametrize(
    ("topic", "entity", "given_", "matches"),
    [
        ("calls", CALL, {"ext": ["101"]}, True),
        ("calls", CALL, {"ext": ["103", "102"]}, True),
        ("calls", CALL, {"ext": ["103"]}, False),
        ("calls", CALL, {"queue": ["800"]}, True),
        ("calls", CALL, {"queue": ["801"]}, False),
        ("calls", CALL, {"group": ["600"]}, True),
        ("calls", CALL, {"group": ["601"]}, False),
        ("calls", CALL, {"line": ["10000"]}, False),
        ("calls", CALL, {"extgroup": ["Sales"]}, False),
        ("calls", CALL, {"direction": ["Inbound", "Outbound"]}, True),
        ("calls", CALL, {"direction": ["Outbound"]}, False),
        ("calls", CALL, {"state": ["Talking"]}, True),
        ("calls", CALL, {"state": ["Routing"]}, False),
        ("calls", CALL, {"call": ["7"]}, True),
        ("calls", CALL, {"call": [7]}, True),
        ("calls", CALL, {"call": ["8"]}, False),
        ("calls", CALL, {"ext": ["101"], "queue": ["800"], "state": ["Talking"]}, True),
        ("calls", CALL, {"ext": ["101"], "queue": ["801"]}, False),
        ("ended", ENDED, {"ext": ["101"], "call": ["8"]}, True),
        ("ended", ENDED, {"ext": ["102"]}, False),
        ("ended", ENDED, {"state": ["Talking"]}, True),
        ("extensions", EXTENSION, {"ext": ["101"]}, True),
        ("extensions", EXTENSION, {"ext": ["102"]}, False),
        ("extensions", EXTENSION, {"queue": ["800"]}, True),
        ("extensions", EXTENSION, {"queue": ["801"]}, False),
        ("extensions", EXTENSION, {"group": ["601"]}, False),
        ("extensions", EXTENSION, {"extgroup": ["Sales"]}, True),
        ("extensions", EXTENSION, {"extgroup": ["Support"]}, False),
        (
            "extensions",
            EXTENSION,
            {"call": ["1"], "state": ["Talking"], "direction": ["Inbound"], "line": ["1"]},
            True,
        ),
        ("queues", entities.queue("800"), {"queue": ["800"]}, True),
        ("queues", entities.queue("800"), {"queue": ["801"]}, False),
        ("queues", entities.queue("800"), {"ext": ["101"], "group": ["600"]}, True),
    ],
)
def test_a_field_means_for_a_topic_what_is_documented(
    topic: str, entity: Entity, given_: dict[str, list[object]], matches: bool
) -> None:
    wanted = filter_of(given_)
    assert wanted is not None
    assert wanted(topic, entity) is matches


def test_every_topic_has_its_own_field() -> None:
    wanted = EntityFilter(
        ext=frozenset({"101"}),
        queue=frozenset({"800"}),
        group=frozenset({"600"}),
        line=frozenset({"10000"}),
        extgroup=frozenset({"Sales"}),
    )
    state: dict[str, tuple[Entity, Entity]] = {
        "groups": (entities.group("600"), entities.group("601")),
        "lines": (entities.line("10000"), entities.line("10001")),
        "extgroups": (entities.extgroup("Sales"), entities.extgroup("Support")),
    }
    for topic, (wanted_one, other) in state.items():
        assert wanted(topic, wanted_one), topic
        assert not wanted(topic, other), topic
    assert wanted("system", entities.system())


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({"num": ["101"]}, "has no field 'num'"),
        ({"ext": []}, "is empty"),
        ({"ext": [""]}, "list of texts"),
        ({"ext": [True]}, "list of texts"),
        ({"ext": [1.5]}, "list of texts"),
        ({"ext": [None]}, "list of texts"),
        ({"ext": ["x" * 65]}, "at most 64"),
        ({"ext": [2**70]}, "list of texts"),
        ({"direction": ["inbound"]}, "takes FromExternal"),
        ({"state": ["Busy"]}, "takes Unknown"),
        ({"ext": [str(n) for n in range(MOST_VALUES + 1)]}, "at most 1000"),
    ],
)
def test_what_is_no_filter_is_refused_in_words(given_: dict[str, Any], says: str) -> None:
    with pytest.raises(BadFilter, match=says):
        filter_of(given_)


def test_no_fields_are_no_filter() -> None:
    assert filter_of({}) is None


@given(entity_filters(), st.lists(puts(), max_size=6), st.integers(0, 6))
def test_who_enters_comes_whole_and_who_leaves_is_removed(
    wanted: EntityFilter, history: list[list[Put]], at: int
) -> None:
    call_registry = Ledger()
    call_registry.start_epoch()
    view = FilteredView(frozenset(TOPICS), EVERYTHING, wanted)
    held = view.snapshot(call_registry)
    start = 0
    for number, change in enumerate(history):
        call_registry.put(change)
        if number == at and call_registry.position is not None:
            held, start = view.snapshot(call_registry), call_registry.position.seq
    delta = view.delta(call_registry.told_since(start))
    for topic, entities_ in delta.upsert.items():
        held[topic].update(entities_)
    for topic, ids in delta.remove.items():
        for id_ in ids:
            held[topic].pop(id_, None)
    assert held == view.snapshot(call_registry)


def test_a_filter_tells_nothing_of_what_a_key_may_not_see() -> None:
    call_registry = Ledger(state=empty_state(TOPICS))
    call_registry.start_epoch()
    call_registry.put([("extensions", "101", EXTENSION), ("calls", "7", CALL)])
    limited = Visibility(Limits(extensions=frozenset({"101"})))
    for wanted in ({"queue": ["800"]}, {"group": ["600"]}, {"extgroup": ["Sales"]}):
        shown = FilteredView(frozenset({"extensions"}), limited, filter_of(wanted)).snapshot(
            call_registry
        )
        assert shown == {"extensions": {}}, wanted
    assert replace(EntityFilter(), ext=frozenset({"101"}))("extensions", EXTENSION)


def test_the_fields_are_the_protocols() -> None:
    assert FIELDS == ("ext", "queue", "group", "line", "extgroup", "direction", "state", "call")
