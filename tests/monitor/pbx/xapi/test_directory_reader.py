"""Test that the directory and the address book are read as far as a PBX gives them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.pbx.facts import ConnectionChanged, ContactsRead, DirectoryRead
from monitor.pbx.xapi import directory_reader
from monitor.pbx.xapi.directory_reader import COLLECTIONS, MISSING
from monitor.simulator.behaviour_options import Switches
from tests.monitor.pbx.scripted import ScriptedPbx, following, settings_for
from tests.monitor.pbx.test_v20_source_simulator import BUSY, followed

USER = {"Id": 1, "Number": "100", "FirstName": "Ada", "Enabled": True}
QUEUE = {"Id": 2, "Number": "800", "Name": "Sales"}


@pytest.mark.parametrize("page_size", [None, 1, 7])
async def test_the_directory_and_the_address_book_are_read_whole(page_size: int | None) -> None:
    settings = replace(
        BUSY, traffic=False, extensions=120, contacts=250, switches=Switches(page_size=page_size)
    )
    async with followed(settings) as (pbx, _, mirror):
        read = await mirror.until(DirectoryRead)
        directory = pbx.directory
        assert sorted(row.number for row in read.users) == sorted(directory.extensions())
        assert {row.number for row in read.queues} == set(directory.queue_numbers())
        assert {row.number for row in read.ring_groups} == set(directory.ring_group_numbers())
        assert {row.number for row in read.ivrs} == set(directory.ivr_numbers())
        assert {row.number for row in read.trunks} == set(directory.trunk_numbers())
        for queue in read.queues:
            assert [agent.number for agent in queue.agents] == directory.agents(queue.number)
        for group in read.ring_groups:
            assert list(group.members) == directory.members(group.number)
        assert len(read.inbound_rules) == len(directory.inbound_rules)
        assert {row.number for row in read.users if row.registered} == set(
            filter(directory.registered, directory.extensions())
        )
        assert {member for row in read.departments for member in row.members} <= set(
            directory.extensions()
        )
        assert all(row.no_answer_timeout for row in read.users)
        assert read.system.version == directory.version
        assert {row.kind for row in read.peers} >= {"Conference", "SpecialMenu"}
        assert len((await mirror.until(ContactsRead)).contacts) == 250


async def test_no_more_than_a_hundred_rows_are_asked_for_at_once(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.until(DirectoryRead)
        await facts.until(ContactsRead)
    tops = {path: int(query["$top"]) for path, query in pbx.queries if "$top" in query}
    assert tops.keys() >= {"/xapi/v1/Users", "/xapi/v1/Contacts"}
    assert max(tops.values()) <= 100


async def test_contacts_that_did_not_change_are_told_once(pbx: ScriptedPbx) -> None:
    pbx.entities["Contacts"] = [{"Id": 1, "FirstName": "Ada"}]
    async with following(settings_for(pbx.url, contacts_interval=0.02)) as (_, facts):
        await pbx.asked("/xapi/v1/Contacts", 5)
        pbx.entities["Contacts"] = [{"Id": 1, "FirstName": "Augusta"}]
        await facts.until(ContactsRead, lambda read: read.contacts[0].firstname == "Augusta")
        assert len(facts.of(ContactsRead)) == 2


@pytest.mark.parametrize("status", [403, 404])
async def test_a_part_of_the_directory_that_is_refused_stays_empty_and_is_told(
    pbx: ScriptedPbx, status: int
) -> None:
    pbx.refuse("/xapi/v1/Queues", status)
    pbx.refuse("/xapi/v1/Contacts", status)
    pbx.entities["Users"] = [{"Id": 1, "Number": "100"}, {"Id": 2, "Number": "101"}]
    pbx.entities["Queues"] = [{"Id": 3, "Number": "800"}]
    async with following(settings_for(pbx.url)) as (source, facts):
        read = await facts.until(DirectoryRead)
        assert [user.number for user in read.users] == ["100", "101"]
        assert read.queues == ()
        told = await facts.until(DirectoryRead, lambda read: "address book" in str(read.refused))
        assert [part for part in told.refused if part.startswith("Queues")] == [
            f"Queues ({status}): no queues, their waiting callers, agents and statistics"
        ]
        pbx.allow("/xapi/v1/Queues")
        source.want_directory()
        read = await facts.until(DirectoryRead, lambda read: bool(read.queues))
        assert not any(part.startswith("Queues") for part in read.refused)


async def test_a_list_of_very_many_extensions_is_not_taken_and_one_of_contacts_is(
    pbx: ScriptedPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_reader, "MOST_OF_A_KIND", 3)
    pbx.entities["Queues"] = [{"Id": id_, "Number": f"80{id_}"} for id_ in range(1, 5)]
    pbx.entities["Contacts"] = [{"Id": id_, "FirstName": "Ada"} for id_ in range(1, 5)]
    async with following(settings_for(pbx.url, directory_interval=0.02)) as (_, facts):
        assert len((await facts.until(ContactsRead)).contacts) == 4
        read = await facts.until(DirectoryRead, lambda read: bool(read.failing))
    assert read.queues == ()
    assert any("more than 3 Queues at once" in reason for reason in read.failing)


def test_everything_that_is_read_has_words_for_what_is_missing_without_it() -> None:
    assert MISSING.keys() >= {*COLLECTIONS, "SystemStatus", "OfficeHours", "Defs/TimeZones"}


async def test_a_list_of_zones_that_is_shown_later_gives_the_zone(sales: ScriptedPbx) -> None:
    for _ in range(9):
        sales.answer("/xapi/v1/OfficeHours", 200, {"TimeZoneId": "12"})
    zones = {"value": [{"Id": "12", "IanaName": "Europe/Berlin"}]}
    sales.answer("/xapi/v1/Defs/TimeZones", 200, zones)
    sales.refuse("/xapi/v1/Defs/TimeZones", 403)
    async with following(settings_for(sales.url)) as (source, facts):
        read = await facts.until(DirectoryRead)
        assert [part for part in read.refused if part.startswith("Defs/TimeZones (403)")]
        sales.allow("/xapi/v1/Defs/TimeZones")
        source.want_directory()
        read = await facts.until(DirectoryRead, lambda read: bool(read.system.time_zone))
        assert read.system.time_zone == "Europe/Berlin"
        assert not any(part.startswith("Defs/TimeZones") for part in read.refused)


async def test_a_property_that_this_version_does_not_know_is_done_without(pbx: ScriptedPbx) -> None:
    pbx.answer("/xapi/v1/Users", 400, {"error": {"message": "Could not find a property"}})
    pbx.entities["Users"] = [{"Id": 1, "Number": "100"}]
    async with following(settings_for(pbx.url)) as (_, facts):
        assert (await facts.until(DirectoryRead)).users[0].number == "100"
        first, second = (query for path, query in pbx.queries if path == "/xapi/v1/Users")
        assert "$select" in first
        assert "$select" not in second
        assert second["$expand"] == "ForwardingProfiles"


async def test_parts_that_fail_do_not_stop_the_calls(pbx: ScriptedPbx) -> None:
    for path in ("/xapi/v1/Users", "/xapi/v1/Contacts"):
        pbx.refuse(path, 500)
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.until(ConnectionChanged, lambda fact: "directory" in fact.reason)
        await pbx.asked("/xapi/v1/Users", 2)
        await pbx.upsert(1, "Ringing")
        await facts.seen("Ringing")
        pbx.allow("/xapi/v1/Users")
        await facts.until(DirectoryRead)
        await facts.connected()
        await pbx.asked("/xapi/v1/Contacts", 2)
        await pbx.upsert(1, "Connected")
        await facts.seen("Connected")
        pbx.allow("/xapi/v1/Contacts")
        await facts.until(ContactsRead)


@pytest.fixture
def sales(pbx: ScriptedPbx) -> ScriptedPbx:
    pbx.entities["Users"], pbx.entities["Queues"] = [USER], [QUEUE]
    return pbx


@pytest.mark.parametrize("status", [500, 502])
async def test_a_part_that_fails_for_good_is_empty_and_told(
    sales: ScriptedPbx, status: int
) -> None:
    sales.refuse("/xapi/v1/Queues", status)
    async with following(settings_for(sales.url)) as (_, facts):
        read = await facts.until(DirectoryRead)
        assert [user.number for user in read.users] == ["100"]
        assert read.queues == ()
        (told,) = read.failing
        assert told.startswith("Queues: ")
        assert str(status) in told


async def test_a_web_page_in_place_of_a_part_is_told(sales: ScriptedPbx) -> None:
    for _ in range(2):
        sales.answer("/xapi/v1/Peers", 200, "<!DOCTYPE html><html></html>")
    async with following(settings_for(sales.url)) as (_, facts):
        read = await facts.until(DirectoryRead)
        assert [told.partition(":")[0] for told in read.failing] == ["Peers"]


async def test_a_part_that_fails_later_stays_as_it_was_until_it_is_read_again(
    sales: ScriptedPbx,
) -> None:
    async with following(settings_for(sales.url)) as (source, facts):
        await facts.until(DirectoryRead)
        sales.refuse("/xapi/v1/Queues", 500)
        source.want_directory()
        broken = await facts.until(DirectoryRead, lambda read: bool(read.failing))
        assert [queue.number for queue in broken.queues] == ["800"]
        sales.allow("/xapi/v1/Queues")
        before = len(facts.all)
        source.want_directory()
        mended = await facts.until(DirectoryRead, lambda read: not read.failing, before)
        assert [queue.number for queue in mended.queues] == ["800"]


async def test_one_failure_alone_is_tried_again(sales: ScriptedPbx) -> None:
    sales.answer("/xapi/v1/Queues", 503)
    async with following(settings_for(sales.url)) as (_, facts):
        read = await facts.until(DirectoryRead)
        assert read.failing == ()
        assert [queue.number for queue in read.queues] == ["800"]


@pytest.mark.parametrize("status", [500, 403, 404])
async def test_without_the_users_the_pbx_is_not_connected_and_says_why(
    sales: ScriptedPbx, status: int
) -> None:
    sales.refuse("/xapi/v1/Users", status)
    async with following(settings_for(sales.url)) as (_, facts):
        told = await facts.until(ConnectionChanged, lambda fact: "directory" in fact.reason)
        assert told.connection == "connecting"
        assert "Users" in told.reason
        sales.allow("/xapi/v1/Users")
        await facts.until(ConnectionChanged, lambda fact: fact.connection == "connected")


@pytest.mark.parametrize("status", [500, 403])
async def test_users_that_fail_later_stay_as_they_were_and_are_told(
    sales: ScriptedPbx, status: int
) -> None:
    async with following(settings_for(sales.url)) as (source, facts):
        await facts.until(DirectoryRead)
        sales.refuse("/xapi/v1/Users", status)
        source.want_directory()
        broken = await facts.until(DirectoryRead, lambda read: bool(read.failing))
        assert [user.number for user in broken.users] == ["100"]
        assert broken.failing[0].startswith("Users: ")


async def test_an_address_book_that_cannot_be_read_is_told_until_it_can(
    sales: ScriptedPbx,
) -> None:
    sales.refuse("/xapi/v1/Contacts", 500)
    async with following(settings_for(sales.url)) as (_, facts):
        told = await facts.until(DirectoryRead, lambda read: bool(read.failing))
        assert [part.partition(":")[0] for part in told.failing] == ["Contacts"]
        before = len(facts.all)
        sales.allow("/xapi/v1/Contacts")
        await facts.until(DirectoryRead, lambda read: not read.failing, before)


async def test_a_zone_by_its_name_needs_no_list_of_zones(sales: ScriptedPbx) -> None:
    sales.answer("/xapi/v1/OfficeHours", 200, {"TimeZoneId": "America/Chicago"})
    sales.refuse("/xapi/v1/Defs/TimeZones", 404)
    async with following(settings_for(sales.url)) as (_, facts):
        read = await facts.until(DirectoryRead)
        assert read.system.time_zone == "America/Chicago"
        assert not any(part.startswith("Defs/TimeZones") for part in read.refused)
