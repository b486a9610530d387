"""Measure the CPU time of the server for each frame that it sends to a subscriber.

Every contestant is a process of its own with a load of its own, as many raw sockets as there are
subscribers. In turn each sends some broadcasts; the next one begins when every subscriber has the
last one. The gateway's broadcasts are changes that a writer publishes on a real Redis: what it
costs to follow the bus, to keep the replica and to encode the frame is in its figure, while the
others send bytes that they have from the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from websockets.asyncio.client import connect

from tests.bench.bus_feed import FRAME, HEADER, Writer, first_state, gateway, stream_paths, writing
from tests.bench.frameworks import SOCKETIO_HELLO, SOCKETIO_PATH
from tests.bench.processes import ROOT, Party, party, python, ratio, rounds
from tests.bus import RealBus

_HEARTBEAT = 60
"""Seconds. Few fall into a round; what they cost is counted, but not as deliveries."""
PATIENCE = 1.0
"""Seconds for which a broadcast may be under way before the next one is sent all the same."""
_WARM = 100
"""Changes before the first round, so that all positions have as many digits."""
OURS = "callmon gateway"
SOCKETIO = "python-socketio emit to a room (uvicorn, uvloop)"
CHANNELS = "Django Channels group_send (uvicorn, uvloop)"
BROADCASTER = "broadcaster, Starlette send_text (uvicorn, uvloop)"
NODE_WS = ROOT / ".venv" / "node" / "node_modules" / "ws"
"""Where ``make bench`` puts Node's ws, if there is npm."""
_NODE = Path(__file__).with_name("node_ws.mjs")


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

    async def round(self, broadcasts: int) -> float:
        """Microseconds of the server's CPU time for a delivery."""
        before = expected = await self._received()
        begun = self.server.cpu
        for _ in range(broadcasts):
            expected += self.frame * self.subscribers
            self.load.tell(do="expect", group="", bytes=expected)
            await self.send()
            if not await self._arrived():
                expected = await self._received()
        await asyncio.sleep(0.01)  # the server may be about to sleep, but is not yet
        cpu = self.server.cpu - begun
        return cpu * self.frame / max(1, await self._received() - before) * 1e6

    async def _received(self) -> int:
        return int((await self.load.ask(do="count", group=""))["bytes"])

    async def _arrived(self) -> bool:
        """Wait until every subscriber has it; whether that came to pass.

        What arrived is counted in any case.
        """
        try:
            await self.load.hear(PATIENCE)
        except TimeoutError:
            self.load.tell(do="give up")
            while "given_up" not in await self.load.hear():
                pass
            self.late.append(1)
            return False
        return True


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Microseconds of CPU time for a delivery, each contestant's round by round."""

    subscribers: int
    rounds: dict[str, list[float]]
    late: int
    """Changes that did not reach all within :data:`PATIENCE` seconds."""

    def median(self, name: str) -> float:
        """Of a contestant."""
        return median(self.rounds[name])

    def ratio(self, other: str) -> float:
        """The gateway's to another's, of rounds next to each other."""
        return ratio(self.rounds[OURS], self.rounds[other])


async def measure(
    bus: RealBus, subscribers: int, names: tuple[str, ...], times: int, each: int
) -> Deliveries:
    """``times`` rounds of ``each`` broadcasts of the gateway and of these peers."""
    async with AsyncExitStack() as stack:
        contestants = {OURS: await stack.enter_async_context(_gateway(bus, subscribers))}
        for name in names:
            contestants[name] = await stack.enter_async_context(_peer(name, bus, subscribers))
        turns: dict[str, Callable[[], Awaitable[float]]] = {
            name: partial(contestant.round, each) for name, contestant in contestants.items()
        }
        for turn in turns.values():  # warm up
            await turn()
        said = await rounds(turns, times)
        return Deliveries(subscribers, said, len(contestants[OURS].late))


@asynccontextmanager
async def _gateway(bus: RealBus, subscribers: int) -> AsyncIterator[Contestant]:
    async with (
        writing(bus, first_state()) as writer,
        gateway(bus, _HEARTBEAT) as server,
        party(*python("load")) as load,
    ):
        for _ in range(_WARM):
            await writer.rename()
        await load.ask(do="open", group="", port=server.port, paths=stream_paths(subscribers))
        await _quiet(load)
        send = partial(writer.rename, await _fitting(writer, server))
        yield Contestant(server, load, subscribers, FRAME + HEADER, send)


async def _fitting(writer: Writer, server: Party) -> int:
    """The length of the name with which a frame has the size that it should."""
    length = 12
    async with connect(f"ws://127.0.0.1:{server.port}{stream_paths(1)[0]}") as socket:
        while '"snapshot"' not in str(await socket.recv()):
            pass
        for _ in range(2):
            await writer.rename(length)
            while '"change"' not in (frame := str(await socket.recv())):
                pass
            length += FRAME - len(frame)
    assert len(frame) == FRAME
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
async def _peer(name: str, bus: RealBus, subscribers: int) -> AsyncIterator[Contestant]:
    command, path, hello = {
        "write(2)": (python("peers", "write"), "", ""),
        "Starlette send_bytes": (python("peers", "starlette"), "/", ""),
        "websockets broadcast": (python("peers", "broadcast"), "/", ""),
        "Node ws": (("node", str(_NODE)), "/", ""),
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

        yield Contestant(server, load, subscribers, FRAME + HEADER, send)
