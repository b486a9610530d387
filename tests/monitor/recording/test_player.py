"""A recording that is played as a PBX, over real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from monitor.recording.file_format import Header, RecordedLine, Recording
from monitor.recording.player import Player
from monitor.shared.timestamps import moment

CALLS = "/xapi/v1/ActiveCalls"
BEGAN = 1_772_594_100.0
ROW = {"Id": 7, "EstablishedAt": "2026-03-04T03:14:50Z", "Caller": "100 Anna"}


def line(t: float, kind: str, **said: Any) -> RecordedLine:
    return RecordedLine(t, kind, said)


def answer(t: float, path: str, body: Any, method: str = "GET", status: int = 200) -> RecordedLine:
    return line(t, "answer", asked=t, method=method, path=path, status=status, body=body)


RECORDED = Recording(
    Header(BEGAN, settings={"poll_idle": 2.0}),
    (
        answer(0.0, "/connect/token", {"token_type": "Bearer"}, "POST"),
        answer(0.0, CALLS, {"value": [ROW], "ServerNow": "no moment"}),
        line(0.0, "answer", asked=0.0, method="GET", path="/odd", status=502, bytes=5),
        line(0.0, "opened"),
        line(0.01, "event", body={"sequence": 1}),
        line(0.02, "event", bytes=3),
        line(0.03, "closed", code=1000, reason="that was all"),
        line(0.04, "end"),
    ),
)


@pytest.fixture
def speed() -> float:
    return 0.1


@pytest.fixture
async def player(speed: float) -> AsyncIterator[Player]:
    async with Player(RECORDED, speed=speed) as player:
        yield player


@pytest.fixture
async def http(player: Player) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=player.url, timeout=60) as http:
        yield http


async def test_a_token_is_made_up_and_the_recorded_one_is_nowhere(http: httpx.AsyncClient) -> None:
    tokens = [(await http.post("/connect/token")).json()["access_token"] for _ in range(2)]
    assert len(set(tokens)) == 2


async def test_what_was_recorded_happens_now(http: httpx.AsyncClient) -> None:
    """Ten seconds before the beginning are a hundred before the first request at this speed."""
    before = time.time()
    (row,) = (await http.get(CALLS)).json()["value"]
    after = time.time()
    assert row["Caller"] == "100 Anna"
    assert before - 100 - 1e-5 <= moment(row["EstablishedAt"]).timestamp() <= after - 100 + 1e-5
    (again,) = (await http.get(CALLS)).json()["value"]
    assert again == row


async def test_what_was_not_kept_has_its_length_and_what_was_never_asked_is_not_there(
    http: httpx.AsyncClient,
) -> None:
    odd = await http.get("/odd")
    assert (odd.status_code, len(odd.content)) == (502, 5)
    assert (await http.get("/xapi/v1/Users")).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_nothing_can_be_changed(http: httpx.AsyncClient, method: str) -> None:
    assert (await http.request(method, "/xapi/v1/Users(7)", json={})).status_code == 403


@pytest.mark.parametrize("speed", [0.03])  # the first event comes after a third of a second
async def test_events_come_in_their_order_and_the_socket_ends_as_it_ended(player: Player) -> None:
    address = player.url.replace("http", "ws", 1) + "/callcontrol/ws"
    async with connect(address) as socket:
        assert json.loads(await socket.recv()) == {"sequence": 1}
        assert await socket.recv() == "???"
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "that was all")
    await asyncio.wait_for(player.ended.wait(), 60)
    with pytest.raises(InvalidStatus):
        await connect(address)


async def test_who_asks_is_told_to_ask_as_often_as_in_the_recording() -> None:
    async with Player(RECORDED, speed=4.0) as player:
        assert player.settings == {"poll_idle": 0.5}


async def test_no_page_reaches_a_recording_under_a_name_of_its_own(http: httpx.AsyncClient) -> None:
    assert (await http.post("/connect/token")).status_code == 200
    refused = await http.post("/connect/token", headers={"Host": "evil.example"})
    assert refused.status_code == 403
