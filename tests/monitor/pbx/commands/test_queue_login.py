from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from monitor.pbx.commands.queue_login import queue_login
from monitor.pbx.facts import QueueLoginsRead
from monitor.pbx.myphone import client
from monitor.pbx.v20_client import PbxClient
from monitor.shared.errors import CommandOutcomeUnknown, CommandRefused
from monitor.simulator.behaviour_options import Switches
from tests.monitor.pbx.commanding import Desk, commanding
from tests.monitor.pbx.myphone.test_client import PROCESSED, Said, odd_pbx, said, told
from tests.monitor.pbx.myphone.web_clients import PATIENT
from tests.monitor.pbx.scripted import settings_for

_SERVICE = "/MyPhone/MPWebService.asmx"


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with commanding(web_client=True) as desk:
        await desk.do("ext.queue.set", num="105", queue="800", log="on")  # after the first reading
        assert any(isinstance(fact, QueueLoginsRead) for fact in desk.facts)
        yield desk


def status(desk: Desk, number: str) -> dict[str, str | None]:
    """Logins to single queues, as they are shown."""
    return {login.num: login.status for login in desk.extension(number).q_status}


async def test_an_agent_is_logged_out_of_one_queue_and_in_again(desk: Desk) -> None:
    await desk.do("queue.agents.set", num="801", agents="114,105")
    for log, word in (("off", "LoggedOut"), ("on", "LoggedIn"), ("on", "LoggedIn")):
        assert await desk.do("ext.queue.set", num="105", queue="800", log=log) == {}
        assert status(desk, "105") == {"800": word, "801": "LoggedIn"}
    assert desk.extension("105").q_global_status == "LoggedIn"


async def test_who_and_where_must_be_there(desk: Desk) -> None:
    for arguments, code, kind in (
        ({"num": "999", "queue": "800"}, "unknown_extension", "missing"),
        ({"num": "105", "queue": "999"}, "unknown_queue", "missing"),
        ({"num": "105", "queue": "600"}, "unknown_queue", "missing"),
        ({"num": "101", "queue": "800"}, "not_an_agent", "conflict"),
    ):
        refused = await desk.refused("ext.queue.set", **arguments, log="off")
        assert (refused.code, refused.kind) == (code, kind)


async def test_an_answer_that_is_lost_is_not_known_and_what_was_done_is_shown(desk: Desk) -> None:
    desk.pbx.faults.lose_answers(1, _SERVICE)
    with pytest.raises(CommandOutcomeUnknown):
        await desk.do("ext.queue.set", num="105", queue="800", log="off")
    await desk.until(lambda: status(desk, "105") == {"800": "LoggedOut"})


async def test_an_answer_of_failure_is_not_known(desk: Desk) -> None:
    desk.pbx.faults.answer_with(502, 1, _SERVICE)
    with pytest.raises(CommandOutcomeUnknown):
        await desk.do("ext.queue.set", num="105", queue="800", log="off")


async def test_what_the_pbx_refuses_is_refused_in_its_own_words(desk: Desk) -> None:
    """Between our look at the queue's agents and the change, somebody removes the agent."""
    agents = [row for row in desk.user("800")["Agents"] if row["Number"] != "105"]
    queue = desk.user("800")
    desk.pbx.faults.hang(_SERVICE)
    changing = asyncio.create_task(desk.do("ext.queue.set", num="105", queue="800", log="off"))
    await desk.pbx.faults.until("hung")
    desk.pbx.directory.update(queue, {"Agents": agents})
    desk.pbx.faults.release()
    with pytest.raises(CommandRefused, match="The agent was not found") as refused:
        await changing
    assert refused.value.code == "pbx_refused"


@pytest.mark.parametrize("queues_info", ["pushed", "answered", "login"])
async def test_a_change_that_is_acknowledged_and_not_made_is_refused(
    queues_info: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if queues_info == "login":
        monkeypatch.setattr(client, "PUSHED_WITHIN_S", 1.0)
    switches = Switches(queue_status="ignored", queues_info=queues_info)
    async with commanding(switches, web_client=True) as desk:
        refused = await desk.refused("ext.queue.set", num="105", queue="800", log="off")
        assert refused.code == "pbx_refused"
        assert "still logged in to queue 800" in str(refused)
        assert status(desk, "105") == {"800": "LoggedIn"}
        assert await desk.do("ext.queue.set", num="105", queue="800", log="on") == {}


@pytest.mark.parametrize(
    ("readings", "why"),
    [
        (Said(200, told({"801": {"105": False}})), "does not show the logins"),
        (Said(400), "400"),
        (Said(503), "503"),
    ],
    ids=["not shown", "refused", "failed"],
)
async def test_a_change_that_cannot_be_read_back_is_not_known(readings: Said, why: str) -> None:
    async with odd_pbx() as (pbx, web):
        own = PbxClient(settings_for(pbx.url, **PATIENT))
        pbx.always["/xapi/v1/Users(Number='105')"] = said({"Id": 7, "Number": "105"})
        pbx.always["/xapi/v1/Queues(Number='800')"] = said(
            {"Id": 300, "Number": "800", "Agents": [{"Number": "105"}]}
        )
        pbx.commands.extend([Said(200, PROCESSED), *[readings] * 8])
        arguments = {"num": "105", "queue": "800", "log": "off"}
        with pytest.raises(CommandOutcomeUnknown, match="could not be read back") as unknown:
            await queue_login(own, web, arguments)
        assert why in str(unknown.value)
        assert pbx.kinds().count("set") == 1
        await own.close()


async def test_without_the_right_it_is_named() -> None:
    async with commanding() as desk:
        refused = await desk.refused("ext.queue.set", num="105", queue="800", log="off")
        assert refused.code == "no_webclient_right"
        assert "MyPhone" in str(refused)
        assert status(desk, "105") == {"800": None}
