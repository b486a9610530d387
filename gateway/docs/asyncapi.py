"""Make the AsyncAPI 3 document of the stream from the frames and entities that are sent. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from gateway.docs.asyncapi_text import CHANNELS, close_codes, description
from gateway.docs.example_data import AT, live_state
from gateway.docs.schemas import PLACE, Schema, described, ref, schemas_of
from gateway.fanout.filters import FIELDS, LONGEST_VALUE, WORDS
from gateway.fanout.frames import (
    PROTOCOL,
    ChangeFrame,
    ErrorFrame,
    Frame,
    HeartbeatFrame,
    Hello,
    Pong,
    ResultFrame,
    Snapshot,
)
from gateway.operations.operation_table import COMMANDS
from monitor.shared.codec import from_json, to_json
from monitor.shared.entities.topics import BOOK_TOPICS, FLEET_TOPICS, TOPICS, Entity

ASYNCAPI: Final = "3.1.0"

_EPOCH: Final = "001772594100000-9f3c"
_STATES: Final = {"state": "State", "upsert": "State", "remove": "Removed", "result": "Result"}
"""Fields of frames whose shape depends on the topic, and the schema of each."""


def asyncapi(version: str) -> dict[str, Any]:
    """Return the document. ``version``: callmon's."""
    sent = [_message(kind) for kind in get_args(Frame)]
    names = [message["name"] for message in (*sent, *_RECEIVED)]
    channels = {
        name: channel | {"messages": _each(names, "components/messages")}
        for name, channel in CHANNELS.items()
    }
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "callmon stream",
            "version": version,
            "description": description(),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            name: operation
            for channel in channels
            for name, operation in (
                (f"{channel}Tells", _operation("send", channel, sent)),
                (f"{channel}Hears", _operation("receive", channel, _RECEIVED)),
            )
        },
        "components": {
            "messages": {message["name"]: message for message in (*sent, *_RECEIVED)},
            "schemas": _schemas(),
        },
        "x-close-codes": close_codes(),
    }


def _operation(action: str, channel: str, messages: Iterable[dict[str, Any]]) -> dict[str, Any]:
    place = f"channels/{channel}/messages"
    refs = list(_each((message["name"] for message in messages), place).values())
    summary = (
        "Messages from the gateway to a client"
        if action == "send"
        else "Messages from a client to the gateway"
    )
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": refs,
    }


def _each(names: Iterable[str], place: str) -> dict[str, dict[str, str]]:
    return {name: {"$ref": f"#/{place}/{name}"} for name in names}


def _message(kind: type[Struct]) -> dict[str, Any]:
    example = _EXAMPLES.get(kind)
    name = str(kind.__struct_config__.tag)
    shown = {"name": name, "title": name, "summary": described(kind), "payload": ref(kind)}
    return (
        shown
        if example is None
        else shown | {"examples": [{"payload": from_json(to_json(example))}]}
    )


def _schemas() -> dict[str, Schema]:
    entities: dict[str, type[Entity]] = TOPICS | BOOK_TOPICS | FLEET_TOPICS
    frames = {kind.__name__: _frame(kind) for kind in get_args(Frame)}
    watchable = [
        command.name for command in COMMANDS.values() if command.query is not None
    ]  # with a site's own
    named = {
        "Watchable": {
            "type": "string",
            "enum": watchable,
            "description": "A query to watch: its answer is sent whenever it changes.",
        }
    }
    return frames | schemas_of(entities.values()) | _of_topics(entities) | named | _SAID


def _frame(kind: type[Struct]) -> Schema:
    """Return a frame's schema; schemas by topic describe the entities in it."""
    fields = msgspec.structs.fields(kind)
    plain = msgspec.defstruct(
        kind.__name__,
        [
            (
                field.name,
                Any if field.encode_name in _STATES else field.type,
                msgspec.field(name=field.encode_name),
            )
            for field in fields
        ],
        namespace={"__doc__": kind.__doc__},
        tag_field=kind.__struct_config__.tag_field,
        tag=kind.__struct_config__.tag,
    )
    schema = schemas_of([plain])[kind.__name__]
    for name in _STATES.keys() & schema["properties"].keys():
        schema["properties"][name] = {"$ref": PLACE + _STATES[name]}
    return schema


def _of_topics(entities: dict[str, type[Entity]]) -> dict[str, Schema]:
    def by_topic(about: str, shapes: dict[str, Schema]) -> Schema:
        return {
            "type": "object",
            "description": about,
            "properties": shapes,
            "additionalProperties": False,
        }

    return {
        "State": by_topic(
            "Entities by topic and id.",
            {
                topic: {"type": "object", "additionalProperties": ref(kind)}
                for topic, kind in entities.items()
            },
        ),
        "Result": {"description": "The query's answer, as `openapi.json` describes it."},
        "Removed": by_topic(
            "Ids of removed entities, by topic.",
            {topic: {"type": "array", "items": {"type": "string"}} for topic in entities},
        ),
    }


_CALLS: Final = live_state()["calls"]
_EXAMPLES: Final[dict[type[Struct], Struct]] = {
    Hello: Hello(PROTOCOL, "callmon", "main", 5.0, AT, tuple(TOPICS)),
    Snapshot: Snapshot(
        _EPOCH,
        1024,
        AT,
        {"calls": {id_: msgspec.Raw(to_json(call)) for id_, call in _CALLS.items()}},
        False,
    ),
    ChangeFrame: ChangeFrame(
        _EPOCH, 1024, 1025, AT, {"calls": dict(list(_CALLS.items())[:1])}, {"calls": ["46870"]}
    ),
    ResultFrame: ResultFrame(_EPOCH, 1025, AT, msgspec.Raw(b'{"result":5}')),
    HeartbeatFrame: HeartbeatFrame(_EPOCH, 1025, AT, None),
    ErrorFrame: ErrorFrame("bad_message", "topics is empty: name a topic."),
    Pong: Pong(1772612130250, AT),
}

_RECEIVED: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "subscribe",
        "title": "subscribe",
        "summary": "Watch topics, or the answer of a query. A new subscription replaces the "
        "last one.",
        "payload": {"$ref": PLACE + "Subscribe"},
        "examples": [
            {"payload": {"type": "subscribe", "topics": ["calls", "queues"]}},
            {
                "payload": {
                    "type": "subscribe",
                    "topics": ["calls"],
                    "filter": {"queue": ["800"], "state": ["Talking"]},
                }
            },
            {
                "payload": {
                    "type": "subscribe",
                    "topics": ["calls"],
                    "since": {"epoch": _EPOCH, "seq": 1024},
                }
            },
            {"payload": {"type": "subscribe", "query": "ext.state.get", "params": {"num": "101"}}},
        ],
    },
    {
        "name": "ping",
        "title": "ping",
        "summary": "The gateway answers with a pong with the same `at`, to measure the "
        "clock offset.",
        "payload": {"$ref": PLACE + "Ping"},
        "examples": [{"payload": {"type": "ping", "at": 1772612130250}}],
    },
)
_FILTER: Final[Schema] = {
    "type": ["object", "null"],
    "description": (
        "A field that a topic does not have does not restrict that topic. All other fields must "
        "match, each with any of its values."
    ),
    "properties": {
        name: {
            "type": "array",
            "minItems": 1,
            "items": {"enum": list(WORDS[name])}
            if name in WORDS
            else {"type": ["string", "integer"], "minLength": 1, "maxLength": LONGEST_VALUE},
        }
        for name in FIELDS
    },
    "additionalProperties": False,
}
_SAID: Final[dict[str, Schema]] = {
    "Subscribe": {
        "title": "Subscribe",
        "type": "object",
        "description": "Either `topics` or `query`. Watch `contacts` alone, and `pbxs` alone: each "
        "has its own position.",
        "properties": {
            "type": {"const": "subscribe"},
            "topics": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "enum": [*TOPICS, *BOOK_TOPICS, *FLEET_TOPICS]},
                "description": "Topics that `hello` lists, or `pbxs`.",
            },
            "filter": _FILTER,
            "since": {
                "type": ["object", "null"],
                "properties": {
                    "epoch": {"type": "string"},
                    "seq": {"type": "integer", "minimum": 0},
                },
                "required": ["epoch", "seq"],
                "description": "The client's position in this same view. The gateway sends the "
                "change from there if "
                "its log reaches back so far, else a snapshot. With `query`: the position of the "
                "answer that the "
                "client has. A gateway that is behind this position sends nothing older.",
            },
            "merge": {
                "type": "boolean",
                "description": (
                    "False: send each change separately, as far as the log reaches, for clients "
                    "that count changes."
                ),
            },
            "query": {"$ref": PLACE + "Watchable"},
            "params": {
                "type": "object",
                "additionalProperties": {"type": ["string", "integer"]},
                "description": "The query's parameters.",
            },
        },
        "required": ["type"],
        "oneOf": [
            {"required": ["topics"], "not": {"required": ["params"]}},
            {
                "required": ["query"],
                "not": {"anyOf": [{"required": [name]} for name in ("filter", "merge")]},
            },
        ],
        "additionalProperties": False,
    },
    "Ping": {
        "title": "Ping",
        "type": "object",
        "properties": {
            "type": {"const": "ping"},
            "at": {
                "type": ["number", "string", "null"],
                "maxLength": 64,
                "description": "Any value; the pong repeats it.",
            },
        },
        "required": ["type"],
        "additionalProperties": False,
    },
}
