"""Test when a space is written, and when it is left alone."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from monitor.lease import Lease
from monitor.publishing.publish_loop import PublishLoop
from monitor.publishing.state_publisher import StatePublisher
from monitor.shared.entities.topics import empty_state
from monitor.shared.redis.connection import connect
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.tasks import running
from tests.bus import RealBus, free_port, until

BOOK = SpaceKeys("pbx", "book")
HEARTBEAT_S = 0.2


class _Counting(Lease):
    """Counts how often it was taken or renewed."""

    acquired = 0

    async def acquire(self) -> bool:
        self.acquired += 1
        return await super().acquire()


async def test_a_space_whose_state_is_not_whole_is_left_alone_from_heartbeat_to_heartbeat(
    valkey: RealBus,
) -> None:
    """Look at intervals: each look renews the lease, and a quick second one would starve others."""
    redis = valkey.client()
    before = Lease(redis, BOOK, "m/1", 30.0)
    assert await before.acquire()
    earlier = StatePublisher(redis, BOOK, "m/1", lease=before)
    await earlier.start_epoch(empty_state(BOOK.topics))
    await earlier.aclose()
    await redis.delete(BOOK.lease)
    lease = _Counting(redis, BOOK, "m/2", 30.0)
    assert await lease.acquire()
    publisher = StatePublisher(redis, BOOK, "m/2", lease=lease)
    writer = PublishLoop(
        publisher, lease, lambda: empty_state(BOOK.topics), lambda: False, HEARTBEAT_S
    )
    began = asyncio.get_running_loop().time()
    async with running(writer.run()):
        await until(lambda: lease.acquired >= 6)
        took = asyncio.get_running_loop().time() - began
    assert took >= 4 * HEARTBEAT_S


async def test_a_redis_that_is_away_is_warned_of_once() -> None:
    redis = connect(f"redis://127.0.0.1:{free_port()}")
    lease = Lease(redis, BOOK, "m/1", 30.0)
    writer = PublishLoop(
        StatePublisher(redis, BOOK, "m/1", lease=lease),
        lease,
        lambda: empty_state(BOOK.topics),
        lambda: True,
        HEARTBEAT_S,
    )
    with capture_logs() as logs:
        running = asyncio.create_task(writer.run())
        await until(lambda: writer._backoff.failures > 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await redis.aclose()
    told = [line["log_level"] for line in logs if line["event"] == "redis_unreachable"]
    assert told[:3] == ["warning", "info", "info"]
