"""Failures, and what is said when an address cannot be listened on."""

from __future__ import annotations

import errno
import socket

import pytest

from monitor.shared.errors import (
    NOT_BOUND,
    BusError,
    CallmonError,
    ConfigError,
    Fenced,
    PbxError,
    PbxGarbled,
    PbxRefused,
    PbxUnreachable,
    StartFailed,
    cannot_listen,
)


def bind_error(host: str, port: int) -> Exception:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as bound, pytest.raises(NOT_BOUND) as caught:
        bound.bind((host, port))
    return caught.value


def test_a_port_in_use_is_told_as_such() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        error = cannot_listen(
            "The gateway cannot listen on", "127.0.0.1", port, bind_error("127.0.0.1", port)
        )
    assert str(error) == (
        f"The gateway cannot listen on 127.0.0.1:{port}: another program listens there already; "
        "stop it or choose another port."
    )


@pytest.mark.parametrize(
    ("host", "port", "why"),
    [
        ("192.0.2.1", 8765, "this host has no such address"),
        ("127.0.0.1", 70_000, "a port is at most 65535"),
        ("no.such.host.invalid", 8765, "that name is not known"),
        ("a" * 70 + ".invalid", 8765, "that name is not known"),
    ],
)
def test_an_address_that_is_none_here_is_told_as_such(host: str, port: int, why: str) -> None:
    error = cannot_listen("X", host, port, bind_error(host, port))
    assert str(error).startswith(f"X {host}:{port}: {why}")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "may not use a port below 1024"),
        (OSError(errno.EAFNOSUPPORT, "Not supported"), "no addresses of that kind"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files; choose another port"),
        (OSError("words only"), "choose another port or host"),
    ],
)
def test_what_else_the_system_says_is_told_with_what_to_do(error: OSError, why: str) -> None:
    assert why in str(cannot_listen("X", "::1", 80, error))


def test_an_ipv6_address_is_told_from_its_port() -> None:
    assert str(cannot_listen("X", "::1", 80, OSError(errno.EACCES, ""))).startswith("X [::1]:80: ")


def test_what_to_do_about_a_failure_is_told_by_its_kind() -> None:
    """The tree in the module's text is what its users catch."""
    unusable = cannot_listen("X", "h", 1, OSError(errno.EADDRINUSE, ""))
    assert isinstance(unusable, StartFailed)
    assert isinstance(unusable, ConfigError)
    assert isinstance(PbxGarbled("x"), PbxUnreachable)
    assert not isinstance(PbxRefused("x", 400), PbxUnreachable)
    assert isinstance(Fenced("x"), BusError)
    for error in (unusable, PbxRefused("x", 400), Fenced("x")):
        assert isinstance(error, CallmonError)
    assert not issubclass(BusError, PbxError)
