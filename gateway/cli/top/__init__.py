"""``callmon top``: live calls, queues and agents in a terminal."""

from __future__ import annotations

import sys

from gateway.cli.tail_and_snapshot import GatewayAddress
from gateway.cli.top.follower import TOPICS
from monitor.shared.errors import ConfigError


def _unheard(_: object) -> None:
    """The screen shows how the connection stands; nothing else may write on the terminal."""


async def run(gateway: GatewayAddress) -> int:
    """Until the user quits; gives the exit code. Raises ConfigError, StreamRefused if there never was a state."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("callmon top needs a terminal; for pipes there are callmon tail and callmon snapshot.")
    async with gateway.client(TOPICS, _unheard) as client:
        from gateway.cli.top.app import Top  # it takes a third of a second to load, which the other commands do without

        top = Top(client)
        code = await top.run_async() or 0
        if top.refused is not None:
            raise top.refused
        return code
