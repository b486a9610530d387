"""A monitor process for tests to stop: it leads, and its log says so, and when it steps down."""

from __future__ import annotations

import asyncio
import sys

from monitor.bus import connect
from monitor.service import Service
from tests.monitor.hands import CountingTracker, HandSource, NoteBook


class ReadySource(HandSource):
    """Connected as soon as it runs."""

    async def run(self) -> None:
        self.connect()
        await super().run()


async def main(url: str) -> None:
    async with connect(url) as redis:
        service = Service(
            "stopped", "pbx", redis, CountingTracker, ReadySource, records=NoteBook(), heartbeat=0.1, lease_ttl=1.0
        )
        await service.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
