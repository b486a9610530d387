"""Run the parties of a benchmark as processes, and read what they cost from the system."""

from __future__ import annotations

import asyncio
import json
import platform
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
_LONGEST_LINE = 1 << 26


def cpu_seconds(pid: int) -> float:
    """Return user and system seconds of a process, all threads (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def resident(pid: int) -> int:
    """Bytes of a process that are in memory now."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most bytes of a process that were in memory at any time since :func:`clear_peak`."""
    return _status(pid, "VmHWM")


def clear_peak(pid: int) -> None:
    """Forget the peak until now; see proc(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def machine() -> str:
    """What the figures were measured on, in a line."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    cores = len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE))
    memory = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    size = f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown memory"
    kernel = platform.release().partition("-")[0]
    return (
        f"{model[1] if model else platform.machine()}, {cores} shared cores, {size}, "
        f"Linux {kernel}, {platform.python_implementation()} {platform.python_version()}"
    )


class Party:
    """A process that answers a line of JSON with a line of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.port = 0
        """Where it listens, if it does."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def cpu(self) -> float:
        """Seconds of CPU time until now."""
        return cpu_seconds(self.pid)

    def tell(self, **command: Any) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def hear(self, within: float = 300.0) -> Any:
        """The next line from it. Raises TimeoutError."""
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a party of the benchmark ended with {await self._process.wait()}")
        return json.loads(line)

    async def ask(self, **command: Any) -> Any:
        """Send a line; the answer."""
        self.tell(**command)
        return await self.hear()


@asynccontextmanager
async def party(*command: str, speaks: bool = True) -> AsyncIterator[Party]:
    """Run a command, killed at the end. ``speaks``: its first line tells its port."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE if speaks else asyncio.subprocess.DEVNULL,
        limit=_LONGEST_LINE,
    )
    made = Party(process)
    try:
        if speaks:
            made.port = (await made.hear())["port"]
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module of this package."""
    return sys.executable, "-m", f"tests.bench.{module}", *arguments


async def rounds(
    contestants: dict[str, Callable[[], Awaitable[float]]], times: int, seconds: float = 1e9
) -> dict[str, list[float]]:
    """Let them take turns, so often or for so long; what each said each time.

    Always in the same order: whoever had two turns running would find the machine warm in the
    second.
    """
    said: dict[str, list[float]] = {name: [] for name in contestants}
    end = time.monotonic() + seconds
    for _ in range(times):
        for name, turn in contestants.items():
            said[name].append(await turn())
        if time.monotonic() >= end:
            break
    return said


def ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of figures measured next to each other."""
    return median(mine / its for mine, its in zip(ours, others, strict=True))
