"""The small PBX of the documents' examples is one that there could be."""

from __future__ import annotations

from itertools import chain

import pytest

from gateway.docs.example_data import (
    AT,
    book_state,
    contacts,
    extension_stats,
    live_state,
    pbx_stats,
    queue_stats,
)
from monitor.shared.codec import decode_entity, encode_entity
from monitor.shared.entities.statistics import Durations, ExtensionStats, QueueStats, Traffic
from monitor.shared.entities.topics import (
    BOOK_TOPICS,
    TOPICS,
    Call,
    Extension,
    ExtensionGroup,
    Queue,
    RingGroup,
    table,
)
from tests.gateway.entities import id_of

STATE = live_state()
CALLS, EXTENSIONS = table(STATE, "calls", Call), table(STATE, "extensions", Extension)
QUEUES = table(STATE, "queues", Queue)


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_an_example_under_its_id(topic: str) -> None:
    assert STATE[topic]
    assert all(id_of(entity) == id_ for id_, entity in STATE[topic].items())


def test_the_book_holds_its_contacts_under_their_ids() -> None:
    assert set(book_state()) == set(BOOK_TOPICS)
    assert book_state()["contacts"] == {str(contact.id): contact for contact in contacts()}


def test_every_entity_is_one_that_can_be_sent() -> None:
    for topic, entities in chain(STATE.items(), book_state().items()):
        for entity in entities.values():
            assert decode_entity(topic, encode_entity(entity)) == entity


def test_an_extension_talks_in_the_calls_that_name_it_and_in_no_others() -> None:
    for number, extension in EXTENSIONS.items():
        calls = {call.call_id for call in CALLS.values() if number in call.extensions}
        assert {talk.call_id for talk in extension.talks} == calls
        assert extension.activity == (extension.talks[0].activity if calls else "Idle")
        assert extension.status == ("Busy" if calls else "Free")
        assert extension.available is not bool(calls)


def test_a_call_names_all_whom_its_legs_name() -> None:
    for call in CALLS.values():
        legs = {(leg.dn_type, leg.dn_num) for leg in call.legs}
        assert legs == {
            *(("extension", number) for number in call.extensions),
            *(("externalline", number) for number in call.lines),
        }
        told = {leg for leg in (call.owner, *call.talk_to, *call.routing_to) if leg is not None}
        assert told == set(call.legs)


def test_who_waits_in_a_queue_has_a_call_that_waits_there() -> None:
    for number, queue in QUEUES.items():
        waiting = {call.call_id for call in CALLS.values() if call.queue == number}
        assert {caller.call_id for caller in queue.waiting} == waiting


def test_lists_name_only_whom_there_is() -> None:
    members = [
        *(agent.num for queue in QUEUES.values() for agent in queue.agents),
        *(num for queue in QUEUES.values() for num in (*queue.managers, *queue.logged_in)),
        *(num for group in table(STATE, "groups", RingGroup).values() for num in group.members),
        *(n for g in table(STATE, "extgroups", ExtensionGroup).values() for n in g.members),
    ]
    assert set(members) <= set(EXTENSIONS)
    for group in table(STATE, "groups", RingGroup).values():
        assert set(group.members) == {n for n, e in EXTENSIONS.items() if group.num in e.groups}
    for group_ in table(STATE, "extgroups", ExtensionGroup).values():
        named = {n for n, e in EXTENSIONS.items() if group_.name in e.extgroups}
        assert set(group_.members) == named
    for queue in QUEUES.values():
        agents = {agent.num for agent in queue.agents}
        assert agents == {n for n, e in EXTENSIONS.items() if queue.num in e.queues}
    for extension in EXTENSIONS.values():
        assert tuple(login.num for login in extension.q_status) == extension.queues


def test_nothing_began_after_the_instant_of_the_examples() -> None:
    for call in CALLS.values():
        assert call.started_at <= (call.answered_at or call.queued_at or AT) <= AT


# its statistics add up as counted ones do: readers check them

STATISTICS = (queue_stats(), extension_stats(), pbx_stats())
DURATIONS = [
    value
    for stats in (*STATISTICS, pbx_stats().inbound, pbx_stats().outbound, pbx_stats().internal)
    for name in stats.__struct_fields__
    if isinstance(value := getattr(stats, name), Durations)
]


def test_all_are_of_one_day() -> None:
    assert len({stats.date for stats in STATISTICS}) == 1


@pytest.mark.parametrize("durations", DURATIONS, ids=str)
def test_an_average_is_the_total_by_the_count(durations: Durations) -> None:
    assert durations.average is not None
    assert durations.average == pytest.approx(durations.total / durations.count, abs=0.05)
    assert durations.average <= (durations.longest or 0.0) <= durations.total


@pytest.mark.parametrize("stats", [queue_stats(), extension_stats()], ids=["queue", "extension"])
def test_who_was_answered_waited_and_who_gave_up_was_counted(
    stats: QueueStats | ExtensionStats,
) -> None:
    assert stats.answered_in_target <= stats.answered == stats.waits.count
    assert stats.abandoned == stats.abandons.count
    assert stats.talks.count <= stats.answered, "the others still talk"


def test_every_caller_of_the_queue_is_somewhere() -> None:
    queue = queue_stats()
    ended = queue.answered + queue.abandoned + queue.short_abandoned + queue.diverted
    assert ended + queue.unknown + queue.waiting == queue.offered


def test_every_call_that_rang_the_extension_came_to_an_end() -> None:
    one = extension_stats()
    assert one.answered + one.abandoned + one.missed + one.elsewhere + one.ringing == one.offered
    assert one.queue_answered <= one.queue_offered <= one.offered
    assert one.placed_answered <= one.placed


@pytest.mark.parametrize("traffic", [pbx_stats().inbound, pbx_stats().outbound], ids=str)
def test_every_call_of_a_direction_has_an_outcome(traffic: Traffic) -> None:
    known = traffic.answered + traffic.missed + traffic.abandoned + traffic.unanswered
    assert known + traffic.unknown + traffic.pending == traffic.calls


def test_the_directions_add_up() -> None:
    pbx = pbx_stats()
    parts = (pbx.inbound, pbx.outbound, pbx.internal)
    assert sum(part.calls for part in parts) == pbx.calls
    assert sum(part.answered for part in parts) == pbx.answered
    assert pbx.active <= pbx.peak <= pbx.calls
    assert pbx.since <= pbx.counted_since <= (pbx.peak_at or "")
