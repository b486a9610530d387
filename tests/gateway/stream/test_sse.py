"""Test Server-Sent Events: the stream without WebSocket."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.exceptions import InvalidStatus

from gateway.auth.api_keys import ApiKey
from gateway.auth.tickets import Tickets
from gateway.stream.admission import LiveSettings
from gateway.stream.connection import ConnectionLimits
from gateway.stream.sse import EventStream
from gateway.transport.http_protocol import TimeoutHttpProtocol
from gateway.transport.websocket_protocol import SEND_BUFFER_BYTES
from monitor.shared.api_keys import Budgets
from monitor.shared.entities.topics import TOPICS
from tests.bus import until
from tests.gateway import entities
from tests.gateway.histories import Follower, plain
from tests.gateway.serving import (
    READER,
    Served,
    closed,
    events,
    http,
    say,
    serving,
    subscribed,
)


async def test_the_same_frames_come_with_positions_as_ids() -> None:
    async with serving(heartbeat=0.3) as served, events(served, "topics=calls,queues") as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["x-accel-buffering"] == "no"
        assert stream.response.headers["cache-control"] == "no-store"
        assert (await stream.next())[1]["type"] == "hello"
        assert stream.retry is not None
        id_, snapshot = await stream.next()
        assert (snapshot["type"], id_) == ("snapshot", str(served.position))
        served.put("calls", "1", entities.call(1))
        id_, change = await stream.of("change")
        assert (set(change["upsert"]["calls"]), id_) == ({"1"}, str(served.position))
        assert (await stream.of("heartbeat"))[0] == str(served.position)


async def test_last_event_id_resumes() -> None:
    async with serving() as served:
        served.put("calls", "1", entities.call(1))
        left = str(served.position)
        served.put("calls", "2", entities.call(2))
        async with events(served, "topics=calls", **{"Last-Event-ID": left}) as stream:
            assert (await stream.next())[1]["type"] == "hello"
            id_, change = await stream.next()
            assert (change["type"], set(change["upsert"]["calls"]), id_) == (
                "change",
                {"2"},
                str(served.position),
            )
        for nonsense in ("x", "a/b", f"{served.position.epoch}/-1", "/1", "e/" + "9" * 30):
            async with events(served, "topics=calls", **{"Last-Event-ID": nonsense}) as stream:
                assert (await stream.next())[1]["type"] == "hello"
                assert (await stream.next())[1]["type"] == "snapshot"


async def test_an_event_source_may_resume_by_its_address() -> None:
    async with serving() as served:
        served.put("calls", "1", entities.call(1))
        left, later = str(served.position), "topics=calls&since=&_=1700000000"
        served.put("calls", "2", entities.call(2))
        async with events(served, f"{later}&lastEventId={quote(left, safe='')}") as stream:
            assert (await stream.next())[1]["type"] == "hello"
            assert set((await stream.next())[1]["upsert"]["calls"]) == {"2"}
        newer = {"Last-Event-ID": str(served.position)}
        served.put("calls", "3", entities.call(3))
        async with events(served, f"{later}&lastEventId={quote(left, safe='')}", **newer) as stream:
            assert (await stream.next())[1]["type"] == "hello"
            assert set((await stream.next())[1]["upsert"]["calls"]) == {"3"}
        async with events(served, f"{later}&lastEventId=x") as stream:
            assert (await stream.next())[1]["type"] == "hello"
            assert (await stream.next())[1]["type"] == "snapshot"


async def test_a_proxy_that_speaks_http_1_0_gets_no_chunks() -> None:
    async with serving() as served:
        reader, writer = await asyncio.open_connection(*served.host.split(":"))
        asked = "GET /webapi/reader-key/events?topics=calls HTTP/1.0"
        writer.write(f"{asked}\r\nConnection: keep-alive\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "transfer-encoding" not in head
        assert "connection: close" in head
        assert (await reader.readline()).startswith(b"retry: ")
        assert (await reader.readline()).startswith(b"data: {")
        served.live.revoke("reader")
        rest = await reader.read()
        assert b": 4001\n" in rest, "the end, and then the connection's"
        writer.close()


async def test_only_the_last_part_of_a_snapshot_bears_an_id() -> None:
    async with serving() as served:
        served.put_all(
            [
                ("calls", str(n), entities.call(n, tuple(str(e) for e in range(100, 140))))
                for n in range(300)
            ]
        )
        async with events(served, "topics=calls") as stream:
            await stream.next()
            follower, ids = Follower(), []
            while follower.position is None:
                id_, part = await stream.next()
                follower.receive(part)
                ids.append(id_)
        assert len(ids) > 1
        assert ids == [None] * (len(ids) - 1) + [str(served.position)]
        assert follower.state["calls"] == plain(served.view.live.state["calls"])


async def test_filters_and_watched_queries_work_here_too() -> None:
    async with serving() as served:
        served.put("calls", "1", entities.call(1, ("101",)))
        served.put("calls", "2", entities.call(2, ("102",)))
        async with events(served, "topics=calls&ext=102") as stream:
            assert set((await stream.of("snapshot"))[1]["state"]["calls"]) == {"2"}
        async with events(served, "query=pbx.calls.get") as stream:
            assert (await stream.of("result"))[1]["result"] == {"result": 2}
            served.put("calls", "1", None)
            id_, result = await stream.of("result")
            assert (result["result"], id_) == ({"result": 1}, str(served.position))


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", READER, 400),
        ("topics=cals", READER, 400),
        ("topics=contacts", {"Authorization": "Bearer display-key"}, 403),
        ("topics=calls", {}, 401),
        ("topics=calls", {"Authorization": "Bearer no-such-key"}, 401),
        ("topics=calls", {"Authorization": "Bearer dialler-key"}, 403),
        ("topics=calls", {"Authorization": "Bearer early-key"}, 503),
    ],
)
async def test_a_refusal_is_an_http_answer(
    query: str, headers: dict[str, str], status: int
) -> None:
    async with serving() as served, http(served) as client:
        answer = await client.get(f"/events?{query}", headers=headers)
        assert answer.status_code == status
        assert answer.json()["result"] is False
        assert len(served.live) == 0


async def test_limits_on_connections_count_events_too() -> None:
    async with serving(LiveSettings(connections_per_key=1)) as served:
        async with events(served, "topics=calls") as stream:
            await stream.next()
            async with http(served) as client:
                refused = await client.get("/events?topics=calls", headers=READER)
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        await gone(served)
        async with events(served, "topics=calls") as stream:
            assert (await stream.next())[1]["type"] == "hello"


EVENTS_ONLY = {"Accept": "text/event-stream"}


async def come_back(
    client: httpx.AsyncClient, key: str = "reader-key", **headers: str
) -> tuple[str, int]:
    """Why an EventSource has to come back, and after how many milliseconds."""
    given = EVENTS_ONLY | {"Authorization": f"Bearer {key}"} | headers
    answer = await client.get("/events?topics=calls", headers=given)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    why, retry, *rest = answer.text.split("\n")
    assert (why[:2], retry[:7], rest) == (": ", "retry: ", ["", ""])
    return why[2:], int(retry[7:])


async def test_an_event_source_is_told_when_to_come_back() -> None:
    async with serving(LiveSettings(connections_per_key=1)) as served, http(served) as client:
        why, retry = await come_back(client, "early-key")
        assert why == "503 no_state: No state of the PBX 'empty' is loaded yet."
        assert 1000 <= retry <= 2000
        async with events(served, "topics=calls") as stream:
            await stream.next()
            why, retry = await come_back(client)
            assert why == "429 too_many_connections: There are too many connections."
            assert 10_000 <= retry <= 20_000
        await served.live.drain(0.0)
        why, _ = await come_back(client)
        assert why == "503 draining: This gateway is shutting down."
        assert served.live.counters.refused == {
            "no_state": 1,
            "too_many_connections": 1,
            "draining": 1,
        }


async def test_without_keys_an_event_source_comes_back() -> None:
    async with serving() as served, http(served) as client:
        served.keys.register_pbx("empty")
        why, _ = await come_back(client, "a-key-that-may-come")
        assert why.startswith("503 no_keys: ")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/event-stream", 200),
        ("Text/Event-Stream;charset=utf-8", 200),
        ("text/event-stream, text/plain;q=0.5", 200),
        ("text/event-stream, application/json", 503),
        ("text/event-stream, application/*;q=0.1", 503),
        ("text/event-stream, */*", 503),
        ("*/*", 503),
        ("text/html", 503),
        ("", 503),
    ],
)
async def test_whoever_takes_json_gets_the_status(accept: str, status: int) -> None:
    async with serving() as served, http(served) as client:
        given = {"Authorization": "Bearer early-key", "Accept": accept}
        answer = await client.get("/events?topics=calls", headers=given)
        assert answer.status_code == status
        if status == 503:
            assert (answer.json()["error"]["code"], answer.headers["retry-after"]) == (
                "no_state",
                "1",
            )


@pytest.mark.parametrize(
    ("query", "key", "status"),
    [
        ("topics=cals", "reader-key", 400),
        ("topics=calls", "no-such-key", 401),
        ("topics=calls", "dialler-key", 403),
    ],
)
async def test_what_time_does_not_mend_closes_an_event_source(
    query: str, key: str, status: int
) -> None:
    async with serving() as served, http(served) as client:
        answer = await client.get(
            f"/events?{query}", headers=EVENTS_ONLY | {"Authorization": f"Bearer {key}"}
        )
        assert answer.status_code == status


async def test_a_ticket_is_not_spent_while_there_is_no_state() -> None:
    async with serving() as served, http(served) as client:
        early = {"Authorization": "Bearer early-key"}
        ticket = (await client.post("/ticket", headers=early)).json()["ticket"]
        for _ in range(2):
            answer = await client.get(f"/events?topics=calls&ticket={ticket}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_state")


async def gone(served: Served) -> None:
    """Wait until nobody is connected."""
    await until(lambda: len(served.live) == 0)


async def test_a_revoked_keys_events_end_and_a_drain_says_when_to_come_back() -> None:
    async with serving() as served:
        async with events(served, "topics=calls") as stream:
            await stream.of("snapshot")
            served.live.revoke("reader")
            with pytest.raises(StopAsyncIteration):
                await stream.next()
        async with events(served, "topics=calls") as stream:
            await stream.of("snapshot")
            draining = asyncio.create_task(served.live.drain(0.0, (5.0, 5.0)))
            with pytest.raises(StopAsyncIteration):
                await stream.next()
            assert stream.retry == 5000
            await draining
            async with http(served) as client:
                assert (await client.get("/events?topics=calls", headers=READER)).status_code == 503


@asynccontextmanager
async def stuck(served: Served) -> AsyncIterator[EventStream]:
    """One who subscribes and then reads nothing, once nothing more can be sent to it."""
    host, _, port = served.host.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(b"GET /webapi/events?topics=calls&key=reader-key HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readexactly(100)
    [stream] = served.live.sessions
    assert isinstance(stream, EventStream)
    try:
        await busy_until(served, lambda: stream.blocked > 0)
        yield stream
    finally:
        writer.transport.abort()


async def busy_until(served: Served, true: Callable[[], bool]) -> None:
    """So much goes on that whoever does not read is stuck."""
    async with asyncio.timeout(60):
        number = 0
        while not true():
            number += 1
            legs = tuple(str(number % 900 + extension) for extension in range(100, 160))
            served.put_all([("calls", str(n), entities.call(n, legs)) for n in range(20)])
            await asyncio.sleep(0.001)


async def test_one_who_reads_nothing_costs_a_small_buffer_and_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        serving(LiveSettings(ConnectionLimits(stall_timeout=1.0))) as served,
        stuck(served) as stream,
    ):
        transport = stream._transport
        assert transport is not None
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER_BYTES
        await busy_until(served, lambda: not len(served.live))
        assert stream.closed_with == 4202
        assert transport.get_write_buffer_size() == 0, (
            "it is not kept until the client reads, which it never does"
        )
    assert not [record for record in caplog.records if "ASGI" in record.getMessage()]


async def test_what_one_has_not_taken_counts_until_it_is_taken_and_its_headers_are_forgotten() -> (
    None
):
    numbers = [str(number) for number in range(100, 160)]
    request = (
        b"GET /webapi/events?topics=extensions&key=reader-key HTTP/1.1\r\nHost: x\r\n"
        b"X-Pad: " + b"x" * 20_000 + b"\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    async with serving() as served, asyncio.timeout(60):
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            slow.setblocking(False)
            host, _, port = served.host.partition(":")
            await loop.sock_connect(slow, (host, int(port)))
            await loop.sock_sendall(slow, request)
            await until(lambda: len(served.live) > 0)
            [stream] = served.live.sessions
            share = stream.principal.share
            assert share is not None
            change = 0
            while not stream._waiting():
                change += 1
                entity = {number: entities.extension(number, (f"{change}",)) for number in numbers}
                served.put_all([("extensions", number, entity[number]) for number in numbers])
                await asyncio.sleep(0.001)
            await until(lambda: stream.blocked > 0 or stream._writer is None)
            assert share.unsent_bytes > 20_000, "the change that is on its way"
            lists = [found for found in gc.get_objects() if type(found) is list]
            assert not [found for found in lists if any(_is_pad(item) for item in found)]
            while share.unsent_bytes:
                await loop.sock_recv(slow, 65_536)


def _is_pad(item: object) -> bool:
    return type(item) is tuple and item[:1] == (b"x-pad",)


@pytest.mark.parametrize(
    "http_protocol", [TimeoutHttpProtocol, HttpToolsProtocol], ids=["ours", "the server's own"]
)
async def test_one_who_reads_nothing_holds_up_no_drain(
    http_protocol: type[HttpToolsProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stream.sse.CLOSE_WITHIN_S", 0.1)
    async with serving(http=http_protocol) as served, stuck(served), asyncio.timeout(60):
        await served.live.drain(0.0)


async def test_the_head_of_events_is_an_answer_that_ends() -> None:
    async with serving() as served, http(served) as client:
        answer = await client.head("/events?topics=calls", headers=READER)
        assert (answer.status_code, answer.content) == (200, b"")
        assert len(served.live) == 0


async def test_one_who_is_being_let_in_when_a_drain_begins_does_not_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, may_answer, take = asyncio.Event(), asyncio.Event(), Tickets.take

    async def slow(tickets: Tickets, ticket: str) -> ApiKey:
        asked.set()
        await may_answer.wait()
        return await take(tickets, ticket)

    monkeypatch.setattr(Tickets, "take", slow)
    async with serving() as served, http(served) as client, asyncio.timeout(60):
        ticket = (await client.post("/ticket", headers=READER)).json()["ticket"]
        coming = asyncio.create_task(client.get(f"/events?topics=calls&ticket={ticket}"))
        await asked.wait()
        await served.live.drain(0.0)
        may_answer.set()
        assert (await coming).status_code == 503


async def test_connections_and_further_subscriptions_are_counted_as_reads() -> None:
    async with serving(budgets=Budgets(reads=4)) as served, http(served) as client:
        async with events(served, "topics=calls") as stream, served.connect() as connection:
            await stream.of("snapshot")
            for _ in range(3):  # the first came with the connection
                await subscribed(connection)
            answer = await client.get("/events?topics=calls", headers=READER)
            assert (answer.status_code, answer.json()["error"]["code"]) == (
                429,
                "too_many_requests",
            )
            assert int(answer.headers["retry-after"]) > 0
            with pytest.raises(InvalidStatus) as refused:
                await served.connect().__aenter__()
            assert refused.value.response.status_code == 429
            await say(connection, {"type": "subscribe", "topics": ["calls"]})
            assert await closed(connection) == (4101, "the key's budget of reads is spent")
        async with served.connect("display-key") as other:
            await subscribed(other)


async def test_all_topics_may_be_read_as_events() -> None:
    async with serving() as served, events(served, "topics=" + ",".join(TOPICS)) as stream:
        assert set((await stream.of("snapshot"))[1]["state"]) == set(TOPICS)


@pytest.mark.parametrize(
    ("accepted", "switched_on", "compressed"),
    [("gzip, br", True, True), ("br, gzip;q=0", True, False), ("gzip", False, False)],
)
async def test_events_are_compressed_for_an_event_source_that_takes_it(
    accepted: str, *, switched_on: bool, compressed: bool
) -> None:
    async with serving(compression=switched_on) as served, http(served) as client:
        headers = READER | {"Accept": "text/event-stream", "Accept-Encoding": accepted}
        head = await client.head("/events?topics=calls", headers=headers)
        assert head.headers.get("content-encoding") == ("gzip" if compressed else None)
        assert head.headers["vary"] == "Accept, Accept-Encoding"
        library = await client.head("/events?topics=calls", headers=headers | {"Accept": "*/*"})
        assert "content-encoding" not in library.headers, "it may hand over events in lumps"
        async with events(served, "topics=calls", **headers) as stream:
            assert stream.response.headers.get("content-encoding") == (
                "gzip" if compressed else None
            )
            await stream.of("snapshot")
            for number in range(5):  # each can be read before anything else comes
                served.put_all([("calls", str(n), entities.call(n + number)) for n in range(20)])
                assert len((await stream.of("change"))[1]["upsert"]["calls"]) == 20
            served.put("calls", "1", None)
            assert (await stream.of("change"))[1]["remove"] == {"calls": ["1"]}
            received = stream.response.num_bytes_downloaded
        assert (received < 20_000) is compressed, "they are 75 KB"


async def test_a_compressed_stream_ends_whole_even_if_its_client_was_stuck() -> None:
    async with serving() as served, asyncio.timeout(60):
        host, _, port = served.host.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(
            b"GET /webapi/events?topics=calls&key=reader-key HTTP/1.1\r\nHost: x\r\n"
            b"Accept: text/event-stream\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-encoding: gzip" in head.lower()
        [stream] = served.live.sessions
        await busy_until(served, lambda: stream.blocked > 0)
        served.live.revoke("reader")
        sent = bytearray()
        while size := int(await reader.readuntil(b"\r\n"), 16):
            sent += (await reader.readexactly(size + 2))[:-2]
        text = gzip.decompress(sent)  # which looks at the checksum
        assert text.startswith(b"retry: ")
        assert text.endswith(b": 4001\n\n")
        writer.close()
