"""Issue and take tickets for the stream: each replaces a key once, within 30 seconds.

A browser can send no headers with a WebSocket or an EventSource. So its page asks for a ticket
with a header, and puts only the ticket into the stream's address. Proxies and logs may keep that
address, but the ticket is worthless by then. Redis holds only its digest, so that every gateway
can take it, once.

Rules:

- What a ticket stands for is authenticated (HMAC-SHA256) with a secret that no gateway ever puts on
  Redis. So with the gateway's user on Redis alone nobody can make a ticket, change one or keep one.
- The ticket itself is authenticated too. So an invented one is refused before Redis is asked, and
  whoever invents tickets does not learn which PBXs there are.
- Without a secret in the settings a gateway makes one for itself and its workers. Its tickets are
  then for that gateway only. Gateways that serve the same clients need the same secret.
- Redis ends a ticket after its time. The authenticated instant of its making ends it too, two
  minutes later, so that a ticket that somebody puts back does not last.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from redis.asyncio import Redis

from gateway.auth.api_keys import KeyTable
from gateway.auth.pbx_choice import PbxChoice
from gateway.errors import BusAway, KeyUnknown
from gateway.token_bucket import LogBudget
from monitor.shared.redis.connection import REDIS_FAILURES, rejected
from monitor.shared.redis.key_names import AccessKeys
from monitor.shared.timestamps import from_unix

if TYPE_CHECKING:
    from gateway.auth.api_keys import ApiKey

VALID_S: Final = 30
"""Seconds for which a ticket can be used."""
_ENDS_MS: Final = 120_000
"""Milliseconds after which a ticket is void, even if Redis still holds it. It is longer than
:data:`VALID_S`, as the clocks of two gateways may differ."""
SECRET_BYTES: Final = 32
"""Bytes of a secret that a gateway makes for itself."""
_BYTES: Final = 24
_CODE_DIGITS: Final = 32
"""Hexadecimal digits of the code at a ticket's end."""
_LONGEST: Final = 128
_OF_ALL: Final = "~"
"""Mark after a ticket's PBX if the client named no PBX. No random part begins with it."""


class Tickets:
    """Issue and take tickets.

    ``clients``: one for each served PBX. ``clock``: POSIX seconds. ``secret``: authenticates the
    tickets; None: a random one, which no other gateway has. ``choice``: chooses among these PBXs.
    """

    def __init__(
        self,
        clients: Mapping[str, Redis],
        keys: KeyTable,
        clock: Callable[[], float],
        secret: bytes | None = None,
        choice: PbxChoice | None = None,
    ) -> None:
        self._clients = clients
        self.choice = PbxChoice(dict.fromkeys(clients, "")) if choice is None else choice
        self._keys = keys
        self._clock = clock
        self._secret = secrets.token_bytes(SECRET_BYTES) if secret is None else secret
        self._log_budget = LogBudget(time.monotonic())

    async def issue(self, key: ApiKey) -> str:
        """Return a new ticket for this key and its PBX, which is served here. Raises BusAway."""
        mark = "" if key.named else _OF_ALL
        begin = f"{key.pbx}.{mark}{secrets.token_urlsafe(_BYTES)}"
        ticket = f"{begin}.{self._code(begin)[:_CODE_DIGITS]}"
        made = str(int(self._clock() * 1000))
        entry = f"{key.digest} {made} {self._code(ticket, key.digest, made)}"
        try:
            await self._clients[key.pbx].set(_place(key.pbx, ticket), entry, ex=VALID_S)
        except REDIS_FAILURES as error:
            raise BusAway(
                "No ticket can be made: Redis cannot be reached; try again in a moment."
            ) from error
        return ticket

    def pbx_of(self, ticket: str) -> str:
        """Return the name of the PBX whose state the ticket is for; empty if it is for no one's.

        Raises KeyUnknown if no gateway with our secret made the ticket.
        """
        begin, _, code = ticket.rpartition(".")
        if len(ticket) > _LONGEST or not hmac.compare_digest(
            self._code(begin)[:_CODE_DIGITS].encode(), code.encode()
        ):
            raise KeyUnknown(_NOT_OURS)
        pbx, _, rest = begin.partition(".")
        return "" if rest.startswith(_OF_ALL) else pbx

    async def take(self, ticket: str) -> ApiKey:
        """Return the key of this ticket at the ticket's PBX, and make the ticket void.

        Raises KeyUnknown, KeyExpired, NoKeys, BusAway, and UnknownPbx if the key is no longer for
        that PBX.
        """
        of_all = not self.pbx_of(ticket)
        pbx = ticket.partition(".")[0]
        if pbx not in self._clients:
            raise KeyUnknown("The PBX of this ticket is not served here.")
        try:
            entry = await self._clients[pbx].getdel(_place(pbx, ticket))
        except REDIS_FAILURES as error:
            raise BusAway("The ticket cannot be looked up: Redis cannot be reached.") from error
        if entry is None:
            raise KeyUnknown(_VOID)
        digest = self._digest(pbx, ticket, entry)
        key = self._keys.of_digest(digest, from_unix(self._clock()))
        return self.choice.chosen(key, () if of_all else (pbx,), of_all=of_all)

    def _digest(self, pbx: str, ticket: str, entry: Any) -> str:
        """Return the digest of the ticket's key. Raises KeyUnknown if the entry is not ours."""
        text = entry.decode(errors="replace") if isinstance(entry, bytes) else str(entry)
        digest, _, rest = text.partition(" ")
        made, _, code = rest.partition(" ")
        if not hmac.compare_digest(self._code(ticket, digest, made).encode(), code.encode()):
            logged = self._log_budget.take(time.monotonic()) is not None
            rejected(AccessKeys(pbx).ticket("*"), _FOREIGN, logged=logged)
            raise KeyUnknown(_NOT_OURS)
        if abs(self._clock() * 1000 - int(made)) > _ENDS_MS:
            raise KeyUnknown(_VOID)
        return digest

    def _code(self, *parts: str) -> str:
        """Return the code that only a gateway with our secret can make for these.

        One part: a ticket's begin. Three: a ticket, the key's digest and the instant of its making.
        """
        told = "\0".join((_PURPOSE, str(len(parts)), *parts))
        return hmac.new(self._secret, told.encode(), sha256).hexdigest()


_PURPOSE: Final = "callmon ticket"
_NOT_OURS: Final = (
    "This ticket was not made by this gateway, nor by one with the same ticket_secret."
)
_VOID: Final = (
    f"This ticket was already used or is older than {VALID_S} seconds: ask for a new one."
)
_FOREIGN: Final = (
    "a ticket that no gateway with our ticket_secret made; gateways that serve the same clients "
    "need the same one"
)


def _place(pbx: str, ticket: str) -> str:
    return AccessKeys(pbx).ticket(sha256(ticket.encode()).hexdigest())
