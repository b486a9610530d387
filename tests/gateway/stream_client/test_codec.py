"""Test what the client takes for a frame."""

from __future__ import annotations

import sys

import pytest

from gateway.stream_client import StreamClient, StreamMisconfigured
from gateway.stream_client.codec import NotAFrame, check_encoding, read_frame
from monitor.shared.codec import to_json, to_msgpack

FRAME = {"type": "change", "seq": 2**53 - 1, "upsert": {"calls": {"1": {"name": "Зоя \U0001f4de"}}}}


def test_both_encodings_say_the_same() -> None:
    assert read_frame(to_json(FRAME).decode()) == read_frame(to_msgpack(FRAME)) == FRAME


@pytest.mark.parametrize(
    "data",
    [
        *("", "{", "[]", "null", '{"at": NaN}', "[" * 100_000, "1" * 5_000),
        *(b"", b"\x81", b"\x90", b"\xc0", b"\xc7\x01\x05x", b"\xdf\xff\xff\xff\xff"),
        b"\x91" * 100_000,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_anything_else_is_no_frame(data: str | bytes) -> None:
    with pytest.raises(NotAFrame):
        read_frame(data)


def test_an_encoding_that_cannot_be_used_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StreamMisconfigured, match="'xml' is not an encoding: use 'json' or"):
        StreamClient("ws://127.0.0.1/webapi/stream", "key", ["calls"], "xml")  # type: ignore[arg-type]
    check_encoding("msgpack")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "msgpack", raising=False)
    with pytest.raises(StreamMisconfigured, match=r"pip install callmon-client\[msgpack\]"):
        check_encoding("msgpack")
