"""Issue tokens of the simulated PBX: for API clients and for people who log in.

API clients use OAuth2 client credentials, as 3CX v20 does. Rules:

- A client has one live token. When it requests another, the earlier one is invalid at once.
- A token lives ``lifetime`` seconds, rounded up to whole ones as the ``exp`` of a JWT is. Then it
  is invalid.
- ``expires_in`` counts seconds or minutes, as the switch says. ``exp`` inside the token is always
  right.
- A person (an extension with the password of the web client) may have several tokens. Each comes
  with a refresh token, which can be exchanged for another token. Refresh tokens live sixty days and
  survive a restart.
- An administrator's refresh token can be exchanged for the token of another person
  (``impersonate``). Such a token has the role ``Impersonate``.
- A token is an ES256 JWT with ``role`` and ``MaxRole`` claims. Its key is made when the PBX starts,
  so no access token survives a restart.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates import ROLES

Licence: TypeAlias = Literal["enterprise", "professional"]

_ROLES: Final = (
    "MyUser",
    "Admin",
    "GlobalAdmin",
    "MachineAdmin",
    "PhoneSystemAdmin",
    "Users",
    "Trunks",
    "Reports",
)
_ADMINISTRATORS: Final = ("system_admins", "system_owners")
_FULL_LICENCE: Final = ("Paid", "Enterprise")
_SIXTY_DAYS: Final = 60 * 86400.0
_MOST: Final = 1_000
"""Maximum number of people's tokens, and of refresh tokens. The oldest are forgotten first."""


class GrantRefused(Exception):
    """Signal that a request gets no token.

    ``status`` is HTTP's, ``error`` is OAuth2's word (RFC 6749, section 5.2).
    """

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error


@dataclass(frozen=True, slots=True)
class Principal:
    """Represent the owner of a token: an API client, or a person by the extension's number.

    ``expires``: POSIX seconds.
    """

    client_id: str
    roles: frozenset[str]
    max_role: str
    expires: float
    person: bool = False


@dataclass(frozen=True, slots=True)
class RefreshGrant:
    """Represent a person's login, which lasts while its refresh token does. POSIX seconds."""

    id: int
    number: str
    created: float
    expires: float


class Tokens:
    """Issue and check tokens. ``clock`` returns POSIX seconds.

    Clients' secrets are in ``directory.secrets``, by client id.
    """

    def __init__(
        self,
        directory: Directory,
        switches: Switches,
        clock: Callable[[], float],
        lifetime: float = 3600,
        licence: Licence = "enterprise",
    ) -> None:
        self.lifetime = lifetime
        self.licence = licence
        self.minted = 0
        """Number of tokens issued so far."""
        self._directory = directory
        self._switches = switches
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._principals: dict[str, Principal] = {}
        self._token_of: dict[str, str] = {}
        self._refresh: dict[str, RefreshGrant] = {}
        self._last_login = 0
        self._on_expire: list[Callable[[], None]] = []

    def grant(self, form: Mapping[str, str], cookie: str = "") -> dict[str, object]:
        """Return the answer to ``POST /connect/token`` with these fields. Raises GrantRefused.

        ``cookie``: the refresh token from the cookie. It is used if the fields hold none.
        """
        match form.get("grant_type"):
            case "client_credentials":
                return self._mint(self._authenticated(form))
            case "refresh_token":
                return self._refreshed(
                    form.get("refresh_token") or cookie, form.get("impersonate") or ""
                )
            case None | "":
                raise GrantRefused(
                    400, "invalid_request", "The mandatory 'grant_type' parameter is missing."
                )
            case other:
                raise GrantRefused(
                    400, "unsupported_grant_type", f"The grant type '{other}' is not supported."
                )

    def principal(self, token: str) -> Principal | None:
        """Return the owner of a token, or None if the token is unknown, revoked or expired."""
        found = self._principals.get(token)
        return found if found is not None and found.expires > self._clock() else None

    def log_in(self, number: str, password: str) -> dict[str, object] | None:
        """Return tokens for a person, or None if number and password are wrong.

        ``number``: the extension or e-mail address. ``password``: that of the web client.
        """
        users = self._directory.users.values()
        user = next(
            (one for one in users if number and number in (one["Number"], one["EmailAddress"])),
            None,
        )
        known = str(user["AccessPassword"] or "") if user is not None and user["Enabled"] else ""
        if user is None or not hmac.compare_digest(password.encode(), known.encode()) or not known:
            return None
        token = jwt.encode(
            {"sub": user["Number"], "jti": uuid4().hex}, self._key, algorithm="ES256"
        )
        while len(self._refresh) >= _MOST:
            del self._refresh[next(iter(self._refresh))]
        self._last_login += 1
        now = self._clock()
        self._refresh[token] = RefreshGrant(
            self._last_login, user["Number"], now, now + _SIXTY_DAYS
        )
        return self._for_person(user["Number"], token)

    def log_out(self, token: str, refresh_token: str) -> None:
        """Make a person's tokens invalid."""
        self._principals.pop(token, None)
        self._refresh.pop(refresh_token, None)

    def logins(self) -> list[RefreshGrant]:
        """Return the logins of all persons, oldest first."""
        now = self._clock()
        return [one for one in self._refresh.values() if one.expires > now]

    def end_login(self, login_id: int, number: str | None = None) -> bool:
        """Make a refresh token invalid, of one person or of anybody (None).

        Return False if there is none.
        """
        for token, one in self._refresh.items():
            if one.id == login_id and number in (None, one.number):
                del self._refresh[token]
                return True
        return False

    def expire(self) -> None:
        """Let every token expire now."""
        now = self._clock()
        self._principals = {
            token: replace(who, expires=now) for token, who in self._principals.items()
        }
        for callback in self._on_expire:
            callback()

    def revoke(self) -> None:
        """Make all tokens invalid, as if another process had got new ones for every client."""
        self._principals.clear()
        self._token_of.clear()

    def restart(self) -> None:
        """Change the signing key and revoke all tokens, as a restart of the PBX does."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.revoke()

    def on_expire(self, callback: Callable[[], None]) -> None:
        """Register a callable that is called by :meth:`expire`.

        It is not called when a token expires in its own time.
        """
        self._on_expire.append(callback)

    def _authenticated(self, form: Mapping[str, str]) -> str:
        client_id, secret = form.get("client_id"), form.get("client_secret")
        if not client_id or not secret:
            missing = "client_id" if not client_id else "client_secret"
            raise GrantRefused(
                400, "invalid_request", f"The mandatory '{missing}' parameter is missing."
            )
        known = self._directory.secrets.get(client_id, "")
        right = hmac.compare_digest(secret.encode(), known.encode())
        if not known or not right or self._directory.entity(client_id) is None:
            raise GrantRefused(
                401, "invalid_client", "The specified client credentials are invalid."
            )
        return client_id

    def _refreshed(self, token: str, impersonated: str) -> dict[str, object]:
        grant = self._refresh.get(token)
        user = self._directory.entity(grant.number) if grant is not None else None
        if grant is None or grant.expires <= self._clock() or not (user and user["Enabled"]):
            raise GrantRefused(400, "invalid_grant", "The specified refresh token is invalid.")
        if not impersonated:
            return self._for_person(grant.number, token)
        if impersonated not in self._directory.extensions():
            raise GrantRefused(400, "invalid_request", "There is no such extension.")
        if self._rank(grant.number) not in _ADMINISTRATORS:
            raise GrantRefused(403, "access_denied", "Only an administrator may impersonate.")
        return self._for_person(impersonated, token, "Impersonate")

    def _for_person(self, number: str, refresh_token: str, *more: str) -> dict[str, object]:
        for old in [old for old, who in self._principals.items() if who.person][: 1 - _MOST]:
            del self._principals[old]
        granted = self._token(number, *more, person=True)[1]
        return {**granted, "refresh_token": refresh_token}

    def _mint(self, client_id: str) -> dict[str, object]:
        self._principals.pop(self._token_of.get(client_id, ""), None)
        self._token_of[client_id], answer = self._token(client_id)
        return answer

    def _token(
        self, client_id: str, *more: str, person: bool = False
    ) -> tuple[str, dict[str, object]]:
        now = self._clock()
        expires = math.ceil(now + self.lifetime)
        rank = self._rank(client_id)
        own = _ROLES if not person or rank in _ADMINISTRATORS else _ROLES[:1]
        roles = (*own, *more, *(_FULL_LICENCE if self.licence == "enterprise" else ("Paid",)))
        claims = {
            "iss": f"https://{self._directory.fqdn}",
            "aud": "XAPI",
            "sub": client_id,
            "unique_name": client_id,
            "client_id": client_id,
            "role": list(roles),
            "MaxRole": rank,
            "jti": uuid4().hex,
            "nbf": int(now),
            "iat": int(now),
            "exp": expires,
        }
        token = jwt.encode(claims, self._key, algorithm="ES256")
        self._principals[token] = Principal(
            client_id, frozenset(roles), rank, float(expires), person
        )
        self.minted += 1
        return token, {
            "token_type": "Bearer",
            "expires_in": self._expires_in(),
            "access_token": token,
            "refresh_token": None,
        }

    def _expires_in(self) -> int:
        unit = 60 if self._switches.expires_in == "minutes" else 1
        return max(1, int(self.lifetime) // unit)

    def _rank(self, client_id: str) -> str:
        entity = self._directory.entity(client_id) or {}
        names = [row["Rights"]["RoleName"] for row in entity.get("Groups", ())]
        return max((name for name in names if name in ROLES), key=ROLES.index, default=ROLES[0])
