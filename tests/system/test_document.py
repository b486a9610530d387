"""Try the document's sentences about queries at a running gateway, monitor and simulated PBX.

The sentences about commands that change something are tried in ``test_commands``, those about SQL
in ``test_sql``. The table in ``deploy/commands.md`` says which test holds which sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from monitor.simulator.calls.model import SimulatedCall
from tests.system.test_commands import ADMIN, READER, Desk, site

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLER = "+4930555010"
FIELDS = ["dnNum", "dnType", "externalParty", "status"]
"""The four fields that every connection has in the product's own examples."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk() -> AsyncIterator[Desk]:
    async with site() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def quiet(desk: Desk) -> AsyncIterator[None]:
    """Leave no call behind, and wait until none is shown."""
    yield
    for call in list(desk.pbx.switchboard.calls.values()):
        desk.pbx.switchboard.drop_call(call.id)
    await told(desk, "pbx.calls.get", lambda said: said["result"] == 0)


async def told(
    desk: Desk, command: str, is_so: Callable[[Any], bool], **given: str
) -> dict[str, Any]:
    """Ask until the answer is so; the gateway holds each question until its answer changes."""
    headers: dict[str, str] = {}
    async with asyncio.timeout(60):
        while True:
            path = f"/webapi/{ADMIN}/{command}"
            answer = await desk.http.get(path, params=given, headers=headers)
            if answer.status_code == 200:
                said: dict[str, Any] = answer.json()
                if is_so(said):
                    return said
                headers = {"If-None-Match": answer.headers["etag"], "Prefer": "wait=10"}


async def info(desk: Desk, call: SimulatedCall, **wanted: Any) -> dict[str, Any]:
    """Return the call as ``pbx.callsinfo.get`` tells it, once these fields are so.

    Of legs, the numbers are wanted. The row's word may come before the leg's own event.
    """

    def is_so(row: dict[str, Any], name: str) -> bool:
        value = row[name]
        numbers = [leg["dnNum"] for leg in value] if isinstance(value, list) else value
        return bool(numbers == wanted[name])

    def found(said: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            row
            for row in said["callsInfo"]
            if row["callID"] == call.id and all(is_so(row, name) for name in wanted)
        ]

    return found(await told(desk, "pbx.callsinfo.get", lambda said: bool(found(said))))[0]


def phones(desk: Desk) -> list[str]:
    """The extensions that can be rung: enabled, with one phone, logged in."""
    directory = desk.pbx.directory
    return [
        number
        for number in directory.extensions()
        if len(directory.devices(number)) == 1
        and (user := directory.entity(number)) is not None
        and user["Enabled"]
        and user["QueueStatus"] == "LoggedIn"
        and user["CurrentProfileName"] == "Available"
    ]


async def test_calls_are_counted_listed_and_have_one_of_six_directions(desk: Desk) -> None:
    board, (one, two, three, four, five, six, *_) = desk.pbx.switchboard, phones(desk)
    directions: dict[int, str] = {}
    directions[board.arrive("10001", CALLER).id] = "FromExternal"
    directions[board.ring_first(one, two).id] = "FromInternal"
    inbound = board.arrive("10000", CALLER)
    board.route(inbound, six)
    directions[inbound.id] = "Inbound"
    directions[board.dial(three, "+15155550100").id] = "Outbound"
    external = board.arrive("10000", CALLER)
    board.route(external, "+15155550101")
    directions[external.id] = "External"
    directions[board.dial(four, five).id] = "Internal"

    def listed(said: dict[str, Any]) -> dict[int, str]:
        return {call["callID"]: call["direction"] for call in said["AConnByCallID"]}

    def legs_of(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {leg["dnNum"]: leg for call in said["AConnByCallID"] for leg in call["AConnList"]}

    def complete(said: dict[str, Any]) -> bool:
        legs = legs_of(said)
        sides = [legs.get(number, {}).get("externalParty") for number in (four, five, six)]
        return listed(said) == directions and sides == [five, four, CALLER]

    said = await told(desk, "pbx.ac.get", complete)
    assert (said["count"], await desk.said("pbx.calls.get")) == (6, {"result": 6})
    assert (await desk.said("pbx.callsinfo.get"))["count"] == 6
    for call in said["AConnByCallID"]:
        assert list(call) == ["callID", "direction", "did", "AConnList"]
        assert call["AConnList"]
        assert all(list(leg)[:4] == FIELDS for leg in call["AConnList"])
    legs = legs_of(said)
    assert (legs[four]["dnType"], legs[four]["externalParty"]) == ("extension", five)
    assert (legs[five]["status"], legs[five]["externalParty"]) == ("Ringing", four)
    assert legs[six]["externalParty"] == CALLER


async def test_a_call_has_the_name_of_its_did_rule_if_there_is_one(desk: Desk) -> None:
    (rule,) = desk.pbx.directory.rules("10001")
    for trunk, name in (("10001", rule["RuleName"]), ("10002", "")):
        call = desk.pbx.switchboard.arrive(trunk, CALLER)
        await info(desk, call, did=name)
        rows = (await desk.said("pbx.ac.get"))["AConnByCallID"]
        assert [row["did"] for row in rows if row["callID"] == call.id] == [name]


async def test_a_call_goes_through_its_states_with_owner_talk_to_and_routing_to(
    desk: Desk,
) -> None:
    board, (one, two, *_) = desk.pbx.switchboard, phones(desk)
    call = board.arrive("10000", CALLER)
    row = await info(desk, call, state="Initiating")
    assert (row["answeredAt"], row["talkTo"], row["routingTo"]) == (None, [], [])
    assert (row["owner"]["dnNum"], row["owner"]["externalParty"]) == ("10000", CALLER)
    board.route(call, one)
    await info(desk, call, state="Routing", routingTo=[one])
    board.answer(call, one)
    row = await info(desk, call, state="Talking", talkTo=[one], routingTo=[])
    assert row["owner"]["dnNum"] == "10000"
    assert row["startedAt"] <= row["answeredAt"]
    board.transfer(call, one, two)
    await info(desk, call, state="Transferring", routingTo=[two])
    board.no_answer(call)
    await info(desk, call, state="Rerouting", routingTo=[one])


async def test_the_lists_hold_all_that_the_pbx_has(desk: Desk) -> None:
    directory = desk.pbx.directory
    registered = [number for number in directory.extensions() if directory.registered(number)]
    assert 0 < len(registered) < len(directory.extensions())
    for command, numbers in (
        ("all.ext.get", directory.extensions()),
        ("all.registered.get", registered),
        ("all.group.get", directory.ring_group_numbers()),
        ("all.queue.get", directory.queue_numbers()),
        ("all.ivr.get", directory.ivr_numbers()),
        ("all.line.get", directory.trunk_numbers()),
    ):
        said = await desk.said(command)
        assert (list(said), sorted(said["nums"])) == (["nums"], sorted(numbers))
    names = sorted(group["Name"] for group in directory.groups.values())
    assert (await desk.said("all.extgroup.get")) == {"extGroups": names}


async def test_an_extensions_fields_are_those_that_can_be_set_without_secrets(desk: Desk) -> None:
    number = phones(desk)[0]
    fields = {
        "firstname": "Anna",
        "lastname": "Weber",
        "email": "anna@example.com",
        "mobile": "+49170555010",
        "authid": "a1",
        "callerid": "+4930555099",
        "sipid": "anna",
    }
    words = {"enabled": 1, "deliveraudio": 1, "recordcalls": 1, "vmemail": 2, "vmenabled": 1}
    words |= {"vmplaycallerid": 1, "vmplaydatetime": 2, "internal": 0, "noanswertimeout": 25}
    given = fields | {name: str(value) for name, value in words.items()}
    await desk.said("ext.update", num=number, authpass="s3cret", vmpin="4711", **given)
    said = await desk.said("ext.info.get", num=number)
    assert {name: said[name] for name in given} == fields | words
    assert (said["num"], said["name"]) == (number, "Anna")
    assert (said["reinvite"], said["replaces"]) == (None, None), "a v20 has them for trunks only"
    assert {"authpass", "vmpin"}.isdisjoint(said)
    assert "s3cret" not in str(said)
    assert "4711" not in str(said)


async def test_an_extension_is_busy_if_it_is_rung_if_it_calls_and_if_it_talks(desk: Desk) -> None:
    board, (one, two, *_) = desk.pbx.switchboard, phones(desk)
    said = await told(desk, "ext.state.get", lambda said: said["status"] == "Free", num=one)
    names = ["num", "registered", "status", "fwdName", "qGlobalStatus", "qStatus"]
    assert list(said) == names
    assert (said["num"], said["registered"], said["status"]) == (one, True, "Free")
    call = board.dial(one, two)
    for number in (one, two):
        await told(desk, "ext.state.get", lambda said: said["status"] == "Busy", num=number)
    board.answer(call, two)
    await info(desk, call, state="Talking")
    for number in (one, two):
        assert (await desk.said("ext.state.get", num=number))["status"] == "Busy"
    board.drop_call(call.id)
    for number in (one, two):
        await told(desk, "ext.state.get", lambda said: said["status"] == "Free", num=number)


async def test_an_extensions_status_and_logins_are_the_pbxs_own(desk: Desk) -> None:
    for number in desk.pbx.directory.extensions():
        user = desk.pbx.directory.entity(number)
        assert user is not None
        said = await desk.said("ext.state.get", num=number)
        assert said["registered"] == desk.pbx.directory.registered(number)
        assert said["fwdName"] == user["CurrentProfileName"]
        assert said["qGlobalStatus"] == user["QueueStatus"]
        logins = {
            queue: "LoggedIn" if desk.pbx.directory.logins.logged_in(queue, number) else "LoggedOut"
            for queue in desk.pbx.directory.queue_numbers()
            if number in desk.pbx.directory.agents(queue)
        }
        assert {login["num"]: login["status"] for login in said["qStatus"]} == logins


async def test_a_queue_has_members_managers_free_agents_and_agents_who_talk(desk: Desk) -> None:
    board, (one, two, three, *_) = desk.pbx.switchboard, phones(desk)
    await desk.said("queue.agents.set", num="801", agents=f"{two},{one},{three}")
    await desk.said("queue.managers.set", num="801", managers=three)
    assert (await desk.said("queue.members.get", num="801"))["nums"] == [two, one, three]
    assert (await desk.said("queue.managers.get", num="801"))["nums"] == [three]
    assert (await desk.said("queue.free.get", num="801"))["nums"] == [two, one, three]
    assert (await desk.said("queue.talk.get", num="801"))["nums"] == []
    await desk.said("ext.queue.set", num=three, queue="801", log="off")
    await desk.said("ext.fwd.set", num=two, status="Away")
    free = (await desk.said("queue.free.get", num="801"))["nums"]
    assert free == [two, one], "who is logged in is free, whatever the profile is called"
    await desk.said("ext.queueglobal.set", num=two, log="off")
    assert (await desk.said("queue.free.get", num="801"))["nums"] == [one]
    assert await desk.said("queue.isfree.get", num="801") == {"result": True}
    call = board.arrive("10000", CALLER)
    board.route(call, "801")
    board.poll(call, [one])
    await told(desk, "queue.isfree.get", lambda said: said["result"] is False, num="801")
    assert (await desk.said("queue.talk.get", num="801"))["nums"] == [], "it only rings"
    board.answer(call, one)
    await told(desk, "queue.talk.get", lambda said: said["nums"] == [one], num="801")
    assert (await desk.said("queue.free.get", num="801"))["nums"] == []
    await desk.said("ext.queueglobal.set", num=two, log="on")
    await desk.said("ext.fwd.set", num=two, status="Available")
    assert await desk.said("queue.isfree.get", num="801") == {"result": True}


async def test_a_ring_group_has_members_and_free_members(desk: Desk) -> None:
    board, (one, two, three, four, *_) = desk.pbx.switchboard, phones(desk)
    everyone = [three, one, two]
    await desk.said("group.members.set", num="601", members=",".join(everyone))
    assert (await desk.said("group.members.get", num="601"))["nums"] == everyone
    assert (await desk.said("group.free.get", num="601"))["nums"] == everyone
    user = desk.pbx.directory.entity(two)
    assert user is not None
    for profile in user["ForwardingProfiles"]:
        profile["DisableRingGroupCalls"] = profile["Name"] == "Away"
    await desk.said("ext.fwd.set", num=two, status="Away")
    assert (await desk.said("group.free.get", num="601"))["nums"] == [three, one]
    board.dial(one, four)
    await told(desk, "group.free.get", lambda said: said["nums"] == [three], num="601")
    await desk.said("ext.fwd.set", num=two, status="Available")
    call = board.arrive("10000", CALLER)
    board.route(call, "601")
    rung = sorted(leg.number for leg in call.ringing())
    assert rung == sorted((two, three)), "the PBX rings the same"


async def test_an_extension_group_has_its_members(desk: Desk) -> None:
    directory = desk.pbx.directory
    names = {group["Id"]: group["Name"] for group in directory.groups.values()}
    for id_, name in names.items():
        members = [
            user["Number"]
            for user in directory.users.values()
            if any(row["GroupId"] == id_ for row in user["Groups"])
        ]
        assert (await desk.said("extgroup.members.get", name=name))["nums"] == sorted(members)
    assert (await desk.ask("extgroup.members.get", name="Nobody")).status_code == 404


async def test_contacts_are_found_by_the_three_rules_of_min_len(desk: Desk) -> None:
    ids = {}
    for name, phone in (("exact", "5550777"), ("longer", "495550777"), ("tail", "8880777")):
        made = await desk.said("contact.new", firstname=name, phone=phone)
        ids[name] = made["id"]

    async def found(**given: str) -> set[str]:
        all_ids = (await desk.said("contact.find", num="5550777", **given))["ids"]
        return {name for name, id_ in ids.items() if id_ in all_ids}

    assert await found() == {"exact"}, "not given: only an exact match"
    assert await found(min_len="8") == {"exact"}, "greater than the length: only an exact match"
    assert await found(min_len="7") == {"exact", "longer"}, "equal: numbers that end with it"
    assert await found(min_len="0") == {"exact", "longer"}, "0: numbers that end with it"
    assert await found(min_len="4") == {"exact", "longer"}, "less: the longest common ending"
    other = await desk.said("contact.find", num="6660777", min_len="4")
    assert set(ids.values()) <= set(other["ids"]), "less: at least so many digits"
    none = await desk.said("contact.find", num="6660777", min_len="5")
    assert set(ids.values()).isdisjoint(none["ids"])
    for id_ in ids.values():
        await desk.said("contact.del", id=str(id_))


async def test_every_field_of_a_contact_is_set_and_told_by_its_documented_name(
    desk: Desk,
) -> None:
    names = ["phone", *(f"data{n}" for n in (0, 1, 3, 4, 6, 7, 9))]
    fields = {name: f"555010{at}" for at, name in enumerate(names)}
    fields |= {"firstname": "Anna", "lastname": "Weber", "company": "Acme", "tag": "vip"}
    fields["data5"] = "anna@example.com"
    made = await desk.said("contact.new", **fields)
    said = await desk.said("contact.get", id=str(made["id"]))
    assert {name: said[name] for name in fields} == fields
    assert (said["data2"], said["data8"]) == (None, None), "a v20 has no such fields"
    (row,) = [row for row in desk.pbx.directory.contacts.values() if row["Id"] == made["id"]]
    assert (row["PhoneNumber"], row["Mobile2"], row["Home"]) == ("5550100", "5550101", "5550102")
    assert (row["Business"], row["Business2"], row["Email"]) == (
        "5550103",
        "5550104",
        "anna@example.com",
    )
    assert (row["Other"], row["BusinessFax"], row["Pager"]) == ("5550105", "5550106", "5550107")
    refused = await desk.ask("contact.update", id=str(made["id"]), crmcontactdata="x")
    assert refused.json()["error"]["code"] == "unsupported"
    await desk.said("contact.del", id=str(made["id"]))


async def test_a_key_that_only_reads_is_refused_every_change(desk: Desk) -> None:
    assert (await desk.ask("pbx.calls.get", READER)).status_code == 200
    for command in ("makecall", "ext.fwd.set", "ext.del", "contact.new", "group.members.set"):
        refused = await desk.ask(command, READER)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")


async def test_makecall_calls_from_a_queue_a_number_as_people_write_it(desk: Desk) -> None:
    made = await desk.said("makecall", first="800", second="\u202a+49 (0)30\u2013555 0199\u202c")
    assert made["result"] is True
    call = desk.pbx.switchboard.calls[made["callid"]]
    assert [leg.outside for leg in call.ringing()] == ["+49305550199"]
    two = await desk.ask("makecall", first="800", second="030 5550199 / 0171 5550198")
    assert (two.status_code, two.json()["result"]) == (400, False)
    assert "more than one number" in two.json()["error"]["message"]
    assert list(desk.pbx.switchboard.calls) == [made["callid"]]
