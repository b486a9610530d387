"""Run a monitor in this process, with a tracker and a source that do what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from monitor.leadership.leader_term import DatabaseLike
from monitor.leadership.membership import Membership
from monitor.leadership.pbx_service import Emit, MayMint, PbxService
from tests.bus import Bus, until
from tests.faulty import FaultyRedis, Network
from tests.monitor.hands import CountingTracker, HandSource, NoteBook


class Process:
    """A monitor process: its service, and the source of each of its terms of office."""

    def __init__(
        self,
        bus: Bus,
        name: str,
        ttl: float = 3.0,
        database: DatabaseLike | None = None,
        membership: Membership | None = None,
    ) -> None:
        self.network = Network()
        self.sources: list[HandSource] = []
        self.trackers: list[CountingTracker] = []
        redis = FaultyRedis(bus.client(), self.network)
        self.records = NoteBook()
        self.service = PbxService(
            name,
            "pbx",
            redis,
            self._tracker,
            self._source,
            store=self.records,
            database=database,
            heartbeat=0.1,
            lease_ttl=ttl,
            log_length=100,
            membership=membership,
        )

    @property
    def source(self) -> HandSource:
        return self.sources[-1]

    def _tracker(self) -> CountingTracker:
        self.trackers.append(CountingTracker())
        return self.trackers[-1]

    def _source(self, emit: Emit, may_mint: MayMint) -> HandSource:
        self.sources.append(HandSource(emit, may_mint))
        return self.sources[-1]


@asynccontextmanager
async def running(
    bus: Bus,
    name: str = "one",
    *,
    connected: bool = True,
    ttl: float = 3.0,
    database: DatabaseLike | None = None,
    membership: Membership | None = None,
) -> AsyncIterator[Process]:
    process = Process(bus, name, ttl, database, membership)
    task = asyncio.create_task(process.service.run())
    try:
        if connected:
            await until(lambda: bool(process.sources) and process.source.running)
            process.source.connect()
        yield process
    finally:
        task.cancel()
        _, still_running = await asyncio.wait([task], timeout=60)
        assert not still_running
        await process.records.close()
