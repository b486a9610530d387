"""Use the simulated PBX over real sockets, as somebody else's program would."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.server import SimulatedPbx, SimulatorSettings

QUIET = SimulatorSettings(extensions=12, queues=2, contacts=5, traffic=False)
PATIENCE = 60.0
"""Seconds after which a test gives up waiting."""


class Frame(msgspec.Struct):
    """What Call Control's socket sends."""

    class Event(msgspec.Struct):
        event_type: int
        entity: str
        attached_data: Any = None

    sequence: int
    event: Event

    @property
    def what(self) -> tuple[int, str]:
        return self.event.event_type, self.event.entity


@dataclass(frozen=True)
class Reply:
    status: int
    json: Any
    headers: Any


class Socket:
    """An open WebSocket."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection

    async def frame(self) -> Frame:
        """The next message."""
        async with asyncio.timeout(PATIENCE):
            message = await self.connection.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return msgspec.json.decode(message.data, type=Frame)

    async def until(self, accept: Callable[[Frame], bool]) -> list[Frame]:
        """The messages up to and with the first that is accepted."""
        frames = [await self.frame()]
        while not accept(frames[-1]):
            frames.append(await self.frame())
        return frames

    async def ended(self) -> int | None:
        """The close code, once the socket is closed; what comes before is thrown away."""
        async with asyncio.timeout(PATIENCE):
            while not self.connection.closed:
                await self.connection.receive()
        return self.connection.close_code

    async def ask(self, path: str, data: object = "", request_id: str = "1") -> None:
        """Send a request over the socket."""
        await self.connection.send_json(
            {"RequestID": request_id, "Path": path, "RequestData": data}
        )


class ApiClient:
    """Mints a token when asked to and sends it along."""

    def __init__(self, pbx: SimulatedPbx, session: aiohttp.ClientSession) -> None:
        self.pbx, self.session = pbx, session
        self.token = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def mint(self) -> Reply:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.pbx.client_id,
            "client_secret": self.pbx.client_secret,
        }
        reply = await self.post("/connect/token", form=form)
        self.token = reply.json["access_token"] if reply.status == 200 else ""
        return reply

    async def get(self, path: str) -> Reply:
        return await self._send("GET", path)

    async def post(self, path: str, body: object = None, *, form: object = None) -> Reply:
        return await self._send("POST", path, json=body, data=form)

    async def makecall(self, dn: str, destination: str, device_id: str = "") -> Reply:
        """Call from a DN's first device, or from that one."""
        device = device_id or self.pbx.directory.devices(dn)[0].device_id
        return await self.post(
            f"/callcontrol/{dn}/devices/{quote(device, safe='')}/makecall",
            {"destination": destination},
        )

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        async with self.session.ws_connect(
            self.pbx.url + "/callcontrol/ws", headers=self.headers
        ) as connection:
            yield Socket(connection)

    async def _send(self, method: str, path: str, **options: Any) -> Reply:
        async with (
            asyncio.timeout(PATIENCE),
            self.session.request(
                method, self.pbx.url + path, headers=self.headers, **options
            ) as response,
        ):
            content = await response.read()
            readable = response.content_type == "application/json"
            return Reply(
                response.status,
                msgspec.json.decode(content) if readable else content,
                response.headers,
            )


@asynccontextmanager
async def running(
    switches: Switches | None = None, settings: SimulatorSettings | None = None
) -> AsyncIterator[ApiClient]:
    """A simulated PBX without traffic, and a client that holds a token."""
    chosen = settings or QUIET
    if switches is not None:
        chosen = replace(chosen, switches=switches)
    async with (
        SimulatedPbx(chosen) as pbx,
        aiohttp.ClientSession(connector=_connector(pbx)) as session,
    ):
        client = ApiClient(pbx, session)
        await client.mint()
        yield client


def phones(pbx: SimulatedPbx, devices: int = 1) -> list[str]:
    """Extensions with so many devices."""
    directory = pbx.directory
    return [
        number for number in directory.extensions() if len(directory.devices(number)) == devices
    ]


def _connector(pbx: SimulatedPbx) -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(
        ssl=ssl.create_default_context(cafile=pbx.ca_file) if pbx.ca_file else True
    )
