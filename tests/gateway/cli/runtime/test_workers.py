"""Test several gateway processes on one port: all serve, a killed one returns, all end together."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from gateway.auth.api_keys import sha256_hex
from gateway.cli.runtime import workers
from gateway.stream_client import StreamClient
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import free_port, real_bus, until
from tests.gateway.cli.console import ROOT, WITHIN, callmon
from tests.system.stack import KEY, PBX, Subscriber, monitoring, running


def settings_file(folder: Path, redis: str, port: int) -> Path:
    file = folder / "callmon.toml"
    file.write_text(
        f'[redis]\nurl = "{redis}"\n[gateway]\nport = {port}\n[gateway.stream]\ndrain_time = 0.2\n'
        f'[[pbx]]\nname = "{PBX}"\n[[keys]]\nname = "test"\ndigest = "{sha256_hex(KEY)}"\n',
        encoding="utf-8",
    )
    return file


@asynccontextmanager
async def gateways(file: Path, workers: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "gateway",
            "gateway",
            "--config",
            str(file),
            "--workers",
            str(workers),
        ),
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(WITHIN):
            await process.wait()


def children(process: asyncio.subprocess.Process) -> list[int]:
    """Process ids of the workers."""
    pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in pids]


ESTABLISHED, LISTENING = "01", "0A"
"""States of a connection in ``/proc/net/tcp``."""


def sockets_of(pid: int, port: int, state: str = ESTABLISHED) -> int:
    """How many sockets of this port the process holds in this state."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                inodes.add(found[1])
    local = f":{port:04X}"
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(local) and row[3] == state and row[9] in inodes for row in rows)


async def ready(address: str) -> None:
    async with asyncio.timeout(WITHIN), httpx.AsyncClient(base_url=address, timeout=60) as http:
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


async def tickets_work(address: str) -> None:
    """Each request comes to a worker of the kernel's choice: to another one, half of the time."""
    for _ in range(12):
        async with httpx.AsyncClient(base_url=address, timeout=WITHIN) as http:
            ticket = (await http.post(f"/webapi/{KEY}/ticket")).json()["ticket"]
        async with (
            httpx.AsyncClient(base_url=address, timeout=WITHIN) as http,
            http.stream("GET", f"/webapi/events?topics=system&ticket={ticket}") as response,
        ):
            assert response.status_code == 200


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["told to end", "killed"])
async def test_workers_share_a_port_come_back_and_end_together(
    tmp_path: Path, end: signal.Signals
) -> None:
    port = free_port()
    simulated = SimulatorSettings(extensions=10, queues=1, contacts=0, traffic=False)
    async with SimulatedPbx(simulated) as pbx, real_bus() as bus, monitoring(pbx, bus.client()):
        file = settings_file(tmp_path, bus.url, port)
        async with gateways(file, 2) as process:
            await ready(f"http://127.0.0.1:{port}")
            await until(lambda: len(children(process)) == 2, WITHIN)
            await until(
                lambda: all(sockets_of(pid, port, LISTENING) for pid in children(process)), WITHIN
            )
            clients = [
                StreamClient(f"ws://127.0.0.1:{port}/webapi/stream", KEY, ["system", "calls"])
                for _ in range(24)
            ]
            held = [Subscriber(client) for client in clients]
            tasks = [asyncio.create_task(one.listen()) for one in held]
            async with running(asyncio.create_task(_all(tasks))):
                await until(lambda: all(one.connected for one in held), WITHIN)
                await until(lambda: all(sockets_of(pid, port) for pid in children(process)), WITHIN)
                await tickets_work(f"http://127.0.0.1:{port}")
                victim = children(process)[0]
                os.kill(victim, signal.SIGKILL)
                await until(
                    lambda: len(children(process)) == 2 and victim not in children(process), WITHIN
                )
                await until(lambda: any(one.client.reconnects for one in held), WITHIN)
                await until(lambda: all(one.connected for one in held), WITHIN)
                workers = children(process)
                process.send_signal(end)
                await until(
                    lambda: not any(Path(f"/proc/{pid}/fd").exists() for pid in workers), WITHIN
                )


@asynccontextmanager
async def beating(script: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run a script in a worker's place; its ``pulse()`` is felt on the returned descriptor."""
    felt, pulse = os.pipe()
    begin = f"import os, signal, sys\ndef pulse(): os.write({pulse}, b'.')\n"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", begin + script), stdin=asyncio.subprocess.PIPE, pass_fds=(pulse,)
    )
    os.close(pulse)
    try:
        yield process, felt
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("pulse(); signal.pause()", -signal.SIGABRT),
        ("signal.pause()", -signal.SIGABRT),
        ("pulse(); os.kill(os.getpid(), signal.SIGSTOP)", -signal.SIGKILL),
    ],
    ids=["hangs", "does not start", "is stopped"],
)
async def test_a_worker_that_falls_silent_is_ended(
    script: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_LAST_WORDS_S", 0.5 if code == -signal.SIGKILL else WITHIN)
    async with beating(script) as (process, felt), asyncio.timeout(WITHIN):
        if "STOP" in script:
            await until(lambda: ") T " in Path(f"/proc/{process.pid}/stat").read_text(), WITHIN)
        await workers._watch(
            process, felt, patience=0.1, start=WITHIN if "pulse" in script else 0.1
        )
        assert await process.wait() == code


async def test_a_worker_that_takes_its_time_to_start_or_ends_by_itself_is_left_alone() -> None:
    async with beating("sys.stdin.read(); pulse()") as (process, felt), asyncio.timeout(WITHIN):
        watching = asyncio.create_task(workers._watch(process, felt, patience=60, start=60))
        assert process.stdin is not None
        process.stdin.close()
        await watching
        assert await process.wait() == 0


class Late(asyncio.StreamReader):
    """Has something to read, and does not give it at first."""

    asked = False

    async def read(self, n: int = -1) -> bytes:
        if not self.asked:
            self.asked = True
            await asyncio.Event().wait()
        return await super().read(n)


async def test_a_pulse_that_came_while_we_were_late_counts() -> None:
    reader = Late()
    reader.feed_data(b".")
    assert await workers._next(reader, patience=0.01) == b"."
    reader.feed_eof()
    assert await workers._next(reader, patience=WITHIN) == b""


async def test_a_workers_event_loop_gives_a_pulse(monkeypatch: pytest.MonkeyPatch) -> None:
    felt, pulse = os.pipe()
    task = asyncio.create_task(workers._pulse(pulse))
    try:
        assert await asyncio.to_thread(os.read, felt, 1) == b"."
    finally:
        task.cancel()
        os.close(felt)
        os.close(pulse)


async def _all(tasks: list[asyncio.Task[None]]) -> None:
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def test_a_port_that_is_taken_and_a_port_of_no_choice_are_refused(tmp_path: Path) -> None:
    file = settings_file(tmp_path, "redis://127.0.0.1:1", 0)
    said = await callmon("gateway", "--config", str(file), "--workers", "2")
    assert said.code == os.EX_CONFIG
    assert "need a fixed port" in said.err
    port = free_port()
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    async with server:
        said = await callmon(
            "gateway", "--config", str(file), "--workers", "2", "--port", str(port)
        )
    assert said.code == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in said.err
