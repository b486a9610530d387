"""Test a program's own route point: a device to call from, keys, and audio both ways."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.callcontrol.websocket import KEYS
from monitor.simulator.server import SimulatedPbx
from tests.monitor.simulator.api_client import QUIET, phones, running


async def test_the_route_point_has_one_device_to_call_from() -> None:
    async with running() as client:
        own = (await client.get(f"/callcontrol/{client.pbx.client_id}")).json
        [device] = own["devices"]
        assert (own["type"], device["dn"]) == ("Wroutepoint", client.pbx.client_id)
        device_id = quote(device["device_id"], safe="")
        path = f"/callcontrol/{client.pbx.client_id}/devices/{device_id}/makecall"
        made = (await client.post(path, {"destination": phones(client.pbx)[0]})).json["result"]
        assert (made["dn"], made["status"], made["device_id"]) == (
            own["dn"],
            "Dialing",
            device["device_id"],
        )


async def test_callers_of_the_route_point_press_keys() -> None:
    settings = replace(QUIET, traffic=True, rate=6000, speed=50.0, calls=1, apps=99.9)
    async with running(settings=settings) as client, client.socket() as socket:
        caller = phones(client.pbx)[0]
        assert (await client.makecall(caller, client.pbx.client_id)).status == 200
        frames = await socket.until(lambda frame: frame.event.event_type == KEYS)
        data = frames[-1].event.attached_data
        assert data.keys() == {"dtmf_input"}
        assert data["dtmf_input"] in "0123456789"
        assert frames[-1].event.entity.startswith(
            f"/callcontrol/{client.pbx.client_id}/participants/"
        )


async def test_the_traffic_calls_the_route_point_as_often_as_it_is_told() -> None:
    pbx = SimulatedPbx(replace(QUIET, apps=50.0))
    pbx.traffic.advance(600)
    kinds = pbx.traffic.stats.kinds
    assert 0.35 < kinds["app"] / kinds.total() < 0.65


@pytest.mark.parametrize("number", ["800", "700"])
async def test_a_queue_and_a_menu_have_a_device_to_call_from(number: str) -> None:
    async with running(Switches(monitored="all")) as client:
        board, callee = client.pbx.switchboard, phones(client.pbx)[0]
        [device] = (await client.get(f"/callcontrol/{number}/devices")).json
        for path in (f"devices/{quote(device['device_id'], safe='')}/makecall", "makecall"):
            made = await client.post(f"/callcontrol/{number}/{path}", {"destination": callee})
            own = made.json["result"]
            assert (own["dn"], own["status"], own["party_dn"], own["device_id"]) == (
                number,
                "Dialing",
                callee,
                device["device_id"],
            )
            [ringing] = (await client.get(f"/callcontrol/{callee}/participants")).json
            assert (ringing["status"], ringing["party_dn"]) == ("Ringing", number)
            call = board.calls[own["callid"]]
            board.answer(call, callee)
            [talking] = (await client.get(f"/callcontrol/{callee}/participants")).json
            assert (talking["status"], talking["party_dn"]) == ("Connected", number)
            [mine] = (await client.get(f"/callcontrol/{number}/participants")).json
            assert (mine["status"], mine["party_dn"], call.state) == (
                "Connected",
                callee,
                "Talking",
            )
            board.end(call)


async def test_a_call_from_a_queue_that_nobody_takes_ends() -> None:
    async with running(Switches(monitored="all")) as client:
        callee = phones(client.pbx)[0]
        made = await client.makecall("800", callee)
        board = client.pbx.switchboard
        board.no_answer(board.calls[made.json["result"]["callid"]], [callee])
        assert board.calls == {}
        assert board.ended()[-1].outcome == "missed"
