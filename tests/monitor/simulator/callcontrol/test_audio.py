"""Audio at the route point, in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.callcontrol.websocket import PLAYED, REMOVE, UPSERT
from tests.monitor.simulator.api_client import PATIENCE, ApiClient, phones, running


async def test_a_connected_caller_is_heard_until_he_hangs_up() -> None:
    async with running() as client:
        caller, participant = await connected(client)
        url = client.pbx.url + stream_of(client, participant)
        async with (
            asyncio.timeout(PATIENCE),
            client.session.get(url, headers=client.headers) as heard,
        ):
            assert (heard.status, heard.content_type) == (200, "application/octet-stream")
            chunk = await heard.content.readexactly(640)
            assert chunk == await heard.content.readexactly(640), "a tone that goes on"
            samples = [
                int.from_bytes(chunk[i : i + 2], "little", signed=True) for i in range(0, 640, 2)
            ]
            assert (max(samples), min(samples)) == (2000, -2000)
            [his] = (await client.get(f"/callcontrol/{caller}/participants")).json
            await client.post(f"/callcontrol/{caller}/participants/{his['id']}/drop")
            assert len(await heard.content.read()) % 640 == 0
        assert (await client.get(stream_of(client, participant))).status == 404


async def test_who_no_longer_listens_disturbs_nobody() -> None:
    async with running() as client:
        _, participant = await connected(client)
        url = client.pbx.url + stream_of(client, participant)
        for _ in range(2):
            async with (
                asyncio.timeout(PATIENCE),
                client.session.get(url, headers=client.headers) as heard,
            ):
                await heard.content.readexactly(640)
                heard.close()
        assert (
            await client.get(f"/callcontrol/{client.pbx.client_id}/participants/{participant}")
        ).status == 200


async def test_what_is_played_ends_with_an_event() -> None:
    async with running() as client, client.socket() as socket:
        _, participant = await connected(client)

        async def prompt() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield bytes(320)

        octets = {"Content-Type": "application/octet-stream", **client.headers}
        url = client.pbx.url + stream_of(client, participant)
        async with (
            asyncio.timeout(PATIENCE),
            client.session.post(url, data=prompt(), headers=octets) as played,
        ):
            assert (played.status, await played.read()) == (200, b"")
        entity = f"/callcontrol/{client.pbx.client_id}/participants/{participant}"
        frames = await socket.until(lambda frame: frame.event.event_type == PLAYED)
        assert (frames[-1].what, frames[-1].event.attached_data) == ((PLAYED, entity), None)


async def test_a_prompt_is_cut_short_when_the_caller_hangs_up() -> None:
    async with running() as client, client.socket() as socket:
        caller, participant = await connected(client)
        begun = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield bytes(320)
            begun.set()
            await asyncio.Event().wait()

        url = client.pbx.url + stream_of(client, participant)
        playing = asyncio.create_task(
            client.session.post(url, data=endless(), headers=client.headers)
        )
        async with asyncio.timeout(PATIENCE):
            await begun.wait()
            [his] = (await client.get(f"/callcontrol/{caller}/participants")).json
            await client.post(f"/callcontrol/{caller}/participants/{his['id']}/drop")
            assert (await playing).status == 200
        frames = await socket.until(lambda frame: frame.event.event_type == REMOVE)
        assert {frame.event.event_type for frame in frames} <= {UPSERT, REMOVE}


async def test_audio_is_refused_before_the_call_is_connected_and_at_other_dns() -> None:
    async with running(Switches(route_point="rings")) as client:
        caller = phones(client.pbx)[0]
        his = (await client.makecall(caller, client.pbx.client_id)).json["result"]["id"]
        [mine] = (await client.get(f"/callcontrol/{client.pbx.client_id}/participants")).json
        for ask in (client.get, client.post):
            assert (await ask(stream_of(client, mine["id"]))).status == 424
            assert (await ask(f"/callcontrol/{caller}/participants/{his}/stream")).status == 403
            assert (await ask(f"/callcontrol/{caller}/participants/999999/stream")).status == 404
        assert (await client._send("DELETE", stream_of(client, mine["id"]))).status == 405


async def connected(client: ApiClient) -> tuple[str, int]:
    """Have a telephone call the route point: who calls, and the route point's participant."""
    caller = phones(client.pbx)[0]
    assert (await client.makecall(caller, client.pbx.client_id)).status == 200
    [mine] = (await client.get(f"/callcontrol/{client.pbx.client_id}/participants")).json
    assert mine["status"] == "Connected"
    return caller, mine["id"]


def stream_of(client: ApiClient, participant: int) -> str:
    return f"/callcontrol/{client.pbx.client_id}/participants/{participant}/stream"
