from __future__ import annotations

from typing import Any

import pytest

from monitor.simulator.behaviour_options import Switches
from tests.monitor.pbx.commanding import Desk, commanding, profiles, read, word

# ext.fwd.set


STATUSES = {
    "Away": "Away",
    "Available": "Available",
    "Out of office": "Out of office",
    "Custom 1": "Custom 1",
    "Custom 2": "Custom 2",
    " out OF office ": "Out of office",
    "Lunch": "Custom 1",
    "Do Not Disturb": "Out of office",
    "Business Trip": "Custom 2",
    "available": "Available",
    "Im Labor": "Custom 2",
}


async def test_a_status_is_set_by_every_name_that_it_has(desk: Desk) -> None:
    desk.user("103")["ForwardingProfiles"][4]["CustomName"] = "Im Labor"
    before = desk.user("103")["ForwardingProfiles"]
    for status, name in STATUSES.items():
        assert await desk.do("ext.fwd.set", num="103", status=status) == {}
        assert (await read(desk, "103")).current_profile_name == name
        assert desk.extension("103").fwd_name == name
    assert desk.user("103")["ForwardingProfiles"] == before


async def test_a_name_that_the_administrator_gave_goes_before_the_usual_meaning(desk: Desk) -> None:
    desk.user("103")["ForwardingProfiles"][4]["CustomName"] = "Lunch"
    await desk.do("ext.fwd.set", num="103", status="lunch")
    assert desk.extension("103").fwd_name == "Custom 2"


@pytest.mark.parametrize("partial", ["replace", "merge"])
async def test_a_message_goes_with_its_status_alone(partial: Any) -> None:
    async with commanding(Switches(partial_profiles=partial)) as desk:
        before = {row["Name"]: {**row} for row in desk.user("103")["ForwardingProfiles"]}
        await desk.do("ext.fwd.set", num="103", status="Away", message="Вернусь в 15:00")
        after = {row["Name"]: row for row in desk.user("103")["ForwardingProfiles"]}
        before["Away"]["CustomMessage"] = "Вернусь в 15:00"
        assert after == before
        assert (await profiles(desk, "103"))["Away"].custom_message == "Вернусь в 15:00"
        await desk.do("ext.fwd.set", num="103", status="Away", message="")
        assert (await profiles(desk, "103"))["Away"].custom_message == ""


async def test_a_wrong_status_is_refused_with_the_right_ones(desk: Desk) -> None:
    refused = await desk.refused("ext.fwd.set", num="103", status="Asleep", message="x")
    assert (refused.code, refused.kind) == ("unknown_status", "bad")
    for name in ("Asleep", "Available", "Away", "Out of office", "Custom 1", "Custom 2"):
        assert name in str(refused)
    assert (await desk.refused("ext.fwd.set", num="999", status="Away")).code == "unknown_extension"


# ext.queueglobal.set


async def test_an_extension_is_logged_in_and_out_of_all_queues(desk: Desk) -> None:
    for log, status in (("off", "LoggedOut"), ("on", "LoggedIn"), ("on", "LoggedIn")):
        assert await desk.do("ext.queueglobal.set", num="105", log=log) == {}
        assert word((await read(desk, "105")).queue_status) == status
        assert desk.extension("105").q_global_status == status
    assert "105" in desk.queue("800").logged_in
    assert (
        await desk.refused("ext.queueglobal.set", num="999", log="on")
    ).code == "unknown_extension"


@pytest.mark.parametrize("effect", ["no_effect", "logs_out"])
async def test_the_pbx_is_asked_whether_the_profile_governs_queue_login(effect: Any) -> None:
    async with commanding(Switches(queue_log_out=effect)) as desk:
        for row in desk.user("105")["ForwardingProfiles"]:
            row["OfficeHoursAutoQueueLogOut"] = row["Name"] == "Away"
        await desk.do("ext.fwd.set", num="105", status="Away")
        obeyed = {} if effect == "no_effect" else {"result": False}
        assert await desk.do("ext.queueglobal.set", num="105", log="on") == obeyed
        said = "LoggedIn" if effect == "no_effect" else "LoggedOut"
        assert word((await read(desk, "105")).queue_status) == said
        assert desk.extension("105").q_global_status == said
        free = desk.extension("105").available
        assert free == ("105" in desk.pbx.directory.available_agents("800"))
        assert free == (effect == "no_effect")
        assert await desk.do("ext.queueglobal.set", num="105", log="off") == {}
        assert desk.extension("105").q_global_status == "LoggedOut"


async def test_a_profile_may_take_an_extension_out_of_ring_groups(desk: Desk) -> None:
    for row in desk.user("103")["ForwardingProfiles"]:
        row["DisableRingGroupCalls"] = row["Name"] == "Away"
    assert desk.extension("103").in_ring_groups
    await desk.do("ext.fwd.set", num="103", status="Away")
    assert not desk.extension("103").in_ring_groups
    await desk.do("ext.fwd.set", num="103", status="Available")
    assert desk.extension("103").in_ring_groups


async def test_a_pbx_that_ignores_the_login_is_not_called_obedient() -> None:
    async with commanding(Switches(governed_login="ignored")) as desk:
        assert await desk.do("ext.queueglobal.set", num="117", log="off") == {"result": False}
        assert desk.extension("117").q_global_status == "LoggedIn"
        assert await desk.do("ext.queueglobal.set", num="105", log="off") == {}
