"""Carry out HTTP requests that change something, and let queries wait to see the change.

A success carries ``Callmon-Position``: the position that contains the change. A query with that
value as ``Callmon-Min-Position`` waits until its gateway has reached the position.
``Idempotency-Key`` makes a command safe to repeat: under the same key it is done once, and every
repetition within a day gets the first answer. ``X-Request-Id`` is the command's id in the logs;
see :mod:`gateway.rest.request_id`.
"""

from __future__ import annotations

import re
import time
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, Final, assert_never

from msgspec import ValidationError, convert, to_builtins
from starlette.requests import Request
from starlette.responses import Response

from gateway.auth.api_keys import ApiKey
from gateway.auth.command_authorization import check_limits, sent_arguments
from gateway.errors import (
    BadParameter,
    CommandFailed,
    MonitorBusy,
    NoState,
    NotAvailable,
    NotRecorded,
    OutcomeUnknown,
    PbxAway,
    PositionNotReached,
    Refused,
    TooLate,
)
from gateway.operations.operation_table import AnswerSpace, Command, Run, command_named
from gateway.parameters import quoted
from gateway.queries.context import QueryContext
from gateway.responses import json_response
from gateway.rest import request_id
from monitor.shared.changes import Position, is_ahead
from monitor.shared.codec import Malformed, from_json, to_json
from monitor.shared.command_messages import (
    BUSY,
    NOT_RECORDED,
    CommandFailure,
    IdempotencyKey,
    Outcome,
)

if TYPE_CHECKING:
    from gateway.auth.shared_rate_limiter import RateLimiter
    from gateway.pbx_context import PbxContext

MOST_WAITING: Final = 1_000
"""Requests that may wait for a position of a PBX at once. Each change checks all of them."""
MIN_POSITION_WITHIN_S: Final = 2.0
"""Seconds that a query waits for its position, at most."""
_POSITION = re.compile(r"(\d{15}-[0-9a-f]{1,32})/(\d{1,15})")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def carry_out(
    request: Request, view: PbxContext, key: ApiKey, command: Command, asked: QueryContext
) -> Response:
    """Have the monitor carry out the command at the PBX, and return the response.

    Raises the refusals of :mod:`gateway.errors`.
    """
    _need_state(view, "live")
    check_limits(command, asked)
    arguments = dict(asked.arguments.values)
    client = request.client.host if request.client is not None else ""
    answered = await view.commander.carry_out(
        command.name,
        sent_arguments(command, asked),
        key.name,
        client,
        _once(request, key, command, arguments),
        request_id.trace_of(request),
    )
    headers = {"Idempotent-Replayed": "true"} if answered.again else {}
    return _response(command, answered.outcome, headers)


def composition_runner(
    request: Request, view: PbxContext, key: ApiKey, rate_limiter: RateLimiter | None
) -> Run:
    """Return a function that runs a composition's parts with the caller's rights and budgets.

    The caller's limits hold too. Under an Idempotency-Key each part that changes something is
    done once. Such parts are told apart by their order: the first, the second and so on.
    """
    ordinals = count(1)

    async def run(command: str, /, **arguments: str) -> dict[str, Any]:
        part = command_named(command)
        key.require(part.scope)
        if part.composition is not None:
            raise NotAvailable(
                f"{command} is itself made of commands: it cannot be a part of another "
                f"such command."
            )
        if rate_limiter is not None:
            await rate_limiter.spend(key, part)
        _need_state(view, part.space)
        asked = QueryContext(
            view.live.state,
            view.book.state,
            view.phonebook,
            key.sees(part.space),
            part.check(arguments.items()),
            view.fleet.summaries.state,
        )
        if part.query is not None:
            reply: dict[str, Any] = to_builtins(part.query(asked), str_keys=True)
            return reply
        check_limits(part, asked)
        client = request.client.host if request.client is not None else ""
        trace = request_id.trace_of(request)
        once = _once(request, key, part, arguments, f" {next(ordinals)}")
        answered = await view.commander.carry_out(
            part.name, sent_arguments(part, asked), key.name, client, once, trace
        )
        if answered.outcome.failure is not None:
            raise _refusal(answered.outcome.failure)
        return {"result": True} | _reply(answered.outcome)

    return run


async def at_least(request: Request, view: PbxContext, command: Command) -> bool:
    """Wait for the position that the request asks for; return False if it asks for none.

    Raises BadParameter if the header does not hold a position, or one of an epoch that no monitor
    has begun. Raises PositionNotReached after :data:`MIN_POSITION_WITHIN_S` seconds, or at once if
    too many requests wait already.
    """
    wanted = request.headers.get("callmon-min-position")
    if not wanted:  # also a client that has no position yet, and sends the header empty
        return False
    position = parse_position(wanted)
    if _is_of_fleet(position, view):
        return True
    live, book = _wanted(position, view, command)
    reached = view.position_waiter.reached(live, book)
    if view.position_waiter.waiting >= MOST_WAITING and not reached:
        raise PositionNotReached(
            "Too many requests wait for a position; try again.", {"Retry-After": "1"}
        )
    if not reached and not await _may_come(position, view):
        raise _never_written(wanted)
    if not await view.position_waiter.wait(live, book, MIN_POSITION_WITHIN_S):
        raise PositionNotReached(
            f"The position {position} has not been reached; try again.", {"Retry-After": "1"}
        )
    return True


def is_reached(wanted: str, view: PbxContext, command: Command) -> bool:
    """Return whether a header's position is reached; False too if it does not hold one."""
    try:
        position = parse_position(wanted)
    except BadParameter:
        return False
    return _is_of_fleet(position, view) or view.position_waiter.reached(
        *_wanted(position, view, command)
    )


def _is_of_fleet(position: Position, view: PbxContext) -> bool:
    """Return whether it is one of the summaries' of all PBXs.

    A gateway derives these as it hears of a change, so they are never late.
    """
    return position.epoch == view.fleet.summaries.position.epoch


def _wanted(
    position: Position, view: PbxContext, command: Command
) -> tuple[Position | None, Position | None]:
    """Return the position to wait for in the live space and in the directory's, or None."""
    space = view.position_waiter.space_of(position, command.space)
    return (position, None) if space == "live" else (None, position)


def parse_position(text: str) -> Position:
    """Return the position in a header's value. Raises BadParameter if it does not hold one."""
    match = _POSITION.fullmatch(text.strip())
    if match is None:
        raise BadParameter(
            f"Callmon-Min-Position = {quoted(text)} was given, but it takes the value of an "
            f"answer's Callmon-Position."
        )
    position = Position(match[1], int(match[2]))
    if is_ahead(position.epoch, int(time.time() * 1000)):
        raise _never_written(text)
    return position


def _never_written(text: str) -> BadParameter:
    return BadParameter(
        f"Callmon-Min-Position = {quoted(text)} was given, but no monitor has written that "
        f"position; it takes the value of an answer's Callmon-Position."
    )


async def _may_come(position: Position, view: PbxContext) -> bool:
    """Return whether a position of this epoch has been written, or may be soon."""
    return await view.live_feed.may_reach(position) or await view.book_feed.may_reach(position)


def _need_state(view: PbxContext, space: AnswerSpace) -> None:
    if view.replica_of(space).position is None:
        raise NoState("There is no state of the PBX yet; try again in a moment.")


def _once(
    request: Request, key: ApiKey, command: Command, arguments: dict[str, str], ordinal: str = ""
) -> IdempotencyKey | None:
    sent = request.headers.getlist("idempotency-key")
    if not sent or command.name == "query":
        return None
    given = ", ".join(sent)  # of two, neither may be meant
    if not _IDEMPOTENCY_KEY.fullmatch(given):
        raise BadParameter(
            f"Idempotency-Key = {quoted(given)} was given, but it takes 1 to 255 visible ASCII "
            "characters without spaces."
        )
    return IdempotencyKey(
        sha256(f"{key.digest} {given}{ordinal}".encode()).hexdigest(),
        sha256(to_json([command.name, sorted(arguments.items())])).hexdigest(),
    )


def _response(command: Command, outcome: Outcome, headers: dict[str, str]) -> Response:
    if outcome.failure is not None:
        error = _refusal(outcome.failure)
        error.headers |= headers
        raise error
    position = outcome.book if command.name.startswith("contact.") else outcome.live
    if position is not None:
        headers["Callmon-Position"] = str(position)
    if outcome.body is not None:
        return json_response(outcome.body, headers=headers)
    reply = _reply(outcome)
    return json_response(
        to_json(reply if command.name == "query" else {"result": True} | reply), headers=headers
    )


def _reply(outcome: Outcome) -> dict[str, Any]:
    """Return the reply's fields. Raises OutcomeUnknown if its JSON cannot be read."""
    if outcome.body is None:
        return dict(outcome.reply or {})
    try:
        return convert(from_json(outcome.body), dict[str, Any])
    except (Malformed, ValidationError) as error:
        raise OutcomeUnknown("The monitor's answer cannot be read.") from error


def _refusal(failure: CommandFailure) -> Refused:
    match failure.kind:
        case "missing":
            return CommandFailed(404, failure.code, failure.message)
        case "conflict":
            return CommandFailed(409, failure.code, failure.message)
        case "bad":
            return CommandFailed(400, failure.code, failure.message)
        case "unavailable":
            kind = {NOT_RECORDED: NotRecorded, BUSY: MonitorBusy}.get(failure.code, PbxAway)
            return kind(failure.message)
        case "too late":
            return TooLate(failure.message)
        case "unknown":
            return OutcomeUnknown(failure.message)
        case _:
            assert_never(failure.kind)
