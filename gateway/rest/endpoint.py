"""Answer the documented HTTP interface: ``/webapi/…``.

One endpoint serves every command and every form of address. It checks a request in this order:

1. a key outside the body holds (else 401); this is checked before the body is read;
2. the request can be read (else 400, 413, 415);
3. its key holds (else 401; 503 while no keys are loaded);
4. the PBX is named if the key is for several (else 400), and it is one of the key's (else 404);
   its command exists (else 404);
5. the method fits the command (else 405);
6. the key has the scope (else 403);
7. the key's budget is not spent (else 429);
8. the parameters are right (else 400);
9. there is a state of the PBX (else 503);
10. the thing that the request names exists, and the key may see it (else 404).

:mod:`gateway.rest.command_requests` does the rest for commands that change something, and for
queries that ask for a position.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.auth.api_keys import ApiKey, KeyTable, authenticate, sha256_hex
from gateway.auth.command_authorization import goes_beyond
from gateway.auth.pbx_choice import HEADER, PbxChoice
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.counters import RequestCounters
from gateway.errors import (
    INTERNAL,
    KeyRefused,
    KeyUnknown,
    Refused,
    UnknownCommand,
    WrongMethod,
    shown,
)
from gateway.fair_share import RequestTurns
from gateway.fanout.watched_queries import Question
from gateway.operations.operation_table import (
    COMMANDS,
    RESERVED,
    TIME,
    Command,
    command_named,
    commands_for,
)
from gateway.parameters import check
from gateway.queries.calls import what_this_is
from gateway.responses import json_response, refuse
from gateway.rest import command_requests, long_poll, request_id
from gateway.rest.query_responses import matches, respond
from gateway.rest.request_parser import UnauthenticatedBodies, keys_outside, parse_request
from gateway.transport.compression import takes_gzip
from monitor.shared.codec import to_json
from monitor.shared.timestamps import from_unix

if TYPE_CHECKING:
    from msgspec import Struct

    from gateway.pbx_context import PbxContext

KEY_NAME = "callmon.key"
"""Scope entry with the name of the request's key, for the log."""
REFUSED_KEY = "callmon.refused_key"
"""Scope entry with the first digits of a refused key's digest, for the log."""
_SHOWN_DIGITS = 8
REPEATABLE = "callmon.repeatable"
"""Scope entry with the key, view and question of an answered query, for the fast path.

:mod:`gateway.rest.fast_path` reads it."""
_BUDGET = "callmon.budget"
_COMMAND = "callmon.command"
_WAITED = "callmon.waited"
_BARE_METHODS = ("GET", "HEAD")
_Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of a request."""


@dataclass(frozen=True, slots=True)
class Address:
    """Hold what an address names.

    ``command``: None for the bare address. ``key``, ``pbx``: those in the path, or None.
    """

    key: str | None
    command: str | None
    pbx: str | None = None

    def of_pbx(self, reach: Container[str]) -> Address:
        """Return the bare address of a PBX if this is one, else this.

        ``reach``: the PBXs of its key. No PBX is found under the name of a command.
        """
        word = self.command
        if self.key is None or self.pbx or word is None or word in RESERVED or word not in reach:
            return self
        return Address(self.key, None, word)


def address_of(path: str, keys: tuple[str, ...]) -> Address:
    """Return what the address after ``/webapi/`` names.

    ``keys``: the keys that the request gives outside the path. A single part is a command if it
    is a reserved name. It is also a command if ``keys`` are given and it is not one of them.
    Otherwise it is the key. The second of two parts is a command; :meth:`of_pbx` says when it is
    not. Raises UnknownCommand for more than three parts.
    """
    parts = path.split("/")
    if parts and parts[-1] == "":
        parts.pop()
    match parts:
        case []:
            return Address(None, None)
        case [name] if name in RESERVED or (keys and name not in keys):
            return Address(None, name)
        case [key]:
            return Address(key, None)
        case [key, command]:
            return Address(key, command)
        case [key, pbx, command] if pbx not in RESERVED or command in RESERVED:
            return Address(key, command, pbx)
        case _:
            raise UnknownCommand(
                "An address is /webapi/{key}/{command}, /webapi/{key}/{pbx}/{command} or "
                "/webapi/{command}, with nothing after it."
            )


class WebApiEndpoint:
    """Serve the documented interface as an ASGI endpoint."""

    def __init__(
        self,
        pbxs: Mapping[str, PbxContext],
        keys: KeyTable,
        version: str,
        clock: Callable[[], float],
        rate_limiter: RateLimiter | None = None,
        counters: RequestCounters | None = None,
        bodies: UnauthenticatedBodies | None = None,
        *,
        compression: bool = True,
    ) -> None:
        self._compression = compression
        self._counters = RequestCounters() if counters is None else counters
        self._rate_limiter = rate_limiter
        self._bodies = UnauthenticatedBodies() if bodies is None else bodies
        self._turns = RequestTurns()
        self._pbxs = pbxs
        self._choice = PbxChoice({name: view.tenant for name, view in pbxs.items()})
        self._keys = keys
        self._version = version
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request with any method."""
        request = Request(scope, receive)
        began = perf_counter()
        result = INTERNAL.code
        try:
            response = await self._response(request)
            result = "ok"
        except Refused as error:
            response = refuse(error, request.method)
            result = shown(error).code
        except ClientDisconnect:
            result = "gone"
            return
        finally:
            seconds = None if _WAITED in request.scope else perf_counter() - began
            self._counters.done(request.scope.get(_COMMAND, "none"), result, seconds)
        for name, value in request.scope.get(_BUDGET, {}).items():
            response.headers[name] = value
        if trace := request_id.trace_of(request):
            response.headers[request_id.HEADER] = trace
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        judged = self._judged(request)
        bodies = self._bodies if request.method == "POST" and judged is None else None
        turn = partial(self._turns.turn, "" if judged is None else judged.digest)
        came = await parse_request(request, bodies, turn)
        address = address_of(_tail(request), came.keys)
        keys = (address.key, *came.keys)
        key = self._authenticated(request, keys)
        if request.method != "POST":
            await self._turns.turn(key.digest)
            self._check_still(key, keys)
        request.scope[KEY_NAME] = key.name
        key.admit(request.client.host if request.client is not None else "")
        address = address.of_pbx(self._choice.reach(key))
        named = (address.pbx, *request.headers.getlist(HEADER))
        # Before a PBX is asked for: the name may be that of one, mistyped.
        command = command_named(address.command) if address.command and not address.pbx else None
        of_all = command is not None and command.space == "fleet"
        key = self._choice.chosen(key, named, of_all=of_all)
        view = self._pbxs[key.pbx]
        if of_all:
            view.fleet.ask_for(key.pbxs_seen)
        elif await view.asked_for():
            self._check_still(key, keys)
        if address.command is None:
            return await self._bare(request, view, key, came.pairs)
        command = command or command_named(address.command)
        return await self._operation(request, view, key, command, came.pairs, keys)

    async def _operation(
        self,
        request: Request,
        view: PbxContext,
        key: ApiKey,
        command: Command,
        pairs: _Pairs,
        keys: tuple[str | None, ...],
    ) -> Response:
        """Answer a query, a composition or a command. ``keys``: all that the request gives."""
        request.scope[_COMMAND] = command.name
        if command.query is None:
            request_id.begin(request)
        _check_method(request.method, command.methods)
        key.require(command.scope)
        await self._spend(request, key, command)
        arguments = command.check(_with_form(pairs, command, key))
        if command.composition is not None:
            made = await command.composition(
                command_requests.composition_runner(request, view, key, self._rate_limiter),
                arguments,
            )
            return json_response(to_json(made))
        if command.query is None:
            asked = view.asked(key.visibility, arguments)
            return await command_requests.carry_out(request, view, key, command, asked)
        if await command_requests.at_least(request, view, command):
            self._check_still(key, keys)
        return await self._query(
            request, view, key, Question(command, arguments, key.sees(command.space)), keys
        )

    def _judged(self, request: Request) -> ApiKey | None:
        """Return the key that a POST gives outside its body; None if it gives none.

        Also None for other methods. Raises a subclass of KeyRefused if that key does not hold,
        and NoKeys.
        """
        if request.method != "POST":
            return None
        outside = keys_outside(request)
        parts = _tail(request).split("/", 2)
        if len(parts) > 1 and parts[1]:
            outside = (parts[0], *outside)
        return self._authenticated(request, outside) if outside else None

    def _authenticated(self, request: Request, keys: tuple[str | None, ...]) -> ApiKey:
        try:
            return authenticate(self._keys, keys, from_unix(self._clock()))
        except KeyRefused:
            given_key = next((key for key in keys if key), None)
            request.scope[REFUSED_KEY] = (
                None if given_key is None else sha256_hex(given_key)[:_SHOWN_DIGITS]
            )
            raise

    async def _spend(self, request: Request, key: ApiKey, command: Command | None) -> None:
        if self._rate_limiter is not None:
            left = await self._rate_limiter.spend(key, command)
            request.scope[_BUDGET] = {} if left is None else left.headers

    async def _query(
        self,
        request: Request,
        view: PbxContext,
        key: ApiKey,
        question: Question,
        keys: tuple[str | None, ...],
    ) -> Response:
        known = request.headers.get("if-none-match")
        answer, applied = view.ask(question), None
        seconds = long_poll.wanted(request) if known is not None else None
        if (
            known is not None
            and seconds
            and matches(known, answer.etag)
            and long_poll.may_wait(view, key.digest)
        ):
            request.scope[_WAITED] = True
            turn = partial(self._turns.turn, key.digest)
            answer = await long_poll.other(
                request, view, question, answer, known, seconds, key.digest, turn
            )
            applied = seconds
            self._check_still(key, keys)
        stale_since = view.stale_since(question.command.space)
        response = respond(
            answer, stale_since, request.method, known, gzip=self._takes_gzip(request)
        )
        request.scope[REPEATABLE] = (key, view, question)
        if applied is not None:
            response.headers["Preference-Applied"] = f"wait={applied}"
        return response

    def _check_still(self, key: ApiKey, keys: tuple[str | None, ...]) -> None:
        """Raise a subclass of KeyRefused if the key was revoked or changed meanwhile."""
        if authenticate(self._keys, keys, from_unix(self._clock())) != key.unchosen:
            raise KeyUnknown("This key was changed meanwhile; try again.")

    async def _bare(
        self, request: Request, view: PbxContext, key: ApiKey, pairs: _Pairs
    ) -> Response:
        request.scope[_COMMAND] = "bare"
        await self._spend(request, key, None)
        _check_method(request.method, _BARE_METHODS)
        check((), pairs, "The bare address")
        scopes, limited = tuple(sorted(key.scopes)), key.limits.any
        usable = tuple(
            name for name in commands_for(scopes) if not (limited and goes_beyond(COMMANDS[name]))
        )

        def make() -> Struct:
            return what_this_is(
                view.asked(key.visibility), self._version, view.name, scopes, usable
            )

        answer = view.answer("live", ("", usable, scopes), make)
        return respond(
            answer,
            view.stale_since("live"),
            request.method,
            request.headers.get("if-none-match"),
            gzip=self._takes_gzip(request),
        )

    def _takes_gzip(self, request: Request) -> bool:
        return self._compression and takes_gzip(request.headers.get("accept-encoding", ""))


def _with_form(pairs: _Pairs, command: Command, key: ApiKey) -> _Pairs:
    """Return a request's names and values, with the key's form of instants if it gives none."""
    if key.time == TIME.allowed[0] or TIME not in command.parameters:
        return pairs
    if any(name == TIME.name and value for name, value in pairs):
        return pairs
    return (*(pair for pair in pairs if pair[0] != TIME.name), (TIME.name, key.time))


def _tail(request: Request) -> str:
    """Return the path after ``/webapi/``, or the command of an address without ``/webapi/``."""
    tail = request.path_params.get("address")
    if tail is None:
        last = request.url.path.rpartition("/")[2]
        return last if last in RESERVED else ""
    return str(tail)


def _check_method(method: str, allowed: tuple[str, ...]) -> None:
    if method not in allowed:
        works = (
            f"{', '.join(allowed[:-1])} and {allowed[-1]} work"
            if len(allowed) > 1
            else f"use {allowed[0]}"
        )
        raise WrongMethod(f"{method} does not work here; {works}.", {"Allow": ", ".join(allowed)})
