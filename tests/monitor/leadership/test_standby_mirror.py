"""Test that a mirror ends at once if it is told so at the moment of Redis' answer."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from monitor.leadership import standby_mirror
from monitor.leadership.standby_mirror import StandbyMirror


class Swallowing:
    """A keyring whose Redis client swallows a cancellation, as Python 3.11's ``wait_for`` may."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()

    async def mirror(self) -> None:
        self.reads.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return


class Nothing:
    async def mirror(self) -> None: ...

    async def shelve(self) -> None: ...


async def test_the_take_over_does_not_wait_for_its_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby_mirror, "KEYS_EVERY_S", 3_600.0)
    key_sync, rest = Swallowing(), cast("Any", Nothing())
    mirroring = asyncio.create_task(StandbyMirror("pbx", cast("Any", key_sync), rest, rest).run())
    await key_sync.reads.wait()
    mirroring.cancel()
    async with asyncio.timeout(30):
        await asyncio.gather(mirroring, return_exceptions=True)
    assert mirroring.cancelled()
