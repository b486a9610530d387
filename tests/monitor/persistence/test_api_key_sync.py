"""API keys in the monitors' files and on Redis: the newest change of each, everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.auth.api_keys import to_stored
from gateway.auth.key_admin import KeyAdmin
from gateway.visibility import Limits
from monitor.persistence.api_key_sync import ApiKeySync
from monitor.persistence.sqlite_store import Store
from monitor.shared.api_keys import decode_key, encode_key
from monitor.shared.redis.key_names import AccessKeys
from monitor.shared.tasks import running
from tests.bus import Bus, flush, until
from tests.test_keys import WALL, checkpoint


async def revoked(redis: Redis) -> bool:
    """Whether the key is revoked, by the table on Redis."""
    data = await redis.hget(AccessKeys("pbx").table, "wall")
    assert isinstance(data, bytes)
    return decode_key(data).revoked


async def test_who_stands_by_takes_keys_over_puts_back_what_it_knows_better_and_calls_nothing_whole(
    bus: Bus, tmp_path: Path
) -> None:
    redis, names, store = bus.client(), AccessKeys("pbx"), Store(tmp_path / "standby.db")
    await store.open()
    standby = ApiKeySync(redis, "pbx", store)
    await redis.hset(names.table, "wall", encode_key(to_stored(WALL, 1.0)))
    await standby.mirror()
    assert await store.stored_keys("pbx") == {"wall": to_stored(WALL, 1.0)}
    await store.keep_key("pbx", to_stored(WALL, 2.0, revoked=True))
    await standby.mirror()
    assert await revoked(redis)
    await flush(bus)
    await standby.mirror()
    assert await revoked(redis)
    assert not await redis.exists(names.ready)
    await store.close()


async def test_a_leader_that_came_after_another_calls_no_empty_table_whole_until_it_held_one(
    bus: Bus,
) -> None:
    redis, names, store = bus.client(), AccessKeys("pbx"), Store(None)
    await store.open()
    key_sync = ApiKeySync(redis, "pbx", store, others=lambda: True)
    await key_sync.reconcile()
    assert not await redis.exists(names.ready)
    await redis.hset(
        names.table, "wall", encode_key(to_stored(WALL, 1.0))
    )  # somebody has filled it
    await key_sync.reconcile()
    assert await redis.exists(names.ready)
    await flush(bus)
    await key_sync.reconcile()
    assert await redis.exists(names.ready), "now it knows"
    await store.close()


async def test_keys_survive_in_the_monitors_file(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 60.0)
    changes = KeyAdmin(bus.client(), "pbx")
    limited = replace(
        WALL, limits=Limits(frozenset({"101"}), None, frozenset()), networks=("127.0.0.0/8",)
    )
    async with checkpoint(bus, tmp_path / "callmon.db"):
        await changes.make(limited)
    await flush(bus)
    async with checkpoint(bus, tmp_path / "callmon.db") as key_sync:
        await key_sync.reconcile()
        assert await changes.all() == [limited]


async def test_a_standby_with_an_older_file_revives_no_revoked_key(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 60.0)
    changes = KeyAdmin(bus.client(), "pbx")
    async with checkpoint(bus, tmp_path / "one.db"), checkpoint(bus, tmp_path / "two.db"):
        await changes.make(WALL)
    async with checkpoint(bus, tmp_path / "one.db"):
        assert await changes.revoke("wall")
    async with checkpoint(bus, tmp_path / "two.db") as key_sync:
        await key_sync.reconcile()
        assert await changes.all() == []


async def compared(
    redis: Redis, *, leading: bool
) -> tuple[Store, Callable[[], Coroutine[Any, Any, None]]]:
    """A file, open, and what compares it with Redis."""
    store = Store(None)
    await store.open()
    key_sync = ApiKeySync(redis, "pbx", store)
    return store, key_sync.reconcile if leading else key_sync.mirror


@pytest.mark.parametrize("leading", [True, False], ids=["leading", "standing by"])
async def test_a_revocation_that_a_full_disk_does_not_take_outlives_an_emptied_redis(
    bus: Bus, leading: bool
) -> None:
    redis, names = bus.client(), AccessKeys("pbx")
    store, compare = await compared(redis, leading=leading)
    await redis.hset(names.table, "wall", encode_key(to_stored(WALL, 1.0)))
    await compare()
    await store._with(lambda db: db.execute("PRAGMA query_only = 1"))
    await redis.hset(names.table, "wall", encode_key(to_stored(WALL, 2.0, revoked=True)))
    await compare()
    assert await redis.hget(names.kept, "wall") != b"2.0", "it is not in the file"
    await flush(bus)
    await compare()
    assert await revoked(redis)
    assert await redis.exists(names.ready) == leading
    await store._with(lambda db: db.execute("PRAGMA query_only = 0"))
    await compare()
    assert (await store.stored_keys("pbx"))["wall"].revoked
    assert await redis.hget(names.kept, "wall") == (b"2.0" if leading else None)
    await store.close()


@pytest.mark.parametrize("leading", [True, False], ids=["leading", "standing by"])
async def test_a_change_is_in_the_file_as_soon_as_the_disk_takes_it_though_nothing_else_happens(
    bus: Bus, leading: bool
) -> None:
    redis, names = bus.client(), AccessKeys("pbx")
    store, compare = await compared(redis, leading=leading)
    await compare()
    await store._with(lambda db: db.execute("PRAGMA query_only = 1"))
    await redis.hset(names.table, "wall", encode_key(to_stored(WALL, 1.0)))
    with capture_logs() as lines:
        for _ in range(3):
            await compare()
    assert [line["event"] for line in lines] == ["api_key_sync_failure"], "told once"
    await store._with(lambda db: db.execute("PRAGMA query_only = 0"))
    await compare()
    assert "wall" in await store.stored_keys("pbx")
    await store.close()


async def test_a_revocation_is_held_until_it_is_in_the_file_also_if_its_writing_is_cancelled(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, names, store = bus.client(), AccessKeys("pbx"), Store(None)
    await store.open()
    await store.keep_key("pbx", to_stored(WALL, 1.0))
    key_sync, writing = ApiKeySync(redis, "pbx", store), asyncio.Event()

    async def hang(*_: object) -> None:
        writing.set()
        await asyncio.Event().wait()

    await redis.hset(names.table, "wall", encode_key(to_stored(WALL, 2.0, revoked=True)))
    with monkeypatch.context() as held:
        held.setattr(store, "keep_key", hang)
        for _ in range(2):
            writing.clear()
            async with running(key_sync.reconcile()) as (comparing,):
                await until(lambda: writing.is_set() or comparing.done())
            await flush(bus)
    await key_sync.reconcile()
    assert await revoked(redis)
    assert (await store.stored_keys("pbx"))["wall"].revoked
    await store.close()
