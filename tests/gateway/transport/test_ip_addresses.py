"""Network addresses as clients and proxies write them."""

from __future__ import annotations

from gateway.transport.ip_addresses import held_by, parsed


def test_addresses_are_counted_by_what_one_may_have_of_them() -> None:
    assert held_by("203.0.113.7") == held_by("::ffff:203.0.113.7") == "203.0.113.7"
    assert held_by("2001:db8::1") == held_by("2001:db8::ffff:2") != held_by("2001:db8:0:1::1")
    assert {held_by(host) for host in ("127.0.0.1", "::1", "", "x" * 100)} == {None}
    assert parsed("1" * 100) is None
