"""Issue and take tickets for the stream: each replaces a key once, within 30 seconds.

A browser can send no headers with a WebSocket or an EventSource. So its page asks for a ticket
with a header, and puts only the ticket into the stream's address. Proxies and logs may keep that
address, but the ticket is worthless by then. Redis holds only its digest, so that every gateway
can take it, once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from redis.asyncio import Redis

from gateway.auth.api_keys import KeyTable
from gateway.errors import BusAway, KeyUnknown, UnknownPbx
from monitor.shared.redis.connection import REDIS_FAILURES
from monitor.shared.redis.key_names import AccessKeys
from monitor.shared.timestamps import from_unix

if TYPE_CHECKING:
    from gateway.auth.api_keys import ApiKey

VALID_S: Final = 30
"""Seconds for which a ticket can be used."""
_BYTES: Final = 24
_LONGEST: Final = 128


class Tickets:
    """Issue and take tickets. ``clients``: one for each served PBX. ``clock``: POSIX seconds."""

    def __init__(
        self, clients: Mapping[str, Redis], keys: KeyTable, clock: Callable[[], float]
    ) -> None:
        self._clients = clients
        self._keys = keys
        self._clock = clock

    def require_served(self, key: ApiKey) -> None:
        """Raise UnknownPbx if no ticket can be made for this key, as its PBX is not served here."""
        if key.pbx not in self._clients:
            raise UnknownPbx("The PBX of this key is not served here.")

    async def issue(self, key: ApiKey) -> str:
        """Return a new ticket for this key, whose PBX is served here. Raises BusAway."""
        ticket = f"{key.pbx}.{secrets.token_urlsafe(_BYTES)}"
        try:
            await self._clients[key.pbx].set(_place(key.pbx, ticket), key.digest, ex=VALID_S)
        except REDIS_FAILURES as error:
            raise BusAway(
                "No ticket can be made: Redis cannot be reached; try again in a moment."
            ) from error
        return ticket

    @staticmethod
    def pbx_of(ticket: str) -> str:
        """Return the name of the PBX that the ticket names."""
        return ticket.partition(".")[0]

    async def take(self, ticket: str) -> ApiKey:
        """Return the key of this ticket, and make the ticket void.

        Raises KeyUnknown, KeyExpired, NoKeys, BusAway.
        """
        pbx, _, rest = ticket.partition(".")
        if pbx not in self._clients or not rest or len(ticket) > _LONGEST:
            raise KeyUnknown("This is not a ticket.")
        try:
            digest = await self._clients[pbx].getdel(_place(pbx, ticket))
        except REDIS_FAILURES as error:
            raise BusAway("The ticket cannot be looked up: Redis cannot be reached.") from error
        if digest is None:
            raise KeyUnknown(
                f"This ticket was already used or is older than {VALID_S} seconds: "
                f"ask for a new one."
            )
        text = digest.decode(errors="replace") if isinstance(digest, bytes) else str(digest)
        if not text.isascii():  # not written by callmon
            raise KeyUnknown("This ticket belongs to no key.")
        return self._keys.of_digest(text, from_unix(self._clock()))


def _place(pbx: str, ticket: str) -> str:
    return AccessKeys(pbx).ticket(sha256(ticket.encode()).hexdigest())
