"""Topics: what lies in which."""

from __future__ import annotations

import pytest

from monitor.shared.entities.topics import (
    BOOK_TOPICS,
    TOPICS,
    Call,
    Contact,
    Extension,
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
