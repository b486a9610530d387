"""Follow a service that knows only the documented fields, over real sockets, into a state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from monitor.pbx.webapi.client import WebApiSettings
from monitor.pbx.webapi.facts import ToldFact
from monitor.pbx.webapi.source import WebApiSource
from monitor.shared.entities import topics
from monitor.shared.tasks import running
from monitor.tracking.webapi_tracker import WebApiTracker
from tests.monitor.pbx.documented import KEY, Documented, leg

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
    async with running(follower.source.run()):
        yield follower


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
