"""Calls of a service, followed from beginning to end."""

from __future__ import annotations

import pytest

from monitor.shared.entities import topics
from tests.monitor.pbx.documented import Documented, leg
from tests.monitor.pbx.webapi.test_source import TALK, following


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
