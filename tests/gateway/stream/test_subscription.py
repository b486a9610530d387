"""What a subscription may ask for: filters, resuming, every change by itself, queries to watch."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from monitor.shared.changes import Position
from tests.gateway import entities
from tests.gateway.serving import frame, frame_of, position, say, serving, silence
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


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"filter": {"num": ["101"]}}, "has no field"),
        ({"filter": {"ext": "101"}}, "object of lists"),
        ({"filter": ["101"]}, "object of lists"),
        ({"filter": {"state": ["Busy"]}}, "but not 'Busy'"),
        ({"since": {"epoch": "e", "seq": -1}}, "position"),
        ({"since": {"epoch": "e", "seq": True}}, "position"),
        ({"since": "e/1"}, "position"),
        ({"merge": "no"}, "true or false"),
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
    async with asyncio.timeout(60):
        while len(served.view.watches):  # noqa: ASYNC110 - the server's own time
            await asyncio.sleep(0.01)


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
