"""Read small values for many PBXs in few round trips.

What tasks ask for within a moment, or while an answer is under way, goes out together. Each read is
a transaction of its own, so an error concerns only the task that asked. So the time that all reads
take hardly grows with the number of PBXs, also on a machine or a network that is slow to answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from monitor.shared.redis.connection import REDIS_FAILURES, answers_of, parsed
from monitor.shared.redis.key_names import RedisCommand
from monitor.shared.tasks import end

MOST_TOGETHER: Final = 64
"""Reads that go out together at most."""
_GATHER_S: Final = 0.01
"""Seconds for which reads are gathered."""

_log = structlog.get_logger(__name__)

_Read: TypeAlias = tuple[Sequence[RedisCommand], asyncio.Future[list[Any]]]


async def read_together(redis: Redis, *commands: RedisCommand) -> list[Any]:
    """Return the answers to commands, sent as one transaction.

    They only read, or write what does no harm if it is late: it is not known whether they were
    done if an error is raised.
    An answer is a ResponseError if the key holds a value of another kind. Raises RedisError,
    OSError or TimeoutError.
    """
    return await _of_client.setdefault(redis, _BatchedReads()).read(redis, commands)


class _BatchedReads:
    """Hold what waits to be read by one client. A task runs while somebody waits."""

    def __init__(self) -> None:
        self._waiting: deque[_Read] = deque()
        self._readers = 0
        self._task: asyncio.Task[None] | None = None

    async def read(self, redis: Redis, commands: Sequence[RedisCommand]) -> list[Any]:
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((commands, answer))
        self._readers += 1
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._run(redis))
            return await answer
        finally:
            self._readers -= 1
            if not self._readers and self._task is not None:
                await end([self._task])

    async def _run(self, redis: Redis) -> None:
        batch: list[_Read] = []
        try:
            while self._waiting:
                await asyncio.sleep(_GATHER_S)
                batch = [
                    self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))
                ]
                await _send(redis, batch)
        except Exception as fault:  # nobody may wait for ever
            error = fault
            if not isinstance(fault, REDIS_FAILURES):
                _log.exception("batched_read_failure")
                error = RedisConnectionError(f"the read broke: {type(fault).__name__}: {fault}")
            for _, answer in (*batch, *self._waiting):
                if not answer.done():
                    answer.set_exception(error)
            self._waiting.clear()


_of_client: WeakKeyDictionary[Redis, _BatchedReads] = WeakKeyDictionary()


async def _send(redis: Redis, batch: Sequence[_Read]) -> None:
    sent = [one for commands, _ in batch for one in (("MULTI",), *commands, ("EXEC",))]
    answers = iter(await answers_of(redis, sent))
    for commands, answer in batch:
        said = [next(answers) for _ in range(len(commands) + 2)]
        done = next((one for one in said if isinstance(one, Exception)), said[-1])
        if answer.done():  # nobody waits any more
            continue
        if isinstance(done, Exception):
            answer.set_exception(done)
        elif done is None or len(done) != len(commands):
            answer.set_exception(RedisConnectionError("Redis did not answer to all of a read"))
        else:
            answer.set_result(
                [parsed(redis, command, one) for command, one in zip(commands, done, strict=True)]
            )
