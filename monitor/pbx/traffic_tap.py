"""Define the tap that sees everything a PBX says, as it is read. Nothing is kept here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SentRequest:
    """Hold a request as it was sent.

    ``address``: path and query. ``content``: the body. ``at``: ``time.monotonic()`` at that moment.
    """

    method: str
    address: str
    content: bytes | None
    at: float


class TrafficTap(Protocol):
    """Receive all traffic as it came, including secrets, names and numbers.

    Its methods must neither wait nor raise.
    """

    def answered(
        self, sent: SentRequest, status: int, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Take in an HTTP answer of any status."""

    def unanswered(self, sent: SentRequest) -> None:
        """Note that no whole answer came."""

    def opened(self) -> None:
        """Note that the event socket is open."""

    def refused(self, status: int | None) -> None:
        """Note that the event socket was not opened.

        ``status``: the HTTP status; None if there was no answer.
        """

    def heard(self, message: str | bytes) -> None:
        """Take in a message of the event socket."""

    def closed(self, code: int | None, reason: str) -> None:
        """Note that the event socket ended by itself.

        ``code``: the close frame's code; None if no frame came.
        """

    def pushed(self, message: bytes) -> None:
        """Take in a message of the web client's socket."""


class NoTrafficTap:
    """Discard all traffic."""

    def answered(
        self, sent: SentRequest, status: int, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Discard the answer. The other methods do the same; see :class:`TrafficTap`."""

    def unanswered(self, sent: SentRequest) -> None: ...  # noqa: D102

    def opened(self) -> None: ...  # noqa: D102

    def refused(self, status: int | None) -> None: ...  # noqa: D102

    def heard(self, message: str | bytes) -> None: ...  # noqa: D102

    def closed(self, code: int | None, reason: str) -> None: ...  # noqa: D102

    def pushed(self, message: bytes) -> None: ...  # noqa: D102
