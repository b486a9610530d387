"""Hold the prose of the AsyncAPI document: addresses, encodings, close codes. Pure."""

from __future__ import annotations

from typing import Any, Final

from gateway.fanout.filters import FIELDS
from gateway.stream.server import SUBPROTOCOLS
from gateway.stream.subscription import MOST_SUBSCRIPTIONS

_CLOSE_CODES: Final[dict[int, tuple[str, str]]] = {
    1001: ("the server stops", "come back with back-off"),
    1011: ("an internal fault of the gateway", "come back with back-off"),
    1012: ("the server restarts", "come back with back-off"),
    1013: ("the server is overloaded", "come back with back-off"),
    4000: ("too many bad messages, or a bad address", "do not come back unchanged"),
    4001: ("the key is unknown, expired or revoked", "do not come back unchanged"),
    4003: ("the key or the page may not do this", "do not come back unchanged"),
    4004: ("the key's PBX is not served here", "do not come back unchanged"),
    4013: ("a message is too large", "do not come back unchanged"),
    4100: ("too many connections", "come back later"),
    4101: (
        "too many messages, frames or bytes came; pings and parts of messages count too",
        "come back later",
    ),
    4103: ("no keys or no state of the PBX are loaded yet", "come back later"),
    4200: (
        "the gateway shuts down, or the connection has lasted long enough",
        "come back within `retry_in`",
    ),
    4202: ("nothing could be sent for `stall_timeout` seconds (60 by default)", "come back"),
    4203: ("the client was silent, or never subscribed", "come back"),
}

_QUERY: Final[dict[str, Any]] = {
    "topics": {
        "type": "string",
        "description": "Topics, separated by commas. They work like a first `subscribe`.",
        "examples": ["calls,queues"],
    },
    **{
        name: {
            "type": "string",
            "description": f"The filter's `{name}`, values separated by commas.",
        }
        for name in FIELDS
    },
    "fields": {
        "type": "string",
        "description": "The only fields of each entity to send, separated by commas.",
        "examples": ["activity,available"],
    },
    "since": {"type": "string", "description": "The client's position, as `epoch/seq`."},
    "merge": {"type": "string", "enum": ["true", "false"]},
    "patch": {
        "type": "string",
        "enum": ["true", "false"],
        "description": "Whether to send only the fields that changed of an entity.",
    },
    "query": {
        "type": "string",
        "description": "A query to watch; add its parameters by their names.",
    },
}
_KEY_QUERY: Final = {
    "key": {"type": "string", "description": "The key, for clients that cannot send headers."},
    "ticket": {
        "type": "string",
        "description": "A ticket for one use, from `POST /webapi/ticket`, instead of the key.",
    },
}
_PROTOCOL_HEADER: Final = {
    "Sec-WebSocket-Protocol": {
        "type": "string",
        "enum": list(SUBPROTOCOLS),
        "description": "The encoding of all messages. Without it: JSON.",
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
        "description": "A WebSocket. Send the key in a header or in the query string.",
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
    return {
        str(code): {"meaning": meaning, "then": then}
        for code, (meaning, then) in _CLOSE_CODES.items()
    }


def description() -> str:
    """Return the introduction that a reader needs first, in Markdown."""
    rows = (f"| {code} | {meaning} | {then} |" for code, (meaning, then) in _CLOSE_CODES.items())
    return "\n".join(
        (_DESCRIPTION, "", "| close code | meaning | then |", "| --- | --- | --- |", *rows)
    )


_DESCRIPTION: Final = f"""\
Every active connection and every change of state of a 3CX, as it happens. The queries and \
commands are described in [openapi.json](openapi.json).

The first frame is `hello`. After a `subscribe` comes a `snapshot` (or, for a `since` that the log \
reaches, the `change` from there). Then comes a `change` whenever something changed, and a \
`heartbeat` in between. A watched query sends a `result` whenever its answer changes. A \
subscription may be part of the address instead: `?topics=calls&queue=800`.

A client with a key for several PBXs names one in the address, `/webapi/{{key}}/{{pbx}}/stream`, \
or in the header `Callmon-Pbx`. Without a name it may watch the topic `pbxs` and the query \
`all.pbx.get`: all PBXs of its key in short. `pbxs` has a position of its own, which is that of \
this gateway alone: after a reconnection to another gateway it begins with a snapshot.

`GET /webapi/events` sends the same as Server-Sent Events, in JSON. `id` is the position, so that \
`Last-Event-ID` resumes. After a temporary refusal (429, 503), a client that accepts \
`text/event-stream` and not JSON gets an empty stream with `retry`; a comment in it says why. A \
browser's EventSource is such a client: it would give up for good after any other status. A client \
that wants the status accepts JSON too, or anything. 400, 401, 403 and 404 are sent as statuses to \
all. Browsers cannot send headers. They get a ticket from `POST /webapi/ticket`, for one use \
within 30 seconds. An EventSource that was opened with a ticket is refused when it reconnects: \
open another one, with a new ticket.

## Encodings

The subprotocol `callmon.v1.json` (or none) has text messages in JSON, `callmon.v1.msgpack` binary \
ones in msgpack. Both hold the same data: maps with the same names, instants as text, no extension \
types. An offer of only unknown subprotocols is refused.

## Compression

A client that offers `permessage-deflate` (RFC 7692) gets messages from 512 bytes to 1 MiB \
compressed, about a quarter of their size. Browsers offer it by themselves. Each message is \
compressed by itself, in both directions (`server_no_context_takeover`, \
`client_no_context_takeover`), and once for all clients that get it. If a client asks for a window \
of less than 15 bits, messages larger than the window come uncompressed. A client may compress \
its messages too. The bounds hold for their bytes before and after inflating: a message that is \
larger closes with 4013, and what inflates to nothing is counted as it came. Server-Sent Events \
are compressed for clients that accept `gzip` and send `Accept: text/event-stream`, as an \
EventSource does: one stream of it, of which each event can be read at once. A gateway may be set \
to compress nothing.

## Positions

A position is an epoch and a number in it. A `snapshot` replaces all that the client holds. A \
large one comes in parts; all but the last have `more`. A `change` applies if it has the client's \
epoch and `from` ≤ the client's position < `seq`; then `seq` is the new position. With `seq` ≤ the \
position ignore it. With another epoch, or `from` > the position, subscribe again. A `since` so \
far back that a snapshot costs less is answered by a snapshot. Entities come whole, unless the \
subscription has `patch`: then a `change` may have `patch` too, with the fields of entities that \
the client holds which changed at any position from `from` to `seq`, as they are at `seq`. All \
their other fields are as before. On a slow connection several changes come as one: the last state \
of every entity arrives, states in between may not. A `heartbeat` moves the position too. Its \
`stale_since` says since when the gateway has heard nothing from the monitor. No client is sent \
back in time: if `since` is newer than this gateway's state (the gateway is cut off or late), the \
client gets nothing older, and while the gateway is stale, it gets a `heartbeat` at its own \
position.

## Several subscriptions

A connection may have up to {MOST_SUBSCRIPTIONS} subscriptions with an `id`, and one without. Each \
has its own topics, filter and position, and all have the encoding of the connection. Each frame \
of a subscription with an `id` has the `id` as its first field, `error` included. A `subscribe` \
with an `id` that is in use gets the error `id_in_use`; with one too many, \
`too_many_subscriptions`. `unsubscribe` ends a subscription. The answer is `unsubscribed`, and no \
frame of that subscription follows. If there is no such subscription, it gets the error \
`unknown_id`. To subscribe again with the same `id`, unsubscribe first, and ignore the frames with \
that `id` until `unsubscribed` comes. A connection without any subscription gets no heartbeats, \
and is closed after a while (4203).

## Versions

`protocol` in `hello` is the number in the subprotocol. `version` tells more: 1.1 has `id`, \
`unsubscribe`, `fields` and `patch`. A gateway without `version` speaks 1.0. For a client of 1.0 \
nothing else is different.

## Bounds

A connection, and each further subscription on it, counts as one of the key's reads. A connection \
may send 30 messages at once and 10 a second, unless the gateway is set otherwise. For each \
message it may send ten frames and 6.4 KiB, but at least 256 KiB at once. Pings, pongs and parts \
of messages are frames too. The filters of all connections of a key, with their `fields`, hold at \
most 16 MiB together, and equal ones count once. A subscription beyond that gets the error \
`filters_too_large`. Watched answers beyond 64 MiB get the error `answers_too_large`. All \
connections of a key together may have as many subscriptions with an `id` as the key may have \
connections, else `too_many_subscriptions`. Work for single connections may take a quarter of the \
gateway's time for all connections of a key together. Beyond that, it is done later.

## The end

If possible, a handshake is refused with an HTTP status and the same body as a query's failure, \
else with a close code. The reason of 4200 is `{{"retry_in": [from, to]}}`: the client comes back \
after a random time in this range, in seconds."""
