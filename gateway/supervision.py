"""Restart what must never end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

RESTART_AFTER_S = 1.0
"""Seconds until something that must run and failed is started again."""

_log = structlog.get_logger(__name__)


async def kept_running(
    name: str, run: Callable[[], Coroutine[Any, Any, None]], restart_after: float = RESTART_AFTER_S
) -> None:
    """Run what must never end, until cancelled. If it does end, log it and start it again.

    One PBX's fault must not take the others down. Nor may it leave answers that grow old in
    silence: the PBX's state is stale meanwhile, and answers and readiness say so. ``name``: for
    the log. ``restart_after``: seconds.
    """
    while True:
        try:
            await run()
            _log.error("task_end", what=name, restart_in=restart_after)
        except Exception:
            _log.exception("task_failure", what=name, restart_in=restart_after)
        await asyncio.sleep(restart_after)
