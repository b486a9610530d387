"""Test which address a request has behind proxies, and how much one address may hold open."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.client_addresses import (
    HANDSHAKES_A_TURN,
    ClientAddress,
    Handshakes,
    TrustedProxies,
)
from gateway.config import StreamSection
from gateway.fair_share import REQUESTS_A_TURN
from gateway.transport.http_protocol import ConnectionCounter, TimeoutHttpProtocol
from gateway.transport.websocket_protocol import StreamProtocol
from tests.bus import until, until_async
from tests.gateway.sockets import answered, connected, handshake, on_both_loops, standing
from tests.steps import Turns

KEY = {"Authorization": "Bearer a-key-of-tests"}
HERE, THERE = ({"X-Forwarded-For": address} for address in ("203.0.113.7", "203.0.113.8"))


async def client_of(
    proxies: str, *forwarded_for: str, peer: str = "10.0.0.1", proto: str = "https"
) -> tuple[str, str]:
    """The client and the scheme that the application finds."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: Any) -> Any:
        return None

    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded_for]
    headers.append((b"x-forwarded-proto", proto.encode()))
    known = TrustedProxies(proxies)
    await known.look_up()
    scope = {"type": "http", "client": (peer, 1234), "scheme": "http", "headers": headers}
    await ClientAddress(app, known, 10)(scope, nothing, nothing)
    return seen[0]["client"][0], seen[0]["scheme"]


@pytest.mark.parametrize(
    ("said", "client"),
    [
        (("203.0.113.7",), "203.0.113.7"),
        (("198.51.100.1, 203.0.113.7, 10.0.0.9",), "203.0.113.7"),
        (("198.51.100.1", "203.0.113.7:4711"), "203.0.113.7"),
        (("[2001:db8::7]:443",), "2001:db8::7"),
        (("::ffff:203.0.113.7",), "203.0.113.7"),
        (("x" * 5_000,), "10.0.0.1"),
        (("203.0.113.7, unknown",), "10.0.0.1"),
        ((", ".join(["203.0.113.7"] + ["10.0.0.9"] * 5_000),), "10.0.0.9"),
        (("",), "10.0.0.1"),
        ((), "10.0.0.1"),
    ],
    ids=[
        "one",
        "spoofed",
        "port",
        "IPv6",
        "mapped",
        "long",
        "no address",
        "endless",
        "empty",
        "none",
    ],
)
async def test_the_first_address_from_the_end_that_is_no_proxys_is_the_clients(
    said: tuple[str, ...], client: str
) -> None:
    assert await client_of("10.0.0.0/8", *said) == (client, "https")
    assert await client_of("10.0.0.0/8", *said, peer="192.0.2.1") == ("192.0.2.1", "http"), (
        "it is no proxy"
    )


async def test_a_proxy_may_be_named_and_a_scheme_is_one_of_two() -> None:
    for peer in ("127.0.0.1", "192.0.2.1"):
        came = await client_of(
            "localhost, no-such-name.invalid", "203.0.113.7", peer=peer, proto="x" * 5_000
        )
        assert came == ("203.0.113.7" if peer == "127.0.0.1" else peer, "http")
    assert (await client_of("*", "203.0.113.7, 198.51.100.1"))[0] == "203.0.113.7"


def test_connections_are_bounded_in_all_and_by_address_but_not_those_of_proxies() -> None:
    connection_counter = ConnectionCounter(5, 2, lambda host: host != "10.0.0.1")
    leave = [connection_counter.enter("203.0.113.7"), connection_counter.enter("203.0.113.7")]
    assert connection_counter.enter("203.0.113.7") is None
    assert all(connection_counter.enter("10.0.0.1") for _ in range(3))
    assert connection_counter.enter("10.0.0.1") is None, "five in all"
    assert leave[0] is not None
    leave[0]()
    assert connection_counter.enter("203.0.113.8") is not None
    assert len(connection_counter) == 5


@asynccontextmanager
async def served(**section: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        standing(**section) as server,
        httpx.AsyncClient(base_url=server.address, timeout=60, headers=KEY) as http,
    ):
        yield http


@on_both_loops
async def test_hundreds_of_handshakes_at_once_begin_a_few_in_a_turn() -> None:
    turns, begun, begin = Turns(), Counter[int](), StreamProtocol.connection_made

    def watched(protocol: StreamProtocol, transport: asyncio.BaseTransport) -> None:
        begun[turns.count] += 1
        begin(protocol, transport)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StreamProtocol, "connection_made", watched)
        async with standing() as server, connected(server, 300) as sockets:
            counting = asyncio.create_task(turns.run())
            for one in sockets:  # all of them, before the server has a turn
                one.sendall(handshake())
            sockets[7].close()  # it does not wait for its turn
            answers = [await answered(one) for one in sockets if one.fileno() >= 0]
            counting.cancel()
    assert all(answer.startswith(b"HTTP/1.1 101 ") for answer in answers)
    assert sum(begun.values()) >= 299
    assert max(begun.values()) <= 2 * HANDSHAKES_A_TURN, "some before and some after the poll"


REFUSED = [
    (handshake("/webapi/stream"), 401, "key_missing"),
    (handshake("/webapi/no-key/stream"), 401, "key_unknown"),
    (handshake("/webapi/stream?key=no-key"), 401, "key_unknown"),
    (handshake("/webapi/stream", "Authorization: Bearer no-key"), 401, "key_unknown"),
    (handshake("/webapi/a-key-of-tests/strea"), 404, "unknown_command"),
    (handshake("/"), 404, "unknown_command"),
    (
        handshake("/webapi/a-key-of-tests/stream", "Origin: https://theirs"),
        403,
        "origin_not_allowed",
    ),
    (
        handshake("/webapi/a-key-of-tests/stream", "Sec-WebSocket-Protocol: graphql"),
        400,
        "unknown_subprotocol",
    ),
    (handshake(), 429, "too_many_connections"),
]


@on_both_loops
async def test_handshakes_are_refused_before_anything_is_made_for_them() -> None:
    stream = StreamSection(connections_per_key=1, origins=("https://ours",))
    made: list[StreamProtocol] = []
    make = StreamProtocol.__init__

    def watched(protocol: StreamProtocol, *args: Any, **more: Any) -> None:
        made.append(protocol)
        make(protocol, *args, **more)

    async with standing(stream=stream) as server, connected(server, 1) as [first]:
        server._keys.set_keys("pbx", ())  # all are known: no monitor may have more of them
        first.sendall(handshake())
        assert (await answered(first)).startswith(b"HTTP/1.1 101 ")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(StreamProtocol, "__init__", watched)
            for request, status, code in REFUSED * 10:
                async with connected(server, 1) as [one]:
                    one.sendall(request)
                    head, _, body = (await answered(one)).partition(b"\r\n\r\n")
                    assert head.startswith(f"HTTP/1.1 {status} ".encode())
                    assert json.loads(body)["error"]["code"] == code
                    assert await answered(one) == b"", "it is closed"
        assert made == []
        refused = server.live.counters.refused
        assert refused["key_unknown"] == 30
        assert sum(refused.values()) == 10 * len(REFUSED)


async def test_a_handshake_that_waits_for_its_turn_too_long_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Handshakes, "begin", lambda *_: False)
    async with standing() as server:
        monkeypatch.setattr(TimeoutHttpProtocol, "_within", 0.2)
        async with connected(server, 1) as [one]:
            with suppress(ConnectionError):
                one.sendall(handshake())
                assert await answered(one) == b""


async def test_handshakes_of_all_addresses_are_begun_in_rotation_also_behind_a_proxy() -> None:
    begun: list[str] = []
    handshakes = Handshakes(TrustedProxies("10.0.0.1"), lambda _: None)

    def come(client: str) -> None:
        headers = [(b"x-forwarded-for", client.encode())]
        scope = {"type": "websocket", "client": ("10.0.0.1", 1), "headers": headers}

        def work() -> bool:
            begun.append(client)
            return True

        handshakes.begin(scope, work)

    for client in (*["203.0.113.7"] * 500, "203.0.113.8"):
        come(client)
    assert len(begun) == HANDSHAKES_A_TURN
    await until(lambda: len(begun) == 501)
    assert begun.index("203.0.113.8") <= 2 * HANDSHAKES_A_TURN


async def test_one_address_holds_so_many_requests_and_streams_and_others_are_let_in() -> None:
    async with served(connections_per_address=2) as http, AsyncExitStack() as held:
        stream = str(http.base_url).replace("http", "ws", 1) + "/webapi/stream"
        first = await held.enter_async_context(
            http.stream("GET", "/webapi/events?topics=calls", headers=HERE)
        )
        await held.enter_async_context(connect(stream, additional_headers=KEY | HERE, proxy=None))
        assert first.status_code == 200
        answer = await http.get("/healthz", headers=HERE)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_connections")
        assert answer.headers["retry-after"] == "10"
        with pytest.raises(InvalidStatus) as refused:
            await connect(stream, additional_headers=KEY | HERE, proxy=None)
        assert refused.value.response.status_code == 429
        assert (await http.get("/healthz", headers=THERE)).status_code == 200
        await held.aclose()

        async def let_in() -> bool:
            return (await http.get("/healthz", headers=HERE)).status_code == 200

        await until_async(let_in)


async def test_one_connection_too_many_is_closed_and_there_is_room_when_others_are_gone() -> None:
    async with served(connections=10) as http, AsyncExitStack() as held:
        port = int(http.base_url.port or 0)
        stream = str(http.base_url).replace("http", "ws", 1) + "/webapi/stream"

        async def one_more() -> bool:
            """Whether one more is answered; it is gone after that."""
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                return (await reader.readline()).startswith(b"HTTP/1.1 200")
            except ConnectionError:
                return False
            finally:
                writer.transport.abort()

        await until_async(one_more)
        await held.enter_async_context(connect(stream, additional_headers=KEY, proxy=None))
        idle = []
        while await one_more():
            idle.append((await asyncio.open_connection("127.0.0.1", port))[1])
            assert len(idle) < 10
        for writer in idle:
            writer.transport.abort()
        await held.aclose()
        await until_async(one_more)
        for _ in range(30):  # a WebSocket's place is given back as well
            async with connect(stream, additional_headers=KEY, proxy=None):
                pass
        await until_async(one_more)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("many", ["203.0.113.7", "127.0.0.1"])
async def test_hundreds_that_come_at_once_from_one_address_do_not_delay_anothers(
    kind: str, many: str
) -> None:
    begun: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["client"][0])

    async def nothing(*_: Any) -> Any:
        return None

    served = ClientAddress(app, TrustedProxies(""), 1_000)

    def scope(host: str) -> Scope:
        return {"type": kind, "client": (host, 1), "headers": []}

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for host in (*[many] * 500, "203.0.113.8"):
            tasks.create_task(served(scope(host), nothing, nothing))
    assert len(begun) == 501
    assert begun.index("203.0.113.8") <= REQUESTS_A_TURN
