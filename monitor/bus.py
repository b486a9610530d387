"""The monitor's door to Redis: the client, its errors, and a transaction guarded by what it has read.

A guarded transaction is WATCH → read → MULTI … EXEC. It must never be sent again behind our back on a fresh
connection, where nothing is watched. Hence no retries inside the client: who calls decides, with the store in view.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, WatchError

from monitor.batch import Command
from monitor.errors import BusUnreachable
from monitor.model.redis_failures import explain

_ATTEMPTS: Final = 5

SOCKET_TIMEOUT = 2.0
"""Seconds for an answer. Well below the lease's time, so that a hung Redis is noticed before the lease is over."""


def options(ca_file: Path | None = None) -> dict[str, Any]:
    """What every client is given. ``ca_file``: who signs the servers' certificates, for addresses with TLS.

    RESP2, as the pub/sub of both servers is the same there. No health checks: every connection either carries a
    heartbeat a second or is checked by its reader, and one that reconnects by itself would forget what it watches.
    """
    return {
        "protocol": 2,
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": SOCKET_TIMEOUT,
        "socket_keepalive": True,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
        **({} if ca_file is None else {"ssl_ca_certs": str(ca_file)}),
    }


def connect(url: str, ca_file: Path | None = None) -> Redis:
    """A client for ``redis://``, ``rediss://`` or ``unix://``. Lazy: raises nothing before the first command."""
    given = options(ca_file if url.startswith("rediss:") else None)
    if url.startswith("unix:"):
        del given["socket_keepalive"]  # that is TCP's
    return Redis.from_url(url, **given)


@contextmanager
def translated() -> Iterator[None]:
    """Within it whatever Redis or the network says becomes BusUnreachable.

    That includes READONLY, LOADING, OOM, MASTERDOWN, TRYAGAIN, NOAUTH and the like: the server cannot now, and the
    remedy is the same, to come back later and look at the store afresh.
    """
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise BusUnreachable(f"Redis: {explain(error)}") from error


class Guard:
    """One guarded transaction on a connection of its own: what was read holds, or :meth:`commit` does nothing."""

    def __init__(self, pipe: Pipeline) -> None:
        self._pipe = pipe

    @classmethod
    async def watch(cls, redis: Redis, *keys: str) -> Guard:
        """Begin. Raises BusUnreachable."""
        pipe = redis.pipeline(transaction=True)
        try:
            with translated():
                await pipe.watch(*keys)
        except BaseException:
            await _abandon(pipe)
            raise
        return cls(pipe)

    async def get(self, key: str) -> str | None:
        """A string key's value."""
        with translated():
            return text(await self._pipe.get(key))

    async def fields(self, key: str, *names: str) -> list[str | None]:
        """Fields of a hash, None for those that are missing."""
        with translated():
            return [text(value) for value in await self._pipe.hmget(key, names)]

    async def size(self, key: str) -> int:
        """How many fields a hash has."""
        with translated():
            size: int = await self._pipe.hlen(key)
        return size

    async def left(self, key: str) -> float:
        """Seconds until a key expires; 0 if it is gone or never does."""
        with translated():
            ms: int = await self._pipe.pttl(key)
        return max(0, ms) / 1000

    async def commit(self, commands: Iterable[Command]) -> bool:
        """Send ``commands`` in one MULTI … EXEC. False: a watched key changed or the connection died; look again.

        Raises BusUnreachable if there was no answer: then it may have been done, now or a little later.
        """
        try:
            with translated():
                try:
                    self._pipe.multi()  # type: ignore[no-untyped-call]  # as redis-py has it
                    _queue(self._pipe, commands)
                    await self._pipe.execute()
                except WatchError:
                    return False
                return True
        finally:
            await self.release()

    async def release(self) -> None:
        """Give the connection back without committing. May be called twice."""
        await _abandon(self._pipe)


async def commit_while(redis: Redis, key: str, value: str, commands: Sequence[Command]) -> bool:
    """Send ``commands`` in one transaction if ``key`` holds ``value`` then; whether that was so.

    The key may be written again with the same value meanwhile, as a lease is. Raises BusUnreachable.
    """
    for _ in range(_ATTEMPTS):
        guard = await Guard.watch(redis, key)
        try:
            if await guard.get(key) != value:
                return False
            if await guard.commit(commands):
                return True
        finally:
            await guard.release()
    return False


async def send(redis: Redis, commands: Iterable[Command], *, whole: bool = False) -> None:
    """Send ``commands`` in one round trip; ``whole``: as a transaction. Raises BusUnreachable."""
    with translated():
        async with redis.pipeline(transaction=whole) as pipe:
            _queue(pipe, commands)
            await pipe.execute()


def heed_cancellation() -> None:
    """Raise CancelledError if this task was cancelled and the word was lost; call it once a turn of an endless loop.

    Python 3.11's ``wait_for``, on which the Redis client stands, swallows a cancellation that comes in the very moment
    in which its wait is over (python/cpython#86296); the task would then run on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def text(value: bytes | str | None) -> str | None:
    """Return a key's or a field's value as text; bytes that are no UTF-8 become nonsense, and no error."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _queue(pipe: Pipeline, commands: Iterable[Command]) -> None:
    for command in commands:
        pipe.execute_command(*command)


async def _abandon(pipe: Pipeline) -> None:
    # An UNWATCH without an answer has already closed its connection, and with it everything that was watched.
    with suppress(RedisError, OSError, TimeoutError):
        await pipe.reset()  # type: ignore[no-untyped-call]  # as redis-py has it
