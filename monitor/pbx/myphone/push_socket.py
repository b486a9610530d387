"""Follow the web client's socket: what the PBX pushes to one session.

The address holds the session's key and password, so it must never be logged. The PBX sends the text
``START`` once it is ready, and ``ADDP`` as a sign of life, which is sent back. ``STOP`` and
``NOT AUTH`` end the session. Everything else of interest is binary, one message a frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from monitor.myphone_messages import MAX_MESSAGE_BYTES
from monitor.pbx.http_client import websocket
from monitor.pbx.v20_client import PbxClient
from monitor.shared.errors import PbxError, PbxGarbled, PbxUnreachable
from monitor.shared.tasks import end

_PATH: Final = "/ws/webclient"
_FRAMES_READ_AHEAD: Final = 16
"""Frames read ahead. Beyond these the socket is not read for a while; nothing is dropped here."""


class PushSocket:
    """Hold one socket. ``take`` receives each binary message; it must not raise."""

    def __init__(self, client: PbxClient, take: Callable[[bytes], None]) -> None:
        self.news = asyncio.Event()
        """Set when the socket has ended. Others may set it and clear it."""
        self.opened = False
        """True once the PBX has accepted the socket."""
        self.lost: PbxError | None = None
        """The reason why the socket is not open; None while it is."""
        self._client = client
        self._take = take
        self._ready = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def open(self, key: str, password: str) -> None:
        """Open the socket and wait until the PBX is ready; ``lost`` says why it is not open."""
        settings = self._client.settings
        query = urlencode({"sessionId": key, "pass": password})
        try:
            socket = await websocket.connect(
                settings.url,
                f"{_PATH}?{query}",
                self._client.tls,
                settings.connect_timeout,
                MAX_MESSAGE_BYTES,
                _FRAMES_READ_AHEAD,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            self.lost = PbxGarbled(f"The web client's socket is refused with status {status}.")
            return
        except TimeoutError:
            self.lost = PbxUnreachable("The PBX did not open the web client's socket in time.")
            return
        except (OSError, WebSocketException, ValueError) as error:
            kind = type(error).__name__  # its text may hold the address, which is secret
            self.lost = PbxUnreachable(f"The web client's socket cannot be opened ({kind}).")
            return
        self.opened = True
        self._following = asyncio.create_task(self._follow(socket), name="web client's socket")
        with suppress(TimeoutError):  # a PBX that does not say START may push all the same
            async with asyncio.timeout(settings.connect_timeout):
                await self._ready.wait()

    async def close(self) -> None:
        """Close the socket. May be called again."""
        if self._following is not None:
            following, self._following = self._following, None
            await end([following])

    async def _follow(self, socket: websocket.PbxSocket) -> None:
        lost: PbxError = PbxUnreachable("The web client's socket was closed.")
        messages = websocket.PacedMessages(socket)
        try:
            while True:
                message = await messages.next()
                if isinstance(message, bytes):
                    self._take(message)
                elif message == "ADDP":
                    await socket.send(message)
                elif message in ("STOP", "NOT AUTH"):
                    lost = PbxUnreachable(f"The PBX ended the web client's session ({message}).")
                    return
                if message == "START":
                    self._ready.set()
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                lost = PbxUnreachable(
                    f"The PBX closed the web client's socket ({closed.rcvd.code})."
                )
        finally:
            self.lost = lost
            self._ready.set()
            self.news.set()
            await websocket.close(socket)
