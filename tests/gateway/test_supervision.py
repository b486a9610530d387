"""What must never end is started again; what runs beside the work ends with it."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.supervision import kept_running, running


async def test_what_must_run_is_started_again_when_it_fails_or_ends() -> None:
    runs = 0
    lasting = asyncio.Event()

    async def feed() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("a fault")
        if runs == 2:
            return
        lasting.set()
        await asyncio.get_running_loop().create_future()

    with capture_logs() as logged:
        task = asyncio.create_task(kept_running("the feed", feed, restart_after=0))
        async with asyncio.timeout(60):
            await lasting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [(line["log_level"], line["what"]) for line in logged] == [("error", "the feed")] * 2


async def test_what_runs_beside_the_work_has_ended_when_the_work_has() -> None:
    begun = asyncio.Event()
    ended = False

    async def beside() -> None:
        nonlocal ended
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            ended = True

    async with running(beside()):
        await begun.wait()
        assert not ended
    assert ended


async def test_a_failure_of_what_runs_beside_the_work_does_not_end_the_work() -> None:
    async def beside() -> None:
        raise RuntimeError("a fault")

    async with running(beside()):
        await asyncio.sleep(0)
