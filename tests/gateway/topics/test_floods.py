"""Floods of strangers and of key holders on a whole gateway: what they leave behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from gateway.transport import websocket_protocol
from tests.bus import until
from tests.gateway.sockets import (
    KEY,
    answered,
    connected,
    handshake,
    left_for_the_garbage_collector,
    on_both_loops,
    standing,
)


def request(path: str, *headers: str, method: str = "GET", body: str = "") -> bytes:
    """An HTTP request."""
    lines = (f"{method} {path} HTTP/1.1", "Host: test", *headers, "", body)
    return "\r\n".join(lines).encode("latin-1")


JSON = "Content-Type: application/json"
WHOLE = {
    "stream": handshake(f"/webapi/{KEY}/stream?topics=calls&ext=101"),
    "refused at once": handshake("/webapi/no-key/stream"),
    "refused later": handshake(f"/webapi/{KEY}/stream?topics=cals"),
    "no handshake": handshake().replace(b"Sec-WebSocket-Key: AAAA", b"Sec-WebSocket-Key: A"),
    "query": request(f"/webapi/{KEY}/pbx.calls.get"),
    "unknown key": request("/webapi/no-key/pbx.calls.get"),
    "unknown address": request("/nothing"),
    "whole body": request(f"/webapi/{KEY}/pbx.calls.get", JSON, "Content-Length: 2", method="POST")
    + b"{}",
    "wrong body": request(f"/webapi/{KEY}/pbx.calls.get", JSON, "Content-Length: 2", method="POST")
    + b"{x",
    "form": request(
        f"/webapi/{KEY}/pbx.calls.get",
        "Content-Type: multipart/form-data; boundary=b",
        "Content-Length: 5",
        method="POST",
    )
    + b"--b--",
    "invented ticket": request("/webapi/events?topics=calls&ticket=pbx.x"),
    "events": request(f"/webapi/{KEY}/events?topics=calls&ext=101"),
    "asked ahead": request(f"/webapi/{KEY}/events?topics=calls")
    + request(f"/webapi/{KEY}/pbx.calls.get") * 50,
    "junk": b"\x00\xff\r\n\r\n",
    "large head": request("/x", f"X: {'x' * 40_000}"),
    "many headers": request("/x", *["X: x"] * 200),
}
UNFINISHED = {
    "head": b"GET /x HTTP/1.1\r\nX: x",
    "body of a stranger": request(
        "/webapi/pbx.calls.get", JSON, "Content-Length: 9", method="POST"
    ),
}
PING = b"\x89\x80\0\0\0\0"
FRAMES = {
    "flood of frames": PING * 2_000,
    "wrong frame": b"\x83\x80\0\0\0\0",
    "large message": b"\x81\xff" + bytes(2) + b"\xff" * 6 + bytes(4),
    "wrong text": b"\x81\x81\0\0\0\0\xff",
    "wrong messages": b"\x81\x81\0\0\0\0x" * 5,
    "close frame": b"\x88\x80\0\0\0\0",
}
"""What a client sends over its WebSocket."""


@on_both_loops
async def test_connections_that_are_gone_leave_nothing_for_the_garbage_collector() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(websocket_protocol, "_FAREWELL_S", 0.1)
        await _connections_that_are_gone_leave_nothing()


async def _connections_that_are_gone_leave_nothing() -> None:
    async with standing() as server:
        server._keys.set_keys("pbx", ())  # all are known: no monitor may have more of them

        async def come_and_go(kind: str) -> None:
            data = (WHOLE | UNFINISHED).get(kind, WHOLE["stream"])
            async with connected(server, 5) as sockets:
                for one in sockets:
                    one.sendall(data)
                    with suppress(ConnectionError):
                        await (asyncio.sleep(0.01) if kind in UNFINISHED else answered(one))
                        if kind in FRAMES:
                            one.sendall(FRAMES[kind])
                            await asyncio.sleep(0.02)
            await until(lambda: not server.server_state.connections and not server.live.sessions)

        for kind in (*WHOLE, *UNFINISHED, *FRAMES):
            await come_and_go(kind)  # what is made once for all is made now
            with left_for_the_garbage_collector() as left:
                await come_and_go(kind)
            assert not left, kind
