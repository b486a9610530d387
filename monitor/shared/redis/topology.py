"""Find Redis: one server, the master that Sentinels name, or a Cluster's node for a PBX's keys.

All keys of a PBX share a hash tag, so on a Cluster they are on one node, and so are their
transactions and channels. A client of that node works like a client of an ordinary server until the
keys move. Then the node answers MOVED. All connections to it are closed, and the next ones go to
where the Cluster says that the keys are now. redis-py's own cluster client is not used: it has no
guarded transaction on one connection.

The channels of all PBXs whose keys are on one node are heard on one connection to it.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError
from redis.exceptions import ConnectionError as RedisConnectionError

from monitor.shared.errors import ConfigError
from monitor.shared.redis.connection import REDIS_FAILURES, connect, harden, make_room, options
from monitor.shared.redis.failure_text import explain, in_short, no_master
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.redis.redis_target import Address, RedisTarget
from monitor.shared.redis.subscriptions import SharedSubscriptions, SubscribingPool


class RedisClients:
    """Hold the Redis client of each PBX. Clients are lazy: they raise nothing before a command.

    ``url``: as :func:`~monitor.shared.redis.connection.connect` or :meth:`RedisTarget.parse` takes
    it. Raises ConfigError if neither does. ``ca_file``: certificates of the CA that signs the
    servers', in place of the system's.
    """

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        self._group = group = RedisTarget.parse(url)
        self._clients: dict[str, Redis] = {}
        self._names: set[str] = set()
        self._sentinel: Sentinel | None = None
        self._options = options(ca_file if url.startswith("rediss") else None)
        self._cluster: _Cluster | None = None
        if group is None:
            self._clients[""] = _single(url, ca_file)
        elif group.kind == "sentinel":
            self._clients[""] = self._master(group)
        else:
            self._cluster = _Cluster(group, self._options)

    def of(self, pbx: str) -> Redis:
        """Return the client for all keys of a PBX.

        A client that serves several PBXs has room for all those that were asked for.
        """
        self._names.add(pbx)
        if self._cluster is None:
            make_room(self._clients[""].connection_pool, len(self._names))
            return self._clients[""]
        if pbx not in self._clients:
            self._clients[pbx] = client = Redis.from_pool(_NodePool(self._cluster, pbx))
            make_room(client.connection_pool, 1)
        return self._clients[pbx]

    async def aclose(self) -> None:
        """Close all connections."""
        sentinels = self._sentinel.sentinels if self._sentinel is not None else []
        for client in (*self._clients.values(), *sentinels):
            await client.aclose()
        if self._cluster is not None:
            await self._cluster.aclose()

    def _master(self, group: RedisTarget) -> Redis:
        given = self._options | {"ssl": group.tls}
        theirs = {"username": group.sentinel_username, "password": group.sentinel_password}
        self._sentinel = _Sentinels(group.hosts, sentinel_kwargs=given | theirs)  # type: ignore[no-untyped-call]
        ours: dict[str, Any] = {
            "username": group.username,
            "password": group.password,
            "db": group.db,
        }
        master = cast("Redis", self._sentinel.master_for(group.master, **given, **ours))
        for client in (master, *self._sentinel.sentinels):
            harden(client.connection_pool)
        return master


class _Sentinels(Sentinel):
    """Ask Sentinels for the master, and tell the reason of each one if none names it.

    redis-py's own text has no reasons.
    """

    async def discover_master(self, service_name: str) -> Address:
        """Return the address of the master. Raises MasterNotFoundError with a sentence."""
        reasons = []
        for place, sentinel in enumerate(self.sentinels):
            kwargs = sentinel.connection_pool.connection_kwargs
            try:
                masters: Any = await sentinel.sentinel_masters()
            except REDIS_FAILURES as error:
                reasons.append(f"{kwargs['host']}:{kwargs['port']} {in_short(error)}")
                continue
            state = masters.get(service_name)
            if state and self.check_master_state(state, service_name):
                self.sentinels[0], self.sentinels[place] = (
                    sentinel,
                    self.sentinels[0],
                )  # ask this one first the next time
                return state["ip"], state["port"]
            down = "says that it is down" if state else "knows no master of that name"
            reasons.append(f"{kwargs['host']}:{kwargs['port']} {down}")
        raise MasterNotFoundError(no_master(service_name, reasons))


class _NodeConnection(Connection):
    """Connect to the node that holds the slot now.

    Like redis-py's own connection for Sentinel, it asks for the address when it connects.
    """

    def __init__(self, **kwargs: Any) -> None:
        self._pool: _NodePool = kwargs.pop("node_pool")
        super().__init__(**kwargs)

    async def connect(self) -> None:
        if self._reader is None:
            self.host, self.port = await self._pool.address()
            try:
                await super().connect()  # type: ignore[no-untyped-call]  # as redis-py has it
            except REDIS_FAILURES:
                self._pool.forget()  # another node may hold the keys now that this one is down
                raise

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)
        except (AskError, ClusterDownError) as error:  # a MovedError is an AskError
            await self._pool.moved()
            raise RedisConnectionError(
                f"this node of the Cluster does not hold these keys: {error}"
            ) from error


class _TlsNodeConnection(_NodeConnection, SSLConnection):
    pass


class _Cluster:
    """Know which node holds a slot, and hold the subscriptions at each node."""

    def __init__(self, group: RedisTarget, options: dict[str, Any]) -> None:
        self.connecting: dict[str, Any] = {
            "username": group.username,
            "password": group.password,
            **options,
        }
        self.tls = group.tls
        self.publish_by = ("SPUBLISH",) if group.sharded_only else ("SPUBLISH", "PUBLISH")
        self._hear_by = ("SSUBSCRIBE",) if group.sharded_only else ("SSUBSCRIBE", "SUBSCRIBE")
        self._named = [(host, self._client((host, port))) for host, port in group.hosts]
        self._nodes: dict[Address, tuple[SharedSubscriptions, Redis]] = {}
        self._ranges: list[Any] | None = None
        self._looking = asyncio.Lock()

    async def address(self, slot: int) -> Address:
        """Return the address of the node that holds a slot.

        Raises redis' ConnectionError if none of the known nodes tells it.
        """
        async with self._looking:
            ranges = self._ranges
            if ranges is None:
                ranges = self._ranges = await self._ask()
        for first, last, (host, port, *_), *_ in ranges:
            if first <= slot <= last:
                return host, port
        self.forget()
        raise _unknown_place("no node holds these keys; see redis-cli cluster info there")

    def forget(self) -> None:
        """Ask again which node holds which slots, when that is needed next."""
        self._ranges = None

    def subscriptions(self, address: Address) -> tuple[SharedSubscriptions, Callable[[], PubSub]]:
        """Return the subscriptions at a node, and what makes a connection for them."""
        if address not in self._nodes:
            shared = SharedSubscriptions(self._hear_by)
            self._nodes[address] = shared, self._client(address)
        shared, client = self._nodes[address]
        return shared, client.pubsub

    async def aclose(self) -> None:
        """Close all connections of its own."""
        for client in (
            *(client for _, client in self._named),
            *(client for _, client in self._nodes.values()),
        ):
            await client.aclose()

    def _client(self, address: Address) -> Redis:
        host, port = address
        client = Redis(host=host, port=port, ssl=self.tls, **self.connecting)
        harden(client.connection_pool)
        return client

    async def _ask(self) -> list[Any]:
        """Return ranges of slots, each with the node that holds it."""
        why = "none answers"
        for name, node in self._named:
            try:
                ranges = await node.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
            except REDIS_FAILURES as error:
                why = explain(error)
                continue
            return [
                (first, last, (host.decode() or name, port))
                for first, last, (host, port, *_), *_ in ranges
            ]
        raise _unknown_place(why)


def _unknown_place(why: str) -> RedisConnectionError:
    return RedisConnectionError(f"no node of the Cluster says where the keys are: {why}")


class _NodePool(SubscribingPool):
    """Hold connections to the node that holds a PBX's keys."""

    def __init__(self, cluster: _Cluster, pbx: str) -> None:
        kind = _TlsNodeConnection if cluster.tls else _NodeConnection
        super().__init__(kind, **cluster.connecting)
        self.connection_kwargs["node_pool"] = weakref.proxy(self)
        harden(self)
        self.publish_by = cluster.publish_by
        self._cluster = cluster
        self._slot = key_slot(SpaceKeys(pbx, "live").position.encode())
        self._found: Address | None = None

    async def address(self) -> Address:
        """Return the address of the node.

        Raises redis' ConnectionError if none of the known nodes tells it.
        """
        self._found = await self._cluster.address(self._slot)
        return self._found

    async def subscriptions(self) -> tuple[SharedSubscriptions, Callable[[], PubSub]]:
        return self._cluster.subscriptions(await self.address())

    def forget(self) -> None:
        self._cluster.forget()

    async def moved(self) -> None:
        """Forget where the keys were and close all connections there."""
        if self._found is not None:
            self._found = None
            self.forget()
            await self.disconnect(inuse_connections=True)


def _single(url: str, ca_file: Path | None) -> Redis:
    """Return a client of one server.

    Raises ConfigError, without the parts that may be a password.
    """
    try:
        client = connect(url, ca_file)
        pool = client.connection_pool
        pool.connection_class(
            **pool.connection_kwargs
        )  # it knows the options, and connects to nothing yet
    except (TypeError, ValueError) as error:
        raise ConfigError(
            "redis url: write redis://user:password@host:port/0 without other options."
        ) from error
    return client
