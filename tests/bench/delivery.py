"""Measure the CPU time of the server for each frame that it sends to a subscriber.

Every contestant is a process of its own with a load of its own, as many raw sockets as there are
subscribers. In turn each sends some broadcasts; the next one begins when every subscriber has the
last one. What is not installed is left out.

The gateway's broadcasts are changes that a writer publishes on a real Redis: what it costs to
follow the bus, to keep the replica and to encode the frame is in its figure, while the others send
bytes that they have from the start.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from websockets.asyncio.client import connect

from tests.bench import brokers
from tests.bench.brokers import NATS, NATS_HELLO, NATS_SETTLES_S, NCHAN, NCHAN_PATH, nats, nchan
from tests.bench.bus_feed import FRAME, HEADER, Writer, first_state, gateway, stream_paths, writing
from tests.bench.frameworks import SOCKETIO_HELLO, SOCKETIO_PATH
from tests.bench.processes import Party, party, python, ratio, rounds
from tests.bus import RealBus

_HEARTBEAT = 60
"""Seconds. Few fall into a round; what they cost is counted, but not as deliveries."""
PATIENCE = 1.0
"""Seconds for which a broadcast may be under way before the next one is sent all the same."""
_WARM = 100
"""Changes before the first round, so that all positions have as many digits."""
CROWD = 1_000
"""Subscribers of whom the first, the middle and the last are looked at."""
OURS = "callmon gateway"
SOCKETIO = "python-socketio emit to a room (uvicorn, uvloop)"
CHANNELS = "Django Channels group_send (uvicorn, uvloop)"
BROADCASTER = "broadcaster, Starlette send_text (uvicorn, uvloop)"
PICOWS = "picows"
NODE_WS = "Node ws"
NODE_MODULES = Path(sys.prefix) / "node"
"""Where ``make bench`` puts Node's ws, if there is npm."""
_NODE = Path(__file__).with_name("node_ws.mjs")
WRITE = "write(2)"
STARLETTE = "Starlette send_bytes"
WEBSOCKETS = "websockets broadcast"
PEERS = (
    *(WRITE, STARLETTE, WEBSOCKETS, PICOWS, NODE_WS, NCHAN, NATS),
    *(SOCKETIO, CHANNELS, BROADCASTER),
)


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server with its subscribers.

    ``send`` begins a broadcast of ``frame`` bytes to each of them.
    """

    server: Party
    load: Party
    subscribers: int
    frame: int
    send: Callable[[], Awaitable[None]]
    late: list[int] = field(default_factory=list)
    """One for every broadcast that did not reach all in time."""
    arrivals: list[list[float]] = field(default_factory=list)
    """Of each other broadcast: seconds until the first, the middle and the last had it."""

    async def round(self, broadcasts: int) -> float:
        """Microseconds of the server's CPU time for a delivery."""
        before = expected = await self._received()
        begun = self.server.cpu
        for _ in range(broadcasts):
            expected += self.frame * self.subscribers
            self.load.tell(do="expect", group="", bytes=expected)
            sent = time.perf_counter()
            await self.send()
            if not await self._arrived(sent):
                expected = await self._received()
        await asyncio.sleep(0.01)  # the server may be about to sleep, but is not yet
        cpu = self.server.cpu - begun
        return cpu * self.frame / max(1, await self._received() - before) * 1e6

    async def _received(self) -> int:
        return int((await self.load.ask(do="count", group=""))["bytes"])

    async def _arrived(self, sent: float) -> bool:
        """Wait until every subscriber has it; whether that came to pass.

        What arrived is counted in any case.
        """
        try:
            told = await self.load.hear(PATIENCE)
        except TimeoutError:
            self.load.tell(do="give up")
            while "given_up" not in await self.load.hear():
                pass
            self.late.append(1)
            return False
        self.arrivals.append([at - sent for at in told["arrivals"]])
        return True


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Microseconds of CPU time for a delivery, each contestant's round by round."""

    subscribers: int
    rounds: dict[str, list[float]]
    late: int
    """Changes that did not reach all within :data:`PATIENCE` seconds."""
    frame: int = FRAME
    arrivals: dict[str, list[list[float]]] = field(default_factory=dict)
    """Of each contestant's broadcasts: see :attr:`Contestant.arrivals`."""

    def median(self, name: str) -> float:
        """Of a contestant."""
        return median(self.rounds[name])

    def ratio(self, other: str) -> float:
        """The gateway's to another's, of rounds next to each other."""
        return ratio(self.rounds[OURS], self.rounds[other])

    def arrival(self, name: str) -> tuple[float, float, float]:
        """Return the median seconds until a contestant's first, middle and last subscriber."""
        first, middle, last = (median(at) for at in zip(*self.arrivals[name], strict=True))
        return first, middle, last


async def measure(
    bus: RealBus,
    subscribers: int,
    names: tuple[str, ...],
    times: int,
    each: int,
    frame: int = FRAME,
) -> Deliveries:
    """``times`` rounds of ``each`` broadcasts of the gateway and of these peers."""
    async with AsyncExitStack() as stack:
        contestants = {OURS: await stack.enter_async_context(_gateway(bus, subscribers, frame))}
        for name in names:
            made = _broker if name in _BROKERS else partial(_peer, bus=bus)
            contestants[name] = await stack.enter_async_context(
                made(name, subscribers=subscribers, frame=frame)
            )
        turns: dict[str, Callable[[], Awaitable[float]]] = {
            name: partial(contestant.round, each) for name, contestant in contestants.items()
        }
        for turn in turns.values():  # warm up
            await turn()
        for contestant in contestants.values():
            contestant.arrivals.clear()
        said = await rounds(turns, times)
        arrivals = {name: contestant.arrivals for name, contestant in contestants.items()}
        return Deliveries(subscribers, said, len(contestants[OURS].late), frame, arrivals)


@asynccontextmanager
async def _gateway(bus: RealBus, subscribers: int, frame: int) -> AsyncIterator[Contestant]:
    async with (
        writing(bus, first_state()) as writer,
        gateway(bus, _HEARTBEAT) as server,
        party(*python("load")) as load,
    ):
        for _ in range(_WARM):
            await writer.rename()
        await load.ask(do="open", group="", port=server.port, paths=stream_paths(subscribers))
        await _quiet(load)
        send = partial(writer.rename, await _fitting(writer, server, frame))
        yield Contestant(server, load, subscribers, frame + HEADER, send)


async def _fitting(writer: Writer, server: Party, wanted: int) -> int:
    """The length of the name with which a frame has the size that it should."""
    length = 12
    async with connect(f"ws://127.0.0.1:{server.port}{stream_paths(1)[0]}") as socket:
        while '"snapshot"' not in str(await socket.recv()):
            pass
        for _ in range(2):
            await writer.rename(length)
            while '"change"' not in (frame := str(await socket.recv())):
                pass
            length += wanted - len(frame)
    assert len(frame) == wanted
    return length


async def _quiet(load: Party) -> None:
    """Until nothing has come for a while, so that whoever was let in has his snapshot."""
    quiet = 0
    last = -1
    while quiet < 3:
        await asyncio.sleep(0.1)
        now = (await load.ask(do="count", group=""))["bytes"]
        quiet, last = quiet + 1 if now == last else 0, now


@asynccontextmanager
async def _peer(name: str, bus: RealBus, subscribers: int, frame: int) -> AsyncIterator[Contestant]:
    size = str(frame)
    command, path, hello = {
        WRITE: (python("peers", "write", size), "", ""),
        STARLETTE: (python("peers", "starlette", size), "/", ""),
        WEBSOCKETS: (python("peers", "broadcast", size), "/", ""),
        PICOWS: (python("peers", "picows", size), "/", ""),
        NODE_WS: (("node", str(_NODE), str(NODE_MODULES), size), "/", ""),
        SOCKETIO: (python("frameworks", "socketio"), SOCKETIO_PATH, SOCKETIO_HELLO),
        CHANNELS: (python("frameworks", "channels", bus.url), "/", ""),
        BROADCASTER: (python("frameworks", "broadcaster", bus.url), "/", ""),
    }[name]
    async with party(*command) as server, party(*python("load")) as load:
        server.tell(sockets=subscribers)
        await load.ask(
            do="open", group="", port=server.port, paths=[path] * subscribers, hello=hello
        )
        await _quiet(load)

        async def send() -> None:
            server.tell()

        yield Contestant(server, load, subscribers, frame + HEADER, send)


_BROKERS = {
    NCHAN: (nchan, NCHAN_PATH, "", 0.0),
    NATS: (nats, "/", NATS_HELLO, NATS_SETTLES_S),
}
"""How each is run, its path, what a subscriber says first, and the seconds that it then takes."""


@asynccontextmanager
async def _broker(name: str, subscribers: int, frame: int) -> AsyncIterator[Contestant]:
    run, path, hello, settles = _BROKERS[name]
    async with run(frame) as (server, send), party(*python("load")) as load:
        await load.ask(
            do="open", group="", port=server.port, paths=[path] * subscribers, hello=hello
        )
        await asyncio.sleep(settles)
        await _quiet(load)
        yield Contestant(server, load, subscribers, frame + HEADER, send)


def installed(subscribers: int, frame: int = FRAME) -> tuple[str, ...]:
    """Return the peers that are here and stand so many subscribers and so large frames."""
    absent = not_installed()
    most = {SOCKETIO: 1_000, CHANNELS: 1_000, BROADCASTER: 5_000}
    return tuple(
        name
        for name in PEERS
        if name not in absent
        and (name not in most or (frame == FRAME and subscribers <= most[name]))
    )


def not_installed() -> dict[str, str]:
    """Return the peers that are not here, each with the packages that it needs."""
    needed = {
        PICOWS: ("picows",),
        SOCKETIO: ("socketio",),
        CHANNELS: ("django", "channels", "channels_redis"),
        BROADCASTER: ("broadcaster",),
    }
    absent = {
        name: ", ".join(packages)
        for name, packages in needed.items()
        if not all(map(find_spec, packages))
    }
    if not (shutil.which("node") and (NODE_MODULES / "node_modules" / "ws").is_dir()):
        absent[NODE_WS] = "node and npm"
    return absent | brokers.missing()
