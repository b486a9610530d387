"""Run a monitor for tests to stop or kill: its log says when it leads and steps down.

What it carries out stands in the Redis list ``carried out``, as it would at a PBX, whatever becomes
of the answer. A second argument is the ``state_dir`` of what must outlive Redis; a third is the
address of the Redis that is the PBX, where a key ``slow`` makes it slow; a fourth the lease's time.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Mapping
from pathlib import Path

from redis.asyncio import Redis

from monitor.leadership.pbx_service import Emit, MayMint, PbxService
from monitor.persistence.sqlite_store import STORE
from monitor.shared.redis.connection import connect, send
from tests.monitor.hands import CountingTracker, NoteBook, ReadySource


class SlowSource(ReadySource):
    """Says in Redis what it carries out, and may be slow."""

    def __init__(self, emit: Emit, may_mint: MayMint, deeds: Redis) -> None:
        super().__init__(emit, may_mint)
        self._deeds = deeds

    async def execute(self, command: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        await send(self._deeds, [("RPUSH", "carried out", arguments["num"])])
        while await self._deeds.exists("slow"):  # noqa: ASYNC110 - it is another process's
            await asyncio.sleep(0.02)
        await asyncio.sleep(random.uniform(0.0, 0.02))
        return await super().execute(command, arguments)


async def main(url: str, state_dir: str = "", pbx: str = "", lease: str = "1.0") -> None:
    store = NoteBook(Path(state_dir) / STORE if state_dir else None)
    async with connect(url) as redis, connect(pbx or url) as deeds:

        def source(emit: Emit, may_mint: MayMint) -> SlowSource:
            return SlowSource(emit, may_mint, deeds)

        service = PbxService(
            *(str(os.getpid()), "pbx", redis, CountingTracker, source),
            store=store,
            heartbeat=0.1,
            lease_ttl=float(lease),
        )
        await service.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
