"""Test keys that are revoked at awkward moments of their streams."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp
from websockets.exceptions import ConnectionClosed

from gateway.stream.websocket import WebSocketSession
from tests.gateway.entities import call
from tests.gateway.serving import Served, ended_with, serving, subscribed


async def test_a_key_revoked_while_its_stream_is_being_let_in_gets_no_frame() -> None:
    let_in: list[Served] = []

    def revoking(app: ASGIApp) -> ASGIApp:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            async def watched(message: Any) -> None:
                if message["type"] == "websocket.accept":
                    let_in[0].live.revoke("reader")
                await send(message)

            await app(scope, receive, watched)

        return wrapped

    async with serving(wrap=revoking) as served:
        let_in.append(served)
        async with served.connect() as stream:
            with pytest.raises(ConnectionClosed) as end:
                await stream.recv()
            assert ended_with(end.value)[0] == 4001


async def test_no_frame_follows_a_revocation_even_if_a_change_was_on_its_way() -> None:
    async with serving() as served, served.connect() as stream:
        await subscribed(stream)
        served.live.revoke("reader")
        served.put("calls", "1", call(1))
        with pytest.raises(ConnectionClosed) as end:
            await stream.recv()
        assert ended_with(end.value)[0] == 4001


async def test_no_frame_follows_a_revocation_even_if_it_waited_for_a_full_socket() -> None:
    async with serving() as served, served.connect() as stream:
        await subscribed(stream)
        [session] = [one for one in served.live._sessions if isinstance(one, WebSocketSession)]
        assert session._socket is not None
        session._socket._writable.clear()
        session._socket.holds += 1
        served.put("calls", "1", call(1))
        await asyncio.sleep(0.05)
        served.live.revoke("reader")
        session._socket.holds -= 1
        session._socket._writable.set()
        with pytest.raises(ConnectionClosed) as end:
            await stream.recv()
        assert ended_with(end.value)[0] == 4001
