"""Identify callers by API keys, and hold what each key may do and see.

A key is a random text that only its owner has. This module stores only its SHA-256. A random key
of 128 bits or more cannot be guessed from its digest. So no slow hash is needed, and every
request can afford the look-up. This module logs nothing, and nothing that it returns or raises
contains a key, except :func:`new_key` and :func:`bearer`.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import ip_address, ip_network
from itertools import chain

from msgspec.structs import asdict

from gateway.errors import (
    AddressRefused,
    KeyAmbiguous,
    KeyExpired,
    KeyMissing,
    KeyUnknown,
    NoKeys,
    ScopeMissing,
)
from gateway.visibility import NO_LIMITS, Limits, Visibility
from monitor.shared.api_keys import USUAL, Budgets, InstantForm, StoredKey

_KEY_BYTES = 24
_LONGEST_KEY = 256
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="callmon"'}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Hold what is known of a key. ``expires``: an instant; None if it never expires."""

    name: str
    digest: str
    pbx: str
    scopes: frozenset[str]
    expires: str | None = None
    limits: Limits = NO_LIMITS
    networks: tuple[str, ...] = ()
    """Networks from which the key may be used, such as ``192.0.2.0/24``; empty: all."""
    budgets: Budgets = USUAL
    time: InstantForm = "milliseconds"
    """Form of the instants in answers to queries that name none."""
    pbxs: tuple[str, ...] = ()
    """PBXs of a key for several: names of PBXs, ``tenant:`` and a tenant, ``*`` for all. Empty:
    the key is for ``pbx`` alone. Until one of several is chosen, ``pbx`` is :attr:`home`."""
    reach: frozenset[str] = frozenset()
    """The served PBXs that a key for several is for, once one of them is chosen."""
    stored_with: str = ""
    """Home of a key for several, once a PBX is chosen."""
    named: bool = True
    """False if a request with a key for several names no PBX. Then ``pbx`` is any of them, and only
    what is of all PBXs may be asked for."""

    @property
    def home(self) -> str:
        """Return the PBX with which the key is stored; empty for several in the settings."""
        return self.stored_with if self.reach else self.pbx

    @property
    def unchosen(self) -> ApiKey:
        """Return the key as the table holds it: without the PBX that was chosen."""
        if not self.reach:
            return self
        return replace(self, pbx=self.stored_with, reach=frozenset(), stored_with="", named=True)

    def admit(self, address: str) -> None:
        """Raise AddressRefused if the key may not be used from this address."""
        if not self.admits(address):
            raise AddressRefused(f"This key may not be used from this address, {address}.")

    def admits(self, address: str) -> bool:
        """Return whether the key may be used from this address."""
        if not self.networks:
            return True
        try:
            came = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(came, "ipv4_mapped", None)
        return any((mapped or came) in ip_network(network) for network in self.networks)

    @property
    def visibility(self) -> Visibility:
        """Return what the key's owner may see, in queries and stream alike."""
        return Visibility(self.limits, "contacts" in self.scopes)

    @property
    def pbxs_seen(self) -> frozenset[str]:
        """Return the PBXs whose summaries the key's owner may see, once a PBX is chosen."""
        return self.reach or frozenset({self.pbx})

    def sees(self, space: str) -> Visibility:
        """Return what the key's owner may see of a space, once a PBX is chosen."""
        seen = self.visibility
        return replace(seen, pbxs=self.pbxs_seen) if space == "fleet" else seen

    def require(self, scope: str) -> None:
        """Raise ScopeMissing if the key does not have this scope."""
        if scope not in self.scopes:
            raise ScopeMissing(
                f"This request needs a key with the scope {scope!r}; your key has: "
                f"{_listed(self.scopes)}."
            )


class KeyTable:
    """Hold all keys: the configured ones, and the followed ones of each PBX.

    None in place of keys: they are not loaded yet. Until then, and while the keys of a PBX cannot
    be read, :meth:`find` raises NoKeys for a key that it does not find.
    """

    def __init__(self, keys: Iterable[ApiKey] | None) -> None:
        self.version = 0
        """Number that changes with every change of the table."""
        self._keys: tuple[ApiKey, ...] | None = None if keys is None else tuple(keys)
        self._followed: dict[str, tuple[ApiKey, ...] | None] = {}
        self._unread: set[str] = set()
        """PBXs of which there may be newer keys than those that are held."""

    @property
    def loaded(self) -> bool:
        """Return whether the table is complete, so that keys can be judged by it."""
        return self._keys is not None and None not in self._followed.values()

    def replace(self, keys: Iterable[ApiKey]) -> tuple[ApiKey, ...]:
        """Replace the configured keys. Return the old ones that no longer hold unchanged."""
        before, self._keys = self._keys or (), tuple(keys)
        self.version += 1
        return tuple(key for key in before if key not in self._keys)

    def register_pbx(self, pbx: str) -> None:
        """Expect keys of this PBX from :meth:`set_keys`.

        Until they come, an unknown key may be one of them.
        """
        self._followed.setdefault(pbx, None)
        self.version += 1

    def set_keys(self, pbx: str, keys: Iterable[ApiKey]) -> None:
        """Replace the followed keys of this PBX."""
        self._followed[pbx] = tuple(keys)
        self._unread.discard(pbx)
        self.version += 1

    def doubt(self, pbx: str) -> None:
        """Note that this PBX's keys cannot be read now. What is held stays valid."""
        self._unread.add(pbx)

    def find(self, raw: str, now: str) -> ApiKey:
        """Return the key's entry. ``now``: an instant.

        Every entry is compared in constant time, even after a match. Raises NoKeys, KeyUnknown,
        KeyExpired.
        """
        if self._keys is None:
            raise NoKeys("The keys are not loaded yet; try again in a moment.")
        digest = sha256_hex(raw[:_LONGEST_KEY])
        found = None if len(raw) > _LONGEST_KEY else self._of(digest)
        return self._held(found, now, "This key is not known here.")

    def of_digest(self, digest: str, now: str) -> ApiKey:
        """Return the entry of the key with this digest, as a ticket names it.

        Raises NoKeys, KeyUnknown and KeyExpired as :meth:`find` does.
        """
        return self._held(self._of(digest), now, "The key of this ticket is no longer known.")

    def _of(self, digest: str) -> ApiKey | None:
        found: ApiKey | None = None
        for key in chain(self._keys or (), *(keys or () for keys in self._followed.values())):
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def _held(self, found: ApiKey | None, now: str, unknown: str) -> ApiKey:
        if found is None and not self.loaded:
            raise NoKeys("Not all keys are loaded yet; try again in a moment.")
        if found is None and self._unread:
            raise NoKeys("The newest keys cannot be read now; try again in a moment.")
        if found is None:
            raise KeyUnknown(unknown, _CHALLENGE)
        if found.expires is not None and found.expires <= now:
            raise KeyExpired(f"This key expired at {found.expires}.", _CHALLENGE)
        return found


def from_stored(key: StoredKey, pbx: str) -> ApiKey:
    """Return the entry for a stored key. ``pbx``: the PBX with which it is stored."""
    limits = Limits(
        *(
            None if kind is None else frozenset(kind)
            for kind in (key.extensions, key.queues, key.groups)
        )
    )
    return ApiKey(
        key.name,
        key.digest,
        pbx,
        frozenset(key.scopes),
        key.expires,
        limits,
        key.networks,
        key.budgets,
        key.time,
        key.pbxs,
    )


def to_stored(key: ApiKey, changed_at: float, *, revoked: bool = False) -> StoredKey:
    """Return the key in its stored form. ``changed_at``: POSIX seconds."""
    limits = key.limits
    kinds = (limits.extensions, limits.queues, limits.groups)
    extensions, queues, groups = (None if kind is None else tuple(sorted(kind)) for kind in kinds)
    scopes = tuple(sorted(key.scopes))
    return StoredKey(
        *(
            key.name,
            key.digest,
            scopes,
            changed_at,
            key.expires,
            extensions,
            queues,
            groups,
            key.networks,
            revoked,
            key.budgets,
            key.time,
            key.pbxs,
        )
    )


def authenticate(
    keys: KeyTable, raw: Iterable[str | None], now: str, scope: str | None = None
) -> ApiKey:
    """Return the entry of the key that a request gives.

    ``raw``: the key from each way to give it; None for a way that is not used. ``now``: an
    instant. Raises NoKeys, KeyMissing, KeyAmbiguous (different keys), KeyUnknown, KeyExpired.
    Raises ScopeMissing if ``scope`` is given and the key does not have it.
    """
    given = {key for key in raw if key}
    if len(given) != 1 and not keys.loaded:
        raise NoKeys("The keys are not loaded yet; try again in a moment.")
    if not given:
        raise KeyMissing(
            "A key is needed: /webapi/{key}/{command}, ?key=, Authorization: Bearer or X-API-Key.",
            _CHALLENGE,
        )
    if len(given) > 1:
        raise KeyAmbiguous("Two different keys were given.")
    key = keys.find(given.pop(), now)
    if scope is not None:
        key.require(scope)
    return key


def bearer(authorization: str | None) -> str | None:
    """Return the key in an ``Authorization`` header's value.

    Returns None if there is none, or if the header has another scheme.
    """
    scheme, _, credentials = (authorization or "").strip().partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


def new_key() -> str:
    """Return a new key: 192 random bits in 32 characters that need no escaping in an address."""
    return secrets.token_urlsafe(_KEY_BYTES)


def sha256_hex(raw: str) -> str:
    """Return the SHA-256 of a key in hexadecimal, as the table holds it."""
    return sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()


def toml_block(key: ApiKey) -> str:
    """Return the key's entry for the configuration file.

    The key itself is not in it: show it to its owner once.
    """
    lines = [
        "[[keys]]",
        f"name = {_toml(key.name)}",
        f"digest = {_toml(key.digest)}",
        f"pbxs = {_toml_list(key.pbxs)}" if key.pbxs else f"pbx = {_toml(key.pbx)}",
    ]
    lines.append(f"scopes = {_toml_list(key.scopes)}")
    if key.expires is not None:
        lines.append(f"expires = {key.expires}")
    if key.time != "milliseconds":
        lines.append(f"time = {_toml(key.time)}")
    if key.networks:
        lines.append(f"networks = {_toml_list(key.networks)}")
    budgets = {kind: budget for kind, budget in asdict(key.budgets).items() if budget is not None}
    if budgets:
        lines.extend(
            ("[keys.budgets]", *(f"{kind} = {budget}" for kind, budget in budgets.items()))
        )
    if key.limits.any:
        lines.append("[keys.limits]")
        kinds = (
            ("extensions", key.limits.extensions),
            ("queues", key.limits.queues),
            ("groups", key.limits.groups),
        )
        lines.extend(
            f"{kind} = {_toml_list(numbers)}" for kind, numbers in kinds if numbers is not None
        )
    return "\n".join(lines) + "\n"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)) or "none"


def _toml(text: str) -> str:
    escaped = "".join(
        f"\\u{ord(char):04x}" if ord(char) < 0x20 or char in '"\\\x7f' else char for char in text
    )
    return f'"{escaped}"'


def _toml_list(words: Iterable[str]) -> str:
    return f"[{', '.join(_toml(word) for word in sorted(words))}]"
