"""Give memory that is free again back to the system.

The C library (glibc) keeps what a program frees, and after a flood that is most of what the flood
took. It gives back only what lies at the end of its heap, and one small block that lives on there
keeps everything below. So:

- Large blocks are taken from the system one by one, and given back as soon as they are freed. By
  itself glibc does so only until the first large block is freed.
- What small blocks left is given back again and again. That takes a fraction of a millisecond
  unless much was freed.

Other C libraries are left alone.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from monitor.shared.tasks import running

LARGE_BLOCK_BYTES: Final = 64 * 1024
"""Bytes from which on a block is taken from the system by itself."""
EVERY_S: Final = 5.0
"""Seconds between two times at which memory is given back."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Numbers of these parameters in glibc's ``malloc.h``; see mallopt(3)."""


class MemoryRelease:
    """Give free memory back. ``library``: the C library that the process uses."""

    def __init__(self, library: object) -> None:
        self._trim = getattr(library, "malloc_trim", None)
        self._option = getattr(library, "mallopt", None) if self._trim is not None else None

    def begin(self) -> None:
        """Have large blocks given back as soon as they are freed."""
        if self._option is not None:
            self._option(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
            self._option(_M_TRIM_THRESHOLD, LARGE_BLOCK_BYTES)

    def release(self) -> None:
        """Give back what is free now."""
        if self._trim is not None:
            self._trim(0)


@asynccontextmanager
async def memory_released() -> AsyncIterator[None]:
    """Give the process's free memory back while the context is entered."""
    memory = MemoryRelease(ctypes.CDLL(None))
    memory.begin()
    async with running(_release_regularly(memory)):
        yield


async def _release_regularly(memory: MemoryRelease) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        memory.release()
