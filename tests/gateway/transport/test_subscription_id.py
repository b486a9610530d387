"""Test that a message gets an id and keeps all else, however it is sent."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transport import compression
from gateway.transport.compression import FLUSHED, SMALLEST_BYTES, CompressedMessages
from gateway.transport.subscription_id import IdHead, SubscriptionId
from gateway.transport.websocket_protocol import ReadyFrame
from monitor.shared.codec import to_json, to_msgpack
from tests.gateway.histories import decoded

IDS = st.text(min_size=1, max_size=64) | st.integers(0, 2**53 - 1)
FRAMES = st.dictionaries(
    st.sampled_from(("type", "seq", "epoch", "upsert", "x")),
    st.integers(0, 2**63 - 1) | st.text(max_size=700),
    min_size=1,
    max_size=14,
)


def message_in(frame: bytes) -> str | bytes:
    """The message in a WebSocket frame of a server (RFC 6455, RFC 7692)."""
    size, at = frame[1], 2
    if size >= 126:
        at = 4 if size == 126 else 10
        size = int.from_bytes(frame[2:at])
    assert len(frame) == at + size
    payload = frame[at:]
    if frame[0] & 0x40:
        payload = zlib.decompressobj(-15).decompress(payload + FLUSHED)
    return payload.decode() if frame[0] & 15 == 1 else payload


@given(FRAMES, IDS, st.booleans())
def test_a_message_with_an_id_says_the_same_and_the_id_first(
    frame: dict[str, Any], id_: SubscriptionId, text: bool
) -> None:
    message = to_json(frame).decode() if text else to_msgpack(frame)
    expected = {"id": id_, **frame}
    whole = IdHead(id_).whole(message)
    assert decoded(whole) == expected
    assert next(iter(decoded(whole))) == "id"
    ready = ReadyFrame(message).named(IdHead(id_))
    for sent in (ready.plain, ready.compressed()):
        assert message_in(sent) == whole
    assert ready.size == len(whole.encode() if isinstance(whole, str) else whole)


def test_what_follows_the_head_is_compressed_once_whatever_the_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []
    compress = compression.compress

    def counted(payload: bytes) -> bytes | None:
        made.append(len(payload))
        return compress(payload)

    monkeypatch.setattr(compression, "compress", counted)
    payload = to_json({"type": "change", "upsert": "words and words " * 200})
    messages = CompressedMessages()
    plain = messages.of(payload)
    for id_ in ("a", "b", 7, "a"):
        head = IdHead(id_).before(payload, text=True)
        packed = messages.behind(head, payload, 1)
        assert packed is not None
        assert zlib.decompressobj(-15).decompress(packed + FLUSHED) == head + payload[1:]
    assert made == [len(payload), len(payload) - 1]
    assert plain == compress(payload)


def test_what_is_small_is_not_compressed_with_an_id_either() -> None:
    small = b"{" + b"x" * (SMALLEST_BYTES - 2)
    assert CompressedMessages().behind(b'{"id":1,', small, 1) is None


def test_a_frame_keeps_the_last_id_that_was_asked_for() -> None:
    ready = ReadyFrame('{"type":"heartbeat"}')
    first = ready.named(IdHead("a"))
    assert ready.named(IdHead("a")) is first
    assert message_in(ready.named(IdHead(1)).plain) == '{"id":1,"type":"heartbeat"}'
    assert message_in(ready.named(IdHead("1")).plain) == '{"id":"1","type":"heartbeat"}'
