"""Floods of strangers and of key holders on a whole gateway: what they leave behind."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

from tests.bus import until
from tests.gateway.sockets import KEY, answered, connected, handshake, on_both_loops, standing


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
    "events": request(f"/webapi/{KEY}/events?topics=calls&ext=101"),
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
OURS = ("gateway.", "uvicorn.", "starlette.", "websockets.", "httptools.")


@on_both_loops
async def test_connections_that_are_gone_leave_nothing_for_the_garbage_collector() -> None:
    async with standing() as server:
        server._keys.set_keys("pbx", ())  # all are known: no monitor may have more of them

        async def come_and_go(data: bytes, *, whole: bool) -> None:
            async with connected(server, 5) as sockets:
                for one in sockets:
                    one.sendall(data)
                    with suppress(ConnectionError):
                        await (answered(one) if whole else asyncio.sleep(0.01))
            await until(lambda: not server.server_state.connections and not server.live.sessions)

        for kind, data in (WHOLE | UNFINISHED).items():
            await come_and_go(data, whole=kind in WHOLE)  # what is made once for all is made now
            gc.collect()
            gc.freeze()  # what was there before needs no look
            gc.disable()
            try:
                await come_and_go(data, whole=kind in WHOLE)
                gc.set_debug(gc.DEBUG_SAVEALL)
                gc.collect()
                left = [type(found) for found in gc.garbage]
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.unfreeze()
                gc.enable()
            assert not [found for found in left if found.__module__.startswith(OURS)], kind
