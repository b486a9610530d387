"""Apply faults, the token check and latency before every answer. Plain ASGI, because it is hot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.shared.tasks import running
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.faults import Faults
from monitor.simulator.listener import refused_socket_ended
from monitor.simulator.login import LOGIN
from monitor.simulator.myphone import COMMANDS, PUSH
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.tokens import Principal, Tokens

_WITHOUT_TOKEN: Final = ("/connect/token", LOGIN, COMMANDS, PUSH)
"""Paths that need no token: they give out tokens, or take a web client's session in its place."""
_CHALLENGE: Final = (b"www-authenticate", b'Bearer error="invalid_token"')
_GONE: Final = ("http.disconnect", "websocket.disconnect")


class Gate:
    """Pass a request on to ``app``, or answer it.

    The scope's ``state`` of a request that is passed on has ``principal`` and ``role``, the
    greatest of the client's roles.

    - Without a live token the answer is 401.
    - It is 403 if the licence does not include the API or the client is not given that API. A
      person is given all APIs, within the person's role.
    - Half of the latency passes before a request is handled and half after it. So an answer is as
      old as its way back. Requests wait side by side.
    - A request that hangs is forgotten if its client goes away.
    """

    def __init__(
        self,
        app: ASGIApp,
        directory: Directory,
        tokens: Tokens,
        faults: Faults,
        switches: Switches,
        cut: Callable[[tuple[str, int]], None],
    ) -> None:
        self._app = app
        self._cut = cut
        self._directory, self._tokens, self._faults = directory, tokens, faults
        self._latency = switches.latency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or one socket."""
        path: str = scope["path"]
        method: str = scope.get("method", "")
        hang = self._faults.hangs(path, method)
        if hang is not None:
            held = await _wait(hang, receive)
            if held is None:
                return
            receive = held
        if self._latency:
            await asyncio.sleep(self._latency / 2)
            send = _late(send, self._latency / 2)
        intercepted = self._faults.intercepts(path, method)
        if intercepted is not None:
            after = intercepted.retry_after
            headers = [] if after is None else [(b"retry-after", b"%d" % after)]
            body = b""
            if intercepted.body is not None:
                body = msgspec.json.encode(intercepted.body)
                headers.append((b"content-type", b"application/json"))
            await self._deny(scope, receive, send, intercepted.status, *headers, body=body)
        elif path in _WITHOUT_TOKEN:
            await self._serve(scope, receive, send)
        else:
            await self._checked(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = self._tokens.principal(_bearer(scope))
        if principal is None:
            await self._deny(scope, receive, send, 401, _CHALLENGE)
        elif not self._allowed(principal, scope["path"]):
            await self._deny(scope, receive, send, 403)
        else:
            scope.setdefault("state", {}).update(principal=principal, role=principal.max_role)
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._faults.unanswers(scope["path"], scope["method"]):
            await self._app(scope, receive, send)
            return

        async def swallow(_: Message) -> None:
            pass

        await self._app(scope, receive, swallow)
        self._cut(scope["client"])
        while (await receive())["type"] not in _GONE:
            pass

    async def _deny(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        status: int,
        *headers: tuple[bytes, bytes],
        body: bytes = b"",
    ) -> None:
        refused_socket = scope["type"] == "websocket"
        if refused_socket:  # uvicorn adds its configured headers to all answers but this one
            headers = (*headers, (b"x-3cx-version", self._directory.version.encode()))
        kind = "websocket.http.response" if refused_socket else "http.response"
        await send(
            {
                "type": f"{kind}.start",
                "status": status,
                "headers": [*headers, (b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": f"{kind}.body", "body": body})
        if refused_socket:
            await refused_socket_ended(receive)

    def _allowed(self, principal: Principal, path: str) -> bool:
        client = self._directory.entity(principal.client_id)
        api = path.startswith(("/callcontrol", "/xapi"))
        if client is None or (
            "Enterprise" not in principal.roles and (api or not principal.person)
        ):
            return False
        if principal.person:
            return bool(client["Enabled"])
        if path.startswith("/callcontrol"):
            return bool(client["CallControlEnabled"])
        return bool(client["XAPIEnabled"]) if path.startswith("/xapi") else True


def _bearer(scope: Scope) -> str:
    value = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, token = value.decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _late(send: Send, seconds: float) -> Send:
    async def send_late(message: Message) -> None:
        if message["type"] in (
            "http.response.start",
            "websocket.accept",
            "websocket.http.response.start",
        ):
            await asyncio.sleep(seconds)
        await send(message)

    return send_late


async def _wait(hang: asyncio.Event, receive: Receive) -> Receive | None:
    """Wait for ``hang``. Return a replacement for ``receive``, or None if the client went away."""
    heard: list[Message] = []

    async def listen() -> None:
        while not heard or heard[-1]["type"] not in _GONE:
            heard.append(await receive())

    async with running(listen(), hang.wait()) as tasks:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if heard and heard[-1]["type"] in _GONE:
        return None

    async def replay() -> Message:
        return heard.pop(0) if heard else await receive()

    return replay
