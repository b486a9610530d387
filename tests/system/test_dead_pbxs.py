"""Test that PBXs that hang, refuse or dawdle delay no other: at the start, later, and at the end.

The ill PBXs may take an hour for an answer, by the settings: whoever waited for one would time out.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from tests.bus import RealBus, free_port, until, until_async
from tests.system.many_sites import (
    WITHIN,
    Pace,
    Reached,
    Watch,
    all_right,
    key_of,
    light_pbxs,
    many_sites,
    reached,
)
from tests.wrong_services import listening, silence

AN_HOUR = "request_timeout = 3600.0\nsilence_timeout = 3600.0"


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with one byte after the other, without an end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.5)


async def test_pbxs_that_hang_refuse_or_dawdle_delay_no_other(
    valkey: RealBus, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        well = await stack.enter_async_context(light_pbxs(2))
        hanging = await stack.enter_async_context(listening(silence))
        dripping = await stack.enter_async_context(listening(drips))
        urls = {
            "hangs": f"http://127.0.0.1:{hanging}",
            "hangs-in-tls": f"https://127.0.0.1:{hanging}",
            "drips": f"http://127.0.0.1:{dripping}",
            "refuses": f"http://127.0.0.1:{free_port()}",
        }
        ill = [Reached(name, url, more=AN_HOUR) for name, url in urls.items()]
        place = await stack.enter_async_context(
            many_sites(tmp_path, valkey, [*ill, *reached(well)], Pace(lease=30.0))
        )
        await place.gateway("gateway")
        await place.monitor("monitor")
        watches: list[Watch] = await stack.enter_async_context(
            place.subscribers("gateway", ["pbx0", "pbx1"])
        )
        await all_right(well, watches)
        async with httpx.AsyncClient(base_url=place.address("gateway"), timeout=60) as http:

            async def connection(name: str) -> str:
                got = await http.get("/readyz", headers={"X-API-Key": key_of(name)})
                return str(got.json()["pbxs"][name]["connection"])

            for name in urls:
                assert await connection(name) in ("unknown", "connecting"), name

            async def well_served() -> bool:  # the ill ones keep the gateway from nothing
                ready = await http.get("/readyz", headers={"X-API-Key": key_of("pbx0")})
                return await connection("pbx0") == "connected" and bool(ready.json()["ready"])

            await until_async(well_served)
            assert (await http.get(f"/webapi/{key_of('hangs')}/pbx.calls.get")).status_code == 503
        before = [watch.subscriber.updates for watch in watches]
        await until(
            lambda: all(
                watch.subscriber.updates > seen + 3
                for watch, seen in zip(watches, before, strict=True)
            ),
            WITHIN,
        )
        for process in place.running.values():
            assert await process.terminate() == 0
        assert await place.leaders() == {"": len(place.pbxs)}, "each lease was given back"
