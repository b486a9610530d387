"""Read what the monitor stored: position, log and state, each in one transaction with the position.

A value that no monitor can have written is left out and logged. An invalid position counts as an
empty store. An entity or a change that cannot be read counts as absent. The rest is still used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from monitor.shared.changes import Change, Position, is_epoch, is_seq
from monitor.shared.codec import Malformed, decode_change, decode_entity
from monitor.shared.entities.topics import Entity, State
from monitor.shared.redis.batched_reads import read_together
from monitor.shared.redis.connection import (
    GuardedTransaction,
    accepted,
    read_turn,
    rejected,
    text,
    unless_rejected,
)
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.timestamps import is_instant

LOG_AT_ONCE = 200
"""Changes read in one go. A reader that lags more reads again."""
LOG_WITH_STATE = 1_000
"""Changes read together with a state, so that a gateway that has just started can resume its
subscribers."""
_CHUNK = 1_000


_MOST_LEFT_OUT = 100
"""Ids of a topic's entities that cannot be read which are looked at again, at most."""

LeftOut: TypeAlias = dict[str, tuple[bytes, ...]]
"""Topic → ids as they stand on Redis."""


@dataclass(frozen=True, slots=True)
class StoredPosition:
    """Hold the stored position. ``at``: the instant of the newest heartbeat or publish."""

    position: Position
    at: str


@dataclass(frozen=True, slots=True)
class StoredState:
    """Hold the whole state, and the changes that led to it.

    ``log``: the changes, oldest first. ``sizes``: their sizes in bytes. ``left_out``: topic → some
    ids of the entities that cannot be read.
    """

    stored: StoredPosition
    state: State
    log: tuple[Change, ...]
    sizes: tuple[int, ...]
    left_out: LeftOut


async def read_position(redis: Redis, keys: SpaceKeys) -> StoredPosition | None:
    """Return the stored position; None if the store is empty. Raises RedisError, like all here."""
    (position,) = await read_together(redis, ("HMGET", keys.position, "epoch", "seq", "at"))
    return _position(keys, position)


async def read_log(
    redis: Redis, keys: SpaceKeys, after: int
) -> tuple[StoredPosition | None, tuple[Change, ...], tuple[int, ...]]:
    """Return the position, the changes with a ``seq`` above ``after``, and their sizes in bytes.

    There are at most LOG_AT_ONCE changes. Raises Malformed if one cannot be read.
    """
    async with read_turn(redis), redis.pipeline(transaction=True) as pipe:
        pipe.execute_command("HMGET", keys.position, "epoch", "seq", "at")
        pipe.execute_command("XRANGE", keys.log, f"{after + 1}-0", "+", "COUNT", LOG_AT_ONCE)
        position, entries = await pipe.execute(raise_on_error=False)
    entries = unless_rejected(keys.log, entries, ())
    return (
        _position(keys, position),
        tuple(_change(entry, keys) for entry in entries),
        _sizes(entries),
    )


async def read_state(redis: Redis, keys: SpaceKeys) -> StoredState | None:
    """Return the whole state; None if the store is empty. Raises Malformed.

    Other tasks get their turn while it decodes.
    """
    async with read_turn(redis), redis.pipeline(transaction=True) as pipe:
        pipe.execute_command("HMGET", keys.position, "epoch", "seq", "at")
        pipe.execute_command("XREVRANGE", keys.log, "+", "-", "COUNT", LOG_WITH_STATE)
        for topic in keys.topics:
            pipe.execute_command("HGETALL", keys.state(topic))
        position, entries, *hashes = await pipe.execute(raise_on_error=False)
    stored = _position(keys, position)
    if stored is None:
        return None
    state: State = {}
    left_out: LeftOut = {}
    for topic, fields in zip(keys.topics, hashes, strict=True):
        state[topic], ids = await _decoded(
            keys.state(topic), topic, unless_rejected(keys.state(topic), fields, {})
        )
        if ids:
            left_out[topic] = ids
    entries = unless_rejected(keys.log, entries, ())
    log = await _decoded_log(keys, entries)
    return StoredState(stored, state, log, _sizes(entries[: len(log)][::-1]), left_out)


async def still_unreadable(redis: Redis, keys: SpaceKeys, left_out: LeftOut) -> LeftOut:
    """Return those of the entities that still cannot be read, and tell which keys are right now."""
    still: LeftOut = {}
    for topic, ids in left_out.items():
        try:
            found: list[Any] = await redis.hmget(keys.state(topic), [*ids])
        except ResponseError as error:
            found = unless_rejected(keys.state(topic), error, [None for _ in ids])
        pairs = zip(ids, found, strict=True)
        wrong = tuple(
            id_ for id_, data in pairs if data is not None and not _readable(topic, id_, data)
        )
        if wrong:
            still[topic] = wrong
            reason = f"{len(wrong)} entities cannot be read, such as {wrong[0][:50]!r}"
            rejected(keys.state(topic), reason, logged=False)
        else:
            accepted(keys.state(topic))
    return still


async def leave_epoch(redis: Redis, keys: SpaceKeys, epoch: str) -> None:
    """Tell the writer of an older epoch that ``epoch`` has been followed.

    Does nothing if no position is stored, or if the stored epoch or name is not older. If the
    position changes meanwhile, a follower that is still ahead of the store tries again. Raises
    BusUnreachable.
    """
    async with await GuardedTransaction.watch(redis, keys.position) as guard:
        (stored,) = await guard.fields(keys.position, "epoch")
        seen = await guard.get(keys.seen)
        if stored is not None and max(stored, seen if seen and is_epoch(seen) else "") < epoch:
            await guard.commit([("SET", keys.seen, epoch)])


def _position(keys: SpaceKeys, read: Any) -> StoredPosition | None:
    epoch, seq, at = (text(value) for value in unless_rejected(keys.position, read, (None,) * 3))
    if epoch is None or seq is None or at is None:
        return None
    if not is_epoch(epoch) or not is_seq(seq) or not is_instant(at):
        rejected(
            keys.position, f"not a position of a monitor's: epoch {epoch!r}, seq {seq!r}, at {at!r}"
        )
        return None
    return StoredPosition(Position(epoch, int(seq)), at)


def _change(entry: tuple[bytes, Mapping[bytes, bytes]], keys: SpaceKeys) -> Change:
    try:
        change = decode_change(entry[1][b"change"])
    except KeyError as error:
        raise Malformed("a log entry without a change") from error
    check_topics(change, keys)
    return change


def check_topics(change: Change, keys: SpaceKeys) -> None:
    """Raise Malformed if the change has a topic that this space does not have."""
    for edit in change.edits:
        if edit.topic not in keys.topics:
            raise Malformed(f"the space {keys.space} has no topic {edit.topic[:100]!r}")


def _sizes(entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> tuple[int, ...]:
    return tuple(len(fields[b"change"]) for _, fields in entries)


async def _decoded_log(
    keys: SpaceKeys, newest_first: Sequence[tuple[bytes, Mapping[bytes, bytes]]]
) -> tuple[Change, ...]:
    """Return the changes that come after the last one that cannot be read, oldest first."""
    changes: list[Change] = []
    for number, entry in enumerate(newest_first, 1):
        try:
            changes.append(_change(entry, keys))
        except Malformed as error:
            rejected(keys.log, str(error))
            break
        if number % _CHUNK == 0:
            await asyncio.sleep(0)
    return tuple(reversed(changes))


def _readable(topic: str, id_: bytes, data: bytes) -> bool:
    try:
        id_.decode()
        decode_entity(topic, data)
    except (Malformed, UnicodeDecodeError):
        return False
    return True


async def _decoded(
    key: str, topic: str, fields: Mapping[bytes, bytes]
) -> tuple[dict[str, Entity], tuple[bytes, ...]]:
    """Return the entities, and some ids of those that cannot be read."""
    entities: dict[str, Entity] = {}
    left_out = ""
    ids: list[bytes] = []
    for number, (id_, data) in enumerate(fields.items(), 1):
        try:
            entities[id_.decode()] = decode_entity(topic, data)
        except (Malformed, UnicodeDecodeError) as error:
            left_out = left_out or f"{id_[:50]!r}: {error}"
            if len(ids) < _MOST_LEFT_OUT:
                ids.append(id_)
        if number % _CHUNK == 0:
            await asyncio.sleep(0)
    if left_out:
        rejected(key, f"{len(fields) - len(entities)} entities cannot be read, such as {left_out}")
    return entities, tuple(ids)
