"""What must never end is started again."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.supervision import kept_running


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
