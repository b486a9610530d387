"""The one owner of an API client's access token.

Rules:

- 3CX keeps one token an API client alive: minting revokes the one before. So there is one owner, and one mint at a
  time.
- A token lives as long as ``exp`` and ``iat`` of the JWT say, counted on our own monotonic clock: neither our wall
  clock nor ``expires_in`` is to be trusted. The latter's unit was minutes up to 20.0.8 and is seconds since; where
  there is no JWT, a value below 300 is taken for minutes.
- It is renewed in the last fifth of its life, at a random moment, and used on if that fails while it is still good.
- One refused before its time was revoked: by a restart of the PBX, or by somebody who mints for the same client. The
  first is answered by minting at once; when it happens again soon, minting waits, longer each time, and the error says
  what is the matter.
- Who was refused for the secret need not wait longer once there is another one.
- Nothing is minted unless ``may_mint`` says so: two monitors of one client would revoke each other's token for ever.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import jwt

from monitor.pbx.counters import PbxCounters
from monitor.shared.errors import PbxError, PbxUnreachable, TokenRefused

MINUTES_BELOW = 300
"""An ``expires_in`` below this counts minutes."""
SUSPICIOUS_WITHIN = 300.0
"""Seconds: tokens refused before their time count together if no more than this lies between two of them."""
_SHORTEST_HOLD, _LONGEST_HOLD = 1.0, 300.0
_EXPECTED_LIFE, _LONGEST_LIFE = 3600.0, 86_400.0
_TRY_RENEWAL_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class GrantedToken:
    """The PBX's answer to a request for a token. ``expires_in``: as answered, in whatever unit."""

    access_token: str = field(repr=False)
    expires_in: float | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says of its bearer; empty where it is no JWT or says nothing."""

    roles: frozenset[str] = frozenset()
    max_role: str = ""
    issued: float | None = None
    """When it was minted, by the PBX's clock: POSIX seconds, whole ones."""


@dataclass(slots=True)
class _Token:
    text: str = field(repr=False)
    renew_at: float
    expires_at: float


class TokenOwner:
    """Gives out the token and mints it. ``grant`` asks the PBX for one; ``clock`` is monotonic.

    ``secret``: gives the one that ``grant`` asks with; it may change.
    """

    def __init__(
        self,
        grant: Callable[[], Awaitable[GrantedToken]],
        may_mint: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
        measures: PbxCounters | None = None,
        secret: Callable[[], str] = str,
    ) -> None:
        self._measures = PbxCounters() if measures is None else measures
        self._secret = secret
        self._denied_secret: str | None = None
        self._grant, self._may_mint, self._clock = grant, may_mint, clock
        self._chance = chance or random.Random()  # noqa: S311 - jitter, nothing secret
        self._token: _Token | None = None
        self._minting = asyncio.Lock()
        self._attempts = 0
        self._failure: PbxError | None = None
        self._held_until = 0.0
        self._hold: PbxError | None = None
        self._denied = 0
        self._revoked: list[float] = []

    async def get(self, unlike: str | None = None) -> str:
        """A token that is good now, and another than ``unlike``. Whoever was refused with one gives it as ``unlike``.

        Raises TokenRefused if the PBX gives none, this monitor may not mint, or minting waits; PbxUnreachable if the
        PBX did not answer.
        """
        token = self._usable(unlike)
        if token is not None and self._clock() < token.renew_at:
            return token.text
        attempts = self._attempts
        async with self._minting:
            return await self._minted(unlike, attempts)

    def refused(self, token: str) -> None:
        """Take note that the PBX answered 401 to this token."""
        current, now = self._token, self._clock()
        if current is None or current.text != token:
            return
        self._token = None
        if now >= current.expires_at:
            return
        self._measures.tokens["revoked"] += 1
        if self._revoked and now - self._revoked[-1] > SUSPICIOUS_WITHIN:
            self._revoked.clear()
        self._revoked.append(now)
        if len(self._revoked) > 1:
            self._held(self._revoked_in_words(), self._hold_for(len(self._revoked) - 1))

    async def claims(self) -> Claims:
        """What the token says of its bearer. Raises as :meth:`get` does."""
        payload = _payload(await self.get())
        roles = payload.get("role", ())
        roles = [roles] if isinstance(roles, str) else roles if isinstance(roles, list | tuple) else []
        return Claims(
            frozenset(str(role) for role in roles), str(payload.get("MaxRole") or ""), _number(payload.get("iat"))
        )

    async def _minted(self, unlike: str | None, attempts: int) -> str:
        """The rest of :meth:`get`, one caller at a time; ``attempts``: how many there were when he began to wait."""
        token = self._usable(unlike)
        if token is not None and self._clock() < token.renew_at:
            return token.text
        if attempts != self._attempts and self._failure is not None:
            # What one caller found out while others waited for him is true for them too.
            return self._or_old(token, self._failure)
        try:
            return await self._mint()
        except PbxError as error:
            return self._or_old(token, error)

    async def _mint(self) -> str:
        self._check_may_mint()
        self._failure = None
        asked, secret = self._clock(), self._secret()
        try:
            granted = await self._grant()
        except PbxError as error:
            self._note_failure(error, secret)
            raise
        finally:
            self._attempts += 1
        self._denied = 0
        self._measures.tokens["minted"] += 1
        life = _life(granted)
        margin = life * self._chance.uniform(0.1, 0.2)
        self._token = _Token(granted.access_token, asked + life - margin, asked + life)
        return granted.access_token

    def _check_may_mint(self) -> None:
        another = self._denied_secret is not None and self._denied_secret != self._secret()
        if self._hold is not None and self._clock() < self._held_until and not another:
            raise self._hold.with_traceback(None)
        if not self._may_mint():
            raise TokenRefused("This monitor is not sure to be the one in charge, and mints no token.")

    def _note_failure(self, error: PbxError, secret: str) -> None:
        self._failure = error
        self._measures.tokens["denied"] += 1
        if isinstance(error, PbxUnreachable):
            if error.retry_after is not None:
                self._held(error, error.retry_after)
        else:
            self._denied += 1
            self._held(error, self._hold_for(self._denied), secret)

    def _or_old(self, token: _Token | None, error: PbxError) -> str:
        """The old token if it is still good, though it should have been renewed by now; else the error."""
        if token is None:
            raise error.with_traceback(None)  # it may be raised many times and would grow
        token.renew_at = self._clock() + _TRY_RENEWAL_EVERY
        return token.text

    def _usable(self, unlike: str | None) -> _Token | None:
        token = self._token
        if token is None or token.text == unlike or self._clock() >= token.expires_at:
            return None
        return token

    def _held(self, why: PbxError, seconds: float, secret: str | None = None) -> None:
        self._hold, self._denied_secret = why, secret
        self._held_until = self._clock() + seconds

    def _hold_for(self, times: int) -> float:
        """Full jitter: anything up to a bound that doubles with every time."""
        return self._chance.uniform(0.0, min(_LONGEST_HOLD, _SHORTEST_HOLD * 2 ** min(times - 1, 10)))

    def _revoked_in_words(self) -> TokenRefused:
        return TokenRefused(
            f"Tokens are revoked before their time ({len(self._revoked)} in the last"
            f" {max(1, round(self._clock() - self._revoked[0]))} s): another program uses this API client."
            " Give each program an API client of its own."
        )


def _life(granted: GrantedToken) -> float:
    """How many seconds the token lives from when it was asked for."""
    payload = _payload(granted.access_token)
    expires, issued = _number(payload.get("exp")), _number(payload.get("iat"))
    if expires is not None:
        life = expires - (issued if issued is not None else time.time())
        if life > 0:
            return min(life, _LONGEST_LIFE)
    given = granted.expires_in
    if given is None or given <= 0:
        return _EXPECTED_LIFE
    return min(given * 60 if given < MINUTES_BELOW else given, _LONGEST_LIFE)


def _payload(token: str) -> dict[str, object]:
    """The claims, not verified: only the PBX that made the token knows its key, and only it has to believe them."""
    try:
        return dict(jwt.decode(token, options={"verify_signature": False}))
    except jwt.InvalidTokenError:
        return {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
