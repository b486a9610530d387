"""A monitor process for tests to stop or kill: it leads, and its log says so, and when it steps down.

What it carries out stands in the Redis list ``carried out``, as it would at a PBX, whatever becomes of the answer.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Mapping

from redis.asyncio import Redis

from monitor.bus import connect, send
from monitor.service import Emit, MayMint, Service
from tests.monitor.hands import CountingTracker, HandSource, NoteBook


class ReadySource(HandSource):
    """Connected as soon as it runs."""

    def __init__(self, emit: Emit, may_mint: MayMint, deeds: Redis) -> None:
        super().__init__(emit, may_mint)
        self._deeds = deeds

    async def run(self) -> None:
        self.connect()
        await super().run()

    async def execute(self, command: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        await send(self._deeds, [("RPUSH", "carried out", arguments["num"])])
        await asyncio.sleep(random.uniform(0.0, 0.02))
        return await super().execute(command, arguments)


async def main(url: str) -> None:
    async with connect(url) as redis, connect(url) as deeds:

        def source(emit: Emit, may_mint: MayMint) -> ReadySource:
            return ReadySource(emit, may_mint, deeds)

        service = Service(
            str(os.getpid()), "pbx", redis, CountingTracker, source, records=NoteBook(), heartbeat=0.1, lease_ttl=1.0
        )
        await service.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
