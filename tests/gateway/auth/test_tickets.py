"""Tickets: each opens one stream once, with the rights of its key."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus

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
    "ticket", ["", "x", "main.", "elsewhere.abc", "main.abc", "main." + "x" * 200, "ma\0in.x"]
)
async def test_what_is_no_ticket_is_refused(ticket: str) -> None:
    async with serving() as served, http(served) as client:
        answer = await client.get("/events", params={"topics": "calls", "ticket": ticket})
        assert answer.status_code == 401


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
