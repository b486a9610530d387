"""Encode one publish and judge the position found in the store. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from monitor.shared import codec
from monitor.shared.changes import Change, Edit, Position, is_epoch, is_seq
from monitor.shared.errors import Fenced, HistoryLost
from monitor.shared.redis.key_names import RedisCommand, SpaceKeys

ANNOUNCED_WHOLE_BYTES = 64 * 1024
"""Bytes. The announcement of a larger change holds only its position, because pub/sub buffers
are for small messages."""

Verdict: TypeAlias = Literal["go on", "done already"]


@dataclass(frozen=True, slots=True)
class StoredPositionHash:
    """Hold the position hash as it was read.

    ``id``: of the publish that led to this position.
    """

    position: Position
    id: str

    @classmethod
    def parse(
        cls, epoch: str | None, seq: str | None, id_: str | None = None
    ) -> StoredPositionHash | None:
        """Return the position, or None if there is none or no monitor can have written it."""
        if not epoch or seq is None or not is_epoch(epoch) or not is_seq(seq):
            return None
        return cls(Position(epoch, int(seq)), id_ or "")


class Log:
    """Compute how long the log on Redis may be.

    It has at most ``length`` entries with at most ``size`` bytes together. It holds entries of the
    present epoch only, because a new epoch begins a new log. An entry that is being sent is not
    counted yet, so the log may be larger by one entry.
    """

    def __init__(self, length: int, size: int) -> None:
        self._length = length
        self._size = size
        self._entries: deque[int] = deque()
        self._bytes = 0

    @property
    def length(self) -> int:
        """Return how many entries may be there after the next one."""
        return min(self._length, len(self._entries) + 1)

    def written(self, entry: int) -> None:
        """Count one more entry of ``entry`` bytes."""
        self._entries.append(entry)
        self._bytes += entry
        while self._entries and (len(self._entries) >= self._length or self._bytes > self._size):
            self._bytes -= self._entries.popleft()

    def begin(self) -> None:
        """Note that the log is empty now."""
        self._entries.clear()
        self._bytes = 0


@dataclass(frozen=True, slots=True)
class PublishBatch:
    """Hold one encoded publish. A retry repeats exactly this."""

    id: str
    position: Position
    commands: tuple[RedisCommand, ...]
    size: int
    """Bytes of its entry in the log."""


def encode(keys: SpaceKeys, change: Change, id_: str, log_length: int) -> PublishBatch:
    """Return the batch that brings the store to the change's position.

    It cuts the log to at most ``log_length`` entries.
    """
    entry = codec.encode_change(change)
    position, at = change.position, change.at
    return PublishBatch(
        id_,
        position,
        (
            *_state_commands(keys, change.edits),
            ("XADD", keys.log, "MAXLEN", "=", log_length, f"{position.seq}-0", "change", entry),
            ("HSET", keys.position, "seq", position.seq, "id", id_, "at", at),
            announcement(keys, position, at)
            if len(entry) > ANNOUNCED_WHOLE_BYTES
            else ("PUBLISH", keys.channel, entry),
        ),
        len(entry),
    )


def announcement(keys: SpaceKeys, position: Position, at: str) -> RedisCommand:
    """Return the announcement that holds only the position."""
    return (
        "PUBLISH",
        keys.channel,
        codec.encode_heartbeat(codec.Heartbeat(position.epoch, position.seq, at)),
    )


def judge(
    stored: StoredPositionHash | None,
    written: Position,
    written_id: str,
    under_way: str | None = None,
) -> Verdict:
    """Return whether the writer may go on or its publish is already done.

    ``stored``: the position found in the store. ``written``, ``written_id``: what this writer wrote
    last. ``under_way``: the id of the publish that it is trying. Raises Fenced if the store has
    another epoch: another writer took over. Raises HistoryLost if the store is empty, is older than
    ``written``, or has a position that this writer did not write. If the store is ahead by exactly
    the publish under way, that publish is done and only its answer was lost.
    """
    if stored is None:
        raise HistoryLost("the store is empty")
    if stored.position.epoch != written.epoch:
        raise Fenced(f"the store is at {stored.position}, we wrote {written}")
    if stored.position == written and stored.id == written_id:
        return "go on"
    if stored.position.seq == written.seq + 1 and stored.id == under_way:
        return "done already"
    raise HistoryLost(f"the store is at {stored.position}, we wrote {written}")


def _state_commands(keys: SpaceKeys, edits: Iterable[Edit]) -> Iterator[RedisCommand]:
    upserts: dict[str, list[str | bytes]] = {}
    removals: dict[str, list[str]] = {}
    for edit in edits:
        if edit.after is None:
            removals.setdefault(edit.topic, []).append(edit.id)
        else:
            upserts.setdefault(edit.topic, []).extend((edit.id, codec.encode_entity(edit.after)))
    for topic, words in upserts.items():
        yield ("HSET", keys.state(topic), *words)
    for topic, ids in removals.items():
        yield ("HDEL", keys.state(topic), *ids)
