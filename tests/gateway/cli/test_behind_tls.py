"""Test every client over TLS, behind real proxies: Caddy and nginx with the files we deploy."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from gateway.parameters import LARGEST_BODY_BYTES
from gateway.stream_client import StreamClient, StreamUnreachable
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.browser import chromium
from tests.browser.world import CALLER, World
from tests.bus import fake_bus, free_port
from tests.gateway.cli.console import WITHIN, callmon, running
from tests.gateway.cli.terminal import in_terminal
from tests.proxies import Front, behind
from tests.system.stack import KEY, monitoring

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["caddy", "nginx"])
async def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Front]:
    """A PBX with one call that waits, monitor, gateway, and the proxy before it."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(fake_bus())
        settings = SimulatorSettings(extensions=12, queues=2, traffic=False)
        pbx = await stack.enter_async_context(SimulatedPbx(settings))
        world = await stack.enter_async_context(
            World(pbx, bus, monitoring(pbx, bus.client(), watchdog=5.0))
        )
        world.queued()
        folder = tmp_path_factory.mktemp(request.param)
        yield await stack.enter_async_context(
            behind(request.param, world.address, free_port(), folder)
        )


def trusting(front: Front) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=front.ca_file)
    return httpx.AsyncClient(
        base_url=f"{front.address}/webapi/{KEY}", verify=context, timeout=WITHIN, trust_env=False
    )


async def test_snapshot_and_tail_with_a_ca_file(front: Front) -> None:
    where = ("--url", front.address, "--key", KEY)
    said = await callmon("snapshot", *where, "--ca-file", str(front.ca_file), "--timeout", "60")
    assert said.code == 0, said.err
    assert CALLER in json.dumps(json.loads(said.out)["state"]["calls"])
    async with running("tail", *where, until="snapshot at", CALLMON_CA_FILE=str(front.ca_file)) as (
        _,
        printed,
    ):
        assert "1 calls" in printed


async def test_a_certificate_that_is_not_trusted_ends_it_unless_it_may_be_anybodys(
    front: Front,
) -> None:
    where = ("--url", f"{front.address}/webapi", "--key", KEY)
    said = await callmon("snapshot", *where)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"callmon: The certificate of {front.address} is not trusted ("), (
        said.err
    )
    assert "--ca-file" in said.err
    said = await callmon("snapshot", *where, "--insecure", "--timeout", "60")
    assert (said.code, CALLER in said.out) == (0, True), said.err
    with pytest.raises(StreamUnreachable, match="is not trusted"):
        await anext(aiter(StreamClient(stream(front), KEY, ["calls"])))


async def test_top_in_a_terminal(front: Front) -> None:
    given = ("--url", front.address, "--key", KEY, "--ca-file", str(front.ca_file))
    code, printed = await in_terminal("top", *given, until=CALLER, then="q")
    assert (code, "Traceback" in printed) == (0, False), printed


async def test_stream_client(front: Front) -> None:
    async with (
        StreamClient(stream(front), KEY, ["calls"], ca_file=front.ca_file) as client,
        asyncio.timeout(WITHIN),
    ):
        assert CALLER in json.dumps((await anext(aiter(client))).state)


async def test_server_sent_events_and_the_long_poll(front: Front) -> None:
    async with trusting(front) as http:
        async with http.stream("GET", "/events?topics=calls") as events, asyncio.timeout(WITHIN):
            assert events.headers["content-type"].startswith("text/event-stream")
            async for line in events.aiter_lines():
                if line.startswith("data: ") and json.loads(line[6:])["type"] == "snapshot":
                    assert CALLER in line
                    break
        known = (await http.get("/pbx.calls.get")).headers["etag"]
        waited = await http.get(
            "/pbx.calls.get", headers={"If-None-Match": known, "Prefer": "wait=1"}
        )
        assert (waited.status_code, waited.headers["preference-applied"]) == (304, "wait=1")


@pytest.mark.parametrize(("proxy", "code"), [("caddy", 503), ("nginx", 502)])
async def test_an_event_source_comes_back_while_no_gateway_answers(
    proxy: str, code: int, tmp_path: Path
) -> None:
    async with (
        behind(proxy, f"http://127.0.0.1:{free_port()}", free_port(), tmp_path) as nobody,
        trusting(nobody) as http,
    ):
        as_event_source = http.get("/events?topics=calls", headers={"Accept": "text/event-stream"})
        for_anybody = http.get("/events?topics=calls")
        events, status = await asyncio.gather(as_event_source, for_anybody)
    assert (events.status_code, events.headers["content-type"]) == (200, "text/event-stream")
    assert events.text == ": no gateway answers\nretry: 3000\n\n"
    assert status.status_code == code


@pytest.mark.parametrize("proxy", ["caddy", "nginx"])
async def test_no_key_of_a_request_that_failed_comes_into_a_proxys_log(
    proxy: str, tmp_path: Path
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = 2 if b"/healthz" in head else 1000
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nok" % size)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        behind(proxy, f"http://127.0.0.1:{port}", free_port(), tmp_path) as broken,
        trusting(broken) as http,
    ):
        with pytest.raises(httpx.HTTPError):
            await http.get("/pbx.calls.get", headers={"X-API-Key": KEY})
    assert KEY.encode() not in (tmp_path / "log").read_bytes()


async def test_nginx_takes_no_larger_body_than_the_gateway(tmp_path: Path) -> None:
    async with (
        behind("nginx", f"http://127.0.0.1:{free_port()}", free_port(), tmp_path) as nobody,
        trusting(nobody) as http,
    ):
        sizes = (LARGEST_BODY_BYTES, LARGEST_BODY_BYTES + 1)
        answers = [await http.post("/pbx.calls.get", content=b"x" * size) for size in sizes]
    assert [answer.status_code == 413 for answer in answers] == [False, True]


async def test_the_wallboard_in_a_browser(front: Front) -> None:
    program = chromium.binary()
    if program is None:
        pytest.skip(
            "There is no Chromium on this machine (Debian: apt install chromium), so no page was "
            "looked at."
        )
    with chromium.running(program) as profile:
        async with chromium.opened(profile) as page:
            await page.trust_anybody()
            await page.go(f"{front.address}/wall?view=calls&lang=en#key={KEY}")
            await page.shows(CALLER, "table.calls")
            sockets = [address for address in page.requested if address.startswith(("ws:", "wss:"))]
            assert sockets
            assert all(
                address.startswith(front.address.replace("https", "wss")) for address in sockets
            )
            assert not page.complaints


def stream(front: Front) -> str:
    return front.address.replace("https", "wss") + "/webapi/stream"
