"""Test the stream over real sockets."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway import fair_share
from gateway.fanout.frames import Encoding
from gateway.stream.admission import LiveSettings
from gateway.stream.connection import ConnectionLimits
from gateway.stream.websocket import WebSocketSession
from gateway.token_bucket import AT_ONCE
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.codec import to_json
from monitor.shared.entities.topics import TOPICS, Contact
from tests.bus import until
from tests.gateway.entities import START, call, extension
from tests.gateway.histories import decoded, plain
from tests.gateway.serving import (
    ALL_TOPICS,
    closed,
    ended_with,
    frame,
    frame_of,
    retry_in,
    say,
    serving,
    subscribed,
)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_hello_then_a_snapshot_then_every_change(encoding: Encoding) -> None:
    name = f"callmon.v1.{encoding}"
    async with serving() as served, served.connect(offer=["other", name]) as connection:
        assert connection.subprotocol == name
        hello = await frame(connection)
        assert (hello["type"], hello["protocol"], hello["pbx"], hello["heartbeat"]) == (
            "hello",
            1,
            "main",
            3600.0,
        )
        assert hello["topics"] == [*TOPICS, "contacts"]
        await say(connection, {"type": "subscribe", "topics": ALL_TOPICS}, encoding)
        data = await connection.recv()
        assert isinstance(data, str) is (encoding == "json")
        assert decoded(data)["state"] == {topic: {} for topic in TOPICS}
        served.put("calls", "7", call(7, ("101",)))
        change = await frame(connection)
        assert (change["from"], change["seq"]) == (0, 1)
        assert change["upsert"] == {"calls": {"7": plain(call(7, ("101",)))}}
        served.put("calls", "7", None)
        assert (await frame(connection))["remove"] == {"calls": ["7"]}
        served.start_epoch()
        snapshot = await frame(connection)
        assert (snapshot["type"], snapshot["seq"]) == ("snapshot", 0)


async def test_without_an_offered_subprotocol_it_is_json() -> None:
    async with serving() as served, served.connect() as connection:
        assert connection.subprotocol is None
        assert isinstance(await connection.recv(), str)


async def test_a_subscription_may_stand_in_the_address() -> None:
    async with (
        serving() as served,
        served.connect(path="/webapi/stream?topics=calls,queues") as connection,
    ):
        assert (await frame_of(connection, "snapshot"))["state"] == {"calls": {}, "queues": {}}


async def test_a_new_subscription_replaces_the_old_one() -> None:
    async with serving() as served, served.connect() as connection:
        await subscribed(connection, ["calls"])
        assert (await subscribed(connection, ["queues"]))["state"] == {"queues": {}}
        served.put("calls", "1", call(1))
        served.put("queues", "800", None)
        await say(connection, {"type": "ping", "at": 5})
        assert (await frame(connection))["type"] == "pong"


async def test_the_address_book_is_a_stream_of_its_own() -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await say(connection, {"type": "subscribe", "topics": ["contacts", "calls"]})
        assert (await frame(connection))["code"] == "bad_message"
        snapshot = await subscribed(connection, ["contacts"])
        assert snapshot["epoch"].endswith("-b")
        contact = Contact(1, "Ann", phone="0301234567")
        served.view.book.apply(
            Change(Position(snapshot["epoch"], 1), START, (Edit("contacts", "1", None, contact),))
        )
        served.view.book_hub.changed()
        assert (await frame(connection))["upsert"] == {"contacts": {"1": plain(contact)}}


async def test_a_limited_key_is_told_what_it_may_see_only() -> None:
    async with serving() as served, served.connect("limited-key") as connection:
        hello = await frame(connection)
        assert hello["topics"] == [
            *(
                "system",
                "calls",
                "extensions",
                "queues",
                "groups",
                "ended",
                "queuestats",
                "extstats",
            )
        ]
        await say(connection, {"type": "subscribe", "topics": ["lines"]})
        assert (await frame(connection))["code"] == "not_allowed"
        await subscribed(connection, hello["topics"])
        served.put("calls", "1", call(1, ("102",)))
        served.put("extensions", "102", extension("102"))
        served.put("calls", "1", call(1, ("102", "101")))
        change = await frame(connection)
        assert (change["from"], change["seq"]) == (0, 3)
        assert change["upsert"].keys() == {"calls"}
        served.put("calls", "1", call(1, ("102",)))
        assert (await frame(connection))["remove"] == {"calls": ["1"]}


async def test_heartbeats_come_and_tell_of_silence_at_once() -> None:
    async with serving(heartbeat=0.2) as served, served.connect() as connection:
        await subscribed(connection, ["queues"])
        served.put("calls", "1", call(1))
        while (beat := await frame(connection))["seq"] == 0:  # one that was sent before
            assert beat["type"] == "heartbeat"
        assert (beat["type"], beat["seq"], beat["stale_since"]) == ("heartbeat", 1, None)
    async with serving() as served, served.connect() as connection:
        await subscribed(connection)
        served.view.live.silent(START)
        served.view.hub.changed()
        assert (await frame(connection))["stale_since"] == START


async def test_all_connections_of_a_key_together_may_say_only_so_much() -> None:
    settings = LiveSettings(message_burst_per_key=5, messages_per_second_per_key=0.001)
    async with serving(settings) as served, served.connect("display-key") as other:
        async with served.connect() as first, served.connect() as second:
            for connection in (first, second):
                for _ in range(3):
                    await say(connection, {"type": "ping"})
            assert (await closed(second))[0] == 4101
        async with served.connect() as back:  # coming back renews nothing
            await say(back, {"type": "ping"})
            assert (await closed(back))[0] == 4101
        await say(other, {"type": "ping"})
        assert await frame_of(other, "pong")


async def test_the_filters_of_a_key_are_bounded_in_bytes_and_equal_ones_count_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fair_share, "MOST_FILTER_BYTES", 250_000)
    large, other = ([f"{number}".rjust(50, end) for number in range(1_000)] for end in "ab")

    def wanted(values: list[str]) -> dict[str, object]:
        return {"type": "subscribe", "topics": ["extensions"], "filter": {"ext": values}}

    async with serving() as served, served.connect() as third:
        async with served.connect() as first, served.connect() as second:
            for connection in (first, second):  # the same: it is held once
                await say(connection, wanted(large))
                await frame_of(connection, "snapshot")
            assert len({id(track.view.filter) for track in served.view.hub.tracks}) == 1
            await say(third, wanted(other))
            assert (await frame_of(third, "error"))["code"] == "filters_too_large"
            async with served.connect("display-key") as display:
                await say(display, wanted(other))
                await frame_of(display, "snapshot")
            await say(first, wanted(["101"]))
            await frame_of(first, "snapshot")
        await until(lambda: len(served.live) <= 1)
        await say(third, wanted(other))
        await frame_of(third, "snapshot")


async def test_the_answers_that_a_key_watches_are_bounded_in_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as served, served.connect() as first, served.connect() as second:
        served.put_all(
            [("extensions", f"{number}", extension(f"{number}")) for number in range(100)]
        )
        served.put_all([("calls", f"{number}", call(number)) for number in range(20)])

        async def watch(connection: ClientConnection, query: str) -> int:
            await say(connection, {"type": "subscribe", "query": query})
            return len(to_json((await frame_of(connection, "result"))["result"]))

        sizes = [await watch(first, "pbx.callsinfo.get"), await watch(first, "all.ext.get")]
        monkeypatch.setattr(fair_share, "MOST_ANSWER_BYTES", max(sizes) + 100)
        await watch(second, "all.ext.get")  # the same: it is held already
        await watch(second, "all.queue.get")
        await say(second, {"type": "subscribe", "query": "pbx.callsinfo.get"})
        assert (await frame_of(second, "error"))["code"] == "answers_too_large"
        await watch(first, "all.queue.get")
        await watch(second, "pbx.callsinfo.get")


async def test_who_never_subscribes_is_sent_away() -> None:
    async with (
        serving(LiveSettings(ConnectionLimits(subscribe_timeout=0.1))) as served,
        served.connect() as connection,
    ):
        assert (await closed(connection))[0] == 4203


async def test_a_connection_has_a_greatest_age() -> None:
    async with (
        serving(LiveSettings(max_connection_age=(0.1, 0.1))) as served,
        served.connect() as connection,
    ):
        code, reason = await closed(connection)
        assert (code, len(retry_in(reason))) == (4200, 2)


async def test_no_frame_comes_after_a_key_has_expired() -> None:
    now = [time.time()]
    async with serving(
        LiveSettings(ConnectionLimits(stall_timeout=0.2)), clock=lambda: now[0]
    ) as served:
        expires = "2100-01-01T00:00:00.000Z"
        served.keys.replace(
            [
                type(key)(key.name, key.digest, key.pbx, key.scopes, expires)
                for key in (served.keys._keys or ())
            ]
        )
        async with served.connect() as connection:
            await subscribed(connection)
            now[0] = 4_200_000_000.0
            served.put("calls", "1", call(1))
            with pytest.raises(ConnectionClosed) as end:
                await connection.recv()
            assert ended_with(end.value)[0] == 4001


async def test_a_revoked_key_ends_its_conversations_and_no_others() -> None:
    async with (
        serving() as served,
        served.connect() as ours,
        served.connect("display-key") as other,
    ):
        await subscribed(ours)
        await subscribed(other)
        served.live.revoke("reader")
        assert (await closed(ours))[0] == 4001
        served.put("calls", "1", call(1))
        assert (await frame(other))["type"] == "change"


async def test_a_busy_gateway_is_through_with_its_farewells_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns, asked = 0, []
    end = WebSocketSession.end

    def noted(session: WebSocketSession, code: int, reason: str) -> None:
        asked.append(turns)
        end(session, code, reason)

    async def busy() -> None:
        nonlocal turns
        while True:
            turns += 1
            time.sleep(0.01)  # noqa: ASYNC251 - the loop is to be held up
            await asyncio.sleep(0)

    monkeypatch.setattr(WebSocketSession, "end", noted)
    async with serving() as served, AsyncExitStack() as stack:
        for _ in range(40):
            await stack.enter_async_context(served.connect())
        working = asyncio.create_task(busy())
        await served.live.drain(0.05)
        working.cancel()
    assert len(asked) == 40
    assert asked[-1] < 20, (
        "one turn of the loop for each would take eight times as long as was given"
    )


async def test_at_a_drain_all_are_asked_to_come_back_later() -> None:
    async with serving() as served, served.connect() as one, served.connect() as other:
        await subscribed(one)
        await subscribed(other)
        await served.live.drain(0.05, (2, 7.5))
        for connection in (one, other):
            code, reason = await closed(connection)
            assert (code, retry_in(reason)) == (4200, [2, 7.5])


async def test_text_that_is_not_utf_8_closes_and_leaves_no_trace_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as served:
        for parts in ([b"\xff"], [b"\xc3", b"\x28"]):
            async with served.connect() as connection:
                await frame_of(connection, "hello")
                await connection.send(parts, text=True)
                assert (await closed(connection))[0] == 1007
        async with served.connect() as connection:
            await connection.send([b'{"type": "ping", "at": "\xc3', b'\xa4"}'], text=True)
            assert (await frame_of(connection, "pong"))["at"] == "ä"
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_key_whose_clients_are_sent_away_again_and_again_fills_no_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.token_bucket.PER_SECOND", 0.0)  # however long it takes here
    settings = LiveSettings(ConnectionLimits(bad_messages=0))
    async with serving(settings) as served, asyncio.timeout(60):
        with capture_logs() as logged:
            for _ in range(AT_ONCE + 5):
                async with served.connect() as connection:
                    await connection.send("no message")
                    assert (await closed(connection))[0] == 4000
        ends = [line for line in logged if line["event"] == "stream_end"]
        assert ends[0]["key"] == "reader"
        assert len(ends) == AT_ONCE
