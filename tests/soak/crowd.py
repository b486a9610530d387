"""Run subscribers of all kinds in a process that says what each of them holds.

Fast ones take what comes at once; slow ones rest after each frame; stuck ones take nothing for up
to a minute and a half, again and again; restless ones leave and come back, to any gateway. Commands
and answers are lines of JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import uvloop

from gateway.stream_client import Entities, StreamClient
from monitor.shared.entities.topics import TOPICS
from tests.system.stack import KEY

Kind = Literal["fast", "slow", "stuck", "restless"]
KINDS: tuple[Kind, ...] = ("fast", "slow", "stuck", "restless")
FEW = ("system", "calls")
_ALL_IN = 20
"""One in so many watches all topics."""
_JOINING = 0.01
"""Seconds between two that come."""


@dataclass(slots=True)
class Member:
    """One subscriber."""

    kind: Kind
    addresses: Sequence[str]
    topics: Sequence[str]
    dice: random.Random
    client: StreamClient | None = None
    came: int = 0
    reconnects: int = 0
    resumed: int = 0

    @property
    def state(self) -> Entities:
        """What it holds; nothing while it is away."""
        return {} if self.client is None else self.client.state

    async def live(self, calm: asyncio.Event) -> None:
        """Until cancelled. While ``calm`` is set nobody rests, is stuck or leaves."""
        while True:
            self.came += 1
            address = self.dice.choice(self.addresses)
            self.client = client = StreamClient(address.replace("http", "ws", 1), KEY, self.topics)
            async with client:
                async for _ in _for_a_while(client, self._stay(), calm):
                    await self._rest(calm)
            self.client = None
            self.reconnects += client.reconnects
            self.resumed += client.resumed
            await self._for(self.dice.uniform(0, 5), calm)

    def _stay(self) -> float:
        return self.dice.uniform(1, 30) if self.kind == "restless" else float("inf")

    async def _rest(self, calm: asyncio.Event) -> None:
        match self.kind:
            case "slow":
                await self._for(self.dice.uniform(0, 0.5), calm)
            case "stuck" if self.dice.random() < 0.05:
                await self._for(self.dice.uniform(5, 90), calm)
            case _:
                pass

    async def _for(self, seconds: float, calm: asyncio.Event) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(calm.wait(), seconds)


async def _for_a_while(
    client: StreamClient, seconds: float, calm: asyncio.Event
) -> AsyncIterator[object]:
    """Its updates, until it has stayed so long and things are not calm."""
    loop = asyncio.get_running_loop()
    leaves = loop.time() + seconds
    async for update in client:
        yield update
        if loop.time() >= leaves and not calm.is_set():
            return


class Crowd:
    """All members of this process."""

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._calm = asyncio.Event()

    async def do(self, command: dict[str, Any]) -> object:
        """Carry out a command; the answer. Raises what a member failed with."""
        for task in self._tasks:
            if task.done():
                task.result()
        match command["do"]:
            case "join":
                await self._join(command["members"], command["addresses"], command["seed"])
                return "joined"
            case "calm":
                self._calm.set()
                return "calm"
            case "go on":
                self._calm.clear()
                return "going on"
            case "held":
                return self._held()
            case other:
                raise ValueError(f"no such command: {other}")

    async def _join(self, members: int, addresses: Sequence[str], seed: int) -> None:
        dice = random.Random(seed)
        for number in range(members):
            topics = tuple(TOPICS) if number % _ALL_IN == 0 else FEW
            own = random.Random(dice.random())
            member = Member(KINDS[number // 2 % len(KINDS)], addresses, topics, own)
            self._members.append(member)
            self._tasks.append(asyncio.create_task(member.live(self._calm)))
            await asyncio.sleep(_JOINING)

    def _held(self) -> dict[str, Any]:
        """Each different state that is held, with how many hold it.

        The server's clock is not looked at.
        """
        different: list[tuple[Entities, dict[str, int]]] = []
        for member in self._members:
            state = {
                topic: member.state.get(topic, {}) for topic in member.topics if topic != "system"
            }
            kinds = next((kinds for other, kinds in different if other == state), None)
            if kinds is None:
                kinds = {}
                different.append((state, kinds))
            kinds[member.kind] = kinds.get(member.kind, 0) + 1
        return {
            "different": [
                {"state": state, "kinds": kinds} for state, kinds in different[:_MOST_SHOWN]
            ],
            "states": len(different),
            "came": sum(member.came for member in self._members),
            "reconnects": self._sum("reconnects"),
            "resumed": self._sum("resumed"),
        }

    def _sum(self, what: Literal["reconnects", "resumed"]) -> int:
        clients = [member.client for member in self._members if member.client is not None]
        return sum(int(getattr(each, what)) for each in (*self._members, *clients))


_MOST_SHOWN = 4


@dataclass(slots=True)
class Line:
    """Standard input and output, a line of JSON each way."""

    crowd: Crowd = field(default_factory=Crowd)

    async def serve(self) -> None:
        """Answer until standard input ends."""
        reader = asyncio.StreamReader(limit=1 << 20)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        self._say({"port": 0})
        while line := await reader.readline():
            self._say(await self.crowd.do(json.loads(line)))

    def _say(self, what: object) -> None:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(Line().serve())
