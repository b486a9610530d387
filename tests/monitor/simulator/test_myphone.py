"""Test the simulated web client's interface: who may log in, what it takes, what then changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import replace
from random import Random
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from monitor import myphone_messages
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.model import SimulatedCall
from monitor.simulator.calls.switchboard import Switchboard
from monitor.simulator.myphone import WebClientService
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.tokens import Principal
from monitor.simulator.traffic.call_parties import Cast
from tests import asgi
from tests.monitor.simulator.api_client import QUIET, ApiClient, Reply, running
from tests.monitor.simulator.exchange_bench import AGENTS, NOON, Bench, small_directory

SESSION = "/webclient/api/MyPhone/session"
COMMANDS = "/MyPhone/MPWebService.asmx"
PUSH = "/ws/webclient"
ANSWERING = replace(QUIET, switches=Switches(queues_info="answered"))
DONE = "Request has been successfully processed"
OCTETS = {"Content-Type": "application/octet-stream", "Accept": "application/octet-stream"}


@pytest.fixture
async def client() -> AsyncIterator[ApiClient]:
    """The PBX answers with the queues; the section about the socket has the other positions."""
    async with running(settings=ANSWERING) as client:
        yield client


async def opened(client: ApiClient) -> str:
    """The key of a new session that has not logged in."""
    reply = await client.post(SESSION, {"name": "AI", "version": "0.1", "isHuman": False})
    assert reply.status == 200, reply
    assert set(reply.json) == {"sessionKey", "pass"}
    key: str = reply.json["sessionKey"]
    return key


async def logged_in(client: ApiClient) -> str:
    """The key of a new session that has logged in."""
    key = await opened(client)
    assert words(await command(client, key, myphone_messages.login())) == DONE
    return key


async def command(
    client: ApiClient, key: str | None, content: bytes, method: str = "POST"
) -> Reply:
    """What a command is answered; it is sent with a session and without a token."""
    headers = {**OCTETS, **({} if key is None else {"MyPhoneSession": key})}
    url = client.pbx.url + COMMANDS
    async with client.session.request(method, url, data=content, headers=headers) as response:
        return Reply(response.status, await response.read(), response.headers)


def words(reply: Reply) -> str:
    """The text of an answer that has nothing else."""
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/octet-stream")
    message = myphone_messages.decode(reply.json)
    assert message.message_id == myphone_messages.ACKNOWLEDGEMENT
    said = myphone_messages.acknowledged(message)
    assert said is not None
    assert said.success is (said.code == 0) is (said.text == DONE)
    return said.text


def rows(reply: Reply) -> dict[str, list[tuple[int, str, int]]]:
    """The queues that an answer tells, with id, extension and login of each agent."""
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/octet-stream")
    message = myphone_messages.decode(reply.json)
    assert message.message_id == myphone_messages.QUEUES_INFO
    return {
        queue.number: [(agent.id, agent.extension, agent.logged_in) for agent in queue.agents.items]
        for queue in message.queues_info.queues
    }


def numbered(message_id: int) -> bytes:
    """A message that is nothing but a number."""
    message = myphone_messages.decode(b"")
    message.message_id = message_id
    return bytes(message.SerializeToString())


def identity(directory: Directory, number: str) -> int:
    """The id of whoever bears a number."""
    entity = directory.entity(number)
    assert entity is not None
    id_: int = entity["Id"]
    return id_


def logging(directory: Directory, queue: str, agent: str, *, on: bool) -> bytes:
    return myphone_messages.set_queue_status(
        identity(directory, queue), identity(directory, agent), logged_in=on
    )


def logins(directory: Directory) -> dict[str, dict[str, bool]]:
    """What the PBX holds, of every user at every queue."""
    return {
        queue: {
            number: directory.logins.logged_in(queue, number) for number in directory.extensions()
        }
        for queue in directory.queue_numbers()
    }


def allow(client: ApiClient, **rights: bool) -> None:
    principal = client.pbx.directory.entity(client.pbx.client_id)
    assert principal is not None
    client.pbx.directory.update(principal, rights)


# Sessions


async def test_a_session_is_given_for_a_token_and_each_is_another(client: ApiClient) -> None:
    keys = {await opened(client) for _ in range(5)}
    assert len(keys) == 5
    assert all(key.isascii() and key.isalnum() for key in keys)


@pytest.mark.parametrize("token", ["", "nonsense"])
async def test_without_a_live_token_there_is_no_session(client: ApiClient, token: str) -> None:
    client.token = token
    reply = await client.post(SESSION, {})
    assert (reply.status, reply.json) == (401, b"")
    assert "Bearer" in reply.headers["WWW-Authenticate"]


async def test_a_token_that_was_revoked_opens_no_session(client: ApiClient) -> None:
    client.pbx.faults.revoke_tokens()
    assert (await client.post(SESSION, {})).status == 401


async def test_without_the_right_there_is_no_session_whatever_else_is_allowed(
    client: ApiClient,
) -> None:
    allow(client, MyPhoneEnabled=False)
    assert (await client.post(SESSION, {})).status == 403
    assert (await client.get("/xapi/v1/Users")).status == 200
    allow(client, MyPhoneEnabled=True, XAPIEnabled=False, CallControlEnabled=False)
    assert (await client.post(SESSION, {})).status == 200
    assert (await client.get("/xapi/v1/Users")).status == 403


async def test_the_settings_say_whether_the_api_client_has_the_right() -> None:
    async with running(settings=replace(QUIET, web_client=False)) as client:
        assert (await client.post(SESSION, {})).status == 403
    async with running(settings=replace(QUIET, web_client=True)) as client:
        assert (await client.post(SESSION, {})).status == 200


async def test_a_licence_without_the_api_opens_no_session() -> None:
    async with running(settings=replace(QUIET, licence="professional")) as client:
        assert (await client.post(SESSION, {})).status == 403


async def test_only_the_methods_that_there_are_are_taken(client: ApiClient) -> None:
    assert (await client.get(SESSION)).status == 405
    assert (await command(client, await logged_in(client), b"", "GET")).status == 405


@pytest.mark.parametrize(
    "key",
    [None, "", "nonsense", "0" * 32, "0" * 4000],
    ids=["none", "empty", "word", "like", "long"],
)
async def test_a_command_without_a_session_is_told_so_in_words(
    client: ApiClient, key: str | None
) -> None:
    await logged_in(client)
    before = logins(client.pbx.directory)
    agent = client.pbx.directory.agents("800")[0]
    change = logging(client.pbx.directory, "800", agent, on=False)
    for content in (myphone_messages.login(), myphone_messages.get_my_info(), change, b"\xff" * 20):
        reply = await command(client, key, content)
        assert (reply.status, reply.json) == (200, b"NOT AUTH")
    assert logins(client.pbx.directory) == before


async def test_a_session_has_to_log_in_before_anything_else(client: ApiClient) -> None:
    key = await opened(client)
    before = logins(client.pbx.directory)
    agent = client.pbx.directory.agents("800")[0]
    change = logging(client.pbx.directory, "800", agent, on=False)
    for content in (
        myphone_messages.get_my_info(),
        myphone_messages.make_call("101"),
        myphone_messages.drop_call(1),
        numbered(7),
    ):
        assert words(await command(client, key, content)) == "Login is required"
    assert logins(client.pbx.directory) == before
    assert words(await command(client, key, change)) == DONE, "this needs no login"
    assert logins(client.pbx.directory) != before
    assert words(await command(client, key, myphone_messages.login())) == DONE
    assert rows(await command(client, key, myphone_messages.get_my_info()))


async def test_one_sessions_login_is_not_anothers(client: ApiClient) -> None:
    other, one = await opened(client), await logged_in(client)
    assert rows(await command(client, one, myphone_messages.get_my_info()))
    assert (
        words(await command(client, other, myphone_messages.get_my_info())) == "Login is required"
    )


async def test_a_session_outlives_the_token_that_opened_it(client: ApiClient) -> None:
    key = await logged_in(client)
    client.pbx.faults.revoke_tokens()
    assert rows(await command(client, key, myphone_messages.get_my_info()))


async def test_a_restart_ends_sessions_and_keeps_logins(client: ApiClient) -> None:
    directory = client.pbx.directory
    agent = directory.agents("800")[0]
    key = await logged_in(client)
    await command(client, key, logging(directory, "800", agent, on=False))
    before = logins(directory)
    await client.pbx.restart()
    assert (await command(client, key, myphone_messages.get_my_info())).json == b"NOT AUTH"
    await client.mint()
    told = rows(await command(client, await logged_in(client), myphone_messages.get_my_info()))
    assert told["800"][0] == (identity(directory, agent), agent, 0)
    assert logins(directory) == before


# Messages that are none


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 20,
        myphone_messages.get_my_info()[:-1],
        b"GET / HTTP/1.1",
        b'{"message_id": 102}',
        b"<html></html>",
    ],
    ids=["bytes", "cut", "text", "json", "html"],
)
async def test_what_is_no_message_is_a_bad_request(client: ApiClient, content: bytes) -> None:
    key = await logged_in(client)
    before = logins(client.pbx.directory)
    reply = await command(client, key, content)
    assert (reply.status, reply.json) == (400, b"")
    assert logins(client.pbx.directory) == before
    assert rows(await command(client, key, myphone_messages.get_my_info())), "the session lives on"


@pytest.mark.parametrize(
    "message_id", [None, 0, -1, 1, 99, 101, 103, 131, 133, 211, 300, 2**31 - 1], ids=str
)
async def test_a_command_that_is_not_known_is_told_so_and_changes_nothing(
    client: ApiClient, message_id: int | None
) -> None:
    key = await logged_in(client)
    before = logins(client.pbx.directory)
    reply = await command(client, key, b"" if message_id is None else numbered(message_id))
    assert words(reply) == "The request is not known"
    assert logins(client.pbx.directory) == before


async def test_it_is_the_number_that_says_what_a_message_is(client: ApiClient) -> None:
    directory = client.pbx.directory
    key = await logged_in(client)
    before = logins(directory)
    message = myphone_messages.decode(
        logging(directory, "800", directory.agents("800")[0], on=False)
    )
    message.message_id = myphone_messages.GET_MY_INFO
    assert rows(await command(client, key, bytes(message.SerializeToString())))
    message.message_id = myphone_messages.LOGIN
    assert words(await command(client, key, bytes(message.SerializeToString()))) == DONE
    assert logins(directory) == before


# Changes


async def test_a_logout_is_of_one_agent_at_one_queue_and_a_login_takes_it_back(
    client: ApiClient,
) -> None:
    directory = client.pbx.directory
    key = await logged_in(client)
    before = logins(directory)
    agent = directory.agents("800")[0]
    for on in (False, False, True, True):
        reply = await command(client, key, logging(directory, "800", agent, on=on))
        assert words(reply) == DONE
        assert logins(directory) == {**before, "800": {**before["800"], agent: on}}
    assert logins(directory) == before


async def test_whatever_is_not_given_is_nought(client: ApiClient) -> None:
    directory = client.pbx.directory
    key = await logged_in(client)
    before = logins(directory)
    assert (
        words(await command(client, key, numbered(myphone_messages.SET_QUEUE_STATUS)))
        == "The agent was not found"
    )
    assert logins(directory) == before
    agent = directory.agents("800")[0]
    message = myphone_messages.decode(logging(directory, "800", agent, on=True))
    message.set_queue_status.ClearField("logged_in")
    assert "successfully" in words(await command(client, key, bytes(message.SerializeToString())))
    assert not directory.logins.logged_in("800", agent)


async def test_who_and_where_must_be_an_agent_and_his_queue(client: ApiClient) -> None:
    directory = client.pbx.directory
    key = await logged_in(client)
    queue, agent = identity(directory, "800"), identity(directory, directory.agents("800")[0])
    stranger = next(
        number for number in directory.extensions() if number not in directory.agents("800")
    )
    group = identity(directory, directory.ring_group_numbers()[0])
    before = logins(directory)
    for queue_id, agent_id in (
        (0, agent),
        (queue, 0),
        (-queue, agent),
        (agent, queue),
        (queue, queue),
        (group, agent),
        (queue, identity(directory, stranger)),
        (2**31 - 1, agent),
    ):
        for on in (False, True):
            reply = await command(
                client, key, myphone_messages.set_queue_status(queue_id, agent_id, logged_in=on)
            )
            assert words(reply) == "The agent was not found"
    assert logins(directory) == before


async def test_nothing_that_the_documented_interface_tells_changes_with_it(
    client: ApiClient,
) -> None:
    directory = client.pbx.directory
    paths = ("/xapi/v1/Users", "/xapi/v1/Queues", "/xapi/v1/Queues?$expand=Agents", "/callcontrol")
    key = await logged_in(client)
    before = [(await client.get(path)).json for path in paths]
    configuration = deepcopy((directory.users, directory.queues))
    heard: list[str] = []
    directory.on_change(heard.append)
    for agent in directory.agents("800"):
        await command(client, key, logging(directory, "800", agent, on=False))
    assert not any(directory.logins.logged_in("800", agent) for agent in directory.agents("800"))
    assert [(await client.get(path)).json for path in paths] == before
    assert (directory.users, directory.queues) == configuration
    assert heard == [], "the PBX pushes nothing of it"


async def test_call_controls_socket_hears_nothing_of_it(client: ApiClient) -> None:
    directory = client.pbx.directory
    key = await logged_in(client)
    number = next(
        n
        for n in directory.extensions()
        if directory.devices(n) and n not in directory.agents("800")
    )
    async with client.socket() as socket:
        for agent in directory.agents("800"):
            await command(client, key, logging(directory, "800", agent, on=False))
        await client.makecall(number, directory.agents("800")[0])
        first = await socket.frame()
    assert (first.sequence, first.what[1].split("/")[2]) == (0, number), (
        "the first that is heard is of the call"
    )


# What is told, and in which way


class Pushed:
    """A session with its socket."""

    def __init__(self, client: ApiClient, key: str, socket: aiohttp.ClientWebSocketResponse):
        self.client, self.key, self.socket = client, key, socket

    async def ask(self, content: bytes) -> Any:
        """What a command is answered, decoded."""
        return myphone_messages.decode((await command(self.client, self.key, content)).json)

    async def next(self) -> Any:
        """What is pushed next, decoded; text as it is."""
        async with asyncio.timeout(60):
            message = await self.socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            return message.data
        assert message.type is aiohttp.WSMsgType.BINARY, message
        return myphone_messages.decode(message.data)

    async def figures(self) -> dict[str, float]:
        """The figures of the only queue in the next push, without those of waits."""
        update = myphone_messages.queues_update(await self.next())
        assert update is not None
        [entry] = update.queues
        assert entry.agents is None, "what stayed as it was is left out"
        assert entry.figures is not None
        return {name: told for name, told in entry.figures.items() if "wait" not in name[-4:]}


@asynccontextmanager
async def pushed(client: ApiClient, **opening: object) -> AsyncIterator[Pushed]:
    """A session that has a socket and has logged in."""
    opened = (await client.post(SESSION, {"isHuman": False, **opening})).json
    url = f"{client.pbx.url}{PUSH}?sessionId={opened['sessionKey']}&pass={opened['pass']}"
    async with client.session.ws_connect(url) as socket:
        one = Pushed(client, opened["sessionKey"], socket)
        assert await one.next() == "START"
        answer = await one.ask(myphone_messages.login())
        assert answer.acknowledgement.success
        yield one


@asynccontextmanager
async def telling(**positions: Any) -> AsyncIterator[ApiClient]:
    async with running(settings=replace(QUIET, switches=Switches(**positions))) as client:
        yield client


def kinds(message: Any) -> int:
    return int(message.message_id)


async def test_queues_are_pushed_after_a_login_and_when_they_are_asked_for() -> None:
    async with telling() as client, pushed(client) as one:
        first = await one.next()
        assert {queue.number for queue in first.queues_info.queues} == {"800", "801"}
        answer = await one.ask(myphone_messages.get_my_info())
        assert answer.my_info.number == client.pbx.client_id
        assert await one.next() == first


async def test_queues_in_the_answer_are_not_pushed() -> None:
    async with telling(queues_info="answered") as client, pushed(client) as one:
        told = await one.ask(myphone_messages.get_my_info())
        assert {queue.number for queue in told.queues_info.queues} == {"800", "801"}
        assert (await one.next()).HasField("my_info"), "it is pushed, as there is one answer only"
        directory = client.pbx.directory
        await one.ask(logging(directory, "800", directory.agents("800")[0], on=False))
        client.pbx.web_client.push(myphone_messages.login())
        assert kinds(await one.next()) == myphone_messages.LOGIN, "nothing came before it"


async def test_queues_told_at_a_login_alone_are_not_told_when_they_are_asked_for() -> None:
    async with telling(queues_info="login") as client, pushed(client) as one:
        assert (await one.next()).HasField("queues_info")
        assert (await one.ask(myphone_messages.get_my_info())).HasField("my_info")
        client.pbx.web_client.push(myphone_messages.login())
        assert kinds(await one.next()) == myphone_messages.LOGIN, "nothing came before it"


async def test_my_info_comes_in_the_answer_or_on_the_socket() -> None:
    async with telling(my_info="pushed") as client, pushed(client, impersonate="101") as one:
        await one.next()
        answer = await one.ask(myphone_messages.get_my_info())
        assert answer.acknowledgement.success
        pushes = [await one.next(), await one.next()]
        [own] = [push.my_info for push in pushes if push.HasField("my_info")]
        assert (own.number, own.queue_status) == ("101", True)


async def test_ones_own_extension_is_pushed_when_it_changes() -> None:
    async with telling() as client, pushed(client, impersonate="101") as one:
        await one.next()
        directory = client.pbx.directory
        for number, status in (("102", "LoggedOut"), ("101", "LoggedOut")):
            user = directory.entity(number)
            assert user is not None
            directory.update(user, {"QueueStatus": status})
        own = (await one.next()).my_info
        assert (own.number, own.queue_status) == ("101", False)


async def test_a_session_without_a_login_is_told_nothing() -> None:
    async with telling() as client:
        opened = (await client.post(SESSION, {})).json
        url = f"{client.pbx.url}{PUSH}?sessionId={opened['sessionKey']}&pass={opened['pass']}"
        async with client.session.ws_connect(url) as socket:
            one = Pushed(client, opened["sessionKey"], socket)
            assert await one.next() == "START"
            directory = client.pbx.directory
            await one.ask(logging(directory, "800", directory.agents("800")[0], on=False))
            await one.ask(myphone_messages.login())
            assert len((await one.next()).queues_info.queues) == 2, "all, not the change before"


async def test_a_change_may_be_acknowledged_and_not_be_made() -> None:
    async with telling(queue_status="ignored", queues_info="answered") as client:
        directory = client.pbx.directory
        before = logins(directory)
        key = await logged_in(client)
        change = logging(directory, "800", directory.agents("800")[0], on=False)
        assert words(await command(client, key, change)) == DONE
        assert logins(directory) == before


async def test_sockets_are_closed_or_cut_by_the_faults() -> None:
    async with telling() as client:
        for code, seen in ((1012, 1012), (None, 1006)):
            async with pushed(client) as one:
                await one.next()
                client.pbx.faults.drop_sockets(code)
                async with asyncio.timeout(60):
                    while not one.socket.closed:
                        await one.socket.receive()
                assert one.socket.close_code == seen


async def test_a_queues_callers_are_counted_from_what_happens_to_them() -> None:
    async with telling() as client, pushed(client) as one:
        await one.next()
        switchboard = client.pbx.switchboard
        agent = client.pbx.directory.available_agents("800")[0]
        none = {"waiting": 0, "ringing": 0, "offered": 0, "answered": 0, "abandoned": 0}

        def arrived() -> SimulatedCall:
            call = switchboard.arrive("10002", "+491701234567")
            switchboard.route(call, "800")
            return call

        first = arrived()
        assert await one.figures() == {**none, "waiting": 1, "offered": 1}
        switchboard.poll(first, [agent])
        assert await one.figures() == {**none, "ringing": 1, "offered": 1}
        switchboard.no_answer(first)
        assert await one.figures() == {**none, "waiting": 1, "offered": 1}
        switchboard.poll(first, [agent])
        assert await one.figures() == {**none, "ringing": 1, "offered": 1}
        switchboard.answer(first, agent)
        assert await one.figures() == {**none, "offered": 1, "answered": 1}
        second = arrived()
        assert (await one.figures())["waiting"] == 1
        switchboard.end(second)
        last = {**none, "offered": 2, "answered": 1, "abandoned": 1}
        assert await one.figures() == last
        third = arrived()
        assert (await one.figures())["offered"] == 3
        switchboard.route(third, client.pbx.directory.extensions()[0])
        assert await one.figures() == {**last, "offered": 3}, "led elsewhere: neither of both"
        client.pbx.web_client.restart()
        assert client.pbx.web_client.figures.of("800")["offered"] == 0


async def test_a_call_is_made_and_dropped_by_ones_own_session() -> None:
    async with telling() as client, pushed(client, impersonate="101") as one:
        await one.next()
        assert (await one.ask(myphone_messages.make_call("102"))).acknowledgement.success
        [call] = client.pbx.switchboard.truth()
        assert (call.owner, call.routing_to) == ("101", ("102",))
        told = (await one.ask(myphone_messages.get_my_info())).my_info
        [own] = told.connections.items
        assert (own.state, own.party, own.incoming) == (2, "102", False)
        for wrong in (own.id + 1000, -1):
            said = (await one.ask(myphone_messages.drop_call(wrong))).acknowledgement
            assert not said.success
        assert (await one.ask(myphone_messages.drop_call(own.id))).acknowledgement.success
        assert client.pbx.switchboard.truth() == []


async def test_a_call_that_cannot_be_made_is_acknowledged_as_failed() -> None:
    async with telling() as client, pushed(client, impersonate="101") as one:
        for destination, device in (("4711", ""), ("101", ""), ("102", "sip:nobody@127.0.0.1")):
            said = (await one.ask(myphone_messages.make_call(destination, device))).acknowledgement
            assert (said.success, said.code) == (False, 43)
            assert said.text
        assert client.pbx.switchboard.truth() == []


# What it means for the queue's calls


async def test_who_is_logged_out_of_a_queue_takes_none_of_its_calls(client: ApiClient) -> None:
    directory = client.pbx.directory
    key = await logged_in(client)
    before = {queue: directory.available_agents(queue) for queue in directory.queue_numbers()}
    agent = before["800"][0]
    await command(client, key, logging(directory, "800", agent, on=False))
    assert directory.available_agents("800") == before["800"][1:]
    assert directory.available_agents("801") == before["801"]
    assert Cast(client.pbx.switchboard, directory).agents("800") == before["800"][1:]
    await command(client, key, logging(directory, "800", agent, on=True))
    assert directory.available_agents("800") == before["800"]


def test_both_logins_are_needed_for_a_queues_calls() -> None:
    directory = small_directory()
    agent = AGENTS[0]
    user = directory.entity(agent)
    assert user is not None
    for globally, here in ((True, True), (True, False), (False, True), (False, False)):
        directory.update(user, {"QueueStatus": "LoggedIn" if globally else "LoggedOut"})
        directory.logins.set("800", agent, logged_in=here)
        assert (agent in directory.available_agents("800")) is (globally and here)
        assert directory.available_agents("800")[-2:] == list(AGENTS[1:])


def test_who_is_logged_out_of_a_queue_is_still_called_himself() -> None:
    bench = Bench()
    bench.directory.logins.set("800", AGENTS[0], logged_in=False)
    call = bench.talk(AGENTS[0])
    assert bench.legs(call)[AGENTS[0]][0] == "Connected"


# Readings


async def test_a_reading_tells_every_queue_with_its_agents_in_their_order(
    client: ApiClient,
) -> None:
    directory = client.pbx.directory
    key = await logged_in(client)
    agents = directory.agents("800")
    await command(client, key, logging(directory, "800", agents[1], on=False))
    expected = {
        queue: [(identity(directory, agent), agent, 1) for agent in directory.agents(queue)]
        for queue in directory.queue_numbers()
    }
    expected["800"][1] = (identity(directory, agents[1]), agents[1], 0)
    told = rows(await command(client, key, myphone_messages.get_my_info()))
    assert told == expected
    assert set(told) == {"800", "801"}
    listed = {
        row["Number"]: row["Id"] for row in (await client.get("/xapi/v1/Users")).json["value"]
    }
    assert {(extension, id_) for id_, extension, _ in told["800"]} <= set(listed.items())


async def test_a_reading_follows_the_configuration(client: ApiClient) -> None:
    directory = client.pbx.directory
    key = await logged_in(client)
    agents = directory.agents("800")
    stranger = next(number for number in directory.extensions() if number not in agents)

    async def extensions() -> list[str]:
        told = rows(await command(client, key, myphone_messages.get_my_info()))
        return [extension for _, extension, on in told["800"] if on]

    async def staff(*numbers: str) -> None:
        path = f"/xapi/v1/Queues({identity(directory, '800')})"
        body = msgspec.json.encode({"Agents": [{"Number": number} for number in numbers]})
        headers = {**client.headers, "Content-Type": "application/json"}
        async with client.session.patch(
            client.pbx.url + path, data=body, headers=headers
        ) as response:
            assert response.status == 204

    assert await extensions() == agents
    await staff(*agents, stranger)
    assert await extensions() == [*agents, stranger], "who is new is logged in"
    await staff(stranger)
    assert await extensions() == [stranger]
    await staff()
    assert rows(await command(client, key, myphone_messages.get_my_info()))["800"] == []
    await staff(stranger)
    directory.remove(stranger)
    assert rows(await command(client, key, myphone_messages.get_my_info()))["800"] == []
    directory.remove("800")
    assert set(rows(await command(client, key, myphone_messages.get_my_info()))) == {"801"}


async def test_sessions_see_each_others_changes_at_their_next_reading(client: ApiClient) -> None:
    directory = client.pbx.directory
    one, other = await logged_in(client), await logged_in(client)
    agent = directory.agents("801")[0]
    await command(client, one, logging(directory, "801", agent, on=False))
    assert rows(await command(client, other, myphone_messages.get_my_info()))["801"][0] == (
        identity(directory, agent),
        agent,
        0,
    )
    await command(client, other, logging(directory, "801", agent, on=True))
    assert rows(await command(client, one, myphone_messages.get_my_info()))["801"][0] == (
        identity(directory, agent),
        agent,
        1,
    )


# Whatever comes, over ASGI


class Asgi:
    """The service alone, asked in place of a server."""

    def __init__(self, client_id: str = "") -> None:
        self.directory = small_directory()
        switches = Switches(queues_info="answered")
        switchboard = Switchboard(self.directory, switches, lambda: NOON)
        self.service = WebClientService(self.directory, switchboard, switches, lambda _: None)
        self._app = Starlette(routes=self.service.routes())
        principal = next(iter(self.directory.service_principals.values()))
        self.directory.update(principal, {"MyPhoneEnabled": True})
        self._principal = Principal(client_id or principal["Number"], frozenset(), "", 0.0)

    async def open(self) -> str:
        key: str = msgspec.json.decode((await self.ask(SESSION, b"{}"))[1])["sessionKey"]
        return key

    async def logged_in(self) -> str:
        key = await self.open()
        assert (await self.ask(COMMANDS, myphone_messages.login(), key))[0] == 200
        return key

    async def ask(self, path: str, content: bytes, key: str = "") -> tuple[int, bytes]:
        scope: dict[str, Any] = {
            "method": "POST",
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [
                (b"myphonesession", key.encode()),
                (b"content-length", str(len(content)).encode()),
            ],
            "server": ("pbx.example.com", 5001),
            "state": {"principal": self._principal},
        }
        status, _, answer = await asgi.ask(self._app, scope, content)
        return status, answer


async def test_the_oldest_of_too_many_sessions_is_ended() -> None:
    service = Asgi()
    keys = [await service.logged_in() for _ in range(1001)]

    async def lives(key: str) -> bool:
        return (await service.ask(COMMANDS, myphone_messages.get_my_info(), key))[1] != b"NOT AUTH"

    assert [await lives(key) for key in (keys[0], keys[1], keys[-1])] == [False, True, True]


async def test_a_command_beyond_all_measure_is_not_taken() -> None:
    service = Asgi()
    key = await service.logged_in()
    assert [
        (await service.ask(COMMANDS, b"x" * size, key))[0] for size in (64 * 1024, 64 * 1024 + 1)
    ] == [200, 413]
    assert (await service.ask(COMMANDS, myphone_messages.get_my_info(), key))[0] == 200


async def test_a_client_that_is_none_any_more_opens_no_session() -> None:
    assert await Asgi("nobody").ask(SESSION, b"{}") == (403, b"")


_parts = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            myphone_messages.get_my_info(),
            myphone_messages.login(),
            myphone_messages.set_queue_status(1, 2, logged_in=False),
        ]
    ),
)


@settings(deadline=None)
@given(st.lists(st.lists(_parts, max_size=3).map(b"".join), min_size=1, max_size=10))
def test_bytes_of_any_kind_are_answered_and_harm_nothing(contents: list[bytes]) -> None:
    async def play() -> None:
        service = Asgi()
        key = await service.logged_in()
        before = logins(service.directory)
        for content in contents:
            status, body = await service.ask(COMMANDS, content, key)
            assert status in (200, 400)
            assert (
                body == b""
                if status == 400
                else myphone_messages.decode(body).message_id in (201, 207, 211)
            )
        assert logins(service.directory) == before
        assert (await service.ask(COMMANDS, myphone_messages.get_my_info(), key))[0] == 200

    asyncio.run(play())


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(AGENTS), st.booleans()), max_size=12),
    st.integers(0, 2**32),
)
def test_whatever_was_changed_last_is_told(changes: list[tuple[str, bool]], seed: int) -> None:
    async def play() -> None:
        service = Asgi()
        chance = Random(seed)
        keys = [await service.logged_in() for _ in range(3)]
        for agent, on in changes:
            await service.ask(
                COMMANDS, logging(service.directory, "800", agent, on=on), chance.choice(keys)
            )
        _, body = await service.ask(COMMANDS, myphone_messages.get_my_info(), chance.choice(keys))
        (told,) = (
            queue
            for queue in myphone_messages.decode(body).queues_info.queues
            if queue.number == "800"
        )
        last = dict.fromkeys(AGENTS, True) | dict(changes)
        assert {agent.extension: bool(agent.logged_in) for agent in told.agents.items} == last

    asyncio.run(play())
