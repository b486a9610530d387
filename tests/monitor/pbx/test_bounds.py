"""Test that endless or inflated answers take no more of the monitor than is allowed."""

from __future__ import annotations

import asyncio
import gzip
import resource
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor import myphone_messages
from monitor.pbx import v20_client as pbx_client
from monitor.pbx.facts import ConnectionChanged, ParticipantSeen, ParticipantsRead
from monitor.pbx.http_client import paging
from monitor.pbx.http_client.transport import MAX_BODY_BYTES, Transport
from monitor.pbx.parsing.callcontrol import parse_full_state
from monitor.pbx.parsing.json_fields import MOST_CALLS, MOST_OF_A_KIND, MOST_PARTICIPANTS
from monitor.pbx.parsing.xapi import ActiveCallRows
from monitor.pbx.v20_client import PbxClient
from monitor.pbx.webapi import parser
from monitor.shared.errors import CommandOutcomeUnknown, PbxGarbled, PbxUnreachable
from tests.monitor.pbx.scripted import ScriptedPbx, following, scripted_pbx, settings_for

MIB = 1024 * 1024
GROWTH = 160 * MIB
"""How much memory of the process may be new: far less than what is sent."""


class Hostile:
    """Answers each request with a head and then pieces, as fast as they are taken."""

    def __init__(self, head: bytes, pieces: Callable[[], Iterator[bytes]]) -> None:
        self.head, self.pieces = head, pieces
        self.taken = 0
        self.cut = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.head)
            for piece in self.pieces():
                writer.write(piece)
                await writer.drain()
                self.taken += len(piece)
            await reader.read()  # until it is cut
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.cut.set()
            writer.close()


def chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


@cache
def spaces(wbits: int) -> bytes:
    """128 MiB of spaces, packed."""
    packer = zlib.compressobj(9, wbits=wbits)
    return b"".join(packer.compress(b" " * MIB) for _ in range(128)) + packer.flush()


GZIP, DEFLATE = 31, 15
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
PACKED = HEAD + b"Content-Encoding: gzip\r\n\r\n"
BODIES: dict[str, tuple[bytes, Callable[[], Iterator[bytes]], str]] = {
    "without end": (HEAD + b"\r\n", lambda: chunks(endless(b"[" * 65_536)), "is larger than"),
    "announced as huge": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        lambda: endless(b"[" * 65_536),
        "is larger than",
    ),
    "packed": (PACKED, lambda: chunks([spaces(GZIP)]), "is larger than"),
    "compressed in another way": (
        HEAD + b"Content-Encoding: deflate\r\n\r\n",
        lambda: chunks([spaces(DEFLATE)]),
        "another way than gzip",
    ),
    "packed twice": (
        HEAD + b"Content-Encoding: gzip, gzip\r\n\r\n",
        lambda: chunks([gzip.compress(spaces(GZIP))]),
        "another way than gzip",
    ),
    "packed and going on": (
        PACKED,
        lambda: chunks([gzip.compress(b"{}"), *[b"x" * 65_536] * 1024]),
        "has more data after its gzip data",
    ),
    "not packed": (PACKED, lambda: chunks(endless(b"x" * 65_536)), "but is not"),
    "packed and cut": (PACKED, lambda: chunks([gzip.compress(b"{}")[:-4]]), "ends before"),
}


@asynccontextmanager
async def attacked(hostile: Hostile) -> AsyncIterator[Transport]:
    listening = await asyncio.start_server(hostile.serve, "127.0.0.1", 0)
    transport = Transport(
        f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", None, 60.0, 5.0, 64
    )
    try:
        yield transport
    finally:
        await transport.close()
        listening.close()


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_body_too_large_is_cut_and_told(body: str, method: str) -> None:
    head, pieces, says = BODIES[body]
    hostile, before = Hostile(head, pieces), memory()
    async with attacked(hostile) as transport:
        if method == "GET":
            with pytest.raises(PbxGarbled, match=says):
                await transport.read("GET", "/xapi/v1/Users")
        else:
            with pytest.raises(CommandOutcomeUnknown, match=says):
                await transport.write("POST", "/xapi/v1/Users", {}, b"{}")
    await hostile.cut.wait()
    assert hostile.taken < 4 * MAX_BODY_BYTES
    assert memory() - before < GROWTH


async def test_headers_without_end_are_cut() -> None:
    hostile = Hostile(b"HTTP/1.1 200 OK\r\n", lambda: endless(b"X-More: and more\r\n" * 1_000))
    async with attacked(hostile) as transport:
        with pytest.raises(PbxUnreachable):
            await transport.read("GET", "/")
        await hostile.cut.wait()
    assert hostile.taken < 16 * MIB


async def test_many_answers_at_a_time_are_bounded_together() -> None:
    """Each of them alone would be taken, and none of them ends."""

    def most_of_one() -> Iterator[bytes]:
        piece = b" " * 65_536
        return (
            b"%x\r\n%s\r\n" % (len(piece), piece) for _ in range(MAX_BODY_BYTES // len(piece) - 1)
        )

    hostile, before = Hostile(HEAD + b"\r\n", most_of_one), memory()
    async with attacked(hostile) as transport:
        asked = [asyncio.create_task(transport.read("GET", "/")) for _ in range(24)]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert all("at the same time are larger" in str(task.exception()) for task in done)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    assert memory() - before < GROWTH


async def client_of(pbx: ScriptedPbx) -> PbxClient:
    return PbxClient(settings_for(pbx.url))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("[" * 100_000 + "]" * 100_000, "is not a PBX"),
        ("[" + "[]," * 1_000_000 + "[]]", "more than 500000 values"),
        ('{"value": [' + '{"Id":1},' * 600_000 + "{}]}", "more than 500000 values"),
    ],
    ids=["deep", "many", "rows"],
)
async def test_json_that_would_be_large_in_memory_is_not_read(body: str, says: str) -> None:
    async with scripted_pbx() as pbx:
        client = await client_of(pbx)
        pbx.answer("/xapi/v1/Users", 200, body)
        with pytest.raises(PbxGarbled, match=says):
            await client.get_json("/xapi/v1/Users")
        await client.close()


async def test_an_error_says_no_more_than_a_line() -> None:
    async with scripted_pbx() as pbx:
        client = await client_of(pbx)
        pbx.answer("/xapi/v1/Users", 404, {"error": {"code": "X" * 60_000, "message": "y"}})
        with pytest.raises(Exception, match="404") as caught:
            await client.get_json("/xapi/v1/Users")
        assert len(str(caught.value)) < 300
        await client.close()


async def test_a_token_too_large_is_not_taken() -> None:
    async with scripted_pbx() as pbx:
        client = await client_of(pbx)
        pbx.answer("/connect/token", 200, {"access_token": "t" * pbx_client.MAX_TOKEN_BYTES})
        with pytest.raises(PbxGarbled, match="/connect/token is larger"):
            await client.get_json("/xapi/v1/Users")
        await client.close()


@pytest.mark.parametrize("rows", ["new ones for ever", "the same for ever"])
async def test_a_list_without_end_is_left(rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_ROWS", 2_000)
    monkeypatch.setattr(paging, "MAX_PAGES", 100)
    asked = 0

    async def fetch(query: paging.Query) -> object:
        nonlocal asked
        asked += 1
        first = int(query.get("$skip", "0")) if rows == "new ones for ever" else 0
        return {"@odata.count": 10**12, "value": [{"Id": first + n} for n in range(100)]}

    with pytest.raises(PbxGarbled, match="has no end"):
        await paging.read_all(fetch, {})
    assert asked <= 101


@pytest.mark.parametrize(
    ("bound", "row", "says"),
    [
        ("MAX_LISTED_VALUES", {"Id": 1, "More": [[]] * 2_000}, "Contacts holds more than"),
        ("MAX_LISTED_BYTES", {"Id": 1, "More": "x" * 2_000}, "Contacts is larger than"),
    ],
)
async def test_a_list_of_huge_rows_is_left(
    bound: str, row: dict[str, object], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pbx_client, bound, 1_000)
    async with scripted_pbx() as pbx:
        client = await client_of(pbx)
        pbx.entities["Contacts"] = [row]
        with pytest.raises(PbxGarbled, match=says):
            await client.collection("Contacts")
        await client.close()


@pytest.mark.parametrize(
    ("read", "row", "most"),
    [
        (lambda rows: ActiveCallRows().parse(rows), lambda n: {"Id": n}, MOST_CALLS),
        (
            parse_full_state,
            lambda n: {"dn": str(n), "participants": [{"id": n, "callid": n}]},
            MOST_CALLS,
        ),
        (
            parse_full_state,
            lambda n: {"dn": str(n), "participants": [{"id": n, "callid": 1}]},
            MOST_PARTICIPANTS,
        ),
        (
            lambda rows: parser.connections({"AConnByCallID": rows}),
            lambda n: {"callID": n},
            MOST_CALLS,
        ),
        (lambda rows: parser.infos({"callsInfo": rows}), lambda n: {"callID": n}, MOST_CALLS),
        (lambda rows: parser.numbers({"nums": rows}), str, MOST_OF_A_KIND),
    ],
    ids=[
        *("ActiveCalls", "Call Control", "Call Control, in one call", "pbx.ac.get"),
        *("pbx.callsinfo", "all.ext.get"),
    ],
)
def test_more_calls_or_numbers_than_a_pbx_can_have_are_not_taken(
    read: Callable[[list[Any]], object], row: Callable[[int], object], most: int
) -> None:
    rows = [row(number) for number in range(1, most + 2)]
    read(rows[:-1])
    with pytest.raises(PbxGarbled, match=f"more than {most} "):
        read(rows)


async def test_a_name_that_is_too_long_is_cut_and_told_once() -> None:
    ringing = {"dn": "100", "status": "Ringing", "party_caller_name": "x" * 100_000}
    async with scripted_pbx() as pbx:
        for number in (1, 2, 3):
            row = ringing | {"id": number, "callid": number}
            pbx.participants["100", number] = row
        with capture_logs() as lines:
            async with following(settings_for(pbx.url)) as (_, facts):
                told = await facts.until(ParticipantsRead, lambda fact: bool(fact.participants))
                pbx.participants["100", 4] = ringing | {"id": 4, "callid": 4}
                await pbx.upsert(4)
                seen = await facts.until(ParticipantSeen)
    names = [one.party_caller_name for one in (*told.participants, seen.participant)]
    assert [len(name) for name in names] == [1_000] * 4
    said = [line for line in lines if line["event"] == "pbx_text_too_long"]
    assert [(line["field"], line["length"]) for line in said] == [("party_caller_name", 100_000)]


def test_a_message_of_the_web_client_of_the_largest_size_stays_small() -> None:
    before = memory()
    with pytest.raises(myphone_messages.NotAMessage):
        myphone_messages.decode(b"\xff" * 4 * MIB)
    assert memory() - before < GROWTH


@pytest.mark.parametrize("path", [(5, 2, 211), (18, 201)], ids=["agents", "calls"])
def test_millions_of_small_parts_of_a_web_clients_message_are_not_taken(
    path: tuple[int, ...],
) -> None:
    message = b"\x12\x00" * (2 * MIB - 64)  # each an agent, or a call, of which nothing is told
    for number in path:
        message = _varint(number << 3 | 2) + _varint(len(message)) + message
    before = memory()
    with pytest.raises(myphone_messages.NotAMessage, match="more than"):
        myphone_messages.decode(b"\x08\x01" + message)
    assert memory() - before < GROWTH


def _varint(number: int) -> bytes:
    head, rest = number & 0x7F, number >> 7
    return bytes([head | 0x80]) + _varint(rest) if rest else bytes([head])


async def test_an_answer_not_taken_is_the_reason_that_the_system_tells() -> None:
    async with scripted_pbx() as pbx:
        pbx.dns = {str(number): "Wextension" for number in range(100_000)}
        async with following(settings_for(pbx.url)) as (_, facts):
            told = await facts.until(ConnectionChanged, lambda fact: "values" in fact.reason)
    assert told.reason.endswith("values; it is not used.")
