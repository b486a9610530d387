"""Test a source with a PBX that does what the test says: races, refusals and silence."""

from __future__ import annotations

import asyncio
import time

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from monitor.pbx.clock import PbxClock
from monitor.pbx.facts import (
    ActiveCallsRead,
    ConnectionChanged,
    ContactsRead,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
)
from tests.monitor.pbx.scripted import ScriptedPbx, following, settings_for

FULL = "/callcontrol"
ROWS = "/xapi/v1/ActiveCalls"


def lost(fact: ConnectionChanged) -> bool:
    return fact.connection == "lost"


async def test_connected_is_told_when_everything_has_been_read(pbx: ScriptedPbx) -> None:
    pbx.put(1, "Connected")
    pbx.rows = [{"Id": 7, "Caller": "100 A", "Status": "Talking"}]
    async with following(settings_for(pbx.url)) as (_, facts):
        connected = await facts.connected()
        assert connected.source == "callcontrol+activecalls"
        told = facts.all[: facts.all.index(connected)]
        assert facts.all[0] == ConnectionChanged(
            "connecting", "", facts.of(ConnectionChanged)[0].at
        )
        read = next(fact for fact in told if isinstance(fact, ParticipantsRead))
        assert [p.id for p in read.participants] == [1]
        assert read.dns == {"100": "Wextension", "101": "Wextension"}
        assert any(isinstance(fact, ActiveCallsRead) and fact.rows for fact in told)
        assert pbx.minted == 1, "all parts share one token"


async def test_calls_are_live_before_the_contacts_are_read(pbx: ScriptedPbx) -> None:
    held = pbx.hold("/xapi/v1/Contacts")
    pbx.entities["Contacts"] = [{"Id": 1, "FirstName": "Ada"}]
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        await pbx.upsert(1, "Ringing")
        await facts.seen("Ringing")
        await held.asked.wait()
        assert not facts.of(ContactsRead)
        held.release()
        assert (await facts.until(ContactsRead)).contacts[0].firstname == "Ada"


async def test_an_event_during_the_full_read_is_newer_than_it(pbx: ScriptedPbx) -> None:
    pbx.put(1, "Ringing")
    pbx.put(2, "Ringing", dn="101")
    held = pbx.hold(FULL)
    async with following(settings_for(pbx.url)) as (_, facts):
        await held.asked.wait()
        await pbx.upsert(1, "Connected")
        await pbx.remove(2, dn="101")
        await facts.seen("Connected")
        await facts.until(ParticipantGone)
        held.release()
        read = await facts.until(ParticipantsRead)
        assert read.kept == {("100", 1), ("101", 2)}
        assert {p.status for p in read.participants} == {"Ringing"}, (
            "the answer is of the moment it was asked"
        )


async def test_the_answer_of_an_older_read_after_a_removal_is_thrown_away(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        held = pbx.hold("/callcontrol/100/participants/1")
        await pbx.upsert(1, "Ringing")
        await held.asked.wait()
        await pbx.remove(1)
        await facts.until(ParticipantGone)
        held.release()
        await pbx.upsert(2, "Dialing")
        await facts.seen("Dialing")
        assert [fact.participant.id for fact in facts.of(ParticipantSeen)] == [2]


async def test_an_event_that_carries_its_participant_needs_no_read(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        body = {"id": 9, "dn": "100", "callid": 4, "status": "Ringing"}
        await pbx.send(0, "/callcontrol/100/participants/9", body)
        assert (await facts.seen("Ringing")).participant.id == 9
        assert not pbx.requests["/callcontrol/100/participants/9"]


async def test_a_token_revoked_in_mid_life_costs_nothing(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        pbx.revoke()
        await pbx.upsert(1, "Ringing")
        await facts.seen("Ringing")
        assert pbx.minted == 2
        assert not any(map(lost, facts.of(ConnectionChanged)))


async def test_tokens_revoked_again_and_again_are_told_in_words(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        pbx.revoke_at_once = True
        pbx.revoke()
        await pbx.upsert(1, "Ringing")
        told = await facts.until(ConnectionChanged, lambda fact: "another program" in fact.reason)
        assert told.connection in ("lost", "connecting")
        pbx.revoke_at_once = False
        await facts.connected(facts.all.index(told))


async def test_what_changed_while_the_socket_was_away_is_found_when_it_is_back(
    pbx: ScriptedPbx,
) -> None:
    pbx.put(1, "Connected")
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        before = len(facts.all)
        pbx.participants.clear()
        pbx.put(2, "Ringing")
        await pbx.drop()
        read = await facts.until(ParticipantsRead, after=before)
        assert [p.id for p in read.participants] == [2]
        assert not read.kept


async def test_a_404_after_an_event_is_the_end_of_the_participant_and_looked_into(
    pbx: ScriptedPbx,
) -> None:
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        reads = pbx.requests[FULL]
        await pbx.upsert(5)
        gone = await facts.until(ParticipantGone)
        assert (gone.dn, gone.participant_id) == ("100", 5)
        await pbx.asked(FULL, reads + 1)


@pytest.mark.parametrize("status", [429, 500, 503, 403])
async def test_a_read_that_the_pbx_does_not_answer_is_made_good_by_a_full_one(
    pbx: ScriptedPbx, status: int
) -> None:
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        before = len(facts.all)
        pbx.answer("/callcontrol/100/participants/1", status, headers={"Retry-After": "0"})
        await pbx.upsert(1, "Ringing")
        await facts.until(ParticipantsRead, lambda read: bool(read.participants), before)
        assert not any(map(lost, facts.of(ConnectionChanged)))


async def test_a_busy_pbx_is_asked_again_when_it_says(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url)) as (source, facts):
        await facts.connected()
        before = len(facts.all)
        pbx.answer(FULL, 429, headers={"Retry-After": "1"})
        began = asyncio.get_running_loop().time()
        source.request_full_read()
        await facts.until(ParticipantsRead, after=before)
        assert asyncio.get_running_loop().time() - began >= 1.0
        assert not any(map(lost, facts.of(ConnectionChanged)))


async def test_a_read_that_hangs_does_not_keep_the_others_waiting(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url, request_timeout=1.5)) as (_, facts):
        await facts.connected()
        before = len(facts.all)
        pbx.hold("/callcontrol/100/participants/1")
        await pbx.upsert(1, "Ringing")
        await pbx.upsert(2, "Dialing")
        await facts.seen("Dialing")
        await facts.until(ParticipantsRead, lambda read: len(read.participants) == 2, before)


async def test_a_pbx_whose_full_state_hangs_is_lost_and_found(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url, request_timeout=0.5)) as (source, facts):
        await facts.connected()
        held = [pbx.hold(FULL) for _ in range(3)]
        source.request_full_read()
        down = await facts.until(ConnectionChanged, lost)
        assert "in time" in down.reason
        for one in held:
            one.release()
        await facts.connected(facts.all.index(down))


async def test_a_pbx_that_was_lost_beside_its_participants_tells_all_calls_again(
    pbx: ScriptedPbx,
) -> None:
    pbx.put(1, "Connected")
    pbx.refuse("/xapi/v1/Peers", 500)
    held = pbx.hold("/xapi/v1/Peers")
    async with following(settings_for(pbx.url, watchdog_interval=3600.0)) as (_, facts):
        await facts.connected()
        held.release()
        down = await facts.until(ConnectionChanged, lost)
        pbx.allow("/xapi/v1/Peers")
        found = await facts.connected(facts.all.index(down))
        read = await facts.until(ParticipantsRead, after=facts.all.index(found))
        assert [p.id for p in read.participants] == [1]
        await facts.until(
            ActiveCallsRead,
            lambda rows: rows.asked > read.asked,
            after=facts.all.index(read),
        )


async def test_without_the_right_to_call_control_it_goes_on_with_active_calls(
    pbx: ScriptedPbx,
) -> None:
    pbx.refuse("/callcontrol/ws", 403)
    async with following(settings_for(pbx.url, recheck_interval=0.2)) as (_, facts):
        connected = await facts.connected()
        assert connected.source == "activecalls"
        assert "403" in connected.reason
        read = facts.of(ParticipantsRead)[0]
        assert (read.participants, read.dns) == ((), {})
        await facts.until(ActiveCallsRead)
        pbx.allow("/callcontrol/ws")
        await facts.until(ConnectionChanged, lambda fact: fact.source == "callcontrol+activecalls")


async def test_a_right_lost_on_the_way_takes_the_participants_with_it(pbx: ScriptedPbx) -> None:
    pbx.put(1, "Connected")
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        before = len(facts.all)
        pbx.refuse("/callcontrol", 403)
        await pbx.drop()
        assert (await facts.connected(before)).source == "activecalls"
        assert (await facts.until(ParticipantsRead, after=before)).participants == ()


async def test_without_the_right_to_active_calls_it_goes_on_with_call_control(
    pbx: ScriptedPbx,
) -> None:
    pbx.refuse(ROWS, 403)
    async with following(settings_for(pbx.url)) as (_, facts):
        connected = await facts.connected()
        assert connected.source == "callcontrol"
        assert "403" in connected.reason


async def test_a_monitor_that_may_not_mint_does_not_touch_the_pbx(pbx: ScriptedPbx) -> None:
    sure = False
    async with following(settings_for(pbx.url), lambda: sure) as (_, facts):
        await facts.until(ConnectionChanged, lambda fact: "not sure" in fact.reason)
        assert not pbx.requests
        sure = True
        await facts.connected()


async def test_a_pbx_that_is_off_at_first_is_found_when_it_is_there(pbx: ScriptedPbx) -> None:
    pbx.refuse("/", 502)
    async with following(settings_for(pbx.url)) as (_, facts):
        told = await facts.until(ConnectionChanged, lambda fact: "502" in fact.reason)
        assert told.connection == "connecting", "what never was cannot be lost"
        pbx.allow("/")
        await facts.connected()


async def test_a_source_can_be_ended_in_the_moment_of_a_failure(pbx: ScriptedPbx) -> None:
    pbx.refuse("/", 502)
    for _ in range(10):
        async with following(settings_for(pbx.url)) as (_, facts):
            await facts.until(ConnectionChanged, lambda fact: "502" in fact.reason)


async def test_a_pbx_that_was_never_reached_is_warned_of_and_one_that_is_still_read_is_not(
    pbx: ScriptedPbx,
) -> None:
    def connection(lines: list[EventDict]) -> list[tuple[str, bool]]:
        told = [line for line in lines if line["event"] == "pbx_connection"]
        return [(line["log_level"], "cannot be reached" in line["reason"]) for line in told]

    with capture_logs() as lines:
        async with following(settings_for(pbx.url)) as (_, facts):
            await facts.connected()
    assert "warning" not in {level for level, _ in connection(lines)}
    with capture_logs() as lines:
        async with following(settings_for("http://127.0.0.1:1")) as (_, facts):
            await facts.until(ConnectionChanged, lambda fact: "cannot be reached" in fact.reason)
    assert ("warning", True) in connection(lines)


async def test_a_host_whose_clock_is_wrong_takes_the_date_of_the_pbx_s_answers(
    pbx: ScriptedPbx,
) -> None:
    clock = PbxClock(wall=lambda: time.time() + 86_400.0)
    async with following(settings_for(pbx.url), clock=clock) as (_, facts):
        connected = await facts.connected()
        assert abs(connected.at - time.time()) < 3_600.0, "no call has told the PBX's clock"
        for read in facts.of(ParticipantsRead):
            assert abs(read.at - time.time()) < 3_600.0
