"""Hold a secret that may be replaced while it is in use. The next use takes the new one."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Secret:
    """Hold a secret. Its text stands in no representation."""

    __slots__ = ("_exchanged", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._exchanged = asyncio.Event()

    def __repr__(self) -> str:
        return "Secret(…)"

    def exchange(self, text: str) -> None:
        """Use this text from now on; if it is a new one, wake the tasks that wait to try again."""
        if text != self.text:
            self.text = text
            exchanged, self._exchanged = self._exchanged, asyncio.Event()
            exchanged.set()

    async def wait(self, seconds: float) -> None:
        """Wait so many seconds, or until the secret is replaced."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._exchanged.wait()


def text_of(secret: str | Secret) -> str:
    """Return the secret as it is now."""
    return secret.text if isinstance(secret, Secret) else secret


async def pause(seconds: float, secret: str | Secret) -> None:
    """Wait ``seconds`` before a retry, or until there is another secret to try it with."""
    await (secret.wait(seconds) if isinstance(secret, Secret) else asyncio.sleep(seconds))
