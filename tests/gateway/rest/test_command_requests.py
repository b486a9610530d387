"""Commands over HTTP, and queries that wait for the position of a command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from msgspec import structs
from starlette.requests import Request as HttpRequest

from gateway.app import create_app
from gateway.auth.api_keys import authenticate
from gateway.commands.dispatcher import CommandDispatcher
from gateway.errors import OutcomeUnknown
from gateway.operations.operation_table import COMMANDS
from gateway.pbx_context import PbxContext
from gateway.rest.command_requests import composition_runner
from monitor.shared.changes import Change, Position
from monitor.shared.command_messages import Outcome, Request
from monitor.shared.tasks import running
from monitor.shared.timestamps import from_unix
from tests.bus import Bus, until
from tests.gateway.commands.test_dispatcher import Monitor, monitoring
from tests.gateway.entities import START
from tests.gateway.world import (
    FULL,
    NOW,
    READ,
    client,
    error,
    keys,
    message,
    view,
)


async def test_who_waits_for_a_position_under_a_key_that_is_revoked_meanwhile_is_told_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.rest.command_requests.MIN_POSITION_WITHIN_S", 60.0)
    pbx, table = view(), keys()
    live = pbx.live
    assert live.position is not None
    ahead = Position(live.position.epoch, live.position.seq + 1)
    transport = httpx.ASGITransport(app=create_app({"main": pbx}, table, clock=lambda: NOW))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        asked = http.get(
            f"/webapi/{FULL}/pbx.calls.get", headers={"Callmon-Min-Position": str(ahead)}
        )
        waiting = asyncio.create_task(asked)
        await until(lambda: bool(pbx.position_waiter._waiting))
        table.replace([])
        live.apply(Change(ahead, START, ()))
        pbx.position_waiter.moved()
        assert (await waiting).status_code == 401


async def test_so_many_wait_for_a_position_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.rest.command_requests.MIN_POSITION_WITHIN_S", 60.0)
    monkeypatch.setattr("gateway.rest.command_requests.MOST_WAITING", 2)
    pbx = view()
    at = pbx.live.position
    assert at is not None
    here, ahead = (
        {"Callmon-Min-Position": str(Position(at.epoch, at.seq + more))} for more in (0, 1)
    )
    transport = httpx.ASGITransport(app=create_app({"main": pbx}, keys(), clock=lambda: NOW))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        waiting = [
            asyncio.create_task(http.get(f"/webapi/{FULL}/pbx.calls.get", headers=ahead))
            for _ in range(2)
        ]
        await until(lambda: pbx.position_waiter.waiting == 2)
        refused = await http.get(f"/webapi/{FULL}/pbx.calls.get", headers=ahead)
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            504,
            "position_not_reached",
        )
        assert (await http.get(f"/webapi/{FULL}/pbx.calls.get", headers=here)).status_code == 200
        pbx.live.apply(Change(Position(at.epoch, at.seq + 1), START, ()))
        pbx.position_waiter.moved()
        assert [(await one).status_code for one in waiting] == [200, 200]
    assert pbx.position_waiter.waiting == 0


CHANGING = {
    "ext.fwd.set": {"num": "99", "status": "Away"},
    "ext.queueglobal.set": {"num": "99", "log": "on"},
    "ext.queue.set": {"num": "99", "queue": "800", "log": "off"},
    "ext.options.set": {"num": "99", "recording": "all"},
    "ext.update": {"num": "99", "email": "", "vmemail": "3"},
    "ext.new": {"num": "98"},
    "ext.del": {"num": "99"},
    "queue.agents.set": {"num": "800", "agents": "99, 101"},
    "queue.managers.set": {"num": "800", "managers": ""},
    "group.members.set": {"num": "600", "members": "99"},
    "makecall": {"first": "99", "second": "+49 30 1234"},
    "contact.update": {"id": "12", "data9": "1"},
    "contact.new": {},
    "contact.del": {"id": "12"},
}


def test_every_changing_command_of_the_table_is_tried_here() -> None:
    assert set(CHANGING) | {"query"} == {
        name for name, command in COMMANDS.items() if not command.query
    }


@pytest.mark.parametrize("command", CHANGING)
async def test_a_changing_command_needs_its_scope_and_is_refused_while_no_monitor_is_at_work(
    http: httpx.AsyncClient, command: str
) -> None:
    params = CHANGING[command]
    for method in ("GET", "POST"):
        refused = await http.request(method, f"/webapi/{READ}/{command}", params=params)
        assert (refused.status_code, error(refused)) == (403, "scope_missing")
        missing = await http.request(method, f"/webapi/{FULL}/{command}", params=params)
        assert (missing.status_code, error(missing)) == (503, "no_monitor")
    head = await http.head(f"/webapi/{FULL}/{command}", params=params)
    assert (head.status_code, head.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("given", [["one", "two"], ["one", "one"], ["one two"], [""], ["x" * 256]])
async def test_an_idempotency_key_that_is_not_one_is_refused(
    http: httpx.AsyncClient, given: list[str]
) -> None:
    answer = await http.get(
        f"/webapi/{FULL}/ext.del?num=101", headers=[("Idempotency-Key", one) for one in given]
    )
    assert answer.status_code == 400
    assert error(answer) == "bad_parameter"
    assert "it takes 1 to 255 visible ASCII" in message(answer)


async def test_sql_is_posted_as_json_and_needs_its_scope(http: httpx.AsyncClient) -> None:
    sql = {"query": "select *\nfrom recordings\twhere recording_url like '101%';", "count": 3}
    assert error(await http.post(f"/webapi/{FULL}/query", json=sql)) == "no_monitor"
    assert error(await http.post(f"/webapi/{READ}/query", json=sql)) == "scope_missing"
    assert error(await http.post(f"/webapi/{FULL}/query", json={"count": 3})) == "missing_parameter"
    got = await http.get(f"/webapi/{FULL}/query", params={"query": "select 1"})
    assert (got.status_code, error(got), got.headers["allow"]) == (405, "wrong_method", "POST")
    assert message(got) == "GET does not work here; use POST."


@asynccontextmanager
async def answering(bus: Bus, outcome: Outcome) -> AsyncIterator[PbxContext]:
    """A PBX whose monitor gives this outcome to all."""

    async def answer(monitor: Monitor, request: Request) -> None:
        await monitor.finish(request, structs.replace(outcome, id=request.id))

    pbx = view()
    pbx = replace(pbx, commander=CommandDispatcher(bus.client(), "main", pbx.position_waiter))
    with pytest.MonkeyPatch.context() as patient:
        patient.setattr("gateway.commands.dispatcher.CLAIM_WITHIN_S", 60.0)
        async with monitoring(bus, answer), running(pbx.commander.run()):
            await until(lambda: pbx.commander.listening)
            yield pbx


async def test_an_answer_of_sql_passes_unread_so_that_its_size_holds_up_no_other(bus: Bus) -> None:
    unreadable = b"{ this is read by nobody on the way }" * 100_000
    async with answering(bus, Outcome("", None, body=unreadable)) as pbx, client(pbx) as http:
        got = await http.post(f"/webapi/{FULL}/query", json={"query": "select 1"})
    assert got.status_code == 200
    assert got.headers["content-type"] == "application/json"
    assert got.content == unreadable


async def test_an_older_monitors_answer_of_sql_is_told_as_json(bus: Bus) -> None:
    async with answering(bus, Outcome("", {"count": 0, "rows": []})) as pbx, client(pbx) as http:
        got = await http.post(f"/webapi/{FULL}/query", json={"query": "select 1"})
    assert got.json() == {"count": 0, "rows": []}


async def test_an_empty_position_is_none(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/webapi/{FULL}/all.ext.get", headers={"Callmon-Min-Position": ""})
    assert answer.status_code == 200


@pytest.mark.parametrize("body", [b'{"count":1,"rows":[{"a":2}]}', b"[1]", b"{"])
async def test_a_command_made_of_commands_gets_the_rows_of_sql(bus: Bus, body: bytes) -> None:
    async with answering(bus, Outcome("", None, body=body)) as pbx:
        key = authenticate(keys(), (FULL,), from_unix(NOW))
        run = composition_runner(HttpRequest({"type": "http", "headers": []}), pbx, key, None)
        if body.endswith(b"}"):
            assert await run("query", query="select 1") == {
                "result": True,
                "count": 1,
                "rows": [{"a": 2}],
            }
        else:
            with pytest.raises(OutcomeUnknown, match="cannot be read"):
                await run("query", query="select 1")


async def test_a_position_that_no_monitor_can_have_written_is_refused_at_once() -> None:
    async with client() as http:
        headers = {"Callmon-Min-Position": "999999999999999-aa/5"}
        got = await http.get(f"/webapi/{FULL}/pbx.calls.get", headers=headers)
    assert got.status_code == 400
    assert "no monitor has written that position" in got.text


async def test_a_position_of_an_epoch_that_nobody_began_is_refused_and_one_that_comes_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.rest.command_requests.MIN_POSITION_WITHIN_S", 0.05)
    pbx = view()
    began = f"{int(NOW * 1000) - 5_000:015}-aa"
    later = f"{int(NOW * 1000) - 1_000:015}-aa"
    redis = pbx.live_feed._redis
    for feed in (pbx.live_feed, pbx.book_feed):
        told = ["epoch", began, "seq", "7", "at", START]
        await redis.hset(feed._keys.position, items=told)
    transport = httpx.ASGITransport(app=create_app({"main": pbx}, keys(), clock=lambda: NOW))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:

        async def ask(epoch: str) -> httpx.Response:
            headers = {"Callmon-Min-Position": f"{epoch}/7"}
            return await http.get(f"/webapi/{FULL}/pbx.calls.get", headers=headers)

        refused, late = await ask(later), await ask(began)
    assert (refused.status_code, error(refused)) == (400, "bad_parameter")
    assert "no monitor has written that position" in refused.text
    assert (late.status_code, error(late)) == (504, "position_not_reached"), "it comes soon"
