"""Test that whoever is refused while still sending can read the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from gateway.parameters import LARGEST_BODY_BYTES
from gateway.transport.http_protocol import MOST_HEADERS
from gateway.transport.lingering_close import MOST_DISCARDED_BYTES
from tests.gateway.serving import Served, serving

WITHIN = 60.0
_MANY = "X: 1\r\n" * (MOST_HEADERS + 1)
_UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
_HANDSHAKE = (
    f"{_UPGRADE}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
REFUSED = {
    "too many headers": (f"POST /nope HTTP/1.1\r\n{_MANY}", 431),
    "a handshake with a body": (f"GET /webapi/reader-key/stream HTTP/1.1\r\n{_HANDSHAKE}", 400),
}
on_each_loop = pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


async def asked(
    served: Served, head: str, length: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which a request was begun that has a body of this length."""
    host, port = served.host.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{head}Host: test\r\nContent-Length: {length}\r\n\r\n".encode())
    return reader, writer


@on_each_loop
@pytest.mark.parametrize(("head", "status"), REFUSED.values(), ids=REFUSED)
def test_who_is_refused_may_send_the_body_before_reading_the_answer(
    loop: Callable[[], asyncio.AbstractEventLoop], head: str, status: int
) -> None:
    async def answered() -> None:
        async with serving() as served, asyncio.timeout(WITHIN):
            reader, writer = await asked(served, head, LARGEST_BODY_BYTES)
            begin = await reader.readexactly(12)
            for _ in range(LARGEST_BODY_BYTES // 1024):
                writer.write(b"x" * 1024)
                await writer.drain()
                await asyncio.sleep(0)
            assert begin == f"HTTP/1.1 {status}".encode()
            assert (await reader.read()).count(b"HTTP/1.1") == 0
            writer.close()
            await writer.wait_closed()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(answered())


@on_each_loop
def test_who_is_refused_and_sends_on_is_cut_off(
    loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.transport.lingering_close.WITHIN_S", 10 * WITHIN)
    head, _ = REFUSED["too many headers"]

    async def sent() -> int:
        async with serving() as served, asyncio.timeout(WITHIN):
            _, writer = await asked(served, head, 1_000_000_000)
            count = 0
            try:
                while True:
                    writer.write(b"x" * 4096)
                    await writer.drain()
                    count += 4096
            except ConnectionError:
                return count

    with asyncio.Runner(loop_factory=loop) as runner:
        assert MOST_DISCARDED_BYTES <= runner.run(sent()) < 1_000_000_000


@on_each_loop
def test_who_is_refused_and_stays_is_cut_off(
    loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.transport.lingering_close.WITHIN_S", 0.2)
    head, _ = REFUSED["too many headers"]

    async def cut_off() -> None:
        async with serving() as served, asyncio.timeout(WITHIN):
            reader, writer = await asked(served, head, 1000)
            assert await reader.read()
            try:
                while True:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            except ConnectionError:
                return

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(cut_off())
