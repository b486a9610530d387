"""Make, list and revoke API keys on Redis.

The monitor stores them; see :mod:`monitor.persistence.api_key_sync`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from redis.asyncio import Redis

from gateway.auth.api_keys import ApiKey, from_stored, to_stored
from monitor.shared.api_keys import StoredKey, encode_key, of_table
from monitor.shared.codec import Malformed
from monitor.shared.errors import BusUnreachable, ConfigError
from monitor.shared.redis.connection import GuardedTransaction, translated
from monitor.shared.redis.key_names import AccessKeys, RedisCommand
from monitor.shared.redis.subscriptions import subscribed

KEPT_WITHIN_S = 5.0
"""Seconds that a monitor has to take a change into its file."""
_ATTEMPTS = 10

Change: TypeAlias = Callable[[StoredKey | None, float], StoredKey]
"""A function of the stored key, or None, and the time in POSIX seconds, to the new key."""


def _readable(name: bytes | str, data: bytes) -> StoredKey | None:
    """Return the key; None if it cannot be read. The monitor repairs it within a second."""
    try:
        return of_table(name, data)
    except Malformed:
        return None


class KeyAdmin:
    """Manage the keys of one PBX.

    Every method raises BusUnreachable; then nothing was changed, or it is not known whether it
    was.
    """

    def __init__(self, redis: Redis, pbx: str) -> None:
        self._redis = redis
        self._pbx = pbx
        self._keys = AccessKeys(pbx)

    async def all(self) -> list[ApiKey]:
        """Return the valid keys, sorted by name.

        Raises ConfigError if no monitor has put its keys on Redis yet.
        """
        with translated():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.execute_command("EXISTS", self._keys.ready)
                pipe.execute_command("HGETALL", self._keys.table)
                ready, rows = await pipe.execute()
        if not ready:
            raise ConfigError(
                f"No monitor of {self._pbx} has put its keys on Redis yet: start one and try again."
            )
        stored = [key for name, data in rows.items() if (key := _readable(name, data)) is not None]
        return [
            from_stored(key, self._pbx)
            for key in sorted(stored, key=lambda key: key.name)
            if not key.revoked
        ]

    async def make(self, key: ApiKey) -> bool:
        """Store the key; return whether a monitor has taken it into its file.

        It waits :data:`KEPT_WITHIN_S` seconds for this. Raises ConfigError if the key's name is
        taken.
        """

        def change(held: StoredKey | None, at: float) -> StoredKey:
            if held is not None and not held.revoked:
                raise ConfigError(
                    f"There is a key {key.name!r} already: revoke it or choose another name."
                )
            return to_stored(key, at)

        return await self._change(key.name, change)

    async def revoke(self, name: str) -> bool:
        """Revoke the key; return whether a monitor has taken that into its file.

        It waits :data:`KEPT_WITHIN_S` seconds for this. Raises ConfigError if there is no key of
        this name.
        """

        def change(held: StoredKey | None, at: float) -> StoredKey:
            if held is None or held.revoked:
                raise ConfigError(
                    f"There is no key {name!r}; `callmon key list` shows the existing keys."
                )
            return to_stored(from_stored(held, self._pbx), at, revoked=True)

        return await self._change(name, change)

    async def _change(self, name: str, change: Change) -> bool:
        for _ in range(_ATTEMPTS):
            async with await GuardedTransaction.watch(self._redis, self._keys.table) as guard:
                data = await guard.ask("HGET", self._keys.table, name)
                held = None if data is None else _readable(name, data)
                at = max(time.time(), 0.0 if held is None else held.changed_at + 0.001)
                after = change(held, at)
                commands: list[RedisCommand] = [
                    ("HSET", self._keys.table, name, encode_key(after)),
                    ("PUBLISH", self._keys.channel, "changed"),
                ]
                if await guard.commit(commands):
                    with translated():
                        return await self._is_kept(after)
        raise BusUnreachable("Other programs kept changing the keys meanwhile; try again.")

    async def _is_kept(self, key: StoredKey) -> bool:
        mark = repr(key.changed_at).encode()
        deadline = time.monotonic() + KEPT_WITHIN_S
        async with subscribed(self._redis, self._keys.channel) as subscription:
            while time.monotonic() < deadline:
                async with self._redis.pipeline() as pipe:
                    pipe.execute_command("HGET", self._keys.kept, key.name)
                    (kept,) = await pipe.execute()
                if kept == mark:
                    return True
                await subscription.get(0.5)
        return False
