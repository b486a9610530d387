"""The id under which both sides' logs name a command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from gateway.rest.request_id import HEADER, begin, trace_of


def asking(value: bytes | None) -> Request:
    headers = [] if value is None else [(HEADER.lower().encode(), value)]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers})


@pytest.mark.parametrize("given", ["a", "9f86-d081.88_4c:7d/65+=@", "x" * 64])
def test_an_id_that_can_stand_in_a_line_is_taken(given: str) -> None:
    request = asking(given.encode())
    assert begin(request) == trace_of(request) == given


@pytest.mark.parametrize(
    "given", [None, b"", b"x" * 65, b"a b", b"a\tb", b"a\x1b[2J", b'"', "ж".encode(), b"a\n"]
)
def test_any_other_is_replaced(given: bytes | None) -> None:
    one, other = begin(asking(given)), begin(asking(given))
    assert one != other
    assert len(one) == len(other) == 16


@given(st.binary(max_size=80))
def test_no_id_can_forge_a_line_of_the_log(value: bytes) -> None:
    trace = begin(asking(value))
    assert trace.isascii()
    assert trace.isprintable()
    assert 0 < len(trace) <= 64
    assert not set(trace) & set(" \"'\\")


def test_a_query_has_none() -> None:
    assert trace_of(asking(b"given")) == ""
