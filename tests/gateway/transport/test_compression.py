"""Test that what is compressed once for all is what each client reads, at once."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transport.compression import (
    FLUSHED,
    LARGEST_BYTES,
    SMALLEST_BYTES,
    CompressedMessages,
    GzipStream,
    compress,
    gzipped,
    takes_gzip,
)

SIZES = (
    *(SMALLEST_BYTES, 1_000, 4_096, 4_097, 8_192, 8_193, 32_768, 32_769, 65_536, 300_000),
    LARGEST_BYTES,
)


def text(size: int) -> bytes:
    """Like the stream's frames: the same words again and again, far apart too."""
    words = [f'"{random.Random(number).random()}":true,' for number in range(400)]
    chosen = random.Random(size)
    return "".join(chosen.choice(words) for _ in range(size // 20 + 1)).encode()[:size]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_smaller_and_a_window_of_its_own_size_reads_it(size: int) -> None:
    payload = text(size)
    packed = compress(payload)
    assert packed is not None
    assert len(packed) < len(payload)
    bits = min(15, max(8, (size - 1).bit_length()))
    assert zlib.decompressobj(-bits).decompress(packed + FLUSHED) == payload


@pytest.mark.parametrize("size", [0, 1, SMALLEST_BYTES - 1, LARGEST_BYTES + 1])
def test_small_and_giant_messages_are_not_compressed(size: int) -> None:
    assert compress(b"a" * size) is None
    assert CompressedMessages().of(b"a" * size) is None


def test_a_message_that_would_grow_is_not_compressed() -> None:
    assert compress(random.Random(1).randbytes(10_000)) is None


def test_a_message_is_compressed_once_and_kept_within_bounds() -> None:
    kept = CompressedMessages(most=2, most_bytes=40_000)
    first, second, third = text(2_000), text(2_001), text(2_002)
    assert kept.of(first) is kept.of(bytes(bytearray(first)))
    kept.of(second)
    again = kept.of(first)
    kept.of(third)
    assert len(kept) == 2
    assert kept.of(first) is again, "it was asked for last, so the other one went"
    large = random.Random(1).randbytes(38_000)
    assert kept.of(large) is None
    assert (len(kept), kept.size <= 40_000) == (1, True)
    assert kept.of(text(50_000)) == compress(text(50_000)), "too large to be kept"
    assert (len(kept), kept.size) == (0, 0)


def test_an_answer_in_gzip_is_the_answer() -> None:
    for size in SIZES:
        packed = gzipped(text(size))
        assert packed is not None
        assert gzip.decompress(packed) == text(size)
    assert gzipped(b"{}") is None


@given(st.lists(st.lists(st.sampled_from([0, 1, 60, 600, 5_000, 70_000]), max_size=3), max_size=8))
def test_each_piece_of_a_stream_can_be_read_at_once(pieces: list[list[int]]) -> None:
    stream, reader, sent, whole = GzipStream(), zlib.decompressobj(31), b"", b""
    for sizes in pieces:
        parts = [text(size) for size in sizes]
        assert reader.copy().decompress(stream.pack(b"never sent")) == b"never sent"
        piece = stream.pack(*parts)
        stream.sent(*parts)
        assert reader.decompress(piece) == b"".join(parts)
        sent, whole = sent + piece, whole + b"".join(parts)
    assert gzip.decompress(sent + stream.end()) == whole


def test_a_large_part_that_cannot_be_compressed_is_stored_in_pieces() -> None:
    noise = random.Random(1).randbytes(200_000)
    stream = GzipStream()
    piece = stream.pack(b"a: ", noise)
    stream.sent(b"a: ", noise)
    assert gzip.decompress(piece + stream.end()) == b"a: " + noise


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("gzip, deflate, br, zstd", True),
        ("GZIP;q=0.5", True),
        ("br;q=1, *", True),
        ("gzip; q=0.001", True),
        ("", False),
        ("identity", False),
        ("br, gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("xgzip", False),
        ("x," * 200 + "gzip", False),
    ],
)
def test_who_takes_gzip_says_so(accepted: str, *, taken: bool) -> None:
    assert takes_gzip(accepted) is taken
