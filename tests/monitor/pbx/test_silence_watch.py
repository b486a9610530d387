"""A PBX from which nothing is heard although it was asked."""

from __future__ import annotations

import asyncio
import time

import pytest

from monitor.pbx.silence_watch import watch_silence
from monitor.shared.tasks import running
from tests.bus import until


class Silent(Exception):
    """It was told."""


def tell() -> None:
    raise Silent


async def test_silence_ends_the_watch_after_the_longest_and_not_before() -> None:
    began = time.monotonic()
    with pytest.raises(Silent):
        await watch_silence(0.2, lambda: began, tell)
    assert time.monotonic() - began >= 0.2


async def test_silence_since_long_ago_is_told_at_once() -> None:
    with pytest.raises(Silent):
        await watch_silence(60.0, lambda: time.monotonic() - 61.0, tell)


async def test_who_is_not_asked_may_be_silent() -> None:
    looked = 0

    def since() -> None:
        nonlocal looked
        looked += 1

    async with running(watch_silence(0.02, since, tell)) as (watching,):
        await until(lambda: looked >= 10)
        assert not watching.done()


async def test_whoever_is_heard_again_and_again_is_not_silent() -> None:
    looked = 0

    def since() -> float:
        nonlocal looked
        looked += 1
        return time.monotonic()

    async with running(watch_silence(0.1, since, tell)) as (watching,):
        await until(lambda: looked >= 40)
        assert not watching.done()


async def test_it_goes_on_if_what_it_tells_raises_nothing() -> None:
    told = 0

    def count() -> None:
        nonlocal told
        told += 1

    async with running(watch_silence(0.05, lambda: 0.0, count)):
        await until(lambda: told >= 3)


async def test_who_stood_still_himself_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    heard = time.monotonic()

    def tell() -> None:
        told.append(time.monotonic())

    async with running(watch_silence(1.0, lambda: heard, tell)):
        await asyncio.sleep(0.1)
        time.sleep(1.6)  # noqa: ASYNC251 - that is the fault
        heard = time.monotonic()  # what came meanwhile is read a moment later
        await asyncio.sleep(0.1)
        assert told == []
        await until(lambda: bool(told))
