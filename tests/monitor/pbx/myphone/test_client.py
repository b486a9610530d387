"""Test the web client's protocol with a simulated PBX and with one that a test scripts."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web as http
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import myphone_messages
from monitor.myphone_messages import Action, AgentEntry, QueueEntry, QueuesUpdate
from monitor.pbx.myphone import client
from monitor.pbx.myphone.client import MyPhoneClient
from monitor.pbx.myphone.queue_table import QueueTable
from monitor.pbx.v20_client import PbxClient
from monitor.shared.errors import (
    CommandOutcomeUnknown,
    CommandRefused,
    PbxError,
    PbxGarbled,
    PbxRefused,
    PbxUnreachable,
    TokenRefused,
)
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.server import SimulatedPbx
from tests.monitor.pbx.myphone.web_clients import (
    COMMANDS,
    PATIENT,
    SESSION,
    allow,
    an_agent,
    client_of,
    ids,
    truth,
    web_client,
)
from tests.monitor.pbx.scripted import settings_for
from tests.monitor.simulator.api_client import QUIET

READ = {"800": {"101": True, "102": False}, "801": {}}
"""Logins as they are read where a test has no others in mind."""
PROCESSED = myphone_messages.acknowledgement(
    success=True, text="Request has been successfully processed"
)
OWN = myphone_messages.my_info(7, "callmon", queue_status=False)


PUSH = "/ws/webclient"


# A PBX that answers what a test says


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. ``peer``: address and port that it came from."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    peer: object = None


class OddPbx:
    """Answer sessions and commands (not Login) from queues, and well when they are empty.

    ``always``: in place of every answer of such a path. ``pushes``: what is pushed after each
    reading; None: there is no socket, and readings are answered with the queues. ``at_login``:
    what is pushed after a login.
    """

    def __init__(self) -> None:
        self.url = ""
        self.pushes: list[bytes] | None = None
        self.at_login: list[bytes] = []
        self.sockets: list[http.WebSocketResponse] = []
        self.echoed: asyncio.Queue[str] = asyncio.Queue()
        self.queries: list[dict[str, str]] = []
        self.read_twice = asyncio.Event()
        self.asked: list[Asked] = []
        self.sessions: deque[Said] = deque()
        self.logins: deque[Said] = deque()
        self.commands: deque[Said] = deque()
        self.always: dict[str, Said] = {}
        self.opened = 0
        self.minted = 0

    async def handle(self, request: http.Request) -> http.StreamResponse:
        body = await request.read()
        peer = request.transport and request.transport.get_extra_info("peername")
        self.asked.append(Asked(request.path, request.headers, body, peer))
        if request.path == PUSH and self.pushes is not None:
            return await self._socket(request)
        if request.path == PUSH:
            return http.Response(status=404)
        said = self.always.get(request.path) or self._answer(request.path, body)
        if request.path == COMMANDS and said.status == 200:
            await self._push(myphone_messages.decode(body).message_id)
        return http.Response(status=said.status, body=said.body, headers=dict(said.headers))

    async def push(self, *messages: bytes | str) -> None:
        for socket in self.sockets:
            for message in messages:
                if isinstance(message, bytes):
                    await socket.send_bytes(message)
                else:
                    await socket.send_str(message)

    async def _push(self, message_id: int) -> None:
        if message_id == myphone_messages.LOGIN:
            await self.push(*self.at_login)
        elif message_id == myphone_messages.GET_MY_INFO:
            await self.push(*(self.pushes or ()))
            if self.kinds().count("read") == 2:
                self.read_twice.set()

    async def _socket(self, request: http.Request) -> http.WebSocketResponse:
        self.queries.append(dict(request.query))
        socket = http.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("START")
        self.sockets.append(socket)
        try:
            async for message in socket:
                self.echoed.put_nowait(message.data)
        finally:
            self.sockets.remove(socket)
        return socket

    def kinds(self) -> list[str]:
        """What was asked of the web client's interface, in order."""
        names = {100: "login", 102: "read", 132: "set"}
        return [
            "session"
            if asked.path == SESSION
            else names[myphone_messages.decode(asked.body).message_id]
            for asked in self.asked
            if asked.path in (SESSION, COMMANDS)
        ]

    def _answer(self, path: str, body: bytes) -> Said:
        match path:
            case "/connect/token":
                self.minted += 1
                return said({"access_token": f"token-{self.minted}", "expires_in": 3600})
            case "/webclient/api/MyPhone/session":
                return self.sessions.popleft() if self.sessions else self._session()
            case "/MyPhone/MPWebService.asmx":
                return self._command(body)
            case _:
                return said({"value": []})

    def _session(self) -> Said:
        self.opened += 1
        return said({"sessionKey": f"key-{self.opened}", "pass": "x"})

    def _command(self, body: bytes) -> Said:
        message_id = myphone_messages.decode(body).message_id
        if message_id == myphone_messages.LOGIN:
            return self.logins.popleft() if self.logins else Said(200, PROCESSED)
        if self.commands:
            return self.commands.popleft()
        if message_id != myphone_messages.GET_MY_INFO:
            return Said(200, PROCESSED)
        return Said(200, told(READ) if self.pushes is None else OWN)


def said(body: object) -> Said:
    return Said(200, json.dumps(body).encode())


@asynccontextmanager
async def odd_pbx() -> AsyncIterator[tuple[OddPbx, MyPhoneClient]]:
    """It listens until the block ends."""
    pbx = OddPbx()
    app = http.Application()
    app.router.add_route("*", "/{path:.*}", pbx.handle)
    runner = http.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await http.TCPSite(runner, "127.0.0.1", 0).start()
    pbx.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    client = PbxClient(settings_for(pbx.url, **PATIENT))
    web = MyPhoneClient(client)
    try:
        yield pbx, web
    finally:
        await web.close()
        await client.close()
        await runner.cleanup()


@pytest.fixture
async def odd() -> AsyncIterator[tuple[OddPbx, MyPhoneClient]]:
    async with odd_pbx() as pair:
        yield pair


def told(logins: Mapping[str, Mapping[str, bool]]) -> bytes:
    """Logins as a PBX tells them."""
    return myphone_messages.queues_info(
        QueuesUpdate(
            tuple(
                QueueEntry(
                    id_,
                    queue,
                    agents=tuple(
                        AgentEntry(number, agent, on)
                        for number, (agent, on) in enumerate(agents.items(), 31)
                    ),
                )
                for id_, (queue, agents) in enumerate(logins.items(), 300)
            )
        )
    )


def refusal(text: str, code: int = 9) -> bytes:
    """An acknowledgement that a command was not done."""
    return myphone_messages.acknowledgement(success=False, text=text, code=code)


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    head, rest = number & 0x7F, number >> 7
    return bytes([head | 0x80]) + varint(rest) if rest else bytes([head])


def put(number: int, value: int | str | bytes) -> bytes:
    """A field as protobuf writes it."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def message(message_id: int, payload: bytes = b"") -> bytes:
    """A whole message."""
    return put(1, message_id) + put(message_id, payload)


# The simulated PBX


async def test_every_agent_of_every_queue_is_told(pbx: SimulatedPbx, web: MyPhoneClient) -> None:
    told = await web.queues_info()
    assert told == truth(pbx)
    assert set(told) == {"800", "801"}
    assert all(agents and all(agents.values()) for agents in told.values())


async def test_an_agent_is_logged_out_of_one_queue_alone_and_in_again(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    agent = an_agent(pbx)
    before = truth(pbx)
    await web.set_queue_status(*ids(pbx, "800", agent), logged_in=False)
    out = await web.queues_info()
    assert out == {**before, "800": {**before["800"], agent: False}} == truth(pbx)
    await web.set_queue_status(*ids(pbx, "800", agent), logged_in=True)
    assert await web.queues_info() == before == truth(pbx)


async def test_what_somebody_else_changed_is_read(pbx: SimulatedPbx, web: MyPhoneClient) -> None:
    before = await web.queues_info()
    async with web_client(pbx) as other:
        await other.set_queue_status(*ids(pbx, "801", an_agent(pbx, "801")), logged_in=False)
    after = await web.queues_info()
    assert after != before
    assert after["801"][an_agent(pbx, "801")] is False


@pytest.mark.parametrize(
    ("queue", "agent"),
    [(0, 0), (-1, -1), (2**31 - 1, 2**31 - 1)],
    ids=["none", "negative", "largest"],
)
async def test_who_and_where_must_be_there(
    pbx: SimulatedPbx, web: MyPhoneClient, queue: int, agent: int
) -> None:
    before = truth(pbx)
    with pytest.raises(CommandRefused) as refused:
        await web.set_queue_status(queue, agent, logged_in=False)
    assert refused.value.code == "pbx_refused"
    assert truth(pbx) == before


async def test_who_is_no_agent_of_that_queue_is_not_logged_out_of_it(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    before = truth(pbx)
    stranger = next(
        number for number in pbx.directory.extensions() if number not in pbx.directory.agents("800")
    )
    with pytest.raises(CommandRefused) as refused:
        await web.set_queue_status(*ids(pbx, "800", stranger), logged_in=False)
    assert refused.value.code == "pbx_refused"
    assert truth(pbx) == before
    assert pbx.directory.logins.logged_in("800", stranger)


async def test_without_the_right_it_is_named_and_nothing_changes(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    allow(pbx, web_client=False)
    before = truth(pbx)
    for ask in (
        web.queues_info(),
        web.set_queue_status(*ids(pbx, "800", an_agent(pbx)), logged_in=False),
    ):
        with pytest.raises(CommandRefused, match="MyPhone access") as refused:
            await ask
        assert (refused.value.code, refused.value.kind) == ("no_webclient_right", "conflict")
    assert truth(pbx) == before


async def test_a_right_that_comes_and_goes_is_believed_at_the_next_session(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    await web.queues_info()
    allow(pbx, web_client=False)
    with pytest.raises(CommandRefused):
        await web.queues_info()
    allow(pbx, web_client=True)
    assert await web.queues_info() == truth(pbx)


async def test_a_session_that_the_pbx_has_forgotten_is_opened_anew(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    agent = an_agent(pbx)
    await web.queues_info()
    pbx.web_client.forget()
    await web.set_queue_status(*ids(pbx, "800", agent), logged_in=False)
    pbx.web_client.forget()
    assert (await web.queues_info())["800"][agent] is False


async def test_a_pbx_that_restarted_is_asked_on_with_another_token_and_session(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    agent = an_agent(pbx)
    await web.set_queue_status(*ids(pbx, "800", agent), logged_in=False)
    minted = pbx.tokens.minted
    await pbx.restart()
    assert (await web.queues_info())["800"][agent] is False
    assert pbx.tokens.minted == minted + 1


async def test_a_token_revoked_in_mid_life_does_not_end_the_session(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    before = await web.queues_info()
    pbx.faults.revoke_tokens()
    assert await web.queues_info() == before


async def test_many_readings_and_changes_at_once_all_succeed(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    pairs = [(queue, agent) for queue, agents in truth(pbx).items() for agent in agents]
    for logged_in in (False, True):
        await asyncio.gather(
            *(
                web.set_queue_status(*ids(pbx, queue, agent), logged_in=logged_in)
                for queue, agent in pairs
            ),
            *(web.queues_info() for _ in range(5)),
        )
        assert {on for agents in (await web.queues_info()).values() for on in agents.values()} == {
            logged_in
        }
        pbx.web_client.forget()


@pytest.mark.parametrize("opened", [False, True], ids=["before a session", "in a session"])
async def test_a_pbx_that_is_off_was_asked_for_nothing(
    pbx: SimulatedPbx, web: MyPhoneClient, *, opened: bool
) -> None:
    if opened:
        await web.queues_info()
    before = truth(pbx)
    await pbx.faults.refuse()
    for ask in (
        web.queues_info(),
        web.set_queue_status(*ids(pbx, "800", an_agent(pbx)), logged_in=False),
    ):
        with pytest.raises(PbxUnreachable, match="cannot be reached") as unreachable:
            await ask
        assert not isinstance(unreachable.value, PbxGarbled)
    await pbx.faults.accept()
    assert await web.queues_info() == before == truth(pbx)


async def test_a_change_whose_answer_is_lost_is_not_known_and_is_not_repeated(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    agent = an_agent(pbx)
    await web.queues_info()
    pbx.faults.lose_answers(1, COMMANDS)
    with pytest.raises(CommandOutcomeUnknown):
        await web.set_queue_status(*ids(pbx, "800", agent), logged_in=False)
    assert pbx.faults.happened["unanswered"] == 1
    assert (await web.queues_info())["800"][agent] is False


async def test_a_reading_whose_answer_is_lost_is_to_be_tried_again(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    before = await web.queues_info()
    pbx.faults.lose_answers(2, COMMANDS)
    with pytest.raises(PbxUnreachable):
        await web.queues_info()
    assert await web.queues_info() == before


async def test_a_reading_whose_kept_connection_ends_is_asked_once_more(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    before = await web.queues_info()
    pbx.faults.lose_answers(1, COMMANDS)
    assert await web.queues_info() == before
    assert pbx.faults.happened["unanswered"] == 1


@pytest.mark.parametrize(
    ("path", "error", "times"),
    [(SESSION, PbxGarbled, 1), (COMMANDS, PbxUnreachable, 2)],
    ids=["session", "login"],
)
async def test_an_answer_lost_before_the_change_itself_has_changed_nothing(
    pbx: SimulatedPbx, web: MyPhoneClient, path: str, error: type[PbxError], times: int
) -> None:
    before = truth(pbx)
    change = ids(pbx, "800", an_agent(pbx))
    pbx.faults.lose_answers(times, path)
    with pytest.raises(error):
        await web.set_queue_status(*change, logged_in=False)
    assert pbx.faults.happened["unanswered"] == times
    assert truth(pbx) == before
    await web.set_queue_status(*change, logged_in=False)
    assert truth(pbx) != before


async def test_a_change_answered_with_failure_is_not_known(
    pbx: SimulatedPbx, web: MyPhoneClient
) -> None:
    before = await web.queues_info()
    pbx.faults.answer_with(502, 1, COMMANDS)
    with pytest.raises(CommandOutcomeUnknown, match="502"):
        await web.set_queue_status(*ids(pbx, "800", an_agent(pbx)), logged_in=False)
    assert await web.queues_info() == before


async def test_a_login_that_failed_is_made_up_for(pbx: SimulatedPbx, web: MyPhoneClient) -> None:
    pbx.faults.answer_with(500, 1, COMMANDS)
    agent = an_agent(pbx)
    await web.set_queue_status(*ids(pbx, "800", agent), logged_in=False)
    assert pbx.faults.happened["answered"] == 1
    assert truth(pbx)["800"][agent] is False


# What is said to the PBX


async def test_what_is_sent_is_what_was_seen_in_use(odd: tuple[OddPbx, MyPhoneClient]) -> None:
    pbx, web = odd
    await web.queues_info()
    await web.set_queue_status(300, 9, logged_in=True)
    await web.set_queue_status(300, 9, logged_in=False)
    sent = [asked for asked in pbx.asked if asked.path == COMMANDS]
    assert [asked.body for asked in sent] == [
        message(100),
        message(102),
        message(132, put(1, 300) + put(2, 9) + put(3, 1)),
        message(132, put(1, 300) + put(2, 9) + put(3, 0)),
    ]
    for asked in sent:
        assert asked.headers["MyPhoneSession"] == "key-1"
        assert (
            asked.headers["Content-Type"] == asked.headers["Accept"] == "application/octet-stream"
        )
    (opening,) = (asked for asked in pbx.asked if asked.path == SESSION)
    assert opening.headers["Authorization"] == "Bearer token-1"
    assert json.loads(opening.body) == {"name": "callmon", "version": "1", "isHuman": False}


async def test_one_session_and_one_login_serve_for_everything(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = odd
    for _ in range(3):
        await web.queues_info()
        await web.set_queue_status(1, 2, logged_in=True)
    assert pbx.kinds() == ["session", "login", *["read", "set"] * 3]


async def test_readings_share_a_connection_and_a_change_has_its_own(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    """Every three seconds a TLS handshake would cost the PBX more than the answer."""
    pbx, web = odd
    for _ in range(3):
        await web.queues_info()
    await web.set_queue_status(300, 31, logged_in=True)
    await web.queues_info()
    peers: dict[str, set[object]] = {}
    commands = [asked for asked in pbx.asked if asked.path in (SESSION, COMMANDS)]
    for kind, asked in zip(pbx.kinds(), commands, strict=True):
        peers.setdefault(kind, set()).add(asked.peer)
    assert len(peers["read"]) == 1
    assert peers["login"] == peers["read"]
    assert not peers["set"] & peers["read"]


async def test_nothing_is_opened_before_it_is_needed(odd: tuple[OddPbx, MyPhoneClient]) -> None:
    pbx, _ = odd
    assert pbx.asked == []


# What the PBX says of sessions


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b"NOT AUTH"),
        Said(200, refusal("Login is required")),
        Said(200, b"Error: Login is required."),
        Said(403),
        Said(403, b"NOT AUTH"),
    ],
    ids=["NOT AUTH", "a message", "text", "forbidden", "forbidden in words"],
)
async def test_a_session_that_is_refused_once_is_opened_anew(
    odd: tuple[OddPbx, MyPhoneClient], said: Said
) -> None:
    pbx, web = odd
    pbx.commands.append(said)
    assert await web.queues_info() == READ
    pbx.commands.append(said)
    await web.set_queue_status(1, 2, logged_in=True)
    assert pbx.kinds() == [*("session", "login", "read") * 2, "set", "session", "login", "set"]
    assert [asked.headers["MyPhoneSession"] for asked in pbx.asked if asked.path == COMMANDS] == [
        *["key-1"] * 2,
        *["key-2"] * 3,
        *["key-3"] * 2,
    ]


@pytest.mark.parametrize("said", [Said(200, b"NOT AUTH"), Said(403)], ids=["in words", "forbidden"])
async def test_a_pbx_that_forgets_every_session_is_not_asked_for_ever(
    odd: tuple[OddPbx, MyPhoneClient], said: Said
) -> None:
    pbx, web = odd
    pbx.commands.extend([said] * 4)
    with pytest.raises(PbxGarbled, match="does not know the session"):
        await web.queues_info()
    with pytest.raises(PbxGarbled, match="does not know the session"):
        await web.set_queue_status(1, 2, logged_in=True)
    assert pbx.kinds() == [*("session", "login", "read") * 2, *("session", "login", "set") * 2]
    assert await web.queues_info() == READ


@pytest.mark.parametrize("status", [200, 400, 404, 500], ids=str)
async def test_what_answers_the_login_is_judged_by_the_command_that_follows(
    odd: tuple[OddPbx, MyPhoneClient], status: int
) -> None:
    pbx, web = odd
    pbx.logins.append(Said(status, b"\xff no message"))
    assert await web.queues_info() == READ
    assert pbx.kinds() == ["session", "login", "read"]


@pytest.mark.parametrize("status", [403, 404], ids=str)
async def test_a_session_that_may_not_be_opened_is_a_missing_right(
    odd: tuple[OddPbx, MyPhoneClient], status: int
) -> None:
    pbx, web = odd
    pbx.always[SESSION] = Said(status, b"<html>no</html>")
    for ask in (web.queues_info(), web.set_queue_status(1, 2, logged_in=True)):
        with pytest.raises(CommandRefused) as refused:
            await ask
        assert refused.value.code == "no_webclient_right"
    assert pbx.kinds() == ["session", "session"]


async def test_a_token_that_opens_nothing_at_all_is_no_missing_right(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = odd
    for path in (SESSION, "/xapi/v1/Defs"):
        pbx.always[path] = Said(401)
    with pytest.raises(TokenRefused):
        await web.queues_info()
    assert pbx.kinds() == ["session"]


async def test_a_session_that_is_refused_once_is_asked_for_again(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = odd
    pbx.sessions.append(Said(401))
    assert await web.queues_info() == READ
    assert pbx.kinds() == ["session", "session", "login", "read"]


async def test_a_session_is_opened_with_another_token_where_the_first_was_revoked() -> None:
    async with SimulatedPbx(QUIET) as pbx:
        client = client_of(pbx)
        web = MyPhoneClient(client)
        await client.system_status()
        pbx.tokens.revoke()
        assert set(await web.queues_info()) == set(pbx.directory.queue_numbers())
        assert pbx.tokens.minted == 2
        await client.close()


async def test_a_client_that_may_not_mint_opens_no_session() -> None:
    async with SimulatedPbx(QUIET) as pbx:
        before = truth(pbx)
        client = client_of(pbx, may_mint=lambda: False)
        web = MyPhoneClient(client)
        with pytest.raises(TokenRefused):
            await web.queues_info()
        with pytest.raises(TokenRefused):
            await web.set_queue_status(*ids(pbx, "800", an_agent(pbx)), logged_in=False)
        assert (pbx.tokens.minted, truth(pbx)) == (0, before)
        await client.close()


@pytest.mark.parametrize(
    ("said", "kind", "match"),
    [
        (Said(400), PbxRefused, "400"),
        (Said(302, headers={"Location": "/elsewhere"}), PbxRefused, "elsewhere"),
        (Said(429, headers={"Retry-After": "7"}), PbxUnreachable, "429"),
        (Said(500), PbxGarbled, "500"),
        (Said(503, b"<html>"), PbxGarbled, "503"),
    ],
    ids=["400", "302", "429", "500", "503"],
)
async def test_a_session_that_could_not_be_opened_has_changed_nothing(
    odd: tuple[OddPbx, MyPhoneClient], said: Said, kind: type[PbxError], match: str
) -> None:
    pbx, web = odd
    pbx.always[SESSION] = said
    for ask in (web.queues_info(), web.set_queue_status(1, 2, logged_in=True)):
        with pytest.raises(kind, match=match) as caught:
            await ask
        assert type(caught.value) is kind
        assert str(caught.value).endswith((".", "?"))
    assert pbx.kinds() == ["session", "session"]
    assert not any(asked.path == "/elsewhere" for asked in pbx.asked)
    pbx.always.clear()
    assert await web.queues_info() == READ


async def test_how_long_a_pbx_asks_to_be_left_alone_is_told(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = odd
    for queue in (pbx.sessions, pbx.commands):
        queue.append(Said(429, headers={"Retry-After": "7"}))
        with pytest.raises(PbxUnreachable) as caught:
            await web.queues_info()
        assert caught.value.retry_after == 7.0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"key"',
        b"{}",
        b'{"sessionKey": ""}',
        b'{"sessionKey": null}',
        b'{"sessionKey": true}',
        b'{"sessionKey": ["key"]}',
        '{"sessionKey": "ключ"}'.encode(),
        b'{"sessionKey": "key\\r\\nX-Other: 1"}',
        b'{"sessionKey": "ke\\ty"}',
        b'{"sessionKey": "key\\u007f"}',
        b'{"SessionKey": "key"}',
        b"{",
        b"<html>Sign in to the guest network</html>",
        b"\xff\xfe",
    ],
)
async def test_an_answer_without_a_session_is_garbled(
    odd: tuple[OddPbx, MyPhoneClient], body: bytes
) -> None:
    pbx, web = odd
    pbx.sessions.extend([Said(200, body)] * 2)
    for ask in (web.queues_info(), web.set_queue_status(1, 2, logged_in=True)):
        with pytest.raises(PbxGarbled):
            await ask
    assert pbx.kinds() == ["session", "session"]
    assert await web.queues_info() == READ


# What the PBX answers to commands


@pytest.mark.parametrize(
    ("said", "kind", "match"),
    [
        (Said(302, headers={"Location": "/elsewhere"}), PbxRefused, "elsewhere"),
        (Said(400), PbxRefused, "400"),
        (Said(404, b"<html>no</html>"), PbxRefused, "404"),
        (Said(405), PbxRefused, "405"),
        (Said(408), PbxUnreachable, "408"),
        (Said(429), PbxUnreachable, "429"),
    ],
    ids=["302", "400", "404", "405", "408", "429"],
)
async def test_a_command_that_was_refused_by_its_status_has_changed_nothing(
    odd: tuple[OddPbx, MyPhoneClient], said: Said, kind: type[PbxError], match: str
) -> None:
    pbx, web = odd
    pbx.commands.extend([said] * 2)
    for ask in (web.queues_info(), web.set_queue_status(1, 2, logged_in=True)):
        with pytest.raises(kind, match=match) as caught:
            await ask
        assert type(caught.value) is kind
    assert pbx.kinds() == ["session", "login", "read", "set"]
    assert not any(asked.path == "/elsewhere" for asked in pbx.asked)
    assert await web.queues_info() == READ


@pytest.mark.parametrize("status", [500, 502, 503], ids=str)
async def test_a_failure_of_the_pbx_makes_a_change_unknown_and_a_reading_only_late(
    odd: tuple[OddPbx, MyPhoneClient], status: int
) -> None:
    pbx, web = odd
    pbx.commands.extend([Said(status), Said(status, b"NOT AUTH")])
    with pytest.raises(PbxUnreachable, match=str(status)):
        await web.queues_info()
    with pytest.raises(CommandOutcomeUnknown, match=str(status)):
        await web.set_queue_status(1, 2, logged_in=True)
    assert pbx.kinds() == ["session", "login", "read", "set"], (
        "a change is never sent a second time"
    )


async def test_a_command_refused_for_its_token_is_sent_once_more_with_another(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = odd
    pbx.commands.append(Said(401))
    await web.set_queue_status(1, 2, logged_in=True)
    assert pbx.kinds() == ["session", "login", "set", "set"]
    assert pbx.minted == 2


async def test_a_command_refused_with_every_token_is_so_in_words(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = odd
    pbx.commands.extend([Said(401)] * 2)
    with pytest.raises(TokenRefused):
        await web.set_queue_status(1, 2, logged_in=True)
    assert pbx.kinds() == ["session", "login", "set", "set"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        PROCESSED,
        myphone_messages.login(),
        myphone_messages.get_my_info(),
        myphone_messages.set_queue_status(1, 2, logged_in=True),
        message(211, b"")[:-1],
        put(1, 211),
        put(1, 211) + put(211, 1),
        put(1, 211) + put(212, b""),
        message(211, put(2, b"\x22\x05800")),
        b"\xff" * 20,
        b"<html>Sign in to the guest network</html>",
        b'{"queues": []}',
    ],
    ids=[
        "empty",
        "done",
        "login",
        "question",
        "change",
        "cut",
        "number alone",
        "number in place of a message",
        "another field",
        "text longer than its message",
        "bytes",
        "html",
        "json",
    ],
)
async def test_what_tells_no_queues_is_garbled(
    odd: tuple[OddPbx, MyPhoneClient], body: bytes
) -> None:
    pbx, web = odd
    pbx.commands.append(Said(200, body))
    with pytest.raises(PbxGarbled, match="web client"):
        await web.queues_info()
    assert await web.queues_info() == READ
    assert pbx.opened == 2, "a new session is tried"


async def test_a_message_is_read_as_seen_in_use(odd: tuple[OddPbx, MyPhoneClient]) -> None:
    pbx, web = odd
    agents = (
        put(2, put(2, 31) + put(3, "101") + put(8, 1)),
        put(2, put(1, 5) + put(3, "102") + put(8, 0) + put(77, "more")),
        put(2, put(2, 33) + put(3, "103")),
        put(2, put(2, 34) + put(8, 1)),
        put(1, "more"),
    )
    queues = (
        put(2, put(1, 9) + put(4, "800") + put(5, b"".join(agents)) + put(6, put(4, "more"))),
        put(2, put(4, "801") + put(5, b"")),
        put(2, put(4, "802")),
        put(2, put(5, agents[0])),
    )
    pbx.commands.append(Said(200, message(211, put(1, 1) + b"".join(queues)) + put(400, b"more")))
    assert await web.queues_info() == {
        "800": {"101": True, "102": False, "103": False},
        "801": {},
        "802": {},
    }


async def test_a_pbx_without_queues_tells_that_it_has_none(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = odd
    pbx.commands.append(Said(200, message(211)))
    assert await web.queues_info() == {}


@pytest.mark.parametrize(
    "body",
    [b"", myphone_messages.login(), told(READ), b"\xff" * 20, b"<html>ok</html>"],
    ids=["empty", "login", "queues", "bytes", "html"],
)
async def test_an_answer_that_says_nothing_of_a_change_leaves_it_open(
    odd: tuple[OddPbx, MyPhoneClient], body: bytes
) -> None:
    pbx, web = odd
    pbx.commands.append(Said(200, body))
    with pytest.raises(CommandOutcomeUnknown):
        await web.set_queue_status(1, 2, logged_in=True)
    assert pbx.kinds() == ["session", "login", "set"]


async def test_a_change_is_refused_in_the_pbxs_own_words(odd: tuple[OddPbx, MyPhoneClient]) -> None:
    pbx, web = odd
    pbx.commands.append(Said(200, refusal("The agent was not found", 8)))
    with pytest.raises(CommandRefused, match="The agent was not found") as refused:
        await web.set_queue_status(1, 2, logged_in=True)
    assert refused.value.code == "pbx_refused"
    assert pbx.kinds() == ["session", "login", "set"]


@pytest.mark.parametrize(
    "body",
    [PROCESSED, b"Request successfully processed", b"\xff\x00successfully processed\xff"],
    ids=["message", "text", "in bytes"],
)
async def test_a_change_is_done_whatever_stands_around_the_words(
    odd: tuple[OddPbx, MyPhoneClient], body: bytes
) -> None:
    pbx, web = odd
    pbx.commands.append(Said(200, body))
    await web.set_queue_status(1, 2, logged_in=True)
    assert pbx.kinds() == ["session", "login", "set"]


async def test_a_401_that_is_not_the_tokens_fault_is_a_missing_right(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = odd
    pbx.always[SESSION] = Said(401)
    with pytest.raises(CommandRefused) as refused:
        await web.queues_info()
    assert refused.value.code == "no_webclient_right"
    await web._client.get_json("/xapi/v1/Users")  # nobody else is held up by it


async def test_names_that_are_no_text_are_no_answer(odd: tuple[OddPbx, MyPhoneClient]) -> None:
    pbx, web = odd
    pbx.commands.append(
        Said(
            200,
            message(211, put(2, put(4, b"\xff") + put(5, put(2, put(3, b"10\xff") + put(8, 1))))),
        )
    )
    with pytest.raises(PbxGarbled):
        await web.queues_info()


# Whatever comes


def bent(whole: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    """A message with some bits turned, and its end cut off."""
    content = bytearray(whole)
    for place, bits in changes:
        content[place % len(content)] ^= bits
    return bytes(content[: len(content) - cut])


_logins = st.dictionaries(
    st.text(min_size=1, max_size=6),
    st.dictionaries(st.text(min_size=1, max_size=6), st.booleans(), max_size=4),
    max_size=3,
)
_WORDS = (b"successfully processed", b"Login is required", b"NOT AUTH")
"""What a client looks for in an answer."""
_changes = st.lists(st.tuples(st.integers(0, 500), st.integers(1, 255)), max_size=4)
_bodies = st.lists(
    st.binary(max_size=60) | st.builds(bent, _logins.map(told), _changes, st.integers(0, 3)),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(_bodies)
def test_bytes_of_any_kind_are_queues_or_garbled(bodies: list[bytes]) -> None:
    async def play() -> None:
        async with odd_pbx() as (pbx, web):
            for body in bodies:
                pbx.commands.append(Said(200, body))
                try:
                    read = await web.queues_info()
                except PbxGarbled:
                    continue
                assert all(type(on) is bool for agents in read.values() for on in agents.values())
            pbx.commands.clear()
            assert await web.queues_info() == READ

    asyncio.run(play())


@settings(deadline=None)
@given(_bodies.filter(lambda bodies: not any(word in body for body in bodies for word in _WORDS)))
def test_bytes_of_any_kind_are_no_change_that_was_made(bodies: list[bytes]) -> None:
    async def play() -> None:
        async with odd_pbx() as (pbx, web):
            for body in bodies:
                pbx.commands.append(Said(200, body))
                with pytest.raises((CommandRefused, CommandOutcomeUnknown)):
                    await web.set_queue_status(1, 2, logged_in=True)
            await web.set_queue_status(1, 2, logged_in=True)
            assert pbx.kinds() == ["session", "login", *["set"] * (len(bodies) + 1)]

    asyncio.run(play())


@settings(deadline=None)
@given(st.lists(_logins, min_size=1, max_size=5))
def test_all_logins_are_read_as_they_were_told(
    told_one_by_one: list[dict[str, dict[str, bool]]],
) -> None:
    async def play() -> None:
        async with odd_pbx() as (pbx, web):
            for logins in told_one_by_one:
                pbx.commands.append(Said(200, told(logins)))
                assert await web.queues_info() == logins

    asyncio.run(play())


_keys = st.text(max_size=8) | st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=8)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(_keys, st.integers(), st.none(), st.booleans(), st.binary(max_size=40)),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_names_a_session_is_used_as_it_is_or_garbled(
    keys: list[str | int | bytes | None],
) -> None:
    async def play() -> None:
        for key in keys:
            async with odd_pbx() as (pbx, web):
                pbx.sessions.append(
                    Said(200, key) if isinstance(key, bytes) else said({"sessionKey": key})
                )
                try:
                    assert await web.queues_info() == READ
                except PbxGarbled:
                    assert pbx.kinds() == ["session"]
                else:
                    used = {
                        asked.headers["MyPhoneSession"]
                        for asked in pbx.asked
                        if asked.path == COMMANDS
                    }
                    assert used == {str(key).strip()}

    asyncio.run(play())


# The socket


@pytest.fixture
async def pushing() -> AsyncIterator[tuple[OddPbx, MyPhoneClient]]:
    """A PBX that pushes the queues when it is asked for them."""
    async with odd_pbx() as (pbx, web):
        pbx.pushes = [told(READ)]
        yield pbx, web


def changed(queue_id: int, agent_id: int, *, on: bool) -> bytes:
    """A push about one agent, without what stayed as it was."""
    agent = AgentEntry(agent_id, logged_in=on)
    return myphone_messages.queues_info(
        QueuesUpdate((QueueEntry(queue_id, agents=(agent,)),), Action.UPDATED)
    )


@pytest.mark.parametrize("queues_info", ["pushed", "answered", "login"])
@pytest.mark.parametrize("my_info", ["answered", "pushed"])
async def test_queues_are_read_in_whatever_way_the_pbx_tells_them(
    queues_info: Any, my_info: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if queues_info == "login":
        monkeypatch.setattr(client, "PUSHED_WITHIN_S", 1.0)
    switches = Switches(queues_info=queues_info, my_info=my_info)
    async with SimulatedPbx(replace(QUIET, switches=switches)) as pbx, web_client(pbx) as web:
        agent = an_agent(pbx)
        for on in (False, True):
            await web.set_queue_status(*ids(pbx, "800", agent), logged_in=on)
            assert await web.queues_info() == truth(pbx)
            pbx.directory.logins.set("801", an_agent(pbx, "801"), logged_in=on)
            assert await web.queues_info() == truth(pbx)
        assert web.reads_by_login is (queues_info == "login")


async def test_a_session_is_opened_then_its_socket_then_it_logs_in(
    pushing: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = pushing
    assert await web.queues_info() == READ
    paths = [asked.path for asked in pbx.asked]
    assert paths == ["/connect/token", SESSION, PUSH, COMMANDS, COMMANDS]
    assert pbx.kinds() == ["session", "login", "read"]
    assert pbx.queries == [{"sessionId": "key-1", "pass": "x"}]
    assert "Authorization" not in pbx.asked[2].headers, "the session's pass is enough"


async def test_a_sign_of_life_is_sent_back_and_other_words_are_not(
    pushing: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = pushing
    await web.queues_info()
    await pbx.push("ADDP", "hello", "ADDP")
    async with asyncio.timeout(60):
        assert [await pbx.echoed.get(), await pbx.echoed.get()] == ["ADDP", "ADDP"]


async def test_a_push_that_nobody_asked_for_is_told_and_changes_what_it_names_alone() -> None:
    async with odd_pbx() as (pbx, _):
        pbx.pushes = [told(READ)]
        heard: list[dict[str, dict[str, bool]]] = []
        client = PbxClient(settings_for(pbx.url, **PATIENT))
        news = asyncio.Event()

        def hear(table: QueueTable) -> None:
            heard.append(table.logins)
            news.set()

        web = MyPhoneClient(client, hear)
        assert await web.queues_info() == READ
        news.clear()
        await pbx.push(changed(300, 32, on=True))
        async with asyncio.timeout(60):
            await news.wait()
        assert heard[-1] == {"800": {"101": True, "102": True}, "801": {}}
        await web.close()
        await client.close()


async def test_a_push_about_one_agent_is_no_answer_to_a_question(
    pushing: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = pushing
    await web.queues_info()
    pbx.pushes = [changed(300, 32, on=True), told({**READ, "802": {}})]
    assert await web.queues_info() == {**READ, "802": {}}


@pytest.mark.parametrize(
    "broken",
    [b"\xff" * 20, told(READ)[:-1], message(211, put(2, put(4, b"\xff"))), b"\xfb\x7d" * 500],
    ids=["bytes", "cut", "no text", "nested"],
)
async def test_a_push_that_is_broken_costs_itself_alone(
    pushing: tuple[OddPbx, MyPhoneClient], broken: bytes
) -> None:
    pbx, web = pushing
    await web.queues_info()
    pbx.pushes = [broken, told({**READ, "803": {}})]
    assert (await web.queues_info())["803"] == {}
    assert pbx.kinds() == ["session", "login", "read", "read"], "the session goes on"


async def test_a_socket_that_closes_is_opened_anew_with_another_session(
    pushing: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = pushing
    for times in (1, 2, 3):
        assert await web.queues_info() == READ
        assert pbx.opened == times
        [socket] = pbx.sockets
        await socket.close(code=1001)


@pytest.mark.parametrize("word", ["STOP", "NOT AUTH"])
async def test_a_session_that_the_pbx_ends_in_words_is_opened_anew(
    pushing: tuple[OddPbx, MyPhoneClient], word: str
) -> None:
    pbx, web = pushing
    await web.queues_info()
    pbx.pushes = [word.encode(), told(READ)]
    await pbx.push(word)
    assert await web.queues_info() == READ
    assert pbx.opened == 2


async def test_a_socket_that_closes_while_it_is_waited_for_is_not_waited_for_any_longer() -> None:
    async with odd_pbx() as (pbx, web):
        pbx.pushes = [told(READ)]
        await web.queues_info()
        pbx.pushes = []
        reading = asyncio.create_task(web.queues_info())
        async with asyncio.timeout(60):
            await pbx.read_twice.wait()
        pbx.pushes = [told({"803": {}})]
        [socket] = pbx.sockets
        await socket.close()
        async with asyncio.timeout(60):
            assert await reading == {"803": {}}


async def test_a_pbx_that_tells_no_queues_at_all_says_so_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "PUSHED_WITHIN_S", 0.3)
    async with odd_pbx() as (pbx, web):
        pbx.pushes = []
        pbx.logins.append(Said(200, refusal("No permission.")))
        with pytest.raises(
            PbxGarbled, match=r"does not list the queues\. It refused the login: No "
        ):
            await web.queues_info()
        assert pbx.kinds() == ["session", "login", "read"]


async def test_a_socket_that_cannot_be_opened_is_the_reason_if_the_answer_has_no_queues(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = odd
    pbx.commands.append(Said(200, OWN))
    with pytest.raises(PbxGarbled, match="socket is refused with status 404"):
        await web.queues_info()


async def test_key_and_password_are_in_no_log_and_no_error(
    pushing: tuple[OddPbx, MyPhoneClient], caplog: pytest.LogCaptureFixture
) -> None:
    pbx, web = pushing
    with caplog.at_level("INFO"):
        await web.queues_info()
        pbx.sessions.append(said({"sessionKey": "geheim", "pass": "x\r\ny z"}))
        await web.close()
        await web.queues_info()
    assert pbx.queries[-1] == {"sessionId": "geheim", "pass": "x\r\ny z"}
    assert "key-1" not in caplog.text
    assert "geheim" not in caplog.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "error 9"),
        ("No permission.", "No permission."),
        ("\x1b[2Jgone", "u001b"),
        ("x" * 5000, "x" * 200 + "."),
    ],
    ids=["none", "words", "control", "long"],
)
async def test_an_acknowledgement_of_failure_is_a_refusal_in_safe_words(
    odd: tuple[OddPbx, MyPhoneClient], text: str, shown: str
) -> None:
    pbx, web = odd
    pbx.commands.append(Said(200, refusal(text)))
    with pytest.raises(CommandRefused) as refused:
        await web.set_queue_status(1, 2, logged_in=True)
    assert refused.value.code == "pbx_refused"
    assert shown in str(refused.value)
    assert str(refused.value).isprintable()


async def test_a_failure_that_quotes_the_words_of_success_is_a_failure(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = odd
    pbx.commands.append(Said(200, refusal("It was not successfully processed")))
    with pytest.raises(CommandRefused, match="not successfully processed"):
        await web.set_queue_status(1, 2, logged_in=True)


async def test_a_queue_with_the_name_of_an_error_is_no_error(
    odd: tuple[OddPbx, MyPhoneClient],
) -> None:
    pbx, web = odd
    agents = tuple(AgentEntry(number, f"{number}", logged_in=True) for number in range(1000, 1200))
    entry = QueueEntry(7, "800", "NOT AUTH", agents=agents)
    pbx.commands.append(Said(200, myphone_messages.queues_info(QueuesUpdate((entry,)))))
    assert len((await web.queues_info())["800"]) == 200
    assert pbx.opened == 1
