"""Lists, extensions, queues and groups: who counts as free, and what limits leave."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.parameters import Arguments
from gateway.queries import calls, directory
from gateway.queries import contacts as book
from gateway.visibility import Limits, Visibility
from monitor.shared.entities.topics import Extension, QueueLogin, State, Talk
from monitor.shared.phone_index import PhoneIndex
from tests.gateway import entities
from tests.gateway.world import asked

QUEUE = Arguments((("num", "800"),))
GROUP = Arguments((("num", "600"),))


def one_agent(**fields: Any) -> State:
    agent = msgspec.structs.replace(entities.extension("101", ("800",), ("600",)), **fields)
    return entities.state_of(
        extensions=[agent],
        queues=[entities.queue("800", ("101",))],
        groups=[entities.group("600", ("101",))],
    )


def free(**fields: Any) -> bool:
    question = asked(live=one_agent(**fields), arguments=QUEUE)
    is_free = directory.queue_isfree(question).result
    assert directory.queue_free(question).nums == (("101",) if is_free else ())
    return bool(is_free)


def test_an_agent_is_free_if_he_is_available_and_not_logged_out_of_this_queue() -> None:
    assert free()
    assert not free(available=False)
    assert not free(q_status=(QueueLogin("800", "LoggedOut"),))
    assert free(q_status=(QueueLogin("800", "LoggedIn"), QueueLogin("801", "LoggedOut")))
    assert free(q_status=(QueueLogin("800", None),))
    assert free(q_status=())


def test_agents_and_members_are_listed_in_the_order_in_which_they_ring() -> None:
    order = ("107", "100", "103")
    talks = (Talk(1, "Talking", None, "1", "", True),)
    live = entities.state_of(
        extensions=[
            msgspec.structs.replace(entities.extension(number, ("800",), ("600",)), talks=talks)
            for number in sorted(order)
        ],
        queues=[msgspec.structs.replace(entities.queue("800", order), managers=order)],
        groups=[entities.group("600", order)],
    )
    queue, group = (asked(live=live, arguments=about) for about in (QUEUE, GROUP))
    for query in ("members", "managers", "free", "talk"):
        assert getattr(directory, f"queue_{query}")(queue).nums == order, query
    for query in ("members", "free"):
        assert getattr(directory, f"group_{query}")(group).nums == order, query


def test_a_queue_without_agents_has_none_free() -> None:
    live = entities.state_of(queues=[entities.queue("800")])
    assert directory.queue_isfree(asked(live=live, arguments=QUEUE)).result is False


@pytest.mark.parametrize(
    ("fields", "is_free"),
    [
        ({}, True),
        ({"available": False, "q_global_status": "LoggedOut"}, True),
        ({"status": "Busy"}, False),
        ({"registered": False}, False),
        ({"enabled": 0}, False),
        ({"enabled": None}, True),
        ({"in_ring_groups": False}, False),
        ({"in_ring_groups": False, "q_global_status": "LoggedIn"}, False),
    ],
)
def test_a_ring_groups_member_is_free_without_any_login(
    fields: dict[str, Any], is_free: bool
) -> None:
    nums = directory.group_free(asked(live=one_agent(**fields), arguments=GROUP)).nums
    assert nums == (("101",) if is_free else ())


def talking(*activities: Any) -> Extension:
    talks = tuple(Talk(n, activity, None, "1", "", True) for n, activity in enumerate(activities))
    return msgspec.structs.replace(entities.extension("101"), talks=talks)


@pytest.mark.parametrize(
    ("activities", "talks"),
    [
        ((), False),
        (("Ringing",), False),
        (("Dialing",), False),
        (("Waiting",), False),
        (("Listening",), False),
        (("Talking",), True),
        (("Ringing", "Talking"), True),
    ],
)
def test_an_agent_is_in_a_conversation_if_one_of_his_calls_is(
    activities: tuple[str, ...], talks: bool
) -> None:
    live = entities.state_of(
        extensions=[talking(*activities)], queues=[entities.queue("800", ("101",))]
    )
    assert directory.queue_talk(asked(live=live, arguments=QUEUE)).nums == (
        ("101",) if talks else ()
    )


def test_an_empty_pbx_has_empty_lists() -> None:
    nothing = asked(live=entities.state_of(), book={"contacts": {}}, phonebook=PhoneIndex())
    assert calls.calls_get(nothing).result == 0
    assert (
        calls.ac_get(nothing).count,
        calls.callsinfo_get(nothing).count,
        calls.ended_get(nothing).count,
    ) == (
        0,
        0,
        0,
    )
    assert directory.all_extensions(nothing).nums == ()
    assert directory.all_extgroups(nothing).names == ()
    this = calls.what_this_is(nothing, "1", "main", (), ())
    assert (this.concurrent_calls, this.pbx_version) == (None, "")


NUMBERS = st.frozensets(st.sampled_from(["101", "102", "103", "99", "1000", "800", "801", "600"]))


@given(NUMBERS, NUMBERS, NUMBERS)
def test_no_list_or_count_tells_a_limited_key_of_what_it_may_not_see(
    extensions: frozenset[str], queues: frozenset[str], groups: frozenset[str]
) -> None:
    seen = asked(visibility=Visibility(Limits(extensions, queues, groups)))
    whole = asked()
    assert set(directory.all_extensions(seen).nums) == extensions & set(
        directory.all_extensions(whole).nums
    )
    assert set(directory.all_queues(seen).nums) == queues & set(directory.all_queues(whole).nums)
    connections = calls.ac_get(seen)
    assert (
        connections.count
        == len(connections.calls)
        == calls.calls_get(seen).result
        == calls.callsinfo_get(seen).count
    )
    for queue in queues & {"800", "801"}:
        members = asked(visibility=seen.visibility, arguments=Arguments((("num", queue),)))
        listed = (
            directory.queue_members,
            directory.queue_managers,
            directory.queue_free,
            directory.queue_talk,
        )
        assert all(set(query(members).nums) <= extensions for query in listed)
    assert (
        book.contact_find(
            asked(visibility=seen.visibility, arguments=Arguments((("num", "5551234"),)))
        ).ids
        == ()
    )
