"""Keep a copy of the state in a client of the stream, exact at its position.

It follows the protocol's rules:

- A change is applied where it continues the position. Overlap does no harm. A gap is repaired by
  subscribing again from the position.
- It subscribes once the gateway said ``hello``, which tells the version of the protocol. Of a
  gateway that knows patches it asks for them: only the fields that changed come then. The state
  still holds whole entities.
- Two heartbeats' silence is answered with a ping, and a third with a new connection.
- The client comes back with full-jitter back-off, unless the close code says not to or says
  when. It resumes where it was.

While there is no connection it says why, once for each reason: to ``on_connection``, or else as
a warning of the logger of this package's name. What waiting cannot mend raises StreamRefused.
Once the client was connected, only the gateway's own refusal does: a proxy that is being changed
says other things for a while.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import Any, Literal, NamedTuple, TypeAlias

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from .codec import Encoding, NotAFrame, check_encoding, read_frame
from .connect import GatewayTarget, ProxyChoice, Trouble, header_value
from .errors import StreamRefused, StreamUnreachable

SubscriptionId: TypeAlias = str | int
"""The name of one of several subscriptions on a connection."""
Kind: TypeAlias = Literal["snapshot", "change", "heartbeat"]
Entities: TypeAlias = dict[str, dict[str, dict[str, Any]]]
"""Maps of topic → id → entity, as plain containers."""

_BACKOFF_S = (0.2, 10.0)
"""Bounds of the random pauses: the first, which doubles with each failure, and the longest."""
_LATER_S = 5.0
"""Seconds, at least, before it comes back after a close code of 41xx."""
_PATIENCE_S = 3.0
"""Seconds before a connection that does not come about is reported."""

_log = logging.getLogger(__package__)


Status: TypeAlias = Literal["connecting", "live", "waiting", "refused", "closed"]


@dataclass(frozen=True, slots=True)
class Connection:
    """Describe the state of the connection.

    ``reason``: a sentence that says why it is not live; empty if nothing is wrong. ``code``: the
    HTTP status or close code; 0 if there is none. ``retry_in``: seconds until the next attempt;
    None if none is planned.
    """

    status: Status
    reason: str = ""
    code: int = 0
    retry_in: float | None = None


class StreamPosition(NamedTuple):
    """Represent a place in the history of the state; it determines the state exactly."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        """Return ``epoch/seq``, as the gateway writes it in headers."""
        return f"{self.epoch}/{self.seq}"


@dataclass(frozen=True, slots=True)
class Update:
    """Hold what a frame brought.

    ``state`` is the client's own, whole at ``position`` until the next update is asked for.
    ``upsert`` and ``remove`` are what changed; a snapshot has neither. ``server_time`` and
    ``stale_since`` are instants. ``stale_since``: since when the gateway has heard nothing from
    the monitor; None while it hears it. ``id``: of the subscription; None: it is the client's own.
    """

    kind: Kind
    position: StreamPosition
    server_time: str
    stale_since: str | None
    state: Entities
    upsert: Entities = field(default_factory=dict)
    remove: dict[str, list[str]] = field(default_factory=dict)
    id: SubscriptionId | None = None


class Subscription:
    """Hold what one subscription watches, and its state, exact at its position.

    ``wanted``: the protocol's filter. ``fields``: only these fields of each entity; None: all.
    ``merge`` false: every change by itself, as far as the gateway's log reaches.
    """

    def __init__(
        self,
        topics: Sequence[str],
        *,
        wanted: Mapping[str, Sequence[str]] | None = None,
        fields: Sequence[str] | None = None,
        merge: bool = True,
    ) -> None:
        self.id: SubscriptionId | None = None
        self.state: Entities = {}
        self.position: StreamPosition | None = None
        self._parts: Entities | None = None
        self._awaiting = True
        """True while the answer to a subscription is still to come."""
        self._repairing = False
        """True if that subscription repairs a gap: what was on its way may come before."""
        self._leaving = False
        """True until the gateway says that it has ended the subscription before this one."""
        self._said: dict[str, Any] = {"topics": list(topics)}
        if wanted:
            self._said["filter"] = {name: list(values) for name, values in wanted.items()}
        if fields is not None:
            self._said["fields"] = list(fields)
        if not merge:
            self._said["merge"] = False

    def begin(self, *, patch: bool, again: bool) -> list[dict[str, Any]]:
        """Return the messages with which it begins. ``again``: on the same connection."""
        self._parts = None
        self._awaiting = True
        named = {} if self.id is None else {"id": self.id}
        message = {"type": "subscribe", **named, **self._said}
        if patch:
            message["patch"] = True
        if self.position is not None:
            message["since"] = {"epoch": self.position.epoch, "seq": self.position.seq}
        self._leaving = again and self.id is not None
        self._repairing = again and self.id is None
        return [{"type": "unsubscribe", **named}, message] if self._leaving else [message]

    def passes_over(self, kind: str) -> bool:
        """Return whether a frame is of the subscription that is being ended."""
        if kind == "unsubscribed":
            self._leaving = False
            return True
        return self._leaving

    def snapshot(self, frame: dict[str, Any]) -> bool:
        """Take a snapshot's part. Return whether it was the last."""
        if self._parts is None:
            self._parts = {}
        for topic, entities in frame["state"].items():
            self._parts.setdefault(topic, {}).update(entities)
        if frame.get("more"):
            return False
        self.state, self._parts, self._awaiting = self._parts, None, False
        self.position = _position(frame)
        return True

    def change(self, frame: dict[str, Any]) -> Entities:
        """Apply a change. Return the entities that came or changed, whole."""
        upsert: Entities = {topic: dict(found) for topic, found in frame["upsert"].items()}
        for topic, entities in frame.get("patch", {}).items():
            held = self.state[topic]
            upsert.setdefault(topic, {}).update(
                {id_: {**held[id_], **fields} for id_, fields in entities.items()}
            )
        for topic, entities in upsert.items():
            self.state.setdefault(topic, {}).update(entities)
        for topic, ids in frame["remove"].items():
            for id_ in ids:
                self.state.setdefault(topic, {}).pop(id_, None)
        self.position = _position(frame)
        return upsert

    @property
    def awaiting(self) -> bool:
        """Return whether the answer to a subscription is still to come."""
        return self._awaiting

    @property
    def repairing(self) -> bool:
        """Return whether frames from before that subscription may come still."""
        return self._repairing

    def answered(self) -> None:
        """Note that the answer has come."""
        self._awaiting = False


class _Silent(Exception):
    """Signal that nothing comes any more on an open connection."""


class StreamClient:
    """Watch ``topics`` for ever: ``async for update in client``. StreamRefused ends it.

    ``url``: the stream's address (``ws://host:8765/webapi/stream``). ``key`` goes into a header.
    ``wanted``, ``fields`` and ``merge``: as for a :class:`Subscription`; the filter may be
    ``{"queue": ["800"]}``. ``more``: other subscriptions on the same connection, by their ids.
    Their updates come among the others, with the id. A caller that stops before the end
    must call :meth:`close`, or use the client as an asynchronous context manager. ``pbx``:
    the PBX to watch, for a key for several.

    For ``wss://``: ``ssl``, a context, or ``ca_file``, the authorities to trust in place of the
    system's. ``proxy``: True for what the environment names, None for none, or an address.
    ``on_connection`` is called whenever :attr:`connection` changes. Raises StreamMisconfigured if
    one of them cannot be used.
    """

    def __init__(
        self,
        url: str,
        key: str,
        topics: Sequence[str],
        encoding: Encoding = "json",
        *,
        ssl: SSLContext | None = None,
        ca_file: str | Path | None = None,
        proxy: ProxyChoice = True,
        wanted: Mapping[str, Sequence[str]] | None = None,
        merge: bool = True,
        fields: Sequence[str] | None = None,
        more: Mapping[SubscriptionId, Subscription] | None = None,
        on_connection: Callable[[Connection], None] | None = None,
        pbx: str = "",
    ) -> None:
        check_encoding(encoding)
        self.connection = Connection("closed")
        self._own = Subscription(topics, wanted=wanted, fields=fields, merge=merge)
        self.more = dict(more or {})
        """Other subscriptions, by their ids."""
        for id_, subscription in self.more.items():
            subscription.id = id_
        self._knows_patches = False
        self.stale_since: str | None = None
        self.reconnects = 0
        """Number of times that the connection had to be opened again."""
        self.repairs = 0
        """Number of gaps that were repaired by subscribing again."""
        self.resumed = 0
        """Number of times that the state was continued after subscribing again, without a
        snapshot."""
        self._target = GatewayTarget(url, ssl, ca_file, proxy, pbx)
        self._key = header_value("key", key)
        self._encoding = encoding
        self._on_connection = on_connection
        self._said = ""
        """Reason that was reported last, until the connection works again."""
        self._heartbeat = 5.0
        self._failures = 0
        """Failures since the last update."""
        self._updates: AsyncGenerator[Update, None] | None = None

    @property
    def state(self) -> Entities:
        """Return the state of the client's own subscription."""
        return self._own.state

    @property
    def position(self) -> StreamPosition | None:
        """Return the position of that state; None until there is one."""
        return self._own.position

    def __aiter__(self) -> AsyncIterator[Update]:
        if self._updates is None:
            self._updates = self._follow()
        return self._updates

    async def __aenter__(self) -> StreamClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. Iterating again opens a new one."""
        if self._updates is not None:
            await self._updates.aclose()
            self._updates = None
            self._enter(Connection("closed"))

    async def _follow(self) -> AsyncGenerator[Update, None]:
        while True:
            self._enter(Connection("connecting", self._said))
            try:
                async with await self._opened() as connection:
                    while True:
                        update = await self._take(connection, await self._receive(connection))
                        if update is not None:
                            self._failures = 0
                            self._enter(Connection("live"))
                            yield update
            except ConnectionClosed as error:
                trouble = self._closed(error)
            except StreamRefused as error:
                trouble = Trouble(error.reason, error.code, final=True, own=True)
            except _Silent:
                trouble = Trouble(f"{self._target.where} has stopped sending.")
            except NotAFrame as error:
                trouble = Trouble(
                    f"{self._target.where} does not speak callmon's protocol: {error}."
                )
            except (OSError, WebSocketException, ImportError) as error:
                trouble = self._target.trouble(error)
            # Raised outside of the handlers, so that StreamRefused has no second exception as its
            # context.
            if trouble.final and (trouble.own or self.position is None):
                self._enter(Connection("refused", trouble.reason, trouble.code))
                raise (StreamRefused if trouble.own else StreamUnreachable)(
                    trouble.code, trouble.reason
                )
            self.reconnects += 1
            delay = self._delay(trouble)
            self._enter(Connection("waiting", trouble.reason, trouble.code, delay))
            await asyncio.sleep(delay)

    async def _opened(self) -> ClientConnection:
        said = Connection("connecting", self._said or self._target.silent)
        timer = asyncio.get_running_loop().call_later(_PATIENCE_S, self._enter, said)
        try:
            return await self._target.connect(self._key, f"callmon.v1.{self._encoding}")
        finally:
            timer.cancel()

    def _enter(self, connection: Connection) -> None:
        if connection == self.connection:
            return
        self.connection = connection
        if self._on_connection is not None:
            self._on_connection(connection)
        elif connection.status == "live" and self._said:
            _log.info("Connected to %s.", self._target.where)
        elif connection.status in ("connecting", "waiting") and connection.reason not in (
            "",
            self._said,
        ):
            _log.warning("%s Trying again.", connection.reason)
        self._said = "" if connection.status in ("live", "closed") else connection.reason

    async def _subscribe(
        self, connection: ClientConnection, held: Subscription, *, again: bool = False
    ) -> None:
        for message in held.begin(patch=self._knows_patches, again=again):
            text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
            await connection.send(text)

    async def _receive(self, connection: ClientConnection) -> dict[str, Any]:
        """Return the next frame.

        Raises _Silent when nothing comes, not even the answer to a ping.
        """
        try:
            async with asyncio.timeout(2 * self._heartbeat):
                data = await connection.recv()
        except TimeoutError:
            await connection.send('{"type":"ping"}')
            data = await self._pong(connection)
        return read_frame(data)

    async def _pong(self, connection: ClientConnection) -> str | bytes:
        try:
            async with asyncio.timeout(self._heartbeat):
                return await connection.recv()
        except TimeoutError:
            raise _Silent from None

    async def _take(self, connection: ClientConnection, frame: dict[str, Any]) -> Update | None:
        try:
            match frame["type"]:
                case "hello":
                    await self._greeted(connection, frame)
                    return None
                case "error":
                    raise StreamRefused(4000, str(frame["message"]))
            held = self._own if frame.get("id") is None else self.more.get(frame["id"])
            if held is None or held.passes_over(frame["type"]):
                return None
            match frame["type"]:
                case "snapshot":
                    return self._update("snapshot", frame, held) if held.snapshot(frame) else None
                case "change":
                    return await self._change(connection, frame, held)
                case "heartbeat":
                    return await self._beat(connection, frame, held)
                case _:
                    return None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NotAFrame(f"not a frame of the protocol: {error!r}") from error

    async def _greeted(self, connection: ClientConnection, frame: dict[str, Any]) -> None:
        self._heartbeat = float(frame["heartbeat"])
        self._knows_patches = "version" in frame  # version 1.0 has neither
        for held in (self._own, *self.more.values()):
            await self._subscribe(connection, held)

    async def _change(
        self, connection: ClientConnection, frame: dict[str, Any], held: Subscription
    ) -> Update | None:
        if not await self._continues(connection, frame, held):
            return None
        return self._update("change", frame, held, held.change(frame), frame["remove"])

    async def _beat(
        self, connection: ClientConnection, frame: dict[str, Any], held: Subscription
    ) -> Update | None:
        if held.position is None:
            return None
        position = _position(frame)
        within = position.epoch == held.position.epoch and position >= held.position
        if held.awaiting:
            self.stale_since = frame["stale_since"]
            if held.repairing or not within:
                return None
            # The answer of a gateway that has nothing newer, and perhaps less than we have.
            held.answered()
            self.resumed += 1
        elif not within:
            await self._repair(connection, held)
            return None
        held.position = position
        self.stale_since = frame["stale_since"]
        return self._update("heartbeat", frame, held)

    async def _continues(
        self, connection: ClientConnection, frame: dict[str, Any], held: Subscription
    ) -> bool:
        """Return whether the change advances our position. Repair a gap before it."""
        mine, its = held.position, _position(frame)
        if mine is None:
            return False
        within = its.epoch == mine.epoch and frame["from"] <= mine.seq
        if held.awaiting:
            if within:
                held.answered()
                self.resumed += 1
            return within and its.seq > mine.seq
        if its.epoch == mine.epoch and its.seq <= mine.seq:
            return False
        if not within:
            await self._repair(connection, held)
        return bool(within)

    async def _repair(self, connection: ClientConnection, held: Subscription) -> None:
        self.repairs += 1
        await self._subscribe(connection, held, again=True)

    def _update(
        self,
        kind: Kind,
        frame: dict[str, Any],
        held: Subscription,
        upsert: Entities | None = None,
        remove: dict[str, list[str]] | None = None,
    ) -> Update:
        return Update(
            kind,
            _position(frame),
            frame["server_time"],
            self.stale_since,
            held.state,
            upsert or {},
            remove or {},
            held.id,
        )

    def _closed(self, error: ConnectionClosed) -> Trouble:
        where = self._target.where
        if error.rcvd is None:
            return Trouble(f"The connection to {where} was lost.", 1006)
        code, reason = error.rcvd.code, error.rcvd.reason
        if 4000 <= code < 4100:
            return Trouble(reason, code, final=True, own=True)
        retry_in = _range(reason)
        why = f"{code}: {reason}" if reason and retry_in is None else str(code)
        text = f"{where} closed the connection ({why})."
        return Trouble(text, code, retry_in=retry_in, later=4100 <= code < 4200)

    def _delay(self, trouble: Trouble) -> float:
        first, longest = _BACKOFF_S
        bound = min(longest, first * 2.0 ** min(self._failures, 20))
        self._failures += 1
        pause = random.uniform(0.0, bound)  # noqa: S311 - jitter, nothing secret
        if trouble.retry_in is not None:
            return random.uniform(*trouble.retry_in)  # noqa: S311
        return _LATER_S + pause if trouble.later else pause


def _position(frame: dict[str, Any]) -> StreamPosition:
    return StreamPosition(str(frame["epoch"]), int(frame["seq"]))


def _range(reason: str) -> tuple[float, float] | None:
    """Return the ``retry_in`` of a close reason, in seconds; None if it has none."""
    try:
        low, high = json.loads(reason)["retry_in"]
        return float(low), float(high)
    except (ValueError, KeyError, TypeError):
        return None
