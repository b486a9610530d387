"""Find fields of one space's hashes on Redis that no monitor wrote, and remove them in steps.

Rules:

- A hash that holds no more fields than it should is not examined.
- The result is a list of names, which is processed in steps. Each name is checked again before it
  is removed, because an entity of that name may have come meanwhile.
- The removal is guarded like a publish: it is done only while the store is where the leader left
  it.
- Each hash is reported once, until it is clean again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from monitor.shared.entities.topics import State
from monitor.shared.redis.connection import accepted, is_wrong_type, rejected, text, translated
from monitor.shared.redis.key_names import RedisCommand, SpaceKeys

EVERY_S: Final = 5.0
"""Seconds between two looks at all hashes of a space."""
AT_ONCE: Final = 1_000
"""Fields removed in one step at most."""
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

    @property
    def more(self) -> bool:
        """Return whether some of the found fields are left."""
        return bool(self._found)

    async def look(self, state: State) -> None:
        """Examine each hash that holds more fields than it should. Raises BusUnreachable."""
        expected = {self._keys.state(topic): len(state[topic]) for topic in self._keys.topics}
        expected[self._keys.position] = len(_POSITION)
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                for key in expected:
                    pipe.execute_command("HLEN", key)
                sizes = await pipe.execute(raise_on_error=False)
            for (key, known), size in zip(expected.items(), sizes, strict=True):
                if isinstance(size, int) and size <= known:
                    self._told.discard(key)
                    accepted(key, part=_PART)
                elif not isinstance(size, Exception) and (names := await self._names(key)):
                    self._found[key] = names

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
