"""Listen to the pub/sub messages about commands, and about the positions of other gateways.

The monitor publishes a message when it has claimed a request and when the outcome is stored.
Another gateway publishes one when it has reached the position that it was asked for. A message
may be lost. So each waiting task also reads Redis from time to time.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import assert_never

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.replication.position_waiter import PositionWaiter
from gateway.token_bucket import LogBudget
from monitor.shared.backoff import Backoff
from monitor.shared.changes import Position
from monitor.shared.codec import Malformed
from monitor.shared.command_messages import (
    Busy,
    Claimed,
    Completed,
    PositionQuery,
    PositionReached,
    Ring,
    decode_reach,
    decode_ring,
    encode,
)
from monitor.shared.redis.connection import REDIS_FAILURES, publish, raise_if_cancelled
from monitor.shared.redis.failure_text import explain
from monitor.shared.redis.key_names import RequestKeys
from monitor.shared.redis.subscriptions import ChannelMessage, subscribed
from monitor.shared.tasks import end

OTHERS_WITHIN_S = 1.0
"""Seconds in which the other gateways should reach the positions that they are asked for."""
_POLL_S = 1.0
_MOST_ASKED = 1_000

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class PendingReply:
    """Collect the messages about one id for a task that waits for them."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    claimed: bool = False
    done: bool = False
    busy: bool = False
    reached: int = 0

    async def wait(self, seconds: float) -> bool:
        """Wait for a message; return False if none came within this time."""
        try:
            async with asyncio.timeout(seconds):
                await self.event.wait()
        except TimeoutError:
            return False
        finally:
            self.event.clear()
        return True


class PubSubListener:
    """Receive one PBX's messages at this gateway. No message arrives unless :meth:`run` runs."""

    def __init__(self, redis: Redis, pbx: str, position_waiter: PositionWaiter) -> None:
        self._redis = redis
        self._keys = RequestKeys(pbx)
        self._position_waiter = position_waiter
        self.name = secrets.token_hex(8)
        """This gateway's name in messages."""
        self.listening = False
        """True while messages are heard."""
        self._backoff = Backoff(shortest=0.2, longest=1.0)
        self._waiting: dict[str, PendingReply] = {}
        self._asked: set[asyncio.Task[None]] = set()
        self._ration = LogBudget(time.monotonic())
        self._log = _log.bind(pbx=pbx)

    @property
    def waiting(self) -> int:
        """Return how many tasks wait for messages."""
        return len({id(waiting) for waiting in self._waiting.values()})

    async def run(self) -> None:
        """Listen until cancelled."""
        try:
            while True:
                raise_if_cancelled()
                try:
                    await self._listen()
                except REDIS_FAILURES as error:
                    say = self._log.info if self._backoff.failures else self._log.warning
                    say("pubsub_listener_connection_lost", reason=f"Redis: {explain(error)}")
                    await asyncio.sleep(self._backoff.pause())
        finally:
            await end(self._asked)

    @contextmanager
    def waiting_for(self, id_: str) -> Iterator[PendingReply]:
        """Collect the messages about this id while the context is entered.

        Messages about the ids that :meth:`join` adds are collected too.
        """
        waiting = self._waiting[id_] = PendingReply()
        try:
            yield waiting
        finally:
            for id_ in [id_ for id_, other in self._waiting.items() if other is waiting]:
                del self._waiting[id_]

    def join(self, id_: str, waiting: PendingReply) -> PendingReply:
        """Collect the messages about this id too; return the object that collects them.

        It is another one than ``waiting`` if a task here waits for this id already.
        """
        return self._waiting.setdefault(id_, waiting)

    async def others_reach(self, live: Position | None, book: Position | None) -> None:
        """Wait until the other gateways have reached these positions.

        It waits at most :data:`OTHERS_WITHIN_S` seconds.
        """
        id_ = secrets.token_hex(8)
        with self.waiting_for(id_) as waiting:
            try:
                async with asyncio.timeout(OTHERS_WITHIN_S):
                    question = encode(PositionQuery(id_, self.name, live, book))
                    heard = await publish(self._redis, self._keys.reached, question)
                    others = heard - self.listening
                    while waiting.reached < others:
                        waiting.event.clear()
                        await waiting.event.wait()
            except TimeoutError:
                self._log.info("position_query_timeout", heard=waiting.reached)
            except (RedisError, OSError) as error:
                self._log.info("position_query_failure", reason=str(error))

    async def _listen(self) -> None:
        replies = self._keys.replies(self.name)
        async with subscribed(self._redis, replies, self._keys.reached) as subscription:
            self.listening = True
            self._backoff.reset()
            try:
                while True:
                    raise_if_cancelled()
                    message = await subscription.get(_POLL_S)
                    if isinstance(message, ChannelMessage):
                        self._hear(message.channel == replies, message.data)
            finally:
                self.listening = False

    def _hear(self, mine: bool, data: bytes) -> None:
        try:
            if mine:
                self._rung(decode_ring(data))
            else:
                self._asked_for(decode_reach(data))
        except Malformed as error:
            left_out = self._ration.take(time.monotonic())
            if left_out is not None:
                self._log.warning("pubsub_message_malformed", reason=str(error), left_out=left_out)

    def _rung(self, ring: Ring) -> None:
        waiting = self._waiting.get(ring.id)
        if waiting is None:
            return
        match ring:
            case Claimed():
                waiting.claimed = True
            case Completed():
                waiting.claimed = waiting.done = True
            case Busy():
                waiting.busy = True
            case PositionReached():
                waiting.reached += 1
            case _:
                assert_never(ring)
        waiting.event.set()

    def _asked_for(self, question: PositionQuery) -> None:
        if question.gateway == self.name or len(self._asked) >= _MOST_ASKED:
            return
        task = asyncio.create_task(self._tell_when_reached(question))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _tell_when_reached(self, question: PositionQuery) -> None:
        if await self._position_waiter.wait(question.live, question.book, OTHERS_WITHIN_S):
            try:
                answer = encode(PositionReached(question.id))
                await publish(self._redis, self._keys.replies(question.gateway), answer)
            except REDIS_FAILURES as error:
                self._log.info("position_reply_failure", reason=str(error))
