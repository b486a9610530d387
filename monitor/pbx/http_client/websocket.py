"""Open, read and close WebSockets to a PBX, in the one way that suits all of them.

The library's own endless loop is not used, as it would keep the first token or session for ever.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, cast

from websockets.asyncio import client
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

from monitor.shared.version import USER_AGENT

MOST_MESSAGES: Final = 2_000
"""Messages that are taken from a socket in a second. A PBX that sends more has to wait, and so does
not take the time of the others. Pings and parts of messages cannot wait: at more pings in a second,
or more parts of one message, the connection is cut."""
_COUNTED_BYTES: Final = 1024
"""A message counts once more for each of these."""
SHARE: Final = 0.2
"""Part of the time that messages of a socket may take, if nothing else is said."""
_TURN_CPU_S: Final = 0.005
"""CPU time after which others have their turn. Messages that have come are given without one."""
_CLOSE_WITHIN_S: Final = 1.0


async def connect(
    url: str,
    path: str,
    tls: ssl.SSLContext | None,
    timeout: float,  # noqa: ASYNC109 - of the opening handshake, as the library takes it
    largest: int,
    frames: int,
    headers: Mapping[str, str] | None = None,
) -> PbxSocket:
    """Return an open socket.

    ``url``: the PBX's address, without a path. ``largest``: bytes of one message. ``frames``: read
    ahead; beyond these the socket is not read for a while. Raises InvalidStatus, TimeoutError,
    OSError, WebSocketException and ValueError, as the library does.
    """
    socket = await _SocketConnect(
        url.replace("http", "ws", 1) + path,
        additional_headers=headers,
        user_agent_header=USER_AGENT,
        ssl=tls,
        proxy=None,
        compression=None,
        open_timeout=timeout,
        # Callers watch for silence themselves: after a failed ping the library would wait for the
        # close.
        ping_interval=None,
        close_timeout=_CLOSE_WITHIN_S,
        max_size=largest,
        max_queue=frames,
        create_connection=PbxSocket,
    )
    return cast(PbxSocket, socket)


async def close(socket: client.ClientConnection) -> None:
    """Close a socket."""
    with suppress(OSError, WebSocketException):
        await socket.close()


class PacedMessages:
    """Take messages from a socket, at most :data:`MOST_MESSAGES` in a second.

    Fewer are taken of those that are large or take long. What the caller does with a message takes
    the time until it asks for the next one. ``share``: the part of all time that this may take.
    """

    def __init__(self, socket: PbxSocket, share: float = SHARE) -> None:
        self.came_at = 0.0
        """Monotonic time at which the last message was read from the connection.

        It may have waited here since then.
        """
        self._socket = socket
        self._counted_cpu_s = share / MOST_MESSAGES
        self._left = 0
        self._ends = 0.0
        self._given_at: float | None = None
        self._turn_s = 0.0

    async def next(self) -> str | bytes:
        """Return the next message. Raises ConnectionClosed."""
        await self._pay()
        while self._left <= 0:
            await asyncio.sleep(self._ends - time.monotonic())
            if (now := time.monotonic()) >= self._ends:
                self._left, self._ends = self._left + MOST_MESSAGES, now + 1.0
        message = await self._socket.recv()
        self.came_at = self._socket.came_at.popleft()
        self._left -= 1 + len(message) // _COUNTED_BYTES
        self._given_at = time.thread_time()
        return message

    async def _pay(self) -> None:
        """Count the time that the last message took; let others have their turn now and then."""
        if self._given_at is None:
            return
        spent, self._given_at = time.thread_time() - self._given_at, None
        # No more than a second's: a socket that is not read for long counts as silent.
        self._left -= min(int(spent / self._counted_cpu_s), MOST_MESSAGES)
        self._turn_s += spent
        if self._turn_s > _TURN_CPU_S:
            self._turn_s = 0.0
            await asyncio.sleep(0)


class PbxSocket(client.ClientConnection):
    """Note when messages come; cut the connection at too many pings or parts of a message."""

    _pings = _parts = 0
    _ends = 0.0
    _cut = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.came_at = deque[float]()
        """Monotonic times at which the messages came that nobody has taken yet."""

    def process_event(self, event: Event) -> None:
        """Take what came, unless it is too much."""
        if self._cut:
            return  # what came in the same read: its end would make a whole message of what is left
        if isinstance(event, Frame):
            if event.opcode in (Opcode.PING, Opcode.PONG):
                if (now := time.monotonic()) >= self._ends:
                    self._pings, self._ends = 0, now + 1.0
                self._pings += 1
            else:
                self._parts = 0 if event.fin else self._parts + 1
                if event.fin and event.opcode is not Opcode.CLOSE:
                    self.came_at.append(time.monotonic())
            if max(self._pings, self._parts) > MOST_MESSAGES:
                self._cut = True
                self.transport.abort()
                return
        super().process_event(event)


class _SocketConnect(client.connect):
    """Connect without following redirects.

    A PBX makes none, and a program in front of it must not see what is secret.
    """

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc
