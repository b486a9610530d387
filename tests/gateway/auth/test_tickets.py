"""Tickets: each opens one stream once, with the rights of its key."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from hashlib import sha256

import fakeredis
import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.auth.tickets import Tickets
from gateway.errors import KeyUnknown
from monitor.shared.redis.connection import connect
from monitor.shared.redis.key_names import AccessKeys
from tests.bus import free_port
from tests.gateway import entities
from tests.gateway.serving import (
    READER,
    Events,
    closed,
    frame,
    http,
    serving,
)


async def test_a_ticket_opens_one_stream_once() -> None:
    async with serving() as served, http(served) as client:
        asked = await client.post("/ticket", headers=READER)
        assert (asked.status_code, asked.json()["expires_in"]) == (200, 30)
        ticket = asked.json()["ticket"]
        async with served.connect(
            None, f"/webapi/stream?ticket={ticket}&topics=calls"
        ) as connection:
            assert (await frame(connection))["type"] == "hello"
            assert (await frame(connection))["type"] == "snapshot"
        with pytest.raises(InvalidStatus) as refused:
            await served.connect(None, f"/webapi/stream?ticket={ticket}")
        assert refused.value.response.status_code == 401
        by_address = (await client.post("/reader-key/ticket")).json()["ticket"]
        async with client.stream("GET", f"/events?topics=calls&ticket={by_address}") as response:
            assert (await Events(response).next())[1]["type"] == "hello"


async def test_a_ticket_is_nothing_to_whoever_reads_redis_and_ends_by_itself() -> None:
    async with serving() as served, http(served) as client:
        ticket = (await client.post("/ticket", headers=READER)).json()["ticket"]
        [name] = await served.redis.keys("*ticket*")
        assert ticket.encode() not in name
        assert 0 < await served.redis.ttl(name) <= 30
        await served.redis.delete(name)
        assert (await client.get(f"/events?topics=calls&ticket={ticket}")).status_code == 401


@pytest.mark.parametrize(
    "ticket",
    [
        *("", "x", "main.", "elsewhere.abc", "main.abc", "empty.abc", "main.~abc"),
        *("main." + "x" * 200, "ma\0in.x", f"main.abc.{'0' * 32}"),
    ],
)
async def test_an_invented_ticket_is_refused_and_does_not_tell_which_pbxs_there_are(
    ticket: str,
) -> None:
    async with serving() as served, http(served) as client:
        answer = await client.get("/events", params={"topics": "calls", "ticket": ticket})
        assert answer.status_code == 401
        assert "not made by this gateway" in answer.json()["error"]["message"]


async def test_a_ticket_has_the_rights_of_its_key() -> None:
    async with serving() as served, http(served) as client:
        served.put("calls", "1", entities.call(1, ("102",)))
        ticket = (await client.post("/limited-key/ticket")).json()["ticket"]
        async with served.connect(
            None, f"/webapi/stream?ticket={ticket}&topics=calls"
        ) as connection:
            await frame(connection)
            assert (await frame(connection))["state"] == {"calls": {}}
            served.live.revoke("limited")
            assert await closed(connection) == (4001, "key revoked")
        for key, status in (
            ("no-such-key", 401),
            ("dialler-key", 403),
            ("old-key", 401),
            ("elsewhere-key", 404),
        ):
            assert (await client.post(f"/{key}/ticket")).status_code == status
        assert (await client.post("/ticket", headers=READER, json={"x": "1"})).json()["error"][
            "code"
        ] == ("unknown_parameter")


NOW = 1_800_000_000.0
READER_KEY, ADMIN_KEY = (
    ApiKey(name, sha256_hex(name), "main", frozenset({"read", *more}))
    for name, more in (("a", ()), ("b", ("admin",)))
)


@pytest_asyncio.fixture
async def redis() -> AsyncIterator[fakeredis.FakeAsyncRedis]:
    client = fakeredis.FakeAsyncRedis()
    yield client
    await client.aclose()


def tickets(
    redis: fakeredis.FakeAsyncRedis, secret: bytes | None = None, now: float = NOW
) -> Tickets:
    return Tickets({"main": redis}, KeyTable([READER_KEY, ADMIN_KEY]), lambda: now, secret)


def place(ticket: str) -> str:
    return AccessKeys("main").ticket(sha256(ticket.encode()).hexdigest())


async def entry_of(redis: fakeredis.FakeAsyncRedis, ticket: str) -> str:
    entry = await redis.get(place(ticket))
    assert isinstance(entry, bytes)
    return entry.decode()


@pytest.mark.parametrize(
    "theirs", ["old", "empty code", "other secret", "other key", "other ticket"]
)
async def test_whoever_may_write_tickets_to_redis_can_make_none(
    redis: fakeredis.FakeAsyncRedis, theirs: str
) -> None:
    """They know the digests of all keys, and have a ticket of their own."""
    ours, other = tickets(redis), tickets(redis)
    own = await ours.issue(READER_KEY)
    digest, made, code = (await entry_of(redis, own)).split()
    admin = ADMIN_KEY.digest
    forged = {
        "old": admin,
        "empty code": f"{admin} {made} ",
        "other secret": await entry_of(redis, await other.issue(ADMIN_KEY)),
        "other key": f"{admin} {made} {code}",
        "other ticket": f"{digest} {made} {code}",
    }[theirs]
    target = await ours.issue(READER_KEY) if theirs == "other ticket" else own
    await redis.set(place(target), forged)
    with pytest.raises(KeyUnknown, match="not made by this gateway"):
        await ours.take(target)


async def test_codes_that_stand_on_redis_make_no_ticket(redis: fakeredis.FakeAsyncRedis) -> None:
    ours = tickets(redis)
    own = await ours.issue(READER_KEY)
    digest, made, code = (await entry_of(redis, own)).split()
    with pytest.raises(KeyUnknown, match="not made by this gateway"):
        await ours.take("\0".join((own, digest, f"{made}.{code[:32]}")))


async def test_of_an_invented_ticket_redis_is_not_asked() -> None:
    away = connect(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(KeyUnknown, match="not made by this gateway"):
        await Tickets({"main": away}, KeyTable([]), lambda: NOW).take("main.invented")
    await away.aclose()


async def test_gateways_with_the_same_secret_take_each_others_tickets(
    redis: fakeredis.FakeAsyncRedis,
) -> None:
    secret = secrets.token_bytes(32)
    one, other = tickets(redis, secret), tickets(redis, secret)
    assert await other.take(await one.issue(ADMIN_KEY)) == ADMIN_KEY


async def test_a_ticket_that_somebody_puts_back_does_not_last(
    redis: fakeredis.FakeAsyncRedis,
) -> None:
    secret = secrets.token_bytes(32)
    ticket = await tickets(redis, secret).issue(READER_KEY)
    entry = await entry_of(redis, ticket)
    for now in (NOW + 121, NOW - 121):
        await redis.set(place(ticket), entry)
        with pytest.raises(KeyUnknown, match="older than"):
            await tickets(redis, secret, now).take(ticket)
