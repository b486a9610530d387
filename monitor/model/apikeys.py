"""API keys as they are stored and mirrored: only their digests. Pure.

The newest change of a key wins, wherever it is found; a revoked key stays as a change, so that no older one returns.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from monitor.model.wire import Malformed


class StoredKey(Struct, frozen=True):
    """A key. ``changed_at``: POSIX seconds. ``expires``: an instant. The limits: None for none of that kind.

    ``networks``: those from which it may be used, as ``192.0.2.0/24``; none for all.
    """

    name: str
    digest: str
    scopes: tuple[str, ...]
    changed_at: float
    expires: str | None = None
    extensions: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    networks: tuple[str, ...] = ()
    revoked: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(StoredKey)


def encode_key(key: StoredKey) -> bytes:
    """The key in msgpack."""
    return _encoder.encode(key)


def decode_key(data: bytes) -> StoredKey:
    """Raises Malformed."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"not a key: {error}") from error
