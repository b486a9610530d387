"""Logins to queues as they are told when they have changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from monitor.pbx.clock import PbxClock
from monitor.pbx.facts import QueueLoginsRead
from monitor.pbx.myphone.client import MyPhoneClient
from monitor.pbx.myphone.queue_logins import QueueLoginReader
from monitor.shared.errors import (
    CommandRefused,
)
from monitor.simulator.server import SimulatedPbx
from tests.monitor.pbx.commanding import NEVER
from tests.monitor.pbx.myphone.web_clients import (
    COMMANDS,
    SESSION,
    allow,
    an_agent,
    client_of,
    ids,
    truth,
)
from tests.monitor.pbx.scripted import Facts


class Telling:
    """Logins as they are told while a test runs, and who changes them elsewhere."""

    def __init__(
        self, pbx: SimulatedPbx, logins: QueueLoginReader, facts: Facts, other: MyPhoneClient
    ) -> None:
        self.pbx, self.logins, self.facts, self.other = pbx, logins, facts, other
        self.connected = asyncio.Event()

    @property
    def told(self) -> list[Mapping[str, Mapping[str, bool]] | None]:
        return [fact.logins for fact in self.facts.of(QueueLoginsRead)]

    async def until(self, is_so: Callable[[Mapping[str, Mapping[str, bool]] | None], bool]) -> None:
        """Wait until the last that was told is so."""
        await self.facts.until(
            QueueLoginsRead, lambda fact: fact.logins == self.told[-1] and is_so(fact.logins)
        )

    async def log(self, *, on: bool) -> None:
        """Log the first agent of queue 800 in or out, elsewhere."""
        await self.other.set_queue_status(*ids(self.pbx, "800", an_agent(self.pbx)), logged_in=on)


@asynccontextmanager
async def telling(pbx: SimulatedPbx, **changes: Any) -> AsyncIterator[Telling]:
    """Logins are read, once it is said that the PBX is connected, until the block ends."""
    chosen: dict[str, Any] = {"logins_interval": NEVER, "recheck_interval": NEVER}
    client, clock, facts = client_of(pbx, **chosen | changes), PbxClock(), Facts()
    logins = QueueLoginReader(client, facts.emit, clock, client.settings)
    telling = Telling(pbx, logins, facts, MyPhoneClient(client))
    running = asyncio.create_task(logins.run(telling.connected))
    try:
        yield telling
    finally:
        assert not running.done(), running
        running.cancel()
        await asyncio.wait([running])
        await telling.other.close()
        await logins.web.close()
        await client.close()


async def test_nothing_is_asked_before_the_pbx_is_connected(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    async with telling(pbx) as desk:
        desk.logins.want()
        for _ in range(5):
            await web.queues_info()
        assert (desk.told, pbx.tokens.minted) == ([], 1), "the token is of whom the test asks with"
        desk.connected.set()
        await desk.until(lambda logins: logins == truth(pbx))
        assert (desk.told, pbx.tokens.minted) == ([truth(pbx)], 2)


async def test_a_change_made_elsewhere_is_told_when_it_is_read_and_nothing_twice(
    pbx: SimulatedPbx,
) -> None:
    before = truth(pbx)
    async with telling(pbx) as desk:
        desk.connected.set()
        await desk.until(lambda logins: logins == before)
        await desk.logins.read()
        await desk.log(on=False)
        assert desk.told == [before], "nobody has read it yet"
        desk.logins.want()
        await desk.until(lambda logins: logins == truth(pbx))
        await desk.logins.read()
        await desk.log(on=True)
        await desk.logins.read()
        assert len(desk.told) == 3
        assert (desk.told[0], desk.told[2]) == (before, before)
        assert desk.told[1] != before


async def test_a_change_made_elsewhere_is_found_without_being_asked_for(pbx: SimulatedPbx) -> None:
    async with telling(pbx, logins_interval=0.01) as desk:
        desk.connected.set()
        for on in (False, True, False):
            await desk.log(on=on)
            await desk.until(lambda logins: logins == truth(pbx))


async def test_a_right_that_is_taken_away_is_told_once_and_its_return_too(
    pbx: SimulatedPbx,
) -> None:
    known = truth(pbx)
    async with telling(pbx) as desk:
        desk.connected.set()
        await desk.until(lambda logins: logins == known)
        allow(pbx, web_client=False)
        desk.logins.want()
        await desk.until(lambda logins: logins is None)
        pbx.faults.answer_with(403, 1, SESSION)
        desk.logins.want()
        async with asyncio.timeout(60):
            await pbx.faults.until("answered")
        allow(pbx, web_client=True)
        desk.logins.want()
        await desk.until(lambda logins: logins == known)
        assert desk.told == [known, None, known]


async def test_without_the_right_there_is_nothing_to_tell(pbx: SimulatedPbx) -> None:
    allow(pbx, web_client=False)
    async with telling(pbx) as desk:
        pbx.faults.answer_with(403, 1, SESSION)
        desk.connected.set()
        async with asyncio.timeout(60):
            await pbx.faults.until("answered")
        with pytest.raises(CommandRefused):
            await desk.logins.read()
        allow(pbx, web_client=True)
        await desk.logins.read()
        assert desk.told == [truth(pbx)]


async def test_a_pbx_that_fails_for_a_while_does_not_make_what_is_known_unknown(
    pbx: SimulatedPbx,
) -> None:
    known = truth(pbx)
    async with telling(pbx) as desk:
        desk.connected.set()
        await desk.until(lambda logins: logins == known)
        await desk.logins.read()
        pbx.directory.logins.set("800", an_agent(pbx), logged_in=False)  # nobody is told of it
        pbx.faults.answer_with(500, 3, COMMANDS)
        desk.logins.want()
        await desk.until(lambda logins: logins == truth(pbx))
        assert pbx.faults.happened["answered"] == 3
        assert desk.told == [known, truth(pbx)]
