"""Serve a gateway's stream on a real socket, with a replica that the test moves by hand."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import fakeredis
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.auth.tickets import Tickets
from gateway.fanout.fleet import Fleet
from gateway.fanout.frames import Encoding
from gateway.pbx_context import PbxContext, open_view
from gateway.rest.endpoint import WebApiEndpoint
from gateway.rest.ticket_endpoint import ticket_routes
from gateway.stream.admission import LiveSettings
from gateway.stream.server import StreamServer
from gateway.transport.http_protocol import TimeoutHttpProtocol
from gateway.transport.websocket_protocol import uvicorn_options
from gateway.visibility import Limits
from monitor.shared.api_keys import Budgets
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.codec import to_json, to_msgpack
from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS, Entity, empty_state
from monitor.shared.timestamps import from_unix
from tests.gateway.entities import START, call
from tests.gateway.histories import Follower, decoded

ALL_TOPICS = list(TOPICS)

KEYS = (
    ApiKey("reader", sha256_hex("reader-key"), "main", frozenset({"read", "contacts"})),
    ApiKey("display", sha256_hex("display-key"), "main", frozenset({"read"})),
    ApiKey(
        "limited",
        sha256_hex("limited-key"),
        "main",
        frozenset({"read"}),
        None,
        Limits(frozenset({"101"})),
    ),
    ApiKey("old", sha256_hex("old-key"), "main", frozenset({"read"}), "2020-01-01T00:00:00.000Z"),
    ApiKey("dialler", sha256_hex("dialler-key"), "main", frozenset({"control"})),
    ApiKey("elsewhere", sha256_hex("elsewhere-key"), "branch", frozenset({"read"})),
    ApiKey(
        "fleet",
        sha256_hex("fleet-key"),
        "main",
        frozenset({"read", "contacts"}),
        pbxs=("empty", "main", "unserved"),
    ),
    ApiKey("early", sha256_hex("early-key"), "empty", frozenset({"read"})),
)


@dataclass
class Served:
    """The PBX ``main``, at position 0, and ``empty``, without a state."""

    host: str
    view: PbxContext
    live: StreamServer
    keys: KeyTable
    redis: fakeredis.FakeAsyncRedis
    other: PbxContext
    epochs: int = 1

    def url(self, path: str = "/webapi/stream") -> str:
        return f"ws://{self.host}{path}"

    @property
    def position(self) -> Position:
        position = self.view.live.position
        assert position is not None
        return position

    def put(self, topic: str, id_: str, entity: Entity | None) -> None:
        """One change of one entity."""
        self.put_all([(topic, id_, entity)])

    def put_all(self, puts: Iterable[tuple[str, str, Entity | None]]) -> None:
        state = self.view.live.state
        edits = tuple(
            Edit(topic, id_, state[topic].get(id_), entity) for topic, id_, entity in puts
        )
        self.view.live.apply(Change(replace_seq(self.position), START, edits))
        self._moved()

    def start_epoch(self) -> None:
        self.epochs += 1
        state = {topic: dict(entities) for topic, entities in self.view.live.state.items()}
        self.view.live.load(Position(f"{self.epochs:015d}-t", 0), START, state)
        self._moved()

    async def be_heard(self) -> None:
        """The monitor's heartbeats, until cancelled."""
        for second in count():
            self.view.live.heard(from_unix(second))
            await asyncio.sleep(0.02)

    def _moved(self) -> None:
        self.view.fleet.refresh("main")
        self.view.hub.changed()
        self.view.watches.changed()

    def connect(
        self,
        key: str | None = "reader-key",
        path: str = "/webapi/stream",
        offer: list[str] | None = None,
        headers: dict[str, str] | None = None,
        *,
        compressed: bool = False,
    ) -> connect:
        given = {"Authorization": f"Bearer {key}"} if key is not None else {}
        return connect(
            self.url(path),
            additional_headers={**given, **(headers or {})},
            subprotocols=None if offer is None else [Subprotocol(name) for name in offer],
            compression="deflate" if compressed else None,
            max_size=None,
            ping_interval=None,
        )


def replace_seq(position: Position) -> Position:
    return Position(position.epoch, position.seq + 1)


async def frame(connection: ClientConnection) -> dict[str, Any]:
    """The next frame."""
    async with asyncio.timeout(60):
        return decoded(await connection.recv())


async def frame_of(connection: ClientConnection, kind: str) -> dict[str, Any]:
    """The next frame of this type."""
    while (found := await frame(connection))["type"] != kind:
        pass
    return found


async def say(connection: ClientConnection, message: object, encoding: Encoding = "json") -> None:
    await connection.send(to_json(message).decode() if encoding == "json" else to_msgpack(message))


async def subscribed(
    connection: ClientConnection, topics: list[str] | None = None
) -> dict[str, Any]:
    """Subscribe; the first snapshot."""
    await say(connection, {"type": "subscribe", "topics": topics or ALL_TOPICS})
    return await frame_of(connection, "snapshot")


def without_denials(app: ASGIApp) -> ASGIApp:
    """The application as under a server that knows no extensions."""

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        await app(
            {key: value for key, value in scope.items() if key != "extensions"}, receive, send
        )

    return bare


@asynccontextmanager
async def serving(
    settings: LiveSettings | None = None,
    heartbeat: float = 3600.0,
    wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    clock: Callable[[], float] = time.time,
    port: int = 0,
    budgets: Budgets | None = None,
    *,
    compression: bool = True,
    **options: Any,
) -> AsyncIterator[Served]:
    """Everything started, and stopped again afterwards.

    ``budgets``: of each key; ``options``: uvicorn's, for ours. ``heartbeat``: so long that none
    comes between, however slow the machine is: the first one comes after a twentieth of it.
    """
    redis = fakeredis.FakeAsyncRedis()
    fleet = Fleet(clock, heartbeat)
    view, empty = (
        open_view(name, redis, heartbeat=heartbeat, clock=clock, fleet=fleet)
        for name in ("main", "empty")
    )
    view.live.load(Position(f"{1:015d}-t", 0), START, empty_state(TOPICS))
    view.book.load(Position(f"{1:015d}-b", 0), START, empty_state(BOOK_TOPICS))
    keys = KeyTable(KEYS)
    tickets = Tickets({"main": redis, "empty": redis}, keys, clock)
    rate_limiter = (
        None if budgets is None else RateLimiter({"main": redis, "empty": redis}, budgets)
    )
    live = StreamServer(
        {"main": view, "empty": empty},
        keys,
        settings,
        clock,
        tickets,
        rate_limiter,
        compression=compression,
    )
    listener = socket.create_server(("127.0.0.1", port))
    web_api = WebApiEndpoint({"main": view, "empty": empty}, keys, "1.2.3", clock)
    app = wrap(
        Starlette(
            routes=[
                *ticket_routes(tickets, keys, clock),
                *live.routes(),
                Route("/webapi/{address:path}", web_api),
            ]
        )
    )
    limits = (settings or LiveSettings()).limits
    ours = {
        "http": TimeoutHttpProtocol,
        **uvicorn_options(
            limits.message_burst, limits.messages_per_second, compression=compression
        ),
    }
    server = uvicorn.Server(
        uvicorn.Config(app, lifespan="off", log_config=None, **{**ours, **options})
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.serve(sockets=[listener]))
        moving = (view.hub, view.book_hub, view.watches, empty.watches, fleet.hub)
        hubs = [tasks.create_task(hub.run()) for hub in moving]
        hubs += [] if rate_limiter is None else [tasks.create_task(rate_limiter.run())]
        try:
            yield Served(f"127.0.0.1:{listener.getsockname()[1]}", view, live, keys, redis, empty)
        finally:
            for task in hubs:
                task.cancel()
            server.should_exit = True
            await running
            await redis.aclose()


def retry_in(reason: str) -> list[float]:
    found = json.loads(reason)["retry_in"]
    assert isinstance(found, list)
    return found


async def closed(connection: ClientConnection) -> tuple[int, str]:
    """The close code and reason that the server ends with."""
    with pytest.raises(ConnectionClosed) as end:
        await _read_on(connection)
    return ended_with(end.value)


async def _read_on(connection: ClientConnection) -> None:
    async with asyncio.timeout(60):
        while True:
            await connection.recv()


def ended_with(error: ConnectionClosed) -> tuple[int, str]:
    assert error.rcvd is not None
    return error.rcvd.code, error.rcvd.reason


async def follow(connection: ClientConnection, follower: Follower, until: Position) -> None:
    async with asyncio.timeout(60):
        while follower.position is None or follower.position < until:
            found = decoded(await connection.recv())
            if found["type"] != "hello":
                follower.receive(found)


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


async def lines_of(served: Served, first: str, *program: str | Path) -> list[str]:
    """Run a program that follows the calls, and return what it prints.

    When it prints a line that begins with ``first``, a second call begins.
    """
    process = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    lines = []
    try:
        async with asyncio.timeout(90):
            while (line := (await process.stdout.readline()).decode()) != "":
                lines.append(line.strip())
                if line.startswith(first):
                    served.put("calls", "2", call(2))
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return lines


async def silence(connection: ClientConnection) -> None:
    """Nothing comes but the answer to a ping."""
    await say(connection, {"type": "ping", "at": "quiet?"})
    assert (await frame(connection))["type"] == "pong"


def position(at: Position) -> dict[str, Any]:
    """A position as a client names it."""
    return {"epoch": at.epoch, "seq": at.seq}
