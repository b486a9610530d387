"""All of the simulated PBX behind one address."""

from __future__ import annotations

import pytest

from monitor.simulator.app import _LARGEST_BODY_BYTES
from tests.monitor.simulator.api_client import phones, running


async def test_a_token_may_be_kept_by_nobody_on_the_way() -> None:
    async with running() as client:
        form = {
            "grant_type": "client_credentials",
            "client_id": client.pbx.client_id,
            "client_secret": client.pbx.client_secret,
        }
        for given, status in ((form, 200), (form | {"client_secret": "wrong"}, 401)):
            async with client.session.post(f"{client.pbx.url}/connect/token", data=given) as answer:
                assert answer.status == status
                assert answer.headers["Cache-Control"] == "no-store"
                assert ("access_token" in await answer.json()) is (status == 200)


@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 413)])
async def test_a_body_may_be_as_large_as_is_allowed(over: int, status: int) -> None:
    async with running() as client:
        caller, callee = phones(client.pbx)[:2]
        body = b'{"destination": "%s"}' % callee.encode()
        body = body.ljust(_LARGEST_BODY_BYTES + over)
        address = f"{client.pbx.url}/callcontrol/{caller}/makecall"
        headers = client.headers | {"Content-Type": "application/json"}
        async with client.session.post(address, data=body, headers=headers) as answer:
            assert answer.status == status


async def test_all_parts_are_there_and_nothing_else_is() -> None:
    async with running() as client:
        for path in ("/callcontrol", "/xapi/v1/Users", "/xapi/v1/ActiveCalls"):
            assert (await client.get(path)).status == 200
        for path in ("/", "/nothing", "/xapi/v2/Users"):
            assert (await client.get(path)).status == 404
