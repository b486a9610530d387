"""Follow a service that knows only the documented fields, over real sockets, into a state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from monitor.pbx.clock import PbxClock
from monitor.pbx.http_client.secret import Secret
from monitor.pbx.webapi.client import WebApiClient, WebApiSettings
from monitor.pbx.webapi.facts import ToldFact
from monitor.pbx.webapi.source import ServedDatabase, WebApiSource
from monitor.shared.entities import topics
from monitor.shared.errors import CommandRefused, PbxRefused, PbxUnreachable
from monitor.tracking.webapi_tracker import WebApiTracker
from tests.bus import until
from tests.monitor.pbx.documented import KEY, Documented, documented, leg

TALK = ("Talking", leg("101", "extension", "102"), leg("102", "extension", "101"))


class Follower:
    """A source and the mirror that is told what it finds."""

    def __init__(self, settings: WebApiSettings) -> None:
        self.mirror = WebApiTracker("monitor")
        self.source = WebApiSource(settings, self._take)
        self._news = asyncio.Event()

    def _take(self, fact: ToldFact) -> None:
        self.mirror.apply(fact)
        self._news.set()

    async def until(self, true: Callable[[], bool], within: float = 60.0) -> None:
        async with asyncio.timeout(within):
            while not true():
                self._news.clear()
                await self._news.wait()

    @property
    def system(self) -> topics.System | None:
        return topics.table(self.mirror.state, "system", topics.System).get("pbx")

    @property
    def calls(self) -> dict[str, topics.Call]:
        return topics.table(self.mirror.state, "calls", topics.Call)

    @property
    def ended(self) -> list[topics.EndedCall]:
        return list(topics.table(self.mirror.state, "ended", topics.EndedCall).values())

    def extension(self, number: str) -> topics.Extension:
        return topics.table(self.mirror.state, "extensions", topics.Extension)[number]

    def queue(self, number: str) -> topics.Queue:
        return topics.table(self.mirror.state, "queues", topics.Queue)[number]

    def connected(self) -> bool:
        return self.system is not None and self.system.connection == "connected"


def settings_for(service: Documented, key: str = KEY, **changes: Any) -> WebApiSettings:
    intervals = {
        "poll_interval": 0.05,
        "poll_idle": 0.1,
        "states_interval": 0.2,
        "request_timeout": 5.0,
    }
    return WebApiSettings(service.url, key, **(intervals | changes))


@asynccontextmanager
async def following(service: Documented, key: str = KEY, **changes: Any) -> AsyncIterator[Follower]:
    follower = Follower(settings_for(service, key, **changes))
    running = asyncio.create_task(follower.source.run())
    try:
        yield follower
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def service() -> AsyncIterator[Documented]:
    async with documented() as there:
        yield there


async def test_everything_that_is_told_is_shown(service: Documented) -> None:
    async with following(service) as follower:
        await follower.until(
            lambda: follower.connected() and len(follower.mirror.book["contacts"]) == 1
        )
        state = follower.mirror.state
        assert {
            topic: sorted(state[topic])
            for topic in ("extensions", "queues", "groups", "ivrs", "lines")
        } == {
            "extensions": ["101", "102", "103"],
            "queues": ["800"],
            "groups": ["600"],
            "ivrs": ["777", "HOL"],
            "lines": ["10000"],
        }
        assert sorted(state["extgroups"]) == ["Sales", "__DEFAULT__"]
        tom, eve = follower.extension("101"), follower.extension("103")
        assert (tom.name, tom.lastname, tom.reinvite, tom.replaces, tom.vmemail) == (
            "Tom",
            "Smith",
            1,
            None,
            2,
        )
        assert tom.q_status == (topics.QueueLogin("800", "LoggedIn"),)
        assert (tom.registered, tom.available, eve.registered, eve.available) == (
            True,
            True,
            False,
            False,
        )
        assert (tom.queues, tom.groups, tom.extgroups) == (
            ("800",),
            ("600",),
            ("Sales", "__DEFAULT__"),
        )
        assert follower.system is not None
        assert (follower.system.source, follower.system.licence_limit, follower.system.version) == (
            "webapi",
            32,
            "",
        )
        assert follower.system.reason == ""
        assert follower.system.unmonitored == 0
        contact = topics.table(follower.mirror.book, "contacts", topics.Contact)["12"]
        assert (contact.display_name, contact.data2) == ("Li Wei", None)


async def test_a_call_is_followed_from_its_ringing_to_its_end(service: Documented) -> None:
    async with following(service) as follower:
        await follower.until(follower.connected)
        trunk = leg("10000", "externalline", "+49301234", "Dialing")
        service.call(
            7, "Inbound", "Routing", trunk, leg("101", "extension", "+49301234", "Ringing")
        )
        await follower.until(lambda: "7" in follower.calls)
        call = follower.calls["7"]
        assert (call.direction, call.state, call.started_at) == (
            "Inbound",
            "Routing",
            "2022-12-29T08:37:16.000Z",
        )
        assert [other.dn_num for other in call.routing_to] == ["101"]
        assert follower.extension("101").activity == "Ringing"
        assert topics.table(follower.mirror.state, "lines", topics.Line)["10000"].in_use == 1
        answered = "2022-12-29T08:37:23Z"
        trunk = leg("10000", "externalline", "+49301234")
        service.call(
            7, "Inbound", "Talking", trunk, leg("101", "extension", "+49301234"), answered=answered
        )
        await follower.until(lambda: follower.calls["7"].state == "Talking")
        assert follower.calls["7"].answered_at == "2022-12-29T08:37:23.000Z"
        assert follower.extension("101").talks[0].external
        assert follower.extension("101").status == "Busy"
        service.calls.clear()
        await follower.until(lambda: bool(follower.ended))
        ended = follower.ended[0]
        assert (ended.outcome, ended.caller, ended.callee, ended.lines) == (
            "answered",
            "+49301234",
            "101",
            ("10000",),
        )
        assert follower.extension("101").status == "Free"


async def test_a_caller_in_a_queue_waits_there_and_leaves_as_one_who_gave_up(
    service: Documented,
) -> None:
    async with following(service) as follower:
        await follower.until(follower.connected)
        service.call(
            8,
            "FromExternal",
            "Talking",
            leg("10000", "externalline", "+1"),
            leg("800", "queue", "+1"),
        )
        await follower.until(lambda: bool(follower.queue("800").waiting))
        assert follower.queue("800").waiting[0].num == "+1"
        service.calls.clear()
        await follower.until(lambda: bool(follower.ended))
        assert (follower.ended[0].outcome, follower.ended[0].queue) == ("abandoned", "800")


@pytest.mark.parametrize("command", ["pbx.ac.get", "pbx.callsinfo.get"])
async def test_one_of_the_two_answers_about_calls_is_enough(
    service: Documented, command: str
) -> None:
    service.unserved.add(command)
    service.call(7, "Internal", *TALK, answered="2022-12-29T08:37:23Z")
    async with following(service) as follower:
        await follower.until(lambda: follower.connected() and "7" in follower.calls)
        call = follower.calls["7"]
        assert (call.state, call.direction, len(call.legs)) == ("Talking", "Internal", 2)
        assert call.answered_at is not None
        assert (call.owner is None) == (command == "pbx.callsinfo.get"), (
            "who began it is not made up"
        )
        assert follower.system is not None
        assert command in follower.system.reason


async def test_without_calls_an_extension_is_as_busy_as_its_state_says(service: Documented) -> None:
    service.unserved |= {"pbx.ac.get", "pbx.callsinfo.get"}
    service.states["101"]["status"] = "Busy"
    async with following(service) as follower:
        await follower.until(
            lambda: follower.connected() and follower.extension("101").status == "Busy"
        )
        assert not follower.extension("101").available
        service.states["101"]["status"] = "Free"
        await follower.until(lambda: follower.extension("101").status == "Free")
        assert follower.extension("101").available


async def test_a_service_that_serves_few_commands_is_followed_as_far_as_it_goes(
    service: Documented,
) -> None:
    service.unserved |= {
        "",
        "ext.info.get",
        "ext.state.get",
        "all.extgroup.get",
        "contact.find",
        "queue.members.get",
    }
    service.call(7, "Internal", *TALK, answered="2022-12-29T08:37:23Z")
    async with following(service) as follower:
        await follower.until(lambda: follower.connected() and "7" in follower.calls)
        assert follower.extension("101").status == "Busy"
        assert follower.extension("102").registered, "by the list of those that are"
        assert follower.extension("101").q_global_status is None
        assert follower.system is not None
        assert follower.system.reason.startswith(
            "Not served: all.extgroup.get, ext.info.get, ext.state.get"
        )


@pytest.mark.parametrize("status", [502, 404, 401])
async def test_a_service_that_goes_away_is_lost_and_found_again(
    service: Documented, status: int
) -> None:
    service.call(7, "Internal", *TALK, answered="2022-12-29T08:37:23Z")
    async with following(service) as follower:
        await follower.until(lambda: follower.connected() and "7" in follower.calls)
        service.refusals["pbx.ac.get"] = (status, {})
        await follower.until(
            lambda: follower.system is not None and follower.system.connection == "lost"
        )
        assert follower.system is not None
        assert str(status) in follower.system.reason or "key" in follower.system.reason
        assert "7" in follower.calls, "a service out of reach ends no call"
        service.calls.clear()
        service.refusals.clear()
        await follower.until(follower.connected)
        await follower.until(lambda: bool(follower.ended))
        assert follower.ended[0].outcome == "answered"


async def test_whoever_asks_for_time_gets_it(service: Documented) -> None:
    service.refusals["ext.state.get"] = (429, {"Retry-After": "1"})
    async with following(service) as follower:
        await until(lambda: service.asked["ext.state.get"] >= 3)
        service.refusals.clear()
        await follower.until(follower.connected)
        assert service.asked["ext.state.get"] < 30


async def test_a_wrong_key_is_said_and_stands_in_no_message(service: Documented) -> None:
    async with following(service, key="a-wrong-secret") as follower:
        await follower.until(lambda: follower.system is not None and follower.system.reason != "")
        assert follower.system is not None
        assert follower.system.connection == "connecting"
        assert "a-wrong-secret" not in follower.system.reason
        assert "a-wrong-secret" not in repr(settings_for(service, key="a-wrong-secret"))


async def test_commands_are_passed_on_and_what_they_change_is_read_again(
    service: Documented,
) -> None:
    async with following(service, states_interval=60.0) as follower:
        await follower.until(
            lambda: follower.connected() and bool(follower.mirror.book["contacts"])
        )
        assert await follower.source.execute("ext.fwd.set", {"num": "101", "status": "Away"}) == {}
        assert follower.extension("101").fwd_name == "Away"
        await follower.source.execute("queue.agents.set", {"num": "800", "agents": "103"})
        assert [agent.num for agent in follower.queue("800").agents] == ["103"]
        hidden = {"num": "800", "agents": "101", "visible": "101,102"}
        await follower.source.execute("queue.agents.set", hidden)
        assert [agent.num for agent in follower.queue("800").agents] == ["103", "101"]
        assert await follower.source.execute("makecall", {"first": "101", "second": "+1"}) == {
            "finalStatus": "Success"
        }
        made = await follower.source.execute("contact.new", {"firstname": "Pat", "phone": "+7 999"})
        assert made == {"id": 13}
        assert (
            topics.table(follower.mirror.book, "contacts", topics.Contact)["13"].firstname == "Pat"
        )
        assert service.orders[0] == ("GET", "ext.fwd.set", {"num": "101", "status": "Away"})


async def test_what_the_service_refuses_is_refused(service: Documented) -> None:
    async with following(service) as follower:
        await follower.until(follower.connected)
        with pytest.raises(CommandRefused, match=r"ext\.fwd\.set failed"):
            await follower.source.execute("ext.fwd.set", {"num": "101", "status": "Nowhere"})
        assert await follower.source.execute(
            "ext.queueglobal.set", {"num": "101", "log": "on"}
        ) == {"result": False}
        with pytest.raises(CommandRefused) as unserved:
            await follower.source.execute("ext.del", {"num": "101"})
        assert unserved.value.kind == "missing"
        service.final_status = "Rejected"
        with pytest.raises(CommandRefused, match="rejected") as failed:
            await follower.source.execute("makecall", {"first": "101", "second": "+1"})
        assert (failed.value.code, failed.value.kind) == ("call_failed", "conflict")
        service.refusals["contact.new"] = (403, {})
        with pytest.raises(CommandRefused, match="callmon's key") as forbidden:
            await follower.source.execute("contact.new", {"firstname": "Pat", "phone": "1"})
        assert forbidden.value.code == "not_permitted"
        service.refusals["makecall"] = (503, {})
        with pytest.raises(PbxUnreachable, match="Nothing was done"):
            await follower.source.execute("makecall", {"first": "101", "second": "+1"})
        with pytest.raises(CommandRefused):
            await ServedDatabase(settings_for(service)).answer("select 1", 1)


async def test_the_key_stands_in_the_path_where_the_service_is_no_callmon(
    service: Documented,
) -> None:
    client = WebApiClient(settings_for(service), PbxClock())
    try:
        assert (await client.who())["product"] == "3CX REST API"
        assert (await client.get("pbx.calls.get", lambda answer: answer)).value == {"result": 0}
    finally:
        await client.close()
    assert "Authorization" in service.headers[0], "first it is tried as a callmon takes it"
    assert "Authorization" not in service.headers[-1]


async def test_the_next_request_takes_a_key_that_was_exchanged() -> None:
    async with documented() as service:
        key = Secret("another")
        client = WebApiClient(WebApiSettings(service.url, key), PbxClock())
        try:
            with pytest.raises(PbxRefused):
                await client.who()
            key.exchange(KEY)
            assert await client.who()
        finally:
            await client.close()
