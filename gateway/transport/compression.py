"""Compress what many clients get, once for all of them. Pure.

A message is compressed by itself: no byte of it depends on what was sent before. So its bytes are
the same for every client, and they stand in a WebSocket's message (RFC 7692, without context
takeover) as well as in a stream of gzip (RFC 1952).

What is small is not compressed, as little would be saved. What is very large is not compressed
either, as the event loop would stand still meanwhile.
"""

from __future__ import annotations

import struct
import zlib
from collections import OrderedDict
from functools import lru_cache
from typing import Final

SMALLEST_BYTES: Final = 512
"""Bytes of the smallest message that is compressed. Heartbeats are smaller."""
LARGEST_BYTES: Final = 1024 * 1024
"""Bytes of the largest message that is compressed; that takes some 10 ms."""
FLUSHED: Final = b"\x00\x00\xff\xff"
"""The bytes with which a sync flush ends. A WebSocket's message is sent without them."""
_KEPT: Final = 256
_KEPT_BYTES: Final = 8 * 1024 * 1024
_USUAL_BYTES: Final = 8 * 1024
"""Bytes up to which a small window suffices. Preparing a large one takes longer than compressing
so little. A higher level costs little there, and saves a tenth of what level 1 leaves."""
_LEVEL_USUAL, _WINDOW_BITS_USUAL, _MEMORY_USUAL = 6, 13, 7
_LEVEL_LARGE, _WINDOW_BITS_LARGE, _MEMORY_LARGE = 1, 15, 8

_GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK: Final = b"\x03\x00"
_LARGEST_STORED_BYTES: Final = 0xFFFF
_LONGEST_HEADER: Final = 256
"""Characters of an ``Accept-Encoding`` that is read; browsers send about 25."""


def compress(payload: bytes) -> bytes | None:
    """Return the payload compressed, up to its sync flush; None if that is not worth it.

    No distance in it is longer than the payload, so a window of that size can read it.
    """
    size = len(payload)
    if not SMALLEST_BYTES <= size <= LARGEST_BYTES:
        return None
    if size <= _USUAL_BYTES:
        level, bits, memory = _LEVEL_USUAL, _WINDOW_BITS_USUAL, _MEMORY_USUAL
    else:
        level, bits, memory = _LEVEL_LARGE, _WINDOW_BITS_LARGE, _MEMORY_LARGE
    compressor = zlib.compressobj(level, zlib.DEFLATED, -bits, memory)
    packed = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return packed[: -len(FLUSHED)] if len(packed) < size else None


class CompressedMessages:
    """Keep the last messages in their compressed form, so that each is compressed once.

    They are bounded in number and bytes; those not asked for the longest go first.
    """

    def __init__(self, most: int = _KEPT, most_bytes: int = _KEPT_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes | tuple[bytes, int], bytes | None] = OrderedDict()
        self.size = 0
        """Bytes of the messages that are kept, in both forms."""

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, payload: bytes, start: int = 0) -> bytes | None:
        """Return the same as :func:`compress`, made when it is first asked for.

        ``start``: bytes at the beginning that are left out.
        """
        if not SMALLEST_BYTES <= len(payload) <= LARGEST_BYTES:
            return None
        key = (payload, start) if start else payload
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        packed = self._kept[key] = compress(payload[start:] if start else payload)
        self.size += _bytes_of(key, packed)
        while self._kept and (len(self._kept) > self._most or self.size > self._most_bytes):
            self.size -= _bytes_of(*self._kept.popitem(last=False))
        return packed

    def behind(self, head: bytes, payload: bytes, start: int) -> bytes | None:
        """Return ``head`` and then the payload from ``start`` on, as one compressed message.

        The head is stored as it is. So the payload is compressed once, whatever stands before it.
        """
        packed = self.of(payload, start)
        return None if packed is None else _stored(head) + packed


MESSAGES: Final = CompressedMessages()
"""The messages of all streams of this process."""


def _bytes_of(key: bytes | tuple[bytes, int], packed: bytes | None) -> int:
    return len(key if isinstance(key, bytes) else key[0]) + len(packed or b"")


def gzipped(body: bytes) -> bytes | None:
    """Return the whole body in gzip; None if that is not worth it."""
    packed = compress(body)
    return None if packed is None else b"".join((_GZIP_HEAD, packed, FLUSHED, _end(body)))


class GzipStream:
    """Make one client's stream of gzip out of messages that all clients share.

    Whatever was sent can be read by the client at once, as each piece ends at a whole byte.
    """

    __slots__ = ("_checksum", "_head", "_size")

    def __init__(self) -> None:
        self._head = _GZIP_HEAD
        self._checksum = 0
        self._size = 0

    def pack(self, *parts: bytes) -> bytes:
        """Return what to send for these parts; large ones are compressed once for all clients.

        Call :meth:`sent` once it was sent.
        """
        if sum(map(len, parts)) < SMALLEST_BYTES:
            return self._head + _stored(b"".join(parts))
        return b"".join((self._head, *map(_block, parts)))

    def sent(self, *parts: bytes) -> None:
        """Count these parts in: the stream's end has a checksum of all that was sent."""
        self._head = b""
        for part in parts:
            self._checksum = zlib.crc32(part, self._checksum)
            self._size += len(part)

    def end(self) -> bytes:
        """Return the end of the stream."""
        return self._head + _LAST_BLOCK + _trailer(self._checksum, self._size)


def _block(part: bytes) -> bytes:
    packed = MESSAGES.of(part)
    return _stored(part) if packed is None else packed + FLUSHED


def _stored(data: bytes) -> bytes:
    """Return the data as blocks of deflate that are not compressed (RFC 1951, 3.2.4)."""
    pieces = (
        data[at : at + _LARGEST_STORED_BYTES] for at in range(0, len(data), _LARGEST_STORED_BYTES)
    )
    return b"".join(
        struct.pack("<BHH", 0, len(piece), len(piece) ^ _LARGEST_STORED_BYTES) + piece
        for piece in pieces
    )


def _end(body: bytes) -> bytes:
    return _LAST_BLOCK + _trailer(zlib.crc32(body), len(body))


def _trailer(checksum: int, size: int) -> bytes:
    return struct.pack("<II", checksum, size & 0xFFFFFFFF)


@lru_cache(maxsize=64)
def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.strip().removeprefix("q=").strip("0.") != "" or not weight.strip()
    return False


def takes_gzip(accepted: str) -> bool:
    """Return whether an ``Accept-Encoding`` has gzip and does not refuse it (RFC 9110, 12.5.3).

    A header that is longer than any program needs counts as one without gzip.
    """
    return len(accepted) <= _LONGEST_HEADER and _takes_gzip(accepted)
