"""Clients over WebSockets that read nothing, pause, or say anything."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway import fair_share
from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.frames import Encoding, FrameCache, SnapshotParts
from gateway.stream.admission import LiveSettings
from gateway.stream.client_messages import Subscribe, Watch
from gateway.stream.connection import ConnectionLimits
from gateway.stream.subscription import ClientSubscription
from gateway.transport.subscription_id import IdHead
from gateway.transport.websocket_protocol import ReadyFrame, Socket
from monitor.shared.codec import to_json, to_msgpack
from monitor.shared.entities.topics import TOPICS
from monitor.shared.tasks import running
from tests.bus import until
from tests.gateway.entities import call, extension
from tests.gateway.histories import Follower, plain
from tests.gateway.serving import (
    closed,
    ended_with,
    follow,
    frame,
    frame_of,
    say,
    serving,
    subscribed,
    without_denials,
)
from tests.gateway.sockets import (
    big_change,
    frame_after_ping,
    on_both_loops,
    sessions,
    stuck,
)
from tests.steps import Turns


@on_both_loops
async def test_one_who_reads_nothing_delays_nobody_costs_a_buffer_and_is_dropped_in_the_end() -> (
    None
):
    limits = ConnectionLimits(stall_timeout=1.0)
    async with serving(LiveSettings(limits)) as served, served.connect("display-key") as reading:
        await subscribed(reading)
        _, writer = await stuck(served)
        follower = Follower(state={topic: {} for topic in TOPICS}, position=served.position)
        for number in range(400):  # 10 MB, were it queued
            served.put_all(big_change(number))
            await follow(reading, follower, served.position)
            waiting = [
                session._socket.pending
                for session in sessions(served)
                if session._socket is not None
            ]
            assert sum(waiting) < 512 * 1024
        assert follower.state == plain(served.view.live.state)
        async with asyncio.timeout(60):
            while len(served.live) > 1:
                await frame_after_ping(reading)
        writer.close()


async def write_for_ever(writer: asyncio.StreamWriter, data: bytes) -> None:
    async with asyncio.timeout(60):
        while True:
            writer.write(data)
            await writer.drain()


@on_both_loops
async def test_one_who_pauses_gets_one_merged_change_and_is_exact() -> None:
    async with serving() as served, served.connect() as connection:
        await subscribed(connection)
        follower = Follower(state={topic: {} for topic in TOPICS}, position=served.position)
        connection.transport.pause_reading()
        for number in range(600):
            served.put_all(big_change(number))
            await asyncio.sleep(0)
        connection.transport.resume_reading()
        await follow(connection, follower, served.position)
        assert follower.state == plain(served.view.live.state)
        assert len(follower.seen) < 300


@on_both_loops
async def test_a_thousand_pings_of_one_who_reads_nothing_are_not_queued() -> None:
    limits = ConnectionLimits(message_burst=10**6, stall_timeout=0.5)
    async with serving(LiveSettings(limits, message_burst_per_key=10**6)) as served:
        _, writer = await stuck(served)
        ping = to_json({"type": "ping", "at": "x" * 60})
        masked = bytes([0x81, 0x80 | len(ping)]) + b"\0\0\0\0" + ping
        with pytest.raises(ConnectionError):
            await write_for_ever(writer, masked * 1000)
        for session in sessions(served):
            assert session._socket is not None
            assert session._socket.pending < 512 * 1024
        writer.close()


def garbage(rng: random.Random) -> str | bytes:
    seeds: list[Any] = [
        {"type": "subscribe", "topics": ["calls"]},
        {"type": "ping", "at": 1},
        {"type": "subscribe", "topics": [1, None, {}]},
        {"type": ["subscribe"]},
        {"type": "subscribe", "topics": ["calls"], "since": {"epoch": 1, "seq": "x"}},
    ]
    text = bytearray(rng.choice((to_json, to_msgpack))(rng.choice(seeds)))
    for _ in range(rng.randrange(4)):
        text[rng.randrange(len(text))] = rng.randrange(256)
    match rng.randrange(6):
        case 0:
            return rng.randbytes(rng.randrange(40))
        case 1:
            deep = rng.randrange(1, 1100)
            return rng.choice(("[" * deep, b"\x81\xa4type" + b"\x91" * deep + b"\xc0"))
        case 2:
            return '{"type":"ping","at":"\\ud800"}'
        case 3:
            at = rng.choice(("1e999", "-0", "123456789012345678901234567890", "NaN"))
            return f'{{"type":"ping","at":{at}}}'
        case 4:
            return bytes(text)
        case _:
            return bytes(text).decode("latin-1")


@on_both_loops
async def test_any_message_ends_in_an_answer_or_a_close_code_of_the_protocol() -> None:
    rng = random.Random(7)
    limits = ConnectionLimits(bad_messages=10)
    codes: set[int] = set()
    async with serving(LiveSettings(limits)) as served, served.connect("display-key") as other:
        await subscribed(other)
        for _ in range(60):
            async with served.connect() as connection:
                await frame(connection)
                try:
                    async with asyncio.timeout(60):
                        for _ in range(14):
                            await connection.send(garbage(rng))
                            while (answer := (await frame(connection))["type"]) == "heartbeat":
                                pass  # one may be due, on a slow machine
                            assert answer in ("error", "pong", "snapshot")
                except ConnectionClosed as error:
                    codes.add(ended_with(error)[0])
        served.put("calls", "1", call(1))
        assert (await frame_of(other, "change"))["upsert"].keys() == {"calls"}
        async with asyncio.timeout(60):
            while len(served.live) > 1:
                await frame_after_ping(other)
    assert codes <= {4000}


async def test_ping_is_echoed_with_the_servers_time() -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        for at in (1, 2.5, "x", None, 2**62):
            await say(connection, {"type": "ping", "at": at})
            pong = await frame(connection)
            assert (pong["type"], pong["at"]) == ("pong", at)
            assert pong["server_time"].endswith("Z")


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"type": "subscribe", "topics": ["calls", "cals"]}, "'cals'"),
        ({"type": "subscribe", "topics": ["calls"], "fitler": {}}, "'fitler'"),
        ({"type": "subscribe", "topics": "calls"}, "topics"),
        ({"type": "subscribe"}, "topics"),
        ({"type": "subscribe", "topics": []}, "topics"),
        ({"type": "subscribe", "topics": ["calls"], "since": 3}, "since"),
        ({"type": "subscribe", "topics": ["calls"], "merge": "no"}, "merge"),
        ({"type": "publish"}, "'publish'"),
        ({"type": "ping", "at": 2**80}, "at"),
        ({"type": "ping", "at": [1]}, "at"),
        ([], "object"),
    ],
)
async def test_an_error_names_what_was_wrong_and_the_connection_stays(
    message: object, named: str
) -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await connection.send(to_json(message).decode())
        error = await frame(connection)
        assert (error["type"], error["code"]) == ("error", "bad_message")
        assert named in error["message"]
        await subscribed(connection)


async def test_who_keeps_sending_nonsense_is_sent_away() -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        for _ in range(3):
            await connection.send("{")
            assert (await frame(connection))["type"] == "error"
        await connection.send(b"\xc1")
        assert (await closed(connection))[0] == 4000


async def test_a_message_too_large_ends_it() -> None:
    async with serving() as served, served.connect() as connection:
        await connection.send("x" * 70_000)
        assert (await closed(connection))[0] == 4013


async def test_a_message_too_large_ends_it_under_any_server() -> None:
    settings = LiveSettings(ConnectionLimits(message_size=100))
    async with serving(settings, wrap=without_denials) as served, served.connect() as connection:
        await connection.send("ж" * 60)
        assert (await closed(connection))[0] == 4013


async def test_too_many_messages_end_it() -> None:
    limits = ConnectionLimits(message_burst=5, messages_per_second=0.001)
    async with serving(LiveSettings(limits)) as served, served.connect() as connection:
        for _ in range(6):
            await say(connection, {"type": "ping"})
        assert (await closed(connection))[0] == 4101


@on_both_loops
async def test_many_who_come_at_once_share_each_parts_bytes_and_take_a_few_of_them_in_a_turn() -> (
    None
):
    """However fast they read: between two turns of the loop everybody else is served."""
    turns, taken = Turns(), list[tuple[int, bytes]]()
    write = Socket.write

    def recorded(self: Socket, payload: bytes, *, text: bool, head: IdHead | None = None) -> bool:
        taken.append((turns.count, payload))
        return write(self, payload, text=text, head=head)

    async def whole(client: ClientConnection) -> int:
        follower = Follower()
        await follow(client, follower, served.position)
        assert follower.state == expected
        return len(follower.seen)

    async with AsyncExitStack() as stack, asyncio.timeout(120):
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(fair_share, "PARTS_A_TURN", 3)
        patch.setattr(Socket, "write", recorded)
        now = time.time()  # it stands still: a snapshot is shared for a second
        served = await stack.enter_async_context(serving(clock=lambda: now))
        served.put_all([("extensions", str(at), extension(str(at))) for at in range(1_000)])
        expected = {"extensions": plain(served.view.live.state["extensions"])}
        clients = [await stack.enter_async_context(served.connect()) for _ in range(12)]
        async with running(turns.run()):
            for client in clients:
                await say(client, {"type": "subscribe", "topics": ["extensions"]})
            parts = set(await asyncio.gather(*map(whole, clients)))
    assert len(parts) == 1
    assert (number := parts.pop()) > 5
    assert len(taken) == 12 * number
    assert len({id(payload) for _, payload in taken}) == number, "one snapshot a second"
    assert max(Counter(turn for turn, _ in taken).values()) <= 3


@on_both_loops
async def test_a_snapshot_in_parts_and_what_follows_have_the_id_compressed_or_not() -> None:
    for compressed in (False, True):
        async with serving() as served, served.connect(compressed=compressed) as connection:
            served.put_all(big_change(0))
            served.put_all([("extensions", str(at), extension(str(at))) for at in range(900)])
            await frame(connection)
            await say(connection, {"type": "subscribe", "id": "ж", "topics": ["extensions"]})
            follower = Follower()
            while follower.position is None or follower.position < served.position:
                found = await frame(connection)
                assert found.pop("id") == "ж"
                follower.receive(found)
            assert len(follower.seen) > 5
            served.put_all(big_change(1))
            found = await frame_of(connection, "change")
            assert found.pop("id") == "ж"
            follower.receive(found)
            assert follower.state == {"extensions": plain(served.view.live.state["extensions"])}


@on_both_loops
async def test_many_who_subscribe_at_once_each_to_something_else_are_served_a_few_in_a_turn() -> (
    None
):
    turns, done = Turns(), list[int]()
    enter, begin = ClientSubscription.enter, FrameCache._begin_snapshot

    def entered(self: ClientSubscription, wanted: Subscribe | Watch) -> None:
        done.append(turns.count)
        enter(self, wanted)

    def begun(self: FrameCache, view: FilteredView, encoding: Encoding) -> SnapshotParts:
        done.append(turns.count)
        return begin(self, view, encoding)

    async with AsyncExitStack() as stack, asyncio.timeout(120):
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(fair_share, "PARTS_A_TURN", 3)
        patch.setattr(ClientSubscription, "enter", entered)
        patch.setattr(FrameCache, "_begin_snapshot", begun)
        served = await stack.enter_async_context(serving())
        served.put_all([("extensions", str(at), extension(str(at))) for at in range(30)])
        clients = [await stack.enter_async_context(served.connect()) for _ in range(30)]
        async with running(turns.run()):
            wanted = {"type": "subscribe", "topics": ["extensions"]}
            await asyncio.gather(
                *(
                    say(client, wanted | {"filter": {"ext": [str(at)]}})
                    for at, client in enumerate(clients)
                )
            )
            for at, client in enumerate(clients):
                found = await frame_of(client, "snapshot")
                assert list(found["state"]["extensions"]) == [str(at)]
    assert len(done) == 60
    assert max(Counter(done).values()) <= 3


@on_both_loops
async def test_frames_of_the_one_who_holds_the_connection_pass_until_it_is_full() -> None:
    async with serving() as served:
        reader, writer = await stuck(served)
        (session,) = sessions(served)
        socket = session._socket
        assert socket is not None
        await until(lambda: socket.ready)
        socket.holds += 1
        assert not socket.push(ReadyFrame(""))
        payload = b"x" * 60_000
        written = 0
        while socket.write(payload, text=True):
            written += 1
            assert written < 1_000
        assert written > 0
        assert 0 < socket.pending <= len(payload) + 10, "it is full at once"
        assert not socket.write(b"", text=True)
        writer.transport.abort()
        await until(lambda: not len(served.live))
        assert not socket.write(b"", text=True), "it is at its end"
        del reader
