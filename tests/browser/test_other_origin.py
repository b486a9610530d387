"""Test the client in a page that another server sent: it is loaded from the gateway and is live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.browser.chromium import Page
from tests.browser.world import CALLER, World
from tests.system.stack import KEY

_PAGE = """<!doctype html><meta charset="utf-8"><title>elsewhere</title>
<script type="module">
import { StreamClient } from "%(gateway)s/static/callmon.js";
window.told = [];
const url = "%(gateway)s/webapi/stream";
const client = new StreamClient({ url, key: "%(key)s", topics: ["calls"] });
client.addEventListener("connection", ({ detail: { status, reason } }) => {
  told.push(`${status} ${reason ?? ""}`);
});
client.addEventListener("change", () => {
  document.body.textContent = JSON.stringify([...client.state.get("calls")]);
});
client.connect();
</script><body></body>"""


@asynccontextmanager
async def elsewhere(gateway: dict[str, str]) -> AsyncIterator[str]:
    """The address of another server. Its page isolates itself from all that does not agree."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = (_PAGE % gateway).encode()
        isolated = "Cross-Origin-Embedder-Policy: require-corp\r\nConnection: close\r\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}{isolated}\r\n".encode() + body)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_page_of_another_origin_is_live_if_the_gateway_names_it(
    page: Page, world: World, allowed: bool
) -> None:
    gateway = {"key": KEY}
    async with elsewhere(gateway) as origin:
        if allowed:
            await world.stop_gateway()
            await world.start_gateway(cors_origins=(origin,))
        gateway["gateway"] = world.address
        await page.go(f"{origin}/")
        if allowed:
            await page.until("window.told?.some((line) => line.startsWith('live'))")
            world.queued()
            await page.shows(CALLER, "body")
            assert not page.complaints
        else:
            await page.until("window.told?.some((line) => line.startsWith('waiting'))")
            (told, *_) = await page.run("told.filter((line) => line.startsWith('waiting'))")
            assert told.endswith(f", or its cors_origins does not name {origin}.")
