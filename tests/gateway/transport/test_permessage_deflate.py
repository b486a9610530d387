"""Test what a client can agree on, and that what it sends is inflated within bounds."""

from __future__ import annotations

import json
import sys
import zlib
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import NegotiationError, PayloadTooBig, ProtocolError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.typing import ExtensionParameter

from gateway.transport.compression import FLUSHED
from gateway.transport.permessage_deflate import SharedDeflate, SharedDeflateFactory

MOST = 64 * 1024
TEXT = json.dumps([{"number": number, "state": "Talking"} for number in range(200)]).encode()


def packed(data: bytes, bits: int = 15) -> bytes:
    """As a client sends it."""
    compressor = zlib.compressobj(wbits=-bits)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(FLUSHED)]


def inflated(*parts: bytes, most: int | None = MOST, deflate: SharedDeflate | None = None) -> bytes:
    """A message that comes in these parts."""
    deflate = SharedDeflate(15, 15) if deflate is None else deflate
    whole = b""
    for number, part in enumerate(parts):
        opcode = Opcode.CONT if number else Opcode.TEXT
        frame = Frame(opcode, part, number + 1 == len(parts), rsv1=not number)
        left = None if most is None else most - len(whole)
        found = deflate.decode(frame, max_size=left)
        assert (found.opcode, found.fin, found.rsv1) == (opcode, frame.fin, False)
        assert deflate.received == len(part)
        whole += bytes(found.data)
    return whole


OFFERS: list[tuple[list[ExtensionParameter], dict[str, str | None], int]] = [
    ([], {}, sys.maxsize),
    ([("client_max_window_bits", None)], {}, sys.maxsize),
    (
        [("client_max_window_bits", "10"), ("server_max_window_bits", "12")],
        {"client_max_window_bits": "10", "server_max_window_bits": "12"},
        4_096,
    ),
    ([("server_no_context_takeover", None), ("client_no_context_takeover", None)], {}, sys.maxsize),
]


@pytest.mark.parametrize(("offer", "besides", "window"), OFFERS)
def test_no_context_is_taken_over_whatever_a_client_offers(
    offer: list[ExtensionParameter], besides: dict[str, str | None], window: int
) -> None:
    answer, deflate = SharedDeflateFactory().process_request_params(offer, [])
    never = {"server_no_context_takeover": None, "client_no_context_takeover": None}
    assert dict(answer) == never | besides
    assert deflate.window == window


@pytest.mark.parametrize(
    "offer",
    [[("server_max_window_bits", "7")], [("mystery", None)], [("client_max_window_bits", "")]],
)
def test_an_offer_that_nobody_can_mean_is_declined(offer: list[ExtensionParameter]) -> None:
    with pytest.raises(NegotiationError):
        SharedDeflateFactory().process_request_params(offer, [])


@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("size", [10, 600, 4_000, 40_000])
def test_a_client_reads_what_is_compressed_whatever_its_window(bits: int, size: int) -> None:
    offered = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
    answer, deflate = SharedDeflateFactory().process_request_params(
        list(offered.get_request_params()), []
    )
    client = offered.process_response_params(answer, [])
    message = (TEXT * 10)[:size]
    for _ in range(2):
        sent = deflate.encode(Frame(Opcode.TEXT, message))
        assert sent.rsv1 == (size >= 600 and (bits == 15 or size <= 1 << bits))
        assert client.decode(sent).data == message
    ping = Frame(Opcode.PING, b"x" * 100)
    assert deflate.encode(ping) is ping
    part = Frame(Opcode.TEXT, TEXT, fin=False)
    assert deflate.encode(part) is part


@given(st.binary(max_size=2_000), st.lists(st.integers(0, 2_100), max_size=4))
def test_a_message_in_any_parts_is_inflated(data: bytes, cuts: list[int]) -> None:
    whole = packed(data * 3)
    ends = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    parts = [whole[a:b] for a, b in pairwise(ends)]
    assert inflated(*parts) == inflated(*parts, most=None) == data * 3


def test_messages_that_are_not_compressed_pass_between_others() -> None:
    deflate = SharedDeflate(15, 15)
    for _ in range(2):
        assert inflated(packed(TEXT[:-5]), packed(b"")[:0], deflate=deflate) == TEXT[:-5]
        plain = Frame(Opcode.TEXT, b"plain", fin=False)
        assert deflate.decode(plain, max_size=MOST) is plain
        rest = Frame(Opcode.CONT, b"rest")
        assert deflate.decode(rest, max_size=MOST) is rest


def test_a_control_frame_between_parts_is_left_alone() -> None:
    deflate, whole = SharedDeflate(15, 15), packed(TEXT)
    first = deflate.decode(Frame(Opcode.TEXT, whole[:90], False, rsv1=True), max_size=MOST)
    ping = Frame(Opcode.PING, b"ping")
    assert deflate.decode(ping, max_size=MOST) is ping
    last = deflate.decode(Frame(Opcode.CONT, whole[90:]), max_size=MOST)
    assert bytes(first.data) + bytes(last.data) == TEXT


@pytest.mark.parametrize("size", [MOST, MOST + 1, 10_000_000])
@pytest.mark.parametrize("in_parts", [False, True])
def test_nothing_is_inflated_beyond_the_bound(size: int, *, in_parts: bool) -> None:
    whole = packed(b"a" * size)
    parts = [whole[at : at + 20] for at in range(0, len(whole), 20)] if in_parts else [whole]
    if size <= MOST:
        assert len(inflated(*parts)) == size
        return
    with pytest.raises(PayloadTooBig):
        inflated(*parts)


def test_a_message_that_is_full_takes_nothing_more() -> None:
    """No bytes are left to it then, which zlib would take for any number."""
    compressor = zlib.compressobj(wbits=-15)
    full = compressor.compress(b"a" * MOST) + compressor.flush(zlib.Z_SYNC_FLUSH)
    more = compressor.compress(b"b" * 300) + compressor.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(PayloadTooBig):
        inflated(full, more[: -len(FLUSHED)])


def test_what_inflates_to_nothing_is_bounded_too() -> None:
    with pytest.raises(PayloadTooBig):
        inflated(*[(b"\x00" + FLUSHED) * 100] * 200)
    compressor = zlib.compressobj(wbits=-15)
    ended = compressor.compress(b"the end") + compressor.flush()
    with pytest.raises(PayloadTooBig):
        inflated(ended, *[b"x" * 1_000] * 100)


def test_a_message_may_end_with_a_last_block() -> None:
    compressor = zlib.compressobj(wbits=-15)
    ended = compressor.compress(TEXT) + compressor.flush()
    assert inflated(ended + b"\x00") == inflated(ended) == TEXT
    assert inflated(ended, b"\x00") == TEXT


@pytest.mark.parametrize("more", [b"\x01", packed(b"more"), b"\x00" * 9])
def test_what_stands_behind_the_last_block_is_not_dropped_in_silence(more: bytes) -> None:
    compressor = zlib.compressobj(wbits=-15)
    ended = compressor.compress(TEXT) + compressor.flush()
    with pytest.raises(ProtocolError, match="last block"):
        inflated(ended + more)


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_inflated_within_the_bound(garbage: bytes) -> None:
    with suppress(ProtocolError, PayloadTooBig):
        assert len(inflated(garbage, most=500)) <= 500


def test_the_bit_may_stand_in_the_first_part_alone() -> None:
    deflate, whole = SharedDeflate(15, 15), packed(TEXT)
    deflate.decode(Frame(Opcode.TEXT, whole[:90], False, rsv1=True), max_size=MOST)
    again = deflate.decode(Frame(Opcode.CONT, whole[90:], rsv1=True), max_size=MOST)
    with pytest.raises(ProtocolError):
        again.check()
