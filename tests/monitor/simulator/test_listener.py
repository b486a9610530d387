"""Listening, and no longer listening."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import aiohttp
import pytest

from monitor.shared.errors import StartFailed
from monitor.simulator.listener import Listener
from monitor.simulator.server import SimulatedPbx
from tests.monitor.simulator.api_client import (
    QUIET,
    running,
)


async def test_two_run_side_by_side_and_a_port_in_use_is_an_error() -> None:
    async with running() as one, running() as two:
        assert one.pbx.url != two.pbx.url
        assert one.pbx.client_secret != two.pbx.client_secret
        port = int(one.pbx.url.rpartition(":")[2])
        with pytest.raises(StartFailed, match="another program listens there already"):
            async with SimulatedPbx(replace(QUIET, port=port)):
                pass
        assert (await one.get("/callcontrol")).status == 200


async def test_it_stops_listening_and_listens_again_at_the_same_port() -> None:
    async with running() as client:
        url = client.pbx.url
        async with client.socket() as socket:
            await client.pbx.faults.refuse()
            assert await socket.ended() in (None, 1006)
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get("/callcontrol")
        await client.pbx.faults.accept()
        assert client.pbx.url == url
        assert (await client.get("/callcontrol")).status == 200, (
            "a network that was away leaves tokens alone"
        )


HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
TOKEN = "POST /connect/token"
SOCKET = "GET /callcontrol/ws"


async def status(url: str, asked: str, *hosts: str) -> int:
    """The status of the answer to a request that names these hosts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    more = HANDSHAKE if asked == SOCKET else "Content-Length: 0\r\n"
    writer.write(f"{asked} HTTP/1.1\r\n{lines}{more}\r\n".encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


@pytest.mark.parametrize(("asked", "answered"), [(TOKEN, 400), (SOCKET, 401)])
async def test_no_page_reaches_it_under_a_name_of_its_own(asked: str, answered: int) -> None:
    async with SimulatedPbx(replace(QUIET, allowed_hosts=("PBX.example.", "10.1.2.3"))) as pbx:
        port = pbx.url.rpartition(":")[2]
        for good in ("127.0.0.1", f"LOCALHOST:{port}", "[::1]:1", "pbx.example:80", "10.1.2.3"):
            assert await status(pbx.url, asked, good) == answered, good
        for bad in (("evil.example",), (f"localhost.evil.example:{port}",), (), ("10.1.2.4",)):
            assert await status(pbx.url, asked, *bad) == 403, bad
        assert await status(pbx.url, asked, "localhost", "evil.example") == 403
        await pbx.restart()
        assert await status(pbx.url, asked, "evil.example") == 403


async def test_listening_everywhere_it_is_reached_under_every_address_and_its_own_name() -> None:
    async with SimulatedPbx(replace(QUIET, host="0.0.0.0")) as pbx:
        for good in ("192.0.2.7:5001", "[2001:db8::7]", socket.gethostname(), "localhost"):
            assert await status(pbx.url, TOKEN, good) == 400, good
        for bad in ("evil.example", "192.0.2.7.evil.example"):
            assert await status(pbx.url, TOKEN, bad) == 403, bad


async def test_a_name_to_listen_on_is_one_of_its_hosts_and_so_is_its_address() -> None:
    async with SimulatedPbx(replace(QUIET, host="127.0.0.2")) as pbx:
        assert pbx.url.startswith("http://127.0.0.2:")
        reader, writer = await asyncio.open_connection("127.0.0.2", int(pbx.url.rpartition(":")[2]))
        writer.write(f"{TOKEN} HTTP/1.1\r\nHost: 127.0.0.2\r\nContent-Length: 0\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] == b"400"
        writer.close()


def test_what_is_no_host_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no name or address of a host"):
        Listener("127.0.0.1", 0, hosts=("http://a",))
