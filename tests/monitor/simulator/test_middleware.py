"""What happens before every answer: latency, tokens, faults."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from monitor.simulator.behaviour_options import Switches
from tests.monitor.simulator.api_client import PATIENCE, running


async def test_latency_delays_every_answer_but_not_one_after_the_other() -> None:
    async with running(Switches(latency=0.5)) as client:
        began = time.monotonic()
        answers = await asyncio.gather(
            *(client.get("/callcontrol/100") for _ in range(100)),
            client.get("/xapi/v1/Users"),
            client.get("/nowhere"),
        )
        took = time.monotonic() - began
        assert {answer.status for answer in answers} == {200, 404}
        assert 0.5 <= took < 30.0, "one after the other they would take fifty seconds"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_requests_under_a_path_are_answered_with_an_error_a_few_times(status: int) -> None:
    async with running() as client:
        client.pbx.faults.answer_with(status, 2, "/xapi", retry_after=7)
        for _ in range(2):
            answer = await client.get("/xapi/v1/Users")
            assert answer.status == status
            assert answer.headers["Retry-After"] == "7"
            assert (await client.get("/callcontrol")).status == 200
        assert (await client.get("/xapi/v1/Users")).status == 200
        assert client.pbx.faults.happened["answered"] == 2


async def test_only_one_method_fails_and_says_why() -> None:
    async with running() as client:
        client.pbx.faults.answer_with(
            400, 1, "/xapi/v1/Users", method="POST", body={"error": {"message": "no"}}
        )
        assert (await client.get("/xapi/v1/Users")).status == 200
        refused = await client.post("/xapi/v1/Users", {})
        assert (refused.status, refused.json) == (400, {"error": {"message": "no"}})
        assert (await client.post("/xapi/v1/Users", {})).status == 201


async def test_an_answer_is_lost_and_what_was_asked_is_done() -> None:
    async with running() as client:
        client.pbx.faults.lose_answers(1, "/xapi/v1/Users", method="POST")
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.post("/xapi/v1/Users", {"Number": "777"})
        assert client.pbx.directory.dn("777") is not None
        assert client.pbx.faults.happened["unanswered"] == 1
        assert (await client.get("/xapi/v1/Users")).status == 200


async def test_a_request_hangs_until_it_is_released_and_others_do_not() -> None:
    async with running() as client:
        client.pbx.faults.hang("/xapi")
        asked = asyncio.create_task(client.get("/xapi/v1/Users?$top=1"))
        async with asyncio.timeout(PATIENCE):
            while not client.pbx.faults.happened["hung"]:
                assert (await client.get("/callcontrol")).status == 200
        assert not asked.done()
        client.pbx.faults.release()
        assert (await asked).status == 200
        assert (await client.get("/xapi/v1/Users")).status == 200


async def test_what_hung_is_not_done_once_its_client_has_gone() -> None:
    async with running() as client:
        client.pbx.faults.hang("/connect")
        minted = client.pbx.tokens.minted
        asked = asyncio.create_task(client.mint())
        async with asyncio.timeout(PATIENCE):
            while not client.pbx.faults.happened["hung"]:
                await client.get("/callcontrol")
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert (await client.get("/callcontrol")).status == 200
        client.pbx.faults.release()
        assert (await client.get("/callcontrol")).status == 200, (
            "a token minted late would have revoked ours"
        )
        assert client.pbx.tokens.minted == minted


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/callcontrol"),
        ("GET", "/callcontrol/100"),
        ("POST", "/callcontrol/100/makecall"),
        ("GET", "/callcontrol/100/participants/1"),
        ("GET", "/xapi/v1/Users"),
        ("GET", "/nowhere"),
    ],
)
async def test_every_path_wants_a_token_and_every_answer_tells_the_version(
    method: str, path: str
) -> None:
    async with running() as client:
        for token in ("", "stale"):
            client.token = token
            answer = await (client.get(path) if method == "GET" else client.post(path, {}))
            assert answer.status == 401
            assert answer.headers["X-3CX-Version"] == client.pbx.directory.version
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        granted = await client.mint()
        assert granted.headers["X-3CX-Version"] == client.pbx.directory.version


async def test_an_expired_token_is_refused() -> None:
    async with running() as client:
        client.pbx.tokens.expire()
        assert (await client.get("/callcontrol")).status == 401
