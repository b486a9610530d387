"""The access log: what a client may cause to be written."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from gateway.rest.endpoint import KEY_NAME
from gateway.rest.middleware import AccessLog
from gateway.token_bucket import AT_ONCE


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _send(message: Message) -> None:
    pass


@pytest.mark.parametrize("status", [0, 400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("key", [None, "wall"])
async def test_whatever_goes_wrong_a_client_fills_no_log(
    status: int, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.token_bucket.PER_SECOND", 0.0)  # however long it takes here

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if status:  # else the client is gone before the answer
            await send({"type": "http.response.start", "status": status, "headers": []})

    log = AccessLog(app)
    scope = {"type": "http", "method": "POST", "path": "/webapi", "client": ("192.0.2.1", 1)}
    named = scope if key is None else scope | {KEY_NAME: key}
    with capture_logs() as logged:
        async with asyncio.timeout(60):
            for _ in range(5 * AT_ONCE):
                await log(dict(named), _nothing, _send)
        await log(scope | {KEY_NAME: "other"}, _nothing, _send)
    *lines, other = logged
    assert len(lines) == AT_ONCE
    assert {line["key"] for line in lines} == {key}
    assert other["key"] == "other"
