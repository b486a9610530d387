"""The stream's sockets under ill use: floods, garbage, handshakes that are too large.

On both event loops.
"""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import pytest
import uvloop
from websockets.frames import Frame

from gateway.stream.admission import LiveSettings
from gateway.stream.connection import ConnectionLimits
from gateway.transport import compression
from gateway.transport.held_bytes import HeldBytes
from gateway.transport.read_turns import ReadTurns
from gateway.transport.websocket_protocol import (
    LARGEST_PUSHED_BYTES,
    SEND_BUFFER_BYTES,
    ReadyFrame,
    Socket,
    StreamProtocol,
)
from monitor.shared.codec import to_json
from tests.bus import until
from tests.gateway.entities import call, extension, ivr
from tests.gateway.serving import (
    Served,
    frame_of,
    say,
    serving,
    subscribed,
)
from tests.gateway.sockets import (
    HANDSHAKE,
    big_change,
    frame_after_ping,
    left_for_the_garbage_collector,
    on_both_loops,
    sessions,
    stuck,
)

TALKATIVE = LiveSettings(ConnectionLimits(message_burst=10_000))
"""Ten frames for each of them."""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine may need seconds to read the close frame of one who sent too much."""
    monkeypatch.setattr("gateway.transport.websocket_protocol._FAREWELL_S", 60.0)


@asynccontextmanager
async def stuck_for_now(
    served: Served,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """The same, gone afterwards."""
    reader, writer = await stuck(served)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def flooding(
    served: Served, offer: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that may write what it likes, its handshake done. ``offer``: a header of it."""
    host, port = served.host.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /webapi/reader-key/stream HTTP/1.1\r\n{HANDSHAKE}{offer}\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def frames_until_the_end(reader: asyncio.StreamReader) -> list[tuple[int, bytes]]:
    """Opcodes and payloads of the server's frames, up to its close frame."""
    frames: list[tuple[int, bytes]] = []
    while not frames or frames[-1][0] != 8:
        head = await reader.readexactly(2)
        size = int.from_bytes(await reader.readexactly(2)) if head[1] == 126 else head[1]
        frames.append((head[0] & 15, await reader.readexactly(size)))
    return frames


FLOODS = {
    "empty pings": b"\x89\x80\0\0\0\0",
    "pongs": b"\x8a\x80\0\0\0\0",
    "empty parts": b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 10_000,
    "empty messages": b"\x81\x80\0\0\0\0",
    "large pings": b"\x89\xfd\0\0\0\0" + b"x" * 125,
}


@on_both_loops
async def test_a_flood_of_frames_ends_that_connection_and_others_go_on() -> None:
    for flood in FLOODS.values():
        async with serving() as served, served.connect("display-key") as innocent:
            await subscribed(innocent)
            reader, writer = await flooding(served)
            begun = asyncio.get_running_loop().time()
            writer.write(flood * (600_000 // len(flood)))
            async with asyncio.timeout(60):
                reading = asyncio.create_task(frames_until_the_end(reader))
                told = 0
                while not reading.done():  # each turn, one more change is told to the other one
                    told += 1
                    served.put("extensions", "101", extension("101", (f"{told}",)))
                    await frame_of(innocent, "change")
                *frames, (_, farewell) = reading.result()
            allowed = 300 + 100 * (asyncio.get_running_loop().time() - begun)
            assert (int.from_bytes(farewell[:2]), farewell[2:]) == (4101, b"too many frames")
            assert sum(opcode == 10 for opcode, _ in frames) <= allowed, "pings that were answered"
            assert told < 300, "it is closed before much is told to others"
            await until(lambda: served.live.counters.ended["4101"] == 1)
            writer.transport.abort()


@on_both_loops
async def test_a_message_in_many_parts_and_pings_between_them_are_no_flood() -> None:
    async with serving() as served, served.connect() as connection:
        text = to_json(
            {"type": "subscribe", "topics": ["extensions"], "filter": {"ext": ["1" * 60] * 800}}
        ).decode()
        parts = [text[at : at + 1024] for at in range(0, len(text), 1024)]
        for _ in range(3):
            await connection.send(iter(parts))
            await (await connection.ping())
            await frame_of(connection, "snapshot")


@on_both_loops
async def test_of_a_message_in_many_small_parts_few_objects_are_kept() -> None:
    most, handle = 0, StreamProtocol.handle_cont

    def watched(protocol: StreamProtocol, event: Frame) -> None:
        nonlocal most
        handle(protocol, event)
        most = max(most, len(protocol.frames))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamProtocol, "handle_cont", watched)
        async with serving(TALKATIVE) as served:
            reader, writer = await flooding(served)
            first, *parts = to_json({"type": "ping", "at": "x" * 60})
            writer.write(client_frame(0x01, bytes([first])))
            writer.writelines(client_frame(0, bytes([part])) for part in parts)
            writer.write(client_frame(0x80, b""))
            await read_until(reader, b"x" * 60)
            writer.transport.abort()
    assert 0 < most < 20


@on_both_loops
async def test_one_who_is_lost_with_messages_unread_leaves_nothing_for_the_garbage_collector() -> (
    None
):
    async with serving(TALKATIVE) as served:

        async def come_and_go() -> None:
            async with stuck_for_now(served) as (_, writer):
                await fill(served)
                writer.write(client_frame(0x81, b"x") * 3)
                await asyncio.sleep(0.05)
            await until(lambda: not served.live.sessions)

        await come_and_go()
        with left_for_the_garbage_collector() as left:
            await come_and_go()
        assert not left


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A short frame of a client; its mask is zero."""
    return bytes([opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


async def read_until(reader: asyncio.StreamReader, end: bytes) -> None:
    """Read on, however much comes before it."""
    tail = b""
    async with asyncio.timeout(60):
        while end not in tail:
            data = await reader.read(65_536)
            assert data, "the connection has ended"
            tail = tail[-len(end) :] + data


async def fill(served: Served) -> Socket:
    """Make so many changes that bytes wait in the socket of a client that reads nothing."""
    [session] = sessions(served)
    assert session._socket is not None
    number = 0
    async with asyncio.timeout(60):
        while not session.blocked:
            number += 1
            served.put_all(big_change(number))
            await asyncio.sleep(0.001)
    return session._socket


@on_both_loops
async def test_the_pings_of_one_who_reads_nothing_are_not_answered_but_for_the_last() -> None:
    came, waiting, handle = 0, 0, StreamProtocol.handle_ping
    all_came = asyncio.Event()

    def watched(protocol: StreamProtocol) -> None:
        nonlocal came, waiting
        handle(protocol)
        came, waiting = came + 1, max(waiting, protocol.transport.get_write_buffer_size())
        if came > 10_000:
            all_came.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamProtocol, "handle_ping", watched)
        async with (
            serving(TALKATIVE) as served,
            asyncio.timeout(60),
            stuck_for_now(served) as (reader, writer),
        ):
            await fill(served)
            writer.write(client_frame(0x89, b"x" * 125) * 10_000)
            writer.write(client_frame(0x89, b"the last of them"))
            await all_came.wait()
            assert waiting < 512 * 1024, "they are 1.3 MB"
            await read_until(reader, bytes([0x8A, 16]) + b"the last of them")


@on_both_loops
async def test_one_who_says_farewell_and_reads_nothing_does_not_stay() -> None:
    lost, lose = asyncio.Event(), StreamProtocol.connection_lost

    def watched(protocol: StreamProtocol, error: Exception | None) -> None:
        lose(protocol, error)
        lost.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamProtocol, "connection_lost", watched)
        patch.setattr("gateway.transport.websocket_protocol._LINGER_S", 0.2)
        async with serving() as served, asyncio.timeout(60), stuck_for_now(served) as (_, writer):
            await fill(served)
            writer.write(client_frame(0x88, struct.pack("!H", 1000)))
            await lost.wait()


@on_both_loops
async def test_what_waits_for_its_turn_is_read_in_order() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.transport.read_turns.READING_A_TURN_S", 1e-9)  # one read in a turn
        async with serving(TALKATIVE) as served, asyncio.timeout(60):
            clients = [await flooding(served) for _ in range(5)]
            pings = [bytes([number]) for number in range(50)]
            for ping in pings:
                for _, writer in clients:
                    writer.write(client_frame(0x89, ping))
                    await writer.drain()
            for reader, writer in clients:
                answers = b"".join(bytes([0x8A, 1]) + ping for ping in pings)
                assert answers in await read_all_until(reader, answers[-3:])
                writer.transport.abort()


@on_both_loops
async def test_what_waits_for_its_turn_is_counted_and_no_more_is_read_until_then() -> None:
    turns = list[partial[None]]()

    def later(_: ReadTurns, read: partial[None]) -> bool:
        turns.append(read)
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReadTurns, "begin", later)
        async with serving() as served, asyncio.timeout(60):
            _, writer = await flooding(served)
            ping, text = client_frame(0x89, b"x" * 100), client_frame(0x81, b"{}")
            writer.write(ping)
            await until(lambda: bool(turns))
            protocol = turns[0].func.__self__  # type: ignore[attr-defined]  # it is a method

            protocol._unread = held = HeldBytes(1_000_000)

            def state() -> tuple[int, bool]:
                return held.bytes, protocol.transport.is_reading()

            protocol.data_received(text)
            assert state() == (len(ping + text), False)
            turns.pop(0)()
            assert state() == (len(text), False), "as one still waits"
            turns.pop(0)()
            assert not protocol.transport.is_reading(), "as the session has not taken it"
            await until(lambda: state() == (0, True))
            protocol.data_received(ping)
            turns.pop(0)()
            assert state() == (0, True), "as all is read"
            protocol.data_received(FLOODS["empty pings"] * 10_000)
            turns.pop(0)()
            assert not protocol.transport.is_reading(), "as it flooded"
            read = list[bytes]()
            patch.setattr(StreamProtocol, "_read", lambda _, data: read.append(data))
            protocol.data_received(ping)
            protocol.transport.abort()
            turns.pop(0)()
            assert read == [], "as it has ended"
            writer.transport.abort()


@on_both_loops
async def test_a_read_that_fails_in_its_turn_ends_that_connection_and_no_other() -> None:
    def later(_: ReadTurns, read: Callable[[], None]) -> bool:
        asyncio.get_running_loop().call_soon(read)
        return False

    def fail(_: StreamProtocol) -> None:
        raise ArithmeticError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReadTurns, "begin", later)
        async with serving() as served, served.connect() as other, asyncio.timeout(60):
            failures = list[object]()
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, told: failures.append(told["exception"]))
            reader, writer = await flooding(served)
            with pytest.MonkeyPatch.context() as broken:
                broken.setattr(StreamProtocol, "handle_ping", fail)
                writer.write(client_frame(0x89, b""))
                with suppress(ConnectionResetError):
                    await reader.read()
            await (await other.ping())
            assert [type(one) for one in failures] == [ArithmeticError]
            writer.transport.abort()


async def read_all_until(reader: asyncio.StreamReader, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += await reader.read(65_536)
    return data


@on_both_loops
async def test_a_message_in_parts_is_one_message_however_many_are_empty() -> None:
    async with (
        serving(TALKATIVE) as served,
        asyncio.timeout(60),
        stuck_for_now(served) as (reader, writer),
    ):
        await read_until(reader, b'"more":false}')
        [protocol] = [
            one for one in gc.get_objects() if type(one) is StreamProtocol and not one.disconnected
        ]
        writer.write(client_frame(0x01, b'{"type":"ping",') + client_frame(0x00, b"") * 10_000)
        writer.write(client_frame(0x89, b"x"))
        await read_until(reader, bytes([0x8A, 1]) + b"x")
        assert len(protocol.frames) == 1
        writer.write(client_frame(0x80, b'"at":7}'))
        await read_until(reader, b'"at":7')


@on_both_loops
async def test_any_bytes_on_the_socket_end_that_connection_and_nothing_else() -> None:
    rng = random.Random(11)
    before = asyncio.all_tasks()
    async with serving() as served, served.connect("display-key") as other:
        await subscribed(other)
        for _ in range(60):
            reader, writer = await stuck(served)
            writer.write(rng.randbytes(rng.randrange(1, 300)))
            if rng.random() < 0.3:
                writer.write(struct.pack("!BBQ", 0x82, 0xFF, 2**62))
            writer.write_eof()
            async with asyncio.timeout(60):
                while await reader.read(4096):
                    pass
            writer.close()
        served.put("calls", "1", call(1))
        assert (await frame_of(other, "change"))["upsert"].keys() == {"calls"}
        async with asyncio.timeout(60):
            while len(served.live) > 1:
                await frame_after_ping(other)
    assert asyncio.all_tasks() == before


@on_both_loops
async def test_one_who_answers_no_pings_is_closed_as_silent() -> None:
    async with serving(ws_ping_interval=0.05, ws_ping_timeout=0.1) as served:
        reader, writer = await stuck(served)
        async with asyncio.timeout(60):
            data = await reader.read()
        assert struct.pack("!H", 4203) + b"silent" in data
        writer.close()


@pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
@pytest.mark.parametrize(
    ("more", "status"),
    [("X: 1\r\n" * 300, 431), (f"X: {'1' * 20_000}\r\n", 431), ("", 414)],
    ids=["many", "long", "address"],
)
def test_a_handshake_too_large_to_be_read_is_answered(
    loop: Callable[[], asyncio.AbstractEventLoop], more: str, status: int
) -> None:
    async def answered() -> None:
        async with serving() as served:
            host, port = served.host.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            path = "/webapi/stream" if more else f"/webapi/stream?topics={'calls,' * 5_000}"
            writer.write(f"GET {path} HTTP/1.1\r\n{HANDSHAKE}{more}\r\n".encode())
            async with asyncio.timeout(60):
                assert (await reader.read()).startswith(f"HTTP/1.1 {status} ".encode())
            writer.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(answered())


@on_both_loops
async def test_the_sockets_send_buffer_is_small_and_full_at_the_first_byte() -> None:
    async with serving() as served, served.connect() as connection:
        await subscribed(connection)
        [session] = sessions(served)
        assert session._socket is not None
        assert session._socket.free
        transport = session._socket._transport
        assert transport.get_write_buffer_limits()[1] == 0
        size = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert size <= 2 * SEND_BUFFER_BYTES  # Linux doubles it for its own use


COMPRESSION = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
ASKED = b'{"type":"ping","at":"%s"}'


def packed(message: bytes, level: int = 9) -> bytes:
    """A message as a client compresses it (RFC 7692, 7.2.1)."""
    compressor = zlib.compressobj(level, wbits=-15)
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def large_frame(first: int, payload: bytes) -> bytes:
    """A frame of a client, of any size; its mask is zero."""
    return struct.pack("!BBQI", first, 0xFF, len(payload), 0) + payload


@on_both_loops
async def test_one_who_takes_compressed_frames_gets_the_same_messages_in_fewer_bytes() -> None:
    async with (
        serving() as served,
        served.connect() as plain,
        served.connect(compressed=True) as compressed,
        served.connect(compressed=True, offer=["callmon.v1.msgpack"]) as packs,
    ):
        assert "Sec-WebSocket-Extensions" not in plain.response.headers  # type: ignore[union-attr]
        answer = compressed.response.headers["Sec-WebSocket-Extensions"]  # type: ignore[union-attr]
        assert (
            answer == "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        )
        served.put_all(big_change(0))
        for connection, encoding in ((plain, "json"), (compressed, "json"), (packs, "msgpack")):
            message = {"type": "subscribe", "topics": ["extensions"]}
            await say(connection, message, "json" if encoding == "json" else "msgpack")
        snapshots = [await frame_of(one, "snapshot") for one in (plain, compressed, packs)]
        assert all(one["state"] == snapshots[0]["state"] for one in snapshots)
        for number in range(1, 6):  # the hub writes these itself
            served.put_all(big_change(number))
            told = [await frame_of(one, "change") for one in (plain, compressed, packs)]
            assert all(one["upsert"] == told[0]["upsert"] for one in told)
        served.put("extensions", "100", None)  # a small one
        told = [await frame_of(one, "change") for one in (plain, compressed, packs)]
        assert all(one["remove"] == {"extensions": ["100"]} for one in told)


@on_both_loops
async def test_a_large_frame_is_compressed_once_for_all_and_a_small_one_never() -> None:
    made: list[int] = []
    compress = compression.compress

    def counted(payload: bytes) -> bytes | None:
        made.append(len(payload))
        return compress(payload)

    async with serving() as served, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(served.connect(compressed=True)) for _ in range(5)
        ]
        for client in clients:
            await subscribed(client, ["extensions", "ivrs"])
        served.put("ivrs", "7", ivr("7"))
        for client in clients:
            await frame_of(client, "change")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compression, "compress", counted)
            for number in range(3):
                served.put_all(big_change(number))
                served.put("ivrs", "7", ivr("7") if number % 2 else None)
                for client in clients:
                    await frame_of(client, "change")
                    await frame_of(client, "change")
        assert len(made) == 3
        assert min(made) > 10_000


@on_both_loops
async def test_a_snapshots_parts_are_compressed_once_for_all() -> None:
    made: list[bytes] = []
    compress = compression.compress

    def counted(payload: bytes) -> bytes | None:
        made.append(payload)
        return compress(payload)

    now = time.time()  # it stands still: a snapshot is shared for a second
    async with serving(clock=lambda: now) as served, AsyncExitStack() as stack:
        for number in range(5):
            many = [str(1000 + 100 * number + at) for at in range(100)]
            served.put_all([("extensions", one, extension(one, ("800",) * 9)) for one in many])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compression, "compress", counted)
            for _ in range(5):
                client = await stack.enter_async_context(served.connect(compressed=True))
                await say(client, {"type": "subscribe", "topics": ["extensions"]})
                parts = [await frame_of(client, "snapshot")]
                while parts[-1]["more"]:
                    parts.append(await frame_of(client, "snapshot"))
                assert sum(len(part["state"]["extensions"]) for part in parts) == 500
        assert len(parts) > 1
        assert len(set(made)) == len(made) <= len(parts)


@on_both_loops
async def test_frames_of_the_hub_are_small_on_the_wire() -> None:
    async with serving() as served:
        host, port = served.host.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        path = "/webapi/reader-key/stream?topics=extensions"
        writer.write(f"GET {path} HTTP/1.1\r\n{HANDSHAKE}{COMPRESSION}\r\n".encode())
        await read_until(reader, b'"more":false}')
        served.put_all(big_change(1))
        async with asyncio.timeout(60):
            first, length = await reader.readexactly(2)
            assert first == 0xC1, "text, compressed"
            assert length == 126
            payload = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        whole = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
        assert b'"type":"change"' in whole
        assert len(payload) < len(whole) * 0.28
        writer.transport.abort()


@on_both_loops
async def test_compression_that_is_switched_off_is_not_agreed_on() -> None:
    async with serving(compression=False) as served, served.connect(compressed=True) as connection:
        assert "Sec-WebSocket-Extensions" not in connection.response.headers  # type: ignore[union-attr]
        served.put_all(big_change(1))
        assert len((await subscribed(connection))["state"]["extensions"]) == 60


BOMBS = {
    "one frame": large_frame(0xC1, packed(ASKED % (b"a" * 50_000_000))),
    "many parts": b"".join(
        [large_frame(0x41, packed(b" " * 60_000) + b"\0\0\xff\xff")]
        + [large_frame(0x00, packed(b" " * 60_000) + b"\0\0\xff\xff")] * 20
    ),
    "parts of nothing": b"".join(
        [large_frame(0x41, b"\0\0\0\xff\xff" * 5_000)]
        + [large_frame(0x00, b"\0\0\0\xff\xff" * 5_000)] * 20
    ),
}


@on_both_loops
async def test_a_bomb_closes_that_connection_as_any_message_that_is_too_large() -> None:
    async with serving() as served, served.connect("display-key") as innocent:
        await subscribed(innocent)
        for bomb in BOMBS.values():
            reader, writer = await flooding(served, COMPRESSION)
            writer.write(bomb)
            async with asyncio.timeout(60):
                *_, (_, farewell) = await frames_until_the_end(reader)
            assert (int.from_bytes(farewell[:2]), farewell[2:]) == (4013, b"message too large")
            writer.transport.abort()
        served.put("calls", "1", call(1))
        assert (await frame_of(innocent, "change"))["upsert"].keys() == {"calls"}


@on_both_loops
async def test_large_frames_that_inflate_to_nothing_are_a_flood() -> None:
    """Each is far smaller than a message may be, and has hardly a byte for the application."""
    async with serving() as served:
        reader, writer = await flooding(served, COMPRESSION)
        writer.write(large_frame(0xC1, b"\0\0\0\xff\xff" * 10_000 + packed(b"{}")) * 40)
        async with asyncio.timeout(60):
            *_, (_, farewell) = await frames_until_the_end(reader)
        assert int.from_bytes(farewell[:2]) in (4000, 4101)
        ended = served.live.counters.ended
        await until(lambda: ended["4101"] + ended["4000"] == 1)
        writer.transport.abort()


@on_both_loops
async def test_a_compressed_message_of_a_client_is_understood_also_in_parts() -> None:
    async with serving(TALKATIVE) as served:
        reader, writer = await flooding(served, COMPRESSION)
        await read_until(reader, b'"hello"')
        whole = packed(ASKED % (b"x" * 3_000 + b"first"))
        writer.write(large_frame(0x41, whole[:20]) + client_frame(0x89, b"between"))
        writer.write(large_frame(0x80, whole[20:]))
        writer.write(large_frame(0x81, ASKED % b"plain"))
        writer.write(large_frame(0xC1, packed(ASKED % b"last")))
        await read_until(reader, b'"at":"last"')
        writer.transport.abort()


@on_both_loops
async def test_a_large_frame_is_not_written_past_its_session_which_counts_it() -> None:
    async with serving() as served, served.connect() as connection:
        await subscribed(connection)
        [session] = sessions(served)
        assert session._socket is not None
        assert session._socket.ready
        assert not session._socket.push(ReadyFrame(bytes(LARGEST_PUSHED_BYTES + 1)))
        for number in range(3):
            served.put_all(big_change(number))
            assert len((await frame_of(connection, "change"))["upsert"]["extensions"]) == 60
