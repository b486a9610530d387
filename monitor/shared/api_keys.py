"""Encode and decode API keys as they are stored and mirrored: only their digests. Pure.

The newest change of a key counts, wherever it is found. A revoked key is kept as a change, so that
no older change of it returns.

A key for several PBXs is stored with one of them, its home. Its digest then has a mark before it,
so that a program of an older version, which does not know ``pbxs``, cannot read the key and
refuses it.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from monitor.shared.codec import Malformed, decode
from monitor.shared.timestamps import is_instant

LATEST_CHANGE: Final = 1e11
"""POSIX seconds. Above this, floating point could not tell two changes apart that follow each
other."""

Kind: TypeAlias = Literal["reads", "commands", "makecall", "query"]
"""The kinds of request, each with a budget of its own. ``commands``: commands that change
something, without ``makecall``. ``query``: SQL."""


InstantForm: TypeAlias = Literal["milliseconds", "seconds"]
"""The form of the instants in the answers of queries: with milliseconds, or whole seconds."""


class Budgets(Struct, frozen=True):
    """Hold the requests of each kind that a key may make in a minute.

    0: no limit. None: the limit for keys in general.
    """

    reads: int | None = None
    commands: int | None = None
    makecall: int | None = None
    query: int | None = None

    def of(self, kind: Kind) -> int | None:
        """Return the budget for this kind."""
        found: int | None = getattr(self, kind)
        return found


USUAL = Budgets()

TENANT: Final = "tenant:"
"""Prefix of a tenant's name in a list of PBXs."""
EVERY_PBX: Final = "*"
"""The word for all PBXs."""
PBX_NAME: Final = "[a-z0-9][a-z0-9_-]{0,31}"
PBX_WORD: Final = rf"^(\*|(tenant:)?{PBX_NAME})$"
"""Pattern of a word in a key's list of PBXs: a PBX, ``tenant:`` and a tenant, or ``*`` for all."""
MOST_PBX_WORDS: Final = 1_000
_MARK: Final = "pbxs:"


class StoredKey(Struct, frozen=True):
    """Represent one change of an API key.

    ``changed_at``: POSIX seconds. ``expires``: an instant. ``extensions``, ``queues``, ``groups``:
    what the key is limited to; None if it is not limited in that kind. ``networks``: those from
    which the key may be used, as ``192.0.2.0/24``; empty for all. ``time``: the form of instants
    for requests that name none. ``pbxs``: the PBXs of a key for several; empty for a key of the one
    PBX with which it is stored.
    """

    name: str
    digest: Annotated[str, Meta(pattern=f"^({_MARK})?[0-9a-f]{{64}}$")]
    scopes: tuple[str, ...]
    changed_at: float
    expires: str | None = None
    extensions: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    networks: tuple[str, ...] = ()
    revoked: bool = False
    budgets: Budgets = USUAL
    time: InstantForm = "milliseconds"
    pbxs: Annotated[
        tuple[Annotated[str, Meta(pattern=PBX_WORD)], ...], Meta(max_length=MOST_PBX_WORDS)
    ] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(StoredKey)


def newest(key: StoredKey, other: StoredKey | None) -> StoredKey:
    """Return the newer of two changes of a key.

    If both have the same time, a revocation counts as the newer one, in any order of the arguments.
    """
    return key if other is None else max(key, other, key=_rank)


def _rank(key: StoredKey) -> tuple[float, bool, bytes]:
    return key.changed_at, key.revoked, _encoder.encode(key)


def encode_key(key: StoredKey) -> bytes:
    """Return the key in msgpack."""
    if key.pbxs:
        key = msgspec.structs.replace(key, digest=_MARK + key.digest)
    return _encoder.encode(key)


def decode_key(data: bytes) -> StoredKey:
    """Return the key that :func:`encode_key` wrote. Raises Malformed."""
    key = decode(_decoder, data, "a key")
    try:
        for network in key.networks:
            ip_network(network)
    except ValueError as error:
        raise Malformed(f"not a key: {error}") from error
    marked = key.digest.startswith(_MARK)
    if marked != bool(key.pbxs):
        raise Malformed("not a key: its digest does not fit the PBXs that it names")
    if marked:
        key = msgspec.structs.replace(key, digest=key.digest.removeprefix(_MARK))
    # A greater time could not be exceeded by a later change; NaN is never equal to itself.
    if not 0 <= key.changed_at <= LATEST_CHANGE:
        raise Malformed(f"not a key: changed_at is {key.changed_at}")
    if key.expires is not None and not is_instant(key.expires):
        raise Malformed(f"not a key: expires is {key.expires[:100]!r}, which is not a time")
    return key


def of_table(name: bytes | str, data: bytes) -> StoredKey:
    """Return the key that is stored under this name.

    Raises Malformed, also if the stored key has another name.
    """
    key = decode_key(data)
    if key.name.encode() != (name if isinstance(name, bytes) else name.encode()):
        raise Malformed(f"not the key of this name, but that of {key.name[:100]!r}")
    return key
