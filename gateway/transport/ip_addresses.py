"""Parse network addresses, as clients and proxies write them. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_LONGEST: Final = 64


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def parsed(text: str) -> Address | None:
    """Return the address, with a port or without one; None for anything else."""
    return _parsed(text) if len(text) <= _LONGEST else None


def held_by(host: str) -> str | None:
    """Return the address or network by which an address's connections are counted.

    An IPv6 address is counted by its /64 network. None: the connections are not counted, as the
    address is this host's or not an address.
    """
    address = parsed(host)
    if address is None or address.is_loopback:
        return None
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address)
