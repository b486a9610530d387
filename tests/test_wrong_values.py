"""Test that no foreign value on Redis ends a reader, and that our values are written again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.auth.key_admin import KeyAdmin
from gateway.auth.key_follower import KeyFollower
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.auth.tickets import Tickets
from gateway.commands.dispatcher import CommandDispatcher
from gateway.errors import KeyUnknown
from gateway.replication.position_waiter import PositionWaiter
from gateway.replication.redis_reader import read_position, read_state
from gateway.replication.replica import Replica
from monitor.handover import fact_codec, previous_state
from monitor.handover.directory_handover import DirectoryHandover
from monitor.lease import Lease
from monitor.persistence.api_key_sync import ApiKeySync
from monitor.persistence.ended_calls import EndedCallStore
from monitor.persistence.sqlite_store import Store
from monitor.persistence.statistics_checkpoint import StatisticsCheckpoint
from monitor.publishing import publish_loop
from monitor.publishing.publish_batch import StoredPositionHash
from monitor.shared.api_keys import Budgets, StoredKey, encode_key
from monitor.shared.changes import epoch_name, is_epoch
from monitor.shared.codec import Malformed, encode_entity, to_msgpack
from monitor.shared.command_messages import IdempotencyKey
from monitor.shared.redis.connection import GuardedTransaction
from monitor.shared.redis.key_names import AccessKeys, RecordKeys, RequestKeys, SpaceKeys
from monitor.shared.redis.rejected_values import RejectedValues, collecting
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from monitor.statistics import checkpoint_format
from monitor.statistics.day import Day, day_of
from tests.bus import RealBus, until, until_async
from tests.gateway import entities
from tests.gateway.replication.test_follower import following, writing
from tests.gateway.topics.test_garbage_on_redis import GARBAGE
from tests.monitor.hands import NoteBook
from tests.monitor.terms import running
from tests.system import stack

LIVE, BOOK, ACCESS = SpaceKeys("pbx", "live"), SpaceKeys("pbx", "book"), AccessKeys("pbx")
RECORDS = RecordKeys("pbx")
ABSURD = "999999999999999-zzzz"

POSITIONS: list[Any] = [
    {"epoch": ABSURD},
    {"epoch": "zzzz", "seq": "zzzz"},
    {"epoch": b"\xff\xfe", "seq": b"\xff"},
    {"epoch": ""},
    {"seq": "-1"},
    {"seq": "99999999999999999999999999"},
    {"seq": "NaN"},
    {"seq": "1e3"},
    {"seq": "١"},
    {"id": b"\xff", "at": "yesterday"},
    {"at": "9" * 10_000},
]


@asynccontextmanager
async def written_over(
    bus: RealBus, redis: Redis, keys: SpaceKeys, wrong: Any
) -> AsyncIterator[None]:
    """A monitor and a gateway's feed at work.

    Then the position is ``wrong``, or of another kind for None.
    """
    async with running(bus) as one, following(bus) as it:
        await until(lambda: it.replica.position is not None)
        if wrong is None:
            await redis.delete(keys.position)
            await redis.rpush(keys.position, "zzzz")
        else:
            await redis.hset(keys.position, mapping=wrong)
        yield
        for _ in range(2):  # what comes after is written and followed, again and again
            one.source.call()
            name = str(one.trackers[-1].count)
            await until(lambda name=name: _ivr(it.replica) == name)  # type: ignore[misc]
        assert one.service.counters.terms == 1
        await until(lambda: it.replica.stale_since is None)


def _ivr(replica: Replica) -> str | None:
    found = replica.state["ivrs"].get("1")
    return getattr(found, "name", None)


@pytest.mark.parametrize("wrong", [None, *POSITIONS], ids=lambda value: repr(value)[:40])
async def test_a_wrong_position_is_written_over_and_followed_past(
    valkey: RealBus, wrong: dict[str, Any] | None
) -> None:
    async with written_over(valkey, valkey.client(), LIVE, wrong):
        pass


async def test_an_absurd_epoch_that_a_gateway_believed_is_dropped_once_a_monitor_is_heard(
    valkey: RealBus,
) -> None:
    redis = valkey.client()
    async with writing(valkey) as writer, following(valkey) as it:
        await it.at(await writer.start())
        await redis.hset(LIVE.position, "epoch", ABSURD)
        await until(lambda: it.replica.position is not None and it.replica.position.epoch == ABSURD)
        position = await writer.start()  # by his own clock: ABSURD + 1 would be older than ABSURD
        assert position.epoch < ABSURD
        await it.at(position)
        await it.at(await writer.publish("good"))


@pytest.mark.parametrize("kind", ["for ever", "another kind", "for years"])
async def test_a_lease_that_nobody_of_us_wrote_keeps_nobody_from_leading(
    valkey: RealBus, kind: str
) -> None:
    redis = valkey.client()
    if kind == "another kind":
        await redis.rpush(LIVE.lease, "zzzz")
    else:
        await redis.set(LIVE.lease, b"\xff", ex=None if kind == "for ever" else 10**9)
    assert await Lease(redis, LIVE, "one").acquire()
    assert not await Lease(redis, LIVE, "two").acquire()


@pytest.mark.parametrize("place", ["log", "state"])
async def test_a_key_of_another_kind_in_the_place_of_log_or_state_is_replaced(
    valkey: RealBus, place: str
) -> None:
    redis = valkey.client()
    key = LIVE.log if place == "log" else LIVE.state("ivrs")
    async with running(valkey) as one:
        await until_async(lambda: _stored(redis))
        await redis.delete(key)
        await redis.set(key, "zzzz")
        assert await read_state(redis, LIVE) is not None, "the rest is read"
        for _ in range(2):
            one.source.call()
            await until_async(lambda: _type_is_ours(redis, key))
        read = await read_state(redis, LIVE)
        assert read is not None
        assert read.state["ivrs"]


async def test_a_log_whose_newest_entry_is_not_ours_is_begun_anew(valkey: RealBus) -> None:
    redis = valkey.client()
    async with running(valkey) as one:
        await until_async(lambda: _stored(redis))
        await redis.xadd(LIVE.log, {"change": b"zzzz"}, id="18446744073709551615-1")
        one.source.call()
        await until_async(lambda: _log_ends_well(redis))


async def _stored(redis: Redis) -> bool:
    read = await read_state(redis, LIVE)
    return read is not None and bool(read.state["ivrs"])


async def _type_is_ours(redis: Redis, key: str) -> bool:
    return await redis.type(key) in (b"hash", b"stream", b"none") and await _stored(redis)


async def _log_ends_well(redis: Redis) -> bool:
    newest: Any = await redis.xrevrange(LIVE.log, count=1)
    return not newest or not newest[0][0].startswith(b"18446744073709551615")


async def test_entities_that_cannot_be_read_are_left_out_and_their_neighbours_read(
    valkey: RealBus,
) -> None:
    redis = valkey.client()
    good = entities.call(1)
    async with writing(valkey) as writer:
        await writer.start()
        table: Any = {
            "1": encode_entity(good),
            "2": b"zzzz",
            "x": encode_entity(good),
            b"\xff": encode_entity(good),
        }
        await redis.hset(LIVE.state("calls"), mapping=table)
        await redis.set(LIVE.state("ended"), "zzzz")
        read = await read_state(redis, LIVE)
        assert read is not None
        assert set(read.state["calls"]) == {"1", "x"}
        taken = await previous_state.read(redis, LIVE, time.time())
        assert set(taken["calls"]) == {"1"}
    await redis.set(BOOK.state("contacts"), "zzzz")
    assert await previous_state.read_book(redis, BOOK) == ()


@pytest.mark.parametrize("value", [b"zzzz", None])
async def test_directory_and_statistics_that_cannot_be_read_are_none(
    valkey: RealBus, value: bytes | None
) -> None:
    redis = valkey.client()
    for key in (LIVE.directory, LIVE.statistics):
        await (redis.rpush(key, "zzzz") if value is None else redis.set(key, value))
    assert await DirectoryHandover(redis, "pbx", "one").read() == ()
    assert await StatisticsCheckpoint(redis, "pbx", "one", NoteBook()).read() is None


def _saved(**changes: Any) -> checkpoint_format.SavedStatistics:
    now = round(time.time() * 1000)
    found = checkpoint_format.SavedStatistics(at=now, day=day_of(now, "UTC"), counted_since=now)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {"at": 10**15},
        {"at": -1},
        {"peak": 2**60},
        {"day": Day("2026-01-01", "Nowhere/Land", 1, 86_400_001)},
        {"day": Day("2026-01-01", "UTC", 86_400_001, 1)},
        {"day": Day("2026-01-01", "UTC", 1, 10**14)},
    ],
)
async def test_statistics_that_nobody_can_have_counted_are_none(
    valkey: RealBus, changes: dict[str, Any]
) -> None:
    redis = valkey.client()
    checkpoint = StatisticsCheckpoint(redis, "pbx", "one", NoteBook())
    await redis.set(LIVE.statistics, checkpoint_format.encode(_saved()))
    assert await checkpoint.read() is not None
    await redis.set(LIVE.statistics, checkpoint_format.encode(_saved(**changes)))
    assert await checkpoint.read() is None


async def test_statistics_of_tomorrow_do_not_win_over_the_file_s(valkey: RealBus) -> None:
    redis, store = valkey.client(), Store(None)
    await store.open()
    try:
        await store.save_statistics("pbx", checkpoint_format.encode(_saved(peak=7)))
        ahead = round((time.time() + 3 * 86_400) * 1000)
        await redis.set(
            LIVE.statistics, checkpoint_format.encode(_saved(at=ahead, day=day_of(ahead, "UTC")))
        )
        read = await StatisticsCheckpoint(redis, "pbx", "one", store).read()
        assert read is not None
        assert read.peak == 7
    finally:
        await store.close()


def _key(**changes: Any) -> dict[str, Any]:
    return {"name": "wall", "digest": "a" * 64, "scopes": ["read"], "changed_at": 1.0} | changes


WRONG_KEYS = [
    _key(changed_at=float("nan")),
    _key(changed_at=float("inf")),
    _key(changed_at=-1.0),
    _key(changed_at=1e300),
    _key(networks=["zzzz"]),
    _key(expires="tomorrow"),
    _key(expires="9999-12-31T23:59:59-23:59"),
    _key(name="another"),
    _key(scopes=7),
]


@pytest.mark.parametrize(
    "wrong", [None, b"zzzz", *map(to_msgpack, WRONG_KEYS)], ids=lambda value: repr(value)[:60]
)
async def test_a_wrong_key_is_left_out_by_gateways_and_written_over_by_the_monitor(
    valkey: RealBus, wrong: bytes | None
) -> None:
    redis, store, table = valkey.client(), Store(None), KeyTable([])
    good = StoredKey("wall", "a" * 64, ("read",), 5.0)
    gone: list[str] = []
    feed = KeyFollower(redis, "pbx", table, gone.append)
    await store.open()
    try:
        await store.keep_key("pbx", good)
        key_sync = ApiKeySync(redis, "pbx", store)
        await key_sync.reconcile()
        if wrong is None:
            for key in (ACCESS.table, ACCESS.kept):
                await redis.delete(key)
                await redis.set(key, "zzzz")
        else:
            await redis.hset(ACCESS.table, "wall", wrong)
            await redis.hset(ACCESS.table, b"\xff", wrong)
            await redis.hset(ACCESS.kept, b"\xff", b"\xff")
            await feed._read()
            assert "wall" not in feed._held
            assert await KeyAdmin(redis, "pbx").all() == []
        await key_sync.reconcile()
        assert await redis.hget(ACCESS.table, "wall") == encode_key(good)
        assert await redis.hget(ACCESS.kept, "wall") == b"5.0"
        await feed._read()
        assert feed._held["wall"].digest == good.digest
    finally:
        await store.close()


async def test_a_standby_puts_its_keys_in_the_place_of_a_table_that_is_none(
    valkey: RealBus,
) -> None:
    redis, store = valkey.client(), Store(None)
    good = StoredKey("wall", "a" * 64, ("read",), 5.0)
    await store.open()
    try:
        await store.keep_key("pbx", good)
        await redis.set(ACCESS.table, "zzzz")
        await ApiKeySync(redis, "pbx", store).mirror()
        assert await redis.hget(ACCESS.table, "wall") == encode_key(good)
    finally:
        await store.close()


async def test_a_table_of_keys_that_is_full_of_junk_is_begun_anew_with_all_keys(
    valkey: RealBus,
) -> None:
    redis, store = valkey.client(), Store(None)
    await store.open()
    try:
        key_sync, mine = (
            ApiKeySync(redis, "pbx", store),
            StoredKey("wall", sha256_hex("raw"), ("read",), 5.0),
        )
        await store.keep_key("pbx", mine)
        await key_sync.reconcile()
        theirs = StoredKey("desk", sha256_hex("desk"), ("read",), 6.0)
        await redis.hset(ACCESS.table, "desk", encode_key(theirs))  # no monitor has seen it yet
        for key in (ACCESS.table, ACCESS.kept):
            await redis.hset(key, mapping={f"junk{number}": "x" for number in range(1_500)})
        for _ in range(2):
            await key_sync.reconcile()
        assert await redis.hgetall(ACCESS.table) == {
            b"wall": encode_key(mine),
            b"desk": encode_key(theirs),
        }
        assert set(await redis.hkeys(ACCESS.kept)) == {b"wall", b"desk"}
        await redis.hset(ACCESS.table, "from a newer version", b"x")
        await key_sync.reconcile()
        assert await redis.hlen(ACCESS.table) == 3, "a few that cannot be read stay"
    finally:
        await store.close()


async def test_a_mark_that_nobody_of_us_made_is_told_of_no_second_time(valkey: RealBus) -> None:
    redis, store = valkey.client(), Store(None)
    await store.open()
    try:
        key_sync = ApiKeySync(redis, "pbx", store)
        await redis.hset(ACCESS.kept, b"\xff", b"\xff")
        await key_sync.reconcile()
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe(ACCESS.channel)
            assert await pubsub.get_message(timeout=60.0) is not None, "subscribed"
            await key_sync.reconcile()
            await redis.publish(ACCESS.channel, "end")
            message = await pubsub.get_message(timeout=60.0)
            assert message is not None
            assert message["data"] == b"end", "nothing was to be done"
    finally:
        await store.close()


async def test_wrong_ended_calls_are_not_taken_into_a_standbys_file(valkey: RealBus) -> None:
    redis, store, key = valkey.client(), Store(None), LIVE.state("ended")
    good = entities.ended(1)
    await store.open()
    try:
        ended = EndedCallStore(redis, "pbx", store)
        await redis.set(key, "zzzz")
        await ended.mirror()
        await redis.delete(key)
        for id_, data in (
            (good.id, encode_entity(good)),
            (entities.ended(2).id, encode_entity(good)),
            (b"\xff", b"zzzz"),
        ):
            await redis.hset(key, id_, data)
        with capture_logs() as logs:
            for _ in range(2):
                await ended.mirror()
        assert await ended.read() == {good.id: good}
        assert [entry["event"] for entry in logs] == ["redis_value_rejected"]
        right = entities.ended(2)
        await redis.hset(key, right.id, encode_entity(right))
        await ended.mirror()
        assert await ended.read() == {good.id: good, right.id: right}, "it is read again"
    finally:
        await store.close()


@pytest.mark.parametrize(
    "value", [b"zzzz", b"-1000000", b"9223372036854775807", b"1e5", b"\xff", None, b"3"]
)
async def test_a_wrong_counter_neither_locks_a_key_out_nor_frees_it_for_longer_than_a_window(
    valkey: RealBus, value: bytes | None
) -> None:
    redis = valkey.client()
    key = ApiKey("reader", sha256_hex("k"), "pbx", frozenset({"read"}))
    rate_limiter = RateLimiter({"pbx": redis}, Budgets(5, 5, 5, 5))
    name = ACCESS.spent("commands", key.digest)
    await (redis.rpush(name, "zzzz") if value is None else redis.set(name, value))
    ((counted, seconds),) = await rate_limiter._count(redis, [(name, 1)])
    assert 0 <= counted <= 5
    assert 0 < seconds <= 60
    ((counted, _),) = await rate_limiter._count(redis, [(name, 1)])
    assert 1 <= counted <= 5
    assert 0 < await redis.pttl(name) <= 60_000


async def test_a_wrong_ticket_is_no_ticket(valkey: RealBus) -> None:
    redis, table = (
        valkey.client(),
        KeyTable([ApiKey("reader", sha256_hex("k"), "pbx", frozenset({"read"}))]),
    )
    tickets = Tickets({"pbx": redis}, table, time.time)
    ticket = await tickets.issue(table.of_digest(sha256_hex("k"), "2026-01-01T00:00:00.000Z"))
    (name,) = await redis.keys("*ticket*")
    await redis.set(name, b"\xff\xfe")
    with pytest.raises(KeyUnknown):
        await tickets.take(ticket)


@pytest.mark.parametrize("value", [b"zzzz", b"\xff\xfe zzzz", b"", None])
async def test_a_wrong_record_of_an_idempotency_key_is_written_over(
    valkey: RealBus, value: bytes | None
) -> None:
    redis = valkey.client()
    once = IdempotencyKey("d" * 64, "f")
    name = RequestKeys("pbx").once(once.digest)
    await (redis.rpush(name, "zzzz") if value is None else redis.set(name, value))
    commander = CommandDispatcher(redis, "pbx", PositionWaiter(Replica(LIVE), Replica(BOOK)))
    async with await GuardedTransaction.watch(redis, name) as guard:
        assert await commander._older(guard, once) is None


@given(
    epoch=st.text(max_size=20) | st.just(ABSURD),
    seq=st.text(max_size=20) | st.integers().map(str),
)
@settings(max_examples=100)
def test_any_texts_are_a_position_or_none(epoch: str, seq: str) -> None:
    stored = StoredPositionHash.parse(epoch, seq)
    newest = None if stored is None else stored.position.epoch
    name = epoch_name(1_800_000_000_000, newest, "a")
    assert is_epoch(name)
    assert newest is None or newest > "0" + "9" * 14 or name > newest
    assert name > epoch_name(1_799_999_999_999, None, "a")


@given(data=GARBAGE)
@settings(max_examples=100)
def test_any_bytes_are_statistics_or_a_directory_or_malformed(data: bytes) -> None:
    for decode in (checkpoint_format.decode, fact_codec.decode):
        try:
            decode(data)
        except Malformed:
            continue


async def test_a_position_that_is_none_is_as_if_there_were_none(valkey: RealBus) -> None:
    redis = valkey.client()
    for wrong in POSITIONS[3:6]:
        await redis.delete(LIVE.position)
        position: Any = {"epoch": "000000000000001-a", "seq": 1, "at": entities.START} | wrong
        await redis.hset(LIVE.position, mapping=position)
        assert await read_position(redis, LIVE) is None


async def _told(http: httpx.AsyncClient) -> tuple[str, list[str]]:
    """What ``system`` says, and what the gateway itself left out; strangers are told neither."""
    answer = await http.get("/readyz", headers={"X-API-Key": stack.KEY})
    told = answer.json()["pbxs"][stack.PBX]
    assert set((await http.get("/readyz")).json()) == {"ready", "draining"}
    return told["reason"], told["rejected"]


async def test_what_is_left_out_is_told_with_a_key_until_it_is_right_again(
    valkey: RealBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_loop, "CLEAN_EVERY_S", 3_600.0)  # the leader would write it again
    keys, redis = AccessKeys(stack.PBX), valkey.client()
    simulated = SimulatorSettings(extensions=4, queues=1, contacts=0, traffic=False)
    wrong = f"Values on Redis that callmon did not write are left out: {keys.table}."
    async with (
        SimulatedPbx(simulated) as pbx,
        stack.monitoring(pbx, valkey.client()),
        stack.gateway(valkey.client()) as address,
        stack.subscriber(address) as held,
        httpx.AsyncClient(base_url=address, timeout=60.0) as http,
    ):
        await until(lambda: held.connected and held.state["system"]["pbx"]["reason"] == "")
        await redis.hset(keys.table, "x", b"garbage")
        await until_async(lambda: _tells(http, (wrong, [keys.table])))
        await until(lambda: held.state["system"]["pbx"]["reason"] == wrong)
        await redis.hdel(keys.table, "x")
        await until_async(lambda: _tells(http, ("", [])))
        bearer = {"Authorization": f"Bearer {stack.KEY}"}
        ticket = (await http.post("/webapi/ticket", headers=bearer)).json()["ticket"]
        await redis.set(keys.ticket(sha256_hex(ticket)), sha256_hex(stack.KEY))
        refused = await http.get(f"/webapi/events?topics=calls&ticket={ticket}")
        assert refused.status_code == 401
        await until_async(lambda: _tells(http, ("", [keys.ticket("*")])))
        queues = SpaceKeys(stack.PBX, "live").state("queues")
        ((id_, right),) = (await redis.hgetall(queues)).items()
        await redis.hset(queues, id_, b"garbage")
        async with (  # the first one has read it before
            stack.gateway(valkey.client()) as late,
            httpx.AsyncClient(base_url=late, timeout=60.0) as there,
        ):
            await until_async(lambda: _tells(there, ("", [queues])))
            await redis.hset(queues, id_, right)
            await until_async(lambda: _tells(there, ("", [])))


async def _tells(http: httpx.AsyncClient, expected: tuple[str, list[str]]) -> bool:
    return await _told(http) == expected


async def test_a_monitor_tells_what_it_leaves_out_until_it_is_right_again(valkey: RealBus) -> None:
    redis, fields = valkey.client(), f"{LIVE.state('ivrs')} (fields)"
    async with running(valkey) as one:
        rejected = one.service.rejected
        await until(lambda: one.service.state is not None and one.service.hears_requests)
        await redis.delete(RECORDS.mirrored)
        await redis.set(RECORDS.mirrored, b"\xff")
        await redis.hset(LIVE.state("ivrs"), "x", "y")
        await until(lambda: {RECORDS.mirrored, fields} <= set(rejected.reasons()))
        await until(lambda: RECORDS.mirrored in one.trackers[-1].store_reason)
        await until(lambda: fields not in rejected.reasons())  # the leader has removed it
        await until(lambda: fields not in one.trackers[-1].store_reason)


async def test_a_gateway_tells_entities_that_it_left_out_until_they_are_right(
    valkey: RealBus,
) -> None:
    redis, values = valkey.client(), RejectedValues()
    key = LIVE.state("ivrs")
    async with writing(valkey) as writer:
        await writer.start()
        await redis.hset(key, mapping={"1": b"garbage", b"\xff": b"garbage"})
        with collecting(values):
            async with following(valkey) as it:
                await until(lambda: it.replica.position is not None)
                assert [*values.reasons()] == [key]
                await redis.hdel(key, b"\xff")
                values.accept(key)
                await until(lambda: key in values.reasons())  # the other one is seen again
                await writer.publish("good")
                await until(lambda: not values.reasons())
