"""Define what ends the client, sorted by what the caller should do.

::

    StreamClientError
    ├── StreamMisconfigured     give up: an address, a proxy or a file cannot be used
    └── StreamRefused           give up: the gateway said not to come back
        └── StreamUnreachable   give up: what answers is not a gateway, or is not trusted
"""

from __future__ import annotations


class StreamClientError(Exception):
    """Signal a failure that the client knows; the root of its errors.

    Its text is a plain sentence that may be shown to an administrator.
    """


class StreamMisconfigured(StreamClientError):
    """Signal that an address, a proxy, a file or an encoding cannot be used.

    The text says which, and what would be right.
    """


class StreamRefused(StreamClientError):
    """Signal that the gateway said not to come back.

    ``code``: the close code, or the HTTP status of the handshake. ``reason``: the gateway's
    sentence.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(self._told(code, reason))
        self.code = code
        self.reason = reason

    def _told(self, code: int, reason: str) -> str:
        return f"the stream was refused: {reason or 'no reason given'} ({code})"


class StreamUnreachable(StreamRefused):
    """Signal that what answers at the address is not a gateway, or is not trusted.

    ``code``: the HTTP status; 0 if there is none.
    """

    def _told(self, code: int, reason: str) -> str:
        return reason
