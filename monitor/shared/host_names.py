"""Read the hosts that requests name, so that a server answers only for its own.

A page of any site can have its name lead to this computer (DNS rebinding). The browser then takes
our server for that site's, and lets the page read what is answered. But it tells the name: a server
that answers only for hosts that it knows cannot be reached so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
"""Hosts that no name from elsewhere can equal, and that lead to this computer alone."""
_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_HEADER: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+?)\.?(?::\d*)?")


def as_named(host: str) -> str:
    """Return a host as browsers name it in the header ``Host``.

    Raises ValueError if it is not a name or address, without repeating it.
    """
    host = host.lower().removesuffix(".")
    with suppress(ValueError):
        address = ip_address(_without_brackets(host))
        return str(address) if address.version == 4 else f"[{address}]"
    if not _NAME.fullmatch(host):
        raise ValueError(
            "no name or address of a host; write it without scheme and port, such as "
            "wall.example.com or 127.0.0.1"
        )
    return host


def is_address(host: str) -> bool:
    """Return whether the host of a header is an address, not a name."""
    with suppress(ValueError):
        return bool(ip_address(_without_brackets(host)))
    return False


def _without_brackets(host: str) -> str:
    """Return the address in brackets that are a pair, else ``host`` as it is."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def host_of(value: bytes) -> str:
    """Return the host of a header ``Host`` without its port, in small letters; empty if wrong."""
    match = _HEADER.fullmatch(value.decode("latin-1").strip().lower())
    return "" if match is None else match[1]


def host_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the host that a request names; empty if it names none or several."""
    hosts = [value for name, value in headers if name == b"host"]
    return host_of(hosts[0]) if len(hosts) == 1 else ""
