"""Test the simulated PBX as a whole: life, address, speed, and a client of the usual kind."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import replace
from urllib.parse import quote

import aiohttp
import pytest
import websockets

from monitor.simulator.behaviour_options import Switches, positions
from monitor.simulator.server import SimulatedPbx, simulate
from tests.bus import until
from tests.monitor.simulator.api_client import PATIENCE, QUIET, phones, running

BUSY = replace(QUIET, traffic=True, rate=2400, speed=20)


async def test_calls_go_on_by_themselves() -> None:
    async with running(settings=BUSY) as client, client.socket() as socket:
        frame = await socket.frame()
        assert frame.event.entity.startswith("/callcontrol/")
        async with asyncio.timeout(PATIENCE):
            while not (await client.get("/xapi/v1/ActiveCalls")).json["value"]:
                pass


async def test_it_can_begin_with_calls_that_are_under_way() -> None:
    began = time.time()
    settings = replace(QUIET, traffic=True, rate=30, talk=60.0, earlier=300.0, extensions=40)
    async with SimulatedPbx(settings) as pbx:
        pbx.traffic.pause()
        going_on, ended = pbx.switchboard.truth(), pbx.switchboard.ended()
        assert len(going_on) > 5
        assert len(ended) > 50
        starts = [*(call.started_at for call in ended), *(call.started_at for call in going_on)]
        assert began - 300 <= min(starts) < began - 250
        assert began - 60 < max(starts) <= time.time() + 1
        call = pbx.switchboard.arrive("10000", "+4930123")
        assert call.started_at >= began, "from then on its clock is the real one"


async def test_kinds_of_calls_are_chosen_by_name() -> None:
    settings = replace(QUIET, traffic=True, rate=60, earlier=60.0, kinds=frozenset({"intercom"}))
    async with SimulatedPbx(settings) as pbx:
        assert set(pbx.traffic.stats.kinds) == {"intercom"}


async def test_what_call_control_and_the_xapi_say_are_the_same_calls() -> None:
    async with running(settings=replace(QUIET, switches=Switches(monitored="all"))) as client:
        caller, callee = phones(client.pbx)[:2]
        made = await client.makecall(caller, callee)
        [row] = (await client.get("/xapi/v1/ActiveCalls")).json["value"]
        assert row["Id"] == made.json["result"]["callid"]
        dropped = await client.post(f"/xapi/v1/ActiveCalls({row['Id']})/Pbx.DropCall")
        assert dropped.status in (200, 204)
        assert (await client.get(f"/callcontrol/{caller}/participants")).json == []


async def test_without_traffic_people_play_the_calls_of_programs_and_no_others() -> None:
    settings = replace(QUIET, people=True, speed=50)
    async with running(settings=settings) as client:
        board = client.pbx.switchboard
        caller = phones(client.pbx)[0]
        over = asyncio.Event()
        board.on_idle(lambda number: over.set() if number == caller else None)
        for place in range(6):
            over.clear()
            await client.makecall(caller, f"+4930123456{place}")
            async with asyncio.timeout(PATIENCE):
                await over.wait()
        ended = board.ended()
        assert len(ended) == 6
        assert {"answered"} <= {call.outcome for call in ended}
        assert client.pbx.traffic.stats.started == 0


async def test_a_call_made_through_the_xapi_is_seen_in_call_control() -> None:
    async with running() as client:
        caller, callee = phones(client.pbx)[:2]
        made = await client.post(
            "/xapi/v1/Users/Pbx.MakeCall", {"dn": caller, "destination": callee}
        )
        assert made.status == 200
        assert (await client.get(f"/callcontrol/{caller}/participants")).json


async def test_a_restart_keeps_the_address_and_forgets_tokens_sockets_and_calls() -> None:
    async with running() as client:
        url = client.pbx.url
        caller, callee = phones(client.pbx)[:2]
        await client.makecall(caller, callee)
        async with client.socket() as socket:
            await client.pbx.restart()
            assert await socket.ended() in (None, 1006)
        assert client.pbx.url == url
        assert (await client.get("/callcontrol")).status == 401
        await client.mint()
        state = (await client.get("/callcontrol")).json
        assert not [entry for entry in state if entry["participants"]]
        assert (await client.get("/xapi/v1/ActiveCalls")).json["value"] == []


async def test_after_a_restart_other_calls_come() -> None:
    async with running(settings=BUSY) as client:
        async with client.socket() as socket:
            await socket.frame()
        await client.pbx.restart()
        await client.mint()
        async with client.socket() as socket:
            await socket.frame()


async def test_calls_are_limited_in_total_whatever_restarts_come() -> None:
    async with running(settings=replace(BUSY, calls=3, speed=500)) as client:
        first = client.pbx.traffic
        await until(lambda: first.stats.started > 0)
        await client.pbx.restart()
        async with asyncio.timeout(PATIENCE):
            await client.pbx.traffic.finished()
        assert client.pbx.traffic is not first
        assert first.stats.started + client.pbx.traffic.stats.started == 3


async def test_run_alone_it_prints_what_a_client_needs() -> None:
    said: list[str] = []
    printed = asyncio.Event()

    def say(line: str) -> None:
        said.append(line)
        if "web client" in line:
            printed.set()

    settings = replace(QUIET, client_secret="the secret")
    task = asyncio.create_task(simulate(settings, say))
    async with asyncio.timeout(PATIENCE):
        await printed.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    text = "\n".join(said)
    assert "http://127.0.0.1:" in text
    assert "callmon" in text
    assert "the secret" in text
    assert re.search(r"extension 100, password [0-9a-f]{16}", text)


def test_the_version_fits_what_the_token_says_of_its_life() -> None:
    for unit, minor in (("seconds", 10), ("minutes", 8)):
        pbx = SimulatedPbx(replace(QUIET, switches=positions([f"expires_in={unit}"])))
        assert pbx.directory.version.split(".")[2] == str(minor)


async def test_it_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with running(settings=BUSY) as client, client.socket() as socket:
        await socket.frame()
        client.pbx.faults.hang("/xapi")
        asked = asyncio.create_task(client.get("/xapi/v1/Users"))
        async with asyncio.timeout(PATIENCE):
            while not client.pbx.faults.happened["hung"]:
                await client.get("/callcontrol")
    await asyncio.gather(asked, return_exceptions=True)
    assert asyncio.all_tasks() == before


class SampleApp:
    """Work as the vendor's sample programs do, with only a token, a socket and plain reads."""

    def __init__(self, pbx: SimulatedPbx, session: aiohttp.ClientSession) -> None:
        self.pbx, self.session = pbx, session
        self.headers: dict[str, str] = {}
        self.devices: dict[str, list[str]] = {}
        self.calls: dict[str, dict[int, dict[str, object]]] = {}
        self.changed = asyncio.Event()

    async def connect(self) -> None:
        form = {
            "client_id": self.pbx.client_id,
            "client_secret": self.pbx.client_secret,
            "grant_type": "client_credentials",
        }
        async with self.session.post("/connect/token", data=form) as response:
            token = await response.json()
        self.headers = {"Authorization": f"{token['token_type']} {token['access_token']}"}

    async def read(self, path: str) -> object | None:
        async with self.session.get(path, headers=self.headers) as response:
            return None if response.status == 404 else await response.json()

    async def load(self) -> None:
        async with self.session.get("/callcontrol", headers=self.headers) as response:
            for entry in await response.json():
                self.devices[entry["dn"]] = [
                    device["device_id"] for device in entry.get("devices", ())
                ]
                self.calls[entry["dn"]] = {one["id"]: one for one in entry["participants"]}

    async def follow(self, socket: websockets.ClientConnection) -> None:
        async for message in socket:
            event = json.loads(message)["event"]
            dn, kind, number = event["entity"].split("/")[-3:]
            if kind != "participants":
                continue
            seen = await self.read(event["entity"]) if event["event_type"] == 0 else None
            if isinstance(seen, dict):
                self.calls[dn][int(number)] = seen
            else:
                self.calls[dn].pop(int(number), None)
            self.changed.set()

    async def keep_alive(self, socket: websockets.ClientConnection, pause: float) -> None:
        while True:
            await (await socket.ping())
            self.changed.set()
            await asyncio.sleep(pause)

    async def act(self, dn: str, rest: str, **request: object) -> dict[str, object]:
        async with self.session.post(
            f"/callcontrol/{dn}/{rest}", headers=self.headers, json=request
        ) as response:
            result: dict[str, object] = await response.json()
        assert result["finalstatus"] == "Success", result
        return result

    async def wait(self, dn: str, status: str | None) -> int:
        """Until the DN's call has that status, or there is none; the participant's id."""
        async with asyncio.timeout(PATIENCE):
            while [one["status"] for one in self.calls[dn].values()] != (
                [status] if status else []
            ):
                self.changed.clear()
                await self.changed.wait()
        return next(iter(self.calls[dn]), 0)


async def test_a_client_of_the_usual_kind_follows_and_controls_calls() -> None:
    settings = replace(QUIET, extensions=30)
    async with SimulatedPbx(settings) as pbx, aiohttp.ClientSession(pbx.url) as session:
        app = SampleApp(pbx, session)
        await app.connect()
        address = pbx.url.replace("http", "ws", 1) + "/callcontrol/ws"
        async with (
            websockets.connect(address, additional_headers=app.headers) as socket,
            asyncio.TaskGroup() as tasks,
        ):
            await app.load()
            running_tasks = [
                tasks.create_task(app.follow(socket)),
                tasks.create_task(app.keep_alive(socket, 5)),
            ]
            await scene(app)
            for task in running_tasks:
                task.cancel()


async def scene(app: SampleApp) -> None:
    """Play a call that is answered at a desk phone, transferred, answered again and hung up."""
    desk = [one for one in phones(app.pbx) if answers_by_itself(app.pbx, one)]
    caller = next(one for one in phones(app.pbx) if one not in desk)
    callee, third = desk[:2]
    made = await app.act(
        caller, f"devices/{quote(app.devices[caller][0], safe='')}/makecall", destination=callee
    )
    assert isinstance(made["result"], dict)
    assert made["result"]["party_dn"] == callee
    ringing = await app.wait(callee, "Ringing")
    await app.wait(caller, "Dialing")
    await app.act(callee, f"participants/{ringing}/answer")
    talking = await app.wait(callee, "Connected")
    await app.wait(caller, "Connected")
    await app.act(callee, f"participants/{talking}/transferto", destination=third)
    await app.wait(callee, None)
    answering = await app.wait(third, "Ringing")
    await app.act(third, f"participants/{answering}/answer")
    last = await app.wait(third, "Connected")
    assert {one["callid"] for one in app.calls[third].values()} == {made["result"]["callid"]}
    await app.act(third, f"participants/{last}/drop")
    for number in (caller, callee, third):
        await app.wait(number, None)


def answers_by_itself(pbx: SimulatedPbx, number: str) -> bool:
    """Whether a program can make that telephone answer."""
    return pbx.directory.devices(number)[0].user_agent.startswith(("Yealink", "Fanvil"))
