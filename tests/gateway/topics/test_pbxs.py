"""The topic ``pbxs`` and the query ``all.pbx.get``, through the gateway's addresses."""

from __future__ import annotations

from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from gateway.auth.api_keys import ApiKey, sha256_hex
from gateway.stream_client import StreamClient
from tests.gateway import entities
from tests.gateway.docs.test_asyncapi import holds
from tests.gateway.serving import (
    Events,
    closed,
    frame,
    frame_of,
    http,
    say,
    serving,
    subscribed,
)
from tests.gateway.topics.test_keys_for_several_pbxs import load_the_other

FLEET = {"Authorization": "Bearer fleet-key"}


async def pbxs(connection: ClientConnection) -> dict[str, Any]:
    """Subscribe; the snapshot's PBXs."""
    found: dict[str, Any] = (await subscribed(connection, ["pbxs"]))["state"]["pbxs"]
    return found


async def test_a_key_for_several_sees_those_of_its_set_without_naming_one() -> None:
    async with serving() as served, served.connect("fleet-key") as connection:
        hello = await frame(connection)
        assert (hello["pbx"], hello["topics"]) == (None, ["pbxs"])
        told = await pbxs(connection)
        assert {name: pbx["connection"] for name, pbx in told.items()} == {
            "main": "unknown",
            "empty": "unknown",
        }
        served.put("system", "pbx", entities.system())
        change = await frame_of(connection, "change")
        holds(change, "change")
        assert change["upsert"]["pbxs"].keys() == {"main"}
        assert change["upsert"]["pbxs"]["main"]["connection"] == "connected"
        served.put("calls", "1", entities.call(1))
        change = await frame_of(connection, "change")
        assert change["upsert"]["pbxs"]["main"]["calls"] == 1
        assert change["from"] + 1 == change["seq"]


async def test_a_key_for_one_sees_its_own_and_no_count_if_it_is_limited() -> None:
    async with serving() as served:
        served.put("system", "pbx", entities.system())
        served.put("calls", "1", entities.call(1))
        for key, calls in (("reader-key", 1), ("limited-key", None)):
            async with served.connect(key) as connection:
                assert "pbxs" not in (await frame(connection))["topics"]
                told = await pbxs(connection)
                assert told.keys() == {"main"}
                assert told["main"]["calls"] == calls
                assert (told["main"]["linesUsed"] is None) == (calls is None)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"topics": ["calls"]}, "pbx_not_named"),
        ({"query": "pbx.calls.get"}, "pbx_not_named"),
        ({"topics": ["pbxs", "calls"]}, "pbx_not_named"),
        ({"topics": ["pbxes"]}, "bad_message"),
    ],
)
async def test_what_is_of_one_pbx_is_not_to_be_had_without_a_name(
    message: dict[str, Any], code: str
) -> None:
    async with serving() as served, served.connect("fleet-key") as connection:
        await say(connection, {"type": "subscribe"} | message)
        assert (await frame_of(connection, "error"))["code"] == code


async def test_pbxs_are_watched_alone() -> None:
    async with serving() as served, served.connect(None, "/webapi/fleet-key/main/stream") as one:
        await say(one, {"type": "subscribe", "topics": ["pbxs", "calls"]})
        assert "alone" in (await frame_of(one, "error"))["message"]
        assert (await pbxs(one)).keys() == {"main", "empty"}, "all of the key's, also at one"
        assert (await subscribed(one, ["calls"]))["state"] == {"calls": {}}


async def test_a_client_resumes_and_one_from_another_gateway_gets_a_snapshot() -> None:
    async with serving() as served:
        async with served.connect("fleet-key") as connection:
            first = await subscribed(connection, ["pbxs"])
        served.put("system", "pbx", entities.system())
        since = {"epoch": first["epoch"], "seq": first["seq"]}
        wanted = {"type": "subscribe", "topics": ["pbxs"]}
        async with served.connect("fleet-key") as connection:
            await say(connection, wanted | {"since": since})
            await frame(connection)
            change = await frame(connection)
            assert (change["type"], change["from"]) == ("change", first["seq"])
            assert change["upsert"]["pbxs"].keys() == {"main"}
        for epoch in ("000000000000001-aa", "999999999999999-aa"):
            async with served.connect("fleet-key") as connection:
                await say(connection, wanted | {"since": {"epoch": epoch, "seq": 9}})
                await frame(connection)
                assert (await frame(connection))["type"] == "snapshot"


async def test_a_ticket_without_a_name_opens_the_stream_of_all() -> None:
    async with serving() as served, http(served) as client:
        ticket = (await client.post("/ticket", headers=FLEET)).json()["ticket"]
        async with served.connect(None, f"/webapi/stream?ticket={ticket}") as connection:
            assert (await frame(connection))["pbx"] is None
            assert (await pbxs(connection)).keys() == {"main", "empty"}
        with pytest.raises(InvalidStatus):
            await served.connect(None, f"/webapi/stream?ticket={ticket}")


async def test_events_and_python_client_and_query_tell_the_same() -> None:
    async with serving() as served, http(served) as client:
        load_the_other(served)
        served.put("system", "pbx", entities.system())
        answer = await client.get("/fleet-key/all.pbx.get")
        listed = {pbx["name"]: pbx for pbx in answer.json()["pbxs"]}
        assert answer.json()["count"] == 2
        assert listed.keys() == {"main", "empty"}
        async with client.stream("GET", "/events?topics=pbxs", headers=FLEET) as response:
            events = Events(response)
            await events.next()
            assert (await events.next())[1]["state"]["pbxs"] == listed
        async with StreamClient(served.url(), "fleet-key", ["pbxs"]) as follower:
            update = await anext(aiter(follower))
            assert update.state["pbxs"] == listed
            assert answer.headers["callmon-position"] == str(update.position)
        own = (await client.get("/reader-key/all.pbx.get")).json()
        assert own == {"count": 1, "pbxs": [listed["main"]]}
        again = {"Callmon-Min-Position": answer.headers["callmon-position"]}
        assert (await client.get("/fleet-key/all.pbx.get", headers=again)).status_code == 200


async def test_a_watched_query_of_all_pbxs_tells_when_any_of_them_changed() -> None:
    async with serving() as served, served.connect("fleet-key") as connection:
        await say(connection, {"type": "subscribe", "query": "all.pbx.get"})
        assert (await frame_of(connection, "result"))["result"]["count"] == 2
        served.put("system", "pbx", entities.system())
        told = (await frame_of(connection, "result"))["result"]["pbxs"]
        assert {pbx["name"]: pbx["connection"] for pbx in told}["main"] == "connected"


async def test_the_stream_of_all_ends_with_its_key() -> None:
    async with serving() as served, served.connect("fleet-key") as connection:
        await pbxs(connection)
        served.live.revoke("fleet", "main")
        assert (await closed(connection))[0] == 4001


async def test_a_key_that_reaches_nothing_here_is_told_so() -> None:
    async with serving() as served, http(served) as client:
        nowhere = ApiKey("far", sha256_hex("far"), "", frozenset({"read"}), pbxs=("a", "b"))
        served.keys.replace([nowhere])
        answer = await client.get("/far/all.pbx.get")
        assert answer.json()["error"]["code"] == "unknown_pbx"
        assert "No PBX of this key is served here" in answer.json()["error"]["message"]
