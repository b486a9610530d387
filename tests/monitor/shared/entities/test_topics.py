"""Topics: what lies in which."""

from __future__ import annotations

import msgspec
import pytest

from monitor.shared.entities.topics import (
    BOOK_TOPICS,
    TOPICS,
    Call,
    Contact,
    Extension,
    Leg,
    empty_state,
    table,
)
from tests.gateway import entities


def test_a_table_holds_the_entities_of_its_topic() -> None:
    state = empty_state(TOPICS)
    call = entities.call(1)
    state["calls"]["1"] = call
    assert table(state, "calls", Call) == {"1": call}
    assert table(empty_state(BOOK_TOPICS), "contacts", Contact) == {}


@pytest.mark.parametrize(("topic", "kind"), [("calls", Extension), ("nothing", Call)])
def test_a_topic_is_not_taken_for_another(topic: str, kind: type[Call]) -> None:
    with pytest.raises(TypeError, match=f"topic {topic} does not hold {kind.__name__}"):
        table(empty_state(TOPICS), topic, kind)


def test_an_empty_state_has_all_topics_each_with_a_table_of_its_own() -> None:
    state = empty_state(TOPICS)
    assert list(state) == list(TOPICS)
    state["calls"]["1"] = entities.call(1)
    assert state["queues"] == empty_state(TOPICS)["calls"] == {}


def test_a_kind_of_entity_has_one_topic() -> None:
    kinds = [*TOPICS.values(), *BOOK_TOPICS.values()]
    assert len(set(kinds)) == len(kinds)
    assert not set(TOPICS) & set(BOOK_TOPICS), "a topic names its space"


def test_no_entity_and_no_part_of_one_is_visited_by_the_garbage_collector() -> None:
    """They are trees without cycles, and a large PBX has a hundred thousand of them."""
    parts: set[type[msgspec.Struct]] = set()
    for kind in (*TOPICS.values(), *BOOK_TOPICS.values()):
        _collect_parts(msgspec.inspect.type_info(kind), parts)
    assert {Call, Contact, Extension, Leg} <= parts
    assert {kind.__name__ for kind in parts if kind.__struct_config__.gc} == set()


def _collect_parts(info: object, parts: set[type[msgspec.Struct]]) -> None:
    """Collect all Structs in a type; fail if a field of one may be changed in place."""
    match info:
        case msgspec.inspect.StructType(cls=cls) if cls in parts:
            pass
        case msgspec.inspect.StructType(cls=cls, fields=fields):
            parts.add(cls)
            assert cls.__struct_config__.frozen, cls
            for field in fields:
                _collect_parts(field.type, parts)
        case msgspec.inspect.UnionType(types=types):
            for each in types:
                _collect_parts(each, parts)
        case msgspec.inspect.VarTupleType(item_type=item):
            _collect_parts(item, parts)
        case msgspec.inspect.TupleType(item_types=items):
            for each in items:
                _collect_parts(each, parts)
        case msgspec.inspect.CollectionType() | msgspec.inspect.DictType():
            pytest.fail(f"{info} may be changed, and so hold itself")
