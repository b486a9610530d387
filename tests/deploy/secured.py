"""Run a real server with the users of deploy/redis/users.acl, and a user who sees refusals."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from monitor.shared.redis.connection import connect
from tests.bus import RealBus, until_async

DEPLOY = Path(__file__).parents[2] / "deploy"
PASSWORDS = {"monitor": "a-monitors-password", "gateway": "a-gateways-password"}
_LOOKING = "user looking on >looking ~* &* +@all\n"


class SecuredBus(RealBus):
    """Its clients are the monitor's, or another user's."""

    def __init__(self, directory: Path, acl: Path) -> None:
        super().__init__(directory)
        self._acl = acl

    def _spawn(self, command: list[str]) -> None:
        super()._spawn([*command, "--aclfile", str(self._acl)])

    def url_of(self, user: str, password: str) -> str:
        return self.url.replace("//", f"//{user}:{password}@")

    def client(self) -> Redis:
        return self.of("monitor")

    def of(self, user: str) -> Redis:
        client = connect(self.url_of(user, PASSWORDS.get(user, "looking")))
        self._clients.append(client)
        return client

    async def ask(self, user: str, *command: str) -> Any:
        """A server's answer to one of its users. Raises RedisError."""
        client = self.of(user)
        patience = {"socket_timeout": 60.0, "socket_connect_timeout": 60.0}
        client.connection_pool.connection_kwargs.update(patience)
        return await client.execute_command(*command)  # type: ignore[no-untyped-call]  # as redis-py has it

    async def refused(self) -> list[str]:
        """Who was refused what since the server was started.

        But for the library's name, which Redis 7.0 knows not.
        """
        log = await self.ask("looking", "ACL", "LOG")
        entries = [
            dict(zip(row[::2], row[1::2], strict=True)) if isinstance(row, list) else row
            for row in log
        ]
        told = [str({k: v for k, v in entry.items() if k != b"client-info"}) for entry in entries]
        return [entry for entry in told if "client|setinfo" not in entry]


def written(directory: Path) -> Path:
    """The users' file, as an administrator makes it."""
    for user, password in PASSWORDS.items():
        (directory / f"{user}.password").write_text(f"{password}\n", encoding="utf-8")
    made = subprocess.run(
        [DEPLOY / "redis" / "make-acl.sh", directory], capture_output=True, text=True, check=True
    )
    file = directory / "users.acl"
    file.write_text(made.stdout + _LOOKING, encoding="utf-8")
    return file


@asynccontextmanager
async def secured_bus(directory: Path) -> AsyncIterator[SecuredBus]:
    bus = SecuredBus(directory, written(directory))
    await bus.start()
    try:
        looking = bus.of("looking")

        async def answers() -> bool:
            return bool(await looking.ping())

        await until_async(answers)
        yield bus
    finally:
        await bus.close_clients()
        bus.kill()
