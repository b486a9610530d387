"""Clients of the web client's interface at a simulated PBX."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from monitor.pbx.myphone.client import MyPhoneClient
from monitor.pbx.v20_client import PbxClient
from monitor.simulator.server import SimulatedPbx
from tests.monitor.pbx.scripted import settings_for

PATIENT = {"request_timeout": 60.0, "connect_timeout": 60.0}


@asynccontextmanager
async def web_client(pbx: SimulatedPbx, **changes: Any) -> AsyncIterator[MyPhoneClient]:
    """A client of its API client."""
    client = client_of(pbx, **changes)
    web = MyPhoneClient(client)
    try:
        yield web
    finally:
        await web.close()
        await client.close()


def client_of(
    pbx: SimulatedPbx, may_mint: Callable[[], bool] = lambda: True, **changes: Any
) -> PbxClient:
    who = {"client_id": pbx.client_id, "client_secret": pbx.client_secret}
    return PbxClient(settings_for(pbx.url, **PATIENT | who | changes), may_mint)


def truth(pbx: SimulatedPbx) -> dict[str, dict[str, bool]]:
    """Who is logged in to which queue, as the PBX itself holds it."""
    directory = pbx.directory
    return {
        queue: {
            agent: directory.logins.logged_in(queue, agent) for agent in directory.agents(queue)
        }
        for queue in directory.queue_numbers()
    }


def ids(pbx: SimulatedPbx, queue: str, agent: str) -> tuple[int, int]:
    """Ids of a queue and of a user."""
    found = pbx.directory.entity(queue), pbx.directory.entity(agent)
    assert found[0] is not None
    assert found[1] is not None
    return found[0]["Id"], found[1]["Id"]


def an_agent(pbx: SimulatedPbx, queue: str = "800") -> str:
    return pbx.directory.agents(queue)[0]


def allow(pbx: SimulatedPbx, *, web_client: bool) -> None:
    """Give the API client the right, or take it and end what was opened with it."""
    principal = pbx.directory.entity(pbx.client_id)
    assert principal is not None
    pbx.directory.update(principal, {"MyPhoneEnabled": web_client})
    if not web_client:
        pbx.web_client.forget()


SESSION = "/webclient/api/MyPhone/session"


COMMANDS = "/MyPhone/MPWebService.asmx"
