from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from monitor.pbx.facts import QueueLoginsRead
from monitor.shared.errors import CommandOutcomeUnknown
from tests.monitor.pbx.commanding import Desk, commanding

_SERVICE = "/MyPhone/MPWebService.asmx"


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with commanding(web_client=True) as desk:
        await desk.until(lambda: any(isinstance(fact, QueueLoginsRead) for fact in desk.facts))
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


async def test_without_the_right_it_is_named() -> None:
    async with commanding() as desk:
        refused = await desk.refused("ext.queue.set", num="105", queue="800", log="off")
        assert refused.code == "no_webclient_right"
        assert "MyPhone" in str(refused)
        assert status(desk, "105") == {"800": None}
