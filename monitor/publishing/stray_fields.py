"""Find what of one space's hashes on Redis no monitor wrote, and remove or replace it.

Rules:

- A hash that lost fields or is of another kind, or a value that is not what was written, is lost
  history: a new epoch writes all of it again, and all followers read it. Nobody else would: what
  does not change is not written. Of the values some are compared at each look, all of them in turn.

- A hash that holds no more fields than it should is not examined.
- The result is a list of names, which is processed in steps. Each name is checked again before it
  is removed, because an entity of that name may have come meanwhile.
- The removal is guarded like a publish: it is done only while the store is where the leader left
  it.
- Each hash is reported once, until it is clean again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from monitor.shared.codec import Malformed, decode_entity, encode_entity
from monitor.shared.entities.topics import Entity, State
from monitor.shared.errors import HistoryLost
from monitor.shared.redis.connection import accepted, is_wrong_type, rejected, text, translated
from monitor.shared.redis.key_names import RedisCommand, SpaceKeys

EVERY_S: Final = 5.0
"""Seconds between two looks at all hashes of a space."""
AT_ONCE: Final = 1_000
"""Fields removed in one step at most."""
VALUES_AT_ONCE: Final = 25
"""Values compared at one look at most: a monitor may have hundreds of PBXs."""
MOST_NAMED: Final = 20_000
"""Foreign fields that are removed by their names. The names of a million would not come in time:
so the state is written again, which removes all of them at once."""
_PART: Final = "fields"
"""The part of a hash that is wrong. The position may be right all the same."""
_POSITION: Final = frozenset({"epoch", "seq", "id", "at"})


class StrayFields:
    """Find and remove the stray fields of one space."""

    def __init__(self, redis: Redis, keys: SpaceKeys) -> None:
        self._redis = redis
        self._keys = keys
        self._found: dict[str, list[Any]] = {}
        self._told: set[str] = set()
        self._compared = 0
        """Values that were compared in this turn through all of them."""

    @property
    def more(self) -> bool:
        """Return whether some of the found fields are left."""
        return bool(self._found)

    async def look(self, state: State) -> None:
        """Examine each hash that holds more fields than it should, and compare some values.

        Raises BusUnreachable, and HistoryLost if the store lost or holds something else than
        ``state``.
        """
        topics = {self._keys.state(topic): topic for topic in self._keys.topics}
        expected = {key: len(state[topic]) for key, topic in topics.items()}
        expected[self._keys.position] = len(_POSITION)
        some = self._next_values(state)
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                for key in expected:
                    pipe.execute_command("HLEN", key)
                for topic, entities in some.items():
                    pipe.execute_command("HMGET", self._keys.state(topic), *entities)
                found = await pipe.execute(raise_on_error=False)
            for (key, known), size in zip(expected.items(), found, strict=False):
                self._check_size(key, known, size, written=key in topics)
                if isinstance(size, int) and size <= known:
                    self._told.discard(key)
                    accepted(key, part=_PART)
                elif not isinstance(size, Exception) and (names := await self._names(key)):
                    self._found[key] = names
        for (topic, entities), values in zip(some.items(), found[len(expected) :], strict=True):
            if not isinstance(values, Exception):
                self._check_values(topic, entities, values)

    def _next_values(self, state: State) -> dict[str, dict[str, Entity]]:
        """Return the entities whose values are compared now, by topic."""
        every = ((topic, id_) for topic in self._keys.topics for id_ in state[topic])
        begin, some = self._compared, dict[str, dict[str, Entity]]()
        for topic, id_ in islice(every, begin, begin + VALUES_AT_ONCE):
            some.setdefault(topic, {})[id_] = state[topic][id_]
            self._compared += 1
        if self._compared < begin + VALUES_AT_ONCE:
            self._compared = 0
        return some

    def _check_size(self, key: str, known: int, size: object, *, written: bool) -> None:
        """Raise HistoryLost if a hash is too large, or lost something that was ``written``."""
        if isinstance(size, int) and size > known + MOST_NAMED:
            self._lose(key, f"it has {size} fields, and {known} were written")
        if written and isinstance(size, ResponseError) and is_wrong_type(size):
            self._lose(key, "it is another kind of key")
        if written and isinstance(size, int) and size < known:
            self._lose(key, f"it has {size} fields, and {known} were written")

    def _check_values(
        self, topic: str, entities: Mapping[str, Entity], values: Sequence[bytes | None]
    ) -> None:
        for (id_, entity), data in zip(entities.items(), values, strict=True):
            if data != encode_entity(entity) and not _same(topic, entity, data):
                self._lose(self._keys.state(topic), f"the value of {id_!r:.60} is another one")

    def _lose(self, key: str, reason: str) -> None:
        rejected(key, reason, logged=False, part=_PART)
        raise HistoryLost(f"{key} does not hold what was written: {reason}")

    def removal(self, state: State) -> list[RedisCommand]:
        """Return the commands that remove the next found fields that are still unknown."""
        for key in list(self._found):
            names = self._found[key]
            some = names[-AT_ONCE:]
            del names[-AT_ONCE:]
            if not names:
                del self._found[key]
            known = self._known(state)[key]
            if strays := [name for name in some if text(name) not in known]:
                self._tell(key, strays)
                return [("HDEL", key, *strays)]
        return []

    async def _names(self, key: str) -> list[Any]:
        try:
            return [*await self._redis.hkeys(key)]
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            return []  # a new epoch replaces it

    def _known(self, state: State) -> Mapping[str, Any]:
        return {self._keys.state(topic): state[topic] for topic in self._keys.topics} | {
            self._keys.position: _POSITION
        }

    def _tell(self, key: str, strays: list[Any]) -> None:
        reason = f"fields that no monitor wrote are removed, such as {text(strays[0])!r:.60}"
        rejected(key, reason, logged=key not in self._told, part=_PART)
        self._told.add(key)


def _same(topic: str, entity: Entity, data: bytes | None) -> bool:
    """Return whether a value that is encoded otherwise is the same entity."""
    try:
        return data is not None and decode_entity(topic, data) == entity
    except Malformed:
        return False
