"""Answer the queries about calls, and the bare address."""

from __future__ import annotations

from msgspec import Struct, field

from gateway.queries.context import QueryContext
from monitor.shared.entities.topics import (
    SYSTEM_ID,
    Call,
    CallState,
    Direction,
    EndedCall,
    Leg,
    System,
)

PRODUCT = "callmon"


class Result(Struct, frozen=True):
    """A count, or true or false."""

    result: int | bool


class ConnectionsOfCall(Struct, frozen=True, rename="camel"):
    """An item of ``AConnByCallID``."""

    call_id: int = field(name="callID")
    direction: Direction
    did: str
    legs: tuple[Leg, ...] = field(name="AConnList")


class ActiveConnections(Struct, frozen=True):
    """The answer of ``pbx.ac.get``."""

    count: int
    calls: tuple[ConnectionsOfCall, ...] = field(name="AConnByCallID")


class CallInfo(Struct, frozen=True, rename="camel"):
    """An item of ``callsInfo``."""

    call_id: int = field(name="callID")
    state: CallState
    started_at: str
    answered_at: str | None
    did: str
    owner: Leg | None
    talk_to: tuple[Leg, ...]
    routing_to: tuple[Leg, ...]


class CallsInfo(Struct, frozen=True):
    """The answer of ``pbx.callsinfo.get``."""

    count: int
    calls: tuple[CallInfo, ...] = field(name="callsInfo")


class EndedCalls(Struct, frozen=True):
    """The answer of ``pbx.ended.get``."""

    count: int
    ended: tuple[EndedCall, ...]


class WhatThisIs(Struct, frozen=True, rename="camel"):
    """The answer of the bare address."""

    product: str
    version: str
    concurrent_calls: int | None
    """Simultaneous calls that the PBX's licence allows; null if the PBX does not say."""
    pbx: str
    pbx_version: str
    time_zone: str
    """The PBX's time zone, an IANA name; empty if the PBX does not say."""
    scopes: tuple[str, ...]
    commands: tuple[str, ...]


def calls_get(asked: QueryContext) -> Result:
    """Return the number of calls now passing through the PBX (``pbx.calls.get``)."""
    return Result(len(asked.all("calls", Call)))


def ac_get(asked: QueryContext) -> ActiveConnections:
    """Return the active connections, call by call (``pbx.ac.get``)."""
    calls = tuple(
        ConnectionsOfCall(call.call_id, call.direction, call.did, call.legs)
        for call in _calls(asked)
    )
    return ActiveConnections(len(calls), calls)


def callsinfo_get(asked: QueryContext) -> CallsInfo:
    """Return the same calls with who talks to whom (``pbx.callsinfo.get``)."""
    calls = tuple(
        CallInfo(
            call.call_id,
            call.state,
            call.started_at,
            call.answered_at,
            call.did,
            call.owner,
            call.talk_to,
            call.routing_to,
        )
        for call in _calls(asked)
    )
    return CallsInfo(len(calls), calls)


def ended_get(asked: QueryContext) -> EndedCalls:
    """Return the calls that ended recently, in the order of their end (``pbx.ended.get``)."""
    ended = tuple(
        sorted(asked.all("ended", EndedCall), key=lambda call: (call.ended_at, call.call_id))
    )
    return EndedCalls(len(ended), ended)


def what_this_is(
    asked: QueryContext, version: str, pbx: str, scopes: tuple[str, ...], commands: tuple[str, ...]
) -> WhatThisIs:
    """Return the answer of the bare address: product, licence, and the key's commands."""
    system = asked.one("system", System, SYSTEM_ID)
    if system is None:
        return WhatThisIs(PRODUCT, version, None, pbx, "", "", scopes, commands)
    limit = system.licence_limit
    return WhatThisIs(
        PRODUCT, version, limit, pbx, system.version, system.time_zone, scopes, commands
    )


def _calls(asked: QueryContext) -> list[Call]:
    return sorted(asked.all("calls", Call), key=lambda call: call.call_id)
