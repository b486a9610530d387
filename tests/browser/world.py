"""Run a PBX with scripted calls, a monitor, and a gateway that a test can stop and start."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from redis.asyncio import Redis

from gateway import run
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.config import GatewaySection, StreamSection
from monitor.simulator.calls.model import SimulatedCall
from monitor.simulator.server import SimulatedPbx
from tests.browser.chromium import WITHIN
from tests.bus import Bus, only
from tests.system.stack import KEY, PBX

CALLER = "+15550001111"


class World:
    """``async with`` runs monitor and gateway. ``address``: the gateway's, which stays."""

    def __init__(
        self, pbx: SimulatedPbx, bus: Bus, monitor: AbstractAsyncContextManager[None]
    ) -> None:
        self.pbx = pbx
        self.address = ""
        self._bus = bus
        self._monitor = monitor
        self._monitor_stack = AsyncExitStack()
        self._gateway_stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._monitor_stack.enter_async_context(self._monitor)
        await self.start_gateway()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_gateway()
        await self.stop_monitor()

    async def start_gateway(
        self, *, key: str = KEY, expires: str | None = None, cors_origins: tuple[str, ...] = ()
    ) -> None:
        """Start it, at the port that it had; it knows this key."""
        known = ApiKey("display", sha256_hex(key), PBX, frozenset({"read"}), expires)
        settings = GatewaySection(
            port=urlsplit(self.address).port or 0,
            heartbeat_interval=1.0,
            cors_origins=cors_origins,
            stream=StreamSection(drain_time=0),
        )
        serving = run.serving([PBX], KeyTable([known]), settings, only(self.redis()))
        server = await self._gateway_stack.enter_async_context(serving)
        self.address = server.address
        if expires is None and key == KEY:
            await self._ready()

    async def stop_gateway(self) -> None:
        """Stop it: its subscribers are sent away."""
        await self._gateway_stack.aclose()

    async def stop_monitor(self) -> None:
        """Stop it: the gateway hears nothing any more."""
        await self._monitor_stack.aclose()

    def redis(self) -> Redis:
        """A client of the bus."""
        return self._bus.client()

    def wall(self, settings: str = "", key: str = KEY) -> str:
        """The wallboard's address."""
        return f"{self.address}/wall?theme=dark&lang=en&{settings}#key={key}"

    async def ask(self, command: str) -> Any:
        """The answer of a query."""
        async with httpx.AsyncClient(
            base_url=self.address, trust_env=False, timeout=WITHIN
        ) as http:
            return (await http.get(f"/webapi/{KEY}/{command}")).json()

    def call(self, number: str = CALLER) -> SimulatedCall:
        """A call comes in; it goes nowhere yet."""
        return self.pbx.switchboard.arrive("10000", number)

    def queued(self, queue: str = "800", number: str = CALLER) -> SimulatedCall:
        """A call comes in and waits in a queue."""
        call = self.call(number)
        self.pbx.switchboard.route(call, queue)
        return call

    async def agent(self, queue: str = "800") -> str:
        """A free agent of the queue."""
        async with asyncio.timeout(WITHIN):
            while not (free := (await self.ask(f"queue.free.get?num={queue}"))["nums"]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return str(free[0])

    async def _ready(self) -> None:
        async with (
            httpx.AsyncClient(base_url=self.address, trust_env=False, timeout=WITHIN) as http,
            asyncio.timeout(WITHIN),
        ):
            while (await http.get("/readyz")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
