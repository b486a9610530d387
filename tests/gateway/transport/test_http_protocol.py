"""Test that idle clients and clients that read no answer are disconnected.

Others are let be.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvloop

from gateway import run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.config import GatewaySection, StreamSection
from gateway.parameters import LARGEST_BODY_BYTES
from gateway.token_bucket import AT_ONCE
from gateway.transport import http_protocol as punctual
from gateway.transport.http_protocol import (
    LARGEST_HEAD_BYTES,
    LONGEST_LISTS_BYTES,
    MOST_BODY_BYTES,
    MOST_HEADERS,
    MOST_PIECES,
    MOST_PIPELINED,
    TimeoutHttpProtocol,
)
from monitor.lease import Lease
from monitor.publishing.state_publisher import StatePublisher
from monitor.shared.redis.key_names import SpaceKeys
from tests.bus import fake_bus, only, until, until_async
from tests.gateway import entities

KEY = "punctual-key-000000001"
SETTINGS = GatewaySection(port=0, stream=StreamSection(stall_timeout=1))
WITHIN = 0.5
LONG = 600.0
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"
BODY = b"POST /webapi/ticket HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture
async def server() -> AsyncIterator[run.Gateway]:
    keys = KeyTable([ApiKey("test", sha256_hex(KEY), "pbx", frozenset({"read"}))])
    async with (
        fake_bus() as bus,
        closing(StatePublisher(bus.client(), SpaceKeys("pbx", "live"), "test")) as publisher,
        run.serving(["pbx"], keys, SETTINGS, only(bus.client())) as server,
    ):
        assert await Lease(bus.client(), SpaceKeys("pbx", "live"), "test", ttl=600).acquire()
        await publisher.start_epoch(entities.state_of(system=[entities.system()]))
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as http:
            await until_async(lambda: _known(http))
        yield server


@pytest.fixture
def port(server: run.Gateway) -> int:
    return int(server.address.rpartition(":")[2])


@pytest.fixture
def soon_late(server: run.Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes from now on has so much time only."""
    monkeypatch.setattr(TimeoutHttpProtocol, "_within", WITHIN)


@asynccontextmanager
async def closing(publisher: StatePublisher) -> AsyncIterator[StatePublisher]:
    try:
        yield publisher
    finally:
        await publisher.aclose()


async def _known(http: httpx.AsyncClient) -> bool:
    return (await http.get(f"/webapi/{KEY}/pbx.calls.get")).status_code == 200


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the connection is ended soon; what is answered before that does not matter."""
    try:
        async with asyncio.timeout(60):
            while await reader.read(65_536):
                pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.usefixtures("soon_late")
@pytest.mark.parametrize(
    "said", [b"", WHOLE[:-2], BODY], ids=["nothing", "half a head", "half a body"]
)
async def test_who_asks_nothing_whole_is_cut_off(port: int, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    assert await ended(reader)
    writer.close()


@pytest.mark.usefixtures("soon_late")
async def test_a_byte_now_and_then_buys_no_time(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def drip() -> None:
        for byte in BODY + b"x" * 500:
            writer.write(bytes([byte]))
            await asyncio.sleep(WITHIN / 10)

    dripping = asyncio.create_task(drip())
    assert await ended(reader)
    dripping.cancel()
    writer.close()


async def test_whole_requests_one_after_the_other_are_answered_for_longer_than_that(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TimeoutHttpProtocol, "_within", 2 * WITHIN)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(6):
        writer.write(WHOLE[:10])
        await asyncio.sleep(2 * WITHIN / 5)
        writer.write(WHOLE[10:])
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(
            int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        )
    writer.close()


@pytest.mark.usefixtures("soon_late")
async def test_an_answer_may_take_longer_than_the_question(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    address = f"/webapi/{KEY}/events?topics=system"
    writer.write(f"GET {address} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await asyncio.sleep(3 * WITHIN)
    assert not reader.at_eof()
    writer.close()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            b"GET /webapi/pbx.calls.get?x=" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n",
            "The address is longer",
        ),
        (b"HELO test\r\n", "Invalid HTTP request"),
    ],
    ids=["long address", "no HTTP"],
)
async def test_what_is_no_request_is_refused_in_the_form_of_all_refusals(
    port: int, monkeypatch: pytest.MonkeyPatch, asked: bytes, said: str
) -> None:
    monkeypatch.setattr(TimeoutHttpProtocol, "_within", 60.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(asked)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"nosniff" in head
    body = json.loads(await reader.read())
    assert (body["result"], body["error"]["code"]) == (False, "bad_request")
    assert said in body["error"]["message"]
    writer.close()


@pytest.mark.parametrize("rest", [b"X: " + b"a" * 1_000, b"X: a\r\n" * 500], ids=["one", "many"])
async def test_headers_larger_than_any_are_refused(
    port: int, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(
        punctual, "LARGEST_HEAD_BYTES", 1_000
    )  # more might be under way when the connection is closed
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WHOLE[:-2] + rest + b"\r\n\r\n")
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
        assert (
            json.loads((await reader.read()).partition(b"\r\n\r\n")[2])["error"]["code"]
            == "bad_request"
        )
    writer.close()


MANY = b"&".join(b"a%d" % number for number in range(5_000))
LISTS = b"Connection", b"Sec-WebSocket-Extensions", b"Sec-WebSocket-Protocol"


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        (
            b"GET /webapi/"
            + KEY.encode()
            + b"/events?"
            + MANY
            + b" HTTP/1.1\r\nHost: test\r\n\r\n",
            400,
            "bad_parameter",
        ),
        (
            b"GET /webapi/"
            + KEY.encode()
            + b"/stream?"
            + MANY
            + b" HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            b"AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            *(400, "bad_parameter"),
        ),
        (WHOLE[:-2] + b"X: a\r\n" * MOST_HEADERS + b"\r\n", 431, "bad_request"),
        *(
            (
                WHOLE[:-2]
                + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
                + b"%s: %s\r\n\r\n" % (name, b"a," * LONGEST_LISTS_BYTES),
                *(431, "bad_request"),
            )
            for name in LISTS
        ),
    ],
    ids=["events", "stream", "headers", *(name.decode() for name in LISTS)],
)
async def test_too_many_parameters_headers_or_items_are_refused_before_they_are_looked_at(
    port: int, asked: bytes, status: int, code: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(asked)
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 %d " % status)
        error = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] == code
    assert "more than" in error["message"]
    writer.close()


async def test_what_is_asked_ahead_is_bounded_in_bytes(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TimeoutHttpProtocol, "_within", LONG)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    endless = f"GET /webapi/{KEY}/events?topics=system HTTP/1.1\r\nHost: test\r\n\r\n"
    large = WHOLE[:-2] + b"X: " + b"a" * (LARGEST_HEAD_BYTES - 1_000) + b"\r\n\r\n"
    writer.write(endless.encode() + large * 2)
    assert await ended(reader)
    writer.close()


@pytest.mark.parametrize(
    "begin",
    [b"GET /", b"GET / HTTP/1.1\r\nX: ", BODY[:-2] + b"X: "],
    ids=["address", "first", "last"],
)
async def test_headers_without_end_are_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    monkeypatch.setattr(TimeoutHttpProtocol, "_within", LONG)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin + b"a" * 16 * LARGEST_HEAD_BYTES)
    assert await ended(reader)
    writer.close()


async def test_headers_nearly_as_large_as_is_allowed_come_in_pieces(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in (WHOLE[:-2], b"X: " + b"a" * (LARGEST_HEAD_BYTES - 1_000), b"\r\n\r\n"):
        writer.write(piece)
        await writer.drain()
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_what_comes_like_headers_behind_a_body_is_none(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /webapi/pbx.calls.get HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n0\r\n"
    )
    writer.write(f"X-API-Key: {KEY}\r\n\r\n".encode())
    async with asyncio.timeout(60):
        assert not (await reader.readline()).startswith(b"HTTP/1.1 200 "), (
            "a key among them is no key"
        )
    writer.close()


async def test_who_asks_and_asks_without_waiting_for_an_answer_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TimeoutHttpProtocol, "_within", LONG)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    endless = f"GET /webapi/{KEY}/events?topics=system HTTP/1.1\r\nHost: test\r\n\r\n"
    writer.write(endless.encode() + WHOLE * (MOST_PIPELINED + 1))
    assert await ended(reader)
    writer.close()


@pytest.mark.usefixtures("soon_late")
@pytest.mark.parametrize("paused", [True, False])
async def test_who_takes_no_answer_is_cut_off(
    server: run.Gateway, port: int, monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    if not paused:  # all is written, and the connection is closed with what is left of it
        monkeypatch.setattr(TimeoutHttpProtocol, "pause_writing", lambda _: None)
    connections = server.server_state.connections
    await until(lambda: not connections)
    ask = b"GET /static/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: test\r\n"
    with socket.socket() as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        idle.setblocking(False)
        await asyncio.get_running_loop().sock_connect(idle, ("127.0.0.1", port))
        idle.send(
            (ask + b"\r\n") * 20 + ask + b"Connection: close\r\n\r\n"
        )  # more than a kernel keeps
        await until(lambda: bool(connections))
        await until(lambda: not connections)


async def test_what_is_no_request_fills_no_log(
    port: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.token_bucket.PER_SECOND", 0.0)  # however long it takes here
    monkeypatch.setattr(punctual._logger, "filters", [punctual.RationedWarnings()])
    for _ in range(AT_ONCE + 5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / \x00\r\n\r\n")
        async with asyncio.timeout(60):
            assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()
    lines = [record for record in caplog.records if "Invalid HTTP" in record.getMessage()]
    assert len(lines) == AT_ONCE


class _Lost(asyncio.Protocol):
    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def _written_after_the_end() -> None:
    ours, theirs = socket.socketpair()
    transport, protocol = await asyncio.get_running_loop().create_connection(_Lost, sock=ours)
    theirs.close()
    transport.abort()
    async with asyncio.timeout(60):
        await protocol.lost.wait()
    transport.write(b"too late")


@pytest.mark.parametrize("name", ["gateway.http", "gateway.websocket"])
def test_a_client_that_goes_while_it_is_written_to_leaves_no_trace_in_the_log(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger(name)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_written_after_the_end())
        except RuntimeError:
            log.exception("Exception in ASGI application")
        else:
            pytest.fail("uvloop raises nothing any more: the filter is of no use")
    assert not caplog.records
    try:
        raise RuntimeError("a fault of ours")
    except RuntimeError:
        log.exception("Exception in ASGI application")
    assert len(caplog.records) == 1


def test_warnings_are_rationed_and_those_that_were_left_out_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("gateway.transport.http_protocol.time.monotonic", lambda: now)
    ration = punctual.RationedWarnings()

    def written(level: int) -> str | None:
        record = logging.LogRecord("x", level, "", 0, "%s came", ("it",), None)
        return record.getMessage() if ration.filter(record) else None

    assert [written(logging.WARNING) for _ in range(AT_ONCE + 2)] == [
        *["it came"] * AT_ONCE,
        None,
        None,
    ]
    assert written(logging.ERROR) == "it came"
    now = 1.0
    assert written(logging.WARNING) == "it came (2 more were left out)"


CHUNKED = (
    f"POST /webapi/pbx.calls.get HTTP/1.1\r\nHost: test\r\nX-API-Key: {KEY}\r\n"
    "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
).encode()


@pytest.mark.parametrize(("pieces", "status"), [(MOST_PIECES - 1, 200), (MOST_PIECES, 413)])
async def test_a_body_may_not_come_in_too_many_pieces(
    port: int, pieces: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TimeoutHttpProtocol, "_within", LONG)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(CHUNKED + b"1\r\n \r\n" * pieces + b"2\r\n{}\r\n0\r\n\r\n")
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 %d " % status)
    writer.close()


@pytest.mark.parametrize(
    "behind",
    [
        b"0\r\n" + b"X: y\r\n" * 2 * MOST_HEADERS,
        b"0\r\nX: " + b"y" * 3 * LARGEST_HEAD_BYTES,
        b"0\r\n" + b"X" * 3 * LARGEST_HEAD_BYTES,
        b"1;x=" + b"y" * 3 * LARGEST_HEAD_BYTES,
    ],
    ids=["fields", "value", "name", "extension"],
)
async def test_what_comes_without_end_behind_a_body_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch, behind: bytes
) -> None:
    monkeypatch.setattr(TimeoutHttpProtocol, "_within", LONG)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(CHUNKED + b"2\r\n{}\r\n" + behind)
    assert await ended(reader)
    writer.close()


async def test_a_body_in_many_reads_and_what_is_asked_behind_it_are_answered(port: int) -> None:
    body = b" " * (LARGEST_BODY_BYTES - 2) + b"{}"
    whole = CHUNKED + b"%x\r\n%b\r\n0\r\nX: y\r\n\r\n" % (len(body), body)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for sent in (whole, whole[:100], whole[100:50_000], whole[50_000:] + WHOLE):
        writer.write(sent)
        await writer.drain()
    async with asyncio.timeout(60):
        for _ in range(3):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            await reader.readuntil(b"}")
    writer.close()


async def test_bodies_that_wait_for_the_answer_to_an_earlier_request_are_bounded(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TimeoutHttpProtocol, "_within", LONG)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    endless = f"GET /webapi/{KEY}/events?topics=system HTTP/1.1\r\nHost: test\r\n\r\n"
    large = b"POST /webapi/ticket HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n"
    writer.write(endless.encode() + (large + b"x" * 60_000) * 2)
    assert await ended(reader)
    writer.close()


async def test_of_a_body_that_nobody_reads_only_so_much_is_kept(
    server: run.Gateway, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TimeoutHttpProtocol, "_within", LONG)
    connections = server.server_state.connections
    await until(lambda: not connections)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /webapi/{KEY}/events?topics=system HTTP/1.1\r\nHost: test\r\n"
    writer.write(
        f"{head}Content-Length: {MOST_BODY_BYTES}\r\n\r\n".encode() + b"x" * MOST_BODY_BYTES
    )
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    [protocol] = connections
    assert isinstance(protocol, TimeoutHttpProtocol)
    await until(lambda: protocol._body > 2 * LARGEST_BODY_BYTES or protocol.flow.read_paused)
    assert len(protocol.cycle.body) <= LARGEST_BODY_BYTES + LARGEST_HEAD_BYTES
    writer.close()


async def test_who_sends_a_body_without_end_is_cut_off_and_gets_one_answer(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TimeoutHttpProtocol, "_within", LONG)
    head = b"POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % (
        4 * MOST_BODY_BYTES
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
        writer.write(b"x" * 2 * MOST_BODY_BYTES)
        rest = b""
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(1_000):
                rest += piece
    assert b"HTTP/1.1" not in rest
    writer.close()


ASKED = [
    ("GET /wall", "text/html"),
    ("GET /webapi/pbx.calls.get", "application/json"),  # at first, and then from the fast path
    ("GET /webapi/pbx.calls.get", "application/json"),
    ("GET /healthz", "application/json"),
    ("POST /webapi/ticket", "application/json"),
    ("GET /webapi/events?topics=calls", "text/event-stream"),
]
HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def test_other_hosts_than_the_allowed_are_answered_nothing() -> None:
    """Whatever is asked: a page, a query, the stream. The fast path knows the query already."""
    keys = KeyTable([ApiKey("test", sha256_hex(KEY), "pbx", frozenset({"read"}))])
    hosts = ("localhost", "127.0.0.1")
    async with (
        fake_bus() as bus,
        closing(StatePublisher(bus.client(), SpaceKeys("pbx", "live"), "test")) as publisher,
        run.serving(
            ["pbx"], keys, GatewaySection(port=0, allowed_hosts=hosts), only(bus.client())
        ) as server,
    ):
        assert await Lease(bus.client(), SpaceKeys("pbx", "live"), "test", ttl=600).acquire()
        await publisher.start_epoch(entities.state_of(system=[entities.system()]))
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as http:
            await until_async(lambda: _known(http))
        own = server.address.removeprefix("http://")
        port = own.rpartition(":")[2]

        async def head(request: str, host_lines: str, more: str = "") -> str:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
            said = f"{request} HTTP/1.1\r\n{host_lines}X-API-Key: {KEY}\r\n{more}\r\n"
            writer.write(said.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            return answer.decode()

        for request, kind in ASKED:
            for good in (own, f"localhost:{port}", "LOCALHOST"):
                answer = await head(request, f"Host: {good}\r\n")
                assert " 200 " in answer.splitlines()[0], (request, good, answer)
                assert kind in answer
        stream = "GET /webapi/stream?topics=calls"
        assert " 101 " in await head(stream, f"Host: {own}\r\n", HANDSHAKE)
        for bad in (
            f"Host: evil.example:{port}\r\n",
            f"Host: {own}\r\nHost: evil.example\r\n",
            "Host: localhost.evil.example\r\n",
            "",
        ):
            for request, _ in ASKED:
                answer = await head(request, bad)
                assert answer.startswith("HTTP/1.1 403 "), (request, bad, answer)
            answer = await head(stream, bad, HANDSHAKE + f"Origin: http://{own}\r\n")
            assert answer.startswith("HTTP/1.1 403 "), (bad, answer)
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as http:
            refused = await http.get("/wall", headers={"Host": "evil.example"})
        assert refused.json()["error"]["code"] == "host_not_allowed"
