"""Test Call Control's WebSocket."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import Sequence
from dataclasses import replace

import aiohttp
import pytest

from monitor.simulator.behaviour_options import Sequence as Counting
from monitor.simulator.behaviour_options import Switches
from tests.monitor.simulator.api_client import (
    PATIENCE,
    QUIET,
    ApiClient,
    Frame,
    Socket,
    phones,
    running,
)

UPSERT, REMOVE, RESPONSE = 0, 1, 4
PLAIN = Switches(duplicates=False)


async def call_and_drop(client: ApiClient) -> int:
    """A call from one telephone to another, and its end: the caller's participant."""
    caller, callee = phones(client.pbx)[:2]
    made = await client.makecall(caller, callee)
    participant = int(made.json["result"]["id"])
    await client.post(f"/callcontrol/{caller}/participants/{participant}/drop")
    return participant


async def history(client: ApiClient, socket: Socket) -> list[Frame]:
    """The events of a whole call, up to the last removal."""
    await call_and_drop(client)
    gone: set[str] = set()

    def over(frame: Frame) -> bool:
        gone.update([frame.event.entity] if frame.event.event_type == REMOVE else [])
        return len(gone) == 2

    return await socket.until(over)


async def test_events_come_in_order_and_say_no_more_than_an_entity() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        caller, callee = phones(client.pbx)[:2]
        frames = await history(client, socket)
        assert all(frame.event.attached_data is None for frame in frames)
        first, *_ = frames
        assert first.event.event_type == UPSERT
        for number in (caller, callee):
            kinds = [
                frame.event.event_type
                for frame in frames
                if f"/callcontrol/{number}/" in frame.event.entity
            ]
            assert kinds[0] == UPSERT
            assert kinds[-1] == REMOVE
            assert REMOVE not in kinds[:-1]


async def test_an_entity_is_the_path_to_read() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        caller, callee = phones(client.pbx)[:2]
        made = await client.makecall(caller, callee)
        frame = await socket.frame()
        assert (
            frame.event.entity == f"/callcontrol/{caller}/participants/{made.json['result']['id']}"
        )
        assert (await client.get(frame.event.entity)).json == made.json["result"]


async def test_only_visible_dns_are_told_of() -> None:
    async with (
        running(Switches(monitored="half", duplicates=False)) as client,
        client.socket() as socket,
    ):
        seen = [
            one
            for one in phones(client.pbx)
            if one in client.pbx.directory.peers(client.pbx.client_id)
        ]
        unseen = [one for one in phones(client.pbx) if one not in seen]
        assert (
            client.pbx.switchboard.makecall(unseen[0], None, unseen[1], None, {}).finalstatus
            == "Success"
        )
        await client.makecall(seen[0], unseen[1])
        assert f"/callcontrol/{seen[0]}/" in (await socket.frame()).event.entity
        await socket.ask("/callcontrol/" + seen[0])
        frames = await socket.until(lambda frame: frame.event.event_type == RESPONSE)
        assert not [frame for frame in frames if f"/callcontrol/{unseen[1]}/" in frame.event.entity]


async def test_a_queue_may_be_told_of_where_the_switch_lets_it_be_monitored() -> None:
    async with running(Switches(monitored="all")) as client, client.socket() as socket:
        queue = client.pbx.directory.queue_numbers()[0]
        await client.makecall(phones(client.pbx)[0], queue)
        await socket.until(
            lambda frame: frame.event.entity.startswith(f"/callcontrol/{queue}/participants/")
        )


@pytest.mark.parametrize("counting", ["connection", "process", "gaps"])
async def test_sequence_is_counted_as_the_switch_says(counting: Counting) -> None:
    async with running(Switches(sequence=counting)) as client:
        async with client.socket() as socket:
            first = [frame.sequence for frame in await history(client, socket)]
        async with client.socket() as socket:
            second = [frame.sequence for frame in await history(client, socket)]
    for numbers in (first, second):
        assert numbers == sorted(set(numbers))
    match counting:
        case "connection":
            assert first == list(range(len(first)))
            assert second == list(range(len(second)))
        case "process":
            assert second[0] > first[-1]
        case "gaps":
            assert first[-1] - first[0] > len(first)


async def test_upserts_come_twice_where_the_switch_is_on() -> None:
    async with running(Switches(duplicates=True)) as client, client.socket() as socket:
        twice = [frame.what for frame in await history(client, socket)]
    async with running(PLAIN) as client, client.socket() as socket:
        once = [frame.what for frame in await history(client, socket)]
    assert list(dict.fromkeys(twice)) == list(dict.fromkeys(once))
    assert len(twice) > len(once)
    assert [what for what in twice if what[0] == REMOVE] == [
        what for what in once if what[0] == REMOVE
    ]


async def test_events_carry_the_participant_where_the_switch_says_so() -> None:
    async with running(Switches(event_data=True)) as client, client.socket() as socket:
        caller, callee = phones(client.pbx)[:2]
        made = await client.makecall(caller, callee)
        assert (await socket.frame()).event.attached_data == made.json["result"]


async def test_there_is_no_replay() -> None:
    async with running(PLAIN) as client:
        old = await call_and_drop(client)
        async with client.socket() as socket:
            new = await call_and_drop(client)
            entity = (await socket.frame()).event.entity
            assert entity.endswith(f"/{new}")
            assert not entity.endswith(f"/{old}")


async def test_a_socket_needs_a_live_token() -> None:
    async with running() as client:
        for token in ("", "stale"):
            client.token = token
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with client.socket():
                    pass
            assert refused.value.status == 401
            assert refused.value.headers is not None
            assert refused.value.headers["X-3CX-Version"] == client.pbx.directory.version
        await client.mint()
        principal = client.pbx.directory.entity(client.pbx.client_id)
        assert principal is not None
        principal["CallControlEnabled"] = False
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with client.socket():
                pass
        assert refused.value.status == 403


async def test_requests_over_the_socket_are_answered_on_it() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        caller, callee = phones(client.pbx)[:2]

        async def ask(path: str, data: object, request_id: str) -> tuple[int, object]:
            await socket.ask(path, data, request_id)
            frame = (await socket.until(lambda frame: frame.event.event_type == RESPONSE))[-1]
            answer = frame.event.attached_data
            assert answer.keys() == {"RequestID", "Path", "StatusCode", "Response"}
            assert (answer["RequestID"], answer["Path"], frame.event.entity) == (
                request_id,
                path,
                path,
            )
            return answer["StatusCode"], answer["Response"]

        status, made = await ask(
            f"/callcontrol/{caller}/makecall", {"Destination": callee}, "first"
        )
        assert status == 200
        assert isinstance(made, dict)
        path = f"/callcontrol/{caller}/participants/{made['result']['id']}"
        assert await ask(path, "", "second") == (200, made["result"])
        assert (await ask(f"{path}/drop", '{"Reason":"None"}', "third"))[0] == 200
        assert await ask(path, None, "fourth") == (404, None)
        assert await ask("/xapi/v1/Users", None, "fifth") == (404, None)
        assert (await ask("/callcontrol", None, "sixth"))[1] == (
            await client.get("/callcontrol")
        ).json


async def test_nonsense_on_the_socket_is_ignored() -> None:
    async with running(PLAIN) as client, client.socket() as socket:
        for nonsense in ("", "{", "[]", '{"Path": 5}', '{"Path": "/callcontrol", "RequestData": "'):
            await socket.connection.send_str(nonsense)
        await socket.connection.send_bytes(b'{"path": "/callcontrol/100", "requestID": "b"}')
        answer = (await socket.frame()).event.attached_data
        assert (answer["RequestID"], answer["StatusCode"]) == ("b", 200)


async def test_the_socket_closes_when_its_token_expires_by_itself_or_on_command() -> None:
    async with (
        running(settings=replace(QUIET, token_lifetime=1.0)) as client,
        client.socket() as socket,
    ):
        assert await socket.ended() == 1001
    async with running() as client, client.socket() as socket:
        await client.mint()
        await client.get("/callcontrol")
        assert not socket.connection.closed, "another token minted is no end to the socket"
        client.pbx.faults.expire_tokens()
        assert await socket.ended() == 1001


async def test_the_socket_outlives_its_token_where_the_switch_says_so() -> None:
    async with running(Switches(socket_at_expiry="stay")) as client, client.socket() as socket:
        client.pbx.faults.expire_tokens()
        assert (await client.get("/callcontrol")).status == 401
        await client.mint()
        await call_and_drop(client)
        assert (await socket.frame()).event.event_type == UPSERT


async def test_a_client_that_does_not_read_is_cut_off_and_others_are_not() -> None:
    settings = replace(QUIET, backlog=50, switches=PLAIN)
    async with running(settings=settings) as client, client.socket() as reader:
        lazy = sockets.create_connection(("127.0.0.1", int(client.pbx.url.rpartition(":")[2])))
        lazy.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        lazy.sendall(_handshake(client.token))
        async with asyncio.timeout(PATIENCE):
            while len(client.pbx.sockets) < 2:
                await client.get("/callcontrol")
        async with asyncio.timeout(60):
            while len(client.pbx.sockets) == 2:
                await history(client, reader)
        lazy.close()
        assert (await history(client, reader))[-1].event.event_type == REMOVE


def _handshake(token: str) -> bytes:
    lines: Sequence[str] = (
        "GET /callcontrol/ws HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Authorization: Bearer {token}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()
