"""Measure the CPU time of ``pbx.callsinfo.get`` while the calls change twenty times a second.

The peers are Starlette routes under the same server, for which nothing changes: one returns the
same bytes that it has from the start, one encodes the same value as JSON each time. Eight
connections, on each one request after another.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from tests.bench.bus_feed import ORIGIN, Writer, gateway, key, writing
from tests.bench.office import Office
from tests.bench.processes import Party, party, python, ratio, rounds
from tests.bus import RealBus

_CHANGES = 20
"""A second."""
OURS, KNOWN, PAGE, POST, BARE, ENCODING = (
    "callmon gateway",
    "callmon gateway, If-None-Match",
    "callmon gateway, a page of another origin",
    "callmon gateway, POST",
    "bare route",
    "route that encodes",
)


@dataclass(frozen=True, slots=True)
class Requests:
    """Hold µs of CPU time for a request, by contestant and round; ``size``: bytes of the answer."""

    calls: int
    size: int
    rounds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Of a contestant."""
        return median(self.rounds[name])

    def ratio(self, other: str, mine: str = OURS) -> float:
        """How many requests a second we answer for each one of another's, by CPU time."""
        return ratio(self.rounds[other], self.rounds[mine])


async def measure(bus: RealBus, calls: int, times: int, each: int) -> Requests:
    """``times`` rounds of ``each`` requests to each contestant, with so many calls at the PBX."""
    office = Office(max(50, calls * 2), calls)
    async with (
        writing(bus, office.tracker.state) as writer,
        gateway(bus) as server,
        party(*python("peers", "routes")) as peer,
        party(*python("requester")) as requester,
    ):
        request = _get(f"/webapi/{key(0)}/pbx.callsinfo.get")
        body = (await requester.ask(port=server.port, request=request, body=True))["body"]
        await peer.ask(body=body)

        async def ours(request: str) -> float:
            async with _changing(office, writer):
                return await _round(server, requester, request, each)

        async def known() -> float:
            # Of the number of calls, which stays the same: the answer with a tag of its own.
            address = f"/webapi/{key(0)}/pbx.calls.get"
            head = (await requester.ask(port=server.port, request=_get(address), body=True))["head"]
            tag = re.search(r"etag: (\S+)", head, re.IGNORECASE)
            assert tag is not None
            return await ours(_get(address, f"If-None-Match: {tag[1]}\r\n"))

        page = _get(f"/webapi/{key(0)}/pbx.callsinfo.get", f"Origin: {ORIGIN}\r\n")

        turns: dict[str, Callable[[], Awaitable[float]]] = {
            OURS: partial(ours, request),
            BARE: partial(_round, peer, requester, _get("/bare"), each),
            ENCODING: partial(_round, peer, requester, _get("/json"), each),
            KNOWN: known,
            PAGE: partial(ours, page),
            POST: partial(ours, _post("/webapi/pbx.callsinfo.get", f"key={key(0)}")),
        }
        for turn in turns.values():  # warm up
            await turn()
        return Requests(calls, len(body), await rounds(turns, times))


def _get(path: str, headers: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n{headers}\r\n"


def _post(path: str, body: str) -> str:
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{form}Content-Length: {len(body)}\r\n\r\n"
    return head + body


async def _round(server: Party, requester: Party, request: str, times: int) -> float:
    begun = server.cpu
    answer: dict[str, Any] = await requester.ask(port=server.port, request=request, times=times)
    assert set(answer["statuses"]) <= {"200", "304"}, answer
    return (server.cpu - begun) / times * 1e6


@asynccontextmanager
async def _changing(office: Office, writer: Writer) -> AsyncIterator[None]:
    """Twenty changes a second for as long as the block lasts."""

    over = asyncio.Event()

    async def change() -> None:
        edits = office.edits()
        while not over.is_set():
            await writer.publish(next(edits))
            await asyncio.sleep(1 / _CHANGES)

    changing = asyncio.create_task(change())
    try:
        yield
    finally:
        over.set()  # not cancelled: a publish under way must end
        await changing
