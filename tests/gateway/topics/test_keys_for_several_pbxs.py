"""Keys for several PBXs, from their address to what they may do: queries, stream, tickets."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.errors import TooManyRequests
from gateway.operations.operation_table import RESERVED
from monitor.shared.api_keys import Budgets
from monitor.shared.changes import Position
from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS, empty_state
from tests.bus import Bus
from tests.gateway import entities, world
from tests.gateway.serving import READER, Served, closed, frame, http, serving, subscribed

NAMED = {"Authorization": "Bearer fleet-key", "Callmon-Pbx": "main"}
UNNAMED = {"Authorization": "Bearer fleet-key"}


def load_the_other(served: Served) -> None:
    """Give the PBX ``empty`` a state without calls; ``main`` gets one call."""
    other = served.other
    other.live.load(Position(f"{1:015d}-o", 0), entities.START, empty_state(TOPICS))
    other.book.load(Position(f"{1:015d}-p", 0), entities.START, empty_state(BOOK_TOPICS))
    served.put("calls", "1", entities.call(1))


async def test_the_address_or_a_header_names_the_pbx() -> None:
    async with serving() as served, http(served) as client:
        load_the_other(served)
        for address, headers, count in (
            ("/fleet-key/main/pbx.calls.get", {}, 1),
            ("/fleet-key/empty/pbx.calls.get", {}, 0),
            ("/fleet-key/main/pbx.calls.get", NAMED, 1),
            ("/fleet-key/pbx.calls.get", {"Callmon-Pbx": "empty"}, 0),
            ("/pbx.calls.get", NAMED, 1),
            ("/pbx.calls.get?key=fleet-key", {"Callmon-Pbx": "empty"}, 0),
            ("/reader-key/main/pbx.calls.get", {}, 1),
            ("/reader-key/pbx.calls.get", {}, 1),
        ):
            answer = await client.get(address, headers=headers)
            assert (answer.status_code, answer.json()) == (200, {"result": count}), address
        posted = await client.post("/fleet-key/empty/pbx.calls.get", json={})
        assert posted.json() == {"result": 0}
        for bare in ("/fleet-key/empty", "/fleet-key/empty/", "/reader-key/main"):
            assert (await client.get(bare)).json()["pbx"] == bare.split("/")[2]


@pytest.mark.parametrize(
    ("address", "headers", "status", "code"),
    [
        ("/fleet-key/pbx.calls.get", {}, 400, "pbx_not_named"),
        ("/fleet-key", {}, 400, "pbx_not_named"),
        ("/pbx.calls.get", UNNAMED, 400, "pbx_not_named"),
        ("/events?topics=calls", UNNAMED, 400, "pbx_not_named"),
        ("/fleet-key/branch/pbx.calls.get", {}, 404, "unknown_pbx"),
        ("/fleet-key/unserved/pbx.calls.get", {}, 404, "unknown_pbx"),
        ("/fleet-key/nowhere/events?topics=calls", {}, 404, "unknown_pbx"),
        ("/reader-key/empty/pbx.calls.get", {}, 404, "unknown_pbx"),
        ("/pbx.calls.get", READER | {"Callmon-Pbx": "empty"}, 404, "unknown_pbx"),
        ("/fleet-key/main/pbx.calls.get", UNNAMED | {"Callmon-Pbx": "empty"}, 400, "bad_parameter"),
        ("/fleet-key/main/pbx.calls.gte", {}, 404, "unknown_command"),
        ("/fleet-key/mian", {}, 404, "unknown_command"),
        ("/fleet-key/main/pbx.calls.get/more", {}, 404, "unknown_command"),
        ("/wrong-key/main/pbx.calls.get", {}, 401, "key_unknown"),
    ],
)
async def test_what_names_no_pbx_of_the_key_is_refused(
    address: str, headers: dict[str, str], status: int, code: str
) -> None:
    async with serving() as served, http(served) as client:
        answer = await client.get(address, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


async def test_no_name_of_a_command_is_taken_for_a_pbx() -> None:
    """A PBX may be called ``query``: at the second place of two the word is the command."""
    words = sorted(word for word in RESERVED if "." not in word)
    assert {"query", "makecall", "stream", "events", "ticket"} <= set(words)
    several = ApiKey("k", sha256_hex("k"), "", frozenset({"read"}), pbxs=("*",))
    views = {word: world.view(name=word) for word in words}
    app = world.app(views, KeyTable([several]))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://gateway"
    ) as client:
        for word in words:
            told = await client.get(f"/webapi/k/{word}")
            assert told.status_code != 200, word
            assert (await client.get(f"/webapi/k/{word}/pbx.calls.get")).status_code == 200
            bare = await client.get("/webapi/k/", headers={"Callmon-Pbx": word})
            assert bare.json()["pbx"] == word


async def test_the_stream_is_that_of_the_named_pbx() -> None:
    async with serving() as served:
        load_the_other(served)
        for path, pbx, calls in (
            ("/webapi/fleet-key/main/stream", "main", {"1"}),
            ("/webapi/fleet-key/empty/stream", "empty", set()),
        ):
            async with served.connect(None, path) as connection:
                assert (await frame(connection))["pbx"] == pbx
                assert (await subscribed(connection))["state"]["calls"].keys() == calls
        async with served.connect("fleet-key", headers={"Callmon-Pbx": "empty"}) as connection:
            assert (await frame(connection))["pbx"] == "empty"
        for key, path, status in (
            ("fleet-key", "/webapi/stream?topics=calls", 400),
            (None, "/webapi/fleet-key/branch/stream", 404),
            (None, "/webapi/reader-key/empty/stream", 404),
        ):
            with pytest.raises(InvalidStatus) as refused:
                await served.connect(key, path)
            assert refused.value.response.status_code == status


async def test_a_ticket_is_for_the_pbx_that_was_named_when_it_was_made() -> None:
    async with serving() as served, http(served) as client:
        load_the_other(served)
        for address, headers in (
            ("/fleet-key/empty/ticket", {}),
            ("/ticket", UNNAMED | {"Callmon-Pbx": "empty"}),
        ):
            ticket = (await client.post(address, headers=headers)).json()["ticket"]
            async with served.connect(None, f"/webapi/stream?ticket={ticket}") as connection:
                assert (await frame(connection))["pbx"] == "empty"
        ticket = (await client.post("/fleet-key/empty/ticket")).json()["ticket"]
        with pytest.raises(InvalidStatus) as refused:
            await served.connect(
                None, f"/webapi/stream?ticket={ticket}", headers={"Callmon-Pbx": "main"}
            )
        assert refused.value.response.status_code == 400
        outside = await client.post("/fleet-key/branch/ticket")
        assert outside.json()["error"]["code"] == "unknown_pbx"


async def test_a_ticket_is_void_for_a_pbx_that_its_key_has_lost() -> None:
    async with serving() as served, http(served) as client:
        load_the_other(served)
        ticket = (await client.post("/fleet-key/empty/ticket")).json()["ticket"]
        narrower = ApiKey("fleet", sha256_hex("fleet-key"), "main", frozenset({"read"}))
        served.keys.replace([narrower])
        with pytest.raises(InvalidStatus) as refused:
            await served.connect(None, f"/webapi/stream?ticket={ticket}")
        assert refused.value.response.status_code == 404


async def test_streams_of_a_key_end_at_every_pbx_when_it_is_revoked() -> None:
    async with serving() as served:
        load_the_other(served)
        async with (
            served.connect(None, "/webapi/fleet-key/main/stream") as one,
            served.connect(None, "/webapi/fleet-key/empty/stream") as other,
        ):
            await subscribed(one)
            await subscribed(other)
            served.live.revoke("fleet", "empty")  # another key of this name, stored with it
            served.live.revoke("fleet", "main")
            assert [(await closed(each))[0] for each in (one, other)] == [4001, 4001]


async def test_readiness_tells_of_all_pbxs_of_the_key() -> None:
    several = ApiKey("k", sha256_hex("k"), "", frozenset({"read"}), pbxs=("east", "west"))
    views = {name: world.view(name=name) for name in ("east", "west", "north")}
    app = world.app(views, KeyTable([several]))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://gateway"
    ) as client:
        told = await client.get("/readyz", headers={"X-API-Key": "k"})
        assert told.json()["pbxs"].keys() == {"east", "west"}


async def test_budgets_count_for_each_pbx_by_itself(bus: Bus) -> None:
    limiter = RateLimiter({"east": bus.client(), "west": bus.client()}, Budgets(reads=2))
    several = ApiKey("k", sha256_hex("k"), "east", frozenset({"read"}), pbxs=("*",))
    for name in ("east", "west"):
        at = replace(several, pbx=name, reach=frozenset({"east", "west"}), stored_with="east")
        for left in (1, 0):
            remaining = await limiter.spend(at, None)
            assert remaining is not None
            assert remaining.remaining == left
        with pytest.raises(TooManyRequests):
            await limiter.spend(at, None)
