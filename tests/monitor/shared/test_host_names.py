"""Hosts as settings and requests name them."""

from __future__ import annotations

import pytest

from monitor.shared.host_names import as_named, host_in, host_of, is_address


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"localhost", "localhost"),
        (b"LOCALHOST.:8765", "localhost"),
        (b"127.0.0.1:8765", "127.0.0.1"),
        (b"[::1]:80", "[::1]"),
        (b"[::1]", "[::1]"),
        (b"localhost.evil.example", "localhost.evil.example"),
        (b"localhost:evil.example", ""),
        (b"[::1].evil.example", ""),
        (b"[::1", ""),
        (b"a@localhost", "a@localhost"),
        (b":8765", ""),
        (b"", ""),
    ],
)
def test_a_host_is_read_without_its_port(value: bytes, host: str) -> None:
    assert host_of(value) == host


@pytest.mark.parametrize(
    ("hosts", "named"),
    [([b"a:80"], "a"), ([], ""), ([b"a", b"a"], ""), ([b"a", b"evil"], "")],
)
def test_a_request_names_one_host(hosts: list[bytes], named: str) -> None:
    assert host_in([(b"accept", b"x"), *((b"host", host) for host in hosts)]) == named


@pytest.mark.parametrize(
    ("given", "named"),
    [("A.Example.", "a.example"), ("::1", "[::1]"), ("[::1]", "[::1]"), ("10.0.0.1", "10.0.0.1")],
)
def test_a_host_of_the_settings_is_kept_as_requests_name_it(given: str, named: str) -> None:
    assert as_named(given) == named == host_of(named.encode())
    assert is_address(named) == (given != "A.Example.")


@pytest.mark.parametrize("wrong", ["http://a", "a:80", "", "a b", "-a", "[::1", "::1]", "[[::1]]"])
def test_what_is_no_host_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="without scheme and port"):
        as_named(wrong)
