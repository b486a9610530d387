"""``callmon top``: live calls, queues and agents in a terminal."""

from __future__ import annotations

import asyncio
import sys

from gateway.cli.look import stream_address
from gateway.cli.top.follower import TOPICS
from gateway.streamclient import StreamClient
from monitor.errors import ConfigError

_PATIENCE = 10.0
"""Seconds in which a gateway must have answered."""


async def run(url: str, key: str) -> int:
    """Until the user quits; gives the exit code. Raises ConfigError, StreamRefused."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("callmon top needs a terminal; for pipes there are callmon tail and callmon snapshot.")
    async with StreamClient(stream_address(url), key, TOPICS) as client:
        try:
            async with asyncio.timeout(_PATIENCE):
                await anext(aiter(client))
        except TimeoutError as error:
            raise ConfigError(f"Nothing answers at {url} within {_PATIENCE:g} s.") from error
        from gateway.cli.top.app import Top  # it takes a third of a second to load, which the other commands do without

        return await Top(client).run_async() or 0
