"""Test a program's own route point: a device to call from, keys, and audio both ways."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

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
