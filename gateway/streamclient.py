"""A client of the stream: keeps the state that it is told, exact at its position, through whatever happens to the line.

It follows the protocol's rules: a change is applied where it continues the position, overlap does no harm, a gap is
repaired by subscribing again from there; two heartbeats' silence is answered with a ping, and a third with a new
connection; it comes back with full-jitter back-off, unless the close code says not to or says when, and resumes where
it was.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.http11 import Response
from websockets.typing import Subprotocol

from gateway.frames import Encoding
from monitor.errors import CallmonError
from monitor.model.change import Position
from monitor.model.version import USER_AGENT
from monitor.model.wire import Malformed, from_json, from_msgpack, to_json

Kind: TypeAlias = Literal["snapshot", "change", "heartbeat"]
Entities: TypeAlias = dict[str, dict[str, dict[str, Any]]]
"""topic → id → entity, as plain containers."""

_BACKOFF_BASE = 0.1
_BACKOFF_CAP = 10.0
_LATER = 5.0
"""Seconds, at least, until it comes back after a close code of 41xx."""
_HANDSHAKE = 10.0
_LARGEST_FRAME = 64 * 1024 * 1024
_COME_BACK = {408, 425, 429}


class StreamRefused(CallmonError):
    """The gateway said not to come back: ``code`` is the close code, or the HTTP status of the handshake."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the stream was refused: {reason or 'no reason given'} ({code})")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Update:
    """What a frame brought. ``state`` is the client's own, whole at ``position`` until the next update is asked for.

    ``upsert`` and ``remove`` are what changed with it; a snapshot has neither. ``server_time`` and ``stale_since`` are
    instants; ``stale_since``: since when the gateway has heard nothing from the monitor.
    """

    kind: Kind
    position: Position
    server_time: str
    stale_since: str | None
    state: Entities
    upsert: Entities = field(default_factory=dict)
    remove: dict[str, list[str]] = field(default_factory=dict)


class StreamClient:
    """``async for update in client`` watches ``topics`` for ever; StreamRefused ends it.

    ``url``: the stream's address (``ws://host:8765/webapi/stream``); ``key`` goes into a header. ``wanted``: the
    protocol's filter, ``{"queue": ["800"]}``. ``merge`` false: every change by itself, as far as the gateway's log
    reaches. Whoever stops before the end calls :meth:`close`, or uses it as an asynchronous context manager.
    """

    def __init__(
        self,
        url: str,
        key: str,
        topics: Sequence[str],
        encoding: Encoding = "json",
        ssl_context: ssl.SSLContext | None = None,
        *,
        wanted: Mapping[str, Sequence[str]] | None = None,
        merge: bool = True,
    ) -> None:
        self.state: Entities = {}
        self.position: Position | None = None
        self.stale_since: str | None = None
        self.reconnects = 0
        """How often the connection had to be made anew."""
        self.repairs = 0
        """How often a gap was repaired by subscribing again."""
        self.resumed = 0
        """How often the state was continued after subscribing again, without a snapshot."""
        self._url = url
        self._key = key
        self._topics = list(topics)
        self._encoding = encoding
        self._ssl = ssl_context
        self._parts: Entities | None = None
        self._awaiting = True
        """Whether the answer to a subscription is still to come."""
        self._wanted = {name: list(values) for name, values in (wanted or {}).items()}
        self._merge = merge
        self._heartbeat = 5.0
        self._failures = 0
        self._retry_in: tuple[float, float] | None = None
        self._later = False
        self._updates: AsyncGenerator[Update, None] | None = None

    def __aiter__(self) -> AsyncIterator[Update]:
        if self._updates is None:
            self._updates = self._follow()
        return self._updates

    async def __aenter__(self) -> StreamClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. Iterating again begins afresh."""
        if self._updates is not None:
            await self._updates.aclose()
            self._updates = None

    async def _follow(self) -> AsyncGenerator[Update, None]:
        while True:
            try:
                async with self._connect() as connection:
                    await self._subscribe(connection)
                    while True:
                        update = await self._take(connection, await self._receive(connection))
                        if update is not None:
                            self._failures = 0
                            yield update
            except InvalidStatus as error:
                self._heed_refusal(error.response)
            except ConnectionClosed as error:
                self._heed_close(error)
            except InvalidURI as error:
                raise StreamRefused(0, str(error)) from error
            except (OSError, TimeoutError, InvalidHandshake, Malformed):
                self._retry_in = None
            self._failures += 1
            self.reconnects += 1
            await asyncio.sleep(self._delay())

    def _connect(self) -> connect:
        subprotocol = Subprotocol(f"callmon.v1.{self._encoding}")
        return connect(
            self._url,
            additional_headers={"Authorization": f"Bearer {self._key}"},
            subprotocols=[subprotocol],
            user_agent_header=USER_AGENT,
            compression=None,
            max_size=_LARGEST_FRAME,
            open_timeout=_HANDSHAKE,
            ping_interval=None,
            close_timeout=1.0,
            ssl=self._ssl,
        )

    async def _subscribe(self, connection: ClientConnection) -> None:
        self._parts = None
        self._awaiting = True
        message: dict[str, Any] = {"type": "subscribe", "topics": self._topics}
        if self._wanted:
            message["filter"] = self._wanted
        if not self._merge:
            message["merge"] = False
        if self.position is not None:
            message["since"] = {"epoch": self.position.epoch, "seq": self.position.seq}
        await connection.send(to_json(message).decode())

    async def _receive(self, connection: ClientConnection) -> dict[str, Any]:
        """The next frame. Raises TimeoutError when nothing comes, not even the answer to a ping."""
        try:
            async with asyncio.timeout(2 * self._heartbeat):
                data = await connection.recv()
        except TimeoutError:
            await connection.send('{"type":"ping"}')
            async with asyncio.timeout(self._heartbeat):
                data = await connection.recv()
        frame = from_json(data) if isinstance(data, str) else from_msgpack(data)
        if not isinstance(frame, dict):
            raise Malformed("a frame is an object")
        return frame

    async def _take(self, connection: ClientConnection, frame: dict[str, Any]) -> Update | None:
        try:
            match frame["type"]:
                case "hello":
                    self._heartbeat = float(frame["heartbeat"])
                    return None
                case "snapshot":
                    return self._snapshot(frame)
                case "change":
                    return await self._change(connection, frame)
                case "heartbeat":
                    return await self._beat(connection, frame)
                case "error":
                    raise StreamRefused(4000, str(frame["message"]))
                case _:
                    return None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Malformed(f"not a frame of the protocol: {error!r}") from error

    def _snapshot(self, frame: dict[str, Any]) -> Update | None:
        if self._parts is None:
            self._parts = {}
        for topic, entities in frame["state"].items():
            self._parts.setdefault(topic, {}).update(entities)
        if frame.get("more"):
            return None
        self.state, self._parts, self._awaiting = self._parts, None, False
        self.position = _position(frame)
        return self._update("snapshot", frame)

    async def _change(self, connection: ClientConnection, frame: dict[str, Any]) -> Update | None:
        if not await self._continues(connection, frame, frame["from"]):
            return None
        upsert, remove = frame["upsert"], frame["remove"]
        for topic, entities in upsert.items():
            self.state.setdefault(topic, {}).update(entities)
        for topic, ids in remove.items():
            for id_ in ids:
                self.state.setdefault(topic, {}).pop(id_, None)
        self.position = _position(frame)
        return self._update("change", frame, upsert, remove)

    async def _beat(self, connection: ClientConnection, frame: dict[str, Any]) -> Update | None:
        if self.position is None:
            return None
        if self._awaiting:  # perhaps of a gateway that is behind us, and knows that it is stale
            self.stale_since = frame["stale_since"]
            return None
        position = _position(frame)
        if position.epoch != self.position.epoch or position < self.position:
            await self._repair(connection)
            return None
        self.position = position
        self.stale_since = frame["stale_since"]
        return self._update("heartbeat", frame)

    async def _continues(self, connection: ClientConnection, frame: dict[str, Any], start: int) -> bool:
        """Whether the frame brings our position further. If it leaves a gap, that is repaired."""
        mine, its = self.position, _position(frame)
        if mine is None:
            return False
        within = its.epoch == mine.epoch and start <= mine.seq
        if self._awaiting:
            if within:
                self._awaiting = False
                self.resumed += 1
            return within and its.seq > mine.seq
        if its.epoch == mine.epoch and its.seq <= mine.seq:
            return False
        if not within:
            await self._repair(connection)
        return within

    async def _repair(self, connection: ClientConnection) -> None:
        self.repairs += 1
        await self._subscribe(connection)

    def _update(
        self,
        kind: Kind,
        frame: dict[str, Any],
        upsert: Entities | None = None,
        remove: dict[str, list[str]] | None = None,
    ) -> Update:
        return Update(
            kind, _position(frame), frame["server_time"], self.stale_since, self.state, upsert or {}, remove or {}
        )

    def _heed_refusal(self, response: Response) -> None:
        status, after = response.status_code, response.headers.get("Retry-After", "")
        if 400 <= status < 500 and status not in _COME_BACK:
            raise StreamRefused(status, _message(response.body))
        self._retry_in = (float(after), 2 * float(after)) if after.isdecimal() else None

    def _heed_close(self, error: ConnectionClosed) -> None:
        code = error.rcvd.code if error.rcvd is not None else 1006
        reason = error.rcvd.reason if error.rcvd is not None else ""
        if 4000 <= code < 4100:
            raise StreamRefused(code, reason)
        self._retry_in = _range(reason)
        self._later = 4100 <= code < 4200

    def _delay(self) -> float:
        (retry_in, self._retry_in), (later, self._later) = (self._retry_in, None), (self._later, False)
        if retry_in is not None:
            return random.uniform(*retry_in)  # noqa: S311
        jittered = random.uniform(0, min(_BACKOFF_CAP, _BACKOFF_BASE * 2 ** min(self._failures, 10)))  # noqa: S311
        return _LATER + jittered if later else jittered


def _position(frame: dict[str, Any]) -> Position:
    return Position(str(frame["epoch"]), int(frame["seq"]))


def _message(body: bytes | bytearray | None) -> str:
    """The sentence in an HTTP refusal."""
    try:
        return str(json.loads(body or b"")["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _range(reason: str) -> tuple[float, float] | None:
    """The ``retry_in`` of a close reason, in seconds."""
    try:
        low, high = json.loads(reason)["retry_in"]
        return float(low), float(high)
    except (ValueError, KeyError, TypeError):
        return None
