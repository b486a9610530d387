"""Lives of the event socket, against a PBX that does what the test says."""

from __future__ import annotations

import asyncio
import time

import pytest

from monitor.pbx.callcontrol import event_socket, participant_reader
from monitor.pbx.facts import (
    ConnectionChanged,
    ParticipantGone,
    ParticipantsRead,
)
from tests.bus import until
from tests.monitor.pbx.scripted import (
    Facts,
    ScriptedPbx,
    following,
    noted_messages,
    scripted_pbx,
    settings_for,
)
from tests.monitor.pbx.test_v20_source import FULL, ROWS, lost


async def test_device_and_dtmf_events_are_nothing_to_us_and_one_of_a_dn_has_all_read(
    pbx: ScriptedPbx,
) -> None:
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        reads = pbx.requests[FULL]
        await pbx.send(0, "/callcontrol/100/devices/sip%3A100%40127.0.0.1")
        await pbx.send(2, "/callcontrol/100/participants/9", {"dtmf_input": "1"})
        await pbx.upsert(1, "Ringing")
        await facts.seen("Ringing")
        assert pbx.requests[FULL] == reads
        await pbx.send(0, "/callcontrol/101")
        await pbx.asked(FULL, reads + 1)


async def test_events_are_taken_no_faster_than_a_socket_may_be_read(
    pbx: ScriptedPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = noted_messages(monkeypatch)
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        await pbx.upsert(1, "Ringing")
        await facts.seen("Ringing")
        assert len(taken) == 1


async def test_every_life_of_the_socket_begins_with_another_token(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        for minted in (2, 3):
            before = len(facts.all)
            await pbx.drop()
            down = await facts.until(ConnectionChanged, lost, before)
            assert "closed the event socket (1001)" in down.reason
            await facts.connected(before)
            assert pbx.minted == minted


async def test_a_lost_event_is_made_good_by_the_watchdog(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url, watchdog_interval=0.1)) as (_, facts):
        await facts.connected()
        pbx.put(1, "Ringing")
        await facts.until(ParticipantsRead, lambda read: bool(read.participants))


async def test_a_silent_socket_is_noticed(pbx: ScriptedPbx) -> None:
    pbx.deaf = True
    async with following(settings_for(pbx.url, ping_interval=0.1, silence_timeout=0.3)) as (
        _,
        facts,
    ):
        down = await facts.until(ConnectionChanged, lambda fact: "silent" in fact.reason)
        pbx.deaf = False
        await facts.connected(facts.all.index(down))


async def test_a_pbx_that_sends_events_and_answers_no_request_is_lost(pbx: ScriptedPbx) -> None:
    settings = settings_for(pbx.url, ping_interval=0.1, silence_timeout=1.4)
    async with following(settings) as (_, facts):
        await facts.connected()
        held = [pbx.hold("/") for _ in range(1_000)]
        before = len(facts.all)
        await pbx.upsert(1, "Ringing")
        down = await facts.until(ConnectionChanged, lost, before)
        assert "answered no request" in down.reason
        pbx.release()
        for one in held:
            one.release()
        await facts.connected(facts.all.index(down))
        assert facts.of(ParticipantsRead)[-1].participants


async def test_a_pbx_that_answers_others_while_one_participant_waits_is_not_lost(
    pbx: ScriptedPbx,
) -> None:
    settings = settings_for(
        pbx.url, ping_interval=0.1, silence_timeout=1.5, poll_interval=0.05, poll_idle=0.05
    )
    async with following(settings) as (_, facts):
        await facts.connected()
        held = pbx.hold("/callcontrol/100/participants/1")
        before = len(facts.all)
        await pbx.upsert(1, "Ringing")
        await asyncio.sleep(2.0)  # longer than the silence that is allowed
        held.release()
        await facts.seen("Ringing")
        assert not any(isinstance(fact, ConnectionChanged) for fact in facts.all[before:])


async def test_a_full_read_may_take_as_long_as_the_last_one(pbx: ScriptedPbx) -> None:
    pbx.refuse(ROWS, 403)  # else its answers would be signs of life
    settings = settings_for(pbx.url, ping_interval=0.1, silence_timeout=1.2)
    first = pbx.hold(FULL)
    async with following(settings) as (source, facts):
        await pbx.asked(FULL, 1)
        await asyncio.sleep(2.4)  # twice the silence that is allowed
        first.release()
        await facts.connected()
        before = len(facts.all)
        held = [pbx.hold("/callcontrol") for _ in range(2)]
        source.request_full_read()
        await pbx.asked(FULL, 2)
        await pbx.upsert(1, "Ringing")
        await asyncio.sleep(1.5)
        for one in held:
            one.release()
        await facts.seen("Ringing")
        assert not any(isinstance(fact, ConnectionChanged) for fact in facts.all[before:])


async def test_events_heard_at_once_after_a_silence_tell_of_one_thing_each(
    pbx: ScriptedPbx,
) -> None:
    pbx.deaf = True
    async with following(settings_for(pbx.url, ping_interval=0.1, silence_timeout=60.0)) as (
        _,
        facts,
    ):
        await facts.connected()
        await pbx.upsert(1, "Ringing")
        await facts.seen("Ringing")
        await asyncio.sleep(3.0)  # the silence itself
        held = pbx.hold("/callcontrol/100/participants/1")
        await pbx.upsert(1, "Connected")
        await pbx.remove(1)
        gone = await facts.until(ParticipantGone, lambda fact: fact.participant_id == 1)
        held.release()
        assert gone.unread == 1, "it may have been answered"
        assert pbx.pings == 1, "while a pong is awaited, no other is asked for"


@pytest.mark.parametrize("ours", [False, True])
async def test_pings_while_a_call_goes_on_show_that_the_network_stood_still_for_a_moment(
    pbx: ScriptedPbx, monkeypatch: pytest.MonkeyPatch, *, ours: bool
) -> None:
    monkeypatch.setattr(participant_reader, "_STANDSTILL_S", 60.0)
    monkeypatch.setattr(participant_reader, "_SAME_MOMENT_S", 60.0)
    settings = settings_for(pbx.url, ping_interval=60.0, silence_timeout=60.0)
    async with following(settings) as (_, facts):
        await facts.connected()
        await pbx.upsert(1, "Ringing")
        await facts.seen("Ringing")
        await until(lambda: pbx.pings >= 3)
        pbx.deaf, pings = True, pbx.pings
        await until(lambda: pbx.pings > pings)
        if ours:
            time.sleep(2.0)  # noqa: ASYNC251 - our own process is busy
        else:
            await asyncio.sleep(2.0)  # the network stands still
        held = pbx.hold("/callcontrol/100/participants/1")
        await pbx.upsert(1, "Connected")
        await pbx.remove(1)
        gone = await facts.until(ParticipantGone, lambda fact: fact.participant_id == 1)
        held.release()
        assert gone.unread == (0 if ours else 1), "it may have been answered meanwhile"


async def test_pings_are_few_while_no_call_goes_on(pbx: ScriptedPbx) -> None:
    async with following(settings_for(pbx.url, ping_interval=0.5)) as (_, facts):
        await facts.connected()
        await until(lambda: pbx.pings >= 1)
        begun = time.monotonic()
        await until(lambda: pbx.pings >= 6)
        assert time.monotonic() - begun > 1.5, "twice as long as while a call goes on"


@pytest.mark.parametrize(
    "frame", ["", "hello", "{}", '{"event": 5}', '{"event":{"event_type":0,"entity":"/x"}}']
)
async def test_garbage_on_the_socket_breaks_nothing_and_has_all_read(
    pbx: ScriptedPbx, frame: str
) -> None:
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        reads = pbx.requests[FULL]
        await pbx.send_text(frame)
        await pbx.asked(FULL, reads + 1)
        await pbx.upsert(1, "Ringing")
        await facts.seen("Ringing")
        assert not any(map(lost, facts.of(ConnectionChanged)))


async def test_a_source_that_ends_leaves_no_socket_behind(pbx: ScriptedPbx) -> None:
    facts: Facts
    async with following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        assert len(pbx.sockets) == 1
    await until(lambda: not pbx.sockets)


async def test_an_event_too_large_is_the_reason_that_the_system_tells() -> None:
    async with scripted_pbx() as pbx, following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        await pbx.send_text("x" * 300_000)
        told = await facts.until(ConnectionChanged, lambda fact: "event larger" in fact.reason)
    assert told.connection == "lost"


async def test_events_without_end_are_the_reason_that_the_system_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_socket, "MAX_EVENT_BYTES", 100_000)
    async with scripted_pbx() as pbx, following(settings_for(pbx.url)) as (_, facts):
        await facts.connected()
        for number in range(2_000):
            data = {"id": number, "dn": "100", "status": "Connected", "callid": number}
            if not pbx.sockets:
                break
            await pbx.send(0, f"/callcontrol/100/participants/{number}", data)
        told = await facts.until(ConnectionChanged, lambda fact: "bytes of events" in fact.reason)
    assert told.connection == "lost"
