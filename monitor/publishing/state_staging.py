"""Write a whole state beside the present one, then put it in place by renaming.

Only the renaming is part of the transaction that starts an epoch, even with very many entities. So
Redis is never blocked for long, the event loop gets its turn after every chunk, and readers see
either the old state or the new one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import islice

from redis.asyncio import Redis

from monitor.shared import codec
from monitor.shared.entities.topics import State
from monitor.shared.redis.connection import GuardedTransaction, send
from monitor.shared.redis.key_names import RedisCommand, SpaceKeys

_CHUNK = 500
"""Entities in one round trip."""
_KEPT_FOR_S = 120
"""Seconds after which Redis drops a state that was never put in place."""


@dataclass(frozen=True, slots=True)
class StagedState:
    """Represent a state that waits to be put in place. Topics without entities need no key."""

    keys: SpaceKeys
    names: dict[str, str]
    """topic → key"""
    sizes: dict[str, int]

    def sizing(self) -> list[RedisCommand]:
        """Return the commands by which :meth:`intact` looks."""
        return [("HLEN", name) for name in self.names.values()]

    async def intact(self, guard: GuardedTransaction) -> bool:
        """Return whether all of it is still there. Raises BusUnreachable.

        The guard must watch :attr:`names`.
        """
        return all(
            [await guard.size(name) == self.sizes[topic] for topic, name in self.names.items()]
        )

    def put_in_place(self) -> list[RedisCommand]:
        """Return the commands that replace the present state.

        Redis frees the old state in the background.
        """
        commands: list[RedisCommand] = [
            ("UNLINK", *(self.keys.state(topic) for topic in self.keys.topics))
        ]
        for topic, name in self.names.items():
            commands += [
                ("RENAME", name, self.keys.state(topic)),
                ("PERSIST", self.keys.state(topic)),
            ]
        return commands


async def stage(redis: Redis, keys: SpaceKeys, state: State, token: str) -> StagedState:
    """Write ``state`` under names that contain ``token``.

    ``state`` must not change meanwhile. Raises BusUnreachable.
    """
    names = {topic: f"{keys.state(topic)}:{token}" for topic, entities in state.items() if entities}
    pending: list[RedisCommand] = []
    free = _CHUNK
    for topic, name in names.items():
        rest = iter(state[topic].items())
        # Small topics share a round trip: with many PBXs there are thousands of them at a start.
        while chunk := [*islice(rest, free)]:
            encoded = [word for id_, entity in chunk for word in (id_, codec.encode_entity(entity))]
            pending += [("HSET", name, *encoded), ("EXPIRE", name, _KEPT_FOR_S)]
            free -= len(chunk)
            if not free:
                await _write(redis, pending)
                pending, free = [], _CHUNK
    if pending:
        await _write(redis, pending)
    return StagedState(keys, names, {topic: len(state[topic]) for topic in names})


async def _write(redis: Redis, commands: list[RedisCommand]) -> None:
    await send(redis, commands)
    await asyncio.sleep(0)  # the in-process Redis never waits: let other tasks run
