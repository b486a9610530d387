"""Test whose turn it is to send on a connection."""

from __future__ import annotations

import asyncio

import pytest

from gateway.stream.connection import ConnectionLimits, StreamConnection, StreamPrincipal
from gateway.visibility import EVERYTHING
from tests.gateway import world

FRAMES = 50


class Eager(StreamConnection):
    """One whose client takes whatever is sent, at once."""

    def __init__(self) -> None:
        guest = StreamPrincipal("test", EVERYTHING, (), None, 3600.0)
        super().__init__(world.view(), guest, "json", ConnectionLimits(), lambda: world.NOW)
        self.sent = 0
        self.over = asyncio.Event()

    async def _send_next(self) -> bool:
        self.sent += 1
        if self.sent == FRAMES:
            self.over.set()
        return self.sent < FRAMES

    def _waiting(self) -> int:
        return 0

    def _hold_direct_writes(self) -> None:
        """Nothing is sent past it."""


async def test_one_who_takes_all_at_once_lets_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.stream.connection._SLICE_S", 0.0)
    eager, turns = Eager(), 0
    eager._wake()
    while not eager.over.is_set():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= FRAMES - 1
