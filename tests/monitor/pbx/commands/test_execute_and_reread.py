"""Test what is shown after a command, whatever happens beside it."""

from __future__ import annotations

import asyncio

import pytest

from monitor.pbx.facts import ContactsRead, DirectoryRead
from monitor.pbx.v20_client import PbxSettings
from monitor.pbx.v20_source import PbxSource
from monitor.shared.errors import CommandOutcomeUnknown, PbxUnreachable, TokenRefused
from tests.monitor.pbx.commanding import NEVER, Desk
from tests.monitor.pbx.scripted import following, scripted_pbx, settings_for

ASKS: list[tuple[str, dict[str, str]]] = [
    ("ext.fwd.set", {"num": "101", "status": "Away"}),
    ("ext.queueglobal.set", {"num": "101", "log": "off"}),
    ("ext.options.set", {"num": "101", "enabled": "off"}),
    ("ext.update", {"num": "101", "firstname": "A"}),
    ("ext.new", {"num": "555"}),
    ("ext.del", {"num": "110"}),
    ("queue.agents.set", {"num": "800", "agents": "101"}),
    ("queue.managers.set", {"num": "800", "managers": "102"}),
    ("group.members.set", {"num": "600", "members": "102"}),
    ("contact.update", {"id": "3", "tag": "x"}),
    ("contact.new", {"firstname": "A", "phone": "1"}),
    ("contact.del", {"id": "3"}),
    ("makecall", {"first": "101", "second": "102"}),
]


AGAIN = {
    "ext.new": "already_exists",
    "ext.del": "unknown_extension",
    "contact.del": "unknown_contact",
}


async def test_a_whole_reading_under_way_does_not_bring_back_what_was(desk: Desk) -> None:
    desk.pbx.faults.hang("/xapi/v1/Peers")
    reads = len([fact for fact in desk.facts if isinstance(fact, DirectoryRead)])
    desk.source.want_directory()
    async with asyncio.timeout(60):
        await desk.pbx.faults.until("hung")
    await desk.do("ext.update", num="101", firstname="Ada")
    await desk.do("ext.new", num="555")
    await desk.do("ext.del", num="105")
    assert (desk.extension("101").name, "105" in desk.tracker.state["extensions"]) == ("Ada", False)
    desk.pbx.faults.release()
    await desk.until(
        lambda: len([fact for fact in desk.facts if isinstance(fact, DirectoryRead)]) == reads + 4
    )
    assert (desk.extension("101").name, "105" in desk.tracker.state["extensions"]) == ("Ada", False)
    assert desk.extension("555").extgroups == ("DEFAULT",)
    assert "105" not in [agent.num for agent in desk.queue("800").agents]


async def test_commands_side_by_side_are_all_shown_when_each_returns(desk: Desk) -> None:
    async def change(number: str) -> None:
        await desk.do("ext.update", num=number, lastname=f"After {number}")
        assert desk.extension(number).lastname == f"After {number}"

    numbers = desk.pbx.directory.extensions()
    await asyncio.gather(
        *(change(number) for number in numbers), desk.do("makecall", first="101", second="102")
    )
    assert all(desk.extension(number).lastname == f"After {number}" for number in numbers)


async def test_only_what_was_changed_is_read_again() -> None:
    async with scripted_pbx() as pbx:
        pbx.entities["Queues"] = [{"Id": 1, "Number": "800", "Agents": []}]
        pbx.entities["Users"] = [{"Id": 2, "Number": "101"}]
        settings = settings_for(
            pbx.url, poll_interval=NEVER, directory_interval=NEVER, logins_interval=NEVER
        )
        async with following(settings) as (source, facts):
            await facts.until(DirectoryRead)
            await facts.until(ContactsRead)
            before = pbx.requests.copy()
            pbx.answer("/xapi/v1/Queues(Number", 200, {"Id": 1, "Number": "800", "Agents": []})
            assert await source.execute("queue.agents.set", {"num": "800", "agents": "101"}) == {}
            asked = {
                path: times
                for path, times in (pbx.requests - before).items()
                if "/xapi/" in path and path != "/xapi/v1/ActiveCalls"  # the connecting asks for it
            }
            assert asked == {
                "/xapi/v1/Queues(Number='800')": 1,
                "/xapi/v1/Users": 1,
                "/xapi/v1/Queues(1)": 1,
                "/xapi/v1/Queues": 1,
            }
            assert pbx.queries[-1][1]["$filter"] == "Number eq '800'"


async def test_a_write_that_is_refused_for_its_token_is_done_once_with_another(desk: Desk) -> None:
    minted = desk.pbx.tokens.minted
    desk.pbx.faults.answer_with(401, 1, "/xapi/v1/Contacts", method="POST")
    assert await desk.do("contact.new", firstname="A", phone="1") == {"id": 11}
    assert desk.pbx.tokens.minted == minted + 1
    assert len(desk.pbx.directory.contacts) == 11


async def test_a_pbx_that_is_off_was_asked_for_nothing(desk: Desk) -> None:
    before = desk.configuration()
    await desk.pbx.faults.refuse()
    for command, arguments in ASKS:
        with pytest.raises(PbxUnreachable):
            await desk.do(command, **arguments)
    await desk.pbx.faults.accept()
    assert desk.configuration() == before


async def test_a_lost_answer_to_the_first_question_has_changed_nothing(desk: Desk) -> None:
    for command, arguments in ASKS:
        if command in ("contact.update", "contact.new", "contact.del", "ext.new"):
            continue  # they ask nothing first
        before = desk.configuration()
        desk.pbx.faults.lose_answers(100, "/", method="GET")  # whoever else asks meanwhile
        with pytest.raises(PbxUnreachable):
            await desk.do(command, **arguments)
        desk.pbx.faults.calm()
        assert desk.configuration() == before


async def test_a_client_that_may_not_mint_is_refused_before_anything_is_done(desk: Desk) -> None:
    settings = PbxSettings(desk.pbx.url, desk.pbx.client_id, desk.pbx.client_secret)
    source = PbxSource(settings, desk.emit, may_mint=lambda: False)
    before = desk.configuration()
    with pytest.raises(TokenRefused):
        await source.execute("ext.update", {"num": "101", "firstname": "A"})
    assert desk.configuration() == before
    await source.close()


async def test_what_cannot_be_known_is_never_called_success_or_refusal(desk: Desk) -> None:
    for command, arguments in ASKS:
        method = {"new": "POST", "makecall": "POST", "del": "DELETE"}.get(
            command.rpartition(".")[2], "PATCH"
        )
        desk.pbx.faults.lose_answers(
            1, "/callcontrol" if command == "makecall" else "/xapi", method=method
        )
        with pytest.raises(CommandOutcomeUnknown):
            await desk.do(command, **arguments)
    assert desk.pbx.faults.happened["unanswered"] == len(ASKS)


async def test_what_is_done_twice_is_refused_or_the_same(desk: Desk) -> None:
    for command, arguments in ASKS:
        first = await desk.do(command, **arguments)
        if command in AGAIN:
            assert (await desk.refused(command, **arguments)).code == AGAIN[command]
        else:
            assert (await desk.do(command, **arguments)).keys() == first.keys()
