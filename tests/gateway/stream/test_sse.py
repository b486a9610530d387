"""Test Server-Sent Events, tickets and the long poll: the stream without WebSocket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import fakeredis
import httpx
import pytest
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.exceptions import InvalidStatus

from gateway.auth.api_keys import ApiKey, KeyTable
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.auth.tickets import Tickets
from gateway.fanout.watched_queries import LEAST_PAUSE_S
from gateway.rest import long_poll
from gateway.rest.ticket_endpoint import ticket_routes
from gateway.stream.admission import LiveSettings
from gateway.stream.connection import ConnectionLimits
from gateway.stream.sse import EventStream
from gateway.transport.http_protocol import TimeoutHttpProtocol
from gateway.transport.websocket_protocol import SEND_BUFFER_BYTES
from gateway.visibility import Limits
from monitor.shared.api_keys import Budgets
from monitor.shared.entities.topics import TOPICS
from tests.gateway import entities
from tests.gateway.histories import Follower, plain
from tests.gateway.serving import KEYS, Served, closed, frame, say, serving, subscribed

READER = {"Authorization": "Bearer reader-key"}


@asynccontextmanager
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{served.host}/webapi", timeout=20.0) as client:
        yield client


class Events:
    """What an EventSource reads: one event after the other."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.retry: int | None = None
        self._lines = response.aiter_lines()

    async def next(self) -> tuple[str | None, dict[str, Any]]:
        """The next event's id and frame. Raises StopAsyncIteration at the end."""
        id_, data = None, None
        async with asyncio.timeout(60):
            while True:
                line = await anext(self._lines)
                name, _, value = line.partition(": ")
                match name:
                    case "id":
                        id_ = value
                    case "data":
                        data = json.loads(value)
                    case "retry":
                        self.retry = int(value)
                    case "" if not line and data is not None:
                        return id_, data

    async def of(self, kind: str) -> tuple[str | None, dict[str, Any]]:
        while (found := await self.next())[1]["type"] != kind:
            pass
        return found


@asynccontextmanager
async def events(served: Served, query: str, **headers: str) -> AsyncIterator[Events]:
    async with (
        http(served) as client,
        client.stream("GET", f"/events?{query}", headers=READER | headers) as response,
    ):
        yield Events(response)


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
    async with asyncio.timeout(60):
        while len(served.live):  # noqa: ASYNC110 - the server's own time
            await asyncio.sleep(0.01)


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
        serving(LiveSettings(ConnectionLimits(stall_timeout=0.2))) as served,
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


async def test_a_ticket_opens_one_stream_once() -> None:
    async with serving() as served, http(served) as client:
        asked = await client.post("/ticket", headers=READER)
        assert (asked.status_code, asked.json()["expires_in"]) == (200, 30)
        ticket = asked.json()["ticket"]
        async with served.connect(
            None, f"/webapi/stream?ticket={ticket}&topics=calls"
        ) as connection:
            assert (await frame(connection))["type"] == "hello"
            assert (await frame(connection))["type"] == "snapshot"
        with pytest.raises(InvalidStatus) as refused:
            await served.connect(None, f"/webapi/stream?ticket={ticket}")
        assert refused.value.response.status_code == 401
        by_address = (await client.post("/reader-key/ticket")).json()["ticket"]
        async with client.stream("GET", f"/events?topics=calls&ticket={by_address}") as response:
            assert (await Events(response).next())[1]["type"] == "hello"


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


async def test_tickets_are_counted_as_reads() -> None:
    redis = fakeredis.FakeAsyncRedis()
    rate_limiter = RateLimiter({"main": redis}, Budgets(reads=2), clock=lambda: 0.0)
    rate_limiter._lease_of(KEYS[0], 2).reads.continue_offline()
    tickets = Tickets({"main": redis}, KeyTable(KEYS), lambda: 1_800_000_000.0)
    transport = httpx.ASGITransport(
        app=Starlette(
            routes=ticket_routes(tickets, KeyTable(KEYS), lambda: 1_800_000_000.0, rate_limiter)
        )
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answers = [await client.post("/webapi/ticket", headers=READER) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert len(await redis.keys("*ticket*")) == 2
    assert answers[2].headers["retry-after"] == "60"


async def test_a_key_of_a_pbx_that_is_not_served_gets_no_ticket_and_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[str] = []

    async def spend(_: RateLimiter, key: ApiKey, __: object) -> None:
        counted.append(key.name)

    monkeypatch.setattr(RateLimiter, "spend", spend)
    keys = KeyTable([ApiKey("away", KEYS[0].digest, "away", frozenset({"read"}))])
    clients = {"main": fakeredis.FakeAsyncRedis()}
    tickets, rate_limiter = (
        Tickets(clients, keys, lambda: 1_800_000_000.0),
        RateLimiter(clients, Budgets(reads=2)),
    )
    app = Starlette(routes=ticket_routes(tickets, keys, lambda: 1_800_000_000.0, rate_limiter))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://gateway"
    ) as client:
        refused = await client.post("/webapi/ticket", headers=READER)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_pbx")
    assert counted == []


async def test_a_ticket_is_nothing_to_whoever_reads_redis_and_ends_by_itself() -> None:
    async with serving() as served, http(served) as client:
        ticket = (await client.post("/ticket", headers=READER)).json()["ticket"]
        [name] = await served.redis.keys("*ticket*")
        assert ticket.encode() not in name
        assert 0 < await served.redis.ttl(name) <= 30
        await served.redis.delete(name)
        assert (await client.get(f"/events?topics=calls&ticket={ticket}")).status_code == 401


@pytest.mark.parametrize(
    "ticket", ["", "x", "main.", "elsewhere.abc", "main.abc", "main." + "x" * 200, "ma\0in.x"]
)
async def test_what_is_no_ticket_is_refused(ticket: str) -> None:
    async with serving() as served, http(served) as client:
        answer = await client.get("/events", params={"topics": "calls", "ticket": ticket})
        assert answer.status_code == 401


async def test_a_ticket_has_the_rights_of_its_key() -> None:
    async with serving() as served, http(served) as client:
        served.put("calls", "1", entities.call(1, ("102",)))
        ticket = (await client.post("/limited-key/ticket")).json()["ticket"]
        async with served.connect(
            None, f"/webapi/stream?ticket={ticket}&topics=calls"
        ) as connection:
            await frame(connection)
            assert (await frame(connection))["state"] == {"calls": {}}
            served.live.revoke("limited")
            assert await closed(connection) == (4001, "key revoked")
        for key, status in (
            ("no-such-key", 401),
            ("dialler-key", 403),
            ("old-key", 401),
            ("elsewhere-key", 404),
        ):
            assert (await client.post(f"/{key}/ticket")).status_code == status
        assert (await client.post("/ticket", headers=READER, json={"x": "1"})).json()["error"][
            "code"
        ] == ("unknown_parameter")


QUERY = "/pbx.calls.get"


async def test_a_long_poll_is_answered_when_the_answer_is_another() -> None:
    async with serving() as served, http(served) as client:
        etag = (await client.get(QUERY, headers=READER)).headers["etag"]
        waiting = asyncio.create_task(
            client.get(
                QUERY, headers=READER | {"If-None-Match": etag, "Prefer": "respond-async, wait=10"}
            )
        )
        while not len(served.view.watches):  # noqa: ASYNC110 - the server's own time
            await asyncio.sleep(0.01)
        served.put("queues", "800", entities.queue("800"))
        await asyncio.sleep(3 * LEAST_PAUSE_S)
        assert not waiting.done(), "another answer did not change"
        served.put("calls", "1", entities.call(1))
        answer = await waiting
        assert (answer.status_code, answer.json()) == (200, {"result": 1})
        assert answer.headers["preference-applied"] == "wait=10"
        assert answer.headers["etag"] != etag
        assert len(served.view.watches) == 0


async def test_a_long_poll_ends_with_304_when_the_time_is_up() -> None:
    async with serving() as served, http(served) as client:
        etag = (await client.get(QUERY, headers=READER)).headers["etag"]
        answer = await client.get(
            QUERY, headers=READER | {"If-None-Match": etag, "Prefer": "wait=1"}
        )
        assert (answer.status_code, answer.content) == (304, b"")


async def test_one_keys_long_polls_leave_room_and_a_refused_wait_is_not_told_as_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_poll, "MOST_PER_KEY", 2)
    display = {"Authorization": "Bearer display-key"}
    async with serving() as served, http(served) as client:
        etag = (await client.get(QUERY, headers=READER)).headers["etag"]
        waits = {"If-None-Match": etag, "Prefer": "wait=60"}
        async with asyncio.TaskGroup() as tasks:
            waiting = [
                tasks.create_task(client.get(QUERY, headers=READER | waits)) for _ in range(2)
            ]
            while len(served.view.watches) < 2:  # noqa: ASYNC110 - the server's own time
                await asyncio.sleep(0.01)
            answer = await client.get(QUERY, headers=READER | waits)
            assert (answer.status_code, "preference-applied" in answer.headers) == (304, False)
            waiting.append(tasks.create_task(client.get(QUERY, headers=display | waits)))
            while len(served.view.watches) < 3:  # noqa: ASYNC110 - the server's own time
                await asyncio.sleep(0.01)
            served.put("calls", "1", entities.call(1))
        assert [one.result().headers["preference-applied"] for one in waiting] == ["wait=60"] * 3
        assert (len(served.view.watches), served.view.watches.polls) == (0, {})


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


@pytest.mark.parametrize(
    "headers",
    [
        {"Prefer": "wait=10"},
        {"Prefer": "wait=10", "If-None-Match": '"other"'},
        {"Prefer": "wait=x"},
    ],
    ids=["nothing known", "another known", "no number"],
)
async def test_who_does_not_have_the_answer_gets_it_at_once(headers: dict[str, str]) -> None:
    async with serving() as served, http(served) as client:
        answer = await client.get(QUERY, headers=READER | headers)
        assert (answer.status_code, answer.json()) == (200, {"result": 0})


async def test_a_long_poll_ends_with_its_client_and_with_the_gateway() -> None:
    async with serving() as served, http(served) as client:
        etag = (await client.get(QUERY, headers=READER)).headers["etag"]
        waits = READER | {"If-None-Match": etag, "Prefer": "wait=60"}
        with pytest.raises(httpx.ReadTimeout):
            await client.get(QUERY, headers=waits, timeout=0.2)
        async with asyncio.timeout(60):
            while len(served.view.watches):  # noqa: ASYNC110 - the server's own time
                await asyncio.sleep(0.01)
        waiting = asyncio.create_task(client.get(QUERY, headers=waits))
        while not len(served.view.watches):  # noqa: ASYNC110 - the server's own time
            await asyncio.sleep(0.01)
        await served.live.drain(0.0)
        assert (await waiting).status_code == 304


@pytest.mark.parametrize(
    "keys", [[], [replace(KEYS[0], limits=Limits(frozenset({"101"})))]], ids=["revoked", "limited"]
)
async def test_a_long_poll_under_a_key_that_is_another_meanwhile_tells_nothing(
    keys: list[ApiKey],
) -> None:
    async with serving() as served, http(served) as client:
        etag = (await client.get(QUERY, headers=READER)).headers["etag"]
        waits = READER | {"If-None-Match": etag, "Prefer": "wait=60"}
        waiting = asyncio.create_task(client.get(QUERY, headers=waits))
        while not len(served.view.watches):  # noqa: ASYNC110 - the server's own time
            await asyncio.sleep(0.01)
        served.keys.replace(keys)
        served.put("calls", "1", entities.call(1))
        assert (await waiting).status_code == 401


async def test_all_topics_may_be_read_as_events() -> None:
    async with serving() as served, events(served, "topics=" + ",".join(TOPICS)) as stream:
        assert set((await stream.of("snapshot"))[1]["state"]) == set(TOPICS)
