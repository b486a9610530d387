from __future__ import annotations

import pytest

from monitor.shared.errors import CommandOutcomeUnknown
from tests.monitor.pbx.commanding import Desk


async def agents(desk: Desk, queue: str) -> list[tuple[str | None, str | None]]:
    """Numbers and skill groups, as a third party's SDK reads them."""

    def work(client: object) -> list[tuple[str | None, str | None]]:
        queues = client.queues  # type: ignore[attr-defined]  # the SDK has no types
        return [
            (row.number, row.skill_group)
            for row in queues.get_agents(queues.get_by_number(queue).id)
        ]

    return await desk.sdk(work)


async def managers(desk: Desk, queue: str) -> list[str]:
    return await desk.sdk(
        lambda client: [
            row.number for row in client.queues.get_managers(client.queues.get_by_number(queue).id)
        ]
    )


async def members(desk: Desk, group: str) -> list[str]:
    return await desk.sdk(
        lambda client: [
            row.number
            for row in client.ring_groups.get_members(client.ring_groups.get_by_number(group).id)
        ]
    )


async def test_the_order_given_is_the_order_set_and_agents_who_stay_keep_their_skill_group(
    desk: Desk,
) -> None:
    assert await agents(desk, "800") == [("105", "1"), ("112", "2"), ("100", "3"), ("118", "1")]
    assert await desk.do("queue.agents.set", num="800", agents="107, 100,112,103,107") == {}
    assert await agents(desk, "800") == [("107", "1"), ("100", "3"), ("112", "2"), ("103", "1")]
    assert [(agent.num, agent.skill_group) for agent in desk.queue("800").agents] == await agents(
        desk, "800"
    )
    assert desk.extension("107").queues == ("800",)
    assert "800" not in desk.extension("105").queues
    assert await managers(desk, "800") == ["100", "101"]


async def test_managers_and_members_likewise(desk: Desk) -> None:
    assert await desk.do("queue.managers.set", num="800", managers="102,101") == {}
    assert await managers(desk, "800") == list(desk.queue("800").managers) == ["102", "101"]
    assert await members(desk, "600") == ["109", "106", "101"]
    assert await desk.do("group.members.set", num="600", members="103,101,109") == {}
    assert await members(desk, "600") == list(desk.group("600").members) == ["103", "101", "109"]
    assert "600" in desk.extension("103").groups


async def test_who_is_hidden_from_the_callers_key_stays_at_his_place(desk: Desk) -> None:
    await desk.do("queue.agents.set", num="800", agents="100,107", visible="100,105,107")
    assert await agents(desk, "800") == [("100", "3"), ("112", "2"), ("107", "1"), ("118", "1")]
    await desk.do("queue.managers.set", num="800", managers="", visible="101")
    assert await managers(desk, "800") == ["100"]
    await desk.do("group.members.set", num="600", members="", visible="")
    assert await members(desk, "600") == ["109", "106", "101"]


async def test_all_may_leave(desk: Desk) -> None:
    await desk.do("queue.agents.set", num="800", agents="")
    await desk.do("queue.managers.set", num="800", managers=" ")
    await desk.do("group.members.set", num="600", members="")
    assert (await agents(desk, "800"), await managers(desk, "800"), await members(desk, "600")) == (
        [],
        [],
        [],
    )
    assert (desk.queue("800").agents, desk.queue("800").managers, desk.group("600").members) == (
        (),
        (),
        (),
    )


async def test_who_has_just_been_made_may_join(desk: Desk) -> None:
    await desk.sdk(lambda client: client.users.create({"Number": "555"}))
    await desk.do("queue.agents.set", num="801", agents="555")
    assert [agent.num for agent in desk.queue("801").agents] == ["555"]


REFUSED = [
    ("queue.agents.set", {"num": "999", "agents": "101"}, "unknown_queue", "999"),
    ("queue.agents.set", {"num": "600", "agents": "101"}, "unknown_queue", "600"),
    ("queue.agents.set", {"num": "800", "agents": "101,998,997"}, "unknown_extension", "998, 997"),
    ("queue.agents.set", {"num": "800", "agents": "801"}, "unknown_extension", "801"),
    ("queue.managers.set", {"num": "999", "managers": "101"}, "unknown_queue", "999"),
    ("queue.managers.set", {"num": "800", "managers": "101,998"}, "unknown_extension", "998"),
    ("group.members.set", {"num": "800", "members": "101"}, "unknown_group", "800"),
    ("group.members.set", {"num": "600", "members": "it's,101"}, "unknown_extension", "it's"),
]


async def test_what_is_not_there_is_named_and_nothing_changes(desk: Desk) -> None:
    for command, arguments, code, named in REFUSED:
        refused = await desk.refused(command, **arguments)
        assert (refused.code, refused.kind) == (code, "missing")
        assert named in str(refused)


async def test_of_many_that_are_not_there_some_are_named(desk: Desk) -> None:
    numbers = ",".join(str(number) for number in range(2000, 2200))
    refused = await desk.refused("queue.agents.set", num="800", agents=f"101,{numbers}")
    assert refused.code == "unknown_extension"
    assert "2000" in str(refused)
    assert len(str(refused)) < 300


async def test_an_extension_that_goes_at_the_last_moment_is_a_refusal(desk: Desk) -> None:
    warning = {"error": {"code": "", "message": "WARNINGS.XAPI.NON_EXISTENT_EXT_NUMBER"}}
    desk.pbx.faults.answer_with(400, 1, "/xapi/v1/Queues(", method="PATCH", body=warning)
    assert (
        await desk.refused("queue.agents.set", num="800", agents="101")
    ).code == "unknown_extension"


ASKS = [
    ("queue.agents.set", {"num": "800", "agents": "101"}, "/xapi/v1/Queues"),
    ("queue.managers.set", {"num": "800", "managers": "102"}, "/xapi/v1/Queues"),
    ("group.members.set", {"num": "600", "members": "102"}, "/xapi/v1/RingGroups"),
]
"""Commands, and the address that each of them asks; the source polls others meanwhile."""


async def test_rights_are_asked_for(desk: Desk) -> None:
    for command, arguments, address in ASKS:
        for method in ("GET", "PATCH"):
            desk.pbx.faults.answer_with(403, 1, address, method=method)
            refused = await desk.refused(command, **arguments)
            assert refused.code == "not_permitted"
            assert "system_admins" in str(refused)


async def test_an_answer_that_is_lost_is_not_known_and_what_was_done_is_shown_all_the_same(
    desk: Desk,
) -> None:
    for command, arguments, address in ASKS:
        desk.pbx.faults.lose_answers(1, address, method="PATCH")
        with pytest.raises(CommandOutcomeUnknown):
            await desk.do(command, **arguments)
    await desk.until(lambda: [agent.num for agent in desk.queue("800").agents] == ["101"])
    await desk.until(lambda: desk.queue("800").managers == ("102",))
    await desk.until(lambda: desk.group("600").members == ("102",))
