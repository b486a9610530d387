"""Lists, states and contacts of a service, as far as it serves them."""

from __future__ import annotations

import pytest

from monitor.pbx.clock import PbxClock
from monitor.pbx.webapi import resource_reader
from monitor.pbx.webapi.client import WebApiClient
from monitor.pbx.webapi.resource_reader import WebApiReader
from tests.monitor.pbx.documented import Documented
from tests.monitor.pbx.webapi.test_source import TALK, following, settings_for


async def test_without_calls_an_extension_is_as_busy_as_its_state_says(service: Documented) -> None:
    service.unserved |= {"pbx.ac.get", "pbx.callsinfo.get"}
    service.states["101"]["status"] = "Busy"
    async with following(service) as follower:
        await follower.until(
            lambda: follower.connected() and follower.extension("101").status == "Busy"
        )
        assert not follower.extension("101").available
        service.states["101"]["status"] = "Free"
        await follower.until(lambda: follower.extension("101").status == "Free")
        assert follower.extension("101").available


async def test_a_service_that_serves_few_commands_is_followed_as_far_as_it_goes(
    service: Documented,
) -> None:
    service.unserved |= {
        "",
        "ext.info.get",
        "ext.state.get",
        "all.extgroup.get",
        "contact.find",
        "queue.members.get",
    }
    service.call(7, "Internal", *TALK, answered="2022-12-29T08:37:23Z")
    async with following(service) as follower:
        await follower.until(lambda: follower.connected() and "7" in follower.calls)
        assert follower.extension("101").status == "Busy"
        assert follower.extension("102").registered, "by the list of those that are"
        assert follower.extension("101").q_global_status is None
        assert follower.system is not None
        assert follower.system.reason.startswith(
            "Not served: all.extgroup.get, ext.info.get, ext.state.get"
        )


async def test_lists_that_are_too_large_together_are_not_kept_and_the_system_says_so(
    service: Documented, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource_reader, "MOST_LISTED", 3)
    async with following(service) as follower:
        await follower.until(
            lambda: follower.system is not None and "more than 3 entries" in follower.system.reason
        )
        assert follower.system is not None
        assert follower.system.connection == "connecting"
        monkeypatch.undo()
        await follower.until(follower.connected)


async def test_entries_are_counted_as_long_as_they_are_kept(service: Documented) -> None:
    clock = PbxClock()
    client = WebApiClient(settings_for(service), clock)
    reader = WebApiReader(client, clock)
    try:
        for _ in range(2):
            await reader.lists()
            listed = sum(
                len(kept.value) for kept in reader._kept.values() if isinstance(kept.value, tuple)
            )
            assert reader._listed == listed > 0
        for command in {command for command, _ in reader._kept}:
            reader._keep(command, ())
        assert (reader._kept, reader._listed) == ({}, 0)
    finally:
        await client.close()
