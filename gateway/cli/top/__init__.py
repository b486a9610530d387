"""Run ``callmon top``: show live calls, queues and agents in a terminal."""

from __future__ import annotations

import sys

from gateway.cli.tail_and_snapshot import GatewayAddress
from gateway.cli.top.app import Top
from gateway.cli.top.follower import TOPICS
from monitor.shared.errors import ConfigError


def _unheard(_: object) -> None:
    """Print nothing about the connection: the screen shows it, and nothing else may write there."""


async def run(gateway: GatewayAddress) -> int:
    """Run until the user quits and return the exit code.

    Raises ConfigError, and StreamRefused if there never was a state.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            "callmon top needs a terminal; use callmon tail or callmon snapshot for pipes."
        )
    async with gateway.client(TOPICS, _unheard) as client:
        top = Top(client)
        code = await top.run_async() or 0
        if top.refused is not None:
            raise top.refused
        return code
