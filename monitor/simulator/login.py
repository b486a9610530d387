"""Log people in to the simulated PBX: extension and password of the web client, for tokens.

The answer to a login holds the tokens, and a cookie holds the refresh token too. ``/connect/token``
takes either. The real PBX's answer to a wrong password is not known: here it is 401, with another
word than ``AuthSuccess``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.simulator.tokens import Tokens

LOGIN: Final = "/webclient/api/Login/GetAccessToken"
COOKIE: Final = "RefreshTokenCookie"
_LOGOUT: Final = "/webclient/api/Logout"
_LARGEST_BYTES: Final = 64 * 1024
_JSON: Final = "application/json; charset=utf-8"


class _Login(msgspec.Struct, rename="pascal"):
    username: str = ""
    password: str = ""
    security_code: str = ""


def routes(tokens: Tokens) -> list[Route]:
    """Return the routes for login and logout."""

    async def log_in(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=_Login)
        except msgspec.MsgspecError:
            return Response(status_code=400)
        granted = tokens.log_in(asked.username, asked.password)
        if granted is None:
            return _answer("AuthFailed", None, 401)
        answer = _answer("AuthSuccess", granted, 200)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, str(granted["refresh_token"]), secure=secure, httponly=True, samesite="strict"
        )
        return answer

    async def log_out(request: Request) -> Response:
        token = request.headers["authorization"].partition(" ")[2].strip()
        tokens.log_out(token, request.cookies.get(COOKIE, ""))
        answer = Response()
        answer.delete_cookie(COOKIE)
        return answer

    return [
        Route(LOGIN, log_in, methods=["POST"], max_body_size=_LARGEST_BYTES),
        Route(_LOGOUT, log_out, methods=["POST"], max_body_size=_LARGEST_BYTES),
    ]


def _answer(status: str, granted: dict[str, object] | None, code: int) -> Response:
    body: dict[str, Any] = {"Status": status, "Token": granted, "TwoFactorAuth": None}
    return Response(
        msgspec.json.encode(body), code, {"cache-control": "no-store", "pragma": "no-cache"}, _JSON
    )
