"""Test that a change brings a view exactly to its position, for all histories and filters."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.fanout.field_selection import FieldSelection, ShownState, fields_of
from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.filters import filter_of
from gateway.visibility import EVERYTHING, Limits, Visibility
from monitor.shared.entities.topics import TOPICS, Entity, WaitingCaller
from tests.gateway.entities import START, call, extension, group, line, queue
from tests.gateway.histories import (
    EXTENSIONS,
    GROUPS,
    LINES,
    QUEUES,
    Ledger,
    Put,
    field_selections,
    limits,
    patched,
    plain,
    puts,
    views,
)

ALL = frozenset(TOPICS)


def ledger_of(history: list[list[Put]]) -> Ledger:
    call_registry = Ledger(1000)
    call_registry.start_epoch()
    for change in history:
        call_registry.put(change)
    return call_registry


def applied(state: ShownState, view: FilteredView, call_registry: Ledger, from_seq: int) -> Any:
    """What a client holds that held this state, and then gets the change from ``from_seq``."""
    delta = view.delta(call_registry.told_since(from_seq))
    result: dict[str, dict[str, Any]] = plain(state)
    for topic, entities in delta.upsert.items():
        result[topic].update(plain(entities))
    patched(result, plain(delta.patch))
    for topic, ids in delta.remove.items():
        for id_ in ids:
            result[topic].pop(id_, None)
    return result


@given(st.lists(puts(), max_size=8), views(), st.data())
def test_a_snapshot_and_the_change_since_are_the_snapshot_now(
    history: list[list[Put]], view: FilteredView, data: st.DataObject
) -> None:
    call_registry = ledger_of(history)
    assert call_registry.position is not None
    told = data.draw(st.sampled_from(sorted(call_registry.past)))
    asked = data.draw(
        st.integers(0, told.seq)
    )  # a change from further back than the client is serves him too
    assert applied(view.snapshot(call_registry.at(told)), view, call_registry, asked) == plain(
        view.snapshot(call_registry)
    )


@given(st.lists(puts(), max_size=8), views(), st.data())
def test_only_what_was_or_is_in_the_view_is_named(
    history: list[list[Put]], view: FilteredView, data: st.DataObject
) -> None:
    call_registry = ledger_of(history)
    asked = data.draw(st.integers(0, len(call_registry.past) - 1))
    delta = view.delta(call_registry.told_since(asked))
    pasts = [
        view.snapshot(call_registry.at(position)) for position in sorted(call_registry.past)[asked:]
    ]
    for topic, ids in delta.remove.items():
        assert all(any(id_ in past[topic] for past in pasts) for id_ in ids)
        assert not set(ids) & set(pasts[-1][topic])
    for topic, patches in delta.patch.items():
        assert view.patch
        assert not patches.keys() & {*delta.upsert.get(topic, {}), *delta.remove.get(topic, ())}
        for id_, names in patches.items():
            states = [fields_of(past[topic][id_]) for past in pasts]
            assert names.items() <= states[-1].items()
            assert all(any(past[name] != names[name] for past in states) for name in names) or (
                pasts[0][topic][id_] == pasts[-1][topic][id_]
            )
    for topic, entities in delta.upsert.items():
        assert entities.items() <= pasts[-1][topic].items()
        assert all(
            any(past[topic].get(id_) != entity for past in pasts)
            for id_, entity in entities.items()
        )


@given(st.lists(puts(), max_size=8), limits(), st.none() | field_selections(), st.data())
def test_a_limited_key_is_never_told_a_hidden_number_but_by_a_call_it_may_see(
    history: list[list[Put]],
    keys_limits: Limits,
    fields: FieldSelection | None,
    data: st.DataObject,
) -> None:
    call_registry = ledger_of(history)
    view = FilteredView(ALL, Visibility(keys_limits), None, fields, data.draw(st.booleans()))
    delta = view.delta(
        call_registry.told_since(data.draw(st.integers(0, len(call_registry.past) - 1)))
    )
    if not keys_limits.any:
        return
    listed = set().union(
        *(kind or () for kind in (keys_limits.extensions, keys_limits.queues, keys_limits.groups))
    )
    hidden = [
        number
        for number in EXTENSIONS + QUEUES + GROUPS + (*LINES, "i700", "Sales")
        if number not in listed
    ]
    for state in (view.snapshot(call_registry), delta.upsert, delta.patch):
        assert not any(state.get(topic) for topic in ("lines", "ivrs", "extgroups"))
        said = {
            topic: entities for topic, entities in state.items() if topic not in ("calls", "ended")
        }
        assert not [number for number in hidden if number in msgspec.json.encode(said).decode()]
    gone = [id_ for ids in delta.remove.values() for id_ in ids]
    assert not set(gone) & set(hidden)


@given(st.lists(puts(), min_size=1, max_size=6), views())
def test_a_change_touches_a_view_just_when_the_view_differs_after_it(
    history: list[list[Put]], view: FilteredView
) -> None:
    call_registry = ledger_of(history)
    for change in call_registry.log:
        before = view.snapshot(
            call_registry.at(msgspec.structs.replace(change.position, seq=change.position.seq - 1))
        )
        assert view.affected_by(change) is (
            before != view.snapshot(call_registry.at(change.position))
        )


def one_change(
    before: Entity | None, after: Entity | None, topic: str, id_: str, view: FilteredView
) -> tuple[ShownState, list[str]]:
    call_registry = Ledger()
    if before is not None:
        call_registry.state[topic][id_] = before
    call_registry.start_epoch()
    call_registry.put([(topic, id_, after)])
    delta = view.delta(call_registry.told_since(0))
    return delta.upsert, delta.remove.get(topic, [])


LIMITED = FilteredView(
    ALL, Visibility(Limits(extensions=frozenset({"101"}), queues=frozenset({"800"})))
)


def test_a_call_that_reaches_a_visible_extension_comes_whole_and_is_removed_when_it_leaves_it() -> (
    None
):
    other, ours = call(1, extensions=("102",)), call(1, extensions=("101", "102"))
    assert one_change(other, ours, "calls", "1", LIMITED) == ({"calls": {"1": ours}}, [])
    assert one_change(ours, other, "calls", "1", LIMITED) == ({}, ["1"])
    assert one_change(other, None, "calls", "1", LIMITED) == ({}, [])
    assert one_change(ours, None, "calls", "1", LIMITED) == ({}, ["1"])


def test_a_change_that_only_hidden_items_undergo_is_no_change() -> None:
    before, after = queue("800", agents=("101",)), queue("800", agents=("101", "102"))
    assert one_change(before, after, "queues", "800", LIMITED) == ({}, [])
    assert one_change(group("600"), group("600", members=("101",)), "groups", "600", LIMITED) == (
        {},
        [],
    )
    assert one_change(line("10000"), line("10000", 1), "lines", "10000", LIMITED) == ({}, [])


def test_what_changed_there_and_back_is_sent_as_a_client_in_between_needs_it() -> None:
    idle, talking = extension("101"), extension("101", activity="Talking")
    call_registry = ledger_of(
        [
            [("extensions", "101", idle)],
            [("extensions", "101", talking)],
            [("extensions", "101", idle)],
        ]
    )
    delta = FilteredView(ALL, EVERYTHING).delta(call_registry.told_since(1))
    assert delta.upsert == {"extensions": {"101": idle}}


def test_a_change_of_other_fields_is_no_change() -> None:
    view = FilteredView(ALL, LIMITED.visibility, None, FieldSelection(frozenset({"loggedIn"})))
    before, after = queue("800", ("101",)), queue("800", ("101",), ("101",))
    assert one_change(before, after, "queues", "800", view) == ({}, [])
    after = queue("800", ("101", "102"))  # one who is hidden logs in
    assert one_change(before, after, "queues", "800", view) == ({}, [])
    shown = {"num": "800", "loggedIn": ()}
    after = queue("800")
    assert one_change(before, after, "queues", "800", view) == ({"queues": {"800": shown}}, [])
    assert one_change(before, None, "queues", "800", view) == ({}, ["800"])


def test_a_patch_has_the_fields_that_changed_at_any_position_and_no_others() -> None:
    view = FilteredView(ALL, EVERYTHING, patch=True)
    waiting = (WaitingCaller(1, "0301234567", "", START),)
    rings = replace(queue("800", ("101",)), waiting=waiting)
    call_registry = ledger_of(
        [
            [("queues", "800", queue("800", ("101",)))],
            [("queues", "800", rings)],
            [("queues", "800", replace(rings, name="Sales"))],
            [("queues", "800", replace(rings, name="Sales", waiting=()))],
        ]
    )
    delta = view.delta(call_registry.told_since(1))
    assert (delta.upsert, delta.remove) == ({}, {})
    assert delta.patch == {"queues": {"800": {"name": "Sales", "waiting": ()}}}
    delta = view.delta(call_registry.told_since(3))
    assert delta.patch == {"queues": {"800": {"waiting": ()}}}
    delta = view.delta(call_registry.told_since(0))
    assert set(delta.upsert["queues"]) == {"800"}
    assert delta.patch == {}


def test_one_that_left_and_came_back_comes_whole() -> None:
    view = FilteredView(ALL, EVERYTHING, patch=True)
    first, second = call(1, state="Routing"), call(1)
    states: list[Entity | None] = [first, second, None, first, second]
    call_registry = ledger_of([[("calls", "1", one)] for one in states])
    delta = view.delta(call_registry.told_since(1))
    assert (delta.upsert, delta.patch) == ({"calls": {"1": second}}, {})
    assert view.delta(call_registry.told_since(4)).patch == {"calls": {"1": {"state": "Talking"}}}


def test_a_filter_judges_by_fields_that_were_not_asked_for() -> None:
    wanted = filter_of({"state": ["Talking"]})
    view = FilteredView(ALL, EVERYTHING, wanted, FieldSelection(frozenset({"direction"})))
    rings, talks = call(1, state="Routing"), call(1)
    shown = {"callID": 1, "direction": "Inbound"}
    assert one_change(rings, talks, "calls", "1", view) == ({"calls": {"1": shown}}, [])
    assert one_change(talks, rings, "calls", "1", view) == ({}, ["1"])


def test_other_topics_are_not_in_the_view() -> None:
    only_calls = FilteredView(frozenset({"calls"}), EVERYTHING)
    call_registry = ledger_of([[("extensions", "101", extension("101"))]])
    assert only_calls.snapshot(call_registry) == {"calls": {}}
    delta = only_calls.delta(call_registry.told_since(0))
    assert delta.empty
