"""Test that the stream over TLS leaks nothing and is else as without TLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
import uvloop
from websockets.asyncio.client import connect

from gateway.stream.websocket import WebSocketSession
from monitor.simulator.tls import make_certificate
from tests.bus import until
from tests.gateway import entities
from tests.gateway.histories import Follower, decoded, plain
from tests.gateway.serving import serving


async def watched(folder: Path) -> None:
    files = make_certificate(folder, "127.0.0.1")
    trusting = ssl.create_default_context(cafile=str(files.ca_file))
    async with serving(
        ssl_certfile=str(files.certificate), ssl_keyfile=str(files.key), heartbeat=0.2
    ) as served:
        url = served.url("/webapi/stream?topics=calls").replace("ws://", "wss://")
        headers = {"Authorization": "Bearer reader-key"}
        async with (
            connect(
                url, additional_headers=headers, ssl=trusting, compression=None, max_size=None
            ) as client,
            httpx.AsyncClient(verify=trusting, timeout=60.0) as http,
            http.stream(
                "GET", f"https://{served.host}/webapi/events?topics=calls", headers=headers
            ) as events,
        ):
            assert decoded(await client.recv())["type"] == "hello"
            follower = Follower()
            follower.receive(decoded(await client.recv()))
            for number in range(200):
                served.put("calls", str(number % 20), entities.call(number % 20 + number * 100))
                if number % 10 == 0:
                    await asyncio.sleep(0)
            async with asyncio.timeout(60):
                while follower.position != served.position:
                    follower.receive(decoded(await client.recv()))
            assert follower.state["calls"] == plain(served.view.live.state["calls"])
            while follower.seen[-1]["type"] != "heartbeat":
                follower.receive(decoded(await client.recv()))
            reader, lines = Follower(), events.aiter_lines()
            while reader.position != served.position:
                name, _, value = (await anext(lines)).partition(": ")
                if name == "data" and (found := decoded(value))["type"] != "hello":
                    reader.receive(found)
            assert reader.state == follower.state


@pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_the_stream_is_exact_over_tls(
    tmp_path: Path, loop: type[asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(watched(tmp_path))


async def lost(folder: Path) -> int:
    """What is said to wait in a connection that is closed."""
    files = make_certificate(folder, "127.0.0.1")
    trusting = ssl.create_default_context(cafile=str(files.ca_file))
    async with serving(ssl_certfile=str(files.certificate), ssl_keyfile=str(files.key)) as served:
        url = served.url("/webapi/reader-key/stream?topics=calls").replace("ws://", "wss://")
        async with connect(url, ssl=trusting):
            [session] = served.live.sessions
            assert isinstance(session, WebSocketSession)
        await until(lambda: not len(served.live))
        return session._waiting()


@pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_nothing_waits_in_a_connection_that_is_closed(
    tmp_path: Path, loop: type[asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(lost(tmp_path)) == 0
