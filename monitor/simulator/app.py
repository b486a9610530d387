"""Serve all of the simulated PBX in one ASGI application.

It holds the token endpoint, Call Control, the XAPI and the web client's interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar, cast

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.shared.tasks import running
from monitor.simulator import login as web_login
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.callcontrol.api import ApiResponse, CallControl, LaterResponse
from monitor.simulator.callcontrol.audio import Streams
from monitor.simulator.callcontrol.websocket import Sockets
from monitor.simulator.faults import Faults
from monitor.simulator.login import COOKIE
from monitor.simulator.middleware import Gate
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.tokens import GrantRefused, Tokens

T = TypeVar("T")

_LARGEST_BODY_BYTES: Final = 64 * 1024
"""Maximum bytes of a Call Control request or a form. A larger one answers 413."""

_encode = msgspec.json.Encoder().encode


def make_app(
    directory: Directory,
    tokens: Tokens,
    control: CallControl,
    sockets: Sockets,
    streams: Streams,
    faults: Faults,
    switches: Switches,
    others: Sequence[BaseRoute],
    cut: Callable[[tuple[str, int]], None],
) -> ASGIApp:
    """Return the application.

    ``others``: the routes under ``/xapi`` and those of the web client. ``cut``: ends the connection
    of a client's address without a close frame or an answer.
    """
    endpoint = _CallControlEndpoint(control, streams)
    routes: list[BaseRoute] = [
        Route("/callcontrol/{path:path}", endpoint),
        Route("/callcontrol", endpoint),
        WebSocketRoute("/callcontrol/ws", _SocketEndpoint(sockets)),
        Route(
            "/connect/token",
            _token_endpoint(tokens),
            methods=["POST"],
            max_body_size=_LARGEST_BODY_BYTES,
        ),
        *web_login.routes(tokens),
        *others,
    ]
    return Gate(Starlette(routes=routes), directory, tokens, faults, switches, cut)


class _CallControlEndpoint:
    """Serve Call Control as bare ASGI: each event causes a read, so there are hundreds a second."""

    def __init__(self, control: CallControl, streams: Streams) -> None:
        self._control, self._streams = control, streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client_id, method = scope["state"]["principal"].client_id, scope["method"]
        path = scope["raw_path"].decode("latin-1")
        if path.endswith("/stream"):
            found = self._control.stream(client_id, method, path)
            if isinstance(found, ApiResponse):
                await self._answer(found, send)
            elif method == "GET":
                await self._streams.listen(found[1], receive, send)
            else:
                await self._streams.play(*found, receive, send)
            return
        body = b"" if method == "GET" else await _body(receive)
        answer = (
            ApiResponse(413)
            if body is None
            else self._control.answer(client_id, method, path, body)
        )
        if isinstance(answer, LaterResponse):
            settled = await _unless_left(answer.settled(), receive)
            if settled is None:
                return
            answer = settled
        await self._answer(answer, send)

    @staticmethod
    async def _answer(answer: ApiResponse, send: Send) -> None:
        content = b"" if answer.payload is None else _encode(answer.payload)
        headers = [(b"content-length", b"%d" % len(content))]
        if content:
            headers.append((b"content-type", b"application/json; charset=utf-8"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


class _SocketEndpoint:
    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._sockets.serve(scope["state"]["principal"], scope, receive, send)


def _token_endpoint(tokens: Tokens) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=20) as form:
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
        try:
            return _json(tokens.grant(fields, request.cookies.get(COOKIE, "")), 200)
        except GrantRefused as refused:
            return _json(
                {"error": refused.error, "error_description": str(refused)}, refused.status
            )

    return endpoint


def _json(payload: object, status: int) -> Response:
    headers = {"cache-control": "no-store", "pragma": "no-cache"}
    return Response(_encode(payload), status, headers, "application/json; charset=utf-8")


async def _unless_left(answer: Coroutine[Any, Any, T], receive: Receive) -> T | None:
    """Return the answer once it is there, or None if the client goes away before."""

    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with running(answer, left()) as tasks:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return cast("T", tasks[0].result()) if tasks[0].done() else None


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body, or None if it is too large."""
    body = bytearray()
    more = True
    while more and len(body) <= _LARGEST_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body) if len(body) <= _LARGEST_BODY_BYTES else None
