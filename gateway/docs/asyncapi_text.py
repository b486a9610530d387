"""Hold the prose of the AsyncAPI document: addresses, encodings, close codes. Pure."""

from __future__ import annotations

from typing import Any, Final

from gateway.fanout.filters import FIELDS
from gateway.stream.server import SUBPROTOCOLS

_CLOSE_CODES: Final[dict[int, tuple[str, str]]] = {
    1001: ("the server goes away", "come back with back-off"),
    1011: ("a fault of the gateway's own", "come back with back-off"),
    1012: ("the server restarts", "come back with back-off"),
    1013: ("the server is overloaded", "come back with back-off"),
    4000: ("bad messages, one time too often, or a bad address", "do not come back unchanged"),
    4001: ("the key is unknown, expired or revoked", "do not come back unchanged"),
    4003: ("the key or the page may not do this", "do not come back unchanged"),
    4004: ("the key's PBX is not served here", "do not come back unchanged"),
    4013: ("a message is too large", "do not come back unchanged"),
    4100: ("too many connections", "come back later"),
    4101: ("too many messages, frames or bytes came, pings and parts of messages too", "come back later"),
    4103: ("there are no keys, or there is no state of the PBX, yet", "come back later"),
    4200: ("the gateway shuts down, or the connection has lasted long enough", "come back within `retry_in`"),
    4202: ("nothing could be sent for a minute", "come back"),
    4203: ("the client was silent, or never subscribed", "come back"),
}

_QUERY: Final[dict[str, Any]] = {
    "topics": {
        "type": "string",
        "description": "Topics, separated by commas: the same as a first `subscribe`.",
        "examples": ["calls,queues"],
    },
    **{
        name: {"type": "string", "description": f"The filter's `{name}`, values separated by commas."}
        for name in FIELDS
    },
    "since": {"type": "string", "description": "The position that the client holds, as `epoch/seq`."},
    "merge": {"type": "string", "enum": ["true", "false"]},
    "query": {"type": "string", "description": "A query to watch; its parameters stand beside it by their names."},
}
_KEY_QUERY: Final = {
    "key": {"type": "string", "description": "The key, where no header can be sent."},
    "ticket": {"type": "string", "description": "In place of the key: from `POST /webapi/ticket`, for one use."},
}
_PROTOCOL_HEADER: Final = {
    "Sec-WebSocket-Protocol": {
        "type": "string",
        "enum": list(SUBPROTOCOLS),
        "description": "The encoding of all messages; none: JSON.",
    }
}
_KEY_HEADERS: Final = {
    "Authorization": {"type": "string", "pattern": "^[Bb]earer ", "description": "`Bearer {key}`"},
    "X-API-Key": {"type": "string", "description": "The key."},
}


def _binding(query: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
    return {
        "ws": {
            "method": "GET",
            "query": {"type": "object", "properties": query},
            "headers": {"type": "object", "properties": headers},
            "bindingVersion": "0.1.0",
        }
    }


CHANNELS: Final[dict[str, dict[str, Any]]] = {
    "stream": {
        "address": "/webapi/stream",
        "title": "The stream",
        "description": "A WebSocket. The key stands in a header, or in the query string.",
        "bindings": _binding(_QUERY | _KEY_QUERY, _PROTOCOL_HEADER | _KEY_HEADERS),
    },
    "streamByAddress": {
        "address": "/webapi/{key}/stream",
        "title": "The stream, with the key in the address",
        "description": "The same WebSocket.",
        "parameters": {"key": {"description": "The key."}},
        "bindings": _binding(_QUERY, _PROTOCOL_HEADER),
    },
}


def close_codes() -> dict[str, dict[str, str]]:
    """Return each close code with what happened and what the client should do."""
    return {str(code): {"meaning": meaning, "then": then} for code, (meaning, then) in _CLOSE_CODES.items()}


def description() -> str:
    """Return the introduction that a reader needs first, in Markdown."""
    rows = (f"| {code} | {meaning} | {then} |" for code, (meaning, then) in _CLOSE_CODES.items())
    return "\n".join((_DESCRIPTION, "", "| close code | meaning | then |", "| --- | --- | --- |", *rows))


_DESCRIPTION: Final = """\
Every active connection and every change of state of a 3CX, as it happens. The queries and commands are described in \
[openapi.json](openapi.json).

The first frame is `hello`. After a `subscribe` comes a `snapshot` (or, for a `since` that the log \
reaches, the `change` from there), then a `change` whenever something changed, and a \
`heartbeat` in between. A watched query has a `result` whenever its answer is another. A subscription may stand in \
the address as well: `?topics=calls&queue=800`.

`GET /webapi/events` is the same as Server-Sent Events, in JSON: `id` is the position, so that `Last-Event-ID` \
resumes. \
A refusal that time mends (429, 503) is an empty stream with `retry` to those who accept `text/event-stream` and no \
JSON, as a browser's EventSource does, which would give up for good after any other status; a comment in it says why. \
Whoever wants the status accepts JSON too, or anything. 400, 401, 403 and 404 are statuses for all. \
Browsers, which can send no headers, get a ticket for one use within 30 seconds from `POST /webapi/ticket`. \
An EventSource that was opened with a ticket is refused when it comes back: open another one, with a new ticket.

## Encodings

The subprotocol `callmon.v1.json` (or none) has text messages in JSON, `callmon.v1.msgpack` binary ones in msgpack. \
Both say the same: maps with the same names, instants as text, no extension types. An offer of unknown subprotocols \
only is refused.

## Positions

A position is an epoch and a number in it. A `snapshot` replaces all that the client holds; a large one comes in \
parts, of which all but the last have `more`. A `change` applies if it is of the client's epoch and `from` ≤ the \
client's position < `seq`; then `seq` is the position. With `seq` ≤ the position it is ignored; with another epoch, \
or `from` > the position, the client subscribes again. A `since` from so far back that a snapshot costs less is \
answered by one. Entities come whole. On a slow connection several changes come \
as one: the last state of every entity arrives, those between may not. A `heartbeat` moves the position as well; its \
`stale_since` says since when the gateway has heard nothing from the monitor. Nobody is sent back: a client that says \
with `since` that it holds more than this gateway (which is cut off, or late) gets nothing older, and while the \
gateway is stale a `heartbeat` at the client's own position.

## Bounds

A connection, and each further subscription on it, counts as one of the key's reads. A connection may send 30 messages \
at once and 10 a second, unless the gateway is set otherwise, and ten frames and 6.4 KiB for each of them, but at \
least 256 KiB at once: pings, pongs and parts of messages are frames too. The filters of all a key's connections hold \
16 MiB together, equal ones counted once; a subscription beyond that is answered by the error `filters_too_large`. \
So are their watched answers beyond 64 MiB, by `answers_too_large`. \
What is made for one connection alone may take a quarter of the gateway's time for all connections of a key; then it \
comes later.

## The end

A handshake is refused with an HTTP status and the same body as a query's failure where the server can, else with a \
close code. The reason of 4200 is `{"retry_in": [from, to]}`: the client comes back after a random time in this \
range, in seconds."""
