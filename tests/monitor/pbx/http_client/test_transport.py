"""Test what is known of a change request whose answer is missing or says little."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path

import pytest

from monitor.pbx.counters import PbxCounters
from monitor.pbx.http_client.transport import HttpResponse, Transport, tls_context
from monitor.pbx.traffic_tap import NoTrafficTap, SentRequest
from monitor.pbx.v20_client import PbxClient
from monitor.shared.errors import (
    CommandOutcomeUnknown,
    PbxGarbled,
    PbxRefused,
    PbxUnreachable,
    TokenRefused,
)
from monitor.simulator.tls import make_certificate
from tests.monitor.pbx.scripted import ScriptedPbx

Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]
WRITES = ("POST", "PATCH", "DELETE")
SECRET = "hunter2"


class Server:
    """Counts whole requests and answers each as it was told."""

    def __init__(self, reply: Reply) -> None:
        self.requests: list[bytes] = []
        self.reply = reply

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line[15:])
                        for line in head.split(b"\r\n")
                        if line.startswith(b"Content-Length:")
                    ),
                    0,
                )
                self.requests.append(head + await reader.readexactly(length))
                await self.reply(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def served(reply: Reply, seconds: float = 5.0) -> AsyncIterator[tuple[Server, Transport]]:
    server = Server(reply)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    transport = Transport(
        f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", None, seconds, 5.0, 4
    )
    try:
        yield server, transport
    finally:
        await transport.close()
        listening.close()


class _Noted(NoTrafficTap):
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[bytes | None] = []

    def answered(self, sent: SentRequest, *_: object) -> None:
        self.sent.append(sent.content)


async def test_a_tap_is_told_what_was_asked_and_no_form_as_it_holds_a_secret() -> None:
    noted = _Noted()
    async with served(well) as (server, transport):
        transport._traffic_tap = noted
        await transport.ask("/", "token", b"question", {}, 1024)
        await transport.read("POST", "/", content={"client_secret": SECRET})
    assert noted.sent == [b"question", None]
    assert len(server.requests) == 2


async def test_the_pbx_is_told_which_version_asks() -> None:
    async with served(well) as (server, transport):
        await transport.read("GET", "/")
    assert (
        f"\r\nUser-Agent: callmon/{metadata.version('callmon')}\r\n".encode() in server.requests[0]
    )


async def cut(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def half(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()


async def nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello\r\n\r\n")
    await writer.drain()


async def nothing(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def well(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("Wed, 04 Mar 2026 12:00:00 GMT", 1_772_625_600.0),
        *((wrong, None) for wrong in ("", "yesterday", "Fri, 04 Mar 1960 12:00:00 GMT")),
        *((wrong, None) for wrong in ("Wed, 04 Mar 9999 12:00:00 GMT", "4 Mar 99999 12:00:00 GMT")),
        ("Fri, 31 Dec 1999 23:59:60 +9999", None),
    ],
)
def test_the_date_of_an_answer_is_taken_only_if_it_is_one(text: str, date: float | None) -> None:
    assert HttpResponse("GET /", 200, {"Date": text}, b"").date == date
    assert HttpResponse("GET /", 200, {}, b"").date is None


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("reply", [cut, half, nonsense])
async def test_a_write_without_a_whole_answer_is_unknown_and_sent_once(
    method: str, reply: Reply
) -> None:
    async with served(reply) as (server, transport):
        with pytest.raises(CommandOutcomeUnknown, match=f"not known.*{method} /there"):
            await transport.write(method, "/there?a=b", {}, SECRET.encode())
        assert len(server.requests) == 1


async def test_a_write_that_is_not_answered_in_time_is_unknown() -> None:
    async with served(nothing, seconds=1.0) as (server, transport):
        with pytest.raises(CommandOutcomeUnknown, match="in time"):
            await transport.write("POST", "/there", {}, b"{}")
        assert len(server.requests) == 1


async def test_a_write_may_wait_longer_than_others() -> None:
    waited = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await waited.wait()
        await well(writer)

    async with served(late, seconds=0.05) as (_, transport):
        writing = asyncio.create_task(transport.write("POST", "/there", {}, b"{}", timeout=30))
        with pytest.raises(PbxUnreachable):
            await transport.read("GET", "/there")
        waited.set()
        assert (await writing).status == 204


async def test_a_write_to_nobody_was_not_done() -> None:
    transport = Transport("http://127.0.0.1:9", None, 5.0, 5.0, 4)
    with pytest.raises(PbxUnreachable, match="Nothing was done"):
        await transport.write("POST", "/there", {}, b"{}")
    await transport.close()


_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 999999999999\r\n\r\n"


def endless(first: bytes, piece: bytes, after: float = 0.0) -> Reply:
    """Answer without end. ``after``: seconds between ``first`` and the rest."""
    many = piece * (16_384 // len(piece))

    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await asyncio.sleep(after)
        while True:
            writer.write(many)
            await writer.drain()

    return flood


@pytest.mark.parametrize(
    ("first", "piece", "why"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", "comes with more than 16 others"),
        (b"", b"\r\n", "has no head"),
        (_CHUNKED, b"1\r\na\r\n", "hardly anything but the sizes of its pieces"),
        (_CHUNKED + b"1;", b"a=b;", "hardly anything but the sizes of its pieces"),
        (_GZIP + b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\0\0\0\xff\xff", "is larger than"),
    ],
)
async def test_an_answer_that_is_all_frame_and_no_content_is_cut_off(
    first: bytes, piece: bytes, why: str
) -> None:
    async with served(endless(first, piece), seconds=60.0) as (_, transport):
        with pytest.raises(PbxGarbled, match=f"answer to GET /there .*{why}.*; it is not used"):
            await transport.read("GET", "/there")
        with pytest.raises(CommandOutcomeUnknown, match=why):
            await transport.write("POST", "/there", {}, b"{}")


async def test_a_connection_that_waits_for_its_next_request_takes_no_flood_of_answers() -> None:
    cut_off = asyncio.Event()
    flooding = endless(_OK, _OK, 0.01)

    async def flood(writer: asyncio.StreamWriter) -> None:
        try:
            await flooding(writer)
        except ConnectionError:
            cut_off.set()
            raise

    async with served(flood, seconds=60.0) as (server, transport):
        assert (await transport.read("GET", "/there")).status == 200
        async with asyncio.timeout(60):
            await cut_off.wait()
        assert (await transport.read("GET", "/there")).status == 200
        assert len(server.requests) == 2


async def test_an_answer_in_small_pieces_with_early_hints_is_taken() -> None:
    piece = b"20\r\n" + b"[" * 32 + b"\r\n"

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3 + _CHUNKED)
        writer.write(piece * 5_000 + b"0\r\n\r\n")
        await writer.drain()

    async with served(reply, seconds=60.0) as (_, transport):
        for _ in range(3):
            assert len((await transport.read("GET", "/there")).body) == 160_000


async def test_a_write_before_the_handshake_is_over_was_not_done() -> None:
    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            writer.close()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    transport = Transport(url, ssl.create_default_context(), 0.2, 0.2, 4)
    with pytest.raises(PbxUnreachable, match="Nothing was done"):
        await transport.write("POST", "/there", {}, b"{}")
    await transport.close()
    listening.close()


async def test_every_write_has_a_connection_of_its_own() -> None:
    async with served(well) as (server, transport):
        for _ in range(2):
            assert (await transport.write("PATCH", "/there", {"X-A": "b"}, b"{}")).status == 204
        assert all(
            b"Connection: close" in request and b"X-A: b" in request for request in server.requests
        )


# through the client


Ask = Callable[[PbxClient], Awaitable[object]]
ASKS: list[Ask] = [
    lambda client: client.post("/xapi/v1/Users", {"AuthPassword": SECRET}),
    lambda client: client.patch("/xapi/v1/Users", {"AuthPassword": SECRET}),
    lambda client: client.delete("/xapi/v1/Users"),
]


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_5xx_to_a_write_is_unknown(
    pbx: ScriptedPbx, client: PbxClient, ask: Ask, status: int
) -> None:
    pbx.answer("/xapi", status)
    with pytest.raises(CommandOutcomeUnknown, match=str(status)):
        await ask(client)
    assert pbx.requests["/xapi/v1/Users"] == 1


@pytest.mark.parametrize("ask", ASKS)
async def test_a_429_to_a_write_was_not_done(pbx: ScriptedPbx, client: PbxClient, ask: Ask) -> None:
    pbx.answer("/xapi", 429, headers={"Retry-After": "7"})
    with pytest.raises(PbxUnreachable) as caught:
        await ask(client)
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("ask", ASKS)
async def test_a_401_to_a_write_is_tried_once_more(
    pbx: ScriptedPbx, client: PbxClient, ask: Ask
) -> None:
    await client.system_status()
    pbx.revoke()
    await ask(client)
    assert (pbx.minted, pbx.requests["/xapi/v1/Users"]) == (2, 2)
    pbx.revoke_at_once = True
    pbx.revoke()
    with pytest.raises(TokenRefused):
        await ask(client)


@pytest.mark.parametrize("body", ["<html>Welcome</html>", "{"])
async def test_a_write_answered_by_somebody_else_is_unknown(
    pbx: ScriptedPbx, client: PbxClient, body: str
) -> None:
    pbx.answer("/xapi", 200, body)
    with pytest.raises(CommandOutcomeUnknown, match="is not a PBX"):
        await client.post("/xapi/v1/Users", {})


async def test_a_refused_write_says_what_is_blamed_and_not_what_was_sent(
    pbx: ScriptedPbx, client: PbxClient
) -> None:
    details = [{"code": "", "message": "WARNINGS.INVALID", "target": "AuthPassword"}]
    pbx.answer(
        "/xapi",
        400,
        {"error": {"code": "", "message": f"'{SECRET}' is no password", "details": details}},
    )
    with pytest.raises(PbxRefused) as caught:
        await client.post("/xapi/v1/Users", {"AuthPassword": SECRET})
    assert (caught.value.code, caught.value.target) == ("WARNINGS.INVALID", "AuthPassword")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("verify", [True, False])
async def test_until_when_the_certificate_holds_is_known_of_an_answer_that_comes_all_at_once(
    tmp_path: Path, verify: bool
) -> None:
    async def at_once(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")  # one record

    files, server, counters = make_certificate(tmp_path), Server(at_once), PbxCounters()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context) as listening:
        url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        transport = Transport(
            url, tls_context(url, files.ca_file, verify=verify), 60.0, 60.0, 4, counters
        )
        try:
            assert (await transport.read("GET", "/")).status == 200
            assert (counters.certificate_ends is not None) == verify
        finally:
            await transport.close()


@pytest.mark.parametrize(
    ("location", "says"),
    [
        (
            "https://pbx.example.com:5001/login?next=%2f",
            "if its own address is https://pbx.example.com:5001, write that as url",
        ),
        (
            "https://user:hunter2@pbx.example.com/",
            "if its own address is https://pbx.example.com, write that as url",
        ),
        ("/login", "see whether url is its own address"),
        ("https://[::1", "see whether url is its own address"),
        ("https://a b/", "see whether url is its own address"),
    ],
)
def test_where_a_pbx_sends_us_is_told(location: str, says: str) -> None:
    said = str(HttpResponse("GET /x", 302, {"Location": location}, b"").refusal())
    assert says in said
    assert SECRET not in said
