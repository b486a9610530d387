"""What a subscription may ask for: filters, resuming, every change by itself, queries to watch."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from gateway.fair_share import KeyShare, WorkTurns
from gateway.fanout.field_selection import names_of, selection_of
from gateway.fanout.filters import filter_of
from gateway.operations.operation_table import command_named
from gateway.parameters import NONE as NO_ARGUMENTS
from gateway.stream.admission import LiveSettings
from gateway.stream.client_messages import Subscribe, Watch
from gateway.stream.connection import ConnectionLimits
from gateway.stream.subscription import MOST_SUBSCRIPTIONS, ClientSubscription, SubscriptionSet
from gateway.transport.subscription_id import SubscriptionId
from gateway.visibility import EVERYTHING, Visibility
from monitor.shared.api_keys import Budgets
from monitor.shared.changes import Position
from tests.bus import until
from tests.gateway import entities
from tests.gateway.serving import (
    READER,
    closed,
    events,
    frame,
    frame_of,
    http,
    position,
    say,
    serving,
    silence,
)
from tests.gateway.sockets import sessions
from tests.system.stack import running

CALLS = {"type": "subscribe", "topics": ["calls"]}


async def subscribe(connection: ClientConnection, **more: Any) -> None:
    await say(connection, CALLS | more)


async def test_a_filtered_view_has_what_enters_and_loses_what_leaves() -> None:
    async with serving() as served, served.connect() as connection:
        served.put("calls", "1", entities.call(1, ("101",)))
        served.put("calls", "2", entities.call(2, ("102",)))
        await subscribe(connection, filter={"ext": ["101"]})
        assert set((await frame_of(connection, "snapshot"))["state"]["calls"]) == {"1"}
        served.put("calls", "2", entities.call(2, ("102",), state="Routing"))
        await silence(connection)
        served.put("calls", "2", entities.call(2, ("102", "101")))
        change = await frame_of(connection, "change")
        assert (set(change["upsert"]["calls"]), change["remove"]) == ({"2"}, {})
        served.put("calls", "1", entities.call(1, ("103",)))
        change = await frame_of(connection, "change")
        assert (change["upsert"], change["remove"]) == ({}, {"calls": ["1"]})


async def test_a_limited_key_gets_nothing_more_by_a_filter() -> None:
    async with serving() as served, served.connect("limited-key") as connection:
        served.put("calls", "1", entities.call(1, ("102",)))
        await subscribe(connection, filter={"ext": ["102"]})
        assert (await frame_of(connection, "snapshot"))["state"] == {"calls": {}}
        served.put("calls", "1", entities.call(1, ("102",), state="Routing"))
        await silence(connection)


async def test_only_the_fields_that_were_asked_for_come_and_only_when_they_change() -> None:
    async with serving() as served, served.connect() as connection:
        served.put("calls", "1", entities.call(1, ("101",)))
        await frame(connection)
        await subscribe(connection, fields=["state"])
        shown = {"callID": 1, "state": "Talking"}
        assert (await frame_of(connection, "snapshot"))["state"] == {"calls": {"1": shown}}
        served.put("calls", "1", entities.call(1, ("101", "102")))
        await silence(connection)
        left = served.position
        served.put("calls", "1", entities.call(1, ("102",), state="Routing"))
        change = await frame_of(connection, "change")
        assert change["upsert"] == {"calls": {"1": {"callID": 1, "state": "Routing"}}}
        served.put("calls", "1", None)
        assert (await frame_of(connection, "change"))["remove"] == {"calls": ["1"]}
        await subscribe(connection, id="again", fields=["state"], since=position(left))
        change = await of(connection, "again", "change")
        assert (change["from"], change["remove"]) == (left.seq, {"calls": ["1"]})


async def test_who_asks_for_patches_gets_the_fields_that_changed_and_snapshots_are_shared() -> None:
    async with serving() as served, served.connect() as connection:
        served.put("queues", "800", entities.queue("800", ("101", "102")))
        await frame(connection)
        await named(connection, "patched", topics=["queues"], patch=True)
        patched = await of(connection, "patched", "snapshot")
        await named(connection, "whole", topics=["queues"])
        whole = await of(connection, "whole", "snapshot")
        assert patched | {"id": "whole"} == whole
        served.put("queues", "800", entities.queue("800", ("101", "102"), ("101",)))
        told = {found["id"]: found for found in [await frame(connection) for _ in "12"]}
        assert set(told["whole"]["upsert"]["queues"]) == {"800"}
        assert "patch" not in told["whole"]
        assert told["patched"]["upsert"] == {}
        assert told["patched"]["patch"] == {"queues": {"800": {"managers": ["101"]}}}
        served.put("queues", "801", entities.queue("801"))
        told = {found["id"]: found for found in [await frame(connection) for _ in "12"]}
        assert told["patched"]["patch"] == {}
        assert told["patched"]["upsert"] == told["whole"]["upsert"]


async def test_patches_of_some_fields_have_only_these() -> None:
    async with serving() as served:
        served.put("calls", "1", entities.call(1, ("101",)))
        async with events(served, "topics=calls&fields=state,extensions&patch=true") as stream:
            await stream.of("snapshot")
            served.put("calls", "1", entities.call(1, ("102",)))
            _, change = await stream.of("change")
            assert change["patch"] == {"calls": {"1": {"extensions": ["102"]}}}


async def test_server_sent_events_have_fields_as_a_parameter() -> None:
    async with serving() as served:
        served.put("calls", "1", entities.call(1))
        async with events(served, "topics=calls,queues&fields=state,waiting") as stream:
            _, snapshot = await stream.of("snapshot")
            assert snapshot["state"]["calls"] == {"1": {"callID": 1, "state": "Talking"}}
            served.put("queues", "800", entities.queue("800", ("101",)))
            _, change = await stream.of("change")
            assert change["upsert"]["queues"] == {"800": {"num": "800", "waiting": []}}
        async with http(served) as client:
            answer = await client.get("/events?topics=lines&fields=colour", headers=READER)
            assert answer.status_code == 400
            assert "'colour'; lines has num, name" in answer.json()["error"]["message"]


async def test_who_asks_for_the_same_fields_shares_a_view_and_its_bytes_are_counted_once() -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        for id_, fields in enumerate((["state", "did"], ["did", "state", "did"], ["did"])):
            await named(connection, id_, fields=fields)
            await of(connection, id_, "snapshot")
        assert len(served.view.hub.tracks) == 2
        (session,) = sessions(served)
        assert session.principal.share is not None
        sizes = {track.view.fields: track.view.fields.size for track in served.view.hub.tracks}  # type: ignore[union-attr]
        assert session.principal.share.filter_bytes == sum(sizes.values())
        for id_ in range(3):
            await say(connection, {"type": "unsubscribe", "id": id_})
            await of(connection, id_, "unsubscribed")
        assert session.principal.share.filter_bytes == 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"fields": ["num"]}, "'num'; calls has callID, direction"),
        ({"fields": []}, "leave it out"),
        ({"fields": "state"}, "list of at most"),
        ({"filter": {"num": ["101"]}}, "has no field"),
        ({"filter": {"ext": "101"}}, "object of lists"),
        ({"filter": ["101"]}, "object of lists"),
        ({"filter": {"state": ["Busy"]}}, "but not 'Busy'"),
        ({"since": {"epoch": "e", "seq": -1}}, "position"),
        ({"since": {"epoch": "e", "seq": True}}, "position"),
        ({"since": "e/1"}, "position"),
        ({"merge": "no"}, "merge must be true or false"),
        ({"patch": "yes"}, "patch must be true or false"),
        ({"params": {}}, "with query"),
        ({"query": "pbx.calls.get"}, "either topics or a query"),
    ],
)
async def test_a_subscription_that_is_wrong_says_how(more: dict[str, Any], says: str) -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await subscribe(connection, **more)
        error = await frame(connection)
        assert (error["type"], error["code"]) == ("error", "bad_message")
        assert says in error["message"]


async def test_who_comes_back_gets_the_change_from_where_it_was() -> None:
    async with serving() as served:
        served.put("calls", "1", entities.call(1))
        left = served.position
        for number in (2, 3):
            served.put("calls", str(number), entities.call(number))
        served.put("calls", "1", None)
        async with served.connect() as connection:
            await frame(connection)
            await subscribe(connection, since=position(left))
            change = await frame(connection)
            assert (change["type"], change["from"], change["seq"]) == (
                "change",
                left.seq,
                served.position.seq,
            )
            assert (set(change["upsert"]["calls"]), change["remove"]) == (
                {"2", "3"},
                {"calls": ["1"]},
            )


async def test_who_missed_nothing_is_told_so() -> None:
    async with serving() as served, served.connect() as connection:
        served.put("calls", "1", entities.call(1))
        await frame(connection)
        await subscribe(connection, since=position(served.position))
        change = await frame(connection)
        assert (change["type"], change["upsert"], change["remove"]) == ("change", {}, {})
        assert change["from"] == change["seq"] == served.position.seq


@pytest.mark.parametrize(
    "since", [{"epoch": "000000000000000-old", "seq": 0}, {"epoch": "nonsense", "seq": 7}]
)
async def test_who_comes_from_another_epoch_gets_a_snapshot(since: dict[str, Any]) -> None:
    async with serving(heartbeat=0.2) as served, served.connect() as connection:
        served.put("calls", "1", entities.call(1))
        await frame(connection)
        await subscribe(connection, since=since)
        snapshot = await frame(connection)
        assert (snapshot["type"], snapshot["seq"]) == ("snapshot", served.position.seq)


async def test_who_comes_from_before_the_log_gets_a_snapshot() -> None:
    async with serving() as served, served.connect() as connection:
        left = served.position
        for number in range(10_001):  # the log holds 10,000
            served.put("calls", "1", entities.call(1, state="Talking" if number % 2 else "Routing"))
        await frame(connection)
        await subscribe(connection, since=position(left))
        assert (await frame(connection))["type"] == "snapshot"


async def test_who_knows_more_than_this_gateway_waits_until_it_has_caught_up() -> None:
    async with serving() as served, served.connect() as connection:
        ahead = Position(served.position.epoch, served.position.seq + 2)
        await frame(connection)
        await subscribe(connection, since=position(ahead))
        served.put("calls", "1", entities.call(1))
        await silence(connection)
        served.put("calls", "2", entities.call(2))
        served.put("calls", "3", entities.call(3))
        change = await frame(connection)
        assert (change["type"], change["from"], change["seq"]) == (
            "change",
            ahead.seq,
            ahead.seq + 1,
        )
        assert set(change["upsert"]["calls"]) == {"3"}


async def test_who_claims_what_never_comes_gets_a_snapshot_in_the_end() -> None:
    async with (
        serving(heartbeat=0.1) as served,
        served.connect() as connection,
        running(asyncio.create_task(served.be_heard())),
    ):
        await frame(connection)
        await subscribe(connection, since={"epoch": served.position.epoch, "seq": 10**15})
        assert (await frame(connection))["type"] == "snapshot"


@pytest.mark.parametrize(
    "later", [{}, {"filter": {"ext": ["101"]}}, {"since": {"epoch": f"{1:015d}-t", "seq": 0}}]
)
async def test_who_claimed_what_never_comes_and_asks_anew_gets_a_snapshot_in_the_end(
    later: dict[str, Any],
) -> None:
    async with (
        serving(heartbeat=0.1) as served,
        served.connect() as connection,
        running(asyncio.create_task(served.be_heard())),
    ):
        await frame(connection)
        await subscribe(connection, since={"epoch": served.position.epoch, "seq": 10**15})
        await subscribe(connection, **later)
        assert (await frame(connection))["type"] == "snapshot"


async def test_who_counts_gets_every_change_by_itself() -> None:
    async with serving() as served, served.connect() as connection:
        left = served.position
        for number in range(50):
            served.put("calls", "1", entities.call(1, state="Talking" if number % 2 else "Routing"))
            served.put("queues", "800", entities.queue("800", (str(number),)))
        await frame(connection)
        await subscribe(connection, since=position(left), merge=False)
        at = left.seq
        for number in range(50):
            change = await frame(connection)
            assert change["type"] == "change"
            assert change["from"] <= at < change["seq"]
            assert change["upsert"]["calls"]["1"]["state"] == (
                "Talking" if number % 2 else "Routing"
            )
            at = change["seq"]
        await silence(connection)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"query": "makecall", "params": {"first": "101", "second": "102"}}, "not_allowed"),
        ({"query": "query", "params": {"query": "select 1"}}, "not_allowed"),
        ({"query": "pbx.call.get"}, "unknown_command"),
        ({"query": "ext.state.get"}, "missing_parameter"),
        ({"query": "ext.state.get", "params": {"num": "101", "x": "1"}}, "unknown_parameter"),
        ({"query": "ext.state.get", "params": {"num": ["101"]}}, "bad_message"),
        ({"query": "ext.state.get", "params": ["101"]}, "bad_message"),
        ({"query": 7}, "bad_message"),
    ],
)
async def test_what_cannot_be_watched_is_refused(message: dict[str, Any], code: str) -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await say(connection, {"type": "subscribe"} | message)
        error = await frame(connection)
        assert (error["type"], error["code"]) == ("error", code)


async def test_a_query_needs_the_scope_that_it_needs_on_rest() -> None:
    async with serving() as served, served.connect("display-key") as connection:
        await frame(connection)
        await say(
            connection, {"type": "subscribe", "query": "contact.find", "params": {"num": "030"}}
        )
        assert (await frame(connection))["code"] == "not_allowed"


async def test_one_subscription_replaces_another_of_any_kind() -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        for _ in range(3):
            await say(connection, {"type": "subscribe", "query": "pbx.calls.get"})
            assert (await frame(connection))["type"] == "result"
            await subscribe(connection)
            assert (await frame(connection))["type"] == "snapshot"
            assert (len(served.view.watches), len(served.view.hub)) == (0, 1)
        await say(connection, {"type": "subscribe", "query": "pbx.calls.get"})
        assert (await frame(connection))["type"] == "result"
        assert (len(served.view.watches), len(served.view.hub)) == (1, 0)
    await until(lambda: len(served.view.watches) == 0)


async def test_who_watches_something_else_is_never_told_an_older_position() -> None:
    watch = {"type": "subscribe", "query": "pbx.calls.get"}
    async with (
        serving() as served,
        served.connect() as other,
        served.connect() as watching,
        served.connect() as ours,
    ):
        await subscribe(other)
        await frame_of(other, "snapshot")  # which is kept for a second, to be shared
        await say(watching, watch)
        await frame_of(watching, "result")
        served.put("calls", "1", entities.call(1))
        await say(ours, watch)
        result = await frame_of(ours, "result")
        await subscribe(ours)
        snapshot = await frame_of(ours, "snapshot")
        served.put("calls", "2", entities.call(2))
        change = await frame_of(ours, "change")
        await say(ours, watch)
        again = await frame_of(ours, "result")
        assert [found["seq"] for found in (result, snapshot, change, again)] == [1, 1, 2, 2]


async def named(connection: ClientConnection, id_: SubscriptionId | None, **more: Any) -> None:
    """Subscribe to calls with an id."""
    await subscribe(connection, **({} if id_ is None else {"id": id_}), **more)


async def of(connection: ClientConnection, id_: SubscriptionId | None, kind: str) -> dict[str, Any]:
    """The next frame but heartbeats, which must be of this subscription and type."""
    while (found := await frame(connection))["type"] == "heartbeat":
        pass
    assert (found.get("id"), found["type"]) == (id_, kind), found
    return found


async def test_several_subscriptions_on_one_connection_know_nothing_of_each_other() -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await named(connection, None, topics=["queues"])
        await of(connection, None, "snapshot")
        await named(connection, "a", filter={"ext": ["101"]})
        await of(connection, "a", "snapshot")
        await named(connection, 1, filter={"ext": ["102"]})
        await of(connection, 1, "snapshot")
        served.put("calls", "1", entities.call(1, ("101",)))
        assert set((await of(connection, "a", "change"))["upsert"]["calls"]) == {"1"}
        served.put("calls", "2", entities.call(2, ("102",)))
        assert set((await of(connection, 1, "change"))["upsert"]["calls"]) == {"2"}
        served.put("queues", "800", entities.queue("800"))
        assert set((await of(connection, None, "change"))["upsert"]["queues"]) == {"800"}
        await subscribe(connection, topics=["lines"])  # replaces the one without an id alone
        await of(connection, None, "snapshot")
        served.put("calls", "1", None)
        assert (await of(connection, "a", "change"))["remove"] == {"calls": ["1"]}
        await silence(connection)


async def test_a_query_and_contacts_may_stand_beside_calls() -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await named(connection, "calls")
        await of(connection, "calls", "snapshot")
        await say(connection, {"type": "subscribe", "id": "count", "query": "pbx.calls.get"})
        await of(connection, "count", "result")
        await named(connection, "book", topics=["contacts"])
        assert (await of(connection, "book", "snapshot"))["state"] == {"contacts": {}}
        assert (len(served.view.hub), len(served.view.watches)) == (1, 1)
        served.put("calls", "1", entities.call(1))
        told = {(found["id"], found["type"]) for found in [await frame(connection) for _ in "12"]}
        assert told == {("calls", "change"), ("count", "result")}


async def test_each_subscription_resumes_at_its_own_position() -> None:
    async with serving() as served, served.connect() as connection:
        served.put("calls", "1", entities.call(1))
        left = served.position
        served.put("calls", "2", entities.call(2))
        await frame(connection)
        await named(connection, "from here", since=position(left))
        assert set((await of(connection, "from here", "change"))["upsert"]["calls"]) == {"2"}
        await named(connection, "anew")
        await of(connection, "anew", "snapshot")


async def test_heartbeats_come_for_each_subscription() -> None:
    async with serving(heartbeat=0.1) as served, served.connect() as connection:
        await frame(connection)
        for id_ in ("a", "b"):
            await named(connection, id_)
        waiting = {"a", "b"}
        while waiting:
            beat = await frame_of(connection, "heartbeat")
            waiting.discard(beat["id"])


@pytest.mark.parametrize("id_", ["a", 0, None])
async def test_nothing_follows_unsubscribed_and_the_id_is_free_again(
    id_: SubscriptionId | None,
) -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await named(connection, id_)
        await of(connection, id_, "snapshot")
        await say(connection, {"type": "unsubscribe"} | ({} if id_ is None else {"id": id_}))
        await of(connection, id_, "unsubscribed")
        served.put("calls", "1", entities.call(1))
        await silence(connection)
        assert len(served.view.hub) == 0
        await named(connection, id_)
        await of(connection, id_, "snapshot")


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        (CALLS | {"id": "a"}, "id_in_use", "the id 'a' already"),
        ({"type": "unsubscribe", "id": "b"}, "unknown_id", "there are 'a'"),
        ({"type": "unsubscribe", "id": 7}, "unknown_id", "the id 7; there are 'a'"),
        ({"type": "unsubscribe"}, "unknown_id", "without an id; there are 'a'"),
        (CALLS | {"id": "new", "filter": {"ext": []}}, "bad_message", "ext is empty"),
        (CALLS | {"id": "new", "colour": "red"}, "bad_message", "no field 'colour'"),
    ],
)
async def test_an_error_has_the_id_and_disturbs_no_subscription(
    message: dict[str, Any], code: str, says: str
) -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await named(connection, "a")
        await of(connection, "a", "snapshot")
        await say(connection, message)
        error = await of(connection, message.get("id"), "error")
        assert error["code"] == code
        assert says in error["message"]
        served.put("calls", "1", entities.call(1))
        await of(connection, "a", "change")
        await silence(connection)


@pytest.mark.parametrize("id_", ["", "x" * 65, -1, 2**53, True, 1.5, ["a"], {"a": 1}])
async def test_what_cannot_be_an_id_is_refused_with_what_can(id_: object) -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await subscribe(connection, id=id_)
        error = await of(connection, None, "error")
        assert error["code"] == "bad_message"
        assert "a text of 1 to 64 characters or a whole number" in error["message"]


async def test_a_connection_has_so_many_subscriptions_and_gets_no_more() -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        for number in range(MOST_SUBSCRIPTIONS):
            await asyncio.sleep(0.1 if number > 20 else 0)  # no more messages at once
            await named(connection, number)
            await of(connection, number, "snapshot")
        await named(connection, "more")
        error = await of(connection, "more", "error")
        assert error["code"] == "too_many_subscriptions"
        assert len(served.view.hub) == MOST_SUBSCRIPTIONS
        await say(connection, {"type": "unsubscribe", "id": 0})
        await of(connection, 0, "unsubscribed")
        await named(connection, "more")
        await of(connection, "more", "snapshot")


async def test_all_connections_of_a_key_have_as_many_as_it_may_have_connections() -> None:
    settings = LiveSettings(connections_per_key=3)
    async with serving(settings) as served, served.connect() as first:
        async with served.connect() as second:
            for connection in (first, second):
                await frame(connection)
            await named(first, "a")
            await of(first, "a", "snapshot")
            for id_ in ("a", "b"):
                await named(second, id_)
                await of(second, id_, "snapshot")
            await named(first, "b")
            error = await of(first, "b", "error")
            assert error["code"] == "too_many_subscriptions"
            await subscribe(first)  # the one without an id does not count
            await of(first, None, "snapshot")
        await until(lambda: len(served.live) == 1)
        await named(first, "b")
        await of(first, "b", "snapshot")


async def test_an_answer_counts_once_as_long_as_any_subscription_of_the_key_watches_it() -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        for id_ in ("a", "b"):
            await say(connection, {"type": "subscribe", "id": id_, "query": "pbx.calls.get"})
            await of(connection, id_, "result")
        (session,) = sessions(served)
        share = session.principal.share
        assert share is not None
        counted = share.answer_bytes
        assert counted == len(b'{"result":0}')
        for id_, left in (("a", counted), ("b", 0)):
            await say(connection, {"type": "unsubscribe", "id": id_})
            await of(connection, id_, "unsubscribed")
            assert share.answer_bytes == left


async def test_thousands_of_subscriptions_that_come_and_go_leave_nothing() -> None:
    names = names_of("calls")
    async with serving() as served:
        share = KeyShare(1, 1.0, WorkTurns(), lambda: 0.0)
        unnamed = ClientSubscription(served.view, EVERYTHING, "json", nothing, share=share)
        places = SubscriptionSet(
            *(unnamed, served.view, EVERYTHING, "json", nothing, None, share, frozenset({"main"}))
        )
        for number in range(3_000):
            fields = selection_of([names[number % len(names)]], ["calls"])
            wanted = Subscribe(
                frozenset({"calls"}), filter_of({"ext": [str(number)]}), id=number, fields=fields
            )
            watch = Watch(command_named("all.pbx.get"), NO_ARGUMENTS, id=str(number))
            for each in (wanted, watch):
                places.check(each)
                places.enter(each)
            assert places.next_messages()
            for each in (wanted, watch):
                places.leave(each.id)
        counts = (share.subscriptions, share.filter_bytes, share.answer_bytes)
        assert counts == (0, 0, 0)
        assert (len(served.view.hub), len(served.view.hub.tracks)) == (0, 0)
        assert (len(served.view.watches), +served.view.fleet.held) == (0, {})
        assert places.next_messages() == ()


def nothing() -> None:
    pass


async def test_each_subscription_with_an_id_is_a_read_of_the_key() -> None:
    async with serving(budgets=Budgets(reads=3)) as served, served.connect() as connection:
        await frame(connection)  # the connection and its first subscription are one read
        for id_ in ("a", "b", "c"):
            await named(connection, id_)
            await of(connection, id_, "snapshot")
        await named(connection, "d")
        assert await closed(connection) == (4101, "the key's budget of reads is spent")


async def test_who_unsubscribes_from_all_has_time_to_subscribe_again() -> None:
    limits = ConnectionLimits(subscribe_timeout=60.0, stall_timeout=0.4)  # it looks each 0.1 s
    async with serving(LiveSettings(limits)) as served, served.connect() as connection:
        await frame(connection)
        await named(connection, "a")
        await of(connection, "a", "snapshot")
        (session,) = sessions(served)
        session._begun -= 61.0  # the connection is older than the time that one has
        session._vacant_since -= 61.0
        await asyncio.sleep(0.3)
        await say(connection, {"type": "unsubscribe", "id": "a"})
        await of(connection, "a", "unsubscribed")
        await asyncio.sleep(0.3)
        await named(connection, "b")
        await of(connection, "b", "snapshot")
        await say(connection, {"type": "unsubscribe", "id": "b"})
        await of(connection, "b", "unsubscribed")
        session._vacant_since -= 61.0
        assert (await closed(connection))[0] == 4203


async def test_a_busy_subscription_keeps_no_other_waiting() -> None:
    """Each has its turn, also on a connection that always has something to send."""
    async with serving() as served:
        seen = Visibility()
        unnamed = ClientSubscription(served.view, seen, "json", lambda: None)
        whole = SubscriptionSet(
            unnamed, served.view, seen, "json", lambda: None, None, None, frozenset()
        )
        for id_ in (None, "a", "b"):
            whole.enter(Subscribe(frozenset({"calls"}), id=id_))
        turns: list[SubscriptionId | None] = []
        for number in range(9):
            served.put("calls", "1", entities.call(1, (f"{number}",)))
            assert whole.next_messages()
            turns.append(None if whole.head is None else whole.head.id)
        assert {*turns[:3]} == {*turns[3:6]} == {*turns[6:]} == {None, "a", "b"}
        whole.end()
        assert len(served.view.hub) == 0
