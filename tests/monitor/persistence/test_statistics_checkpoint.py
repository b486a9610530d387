"""Test the day's statistics that Redis and the file keep."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from monitor.persistence import statistics_checkpoint as module
from monitor.persistence.sqlite_store import Store
from monitor.persistence.statistics_checkpoint import StatisticsCheckpoint
from monitor.shared.errors import StoreFailed
from monitor.shared.redis.connection import raise_if_cancelled
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.redis.rejected_values import RejectedValues, collecting
from monitor.shared.tasks import running
from monitor.statistics.checkpoint_format import SavedStatistics, decode, encode
from tests.bus import Bus, RealBus, until_async
from tests.monitor.hands import NoteBook

KEYS = SpaceKeys("pbx", "live")


class Broken(Store):
    """A file on a disk that is gone."""

    async def statistics(self, pbx: str) -> bytes | None:
        raise StoreFailed("no disk")

    async def save_statistics(self, pbx: str, data: bytes) -> None:
        raise StoreFailed("no disk")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_EVERY_S", 0.01)
    monkeypatch.setattr(module, "_AT_THE_END_S", 60.0)


async def in_redis(redis: Redis) -> SavedStatistics | None:
    data = await redis.get(KEYS.statistics)
    return decode(data) if isinstance(data, bytes) else None


async def kept(redis: Redis, at: int) -> bool:
    saved = await in_redis(redis)
    return saved is not None and saved.at == at


async def test_the_newer_of_what_redis_and_the_file_hold_is_read(bus: Bus, tmp_path: Path) -> None:
    redis, store = bus.client(), Store(tmp_path / "callmon.db")
    await store.open()
    checkpoint = StatisticsCheckpoint(redis, "pbx", "me", store)
    assert await checkpoint.read() is None
    for to_redis, to_file, newer in ((3, 2, 3), (3, 4, 4)):
        await redis.set(KEYS.statistics, encode(SavedStatistics(at=to_redis)))
        await store.save_statistics("pbx", encode(SavedStatistics(at=to_file)))
        found = await checkpoint.read()
        assert found is not None
        assert found.at == newer
    await redis.set(KEYS.statistics, b"of another version")
    found = await checkpoint.read()
    assert found is not None
    assert found.at == 4
    await store.close()


async def test_what_is_newer_but_broken_inside_gives_way_to_what_can_be_read(
    bus: Bus, tmp_path: Path
) -> None:
    redis, store, rejected = bus.client(), Store(tmp_path / "callmon.db"), RejectedValues()
    await store.open()
    broken = encode(SavedStatistics(at=9, peak=2**60))
    await redis.set(KEYS.statistics, broken)
    await store.save_statistics("pbx", encode(SavedStatistics(at=4)))
    checkpoint = StatisticsCheckpoint(redis, "pbx", "me", store)
    with collecting(rejected):
        found = await checkpoint.read()
    assert found is not None
    assert found.at == 4
    assert KEYS.statistics in rejected.sentence()
    await store.close()


async def test_a_standby_looks_at_the_time_alone_and_reads_the_rest_when_it_takes_the_lead(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, store = bus.client(), Store(tmp_path / "callmon.db")
    await store.open()
    checkpoint = StatisticsCheckpoint(redis, "pbx", "me", store)
    with monkeypatch.context() as patch:
        for at in (5, 7, 6):
            await redis.set(KEYS.statistics, encode(SavedStatistics(at=at)))
            await checkpoint.mirror()  # the first goes to the file, and is read for it
            patch.delattr(module, "decode", raising=False)
    await redis.delete(KEYS.statistics)
    found = await checkpoint.read()
    assert found is not None
    assert found.at == 7
    await checkpoint.shelve()
    assert decode(await store.statistics("pbx") or b"").at == 7
    await store.close()


async def test_what_is_broken_inside_replaces_nothing_that_a_standby_keeps(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TO_FILE", 2)
    redis, store, rejected = bus.client(), Store(tmp_path / "callmon.db"), RejectedValues()
    await store.open()
    checkpoint = StatisticsCheckpoint(redis, "pbx", "me", store)
    with collecting(rejected):
        for saved in (SavedStatistics(at=5), SavedStatistics(at=6, peak=2**60)):
            await redis.set(KEYS.statistics, encode(saved))
            await checkpoint.mirror()
        await redis.set(KEYS.statistics, encode(SavedStatistics(at=7, peak=2**60)))
        await checkpoint.mirror()
    assert KEYS.statistics in rejected.sentence()
    assert decode(await store.statistics("pbx") or b"").at == 5
    found = await checkpoint.read()
    assert found is not None
    assert found.at == 5
    await redis.set(KEYS.statistics, encode(SavedStatistics(at=6)))
    await checkpoint.mirror()
    await redis.delete(KEYS.statistics)
    found = await checkpoint.read()
    assert found is not None
    assert found.at == 6
    await store.close()


async def test_only_who_holds_the_lease_writes_to_redis(bus: Bus) -> None:
    redis = bus.client()
    await redis.set(KEYS.lease, "another")
    saved = SavedStatistics(at=1)
    async with running(StatisticsCheckpoint(redis, "pbx", "me", NoteBook()).run(lambda: saved)):
        await asyncio.sleep(0.1)
        assert await in_redis(redis) is None
        await redis.set(KEYS.lease, "me")
        await until_async(lambda: kept(redis, 1))


async def test_it_is_written_in_spite_of_a_lease_that_is_renewed_all_the_time(
    valkey: RealBus,
) -> None:
    redis, saved = valkey.client(), SavedStatistics(at=7)
    await redis.set(KEYS.lease, "me")

    async def renew() -> None:
        while True:
            await redis.pexpire(KEYS.lease, 5_000)
            raise_if_cancelled()
            await asyncio.sleep(0.002)

    checkpoint = StatisticsCheckpoint(redis, "pbx", "me", NoteBook())
    async with running(renew(), checkpoint.run(lambda: saved)):
        await until_async(lambda: kept(redis, 7))


async def test_at_the_end_the_last_is_kept_in_both(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP_EVERY_S", 3600.0)
    redis, store = bus.client(), Store(tmp_path / "callmon.db")
    await store.open()
    await redis.set(KEYS.lease, "me")
    async with running(
        StatisticsCheckpoint(redis, "pbx", "me", store).run(lambda: SavedStatistics(at=9))
    ):
        await asyncio.sleep(0.01)
    assert await kept(redis, 9)
    assert decode(await store.statistics("pbx") or b"").at == 9
    await store.close()


async def test_neither_a_redis_that_is_gone_nor_a_broken_file_stops_it(valkey: RealBus) -> None:
    redis = valkey.client()
    await redis.set(KEYS.lease, "me")
    checkpoint = StatisticsCheckpoint(redis, "pbx", "me", Broken(None))
    valkey.kill()
    assert await checkpoint.read() is None
    async with running(checkpoint.run(lambda: SavedStatistics(at=5))) as (keeping,):
        await asyncio.sleep(0.2)
        assert not keeping.done()
        await valkey.start()
        await redis.set(KEYS.lease, "me")
        await until_async(lambda: kept(redis, 5))


async def test_nothing_is_kept_before_anything_is_counted(bus: Bus) -> None:
    redis = bus.client()
    await redis.set(KEYS.lease, "me")
    async with running(StatisticsCheckpoint(redis, "pbx", "me", NoteBook()).run(lambda: None)):
        await asyncio.sleep(0.05)
    assert await redis.get(KEYS.statistics) is None
