"""Serve a gateway with many PBXs, whose states a test sets by hand."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import fakeredis
import uvicorn
from msgspec.structs import replace

from gateway.app import create_app
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.auth.tickets import Tickets
from gateway.fanout.fleet import Fleet
from gateway.pbx_context import PbxContext, open_view
from gateway.rest.ticket_endpoint import ticket_routes
from gateway.stream.server import StreamServer
from gateway.transport.http_protocol import TimeoutHttpProtocol
from gateway.transport.websocket_protocol import uvicorn_options
from monitor.shared.changes import Position
from monitor.shared.entities.topics import (
    BOOK_TOPICS,
    TOPICS,
    Connection,
    Line,
    State,
    System,
    WaitingCaller,
    empty_state,
)
from monitor.shared.timestamps import from_unix
from tests.gateway.entities import call, queue

KEY = "a-key-for-many-pbxs"
_CITIES = ("berlin", "hamburg-north", "muenchen", "kassel", "omsk", "krasnoyarsk-2", "bath", "york")


def state(
    calls: int = 0,
    waiting: int = 0,
    waited: float = 0.0,
    connection: Connection = "connected",
    *,
    registered: bool = True,
) -> State:
    """The state of a PBX now. ``waited``: seconds of the longest wait."""
    now = time.time()
    reason = "" if connection == "connected" else "https://pbx.example.com:5001 does not answer."
    system = System(
        *(connection, from_unix(now - 42), reason, "20.0.8.1109", "pbx.example.com", 32),
        *("callcontrol+activecalls", "monitor-1", "", 0),
    )
    callers = tuple(
        WaitingCaller(number, f"+4930555{number:04}", "", from_unix(now - waited / (number + 1)))
        for number in range(waiting)
    )
    return empty_state(TOPICS) | {
        "system": {"pbx": system},
        "calls": {str(number): call(number) for number in range(calls)},
        "queues": {"800": replace(queue("800"), waiting=callers)},
        "lines": {"10000": Line("10000", "Provider", registered, min(calls, 8), 8)},
    }


def states(count: int) -> dict[str, State]:
    """A plausible mixture of this many PBXs."""
    mixed: dict[str, State] = {}
    for number in range(count):
        name = f"{_CITIES[number % len(_CITIES)]}-{number:03}"
        match number % 23:
            case 3:
                mixed[name] = state(2, connection="lost")
            case 7:
                mixed[name] = state(9, 7, 400.0)
            case 11:
                mixed[name] = state(6, 2, 95.0)
            case 15:
                mixed[name] = state(4, registered=False)
            case 19:
                mixed[name] = state(31)
            case 21:
                mixed[name] = state(connection="connecting")
            case kind:
                mixed[name] = state(kind % 5, int(kind % 4 == 0), 20.0)
    return mixed


@dataclass
class ManyPbxs:
    """A running gateway."""

    address: str
    views: dict[str, PbxContext]

    def set(self, name: str, now: State) -> None:
        """Let a PBX be in this state from now on."""
        live = self.views[name].live
        assert live.position is not None
        epoch = f"{int(live.position.epoch[:15]) + 1:015d}-f"
        live.load(Position(epoch, 0), from_unix(time.time()), now)
        self.views[name].fleet.refresh(name)

    def page(self, settings: str = "") -> str:
        """The address of the page of all PBXs."""
        return f"{self.address}/fleet?{settings}#key={KEY}"


@asynccontextmanager
async def many_pbxs(mixed: dict[str, State]) -> AsyncIterator[ManyPbxs]:
    """A gateway of these PBXs, and a key for all of them."""
    redis, fleet = fakeredis.FakeAsyncRedis(), Fleet(heartbeat=1.0)
    views = {name: open_view(name, redis, heartbeat=1.0, fleet=fleet) for name in mixed}
    keys = KeyTable([ApiKey("many", sha256_hex(KEY), "", frozenset({"read"}), pbxs=("*",))])
    live = StreamServer(
        views, keys, tickets=(tickets := Tickets(dict.fromkeys(views, redis), keys, time.time))
    )
    streams = [*ticket_routes(tickets, keys, time.time), *live.routes()]
    app = create_app(views, keys, streams=streams)
    listener = socket.create_server(("127.0.0.1", 0))
    ours = uvicorn_options(30, 10.0)
    server = uvicorn.Server(
        uvicorn.Config(app, http=TimeoutHttpProtocol, lifespan="off", log_config=None, **ours)
    )
    for name, now in mixed.items():
        at = from_unix(time.time())
        views[name].live.load(Position(f"{1:015d}-f", 0), at, now)
        views[name].book.load(Position(f"{1:015d}-b", 0), at, empty_state(BOOK_TOPICS))
        fleet.refresh(name)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.serve(sockets=[listener]))
        hubs = [
            tasks.create_task(hub.run()) for hub in (fleet.hub, *(v.hub for v in views.values()))
        ]
        try:
            yield ManyPbxs(f"http://127.0.0.1:{listener.getsockname()[1]}", views)
        finally:
            for task in hubs:
                task.cancel()
            await live.drain(0.0)
            server.should_exit = True
            await running
            await redis.aclose()
