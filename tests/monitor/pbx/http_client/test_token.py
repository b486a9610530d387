from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.counters import PbxCounters
from monitor.pbx.http_client.token import GrantedToken, TokenOwner
from monitor.shared.errors import PbxUnreachable, TokenRefused

_KEY = "k" * 32


class Pbx:
    """Gives tokens; what it does next is scripted.

    ``now`` is the monotonic clock of the owner under test.
    """

    def __init__(self, may_mint: Callable[[], bool] = lambda: True) -> None:
        self.now = 1000.0
        self.minted = 0
        self.life = 3600.0
        self.pbx_clock_ahead = 0.0
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.secret = "the first"
        self.owner = TokenOwner(
            self.grant, may_mint, lambda: self.now, random.Random(1), secret=lambda: self.secret
        )

    async def grant(self) -> GrantedToken:
        if self.gate is not None:
            await self.gate.wait()
        self.minted += 1
        if self.error is not None:
            raise self.error
        issued = 1_800_000_000 + self.now + self.pbx_clock_ahead
        claims = {
            "iat": issued,
            "exp": issued + self.life,
            "jti": str(self.minted),
            "role": ["Users", "Paid"],
        }
        return GrantedToken(jwt.encode(claims, _KEY), 60)


async def test_a_token_is_used_until_the_last_fifth_of_its_life() -> None:
    pbx = Pbx()
    first = await pbx.owner.get()
    pbx.now += 0.79 * 3600
    assert await pbx.owner.get() == first
    pbx.now += 0.12 * 3600
    assert await pbx.owner.get() != first
    assert pbx.minted == 2


async def test_the_clocks_of_pbx_and_monitor_may_differ_by_hours() -> None:
    pbx = Pbx()
    pbx.pbx_clock_ahead = -7200.0
    first = await pbx.owner.get()
    pbx.now += 60
    assert await pbx.owner.get() == first


@pytest.mark.parametrize(
    ("expires_in", "life"), [(60.0, 3600.0), (3600.0, 3600.0), (None, 3600.0), (0.0, 3600.0)]
)
async def test_without_a_jwt_a_small_expires_in_counts_minutes(
    expires_in: float | None, life: float
) -> None:
    now = 0.0
    given = iter(("opaque-1", "opaque-2"))

    async def grant() -> GrantedToken:
        return GrantedToken(next(given), expires_in)

    owner = TokenOwner(grant, clock=lambda: now)
    assert await owner.get() == "opaque-1"
    now = life * 0.79
    assert await owner.get() == "opaque-1"
    now = life
    assert await owner.get() == "opaque-2"


async def test_many_who_need_a_token_at_once_cause_one_mint() -> None:
    pbx = Pbx()
    pbx.gate = asyncio.Event()
    asking = [asyncio.create_task(pbx.owner.get()) for _ in range(50)]
    await asyncio.sleep(0)
    pbx.gate.set()
    assert len(set(await asyncio.gather(*asking))) == 1
    assert pbx.minted == 1


async def test_many_who_wait_for_a_mint_that_fails_share_its_failure() -> None:
    pbx = Pbx()
    pbx.gate = asyncio.Event()
    pbx.error = PbxUnreachable("away")
    asking = [asyncio.create_task(pbx.owner.get()) for _ in range(20)]
    await asyncio.sleep(0)
    pbx.gate.set()
    errors = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(error, PbxUnreachable) for error in errors)
    assert pbx.minted == 1


async def test_a_cancelled_mint_is_done_by_the_next_in_line() -> None:
    pbx = Pbx()
    pbx.gate = asyncio.Event()
    first, second = asyncio.create_task(pbx.owner.get()), asyncio.create_task(pbx.owner.get())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    pbx.gate.set()
    assert await second


async def test_a_token_that_cannot_be_renewed_is_used_as_long_as_it_is_good() -> None:
    pbx = Pbx()
    first = await pbx.owner.get()
    pbx.error = PbxUnreachable("away")
    pbx.now += 0.95 * 3600
    assert await pbx.owner.get() == first
    assert await pbx.owner.get() == first
    assert pbx.minted == 2  # not at every request
    pbx.now += 0.06 * 3600
    with pytest.raises(PbxUnreachable):
        await pbx.owner.get()


async def test_a_token_refused_once_is_replaced_at_once() -> None:
    pbx = Pbx()
    first = await pbx.owner.get()
    pbx.owner.refused(first)
    assert await pbx.owner.get(unlike=first) != first


async def test_a_late_401_for_an_old_token_does_not_cost_the_new_one() -> None:
    pbx = Pbx()
    first = await pbx.owner.get()
    second = await pbx.owner.get(unlike=first)
    pbx.owner.refused(first)
    assert await pbx.owner.get(unlike=first) == second
    assert pbx.minted == 2


async def test_tokens_revoked_by_somebody_else_end_in_words_not_in_a_loop() -> None:
    pbx = Pbx()
    asked = 0
    refusals: list[TokenRefused] = []
    for _ in range(
        600
    ):  # ten minutes, a request a second, every token revoked before it is used twice
        try:
            token = await pbx.owner.get()
        except TokenRefused as error:
            refusals.append(error)
        else:
            asked += 1
            pbx.owner.refused(token)
        pbx.now += 1.0
    assert "another program uses this API client" in str(refusals[-1])
    assert pbx.minted == asked <= 30


async def test_tokens_refused_at_long_intervals_are_no_other_program() -> None:
    pbx = Pbx()
    for _ in range(5):
        pbx.owner.refused(await pbx.owner.get())
        pbx.now += 900
    assert await pbx.owner.get()


async def test_an_expired_token_that_is_refused_is_no_revocation() -> None:
    pbx = Pbx()
    for _ in range(5):
        token = await pbx.owner.get()
        pbx.now += 3601
        pbx.owner.refused(token)
    assert await pbx.owner.get()
    assert pbx.minted == 6


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.99])
async def test_a_life_in_whole_seconds_is_not_counted_too_long(fraction: float) -> None:
    """Of a PBX that rounds the minting down and the end up, as ours does."""
    now, began = 1000.0 + fraction, 1_800_000_000

    async def grant() -> GrantedToken:
        claims = {"iat": began, "exp": began + math.ceil(fraction + 2.0)}
        return GrantedToken(jwt.encode(claims, _KEY), 60)

    owner = TokenOwner(grant, clock=lambda: now, counters=(counters := PbxCounters()))
    token = await owner.get()
    now = 1000.0 + math.ceil(fraction + 2.0)  # it has just ended
    owner.refused(token)
    assert not counters.tokens["revoked"]


async def test_a_wrong_secret_is_not_tried_over_and_over() -> None:
    pbx = Pbx()
    pbx.error = TokenRefused("wrong secret")
    for _ in range(600):
        with pytest.raises(TokenRefused, match="wrong secret"):
            await pbx.owner.get()
        pbx.now += 1.0
    assert pbx.minted < 40


async def test_another_secret_is_tried_at_once() -> None:
    pbx = Pbx()
    pbx.error = TokenRefused("wrong secret")
    for _ in range(5):
        with pytest.raises(TokenRefused):
            await pbx.owner.get()
    assert pbx.minted == 1
    pbx.error, pbx.secret = None, "the second"
    assert await pbx.owner.get()


async def test_another_secret_hurries_nobody_whom_the_pbx_asked_to_wait() -> None:
    pbx = Pbx()
    pbx.error = PbxUnreachable("later", retry_after=60)
    with pytest.raises(PbxUnreachable):
        await pbx.owner.get()
    pbx.secret = "the second"
    with pytest.raises(PbxUnreachable):
        await pbx.owner.get()
    assert pbx.minted == 1


async def test_an_error_raised_many_times_does_not_grow() -> None:
    pbx = Pbx()
    pbx.error = TokenRefused("wrong secret")
    for _ in range(50):
        with pytest.raises(TokenRefused) as caught:
            await pbx.owner.get()
    assert len(caught.traceback) < 10


async def test_minting_waits_as_long_as_the_pbx_asks() -> None:
    pbx = Pbx()
    pbx.error = PbxUnreachable("busy", retry_after=30.0)
    for _ in range(10):
        with pytest.raises(PbxUnreachable):
            await pbx.owner.get()
        pbx.now += 2.9
    assert pbx.minted == 1
    pbx.error = None
    pbx.now += 2.0
    assert await pbx.owner.get()


async def test_a_monitor_that_is_not_sure_of_its_lease_mints_nothing() -> None:
    sure = True
    pbx = Pbx(lambda: sure)
    first = await pbx.owner.get()
    sure = False
    pbx.now += 0.95 * 3600
    assert await pbx.owner.get() == first, "the old one is still good"
    pbx.now += 3600
    with pytest.raises(TokenRefused, match="not sure that it leads"):
        await pbx.owner.get()
    sure = True
    assert await pbx.owner.get()
    assert pbx.minted == 2


async def test_the_claims_are_those_of_the_token() -> None:
    assert (await Pbx().owner.claims()).roles == {"Users", "Paid"}


@pytest.mark.parametrize("claim", ["exp", "iat"])
async def test_a_time_beyond_all_times_is_none(claim: str) -> None:
    token = jwt.encode({"exp": 1_800_003_600, claim: 10**400}, _KEY)

    async def grant() -> GrantedToken:
        return GrantedToken(token, 3600.0)

    owner = TokenOwner(grant)
    assert await owner.get() == token
    assert (await owner.claims()).issued is None


@given(st.text(), st.one_of(st.none(), st.floats()))
async def test_any_token_text_gives_a_life_that_can_be_counted(
    text: str, expires_in: float | None
) -> None:
    now = 0.0

    async def grant() -> GrantedToken:
        return GrantedToken(text, expires_in)

    owner = TokenOwner(grant, clock=lambda: now)
    assert await owner.get() == text
    now = 90_000.0
    assert await owner.get() == text
