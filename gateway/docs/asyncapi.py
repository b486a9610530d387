"""Make the AsyncAPI 3 document of the stream from the frames and entities that are sent. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from gateway.docs.asyncapi_text import CHANNELS, close_codes, description
from gateway.docs.example_data import AT, live_state
from gateway.docs.schemas import PLACE, Schema, described, ref, schemas_of
from gateway.fanout.field_selection import MOST_FIELDS, names_of
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
    Unsubscribed,
)
from gateway.operations.operation_table import COMMANDS
from gateway.stream.client_messages import LARGEST_ID, LONGEST_ID, OF_TOPICS
from monitor.shared.codec import from_json, to_json
from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS, Entity

ASYNCAPI: Final = "3.1.0"

_EPOCH: Final = "001772594100000-9f3c"
_STATES: Final = {
    "state": "State",
    "upsert": "State",
    "remove": "Removed",
    "patch": "Patched",
    "result": "Result",
}
"""Fields of frames whose shape depends on the topic, and the schema of each."""
_ID: Final[Schema] = {
    "type": ["string", "integer"],
    "minLength": 1,
    "maxLength": LONGEST_ID,
    "minimum": 0,
    "maximum": LARGEST_ID,
}
_ID_OF_FRAME: Final[Schema] = _ID | {
    "description": "Id of the subscription, if it has one. It comes before all other fields."
}
_OF_CONNECTION: Final = (Hello, Pong)
"""Frames that belong to no subscription."""


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
    entities: dict[str, type[Entity]] = TOPICS | BOOK_TOPICS
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
    left_out = {field.encode_name for field in fields if field.default is msgspec.UNSET}
    schema["required"] = [name for name in schema["required"] if name not in left_out]
    if kind not in _OF_CONNECTION:
        schema["properties"] = {"id": _ID_OF_FRAME, **schema["properties"]}
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
            "Entities by topic and id. If the subscription has `fields`, they have only these.",
            {
                topic: {"type": "object", "additionalProperties": ref(kind)}
                for topic, kind in entities.items()
            },
        ),
        "Patched": by_topic(
            "Fields that changed, by topic and id, of entities that the client has. All other "
            "fields are as before. Only if the subscription has `patch`.",
            {
                topic: {"type": "object", "additionalProperties": {"type": "object"}}
                for topic in entities
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
    Unsubscribed: Unsubscribed(),
    Pong: Pong(1772612130250, AT),
}

_RECEIVED: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "subscribe",
        "title": "subscribe",
        "summary": "Watch topics, or the answer of a query. With an `id` it is one of several on "
        "the connection. Without an `id` it replaces the last one without an `id`.",
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
            {"payload": {"type": "subscribe", "id": "lines", "topics": ["lines"]}},
            {
                "payload": {
                    "type": "subscribe",
                    "topics": ["extensions"],
                    "fields": ["activity", "available"],
                }
            },
        ],
    },
    {
        "name": "unsubscribe",
        "title": "unsubscribe",
        "summary": "End the subscription with this `id`; without an `id`, the one without. The "
        "gateway answers with `unsubscribed`.",
        "payload": {"$ref": PLACE + "Unsubscribe"},
        "examples": [{"payload": {"type": "unsubscribe", "id": "lines"}}],
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
_ID_SAID: Final[Schema] = _ID | {
    "type": ["string", "integer", "null"],
    "description": "Names one of several subscriptions on the connection. All its frames have it.",
}


def _field_names() -> list[str]:
    """Return the names of the fields of all topics, each once."""
    topics = (*TOPICS, *BOOK_TOPICS)
    return list(dict.fromkeys(name for topic in topics for name in names_of(topic)))


_SAID: Final[dict[str, Schema]] = {
    "Subscribe": {
        "title": "Subscribe",
        "type": "object",
        "description": "Either `topics` or `query`. Watch `contacts` alone: it has its own "
        "position.",
        "properties": {
            "type": {"const": "subscribe"},
            "id": _ID_SAID,
            "topics": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "enum": [*TOPICS, *BOOK_TOPICS]},
                "description": "Topics that `hello` lists.",
            },
            "filter": _FILTER,
            "fields": {
                "type": ["array", "null"],
                "minItems": 1,
                "maxItems": MOST_FIELDS,
                "items": {"type": "string", "enum": _field_names()},
                "description": "Send only these fields of each entity, and those that identify it. "
                "A change of other fields is not sent. At least one of the topics must have each "
                "field. Without `fields` entities come whole.",
            },
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
            "patch": {
                "type": "boolean",
                "description": (
                    "True: of an entity that the client has, send only the fields that changed, "
                    "in `patch`. In a busy office about 60 % of the bytes remain."
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
                "not": {"anyOf": [{"required": [name]} for name in OF_TOPICS if name != "topics"]},
            },
        ],
        "additionalProperties": False,
    },
    "Unsubscribe": {
        "title": "Unsubscribe",
        "type": "object",
        "properties": {"type": {"const": "unsubscribe"}, "id": _ID_SAID},
        "required": ["type"],
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
