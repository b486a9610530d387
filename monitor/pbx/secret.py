"""A secret that may be exchanged while it is in use: the next who needs it takes the new one."""

from __future__ import annotations


class Secret:
    """Holds a secret. Its text stands in no representation."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return "Secret(…)"


def text_of(secret: str | Secret) -> str:
    """Return the secret as it is now."""
    return secret.text if isinstance(secret, Secret) else secret
