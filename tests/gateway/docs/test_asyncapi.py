"""Test the AsyncAPI document with its official schema and with what the stream really does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from gateway.docs.asyncapi import asyncapi
from gateway.fanout.frames import Frame
from gateway.stream import client_messages as messages
from gateway.stream import server as connection_manager
from gateway.stream.client_messages import BadMessage, Rights, parse
from monitor.shared.codec import from_json, to_json
from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS
from tests.gateway import entities
from tests.gateway.histories import decoded
from tests.gateway.serving import frame, frame_of, say, serving, subscribed

DOCUMENT: dict[str, Any] = from_json(to_json(asyncapi("1.2.3")))
SCHEMA = json.loads((Path(__file__).parents[1] / "asyncapi_schema" / "3.1.0.json").read_text())
IDS: tuple[Any, ...] = (
    *("a", "", "x" * 64, "x" * 65, 0, -1, 2**53 - 1, 2**53),
    *(None, True, [], 1.5),
)
ALL = Rights({*TOPICS, *BOOK_TOPICS}, {"read", "contacts"})


def holds(value: object, name: str) -> None:
    """Raises if the value is not what the document says of this message."""
    payload = DOCUMENT["components"]["messages"][name]["payload"]
    jsonschema.Draft7Validator({"components": DOCUMENT["components"], "allOf": [payload]}).validate(
        value
    )


def test_the_official_schema_finds_nothing() -> None:
    assert [
        error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(DOCUMENT)
    ] == []


def test_the_official_schema_would_find_something() -> None:
    broken = DOCUMENT | {
        "operations": {"x": {"action": "shout", "channel": {"$ref": "#/channels/stream"}}}
    }
    assert list(jsonschema.Draft7Validator(SCHEMA).iter_errors(broken))


def test_every_schema_is_one_itself() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)


def test_every_reference_leads_somewhere() -> None:
    for place in re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(DOCUMENT)):
        node = DOCUMENT
        for part in place.split("/"):
            node = node[part]


def test_every_frame_and_every_message_is_described() -> None:
    frames = {str(kind.__struct_config__.tag) for kind in get_args(Frame)}
    assert set(DOCUMENT["components"]["messages"]) == frames | set(messages._FIELDS)
    for channel in ("stream", "streamByAddress"):
        assert set(DOCUMENT["channels"][channel]["messages"]) == frames | set(messages._FIELDS)
        heard = DOCUMENT["operations"][f"{channel}Hears"]["messages"]
        assert {one["$ref"].rpartition("/")[2] for one in heard} == set(messages._FIELDS)


def test_every_example_is_what_its_schema_says() -> None:
    for name, message in DOCUMENT["components"]["messages"].items():
        for example in message["examples"]:
            holds(example["payload"], name)


def test_the_gateway_takes_the_examples_of_what_a_client_may_say() -> None:
    for name in messages._FIELDS:
        for example in DOCUMENT["components"]["messages"][name]["examples"]:
            parse(json.dumps(example["payload"]), ALL)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "subscribe"},
        {"type": "subscribe", "topics": []},
        {"type": "subscribe", "topics": ["nothing"]},
        {"type": "subscribe", "topics": ["calls"], "since": {"epoch": "e"}},
        {"type": "subscribe", "topics": ["calls"], "since": 7},
        {"type": "subscribe", "topics": ["calls"], "merge": 1},
        {"type": "subscribe", "topics": ["calls"], "other": 1},
        {"type": "subscribe", "topics": ["calls"], "since": None, "merge": False},
        {"type": "subscribe", "topics": ["calls"], "since": {"epoch": "e", "seq": 1}},
        {"type": "subscribe", "topics": ["calls"], "since": {"epoch": "e", "seq": -1}},
        {"type": "subscribe", "topics": ["calls"], "filter": {"ext": ["101"], "call": [7]}},
        {"type": "subscribe", "topics": ["calls"], "filter": None},
        {"type": "subscribe", "topics": ["calls"], "filter": {}},
        {"type": "subscribe", "topics": ["calls"], "filter": {"ext": []}},
        {"type": "subscribe", "topics": ["calls"], "filter": {"ext": "101"}},
        {"type": "subscribe", "topics": ["calls"], "filter": {"ext": [True]}},
        {"type": "subscribe", "topics": ["calls"], "filter": {"num": ["101"]}},
        {"type": "subscribe", "topics": ["calls"], "filter": {"state": ["talking"]}},
        {"type": "subscribe", "topics": ["calls"], "filter": {"direction": ["Inbound"]}},
        {"type": "subscribe", "query": "pbx.calls.get"},
        {"type": "subscribe", "query": "makecall", "params": {"first": "101", "second": "102"}},
        {"type": "subscribe", "query": "query", "params": {"query": "select 1"}},
        {"type": "subscribe", "query": "ext.state.get", "params": {"num": 101}},
        {"type": "subscribe", "query": "ext.state.get", "params": {"num": ["101"]}},
        {"type": "subscribe", "query": "pbx.calls.get", "topics": ["calls"]},
        {"type": "subscribe", "query": "pbx.calls.get", "merge": True},
        {"type": "subscribe", "topics": ["calls"], "params": {}},
        *({"type": "subscribe", "topics": ["calls"], "id": id_} for id_ in IDS),
        *(
            {"type": "subscribe", "topics": ["calls"], "fields": fields}
            for fields in (["state"], ["colour"], [], None, "state", [7], {"calls": ["state"]})
        ),
        {"type": "subscribe", "query": "pbx.calls.get", "fields": ["state"]},
        *(
            {"type": "subscribe", "topics": ["calls"], "patch": patch}
            for patch in (True, False, 1, None, "true")
        ),
        {"type": "subscribe", "query": "pbx.calls.get", "patch": True},
        {"type": "unsubscribe", "id": "a"},
        {"type": "unsubscribe"},
        {"type": "unsubscribe", "id": {}},
        {"type": "unsubscribe", "topics": ["calls"]},
        {"type": "ping"},
        {"type": "ping", "id": "a"},
        {"type": "ping", "at": None},
        {"type": "ping", "at": 1.5},
        {"type": "ping", "at": "x" * 64},
        {"type": "ping", "at": "x" * 65},
        {"type": "ping", "at": True},
        {"type": "ping", "at": [1]},
    ],
    ids=json.dumps,
)
def test_the_document_and_the_gateway_agree_on_what_a_client_may_say(
    message: dict[str, Any],
) -> None:
    try:
        parse(json.dumps(message), ALL)
    except BadMessage:
        with pytest.raises(jsonschema.ValidationError):
            holds(message, message["type"])
    else:
        holds(message, message["type"])


@pytest.mark.parametrize("subprotocol", connection_manager.SUBPROTOCOLS)
async def test_what_the_stream_sends_is_what_the_document_says(subprotocol: str) -> None:
    encoding = connection_manager.SUBPROTOCOLS[subprotocol]
    async with serving(heartbeat=0.05) as served, served.connect(offer=[subprotocol]) as connection:
        hello = decoded(await connection.recv())
        holds(hello, "hello")
        if encoding == "json":
            holds(await subscribed(connection), "snapshot")
        else:
            await say(connection, {"type": "subscribe", "topics": list(TOPICS)}, encoding)
            holds(await frame_of(connection, "snapshot"), "snapshot")
        served.put("calls", "1", entities.call(1, ("101",), ("800",)))
        holds(await frame_of(connection, "change"), "change")
        holds(await frame_of(connection, "heartbeat"), "heartbeat")
        await say(connection, {"type": "ping", "at": "x"}, encoding)
        holds(await frame_of(connection, "pong"), "pong")
        await say(connection, {"type": "shout"}, encoding)
        holds(await frame_of(connection, "error"), "error")
        await say(connection, {"type": "subscribe", "query": "pbx.callsinfo.get"}, encoding)
        holds(await frame_of(connection, "result"), "result")
        await say(connection, {"type": "subscribe", "id": 7, "topics": ["calls"]}, encoding)
        named = await frame_of(connection, "snapshot")
        assert list(named)[:2] == ["id", "type"]
        holds(named, "snapshot")
        await say(
            connection, {"type": "subscribe", "id": 8, "topics": ["calls"], "patch": True}, encoding
        )
        await frame_of(connection, "snapshot")
        served.put("calls", "1", entities.call(1, ("101",), ("800",), state="Routing"))
        changes = [await frame_of(connection, "change") for _ in range(2)]
        (patched,) = (change for change in changes if change["id"] == 8)
        assert (patched["upsert"], patched["patch"]) == ({}, {"calls": {"1": {"state": "Routing"}}})
        holds(patched, "change")
        await say(connection, {"type": "unsubscribe", "id": 7}, encoding)
        holds(await frame_of(connection, "unsubscribed"), "unsubscribed")


async def test_a_first_subscription_may_stand_in_the_address_as_documented() -> None:
    assert "topics" in DOCUMENT["channels"]["stream"]["bindings"]["ws"]["query"]["properties"]
    async with (
        serving() as served,
        served.connect(path="/webapi/stream?topics=calls,queues") as connection,
    ):
        assert (await frame(connection))["type"] == "hello"
        assert set((await frame_of(connection, "snapshot"))["state"]) == {"calls", "queues"}
