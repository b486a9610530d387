"""Connect to Redis, translate its errors, and run transactions guarded by what they have read.

A guarded transaction is WATCH → read → MULTI … EXEC. The client must never repeat it by itself on a
new connection, where nothing is watched. So the client makes no retries: the caller decides, after
another look at the store.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self
from weakref import WeakKeyDictionary

import structlog
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError, WatchError
from redis.exceptions import TimeoutError as RedisTimeoutError

from monitor.shared.errors import BusUnreachable, CallmonError, HistoryLost
from monitor.shared.redis.failure_text import explain
from monitor.shared.redis.key_names import RedisCommand
from monitor.shared.redis.rejected_values import current

_ATTEMPTS: Final = 5

SOCKET_TIMEOUT_S = 2.0
"""Seconds for an answer. It is well below the lease's time, so that a hung Redis is noticed before
the lease is over."""
CONNECTIONS_FOR_ALL: Final = 100
"""Connections that a process may have for bursts, such as commands, beside those of each PBX."""
CONNECTIONS_A_PBX: Final = 16
"""Connections for each PBX. Four stay open: a monitor's two writers and two subscriptions, or a
gateway's four subscriptions. In a bad moment, lease, keys, statistics, directory, positions and
budgets are read or written at the same time."""

CONNECTING_AT_ONCE: Final = 32
"""Connections of a client that are made at the same time. Each has only so many seconds. If
hundreds of PBXs made all of theirs at once on a busy machine, none would be ready in time, and all
would begin again."""

READS_AT_ONCE: Final = 32
"""Reads of a client that run at the same time, of those that every PBX needs again and again. The
others wait in line for a connection that is open already, so a process has hardly more connections
with hundreds of PBXs than with one."""

REDIS_FAILURES: Final = (RedisError, OSError, TimeoutError)
"""The errors that a client raises if Redis did not do what it was asked."""
NOT_OURS: Final = "(not text)"
"""The value that stands for a key that holds no text: never equal to anything of ours."""
_WRONG_TYPE: Final = "WRONGTYPE"
_DAMAGE: Final = (
    _WRONG_TYPE,
    "equal or smaller than the target stream top item",
    "exhausted the last possible ID",
)
"""Parts of Redis' errors if somebody else has put something else in a key's place."""

_DRIVER: Final = DriverInfo()
"""The client's name and version, as CLIENT LIST shows them. Without it each new connection would
read them from the installed package's files, which takes longer than everything else."""

_log = structlog.get_logger(__name__)


_read_turns: WeakKeyDictionary[ConnectionPool, asyncio.Semaphore] = WeakKeyDictionary()


def options(ca_file: Path | None = None) -> dict[str, Any]:
    """Return the options that every client gets.

    ``ca_file``: the CA that signs the servers' certificates, for addresses with TLS.

    RESP2, as the pub/sub of both servers is the same there. No health checks: every connection
    either carries a heartbeat each second or is checked by its reader. A connection that reconnects
    by itself would forget what it watches.
    """
    # A CA that people make often lacks a key usage, which Python asks for from 3.13 on.
    trusted = {
        "ssl_ca_certs": str(ca_file),
        "ssl_exclude_verify_flags": [ssl.VERIFY_X509_STRICT],
    }
    return {
        "protocol": 2,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": SOCKET_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": _DRIVER,
        **({} if ca_file is None else trusted),
    }


def connect(url: str, ca_file: Path | None = None) -> Redis:
    """Return a client for ``redis://``, ``rediss://`` or ``unix://``.

    It is lazy: nothing is raised before the first command.
    """
    given = options(ca_file if url.startswith("rediss:") else None)
    if url.startswith("unix:"):
        del given["socket_keepalive"]  # that is TCP's
    client = Redis.from_url(url, **given)
    harden(client.connection_pool)
    return client


def harden(pool: ConnectionPool) -> None:
    """Make the pool's new connections raise nothing but RedisError, OSError and TimeoutError.

    Only :data:`CONNECTING_AT_ONCE` of them are made at the same time; the others wait in line.
    """
    pool.connection_class = _hardened(pool.connection_class)


def make_room(pool: ConnectionPool, pbxs: int) -> None:
    """Let the pool have as many connections as ``pbxs`` PBXs may need.

    redis-py's own limit is 100.
    """
    pool.max_connections = CONNECTIONS_FOR_ALL + CONNECTIONS_A_PBX * pbxs


def read_turn(redis: Redis) -> asyncio.Semaphore:
    """Return what must be held while something is read for one of many PBXs."""
    return _read_turns.setdefault(redis.connection_pool, asyncio.Semaphore(READS_AT_ONCE))


@contextmanager
def translated() -> Iterator[None]:
    """Turn every error of Redis, the network or the client into BusUnreachable.

    That includes READONLY, LOADING, OOM, MASTERDOWN, TRYAGAIN, NOAUTH and the like: the server
    cannot do it now. The remedy is the same: come back later and look at the store again. Our own
    errors pass.
    """
    try:
        yield
    except CallmonError:
        raise
    except REDIS_FAILURES as error:
        raise BusUnreachable(f"Redis: {explain(error)}") from error
    except Exception as error:  # a client library's fault must not end the process
        _log.exception("redis_client_failure")
        raise BusUnreachable(f"Redis: {type(error).__name__}: {error}") from error


class GuardedTransaction:
    """Run one guarded transaction on a connection of its own.

    :meth:`commit` does nothing unless everything that was read still holds.
    """

    def __init__(self, pipe: Pipeline) -> None:
        self._pipe = pipe
        self._read_ahead: dict[RedisCommand, Any] = {}
        """Answers that nobody has asked for yet; an answer may be an error."""

    @classmethod
    async def watch(
        cls, redis: Redis, *keys: str, reads: Sequence[RedisCommand] = ()
    ) -> GuardedTransaction:
        """Begin a transaction that watches these keys. Raises BusUnreachable.

        ``reads``: what will be read; see :meth:`read_ahead`. It takes no further round trip.
        """
        guard = cls(redis.pipeline(transaction=True))
        try:
            await guard.read_ahead(("WATCH", *keys), *reads)
            await guard.ask("WATCH", *keys)
        except BaseException:
            await guard.release()
            raise
        return guard

    async def read_ahead(self, *commands: RedisCommand) -> None:
        """Send commands in one round trip, and hold each answer until it is asked for.

        Raises BusUnreachable. What Redis refused is raised when its answer is asked for.
        """
        pipe: Any = self._pipe
        with translated():
            if pipe.connection is None:
                pipe.connection = await pipe.connection_pool.get_connection()
            pipe.watching = True  # so that the connection is not given back while it watches
            try:
                answers = await raw_answers(pipe.connection, commands)
            except BaseException:
                pipe.watching = False  # the connection is closed
                raise
            for command, answer in zip(commands, answers, strict=True):
                self._read_ahead[command] = parsed(self._pipe, command, answer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.release()

    async def ask(self, *command: str | bytes | int) -> Any:
        """Send one command at once and return the answer. Raises BusUnreachable."""
        with translated():
            return await self._answer(*command)

    async def get(self, key: str) -> str | None:
        """Return a string key's value, None if it is missing, or NOT_OURS if it is not a string."""
        with translated():
            try:
                read = await self._answer("GET", key)
            except ResponseError as error:
                read = unless_rejected(key, error, NOT_OURS)
            else:
                accepted(key)
        return text(read)

    async def fields(self, key: str, *names: str) -> list[str | None]:
        """Return fields of a hash.

        None for a missing field, and for all fields if the key holds no hash.
        """
        with translated():
            try:
                read = await self._answer("HMGET", key, *names)
            except ResponseError as error:
                read = unless_rejected(key, error, [None for _ in names])
            else:
                accepted(key)
        return [text(value) for value in read]

    async def size(self, key: str) -> int:
        """Return the number of fields of a hash."""
        return int(await self.ask("HLEN", key))

    async def left(self, key: str) -> float:
        """Return the seconds until a key expires; 0 if it is gone or never does."""
        return max(0.0, await self.expiry(key))

    async def expiry(self, key: str) -> float:
        """Return the seconds until a key expires; less than 0 if it is gone or never does."""
        return int(await self.ask("PTTL", key)) / 1000

    async def commit(self, commands: Iterable[RedisCommand]) -> list[Any] | None:
        """Send ``commands`` in one MULTI … EXEC; return the answers, or None if it was not done.

        None: a watched key changed or the connection died; look again. Raises BusUnreachable if
        there was no answer: then it may have been done, now or a little later. Raises HistoryLost
        if a key holds a value of another kind than is written there: then the rest was done all the
        same.
        """
        try:
            with translated():
                try:
                    self._pipe.multi()  # type: ignore[no-untyped-call]  # as redis-py has it
                    return await _executed(self._pipe, commands)
                except WatchError:
                    return None
                except ResponseError as error:
                    if any(sign in str(error) for sign in _DAMAGE):
                        raise HistoryLost(
                            f"the store holds something else than what we wrote: {error}"
                        ) from error
                    raise
        finally:
            await self.release()

    async def release(self) -> None:
        """Give the connection back without committing. It may be called twice."""
        await _abandon(self._pipe)

    async def _answer(self, *command: str | bytes | int) -> Any:
        """Return the answer that was read ahead, or send the command. Raises RedisError, OSError.

        Each answer is returned once.
        """
        if command not in self._read_ahead:
            return await self._pipe.execute_command(*command)
        answer = self._read_ahead.pop(command)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def raw_answers(connection: Any, commands: Sequence[RedisCommand]) -> list[Any]:
    """Send commands in one round trip and return the answers as they came, ResponseErrors too.

    ``connection``: one of a pool's. Raises RedisError, OSError or TimeoutError.
    """
    answers: list[Any] = []
    try:
        async with _one_deadline(connection):
            await connection.send_packed_command(_packed(commands))
            for _ in commands:
                try:
                    answers.append(await connection.read_response())
                except ResponseError as error:
                    answers.append(error)
    except BaseException:
        await connection.disconnect(nowait=True)  # answers may come that nobody reads
        raise
    return answers


@asynccontextmanager
async def _one_deadline(connection: Any) -> AsyncIterator[None]:
    """Let all that is sent and read in the block share one timeout.

    Otherwise each answer has a timer of its own, which takes as long as reading it. Raises
    redis' TimeoutError.
    """
    if not isinstance(connection, _Hardened):  # a server in this process
        yield
        return
    seconds = connection.share_deadline()
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise RedisTimeoutError(f"no answer within {seconds} s") from error
    finally:
        connection.share_no_deadline()


async def answers_of(redis: Redis, commands: Sequence[RedisCommand]) -> list[Any]:
    """Send commands in one round trip and return the answers like :func:`raw_answers`."""
    pool: Any = redis.connection_pool
    connection = await pool.get_connection()
    try:
        return await raw_answers(connection, commands)
    finally:
        await pool.release(connection)


def _packed(commands: Iterable[RedisCommand]) -> bytes:
    """Return commands as the server reads them; redis-py takes several times as long for that."""
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for word in command:
            data = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def parsed(client: Redis, command: RedisCommand, answer: Any) -> Any:
    """Return an answer as the client returns it for the command."""
    parse = client.response_callbacks.get(str(command[0]))
    return answer if parse is None or isinstance(answer, ResponseError) else parse(answer)


async def commit_while(
    redis: Redis, key: str, value: str, commands: Sequence[RedisCommand]
) -> bool:
    """Send ``commands`` in one transaction if ``key`` holds ``value``; return whether it was done.

    Another client may write the same value to the key meanwhile, as for a lease. Raises
    BusUnreachable.
    """
    for _ in range(_ATTEMPTS):
        async with await GuardedTransaction.watch(redis, key, reads=[("GET", key)]) as guard:
            if await guard.get(key) != value:
                return False
            if await guard.commit(commands):
                return True
    return False


async def send(redis: Redis, commands: Iterable[RedisCommand], *, whole: bool = False) -> None:
    """Send ``commands`` in one round trip. ``whole``: as a transaction. Raises BusUnreachable."""
    with translated():
        async with redis.pipeline(transaction=whole) as pipe:
            await _executed(pipe, commands)


async def publish(redis: Redis, channel: str, data: bytes) -> int:
    """Publish a message and return how many connections hear it. Raises RedisError or OSError.

    On a Cluster, connections to other nodes are not counted.
    """
    async with redis.pipeline(transaction=True) as pipe:
        (heard,) = await _executed(pipe, [("PUBLISH", channel, data)])
    return int(heard)


def raise_if_cancelled() -> None:
    """Raise CancelledError if this task was cancelled and the cancellation was lost.

    Call it in each turn of an endless loop. Python 3.11's ``wait_for``, which the Redis client
    uses, swallows a cancellation that comes at the very moment when its wait is over
    (python/cpython#86296). The task would then run on for ever. A loop that pauses calls this
    before the pause; otherwise its end waits for the pause.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def text(value: bytes | str | None) -> str | None:
    """Return a key's or a field's value as text.

    Bytes that are not UTF-8 become replacement characters, so the text equals nothing of ours.
    """
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def rejected(key: str, reason: str, *, logged: bool = True, part: str = "") -> None:
    """Tell that a value on Redis was left out, as no callmon process writes such a value.

    It is logged, and held by :mod:`monitor.shared.redis.rejected_values`. ``logged``: False if the
    log has it already. ``part``: what of the key is wrong, if it is judged for itself.
    """
    if logged:
        _log.warning("redis_value_rejected", key=key, reason=reason[:200])
    if (values := current()) is not None:
        values.reject(key, reason, part)


def accepted(key: str, part: str = "") -> None:
    """Tell that a value on Redis was read and is right, as far as can be seen by now."""
    if (values := current()) is not None:
        values.accept(key, part)


def unless_rejected(key: str, read: Any, otherwise: Any) -> Any:
    """Return what was read; tell and return ``otherwise`` if the key holds a value of another kind.

    Raises any other error that was read.
    """
    if not isinstance(read, Exception):
        accepted(key)
        return read
    if not is_wrong_type(read):
        raise read
    rejected(key, str(read))
    return otherwise


def is_wrong_type(error: object) -> bool:
    """Return whether Redis said that a key holds a value of another kind."""
    return isinstance(error, ResponseError) and _WRONG_TYPE in str(error)


class _Hardened(AbstractConnection):
    """Turn every unknown error of a connection into redis' ConnectionError; a mix-in.

    uvloop raises a bare RuntimeError ("the handler is closed") if a write meets a connection that
    has just died. Users of a client, redis-py included, can handle a ConnectionError, and nothing
    else.
    """

    _connecting: asyncio.Semaphore

    own_timeout: float | None = None
    """``socket_timeout`` while several answers share a deadline; see :func:`_one_deadline`."""

    async def connect(self) -> None:
        if self.is_connected:
            return
        with _Translated(self):
            async with self._connecting:
                await super().connect()  # type: ignore[no-untyped-call]  # as redis-py has it

    async def disconnect(self, *args: Any, **kwargs: Any) -> None:
        with _Translated(self):
            await super().disconnect(*args, **kwargs)

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        with _Translated(self):
            await super().send_packed_command(*args, **kwargs)

    async def can_read(self) -> bool:
        with _Translated(self):
            return await super().can_read()

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        with _Translated(self):
            return await super().read_response(*args, **kwargs)

    def share_deadline(self) -> float | None:
        """Use no timer for each answer from now on; return the seconds that each had."""
        if self.socket_timeout is not None:
            self.own_timeout, self.socket_timeout = self.socket_timeout, None
        return self.own_timeout

    def share_no_deadline(self) -> None:
        """Use timers again."""
        if self.socket_timeout is None:
            self.socket_timeout = self.own_timeout


class _Translated:
    """Turn an unknown error of the connection into redis' ConnectionError.

    After any error the connection has timers again: the client may connect anew, to forget what it
    watches. Contextlib's context managers would take as long as reading an answer.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: _Hardened) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            return
        self._connection.share_no_deadline()
        if isinstance(error, Exception) and not isinstance(error, REDIS_FAILURES):
            raise RedisConnectionError(
                f"the connection broke: {type(error).__name__}: {error}"
            ) from error


def _hardened(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    return (
        kind
        if issubclass(kind, _Hardened)
        else type(
            f"Hardened{kind.__name__}",
            (_Hardened, kind),
            {"_connecting": asyncio.Semaphore(CONNECTING_AT_ONCE)},
        )
    )


async def _executed(pipe: Pipeline, commands: Iterable[RedisCommand]) -> list[Any]:
    """Send commands in one go and return their answers.

    PUBLISH goes by all ways in which messages are sent there; see
    :mod:`monitor.shared.redis.subscriptions`. Its answer is the largest: who hears one way may hear
    another too.
    """
    pool: Any = pipe.connection_pool
    ways: tuple[str, ...] = getattr(pool, "publish_by", ("PUBLISH",))
    counts = []
    for name, *rest in commands:
        names = ways if name == "PUBLISH" else (name,)
        for way in names:
            pipe.execute_command(way, *rest)
        counts.append(len(names))
    if pipe.connection is None:
        pipe.connection = await pool.get_connection()
    async with _one_deadline(pipe.connection):
        answers = iter(await pipe.execute())
    return [
        max([next(answers) for _ in range(count)]) if count > 1 else next(answers)
        for count in counts
    ]


async def _abandon(pipe: Pipeline) -> None:
    # If UNWATCH gets no answer, its connection is closed already, and so nothing is watched there.
    with suppress(Exception):
        await pipe.reset()  # type: ignore[no-untyped-call]  # as redis-py has it
