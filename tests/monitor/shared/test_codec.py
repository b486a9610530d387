"""Test that JSON from a PBX is read where single texts in it are broken."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.shared.codec import Malformed, from_json, from_lenient_json


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"Ada \ud83d\ude00", "Ada \U0001f600"),
        (rb"Ada \ud83d", "Ada \ufffd"),
        (rb"\ude00 Ada", "\ufffd Ada"),
        (rb"\ude00\ud83d", "\ufffd\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\\ud83d", "\\ud83d"),
        (b"M\xfcller", "M\ufffdller"),
        (b"Ada\x01Byron", "Ada\x01Byron"),
        (b"Ada\tByron", "Ada\tByron"),
    ],
)
def test_one_broken_text_costs_itself_alone(written: bytes, read: str) -> None:
    assert from_lenient_json(b'["' + written + b'", 1]') == [read, 1]


def test_a_byte_order_mark_is_skipped() -> None:
    assert from_lenient_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert from_lenient_json('\ufeff{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"<html>", b"[1,]", b"[NaN]", b"[-Infinity]", b"[" * 100_000, b'["\\']
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        from_lenient_json(data)


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(_values, st.booleans())
def test_what_is_json_is_read_as_ever(value: object, ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert from_lenient_json(data) == from_json(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        from_lenient_json(data)
