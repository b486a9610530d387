"""Test that a call which a program sends on is answered for once its target has it or has not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from monitor.simulator.behaviour_options import Switches
from tests.monitor.simulator.api_client import QUIET, ApiClient, Reply, phones, running

CALLER = "+491701234567"


@asynccontextmanager
async def at_the_route_point(
    switches: Switches | None = None,
) -> AsyncIterator[tuple[ApiClient, str, str]]:
    """A call from outside at the route point: the client, the participant's path, and a phone."""
    async with running(switches) as client:
        board, own = client.pbx.switchboard, client.pbx.client_id
        board.route(board.arrive("10002", CALLER), own)
        [participant] = (await client.get(f"/callcontrol/{own}/participants")).json
        path = f"/callcontrol/{own}/participants/{participant['id']}"
        yield client, path, phones(client.pbx)[0]


async def sent_on(client: ApiClient, path: str, action: str, phone: str) -> asyncio.Task[Reply]:
    """Send the call on; return the request once the phone rings."""
    asked = asyncio.create_task(client.post(f"{path}/{action}", {"destination": phone}))
    async with asyncio.timeout(60):
        while not client.pbx.switchboard.participants(phone):
            assert not asked.done(), asked.result()
            await asyncio.sleep(0)
    return asked


def only_call(client: ApiClient) -> Any:
    (call,) = client.pbx.switchboard.calls.values()
    return call


@pytest.mark.parametrize("action", ["routeto", "transferto"])
async def test_success_is_told_when_the_target_has_taken_the_call(action: str) -> None:
    async with at_the_route_point() as (client, path, phone):
        asked = await sent_on(client, path, action, phone)
        await client.get(f"/callcontrol/{phone}")
        assert not asked.done()
        client.pbx.switchboard.answer(only_call(client), phone)
        answer = await asked
        assert (answer.status, answer.json["finalstatus"]) == (200, "Success")


@pytest.mark.parametrize("action", ["routeto", "transferto"])
async def test_failure_is_told_when_nobody_takes_it_and_the_call_is_at_the_program(
    action: str,
) -> None:
    async with at_the_route_point() as (client, path, phone):
        asked = await sent_on(client, path, action, phone)
        client.pbx.switchboard.no_answer(only_call(client), [phone])
        answer = await asked
        assert answer.status == 422
        assert (answer.json["finalstatus"], answer.json["reason"]) == (
            "Failed",
            "DestinationNoAnswer",
        )
        [back] = (await client.get(f"/callcontrol/{client.pbx.client_id}/participants")).json
        assert (back["status"], back["party_caller_id"]) == ("Connected", CALLER)


async def test_failure_is_told_when_the_caller_hangs_up() -> None:
    async with at_the_route_point() as (client, path, phone):
        asked = await sent_on(client, path, "routeto", phone)
        client.pbx.switchboard.end(only_call(client))
        assert (await asked).json["reason"] == "ParentConnectionTerminated"


async def test_what_takes_a_call_by_itself_is_told_at_once() -> None:
    async with at_the_route_point() as (client, path, _):
        answer = await client.post(f"{path}/routeto", {"destination": "800"})
        assert (answer.status, answer.json["finalstatus"]) == (200, "Success")
        assert only_call(client).of_kind("queue") is not None


async def test_an_impossible_target_is_told_at_once() -> None:
    async with at_the_route_point() as (client, path, _):
        answer = await client.post(f"{path}/routeto", {"destination": "12"})
        assert (answer.status, answer.json["reason"]) == (422, "UnknownDestination")


async def test_by_the_switch_it_is_told_at_once() -> None:
    async with at_the_route_point(Switches(routeto_answer="at_once")) as (client, path, phone):
        answer = await client.post(f"{path}/routeto", {"destination": phone})
        assert (answer.status, answer.json["finalstatus"]) == (200, "Success")
        assert client.pbx.switchboard.participants(phone)[0].status == "Ringing"


async def test_other_dns_are_answered_at_once() -> None:
    async with running() as client:
        caller, callee, third = phones(client.pbx)[:3]
        await client.makecall(caller, callee)
        [ringing] = (await client.get(f"/callcontrol/{callee}/participants")).json
        path = f"/callcontrol/{callee}/participants/{ringing['id']}/routeto"
        assert (await client.post(path, {"destination": third})).status == 200


async def test_over_the_socket_the_answer_comes_later_and_events_before_it() -> None:
    async with at_the_route_point() as (client, path, phone), client.socket() as socket:
        await socket.ask(f"{path}/routeto", {"destination": phone})
        await socket.until(lambda frame: phone in frame.event.entity)
        client.pbx.switchboard.answer(only_call(client), phone)
        frames = await socket.until(lambda frame: frame.event.event_type == 4)
        assert frames[-1].event.attached_data["StatusCode"] == 200


async def test_a_client_that_goes_away_leaves_the_call_as_it_is() -> None:
    async with at_the_route_point() as (client, path, phone):
        asked = await sent_on(client, path, "routeto", phone)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert client.pbx.switchboard.participants(phone)[0].status == "Ringing"
        client.pbx.switchboard.answer(only_call(client), phone)
        assert only_call(client).state == "Talking"


async def test_a_pbx_that_stops_leaves_nobody_waiting() -> None:
    async with at_the_route_point() as (client, path, phone):
        asked = await sent_on(client, path, "routeto", phone)
        await client.pbx.restart()
        [outcome] = await asyncio.gather(asked, return_exceptions=True)
        assert isinstance(outcome, BaseException) or outcome.json["reason"] == "Cancelled"


async def test_people_decide_within_the_time_that_the_program_gives_them() -> None:
    settings = replace(QUIET, people=True, speed=100)
    async with running(settings=settings) as client:
        board, own = client.pbx.switchboard, client.pbx.client_id
        told = set()
        for phone in phones(client.pbx)[:6]:
            board.route(board.arrive("10002", CALLER), own)
            [at_program] = board.participants(own)
            path = f"/callcontrol/{own}/participants/{at_program.id}/routeto"
            answer = await client.post(path, {"destination": phone, "timeout": 4})
            told.add((answer.status, answer.json["reason"]))
            for call in list(board.calls.values()):
                board.end(call)
        assert told == {(200, "NotSpecified"), (422, "DestinationNoAnswer")}
