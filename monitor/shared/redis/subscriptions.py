"""Hear many channels on one pub/sub connection, each by the task that asked for it.

- All subscriptions of a client share one connection. On a Cluster, all those share one whose keys
  are on the same node.
- One task reads the connection and puts each message where it is wanted. It decodes nothing, so a
  message that cannot be used, or a task that is slow, concerns no other task.
- What is not taken yet is held in memory, at most :data:`MOST_HELD_BYTES` for a connection. Above
  that the subscription that holds most loses its messages and is told so by :class:`MessagesLost`.
- A lost connection is never replaced in silence: every subscription on it raises. Its task
  subscribes again, and reads the store again, as what was published meanwhile is gone.
- A connection on which nothing arrives is asked by PING, and lost if it does not answer.
- A task may find that its subscription is silent although the store moved. It gives up the
  connection (:meth:`ChannelSubscription.distrust`). Only that task gets a new one: the others may
  well hear theirs, and find out for themselves if they do not.

On a Cluster, messages go two ways: sharded (SPUBLISH, to one shard) and plain (PUBLISH, to all
nodes), because processes of callmon 0.2 know only the plain one. Of two equal messages that came by
the two ways only one is heard. The address may say that the plain way is not needed any more; see
:class:`~monitor.shared.redis.redis_target.RedisTarget`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from monitor.shared.redis.connection import REDIS_FAILURES, SOCKET_TIMEOUT_S, raise_if_cancelled
from monitor.shared.tasks import end, together

CONFIRM_WITHIN_S: Final = 5.0
"""Seconds within which Redis must confirm a subscription."""
MOST_HELD_BYTES: Final = 32 * 1024 * 1024
"""Bytes that the subscriptions of a connection hold together. Redis' own limit is as large."""
JOINING_AT_ONCE: Final = 256
"""Subscriptions of a client that wait for their confirmation at the same time. Each has only so
many seconds. If thousands began at once on a busy machine, none would be confirmed in time, and all
would begin again."""
_CONNECTING_ATTEMPTS: Final = 2
_MESSAGE_BYTES: Final = 200
"""Bytes that a message takes in memory beside its data."""
_SLICE_S: Final = 0.002
"""Seconds for which messages are read before other tasks get their turn."""

_PLAIN: Final = ("SUBSCRIBE",)
_ENDS: Final = {"SUBSCRIBE": "UNSUBSCRIBE", "SSUBSCRIBE": "SUNSUBSCRIBE"}
_CONFIRMATIONS: Final = {"subscribe": "SUBSCRIBE", "ssubscribe": "SSUBSCRIBE"}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChannelMessage:
    """Hold a message that was published to a channel."""

    channel: str
    data: bytes


@dataclass(frozen=True, slots=True)
class MessagesLost:
    """Tell that messages were dropped, as they were not taken in time."""


class SubscribingPool(ConnectionPool):
    """Hold connections to the node of a Cluster that holds a PBX's keys; a base class."""

    async def subscriptions(self) -> tuple[SharedSubscriptions, Callable[[], PubSub]]:
        """Return the subscriptions at that node, and what makes a connection for them."""
        raise NotImplementedError

    def forget(self) -> None:
        """Look again where the keys are, before the next connection is made."""
        raise NotImplementedError


class ChannelSubscription:
    """Receive the messages of some channels. Made by :func:`subscribed`."""

    def __init__(self, connection: _SharedConnection, names: Sequence[str]) -> None:
        self._connection = connection
        self._held: deque[ChannelMessage] = deque()
        self._lost = False
        self._error: BaseException | None = None
        self._news = asyncio.Event()
        self.names = tuple(names)
        self.held_bytes = 0
        """Bytes of the messages that are not taken yet."""

    async def get(self, seconds: float) -> ChannelMessage | MessagesLost | None:
        """Return the next message; None if there is none within this time.

        Other tasks get their turn, also if messages wait here. Raises the error that ended the
        connection, after the messages that came before it: RedisError, OSError or TimeoutError.
        """
        if self._held or self._lost or self._error is not None:
            await asyncio.sleep(0)
        else:
            try:
                async with asyncio.timeout(seconds):
                    await self._wait()
            except TimeoutError:
                return None
        if self._lost:
            self._lost = False
            return MessagesLost()
        if self._held:
            message = self._held.popleft()
            self._took(_size(message))
            return message
        if self._error is not None:
            raise self._error.with_traceback(None)
        return None

    def distrust(self) -> None:
        """Let the next subscription, of whatever channel, have a new connection."""
        self._connection.retire()

    async def leave(self) -> None:
        """Hear nothing any more."""
        await self._connection.leave(self)

    async def confirmed(self) -> None:
        """Wait until Redis has confirmed each channel. Raises like :meth:`get`."""
        while not self._connection.confirmed(self):
            if self._error is not None:
                raise self._error.with_traceback(None)
            await self._wait()

    def put(self, message: ChannelMessage) -> None:
        """Hold a message until it is taken."""
        self._held.append(message)
        self._took(-_size(message))
        self._news.set()

    def lose(self) -> None:
        """Drop all that is held."""
        self._took(self.held_bytes)
        self._held.clear()
        self._lost = True
        self._news.set()

    def fail(self, error: BaseException) -> None:
        """Have the task that hears this raise an error."""
        self._error = error
        self._news.set()

    def wake(self) -> None:
        """Have the task that waits here look again."""
        self._news.set()

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _took(self, size: int) -> None:
        self.held_bytes -= size
        self._connection.held_bytes -= size


class SharedSubscriptions:
    """Hold the connection that the next subscription joins.

    ``ways``: the commands by which a channel is subscribed to, all of them.
    """

    def __init__(self, ways: tuple[str, ...] = _PLAIN) -> None:
        self._ways = ways
        self._current: _SharedConnection | None = None
        self.turns = asyncio.Semaphore(JOINING_AT_ONCE)
        """Held while a subscription waits for its confirmation."""

    def join(self, names: Sequence[str], make: Callable[[], PubSub]) -> ChannelSubscription:
        """Return a subscription to these channels, on the present connection or on a new one."""
        if self._current is None or self._current.retired:
            self._current = _SharedConnection(make(), self._ways)
        return self._current.join(names)


@asynccontextmanager
async def subscribed(redis: Redis, *channels: str) -> AsyncIterator[ChannelSubscription]:
    """Hear these channels while the context is entered.

    It is entered when Redis has confirmed them: nothing that is published later is missed without
    an error. Raises RedisError, OSError or TimeoutError.
    """
    pool = redis.connection_pool
    if isinstance(pool, SubscribingPool):
        shared, make = await pool.subscriptions()
    else:
        shared, make = _of_client.setdefault(redis, SharedSubscriptions()), redis.pubsub
    subscription: ChannelSubscription | None = None
    try:
        async with shared.turns:
            subscription = shared.join(channels, make)
            await _confirmed(subscription)
        yield subscription
    except REDIS_FAILURES:
        if isinstance(pool, SubscribingPool):
            pool.forget()
        raise
    finally:
        if subscription is not None:
            await subscription.leave()


_of_client: WeakKeyDictionary[Redis, SharedSubscriptions] = WeakKeyDictionary()


async def _confirmed(subscription: ChannelSubscription) -> None:
    try:
        async with asyncio.timeout(CONFIRM_WITHIN_S) as limit:
            await subscription.confirmed()
    except TimeoutError as error:
        if not limit.expired():
            raise
        subscription.distrust()
        raise TimeoutError("the subscription was not confirmed") from error


@dataclass(eq=False, slots=True)
class _Channel:
    """Hold who hears a channel, and which of the ways to it are not confirmed yet."""

    name: str
    unconfirmed: set[str]
    hearers: list[ChannelSubscription] = field(default_factory=list)


_Question: TypeAlias = tuple[str, _Channel | None]
"""A command that Redis was sent, and its channel. Each gets one answer, in the same order."""


class _SharedConnection:
    """Read one pub/sub connection for all subscriptions on it; it ends with the last of them."""

    def __init__(self, pubsub: PubSub, ways: tuple[str, ...]) -> None:
        self.retired = False
        """True if no further subscription may join."""
        self.held_bytes = 0
        """Bytes that all subscriptions on it hold."""
        self._pubsub = pubsub
        self._ways = ways
        self._channels: dict[str, _Channel] = {}
        self._members: set[ChannelSubscription] = set()
        self._to_send: list[_Question] = []
        self._something_to_send = asyncio.Event()
        self._unanswered: deque[_Question] = deque()
        self._last_sharded: tuple[bytes, bytes] | None = None
        self._task = asyncio.create_task(self._run())

    def join(self, names: Sequence[str]) -> ChannelSubscription:
        """Add a subscription to these channels."""
        subscription = ChannelSubscription(self, names)
        self._members.add(subscription)
        for name in subscription.names:
            channel = self._channels.get(name)
            if channel is None:
                channel = self._channels[name] = _Channel(name, set(self._ways))
                for way in self._ways:
                    self._send(way, channel)
            channel.hearers.append(subscription)
        return subscription

    async def leave(self, subscription: ChannelSubscription) -> None:
        """Remove a subscription, and close the connection if it was the last."""
        subscription.lose()
        self._members.discard(subscription)
        for name in subscription.names:
            channel = self._channels.get(name)
            if channel is not None and subscription in channel.hearers:
                channel.hearers.remove(subscription)
                if not channel.hearers:
                    self._drop(channel, self._ways)
        if not self._members:
            self.retire()
            await end([self._task])

    def retire(self) -> None:
        """Let no further subscription join."""
        self.retired = True

    def confirmed(self, subscription: ChannelSubscription) -> bool:
        """Return whether Redis has confirmed each channel of a subscription."""
        return all(
            name in self._channels and not self._channels[name].unconfirmed
            for name in subscription.names
        )

    async def _run(self) -> None:
        error: BaseException = RedisConnectionError("the connection was closed")
        try:
            await self._connect()
            await together(self._read(), self._write())
        except REDIS_FAILURES as failure:
            error = failure
        except Exception as fault:  # a fault of ours must not leave tasks that wait for ever
            _log.exception("subscription_reader_failure")
            error = RedisConnectionError(f"the connection broke: {type(fault).__name__}: {fault}")
        finally:
            self.retire()
            for subscription in self._members:
                subscription.fail(error)
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]  # likewise

    async def _connect(self) -> None:
        # A process that has just begun much may be too busy to see the answer in time.
        for attempt in range(1, _CONNECTING_ATTEMPTS + 1):
            try:
                await self._pubsub.connect()  # type: ignore[no-untyped-call]  # as redis-py has it
            except (TimeoutError, RedisTimeoutError):
                if attempt == _CONNECTING_ATTEMPTS:
                    raise
            else:
                return

    # What is sent.

    def _send(self, command: str, channel: _Channel | None = None) -> None:
        self._to_send.append((command, channel))
        self._something_to_send.set()

    def _drop(self, channel: _Channel, ways: Sequence[str]) -> None:
        """End a channel, and the ways to it that are left."""
        del self._channels[channel.name]
        for way in ways:
            self._send(_ENDS[way], channel)

    async def _write(self) -> None:
        while True:
            raise_if_cancelled()
            await self._something_to_send.wait()
            self._something_to_send.clear()
            questions, self._to_send = self._to_send, []
            self._unanswered.extend(questions)
            connection = self._alive()
            await connection.send_packed_command(
                connection.pack_commands(
                    (command,) if channel is None else (command, channel.name)
                    for command, channel in questions
                )
            )

    def _alive(self) -> Any:
        """Return the connection; redis-py would reopen a closed one. Raises ConnectionError."""
        connection: Any = self._pubsub.connection
        if connection is None or not connection.is_connected:
            raise RedisConnectionError("the connection was closed")
        return connection

    # What arrives.

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        turn = heard_at = loop.time()
        asked_at: float | None = None
        while True:
            raise_if_cancelled()
            self._alive()
            try:
                message = await self._pubsub.get_message(timeout=SOCKET_TIMEOUT_S)
            except ResponseError as error:
                self._refused(error)
                continue
            now = loop.time()
            if message is not None:
                heard_at, asked_at = now, None
                self._take(message)
            elif asked_at is None and now >= heard_at + SOCKET_TIMEOUT_S:
                asked_at = now
                self._send("PING")
            elif asked_at is not None and now >= asked_at + SOCKET_TIMEOUT_S:
                raise TimeoutError("Redis does not answer on the connection for messages")
            if now >= turn + _SLICE_S:
                await asyncio.sleep(0)
                turn = loop.time()

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        match kind:
            case "message" | "smessage":
                self._deliver(kind, message["channel"], message["data"])
            case "subscribe" | "ssubscribe":
                _, channel = self._unanswered.popleft()
                if channel is not None:
                    channel.unconfirmed.discard(_CONFIRMATIONS[kind])
                    for hearer in channel.hearers:
                        hearer.wake()
            case "sunsubscribe" if not self._is_answer("SUNSUBSCRIBE", message["channel"]):
                self._moved(message["channel"].decode())
            case _:  # the answer to an UNSUBSCRIBE or a PING
                self._unanswered.popleft()

    def _is_answer(self, command: str, name: bytes) -> bool:
        if not self._unanswered:
            return False
        asked, channel = self._unanswered[0]
        return asked == command and channel is not None and channel.name.encode() == name

    def _deliver(self, kind: str, name: bytes, data: bytes) -> None:
        twin, self._last_sharded = self._last_sharded, None
        if kind == "smessage":
            self._last_sharded = (name, data)
        elif twin == (name, data):
            return
        channel = self._channels.get(name.decode(errors="replace"))
        if channel is None:
            return
        message = ChannelMessage(channel.name, data)
        for hearer in channel.hearers:
            hearer.put(message)
        while self.held_bytes > MOST_HELD_BYTES:
            largest = max(self._members, key=lambda member: member.held_bytes)
            _log.warning("subscription_messages_dropped", channels=largest.names)
            largest.lose()

    def _refused(self, error: ResponseError) -> None:
        """Fail those who hear the channel that Redis refused. Raises if it refused a PING."""
        command, channel = self._unanswered.popleft() if self._unanswered else ("", None)
        if channel is None:
            raise error
        self._fail(channel, error, [way for way in self._ways if way != command])

    def _moved(self, name: str) -> None:
        """Fail those who hear a channel whose slot is on another node now."""
        if (channel := self._channels.get(name)) is not None:
            error = RedisConnectionError(
                "this node of the Cluster does not hold these keys any more"
            )
            self._fail(channel, error, [way for way in self._ways if way == "SUBSCRIBE"])

    def _fail(self, channel: _Channel, error: BaseException, ways: Sequence[str]) -> None:
        if self._channels.get(channel.name) is channel:
            self._drop(channel, ways)
        for hearer in channel.hearers:
            hearer.fail(error)


def _size(message: ChannelMessage) -> int:
    return len(message.data) + _MESSAGE_BYTES
