"""Test that the fast path answers as the normal path does, and leaves all else to it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import fakeredis
import httpx
import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from gateway.app import create_app
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.docs.openapi_examples import arguments_of
from gateway.operations.operation_table import COMMANDS, Command
from gateway.pbx_context import PbxContext
from gateway.queries.context import QueryContext
from gateway.rest import fast_path
from gateway.rest.fast_path import MOST, FastPathProtocol, QueryFastPath
from monitor.shared.api_keys import Budgets
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.timestamps import from_unix
from tests.bus import until
from tests.gateway import entities
from tests.gateway.world import view

KEY = "a-key-of-the-tests"
QUERY = f"/webapi/{KEY}/pbx.calls.get"
NOW = 1_800_000_000.0

Headers: TypeAlias = dict[str, str] | list[tuple[str, str]] | None


@dataclass
class Desk:
    """Hold the application with and without fast path; ``long``: requests on the normal path."""

    view: PbxContext
    keys: KeyTable
    now: float = NOW
    long: int = 0
    rate_limiter: RateLimiter | None = None
    cors_origins: Sequence[str] = ()
    apps: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        app = create_app(
            {"main": self.view},
            self.keys,
            rate_limiter=self.rate_limiter,
            cors_origins=self.cors_origins,
            clock=lambda: self.now,
        )

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            self.long += 1
            await app(scope, receive, send)

        self.apps = [app, QueryFastPath(counted, self.keys, self.rate_limiter, lambda: self.now)]

    async def get(
        self, path: str, headers: Headers = None, *, short: bool = True
    ) -> httpx.Response:
        return await self.ask("GET", path, headers, short=short)

    async def post(self, path: str, *, short: bool = True, **given: Any) -> httpx.Response:
        return await self.ask("POST", path, short=short, **given)

    async def ask(
        self, method: str, path: str, headers: Headers = None, *, short: bool = True, **given: Any
    ) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.apps[short])
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            return await http.request(method, path, headers=headers, **given)

    def put(self, topic: str, id_: str, entity: Any) -> None:
        replica = self.view.live
        assert replica.position is not None
        edit = Edit(topic, id_, replica.state[topic].get(id_), entity)
        at = Position(replica.position.epoch, replica.position.seq + 1)
        replica.apply(Change(at, entities.START, (edit,)))


def key(**given: Any) -> ApiKey:
    return ApiKey("test", sha256_hex(KEY), "main", frozenset({"read", "contacts"}), **given)


def scope_of(path: str, method: str = "GET", headers: Sequence[tuple[bytes, bytes]] = ()) -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "server": ("gateway", 80),
        "client": ("127.0.0.1", 1),
        "scheme": "http",
    }


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count no milliseconds, as the machine may be slow."""
    monkeypatch.setattr(fast_path, "ASKING_A_TURN_S", 3600.0)
    monkeypatch.setattr("gateway.rest.command_requests.MIN_POSITION_WITHIN_S", 60.0)


@pytest.fixture
async def desk() -> Desk:
    return Desk(view(), KeyTable([key()]))


def same(one: httpx.Response, other: httpx.Response) -> bool:
    return (one.status_code, one.content, sorted(one.headers.items())) == (
        other.status_code,
        other.content,
        sorted(other.headers.items()),
    )


async def test_the_pbx_in_a_header_is_part_of_what_is_remembered(desk: Desk) -> None:
    """Else the answer of one PBX would go out as another's."""
    several = ApiKey("k", sha256_hex("k"), "", frozenset({"read"}), pbxs=("*",))
    views, keys = {name: view(name=name) for name in ("east", "west")}, KeyTable([several])
    views["west"].live.state["calls"].clear()
    app = create_app(views, keys, clock=lambda: NOW)
    desk.apps = [app, QueryFastPath(app, keys, None, lambda: NOW)]
    for _ in range(3):
        for name, count in (("east", 3), ("west", 0)):
            told = await desk.get("/webapi/k/pbx.calls.get", {"Callmon-Pbx": name})
            assert told.json() == {"result": count}, name
    assert desk.apps[1].answered == {"pbx.calls.get": 4}
    two = [("Callmon-Pbx", "east"), ("Callmon-Pbx", "west")]
    refused = await desk.get("/webapi/k/pbx.calls.get", two)
    assert refused.json()["error"]["code"] == "bad_parameter"
    assert (await desk.get("/webapi/k/pbx.calls.get")).json()["error"]["code"] == "pbx_not_named"


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if command.query is not None]
)
async def test_every_query_is_answered_as_by_the_long_way(
    desk: Desk, name: str, encoding: str
) -> None:
    takes = {"Accept-Encoding": encoding}
    path = f"/webapi/{KEY}/{name}"
    arguments = dict(arguments_of(COMMANDS[name]))
    query = f"{path}?{httpx.QueryParams(arguments)}" if arguments else path
    long = await desk.get(query, takes, short=False)
    first = await desk.get(query, takes)
    again = await desk.get(query, takes)
    assert same(long, first)
    if long.status_code == 200:
        assert same(long, again)
        assert desk.long == 1
        tag = takes | {"If-None-Match": long.headers["etag"]}
        assert same(await desk.get(query, tag, short=False), await desk.get(query, tag))
        assert desk.long == 1
    else:
        assert desk.long == 2, "what is refused goes the long way"


async def test_what_changed_is_in_the_next_answer(desk: Desk) -> None:
    before = (await desk.get(QUERY)).json()["result"]
    tag = (await desk.get(QUERY)).headers["etag"]
    desk.put("calls", "4711", entities.call(4711))
    after = await desk.get(QUERY, {"If-None-Match": tag})
    assert (after.status_code, after.json()["result"], desk.long) == (200, before + 1, 1)
    desk.view.live.silent(entities.START)
    assert (await desk.get(QUERY)).headers["callmon-stale-since"] == entities.START


@pytest.mark.parametrize("command", ["pbx.calls.get", "contact.find?num=5551234", ""])
async def test_answers_say_since_when_the_monitor_has_not_its_pbx(desk: Desk, command: str) -> None:
    path = f"/webapi/{KEY}/{command}"
    assert "callmon-stale-since" not in (await desk.get(path)).headers
    desk.put("system", "pbx", entities.system("lost"))
    for short in (False, True):
        answer = await desk.get(path, short=short)
        assert answer.headers["callmon-stale-since"] == entities.START
        unchanged = await desk.get(path, {"If-None-Match": answer.headers["etag"]}, short=short)
        assert (unchanged.status_code, unchanged.headers["callmon-stale-since"]) == (
            304,
            entities.START,
        )
    desk.put("system", "pbx", entities.system())
    assert "callmon-stale-since" not in (await desk.get(path)).headers


@pytest.mark.parametrize("way", ["authorization", "x-api-key", "query"])
async def test_who_asks_is_part_of_what_is_remembered(desk: Desk, way: str) -> None:
    ways: dict[str, tuple[str, dict[str, str]]] = {
        "authorization": ("/webapi/pbx.calls.get", {"Authorization": f"Bearer {KEY}"}),
        "x-api-key": ("/webapi/pbx.calls.get", {"X-API-Key": KEY}),
        "query": (f"/webapi/pbx.calls.get?key={KEY}", {}),
    }
    path, headers = ways[way]
    for _ in range(2):
        assert (await desk.get(path, headers)).status_code == 200
    assert desk.long == 1
    wrong = {name: value + "x" for name, value in headers.items()}
    assert (await desk.get(path + ("" if headers else "x"), wrong)).status_code == 401
    assert (await desk.get("/webapi/pbx.calls.get")).status_code == 401


async def test_a_key_that_is_gone_expired_or_limited_now_is_not_answered_from_memory(
    desk: Desk,
) -> None:
    for _ in range(2):
        assert (await desk.get(QUERY)).status_code == 200
    desk.keys.replace([])
    assert (await desk.get(QUERY)).status_code == 401
    desk.keys.replace([key(expires=from_unix(NOW + 10))])
    for _ in range(2):
        assert (await desk.get(QUERY)).status_code == 200
    desk.now += 11
    assert (await desk.get(QUERY)).status_code == 401
    desk.keys.replace([key(networks=("192.0.2.0/24",))])
    assert (await desk.get(QUERY)).status_code == 403


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
async def test_a_key_given_twice_is_not_remembered_as_either(desk: Desk, name: str) -> None:
    path, good = "/webapi/pbx.calls.get", f"Bearer {KEY}" if name == "Authorization" else KEY
    for other in ("", "Bearer another"):
        assert (await desk.get(path, [(name, good), (name, other)])).status_code == 200
        assert (await desk.get(path, {name: other} if other else None)).status_code == 401


async def test_a_key_that_is_revoked_while_it_is_answered_is_not_remembered(desk: Desk) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if (
            message["type"] == "http.response.body"
        ):  # as one who does not read, until his key is gone
            desk.keys.replace([])

    await desk.apps[1](scope_of(QUERY), receive, send)
    for _ in range(2):
        assert (await desk.get(QUERY)).status_code == 401


async def test_a_page_of_another_origin_is_answered_from_memory_with_its_own_headers() -> None:
    desk = Desk(view(), KeyTable([key()]), cors_origins=["https://wall.example.com"])
    for origin in ("https://wall.example.com", "https://else.example.com"):
        page = {"Origin": origin}
        long = await desk.get(QUERY, page, short=False)
        before = desk.long
        for number in range(3):
            desk.put("calls", f"{number}", entities.call(number))
            short = await desk.get(QUERY, page)
            assert same(short, await desk.get(QUERY, page, short=False))
        assert desk.long == before + 1
        known = page | {"If-None-Match": short.headers["etag"]}
        assert same(await desk.get(QUERY, known, short=False), await desk.get(QUERY, known))
        assert ("access-control-allow-origin" in long.headers) is (
            origin != "https://else.example.com"
        )
    plain = await desk.get(QUERY)
    assert "access-control-allow-origin" not in plain.headers


async def test_who_would_wait_goes_the_long_way_and_who_need_not_is_answered_at_once(
    desk: Desk,
) -> None:
    tag = (await desk.get(QUERY)).headers["etag"]
    for headers in ({"Prefer": "wait=1"}, {"Prefer": "wait=1", "If-None-Match": '"another"'}):
        long = await desk.get(QUERY, headers, short=False)
        assert same(long, await desk.get(QUERY, headers))
    assert desk.long == 1
    waits = {"Prefer": "wait=1", "If-None-Match": tag}
    assert (await desk.get(QUERY, waits)).headers["preference-applied"] == "wait=1"
    assert desk.long == 2


async def test_who_asks_for_a_position_is_answered_at_once_if_it_is_reached(desk: Desk) -> None:
    before = (await desk.get(QUERY)).headers["callmon-position"]
    desk.put("calls", "4711", entities.call(4711))
    now = (await desk.get(QUERY)).headers["callmon-position"]
    assert now != before
    for reached in (before, now):
        assert (await desk.get(QUERY, {"Callmon-Min-Position": reached})).status_code == 200
    assert desk.long == 1
    for wrong in ("x", now.split("/")[0]):
        assert (await desk.get(QUERY, {"Callmon-Min-Position": wrong})).status_code == 400
    assert desk.long == 3
    epoch, seq = now.split("/")
    later = asyncio.create_task(
        desk.get(QUERY, {"Callmon-Min-Position": f"{epoch}/{int(seq) + 1}"})
    )
    await until(lambda: desk.view.position_waiter.waiting == 1)
    desk.put("calls", "4712", entities.call(4712))
    desk.view.position_waiter.moved()
    assert (await later).headers["callmon-position"] == f"{epoch}/{int(seq) + 1}"


@pytest.mark.parametrize("form", ["form", "json"])
async def test_a_post_is_answered_from_memory_by_its_body(desk: Desk, form: str) -> None:
    path = "/webapi/ext.state.get"

    def given(num: str, secret: str = KEY) -> dict[str, Any]:
        pairs = {"key": secret, "num": num}
        return {"json": pairs} if form == "json" else {"data": pairs}

    for num in ("101", "102", "101", "102"):
        long = await desk.post(path, short=False, **given(num))
        assert long.status_code == 200
        assert same(long, await desk.post(path, **given(num)))
    assert desk.long == 2
    assert (await desk.post(path, **given("101", "another"))).status_code == 401
    assert (await desk.post(path, **given("999999"))).status_code == 404
    long = await desk.post(path, headers={"Content-Type": "text/x-odd"}, content=b"num=101")
    assert long.status_code == 415
    assert desk.long == 5
    tagged = await desk.post(
        path, headers={"If-None-Match": "*"}, **given("101")
    )  # it holds for GET and HEAD alone
    assert (tagged.status_code, desk.long) == (200, 5)


async def test_a_post_whose_body_is_long_or_ends_early_goes_the_long_way(desk: Desk) -> None:
    path = f"/webapi/{KEY}/ext.state.get"
    for _ in range(2):
        assert (await desk.post(path, data={"num": "101"})).status_code == 200
    assert desk.long == 1
    for _ in range(2):
        padded = {"num": "101", "key": KEY, "_": "x" * 2_000}
        assert (await desk.post(path, data=padded)).status_code == 200
    assert desk.long == 3

    messages = [{"type": "http.request", "body": b"num", "more_body": True}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        pytest.fail(f"there is nobody: {message}")

    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"7")]
    await desk.apps[1](scope_of(path, "POST", headers), receive, send)
    assert desk.long == 4


async def test_a_head_is_answered_from_memory_without_a_body(desk: Desk) -> None:
    whole = await desk.get(QUERY)
    for headers in (None, {"If-None-Match": whole.headers["etag"]}):
        long = await desk.ask("HEAD", QUERY, headers, short=False)
        short = await desk.ask("HEAD", QUERY, headers)
        assert same(long, short)
        assert short.content == b""
    assert desk.long == 1


async def test_a_key_for_some_networks_is_judged_by_the_clients_address_each_time(
    desk: Desk,
) -> None:
    desk.keys.replace([key(networks=("127.0.0.0/8",))])
    for _ in range(2):
        assert (await desk.get(QUERY)).status_code == 200
    assert desk.long == 1
    answers: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        answers.append(message)

    elsewhere = {**scope_of(QUERY), "client": ("192.0.2.1", 1)}
    await desk.apps[1](elsewhere, receive, send)
    assert answers[0]["status"] == 403


async def test_a_budget_is_counted_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    rate_limiter = RateLimiter(
        {"main": fakeredis.FakeAsyncRedis()}, Budgets(5, 5, 5, 5), clock=lambda: 0.0
    )
    leases = rate_limiter._lease_of(key(), 5)
    leases.reads.continue_offline()
    desk = Desk(view(), KeyTable([key()]), rate_limiter=rate_limiter)
    answers = [await desk.get(QUERY) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers[:5]] == [
        "r=4",
        "r=3",
        "r=2",
        "r=1",
        "r=0",
    ]
    assert desk.long == 3


async def test_memory_is_bounded(desk: Desk) -> None:
    await desk.get(QUERY)
    known = desk.apps[1]._known
    [one] = known.values()
    known.update({(number,): one for number in range(MOST)})
    await desk.get(QUERY + "?&")
    assert len(known) == 1


@pytest.mark.parametrize("junk", ["scheme", "padding"])
async def test_junk_in_headers_and_addresses_is_not_remembered(desk: Desk, junk: str) -> None:
    await desk.get(QUERY)
    for number in range(20):
        long = f"{number}".rjust(20_000, "x")
        if junk == "scheme":
            await desk.get(QUERY, {"Authorization": f"Basic {long}"})
        else:
            padded = "&".join(["key=" + "".join(f"%{ord(char):02x}" for char in KEY)] * 30)
            assert (await desk.get(f"{QUERY}?{padded}{'&' * number}")).status_code == 200
    assert len(desk.apps[1]._known) == 1


async def test_what_is_remembered_is_bounded_in_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_path, "MOST_BYTES", 60_000)
    known = desk.apps[1]._known
    for number in range(60):
        for _ in range(2):  # an answer is held from the second time on
            assert (await desk.get(f"{QUERY}?{'&' * number}")).status_code == 200
            assert (
                await desk.get(f"/webapi/{KEY}/ext.state.get?{'&' * number}num=101")
            ).status_code == 200
        desk.put("calls", str(number), entities.call(number))
        for encoding in ("gzip", "identity"):
            infos = await desk.get(
                f"/webapi/{KEY}/pbx.callsinfo.get?{'&' * (number % 3)}",
                {"Accept-Encoding": encoding},
            )
            assert infos.status_code == 200
        bodies = {id(data): len(data) for one in known.values() for data in one.held}
        assert sum(bodies.values()) + sum(sum(map(len, name)) + 2_048 for name in known) <= 60_000
    assert known


async def test_each_is_answered_from_memory_in_the_encoding_that_it_takes(desk: Desk) -> None:
    path = f"/webapi/{KEY}/pbx.callsinfo.get"
    for accepted, encoding in (("gzip, br", "gzip"), ("identity", None), ("br", None)):
        for number in range(3):
            desk.put("calls", "4711", entities.call(4711, (f"{100 + number}",)))
            answer = await desk.get(path, {"Accept-Encoding": accepted})
            assert answer.headers.get("content-encoding") == encoding
            assert answer.headers["etag"].startswith("W/") is (encoding is not None)
            assert answer.json()["count"] == len(desk.view.live.state["calls"])
    assert desk.long == 2, "gzip, and none"
    assert (await desk.get(path, [("Accept-Encoding", "gzip")] * 2)).status_code == 200
    assert desk.long == 3


@asynccontextmanager
async def served(desk: Desk) -> AsyncIterator[int]:
    """The application under uvicorn, its protocol answering what it can; the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    fast_path = desk.apps[1]
    http: Any = partial(FastPathProtocol, fast_path)
    server = uvicorn.Server(uvicorn.Config(fast_path, lifespan="off", log_config=None, http=http))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def test_a_sites_own_query_that_comes_to_fail_is_told_as_a_fault(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(asked: QueryContext) -> int:
        return 1 // (4 - len(asked.live["calls"]))

    monkeypatch.setitem(
        COMMANDS, "site.fails.get", Command("site.fails.get", "read", "fails", query=fails)
    )
    async with (
        served(desk) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
    ):
        path = f"/webapi/{KEY}/site.fails.get"
        assert [(await http.get(path)).status_code for _ in range(2)] == [200, 200]
        assert desk.long == 1
        desk.put("calls", "4711", entities.call(4711))
        failed = await http.get(path)
        assert (failed.status_code, failed.json()["error"]["code"]) == (500, "internal")


async def test_under_uvicorn_the_answer_is_the_same_to_the_byte(desk: Desk) -> None:
    async with (
        served(desk) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
    ):
        for name in ("pbx.calls.get", "pbx.callsinfo.get", "all.ext.get"):
            path = f"/webapi/{KEY}/{name}"
            before = desk.long
            first, again = await http.get(path), await http.get(path)
            assert desk.long == before + 1
            first.headers.pop("date")
            again.headers.pop("date")
            assert same(first, again)
            known = await http.get(path, headers={"If-None-Match": first.headers["etag"]})
            assert (known.status_code, known.content, desk.long) == (304, b"", before + 1)
        desk.put("calls", "4711", entities.call(4711))
        assert (await http.get(QUERY)).json()["result"] == len(desk.view.live.state["calls"])
        assert (await http.post(f"/webapi/{KEY}/pbx.calls.get")).status_code == 200
        assert (await http.head(f"/webapi/{KEY}/pbx.calls.get")).content == b""
        desk.keys.replace([])
        assert (await http.get(QUERY)).status_code == 401


def post_of(number: int, more: str = "") -> bytes:
    """A POST that asks for the state of an extension; a body of 7 bytes."""
    form = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n{more}\r\n"
    head = f"POST /webapi/{KEY}/ext.state.get HTTP/1.1\r\nHost: x\r\n{form}"
    return f"{head}num={number}".encode()


async def test_under_uvicorn_a_post_is_answered_at_once_however_it_comes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one piece, several in one, in two pieces, after 100-continue, and with a key revoked."""
    at_once: list[bytes] = []
    answer = FastPathProtocol._answer

    def counting(protocol: FastPathProtocol, ready: tuple[bytes, bytes]) -> None:
        at_once.append(ready[1])
        answer(protocol, ready)

    monkeypatch.setattr(FastPathProtocol, "_answer", counting)
    async with served(desk) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def answered() -> tuple[int, bytes]:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            size = 0 if length is None else int(length[1])
            return int(head.split()[1]), await reader.readexactly(size)

        async def asked(*pieces: bytes) -> tuple[int, bytes]:
            for piece in pieces[:-1]:
                writer.write(piece)
                await asyncio.sleep(0.05)
            writer.write(pieces[-1])
            return await answered()

        first, other = await asked(post_of(101)), await asked(post_of(102))
        assert (first[0], other[0], desk.long, at_once) == (200, 200, 2, [])
        assert await asked(post_of(101)) == first
        assert (desk.long, at_once) == (2, [first[1]])
        writer.write(post_of(101) + post_of(102) + post_of(999) + post_of(102) + post_of(101))
        several = [await answered() for _ in range(5)]
        assert [status for status, _ in several] == [200, 200, 404, 200, 200]
        assert [body for _, body in several][::3] == [first[1], other[1]]
        assert several[4] == first
        assert (desk.long, at_once[1:3]) == (3, [first[1], other[1]])
        whole = post_of(101)
        for cut in (len(whole) - 7, len(whole) - 3):
            assert await asked(whole[:cut], whole[cut:]) == first
        expecting = post_of(101, "Expect: 100-continue\r\n")
        assert await asked(expecting[:-7]) == (100, b"")
        assert await asked(expecting[-7:]) == first
        tagged = await asked(post_of(101, "If-None-Match: *\r\n"))  # GET and HEAD alone have it
        assert tagged == first
        desk.keys.replace([])
        before = len(at_once)
        assert (await asked(post_of(101)))[0] == 401
        assert len(at_once) == before
        writer.close()


async def test_requests_sent_one_behind_the_other_are_answered_in_order(desk: Desk) -> None:
    async with served(desk) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        paths = [
            "pbx.calls.get",
            "all.ext.get",
            "nothing",
            "pbx.calls.get",
            "all.queue.get",
            "all.ext.get",
        ] * 5
        for close in (False, True):
            for number, name in enumerate(paths):
                last = "Connection: close\r\n" if close and number == len(paths) - 1 else ""
                writer.write(f"GET /webapi/{KEY}/{name} HTTP/1.1\r\nHost: x\r\n{last}\r\n".encode())
        statuses, bodies = [], []
        for _ in range(2 * len(paths)):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            assert length is not None
            statuses.append(int(head.split()[1]))
            bodies.append(await reader.readexactly(int(length[1])))
        assert await reader.read() == b"", "it was asked to close"
        writer.close()
    assert statuses == [404 if name == "nothing" else 200 for name in paths] * 2
    for name in set(paths):
        assert (
            len({body for body, path in zip(bodies, paths * 2, strict=True) if path == name}) == 1
        )


async def test_queries_asked_anew_hold_up_nobody_else_when_many_come_in_one_piece(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs milliseconds at a large PBX, and hundreds fit into what is read at once."""
    urls = [f"/webapi/{KEY}/{name}" for name in ("pbx.calls.get", "all.ext.get", "all.queue.get")]
    for url in urls:
        await desk.get(url, {"Accept-Encoding": "identity"})
    monkeypatch.setattr(fast_path, "_PIECE_S", 0.0)
    monkeypatch.setattr(fast_path, "ASKING_A_TURN_S", 1e-9)
    desk.put("calls", "4711", entities.call(4711))
    await asyncio.sleep(0)
    paths: QueryFastPath = desk.apps[1]
    for answered in range(1, 4):
        at_once = [paths.at_once(url.encode(), []) is not None for url in urls]
        assert at_once.count(True) == answered, "one more is asked anew in each turn"
        await asyncio.sleep(0)


async def test_what_was_asked_once_before_its_pbx_was_let_go_goes_the_normal_path(
    desk: Desk,
) -> None:
    """It was remembered, and never answered from memory: there is nothing to answer with."""
    await desk.get(QUERY, {"Accept-Encoding": "identity"})
    desk.view.let_go()
    paths: QueryFastPath = desk.apps[1]
    assert paths.at_once(QUERY.encode(), []) is None
    again = await desk.get(QUERY, {"Accept-Encoding": "identity"})
    assert (again.status_code, again.json()["error"]["code"]) == (503, "no_state")


async def test_an_old_client_and_one_that_sends_a_body_go_the_long_way(desk: Desk) -> None:
    async with (
        served(desk) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http,
    ):
        for _ in range(2):
            await http.get(QUERY)
        assert desk.long == 1
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {QUERY} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        assert b" 200 " in await reader.read()
        writer.close()
        answer = await http.request("GET", QUERY, content=b"x")
        assert answer.status_code == 200
        assert desk.long >= 2
