"""API keys: who asks, what he may do and what he may see.

A key is a random text that only its owner has; here only its SHA-256 stands. A random key of 128 bits or more cannot be
guessed from its digest, so no slow hash is needed and every request can afford the look-up. Nothing in this module
logs, and nothing it returns or raises contains a key.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import get_args

from gateway.commands_table import RESERVED, Scope
from gateway.errors import KeyAmbiguous, KeyExpired, KeyMissing, KeyUnknown, NoKeys, ScopeMissing
from gateway.visibility import NO_LIMITS, Limits, Visibility

SCOPES: tuple[Scope, ...] = get_args(Scope)

_KEY_BYTES = 24
_LONGEST_KEY = 256
_KEY = re.compile(r"[A-Za-z0-9._~-]{8,256}")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="callmon"'}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key. ``expires``: an instant, or None for never."""

    name: str
    digest: str
    pbx: str
    scopes: frozenset[str]
    expires: str | None = None
    limits: Limits = NO_LIMITS

    @property
    def visibility(self) -> Visibility:
        """What its owner may see, in queries and stream alike."""
        return Visibility(self.limits)

    def require(self, scope: str) -> None:
        """Raises ScopeMissing if the key has not this scope."""
        if scope not in self.scopes:
            raise ScopeMissing(f"This needs a key with the scope {scope!r}; yours has: {_listed(self.scopes)}.")


class KeyTable:
    """All keys. ``None`` in place of keys: they are not loaded yet, and nothing is said of any key until they are."""

    def __init__(self, keys: Iterable[ApiKey] | None) -> None:
        self._keys: tuple[ApiKey, ...] | None = None if keys is None else tuple(keys)

    @property
    def loaded(self) -> bool:
        """Whether there is a table to judge a key by."""
        return self._keys is not None

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """From now on these are the keys."""
        self._keys = tuple(keys)

    def find(self, raw: str, now: str) -> ApiKey:
        """The key's entry; ``now`` is an instant. Every entry is compared, whichever matches, in constant time.

        Raises NoKeys, KeyUnknown, KeyExpired.
        """
        if self._keys is None:
            raise NoKeys("The keys are not loaded yet; try again in a moment.")
        digest = digest_of(raw[:_LONGEST_KEY])
        found: ApiKey | None = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        if found is None or len(raw) > _LONGEST_KEY:
            raise KeyUnknown("This key is not known here.", _CHALLENGE)
        if found.expires is not None and found.expires <= now:
            raise KeyExpired(f"This key expired at {found.expires}.", _CHALLENGE)
        return found


def authenticate(keys: KeyTable, raw: Iterable[str | None], now: str, scope: str | None = None) -> ApiKey:
    """The entry of the key that a request gives, by whatever ways it gives it; ``None`` for a way not used.

    Raises NoKeys, KeyMissing, KeyAmbiguous (different keys), KeyUnknown, KeyExpired; ScopeMissing if ``scope`` is given
    and the key has it not.
    """
    given = {key for key in raw if key}
    if not keys.loaded:
        raise NoKeys("The keys are not loaded yet; try again in a moment.")
    if not given:
        raise KeyMissing(
            "A key is needed: /webapi/{key}/{command}, ?key=, Authorization: Bearer or X-API-Key.", _CHALLENGE
        )
    if len(given) > 1:
        raise KeyAmbiguous("Two different keys were given.")
    key = keys.find(given.pop(), now)
    if scope is not None:
        key.require(scope)
    return key


def bearer(authorization: str | None) -> str | None:
    """The key in an ``Authorization`` header's value; None if there is none or it is of another scheme."""
    scheme, _, credentials = (authorization or "").strip().partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


def new_key() -> str:
    """A fresh key: 192 random bits in 32 characters that need no escaping in an address."""
    return secrets.token_urlsafe(_KEY_BYTES)


def digest_of(raw: str) -> str:
    """The SHA-256 of a key in hexadecimal: what the table holds."""
    return sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()


def check_key(raw: str) -> None:
    """Raises ValueError, with a sentence, if this text cannot be a key: a chosen one might clash with an address."""
    if raw in RESERVED:
        raise ValueError(f"A key must not be {raw!r}: that is a command or an address of its own.")
    if not _KEY.fullmatch(raw):
        raise ValueError("A key has 8 to 256 characters, only letters, digits and . _ ~ -")


def toml_block(key: ApiKey) -> str:
    """The key's entry for the configuration file. The key itself is not in it: show it to its owner once."""
    lines = ["[[keys]]", f"name = {_toml(key.name)}", f"digest = {_toml(key.digest)}", f"pbx = {_toml(key.pbx)}"]
    lines.append(f"scopes = {_toml_list(key.scopes)}")
    if key.expires is not None:
        lines.append(f"expires = {key.expires}")
    if key.limits.any:
        lines.append("[keys.limits]")
        kinds = (("extensions", key.limits.extensions), ("queues", key.limits.queues), ("groups", key.limits.groups))
        lines.extend(f"{kind} = {_toml_list(numbers)}" for kind, numbers in kinds if numbers is not None)
    return "\n".join(lines) + "\n"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)) or "none"


def _toml(text: str) -> str:
    escaped = "".join(f"\\u{ord(char):04x}" if ord(char) < 0x20 or char in '"\\\x7f' else char for char in text)
    return f'"{escaped}"'


def _toml_list(words: Iterable[str]) -> str:
    return f"[{', '.join(_toml(word) for word in sorted(words))}]"
