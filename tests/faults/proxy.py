"""Join two processes by a way that can be cut: by refusing and resetting, or by silence."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal

Passage = Literal["open", "refused", "silent"]
_CHUNK_BYTES = 65536


class Proxy:
    """A TCP proxy on a free port of loopback.

    ``refused``: connections are reset, new ones too. ``silent``: they stay, new ones are taken, and
    nothing passes; what was sent meanwhile passes when it is open again, as after lost packets.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self._passage: Passage = "open"
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End all connections, and stop listening."""
        self.turn("refused")
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._serving)

    def turn(self, passage: Passage) -> None:
        """Let things pass, or not, from now on."""
        self._passage = passage
        if passage == "silent":
            self._open.clear()
            return
        self._open.set()
        if passage == "refused":
            for writer in list(self._writers):
                writer.transport.abort()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self._writers.add(writer)
        try:
            await self._open.wait()
            if self._passage == "refused":
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            return
        finally:
            if self._passage == "refused":
                writer.transport.abort()
        self._writers.add(far_writer)
        ways = [
            asyncio.create_task(self._pass(reader, far_writer)),
            asyncio.create_task(self._pass(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, far_writer):
                self._writers.discard(end)
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
