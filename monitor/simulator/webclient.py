"""The web client's own interface ("MyPhone") of the simulated PBX, as far as logins to queues go.

A session is opened with the token of an API client that has the right to it; commands name the session. Sessions do not
outlive a restart. Who sends a command without a session, or with a forgotten one, is told so as text, with status 200.
"""

from __future__ import annotations

import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from monitor import webproto
from monitor.simulator.directory import Directory

COMMANDS: Final = "/MyPhone/MPWebService.asmx"
_SESSION: Final = "/webclient/api/MyPhone/session"
_OCTETS: Final = "application/octet-stream"
_LARGEST: Final = 64 * 1024
_MOST_SESSIONS: Final = 1_000


class WebClientService:
    """Sessions and commands."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._sessions: dict[str, bool] = {}
        """Session's key → whether it has logged in."""

    def routes(self) -> list[Route]:
        """Its two addresses."""
        return [
            Route(_SESSION, self._open, methods=["POST"], max_body_size=_LARGEST),
            Route(COMMANDS, self._command, methods=["POST"], max_body_size=_LARGEST),
        ]

    def forget(self) -> None:
        """End all sessions."""
        self._sessions.clear()

    async def _open(self, request: Request) -> Response:
        client = self._directory.entity(request.scope["state"]["principal"].client_id)
        if client is None or not client["MyPhoneEnabled"]:
            return Response(status_code=403)
        while len(self._sessions) >= _MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        key = secrets.token_hex(16)
        self._sessions[key] = False
        return JSONResponse({"sessionKey": key, "pass": secrets.token_hex(8)})

    async def _command(self, request: Request) -> Response:
        key = request.headers.get("MyPhoneSession", "")
        if key not in self._sessions:
            return Response(b"NOT AUTH", media_type="text/plain")
        try:
            message = webproto.decode(await request.body())
        except webproto.NotAMessage:
            return Response(status_code=400)
        if message.message_id == webproto.LOGIN:
            self._sessions[key] = True
            return _answer(webproto.done("Login was successfully processed"))
        if not self._sessions[key]:
            return _answer(webproto.done("Login is required"))
        match message.message_id:
            case webproto.GET_MY_INFO:
                return _answer(webproto.queues_info(self._queues()))
            case webproto.SET_QUEUE_STATUS:
                asked = message.set_queue_status
                return _answer(webproto.done(self._set(asked.queue_id, asked.agent_id, asked.logged_in)))
            case _:
                return _answer(webproto.done("The command is not known"))

    def _queues(self) -> dict[str, dict[str, tuple[int, bool]]]:
        return {
            number: {
                extension: (user["Id"], self._directory.logins.logged_in(number, extension))
                for extension in self._directory.agents(number)
                if (user := self._directory.entity(extension)) is not None
            }
            for number in self._directory.queue_numbers()
        }

    def _set(self, queue_id: int, agent_id: int, logged_in: bool) -> str:
        queue, user = self._directory.queues.get(queue_id), self._directory.users.get(agent_id)
        if queue is None or user is None or user["Number"] not in self._directory.agents(queue["Number"]):
            return "The agent was not found"
        self._directory.logins.set(queue["Number"], user["Number"], logged_in=logged_in)
        return "The command was successfully processed"


def _answer(message: bytes) -> Response:
    return Response(message, media_type=_OCTETS)
