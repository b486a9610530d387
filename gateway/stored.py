"""Reading what the monitor stored: position, log and state, each read in one transaction with the position."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import WatchError

from monitor.model.change import Change, Position
from monitor.model.entities import Entity, State
from monitor.model.keys import Keys
from monitor.model.wire import Malformed, decode_change, decode_entity

LOG_AT_ONCE = 200
"""Changes read in one go. Who lags more comes again."""
LOG_WITH_STATE = 1_000
"""Changes read with a state, so that a gateway just started can resume its subscribers."""
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class StoredPosition:
    """``at``: the instant of the newest heartbeat or publish."""

    position: Position
    at: str


@dataclass(frozen=True, slots=True)
class StoredState:
    """The whole state, and the changes that led to it, oldest first, with their sizes in bytes."""

    stored: StoredPosition
    state: State
    log: tuple[Change, ...]
    sizes: tuple[int, ...]


async def read_position(redis: Redis, keys: Keys) -> StoredPosition | None:
    """None if the store is empty. Raises RedisError, like all here, and Malformed."""
    return _position(await redis.hmget(keys.position, ["epoch", "seq", "at"]))


async def read_log(
    redis: Redis, keys: Keys, after: int
) -> tuple[StoredPosition | None, tuple[Change, ...], tuple[int, ...]]:
    """The position, and at most LOG_AT_ONCE changes with a greater ``seq`` than ``after``, with their sizes in bytes.

    Raises Malformed.
    """
    async with redis.pipeline(transaction=True) as pipe:
        pipe.execute_command("HMGET", keys.position, "epoch", "seq", "at")
        pipe.execute_command("XRANGE", keys.log, f"{after + 1}-0", "+", "COUNT", LOG_AT_ONCE)
        position, entries = await pipe.execute()
    return _position(position), tuple(_change(entry) for entry in entries), _sizes(entries)


async def read_state(redis: Redis, keys: Keys) -> StoredState | None:
    """The whole state; None if the store is empty. Raises Malformed.

    Decoding lets the event loop have its turn in between.
    """
    async with redis.pipeline(transaction=True) as pipe:
        pipe.execute_command("HMGET", keys.position, "epoch", "seq", "at")
        pipe.execute_command("XREVRANGE", keys.log, "+", "-", "COUNT", LOG_WITH_STATE)
        for topic in keys.topics:
            pipe.execute_command("HGETALL", keys.state(topic))
        position, entries, *hashes = await pipe.execute()
    stored = _position(position)
    if stored is None:
        return None
    state = {topic: await _decoded(topic, fields) for topic, fields in zip(keys.topics, hashes, strict=True)}
    return StoredState(stored, state, await _decoded_log(entries), _sizes(entries[::-1]))


async def leave_epoch(redis: Redis, keys: Keys, epoch: str) -> None:
    """Tell the writer of an older epoch that ``epoch`` has been followed. Nothing if there is no such position."""
    async with redis.pipeline(transaction=True) as pipe:
        await pipe.watch(keys.position)
        stored, seen = await pipe.hmget(keys.position, ["epoch", "seen"])
        if stored is None or max(_text(stored), _text(seen or b"")) >= epoch:
            return
        pipe.multi()  # type: ignore[no-untyped-call]  # as redis-py has it
        pipe.execute_command("HSET", keys.position, "seen", epoch)
        try:
            await pipe.execute()
        except WatchError:
            return  # whoever is still behind comes again


def heed_cancellation() -> None:
    """Raise CancelledError if this task was cancelled and the word was lost; call it once a turn of an endless loop.

    Python 3.11's ``wait_for``, on which the Redis client stands, swallows a cancellation that comes in the very moment
    in which its wait is over (python/cpython#86296); the task would then run on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _position(fields: Sequence[bytes | str | None]) -> StoredPosition | None:
    epoch, seq, at = fields
    if epoch is None or seq is None or at is None:
        return None
    try:
        return StoredPosition(Position(_text(epoch), int(seq)), _text(at))
    except ValueError as error:
        raise Malformed("a position that is none") from error


def _text(value: bytes | str) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise Malformed("text that is none") from error


def _change(entry: tuple[bytes, Mapping[bytes, bytes]]) -> Change:
    try:
        return decode_change(entry[1][b"change"])
    except KeyError as error:
        raise Malformed("a log entry without a change") from error


def _sizes(entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> tuple[int, ...]:
    return tuple(len(fields[b"change"]) for _, fields in entries)


async def _decoded_log(newest_first: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> tuple[Change, ...]:
    changes = []
    for number, entry in enumerate(reversed(newest_first), 1):
        changes.append(_change(entry))
        if number % _CHUNK == 0:
            await asyncio.sleep(0)
    return tuple(changes)


async def _decoded(topic: str, fields: Mapping[bytes, bytes]) -> dict[str, Entity]:
    entities = {}
    for number, (id_, data) in enumerate(fields.items(), 1):
        entities[_text(id_)] = decode_entity(topic, data)
        if number % _CHUNK == 0:
            await asyncio.sleep(0)
    return entities
