"""A secret that may be exchanged while it is in use: the next who needs it takes the new one."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Secret:
    """Holds a secret. Its text stands in no representation."""

    __slots__ = ("_exchanged", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._exchanged = asyncio.Event()

    def __repr__(self) -> str:
        return "Secret(…)"

    def exchange(self, text: str) -> None:
        """Use this one from now on; wakes who waits to try again, if it is another one."""
        if text != self.text:
            self.text = text
            exchanged, self._exchanged = self._exchanged, asyncio.Event()
            exchanged.set()

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until it is exchanged."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._exchanged.wait()


def text_of(secret: str | Secret) -> str:
    """Return the secret as it is now."""
    return secret.text if isinstance(secret, Secret) else secret


async def pause(seconds: float, secret: str | Secret) -> None:
    """Wait until what failed is tried again: so long, or until there is another secret to try it with."""
    await (secret.wait(seconds) if isinstance(secret, Secret) else asyncio.sleep(seconds))
