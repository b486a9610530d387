"""Play a client whose network is bad on command: it stands between a process and its Redis.

Only the client's edge is changed; the code under test and the server are the real ones.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline, PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

Fault: TypeAlias = Literal["request lost", "answer lost", "request late"]


class Network:
    """What goes wrong next for its client."""

    def __init__(self) -> None:
        self.next_exec: Fault | None = None
        self.deaf_for = 0
        """Messages of subscriptions that get lost."""
        self._late: list[Pipeline] = []

    async def deliver_late(self) -> None:
        """What was late arrives now, with all that its connection watched."""
        while self._late:
            pipe = self._late.pop()
            try:
                await pipe.execute()
            except RedisError:
                continue  # nobody is waiting for the answer

    async def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.next_exec, self.deaf_for = None, 0
        await self.deliver_late()


class FaultyRedis(Redis):
    """Shares the connections of ``inner``."""

    def __init__(self, inner: Redis, network: Network) -> None:
        super().__init__(connection_pool=inner.connection_pool)
        self.network = network

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        pipe = _FaultyPipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint
        )
        pipe.network = self.network
        return pipe

    def pubsub(self, **kwargs: Any) -> PubSub:
        subscription = _FaultyPubSub(self.connection_pool, **kwargs)
        subscription.network = self.network
        return subscription


class _FaultyPipeline(Pipeline):
    network: Network

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        fault = self.network.next_exec if self.explicit_transaction else None
        if fault is None:
            return await super().execute(raise_on_error)
        self.network.next_exec = None
        match fault:
            case "answer lost":
                await super().execute(raise_on_error)
            case "request lost":
                await self.reset()  # type: ignore[no-untyped-call]
            case "request late":
                self.network._late.append(self._hand_over())
        raise RedisConnectionError(fault)

    def _hand_over(self) -> Pipeline:
        late = Pipeline(
            self.connection_pool, self.response_callbacks, self.is_transaction, self.shard_hint
        )
        late.connection, self.connection = self.connection, None
        late.watching, self.watching = self.watching, False
        late.command_stack, self.command_stack = self.command_stack, []
        late.explicit_transaction, self.explicit_transaction = True, False
        return late


class _FaultyPubSub(PubSub):
    network: Network

    async def get_message(self, *args: Any, **kwargs: Any) -> Any:
        message = await super().get_message(*args, **kwargs)
        if self.network.deaf_for and message is not None and message["type"] == "message":
            self.network.deaf_for -= 1
            return None
        return message
