"""The queries about calls, and the bare address."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.queries import calls
from gateway.visibility import Limits, Visibility
from monitor.shared.phone_index import PhoneIndex
from tests.gateway import entities
from tests.gateway.world import asked

NOTHING = asked(live=entities.state_of(), book={"contacts": {}}, phonebook=PhoneIndex())
NUMBERS = st.frozensets(st.sampled_from(["101", "102", "103", "1000", "800", "801", "600"]))


def test_without_calls_there_are_none() -> None:
    assert calls.calls_get(NOTHING).result == 0
    assert calls.ac_get(NOTHING) == calls.ActiveConnections(0, ())
    assert calls.callsinfo_get(NOTHING) == calls.CallsInfo(0, ())
    assert calls.ended_get(NOTHING) == calls.EndedCalls(0, ())


@given(st.permutations([9, 10, 100, 46874]))
def test_calls_come_by_their_ids_and_each_with_its_own_legs(order: list[int]) -> None:
    live = entities.state_of(calls=[entities.call(number, (str(number),)) for number in order])
    connections = calls.ac_get(asked(live=live)).calls
    assert [(one.call_id, [leg.dn_num for leg in one.legs]) for one in connections] == [
        (number, [str(number)]) for number in (9, 10, 100, 46874)
    ]
    assert [one.call_id for one in calls.callsinfo_get(asked(live=live)).calls] == [
        9, 10, 100, 46874
    ]  # fmt: skip


@given(st.permutations([(3, "03:16"), (5, "03:15"), (7, "03:15"), (1, "03:17")]))
def test_ended_calls_come_by_their_end_and_those_of_an_instant_by_their_ids(
    order: list[tuple[int, str]],
) -> None:
    ended = [
        replace(entities.ended(number), ended_at=f"2026-03-04T{at}:00.000Z") for number, at in order
    ]
    found = calls.ended_get(asked(live=entities.state_of(ended=list(ended)))).ended
    assert [one.call_id for one in found] == [5, 7, 3, 1]


@given(NUMBERS, NUMBERS, NUMBERS)
def test_every_count_is_of_what_the_key_sees(
    extensions: frozenset[str], queues: frozenset[str], groups: frozenset[str]
) -> None:
    seen = asked(visibility=Visibility(Limits(extensions, queues, groups)))
    connections, info, ended = calls.ac_get(seen), calls.callsinfo_get(seen), calls.ended_get(seen)
    assert connections.count == len(connections.calls) == calls.calls_get(seen).result
    assert info.count == len(info.calls) == connections.count
    assert [one.call_id for one in info.calls] == [one.call_id for one in connections.calls]
    assert ended.count == len(ended.ended)


def test_the_bare_address_says_what_the_pbx_says_of_itself() -> None:
    system = replace(entities.system(), time_zone="Europe/Berlin")
    live = entities.state_of(system=[system])
    found = calls.what_this_is(asked(live=live), "1.2", "main", ("read",), ("pbx.calls.get",))
    assert found == calls.WhatThisIs(
        "callmon", "1.2", 32, "main", "20.0", "Europe/Berlin", ("read",), ("pbx.calls.get",)
    )


def test_of_a_pbx_that_has_said_nothing_yet_nothing_is_made_up() -> None:
    found = calls.what_this_is(NOTHING, "1.2", "main", (), ())
    assert (found.concurrent_calls, found.pbx_version, found.time_zone) == (None, "", "")
