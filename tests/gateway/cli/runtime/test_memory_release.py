"""Test that memory which is free again is given back, in a process of its own."""

from __future__ import annotations

import asyncio
import ctypes
import subprocess
import sys

import pytest

from gateway.cli.runtime import memory_release
from gateway.cli.runtime.memory_release import MemoryRelease, memory_released

GLIBC = hasattr(ctypes.CDLL(None), "malloc_trim")
PROGRAM = """
import ctypes, sys
from pathlib import Path
from gateway.cli.runtime.memory_release import MemoryRelease

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def flood(size, many):  # between what is freed lies what lives on
    taken = [(bytes(size), bytes(600)) for _ in range(many)]
    return [small for _, small in taken]

memory = MemoryRelease(ctypes.CDLL(None))
if sys.argv[1] == "mended":
    memory.begin()
before = resident()
kept = flood(200_000, 300)
kept += flood(100_000, 600)
large = resident() - before
kept += flood(30_000, 2_000)
if sys.argv[1] == "mended":
    memory.release()
print(large, resident() - before)
"""


def left(how: str) -> tuple[int, int]:
    """Bytes that the program still has after large blocks were freed, and after all were."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, check=True, text=True
    )
    large, all_ = map(int, done.stdout.split())
    return large, all_


@pytest.mark.skipif(not GLIBC, reason="another C library")
def test_what_is_free_again_is_given_back_also_if_something_lives_on_between() -> None:
    assert left("as it was")[1] > 40_000_000, "the flood is one that glibc keeps"
    large, all_ = left("mended")
    assert large < 10_000_000, "large blocks go at once"
    assert all_ < 20_000_000


async def test_it_is_given_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    times = 0
    twice = asyncio.Event()

    def count(_: MemoryRelease) -> None:
        nonlocal times
        times += 1
        if times == 2:
            twice.set()

    monkeypatch.setattr(memory_release, "EVERY_S", 0.01)
    monkeypatch.setattr(MemoryRelease, "release", count)
    monkeypatch.setattr(MemoryRelease, "begin", lambda _: None)
    before = asyncio.all_tasks()
    async with memory_released(), asyncio.timeout(60):
        await twice.wait()
    assert asyncio.all_tasks() == before


def test_another_c_library_is_left_alone() -> None:
    memory = MemoryRelease(object())
    memory.begin()
    memory.release()
