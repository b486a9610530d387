"""Test SIGHUP with real processes: what is applied, what is named, what a broken file does."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.auth.api_keys import sha256_hex
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import free_port, real_bus, until
from tests.gateway.cli.console import ROOT, WITHIN, running
from tests.gateway.cli.runtime.test_workers import children
from tests.system.stack import PBX, gateway, monitoring, subscriber

QUIET = SimulatorSettings(extensions=10, queues=1, contacts=0, traffic=False)
KEY, WALL, NEW = "the-key-that-stays", "the-key-that-goes", "the-key-that-comes"


@dataclass(slots=True)
class Program:
    """A process of ``callmon``, its settings file, and what it logs."""

    process: asyncio.subprocess.Process
    settings: Path
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    async def told(self, text: str, says: str) -> str:
        """Write these settings, send SIGHUP, and wait for an answer; all that it says of it."""
        self.settings.write_text(text, encoding="utf-8")
        before = len(self.said)
        self.process.send_signal(signal.SIGHUP)
        await until(
            lambda: self.process.returncode is not None or says in self.said[before:], WITHIN
        )
        assert self.process.returncode is None, self.said
        return self.said[before:]


def write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


@asynccontextmanager
async def program(settings: Path, text: str, *arguments: str) -> AsyncIterator[Program]:
    log = write(settings, text).with_suffix(".log")
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *arguments, "--config", str(settings)),
            cwd=ROOT,
            stderr=out,
        )
    try:
        yield Program(process, settings, log)
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(WITHIN):
            assert await process.wait() == 0, log.read_text(encoding="utf-8")


def gateway_settings(
    redis: str, port: int, *keys: str, more: str = "", budgets: str = "", level: str = "info"
) -> str:
    sections = [
        f'[[keys]]\nname = "{key}"\ndigest = "{sha256_hex(key)}"\npbx = "{PBX}"\n' for key in keys
    ]
    return (
        f'[redis]\nurl = "{redis}"\n[log]\nlevel = "{level}"\nformat = "json"\n[gateway]\nport = '
        f"{port}\n{more}"
        f'[gateway.budgets]\n{budgets}\n[[pbx]]\nname = "{PBX}"\n{"".join(sections)}'
    )


async def answers(address: str, key: str) -> int:
    """The status of a query, asked on a connection of its own; 0 if there is none yet."""
    async with httpx.AsyncClient(timeout=WITHIN) as http:
        try:
            return (await http.get(f"{address}/webapi/{key}/pbx.calls.get")).status_code
        except httpx.TransportError:
            return 0


async def becomes(address: str, key: str, status: int) -> None:
    async with asyncio.timeout(WITHIN):
        while await answers(address, key) != status:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)


async def snapshot_of(stream: ClientConnection) -> None:
    async with asyncio.timeout(WITHIN):
        while '"snapshot"' not in str(await stream.recv()):
            pass


async def closed_with(stream: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        await _to_the_end(stream)
    return None if closed.value.rcvd is None else closed.value.rcvd.code


async def _to_the_end(stream: ClientConnection) -> None:
    async with asyncio.timeout(WITHIN):
        while True:
            await stream.recv()


async def test_a_gateway_takes_over_what_it_can_and_names_the_rest(tmp_path: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    async with SimulatedPbx(QUIET) as pbx, real_bus() as bus, monitoring(pbx, bus.client()):
        first = gateway_settings(bus.url, port, KEY, WALL)
        async with program(tmp_path / "callmon.toml", first, "gateway") as gateway:
            await becomes(address, KEY, 200)
            stream = f"{address.replace('http', 'ws')}/webapi/stream?topics=calls,system&key="
            async with connect(stream + KEY) as stays, connect(stream + WALL) as goes:
                await snapshot_of(stays)
                await snapshot_of(goes)
                assert 'changed": "nothing"' in await gateway.told(first, "settings_reload")

                broken = first.replace(KEY, "another").replace("[gateway]", "[gatewy]")
                said = await gateway.told(broken, "settings_reload_failure")
                assert "gatewy is not a setting; did you mean gateway?" in said
                assert [await answers(address, key) for key in (KEY, WALL, "another")] == [
                    200,
                    200,
                    401,
                ]

                second = gateway_settings(
                    bus.url,
                    port,
                    KEY,
                    NEW,
                    more="heartbeat_interval = 2.0\n[gateway.stream]\nconnections_per_key = "
                    "1\nstall_timeout = 30\n",
                    budgets="reads = 3",
                    level="debug",
                )
                said = await gateway.told(second, "pending_restart")
                assert re.search(
                    r'"settings": "gateway.heartbeat_interval, gateway.stream.stall_timeout"', said
                )
                for name in (
                    f"keys.{WALL}",
                    f"keys.{NEW}",
                    "gateway.budgets.reads",
                    "log.level",
                    "connections_per_key",
                ):
                    assert name in said
                assert await closed_with(goes) == 4001
                assert [await answers(address, key) for key in (WALL, NEW, NEW, NEW, NEW)] == [
                    401,
                    200,
                    200,
                    200,
                    429,
                ]
                assert '"level": "debug"' in gateway.said
                with pytest.raises(InvalidStatus):
                    await connect(stream + KEY)
                async with asyncio.timeout(WITHIN):
                    await (await stays.ping())  # who may stay was not sent away

                said = await gateway.told(second, "pending_restart")
                assert 'changed": "nothing"' in said, (
                    "what waits for a restart is named again, and nothing else"
                )
                await gateway.told(
                    second.replace('"debug"', '"error"'), "pending_restart"
                )  # the last line of a reload
                quiet = len(gateway.said)
                assert await answers(address, KEY) in (200, 429)
                assert len(gateway.said) == quiet
            assert sha256_hex(NEW) not in gateway.said


async def test_workers_are_told_by_their_parent_and_none_of_them_ends(tmp_path: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    async with SimulatedPbx(QUIET) as pbx, real_bus() as bus, monitoring(pbx, bus.client()):
        first = gateway_settings(bus.url, port, KEY, WALL)
        async with program(
            tmp_path / "callmon.toml", first, "gateway", "--workers", "2"
        ) as gateway:
            await becomes(address, WALL, 200)
            await until(lambda: len(children(gateway.process)) == 2, WITHIN)
            workers = children(gateway.process)
            # The second worker may be starting still: it is told all the same.
            await gateway.told(gateway_settings(bus.url, port, KEY), "settings_reload")
            async with asyncio.timeout(
                WITHIN
            ):  # each connection goes to whichever worker the kernel chooses
                while {await answers(address, WALL) for _ in range(20)} != {401}:
                    pass
            # One that is starting still would read the broken file, and end.
            await until(lambda: gateway.said.count('"program_start"') == 3, WITHIN)
            said = await gateway.told(first.replace("[redis]", "[redis"), "settings_reload_failure")
            assert said.count("settings_reload_failure") == 1
            await becomes(address, KEY, 200)
            assert children(gateway.process) == workers
            assert gateway.said.count('"settings_reload"') == 1


def monitor_settings(redis: str, pbx: SimulatedPbx, secret: Path) -> str:
    return (
        f'[redis]\nurl = "{redis}"\n[log]\nlevel = "info"\n[monitor]\nname = '
        f'"watcher"\nlease_duration = 30.0\n'
        f'[[pbx]]\nname = "{PBX}"\nurl = "{pbx.url}"\nclient_id = "{pbx.client_id}"\n'
        f'client_secret_file = "{secret}"\nwatchdog_interval = 0.5\npoll_interval = '
        f"0.3\npoll_idle = 0.3\n"
    )


async def test_a_monitor_asks_for_its_next_token_with_a_new_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    async with SimulatedPbx(QUIET) as pbx, real_bus() as bus, gateway(bus.client()) as address:
        secret.write_text(pbx.client_secret, encoding="utf-8")
        first = monitor_settings(bus.url, pbx, secret)
        async with (
            program(tmp_path / "callmon.toml", first, "monitor") as monitor,
            subscriber(address) as held,
        ):
            await until(lambda: held.connected, WITHIN)
            epoch = held.epoch
            pbx.directory.secrets[pbx.client_id] = "the-secret-from-now-on"
            pbx.faults.revoke_tokens()
            await until(lambda: not held.connected, WITHIN)

            secret.unlink()
            said = await monitor.told(first, "settings_reload_failure")
            assert "client_secret_file cannot be read: No such file" in said

            secret.write_text("the-secret-from-now-on\n", encoding="utf-8")
            said = await monitor.told(first, "settings_reload ")
            assert f"changed=pbx.{PBX}.client_secret_file" in said
            await until(lambda: held.connected, WITHIN)
            assert held.epoch == epoch, "it went on, and was not started again"

            said = await monitor.told(
                first.replace("lease_duration = 30.0", "lease_duration = 3.0"), "pending_restart"
            )
            assert "monitor.lease_duration" in said
        assert "the-secret-from-now-on" not in monitor.said


@pytest.mark.parametrize("service", ["gateway", "monitor"])
async def test_a_service_that_still_starts_is_not_ended(tmp_path: Path, service: str) -> None:
    settings = tmp_path / "callmon.toml"
    os.mkfifo(settings)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", service, "--config", str(settings)),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WITHIN):
        writing = await asyncio.to_thread(settings.open, "w", encoding="utf-8")
        process.send_signal(signal.SIGHUP)  # it reads its settings now
        with writing:
            writing.write("wrong")
        _, errors = await process.communicate()
    assert process.returncode == os.EX_CONFIG, errors


async def test_where_there_are_no_settings_it_is_said_and_all_goes_on() -> None:
    simulate = ("simulate", "--port", "0", "--no-traffic", "--extensions", "2", "--queues", "0")
    async with running(*simulate, until="secret", PYTHONUNBUFFERED="1") as (process, _):
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        async with asyncio.timeout(WITHIN):
            while b"there is no settings file" not in (line := await process.stderr.readline()):
                assert line, "it ended without a word"
        assert process.returncode is None


async def test_who_is_left_by_his_terminal_ends_as_if_told_to() -> None:
    ours, theirs = pty.openpty()
    script = f"""
import os, fcntl, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
simulate = ["-m", "gateway", "simulate", "--port", "{free_port()}", "--no-traffic"]
os.execv(sys.executable, [sys.executable, *simulate])
"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        stdin=theirs,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    os.close(theirs)
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN):
        while b"secret" not in await process.stdout.readline():
            pass
        os.close(ours)
        await process.stdout.read()
        assert await process.wait() == 0
