"""Hold the parts of the OpenAPI document that do not depend on the commands. Pure."""

from __future__ import annotations

from typing import Any, Final

from gateway.operations.operation_table import DOCUMENTED, commands_for
from monitor.shared.api_keys import PBX_NAME
from monitor.shared.version import VERSION

IN_THE_ADDRESS: Final = "Key in the address"
OWN_GROUP: Final = "More commands"
"""Group of the commands that are not among the documented ones."""
GROUPS: Final = {
    "About": "This service and its health.",
    "Calls": "Current calls and calls that ended recently.",
    "Lists": "Lists of the numbers on the PBX.",
    "Extensions": "Users: their data, state and settings.",
    "Queues": "Agents and managers of call queues.",
    "Ring groups": "Members of ring groups.",
    "Extension groups": "Members of extension groups, which 3CX calls departments.",
    "Calls out": "Start a call from the PBX.",
    "Address book": "The company's contacts.",
    "SQL": "The PBX's own database.",
    OWN_GROUP: "Commands that this site added.",
    IN_THE_ADDRESS: "The same commands, with the key in the address.",
}
_BY_PREFIX: Final = {
    "pbx": "Calls",
    "all": "Lists",
    "ext": "Extensions",
    "queue": "Queues",
    "group": "Ring groups",
    "extgroup": "Extension groups",
    "contact": "Address book",
    "makecall": "Calls out",
}

SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"header": []}, {"query": []}]
SECURITY_SCHEMES: Final[dict[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer {key}`"},
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "`X-API-Key: {key}`",
    },
    "query": {
        "type": "apiKey",
        "in": "query",
        "name": "key",
        "description": "`?key={key}`; prefer a header, because addresses are logged.",
    },
}

_POSITION: Final = {"type": "string", "pattern": "^[0-9]{15}-[0-9a-f]{1,32}/[0-9]{1,15}$"}
_POSITION_EXAMPLE: Final = "001772594100000-9f3c/1024"

PARAMETERS: Final[dict[str, Any]] = {
    "Key": {
        "name": "key",
        "in": "path",
        "required": True,
        "description": "The key.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._~-]{8,256}$"},
    },
    "Pbx": {
        "name": "Callmon-Pbx",
        "in": "header",
        "description": "The name of the PBX, for a key for several PBXs. It may also stand in the "
        "address: `/webapi/{key}/{pbx}/{command}`. Empty: none is named.",
        "schema": {"type": "string", "pattern": f"^({PBX_NAME})?$"},
        "example": "",
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of the client's answer. If the answer has not changed, 304 "
        "comes without a body.",
        "schema": {"type": "string"},
    },
    "MinPosition": {
        "name": "Callmon-Min-Position",
        "in": "header",
        "description": "A `Callmon-Position`: the answer waits, for at most two seconds, until it "
        "contains that "
        "position. So a client reads its own changes at every gateway.",
        "schema": _POSITION,
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A value that the client chooses. The command is done once for it, "
        "and every "
        "repetition within a day gets the first answer.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
}

HEADERS: Final[dict[str, Any]] = {
    "ETag": {
        "description": "A hash of the answer. It is the same at every gateway and changes only "
        "with the answer. It begins with `W/` if the answer is compressed.",
        "schema": {"type": "string"},
        "example": '"5f1d7a84db00d2fce00b31a7fc73224f"',
    },
    "CallmonPosition": {
        "description": "The position of the state that the answer shows, or that contains the "
        "change; absent if "
        "nothing was changed.",
        "schema": _POSITION,
        "example": _POSITION_EXAMPLE,
    },
    "CallmonStaleSince": {
        "description": "Since when the gateway has heard nothing from the monitor, or the monitor "
        "nothing from the "
        "PBX: the answer may be out of date. Absent while it is live.",
        "schema": {"type": "string", "format": "date-time"},
        "example": "2026-03-04T08:15:30.250Z",
    },
    "IdempotentReplayed": {
        "description": "`true` if this is the answer to an earlier request under the same "
        "`Idempotency-Key`.",
        "schema": {"type": "string", "const": "true"},
    },
    "RateLimit": {
        "description": "The key's budget that the request was counted in, how many requests are "
        "left (`r`) and in how "
        "many seconds the budget is full again (`t`); absent if there is no limit.",
        "schema": {"type": "string"},
        "example": '"reads";r=2999;t=60',
    },
    "RateLimitPolicy": {
        "description": "The budget: how many requests (`q`) in how many seconds (`w`).",
        "schema": {"type": "string"},
        "example": '"reads";q=3000;w=60',
    },
    "XRequestId": {
        "description": "The id of this command in the logs: the request's own `X-Request-Id`, if "
        "it has one of "
        "at most 64 letters, digits and `._:/+=@-`.",
        "schema": {"type": "string"},
        "example": "9f86d081884c7d65",
    },
    "RetryAfter": {
        "description": "Seconds.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 1,
    },
}

BARE_EXAMPLE: Final[dict[str, Any]] = {
    "product": "callmon",
    "version": VERSION,
    "concurrentCalls": 32,
    "pbx": "main",
    "pbxVersion": "20.0.8.1109",
    "timeZone": "Europe/Berlin",
    "scopes": ["read"],
    "commands": [name for name in commands_for(("read",)) if name in DOCUMENTED],
}
READINESS_EXAMPLE: Final[dict[str, Any]] = {
    "ready": True,
    "keys": True,
    "draining": False,
    "pbxs": {
        "main": {
            "bus": True,
            "snapshot": True,
            "monitor": True,
            "pbx": True,
            "position": _POSITION_EXAMPLE,
            "bookPosition": "001772594100000-77b0/12",
            "staleSince": None,
            "monitorName": "monitor-1",
            "connection": "connected",
            "reason": "",
            "rejected": [],
            "followed": True,
        }
    },
}

DESCRIPTION: Final = """\
A live call monitor for 3CX: every active connection and every change of state, as it happens. \
This is its HTTP interface; the stream of changes is described [in words](docs/stream), and for \
tools in [asyncapi.json](asyncapi.json).

## Address and key

- `/webapi/{key}/{command}`, or
- `/webapi/{command}` with the key as `Authorization: Bearer {key}`, `X-API-Key: {key}` or \
`?key={key}`; `/{command}` works as well.

A key may be for several PBXs. Each request then names one: `/webapi/{key}/{pbx}/{command}`, or \
the header `Callmon-Pbx`. A name that is a command's is taken for the command, unless another \
command follows.

Each command has a scope that the key must hold: `read`, `contacts`, `control`, `admin` or `sql`. \
`HEAD` works wherever a query answers to `GET`. Extensions' `email`, `mobile` and `authid` are \
empty for a key without `contacts`.

## Parameters

Put them in the query string or, with POST, in a JSON object or a form. An unknown name, a \
value that is not allowed and a parameter given twice are refused. The message says what is allowed.

## Commands that change something

They work with GET, as documented, and with POST. Prefer POST: no proxy or browser repeats it by \
itself. Success is reported when the PBX has the change and every gateway shows it. With \
`Idempotency-Key` a command is safe to repeat.

## Limits

A key may have a limit of requests a minute, counted over all gateways. There is one budget for \
queries, one for commands, one for `makecall` and one for `query`. `RateLimit` tells what is left \
of the budget that a request was counted in.

A key may be limited to extensions, queues or ring groups: it sees and changes nothing else. When \
it replaces a list of members, the members that it does not see stay.

## Failures

Every failure is `{"result": false, "error": {"code": …, "message": …}}` with a matching HTTP \
status. Codes are stable, messages are not. A fault of callmon itself is 500 with the code \
`internal`. All codes are listed with the schema `Failure`."""


def group_of(command: str) -> str:
    """Return the group under which a command is listed."""
    if command not in DOCUMENTED:
        return OWN_GROUP
    return "SQL" if command == "query" else _BY_PREFIX.get(command.partition(".")[0], OWN_GROUP)
