"""API keys as they are stored and mirrored: only their digests. Pure.

The newest change of a key wins, wherever it is found; a revoked key stays as a change, so that no older one returns.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from monitor.shared.codec import Malformed
from monitor.shared.timestamps import is_instant

LATEST_CHANGE: Final = 1e11
"""POSIX seconds. Beyond, floating point could not tell the next change from this one."""

Kind: TypeAlias = Literal["reads", "commands", "makecall", "query"]
"""The kinds of request, each with a budget of its own. ``commands``: those that change something, ``makecall`` apart;
``query``: SQL."""


class Budgets(Struct, frozen=True):
    """Requests a minute of each kind that a key may make; 0: without a limit; None: what keys may in general."""

    reads: int | None = None
    commands: int | None = None
    makecall: int | None = None
    query: int | None = None

    def of(self, kind: Kind) -> int | None:
        """The budget for this kind."""
        found: int | None = getattr(self, kind)
        return found


USUAL = Budgets()


class StoredKey(Struct, frozen=True):
    """A key. ``changed_at``: POSIX seconds. ``expires``: an instant. The limits: None for none of that kind.

    ``networks``: those from which it may be used, as ``192.0.2.0/24``; none for all.
    """

    name: str
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    scopes: tuple[str, ...]
    changed_at: float
    expires: str | None = None
    extensions: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    networks: tuple[str, ...] = ()
    revoked: bool = False
    budgets: Budgets = USUAL


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(StoredKey)


def newest(key: StoredKey, other: StoredKey | None) -> StoredKey:
    """Return the newer change of a key. Of two at the same time the revoked one is, whichever comes first."""
    return key if other is None else max(key, other, key=_rank)


def _rank(key: StoredKey) -> tuple[float, bool, bytes]:
    return key.changed_at, key.revoked, _encoder.encode(key)


def encode_key(key: StoredKey) -> bytes:
    """The key in msgpack."""
    return _encoder.encode(key)


def decode_key(data: bytes) -> StoredKey:
    """Raises Malformed."""
    try:
        key = _decoder.decode(data)
        for network in key.networks:
            ip_network(network)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Malformed(f"not a key: {error}") from error
    # With a greater time no later change would be later; NaN is never equal to itself.
    if not 0 <= key.changed_at <= LATEST_CHANGE:
        raise Malformed(f"not a key: changed_at is {key.changed_at}")
    if key.expires is not None and not is_instant(key.expires):
        raise Malformed(f"not a key: expires is {key.expires[:100]!r}, which is no instant")
    return key


def of_table(name: bytes | str, data: bytes) -> StoredKey:
    """The key that stands under this name. Raises Malformed, also if it is another one's."""
    key = decode_key(data)
    if key.name.encode() != (name if isinstance(name, bytes) else name.encode()):
        raise Malformed(f"not the key of this name, but that of {key.name[:100]!r}")
    return key
