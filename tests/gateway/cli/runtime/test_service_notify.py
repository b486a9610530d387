"""Test what real processes tell systemd and a container's health check."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from gateway.auth.api_keys import sha256_hex
from gateway.cli.runtime import service_notify as liveness
from monitor.shared.errors import ConfigError
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import free_port, until
from tests.system.processes import ROOT

WITHIN = 60.0
"""Seconds: generous, as the machines are shared."""


class Systemd:
    """A socket as systemd offers it."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self._sock = sock
        self.address = address
        self.heard: list[str] = []

    async def hear(self, line: str) -> str:
        """Wait for a datagram that has this line; all of it."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(WITHIN):
            while True:
                self.heard.append((await loop.sock_recv(self._sock, 4096)).decode())
                if line in self.heard[-1].splitlines():
                    return self.heard[-1]


@contextmanager
def systemd(address: str) -> Iterator[Systemd]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(address.replace("@", "\0", 1))
        yield Systemd(sock, address)


@pytest.fixture(params=["path", "abstract"])
def looking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    address = (
        str(tmp_path / "notify") if request.param == "path" else f"@callmon-{secrets.token_hex(8)}"
    )
    with systemd(address) as made:
        yield made


async def test_systemd_is_told_that_it_serves_that_it_beats_and_that_it_ends(
    looking: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", looking.address)
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    ended = asyncio.Event()

    async def work() -> None:
        liveness.ready("watching main")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(liveness.looked_after(work()))
    assert await looking.hear("READY=1") == "READY=1\nSTATUS=watching main"
    for _ in range(3):
        assert await looking.hear("WATCHDOG=1")
    assert not ended.is_set()
    task.cancel()
    assert await looking.hear("STOPPING=1")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_loop_that_hangs_falls_silent(
    looking: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", looking.address)
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    hung = asyncio.Event()

    def hang() -> None:
        with suppress(BlockingIOError):
            while looking._sock.recv(4096):  # what was said before
                pass
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.settimeout(0.1)  # five times what systemd would wait
            with pytest.raises(TimeoutError):
                other.recv(1)
        with pytest.raises(BlockingIOError):
            looking._sock.recv(4096)
        hung.set()

    async def work() -> None:
        await looking.hear("WATCHDOG=1")
        hang()

    await liveness.looked_after(work())
    assert hung.is_set()


async def test_what_ends_by_itself_or_fails_does_so_through_it(
    looking: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", looking.address)

    async def fails() -> None:
        raise ConfigError("no")

    with pytest.raises(ConfigError):
        await liveness.looked_after(fails())
    await liveness.looked_after(asyncio.sleep(0))
    liveness.ready("after")
    assert await looking.hear("READY=1")
    assert len(looking.heard) == 1


@pytest.mark.parametrize("of", ["another process", "nobody", "a riddle"])
async def test_a_watchdog_that_is_not_ours_is_not_fed(
    looking: Systemd, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", looking.address)
    given = {
        "another process": ("1000", "1"),
        "nobody": ("0", str(os.getpid())),
        "a riddle": ("soon", ""),
    }
    for name, value in zip(("WATCHDOG_USEC", "WATCHDOG_PID"), given[of], strict=True):
        monkeypatch.setenv(name, value)
    await liveness.looked_after(asyncio.sleep(0.01))
    liveness.ready("after")
    await looking.hear("READY=1")
    assert looking.heard == ["READY=1\nSTATUS=after"]


async def test_systemd_that_is_gone_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in (str(tmp_path / "gone"), "@gone-" + secrets.token_hex(8), "vsock:2:1", ""):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        liveness.ready("whom it concerns")


async def test_a_health_checks_file_is_touched_while_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "beat"
    monkeypatch.setenv("CALLMON_BEAT", str(file))
    monkeypatch.setattr(liveness, "BEAT_EVERY_S", 0.01)

    async def work() -> None:
        os.utime(file, (0, 0))
        await until(lambda: file.stat().st_mtime > 0)

    await liveness.looked_after(work())


async def test_a_file_that_cannot_be_made_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLMON_BEAT", str(tmp_path / "no such directory" / "beat"))
    await liveness.looked_after(asyncio.sleep(0.01))


@asynccontextmanager
async def callmon(*arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments), cwd=ROOT, env=os.environ | environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def told_to_end(process: asyncio.subprocess.Process, looking: Systemd) -> None:
    process.send_signal(signal.SIGTERM)
    assert await looking.hear("STOPPING=1")
    async with asyncio.timeout(WITHIN):
        assert await process.wait() == 0


def settings(folder: Path, pbx: str, secret: str) -> Path:
    """Write settings without a reachable Redis: both programs run all the same, and say why."""
    file = folder / "callmon.toml"
    file.write_text(
        f'[redis]\nurl = "redis://127.0.0.1:1"\n[log]\nlevel = '
        f'"error"\n[gateway.stream]\ndrain_time = 0\n'
        f'[[pbx]]\nname = "main"\nurl = "{pbx}"\nclient_id = "callmon"\nclient_secret = '
        f'"{secret}"\n'
        f'[[keys]]\nname = "test"\ndigest = "{sha256_hex("a-key")}"\n',
        encoding="utf-8",
    )
    return file


async def test_a_monitor_is_ready_once_it_watches(looking: Systemd, tmp_path: Path) -> None:
    async with SimulatedPbx(
        SimulatorSettings(extensions=2, queues=0, contacts=0, traffic=False)
    ) as pbx:
        file = settings(tmp_path, pbx.url, pbx.client_secret)
        systemds = {"NOTIFY_SOCKET": looking.address, "WATCHDOG_USEC": "200000"}
        async with callmon("monitor", "--config", str(file), **systemds) as process:
            assert await looking.hear("READY=1") == "READY=1\nSTATUS=watching main"
            assert await looking.hear("WATCHDOG=1")
            await told_to_end(process, looking)


async def test_a_monitor_that_cannot_run_never_says_that_it_is_ready(tmp_path: Path) -> None:
    file = settings(tmp_path, "http://127.0.0.1:1", "x")
    file.write_text(
        file.read_text().replace('client_secret = "x"', 'client_secret_file = "no-such-file"')
    )
    with systemd(str(tmp_path / "notify")) as looking:
        async with callmon(
            "monitor", "--config", str(file), NOTIFY_SOCKET=looking.address
        ) as process:
            async with asyncio.timeout(WITHIN):
                assert await process.wait() == 78, "the settings are wrong"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"LAST=1", looking.address)
            await looking.hear("LAST=1")
    assert [line for line in looking.heard if "READY" in line] == []
    assert looking.heard[0].startswith("STATUS=pbx main: client_secret_file cannot be read")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_gateway_is_ready_once_it_listens(tmp_path: Path, workers: int) -> None:
    port = free_port()
    file = settings(tmp_path, "http://127.0.0.1:1", "x")
    beat = tmp_path / "beat"
    with systemd(str(tmp_path / "notify")) as looking:
        environment = {
            "NOTIFY_SOCKET": looking.address,
            "WATCHDOG_USEC": "200000",
            "CALLMON_BEAT": str(beat),
        }
        arguments = (
            "gateway",
            "--config",
            str(file),
            "--port",
            str(port),
            "--workers",
            str(workers),
        )
        async with callmon(*arguments, **environment) as process:
            assert f"serving http://127.0.0.1:{port}" in await looking.hear("READY=1")
            async with httpx.AsyncClient(timeout=WITHIN) as http:
                assert (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
            assert await looking.hear("WATCHDOG=1")
            await until(beat.exists)
            await told_to_end(process, looking)
