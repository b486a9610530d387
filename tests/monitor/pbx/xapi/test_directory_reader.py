"""Test that one broken part of the directory does not take the others away."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from monitor.pbx.facts import ConnectionChanged, DirectoryRead
from tests.monitor.pbx.scripted import ScriptedPbx, following, scripted_pbx, settings_for

USER = {"Id": 1, "Number": "100", "FirstName": "Ada", "Enabled": True}
QUEUE = {"Id": 2, "Number": "800", "Name": "Sales"}


@pytest.fixture
async def pbx() -> AsyncIterator[ScriptedPbx]:
    async with scripted_pbx() as pbx:
        pbx.entities["Users"], pbx.entities["Queues"] = [USER], [QUEUE]
        yield pbx


@pytest.mark.parametrize("status", [500, 502])
async def test_a_part_that_fails_for_good_is_empty_and_told(pbx: ScriptedPbx, status: int) -> None:
    pbx.refuse("/xapi/v1/Queues", status)
    async with following(settings_for(pbx.url)) as (_, facts):
        read = await facts.until(DirectoryRead)
        assert [user.number for user in read.users] == ["100"]
        assert read.queues == ()
        (told,) = read.failing
        assert told.startswith("Queues: ")
        assert str(status) in told


async def test_a_web_page_in_place_of_a_part_is_told(pbx: ScriptedPbx) -> None:
    for _ in range(2):
        pbx.answer("/xapi/v1/Peers", 200, "<!DOCTYPE html><html></html>")
    async with following(settings_for(pbx.url)) as (_, facts):
        read = await facts.until(DirectoryRead)
        assert [told.partition(":")[0] for told in read.failing] == ["Peers"]


async def test_a_part_that_fails_later_stays_as_it_was_until_it_is_read_again(
    pbx: ScriptedPbx,
) -> None:
    async with following(settings_for(pbx.url)) as (source, facts):
        await facts.until(DirectoryRead)
        pbx.refuse("/xapi/v1/Queues", 500)
        source.want_directory()
        broken = await facts.until(DirectoryRead, lambda read: bool(read.failing))
        assert [queue.number for queue in broken.queues] == ["800"]
        pbx.allow("/xapi/v1/Queues")
        before = len(facts.all)
        source.want_directory()
        mended = await facts.until(DirectoryRead, lambda read: not read.failing, before)
        assert [queue.number for queue in mended.queues] == ["800"]


async def test_one_failure_alone_is_tried_again(pbx: ScriptedPbx) -> None:
    pbx.answer("/xapi/v1/Queues", 503)
    async with following(settings_for(pbx.url)) as (_, facts):
        read = await facts.until(DirectoryRead)
        assert read.failing == ()
        assert [queue.number for queue in read.queues] == ["800"]


async def test_without_the_users_the_pbx_is_not_connected_and_says_why(pbx: ScriptedPbx) -> None:
    pbx.refuse("/xapi/v1/Users", 500)
    async with following(settings_for(pbx.url)) as (_, facts):
        told = await facts.until(ConnectionChanged, lambda fact: "directory" in fact.reason)
        assert told.connection == "connecting"
        assert "Users" in told.reason
        pbx.allow("/xapi/v1/Users")
        await facts.until(ConnectionChanged, lambda fact: fact.connection == "connected")


async def test_a_zone_by_its_name_needs_no_list_of_zones(pbx: ScriptedPbx) -> None:
    pbx.answer("/xapi/v1/OfficeHours", 200, {"TimeZoneId": "America/Chicago"})
    pbx.refuse("/xapi/v1/Defs/TimeZones", 404)
    async with following(settings_for(pbx.url)) as (_, facts):
        read = await facts.until(DirectoryRead)
        assert read.system.time_zone == "America/Chicago"
