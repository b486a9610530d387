"""Test the application on a real socket: its life, its log, and arbitrary bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import fields
from functools import partial
from typing import Any

import fakeredis
import httpx
import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.app import create_app
from gateway.auth.tickets import Tickets
from gateway.operations.operation_table import COMMANDS
from gateway.pbx_context import PbxContext
from gateway.rest import request_parser
from gateway.rest.request_parser import UnauthenticatedBodies
from gateway.rest.ticket_endpoint import ticket_routes
from monitor.shared.codec import from_json
from monitor.shared.http_server import EmbeddedServer, bind
from tests import asgi
from tests.gateway.documented import ANSWERS
from tests.gateway.world import (
    FULL,
    NOW,
    READ,
    keys,
    view,
)


@contextlib.asynccontextmanager
async def served(pbx: PbxContext) -> AsyncIterator[tuple[str, int]]:
    """A gateway on a free port of loopback."""
    bodies, table, redis = UnauthenticatedBodies(), keys(), fakeredis.FakeAsyncRedis()
    tickets = Tickets({"main": redis}, table, lambda: NOW)
    app = create_app(
        {"main": pbx},
        table,
        streams=ticket_routes(tickets, table, lambda: NOW, bodies=bodies),
        clock=lambda: NOW,
        bodies=bodies,
    )
    bound = bind("127.0.0.1", 0)
    server = EmbeddedServer(
        uvicorn.Config(app, log_config=None, access_log=False, ws="none"), bound
    )
    try:
        async with asyncio.timeout(60):
            await server.start()
        yield bound.getsockname()
    finally:
        async with asyncio.timeout(60):
            await server.stop()
        await redis.aclose()


async def test_every_query_is_answered_over_a_socket() -> None:
    async with (
        served(view()) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=60) as http,
    ):
        for command, params, answer in ANSWERS:
            got = await http.get(f"/webapi/{FULL}/{command}", params=params)
            assert (got.status_code, got.text) == (200, answer)
            head = await http.head(
                f"/webapi/{FULL}/{command}",
                params=params,
                headers={"Accept-Encoding": "identity"},
            )
            assert (head.content, head.headers["content-length"]) == (
                b"",
                str(len(answer.encode())),
            )
            same = await http.get(
                f"/webapi/{FULL}/{command}",
                params=params,
                headers={"If-None-Match": got.headers["etag"]},
            )
            assert same.status_code == 304
        posted = await http.post(f"/webapi/{FULL}/ext.state.get", data={"num": "99"})
        assert posted.json()["num"] == "99"


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(100):
        yield b"x" * 4096


async def test_a_body_without_end_is_cut_off() -> None:
    async with (
        served(view()) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=60) as http,
    ):
        got = await http.post(
            f"/webapi/{FULL}/query", content=chunks(), headers={"Content-Type": "application/json"}
        )
        assert (got.status_code, got.json()["error"]["code"]) == (413, "too_large")


@contextlib.asynccontextmanager
async def posting(
    host: str, port: int, body: bytes, *headers: str, address: str = "pbx.calls.get"
) -> AsyncIterator[asyncio.StreamReader]:
    """A request whose body has only begun; the answer is read."""
    reader, writer = await asyncio.open_connection(host, port)
    lines = [f"POST /webapi/{address} HTTP/1.1", "Host: test", "Content-Length: 60000", *headers]
    writer.write("\r\n".join([*lines, "Content-Type: application/json", "", ""]).encode() + body)
    try:
        yield reader
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("address", ["pbx.calls.get", "ticket"])
async def test_a_key_that_does_not_hold_is_refused_before_the_body_is_read(address: str) -> None:
    async with served(view()) as (host, port), asyncio.timeout(60):
        for given in ("X-API-Key: a-wrong-key-0123", "Authorization: Bearer a-wrong-key-0123"):
            async with posting(host, port, b"", given, address=address) as reader:
                assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("first", "second"),
    [("pbx.calls.get", "pbx.calls.get"), ("ticket", "ticket"), ("ticket", "pbx.calls.get")],
)
async def test_bodies_of_those_who_are_not_known_yet_hold_so_much_together(
    first: str, second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_parser, "MOST_UNKNOWN_BYTES", 100_000)
    half = b'{"x": "'.ljust(40_000, b"x")
    there = partial(posting, address=second)
    async with served(view()) as (host, port), asyncio.timeout(60):
        async with (
            posting(host, port, half, address=first),
            posting(host, port, half, address=first),
        ):
            status = b""
            while not status.startswith(b"HTTP/1.1 503 "):  # until the two have arrived there
                async with there(host, port, half) as reader, there(host, port, half) as other:
                    done, waiting = await asyncio.wait(
                        [asyncio.create_task(one.readline()) for one in (reader, other)],
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    status = done.pop().result()
                    for task in waiting:
                        task.cancel()
            async with there(host, port, b" " * 59_998 + b"{}", f"X-API-Key: {FULL}") as reader:
                assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        said = b""
        while not said.startswith(b"HTTP/1.1 200 "):  # until they are gone
            whole = f'{{"key": "{FULL}"}}'.encode()
            async with there(host, port, b" " * (60_000 - len(whole)) + whole) as reader:
                said = await reader.readline()


@pytest.mark.parametrize(
    "target",
    [
        b"/webapi/%ff/%00",
        b"/webapi//",
        b"//",
        b"/webapi/a/b/c/d",
        b"/webapi/" + b"x" * 4000,
        b"http://gateway/webapi/pbx.calls.get",
        b"/webapi/pbx.calls.get?%",
        b"/webapi/pbx.calls.get?&&=&key",
        b"/webapi/../../etc/passwd",
        b"*",
    ],
)
async def test_odd_targets_are_refused_in_json(target: bytes) -> None:
    async with served(view()) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 4")
    assert b"500" not in head.splitlines()[0]
    if b"application/json" in head:
        assert from_json(body)["result"] is False


async def test_a_client_that_goes_while_it_sends_harms_nobody() -> None:
    async with (
        served(view()) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=60) as http,
    ):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(b"POST /webapi/query HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        await writer.drain()
        writer.transport.abort()
        assert (await http.get(f"/webapi/{FULL}/pbx.calls.get")).status_code == 200


async def test_the_lifespan_runs_feeds_and_hubs_and_ends_them() -> None:
    pbx = view(loaded=False)
    async with (
        served(pbx) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=60) as http,
    ):
        async with asyncio.timeout(60):
            while not (pbx.live_feed.connected and pbx.book_feed.connected):
                await http.get("/readyz")
        assert (await http.get("/readyz")).status_code == 503


class _Broken(PbxContext):
    @property
    def live(self) -> Any:
        raise RuntimeError("a fault of our own")

    @live.setter
    def live(self, value: Any) -> None:
        pass


async def test_a_fault_of_our_own_says_nothing_of_itself() -> None:
    whole = view()
    broken = _Broken(*(getattr(whole, field.name) for field in fields(PbxContext) if field.init))
    app = create_app({"main": broken}, keys(), clock=lambda: NOW)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        got = await http.get(f"/webapi/{FULL}/pbx.calls.get")
    assert (got.status_code, got.json()["error"]["code"]) == (500, "internal")
    assert "fault of our own" not in got.text
    assert got.headers["content-type"] == "application/json"


APP = create_app({"main": view()}, keys(), clock=lambda: NOW)
PARTS = st.sampled_from(
    [*COMMANDS, FULL, READ, "webapi", "stream", "", "num=99", "id=12"]
) | st.text(max_size=8)


FIELD = b'--b\r\nContent-Disposition: form-data; name="num"\r\n\r\n'


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
    parts=st.lists(PARTS, max_size=4),
    query=st.binary(max_size=40)
    | st.lists(PARTS, max_size=3).map(lambda pairs: "&".join(pairs).encode()),
    kind=st.sampled_from(
        [
            b"application/json",
            b"application/x-www-form-urlencoded",
            b"multipart/form-data; boundary=b",
        ]
    )
    | st.sampled_from(
        ["idna", "undefined", "punycode", "utf-7", "hex", "rot13", "none", "utf-16"]
    ).map(lambda name: f"multipart/form-data; boundary=b; charset={name}".encode())
    | st.binary(max_size=30),
    body=st.binary(max_size=60)
    | st.sampled_from([b'{"num":"99"}', b"--b\r\n\r\n", b"--b\r\nContent-Disposition: x\r\n"])
    | st.binary(max_size=20).map(lambda value: FIELD + value + b"\r\n--b--"),
    key=st.binary(max_size=20) | st.just(FULL.encode()),
)
@example(
    method="POST",
    parts=["webapi", "query"],
    query=b"",
    kind=b"multipart/form-data",
    body=b"x",
    key=FULL.encode(),
)
@example(
    method="POST",
    parts=["webapi", "all.ext.get"],
    query=b"",
    kind=b"multipart/form-data; boundary=b; charset=undefined",
    body=FIELD + b"1\r\n--b--",
    key=FULL.encode(),
)
def test_any_request_ends_in_a_documented_answer(
    method: str, parts: list[str], query: bytes, kind: bytes, body: bytes, key: bytes
) -> None:
    path = "/" + "/".join(parts)
    status, answer = asyncio.run(
        raw_request(method, path, query, [(b"content-type", kind), (b"x-api-key", key)], body)
    )
    assert status in (200, 400, 401, 403, 404, 405, 413, 415, 426, 503)
    if status != 200 and method != "HEAD":
        failure = from_json(answer)
        assert (failure["result"], list(failure["error"])) == (False, ["code", "message"])


async def raw_request(
    method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, bytes]:
    """Ask the application as a server would, whatever the bytes."""
    scope = {
        "method": method,
        "path": path,
        "raw_path": path.encode(errors="surrogatepass"),
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "scheme": "http",
        "server": ("gateway", 80),
        "client": ("127.0.0.1", 1),
    }
    status, _, answer = await asgi.ask(APP, scope, body)
    return status, answer


async def test_the_front_page_says_what_runs_here_and_loads_nothing(
    http: httpx.AsyncClient,
) -> None:
    page = await http.get("/")
    assert page.status_code == 200
    assert all(name in page.text for name in COMMANDS)
    assert "http:" not in page.text
    assert "https:" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
