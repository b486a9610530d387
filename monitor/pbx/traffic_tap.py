"""Where everything that a PBX says passes by as it is read, for whoever wants to keep it. Nothing is kept here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request. ``address``: path and query as sent; ``content``: its body; ``at``: ``time.monotonic()`` then."""

    method: str
    address: str
    content: bytes | None
    at: float


class TrafficTap(Protocol):
    """Is told what came, as it came: secrets, names and numbers included. Must neither wait nor raise."""

    def answered(self, sent: SentRequest, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """An HTTP answer came, of whatever status."""

    def unanswered(self, sent: SentRequest) -> None:
        """No whole answer came."""

    def opened(self) -> None:
        """The event socket is open."""

    def refused(self, status: int | None) -> None:
        """The event socket was not opened. ``status``: HTTP's; None if there was no answer."""

    def heard(self, message: str | bytes) -> None:
        """A message came over the event socket."""

    def closed(self, code: int | None, reason: str) -> None:
        """The event socket ended by itself. ``code``: the close frame's; None if none came."""


class NoTrafficTap:
    """Keeps nothing."""

    def answered(self, sent: SentRequest, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """See :class:`TrafficTap`, as for the others."""

    def unanswered(self, sent: SentRequest) -> None: ...  # noqa: D102

    def opened(self) -> None: ...  # noqa: D102

    def refused(self, status: int | None) -> None: ...  # noqa: D102

    def heard(self, message: str | bytes) -> None: ...  # noqa: D102

    def closed(self, code: int | None, reason: str) -> None: ...  # noqa: D102
