"""Network addresses as clients and proxies write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transport.ip_addresses import held_by, parsed


def test_addresses_are_counted_by_what_one_may_have_of_them() -> None:
    assert held_by("203.0.113.7") == held_by("::ffff:203.0.113.7") == "203.0.113.7"
    assert held_by("2001:db8::1") == held_by("2001:db8::ffff:2") != held_by("2001:db8:0:1::1")
    assert {held_by(host) for host in ("127.0.0.1", "::1", "", "x" * 100)} == {None}
    assert parsed("1" * 100) is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_an_address_is_read_with_a_port_and_without_one(text: str, address: str) -> None:
    assert str(parsed(text)) == address


@pytest.mark.parametrize(
    "text", ["", "unknown", "_hidden", "203.0.113", "203.0.113.7.8", "[", "::g", "1:2", "0x7f.1"]
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parsed(text) is None


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_none(text: str) -> None:
    found = parsed(text)
    assert found is None or parsed(str(found)) == found
    assert held_by(text) is None or found is not None
