"""Own an API client's access token: mint it, renew it, give it out.

Rules:

- 3CX keeps one token of an API client alive: minting revokes the one before. So there is one
  owner, and one mint at a time.
- A token lives as long as ``exp`` and ``iat`` of the JWT say, less a second: they are whole ones.
  Its life is counted on our own monotonic clock. Neither our wall clock nor ``expires_in`` can be
  trusted. ``expires_in`` was in minutes up to 20.0.8 and is in seconds since. If there is no JWT, a
  value below 300 is taken for minutes.
- It is renewed in the last fifth of its life, at a random moment. If that fails, it is used on
  while it is still good.
- A token that is refused before its time was revoked: by a restart of the PBX, or by another
  program that mints for the same client. After the first time a new one is minted at once. If it
  happens again soon, minting waits, longer each time, and the error says what is wrong.
- If the secret was refused, minting waits too. The wait ends as soon as there is another secret.
- Nothing is minted unless ``may_mint`` allows it: two monitors of one client would revoke each
  other's token for ever.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import jwt

from monitor.pbx.counters import PbxCounters
from monitor.pbx.parsing.json_fields import END_OF_TIME
from monitor.shared.backoff import bound
from monitor.shared.errors import PbxError, PbxUnreachable, TokenRefused

MINUTES_BELOW = 300
"""An ``expires_in`` below this counts minutes."""
SUSPICIOUS_WITHIN_S = 300.0
"""Seconds between two early refusals of tokens within which they count together."""
_SHORTEST_HOLD_S, _LONGEST_HOLD_S = 1.0, 300.0
_EXPECTED_LIFE, _LONGEST_LIFE = 3600.0, 86_400.0
_TRY_RENEWAL_EVERY_S = 5.0
_ROUNDING_S = 1.0


@dataclass(frozen=True, slots=True)
class GrantedToken:
    """Hold the PBX's answer to a request for a token.

    ``expires_in``: as answered, in minutes or seconds.
    """

    access_token: str = field(repr=False)
    expires_in: float | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """Hold what a token says of its bearer; empty if it is not a JWT or says nothing."""

    roles: frozenset[str] = frozenset()
    max_role: str = ""
    issued: float | None = None
    """Time of minting on the PBX's clock: whole POSIX seconds."""


@dataclass(slots=True)
class _Token:
    text: str = field(repr=False)
    renew_at: float
    expires_at: float


class TokenOwner:
    """Give out the token and mint it.

    ``grant`` asks the PBX for a token. ``clock`` is monotonic. ``secret`` returns the secret that
    ``grant`` uses; it may change.
    """

    def __init__(
        self,
        grant: Callable[[], Awaitable[GrantedToken]],
        may_mint: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
        counters: PbxCounters | None = None,
        secret: Callable[[], str] = str,
    ) -> None:
        self._counters = PbxCounters() if counters is None else counters
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
        """Return a token that is good now and is not ``unlike``.

        ``unlike``: the token that was just refused. Raises TokenRefused if the PBX gives none, if
        this monitor may not mint, or while minting waits. Raises PbxUnreachable if the PBX did not
        answer.
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
        self._counters.tokens["revoked"] += 1
        if self._revoked and now - self._revoked[-1] > SUSPICIOUS_WITHIN_S:
            self._revoked.clear()
        self._revoked.append(now)
        if len(self._revoked) > 1:
            self._held(self._revoked_in_words(), self._hold_for(len(self._revoked) - 1))

    async def claims(self) -> Claims:
        """Return what the token says of its bearer. Raises as :meth:`get` does."""
        payload = _payload(await self.get())
        roles = payload.get("role", ())
        roles = (
            [roles] if isinstance(roles, str) else roles if isinstance(roles, list | tuple) else []
        )
        return Claims(
            frozenset(str(role) for role in roles),
            str(payload.get("MaxRole") or ""),
            _number(payload.get("iat")),
        )

    async def _minted(self, unlike: str | None, attempts: int) -> str:
        """Do the rest of :meth:`get`, one caller at a time.

        ``attempts``: the count of attempts when this caller began to wait.
        """
        token = self._usable(unlike)
        if token is not None and self._clock() < token.renew_at:
            return token.text
        if attempts != self._attempts and self._failure is not None:
            # An attempt failed while this caller waited: its error holds for this caller too.
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
        self._counters.tokens["minted"] += 1
        life = _life(granted)
        margin = life * self._chance.uniform(0.1, 0.2)
        self._token = _Token(granted.access_token, asked + life - margin, asked + life)
        return granted.access_token

    def _check_may_mint(self) -> None:
        another = self._denied_secret is not None and self._denied_secret != self._secret()
        if self._hold is not None and self._clock() < self._held_until and not another:
            raise self._hold.with_traceback(None)
        if not self._may_mint():
            raise TokenRefused("This monitor is not sure that it leads, so it asks for no token.")

    def _note_failure(self, error: PbxError, secret: str) -> None:
        self._failure = error
        self._counters.tokens["denied"] += 1
        if isinstance(error, PbxUnreachable):
            if error.retry_after is not None:
                self._held(error, error.retry_after)
        else:
            self._denied += 1
            self._held(error, self._hold_for(self._denied), secret)

    def _or_old(self, token: _Token | None, error: PbxError) -> str:
        """Return the old token if it is still good; else raise the error.

        The old token is due for renewal, but its life has not ended.
        """
        if token is None:
            raise error.with_traceback(
                None
            )  # the error may be raised many times: its traceback would grow
        token.renew_at = self._clock() + _TRY_RENEWAL_EVERY_S
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
        """Return a random wait in seconds, up to a bound that doubles every time (full jitter)."""
        return self._chance.uniform(0.0, bound(_SHORTEST_HOLD_S, times - 1, _LONGEST_HOLD_S))

    def _revoked_in_words(self) -> TokenRefused:
        return TokenRefused(
            f"Tokens are revoked before their time ({len(self._revoked)} in the last"
            f" {max(1, round(self._clock() - self._revoked[0]))} s): another program uses this "
            f"API client."
            " Give each program its own API client."
        )


def _life(granted: GrantedToken) -> float:
    """Return how many seconds the token lives from when it was asked for."""
    payload = _payload(granted.access_token)
    expires, issued = _number(payload.get("exp")), _number(payload.get("iat"))
    if expires is not None:
        life = expires - (issued if issued is not None else time.time())
        if life > 0:
            # A token of "1 s" counts half of it: it may still be good for a moment.
            return min(max(life - _ROUNDING_S, life / 2), _LONGEST_LIFE)
    given = granted.expires_in
    if given is None or given <= 0:
        return _EXPECTED_LIFE
    return min(given * 60 if given < MINUTES_BELOW else given, _LONGEST_LIFE)


def _payload(token: str) -> dict[str, object]:
    """Return the claims without verifying them; empty if the token is not a JWT.

    Only the PBX knows the token's key, and only the PBX has to believe the claims.
    """
    try:
        return dict(jwt.decode(token, options={"verify_signature": False}))
    except jwt.InvalidTokenError:
        return {}


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < END_OF_TIME else None
