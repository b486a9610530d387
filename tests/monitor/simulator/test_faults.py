"""Test that each fault happens on command."""

from __future__ import annotations

import time

import aiohttp
import pytest

from monitor.simulator import faults
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.switchboard import Event, ParticipantUpsert
from tests.monitor.simulator.api_client import ApiClient, Frame, Socket, phones, running

UPSERT, REMOVE, RESPONSE = 0, 1, 4
PLAIN = Switches(duplicates=False)


async def heard(client: ApiClient, socket: Socket) -> list[tuple[int, str]]:
    """All events up to now: those before the answer to a request over the socket."""
    await socket.ask("/callcontrol/" + phones(client.pbx)[0])
    frames = await socket.until(lambda frame: frame.event.event_type == RESPONSE)
    return [frame.what for frame in frames[:-1]]


async def one_call(client: ApiClient) -> list[tuple[int, str]]:
    """Call and hang up; the events as the switchboard told them."""
    told: list[tuple[int, str]] = []
    listening = True

    def tell(event: Event) -> None:
        if listening:
            kind = UPSERT if isinstance(event, ParticipantUpsert) else REMOVE
            told.append((kind, f"/callcontrol/{event.dn}/participants/{event.participant_id}"))

    client.pbx.switchboard.listen(tell)
    caller, callee = phones(client.pbx)[:2]
    made = await client.makecall(caller, callee)
    await client.post(f"/callcontrol/{caller}/participants/{made.json['result']['id']}/drop")
    listening = False
    return told


async def test_without_faults_every_event_arrives_in_order() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        told = await one_call(client)
        assert len(told) >= 4
        assert await heard(client, socket) == told


async def test_a_socket_is_dropped_without_a_word_or_with_a_close_code() -> None:
    async with running() as client:
        async with client.socket() as socket:
            client.pbx.faults.drop_sockets()
            assert await socket.ended() in (None, 1006)
        async with client.socket() as socket:
            client.pbx.faults.drop_sockets(code=1011)
            assert await socket.ended() == 1011
        assert client.pbx.faults.happened["dropped"] == 2
        assert (await client.get("/callcontrol")).status == 200
        assert len(client.pbx.sockets) == 0


async def test_the_next_events_are_lost() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        client.pbx.faults.lose_events(2)
        told = await one_call(client)
        assert await heard(client, socket) == told[2:]
        assert client.pbx.faults.happened["lost"] == 2


async def test_a_share_of_events_is_lost() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        client.pbx.faults.lose_events(probability=1.0)
        lost = await one_call(client)
        assert await heard(client, socket) == []
        client.pbx.faults.calm()
        await one_call(client)
        assert await heard(client, socket)
        assert client.pbx.faults.happened["lost"] == len(lost)


async def test_a_lost_event_leaves_no_gap_in_the_count() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        client.pbx.faults.lose_events(1)
        await one_call(client)
        assert (await socket.frame()).sequence == 0


async def test_events_come_late_and_in_order() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        client.pbx.faults.delay_events(1.3)
        began = time.monotonic()
        told = await one_call(client)
        client.pbx.faults.delay_events(0)
        told += await one_call(client)
        assert await heard(client, socket) == []
        frames = [await socket.frame() for _ in told]
        assert time.monotonic() - began >= 1.3
        assert [frame.what for frame in frames] == told
        assert len(told) == client.pbx.faults.happened["delayed"], (
            "one may not overtake those that are late"
        )


async def test_events_overtake_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_LONGEST_HOLD_S", 60.0)
    async with running(PLAIN) as client, client.socket() as socket:
        client.pbx.faults.reorder_events(1)
        told = await one_call(client)
        assert await heard(client, socket) == [told[1], told[0], *told[2:]]
        assert client.pbx.faults.happened["swapped"] == 1


async def test_an_event_that_nothing_overtakes_comes_after_all() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        told = await one_call(client)
        await heard(client, socket)
        del told[:]
        caller, callee = phones(client.pbx)[:2]
        client.pbx.faults.reorder_events(100)
        made = await client.makecall(caller, callee)
        entity = f"/callcontrol/{caller}/participants/{made.json['result']['id']}"

        def arrived(frame: Frame) -> bool:
            return frame.what == (UPSERT, entity)

        await socket.until(arrived)


async def test_a_read_after_an_event_finds_nothing() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        client.pbx.faults.missing_reads(1)
        caller, callee = phones(client.pbx)[:2]
        await client.makecall(caller, callee)
        entity = (await socket.frame()).event.entity
        assert (await client.get(entity)).status == 404
        assert (await client.get(entity)).status == 200
        assert client.pbx.faults.happened["missing"] == 1


async def test_tokens_expire_or_are_revoked_and_a_fresh_one_works() -> None:
    async with running() as client:
        for spoil in (client.pbx.faults.expire_tokens, client.pbx.faults.revoke_tokens):
            spoil()
            assert (await client.get("/callcontrol")).status == 401
            assert (await client.get("/xapi/v1/Users")).status == 401
            await client.mint()
            assert (await client.get("/callcontrol")).status == 200


async def test_a_revoked_token_leaves_the_socket_open() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        client.pbx.faults.revoke_tokens()
        await client.mint()
        told = await one_call(client)
        assert await heard(client, socket) == told


async def test_the_token_and_the_upgrade_can_fail_too() -> None:
    async with running() as client:
        client.pbx.faults.answer_with(503, 1, "/connect")
        assert (await client.mint()).status == 503
        await client.mint()
        client.pbx.faults.answer_with(502, 1, "/callcontrol/ws")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with client.socket():
                pass
        assert refused.value.status == 502
        async with client.socket():
            pass


async def test_calm_ends_what_was_set() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        faults = client.pbx.faults
        faults.lose_events(100)
        faults.delay_events(30)
        faults.reorder_events(100)
        faults.missing_reads(100)
        faults.answer_with(500, 100)
        faults.hang()
        faults.calm()
        told = await one_call(client)
        assert await heard(client, socket) == told
        assert not faults.happened
