"""Test Call Control and the token over HTTP."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import aiohttp
import pytest

from monitor.simulator.behaviour_options import Switches
from tests.monitor.simulator.api_client import QUIET, ApiClient, phones, running

PARTICIPANT_FIELDS = [
    "id", "status", "dn", "party_caller_name", "party_dn", "party_caller_id", "party_did",
    "device_id", "party_dn_type", "direct_control", "originated_by_dn", "originated_by_type",
    "referred_by_dn", "referred_by_type", "on_behalf_of_dn", "on_behalf_of_type", "callid", "legid",
]  # fmt: skip


async def call(client: ApiClient) -> tuple[str, str, int]:
    """Call one telephone from another; return caller, callee and the caller's participant."""
    caller, callee = phones(client.pbx)[:2]
    made = await client.makecall(caller, callee)
    assert made.status == 200
    return caller, callee, made.json["result"]["id"]


async def test_a_token_is_given_for_a_form_of_either_kind() -> None:
    async with running() as client:
        answer = await client.mint()
        assert answer.status == 200
        assert answer.json["token_type"] == "Bearer"
        assert answer.headers["Cache-Control"] == "no-store"
        parts = aiohttp.FormData(default_to_multipart=True)
        parts.add_field("grant_type", "client_credentials")
        parts.add_field("client_id", client.pbx.client_id)
        parts.add_field("client_secret", client.pbx.client_secret)
        multipart = await client.post("/connect/token", form=parts)
        assert multipart.status == 200
        assert (await client.get("/callcontrol")).status == 401, (
            "a new token makes the old one worthless"
        )
        client.token = multipart.json["access_token"]
        assert (await client.get("/callcontrol")).status == 200
        assert (await client.get("/xapi/v1/Defs")).status == 200, "the same token serves both"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        (
            {"grant_type": "client_credentials", "client_id": "callmon", "client_secret": "no"},
            401,
            "invalid_client",
        ),
        ({"grant_type": "client_credentials", "client_id": "callmon"}, 400, "invalid_request"),
        ({"grant_type": "telepathy"}, 400, "unsupported_grant_type"),
        ({}, 400, "invalid_request"),
    ],
)
async def test_a_wrong_form_gets_an_error_in_json(
    form: dict[str, str], status: int, error: str
) -> None:
    async with running() as client:
        answer = await client.post("/connect/token", form=form)
        assert (answer.status, answer.json["error"]) == (status, error)
        assert answer.json["error_description"]


async def test_a_client_without_the_right_is_forbidden() -> None:
    async with running() as client:
        principal = client.pbx.directory.entity(client.pbx.client_id)
        assert principal is not None
        principal["CallControlEnabled"] = False
        assert (await client.get("/callcontrol")).status == 403
        assert (await client.get("/xapi/v1/Users")).status == 200
        principal.update(CallControlEnabled=True, XAPIEnabled=False)
        assert (await client.get("/callcontrol")).status == 200
        assert (await client.get("/xapi/v1/Users")).status == 403


async def test_a_small_licence_is_forbidden() -> None:
    async with running(settings=replace(QUIET, licence="professional")) as client:
        assert (await client.get("/callcontrol")).status == 403
        assert (await client.get("/xapi/v1/Users")).status == 403


async def test_the_full_state_holds_the_peers_and_the_own_route_point() -> None:
    async with running() as client:
        state = (await client.get("/callcontrol")).json
        kinds = {entry["dn"]: entry["type"] for entry in state}
        assert kinds.pop(client.pbx.client_id) == "Wroutepoint"
        assert kinds == dict.fromkeys(client.pbx.directory.extensions(), "Wextension")
        one = phones(client.pbx)[0]
        assert (await client.get(f"/callcontrol/{one}")).json in state


async def test_what_may_be_monitored_is_a_switch() -> None:
    async with running(Switches(monitored="all")) as client:
        kinds = {entry["type"] for entry in (await client.get("/callcontrol")).json}
        assert kinds == {
            "Wroutepoint",
            "Wextension",
            "Wqueue",
            "Wringgroup",
            "Wivr",
            "Wexternalline",
        }
    async with running(Switches(monitored="half")) as client:
        assert (
            len((await client.get("/callcontrol")).json)
            == 1 + len(client.pbx.directory.extensions()) // 2
        )


async def test_a_peer_given_through_the_xapi_is_seen_at_once() -> None:
    async with running() as client:
        directory = client.pbx.directory
        principal = directory.entity(client.pbx.client_id)
        assert principal is not None
        kept, lost = directory.extensions()[:2]
        answer = await client._send(
            "PATCH",
            f"/xapi/v1/ServicePrincipals({principal['Id']})",
            json={"Peers": [{"Number": kept}]},
        )
        assert answer.status == 204
        assert (await client.get(f"/callcontrol/{kept}")).status == 200
        assert (await client.get(f"/callcontrol/{lost}")).status == 403


async def test_another_dn_is_forbidden_and_what_is_none_is_not_found() -> None:
    async with running() as client:
        for rest in ("", "/participants", "/devices"):
            assert (await client.get(f"/callcontrol/10000{rest}")).status == 403
            assert (await client.get(f"/callcontrol/55555{rest}")).status == 404
        assert (
            await client.post("/callcontrol/10000/makecall", {"destination": "100"})
        ).status == 403


async def test_devices_are_listed_and_found_by_their_encoded_id() -> None:
    async with running() as client:
        number = phones(client.pbx, devices=2)[0]
        devices = (await client.get(f"/callcontrol/{number}/devices")).json
        assert len(devices) == 2
        for device in devices:
            assert device.keys() == {"dn", "device_id", "user_agent"}
            found = await client.get(
                f"/callcontrol/{number}/devices/{quote(device['device_id'], safe='')}"
            )
            assert found.json == device
        assert (await client.get(f"/callcontrol/{number}/devices/sip%3Anobody")).status == 404


async def test_participants_have_every_documented_field_in_order() -> None:
    async with running() as client:
        caller, callee, caller_id = await call(client)
        mine = (await client.get(f"/callcontrol/{caller}/participants")).json
        [its] = (await client.get(f"/callcontrol/{callee}/participants")).json
        assert [list(one) for one in (*mine, its)] == [PARTICIPANT_FIELDS, PARTICIPANT_FIELDS]
        assert (await client.get(f"/callcontrol/{caller}/participants/{caller_id}")).json == mine[0]
        assert (mine[0]["status"], its["status"]) == ("Dialing", "Ringing")
        assert mine[0]["callid"] == its["callid"]
        assert (mine[0]["party_dn"], its["party_dn"]) == (callee, caller)


async def test_a_participant_is_found_only_at_its_own_dn_and_while_it_is_there() -> None:
    async with running() as client:
        caller, callee, caller_id = await call(client)
        assert (await client.get(f"/callcontrol/{callee}/participants/{caller_id}")).status == 404
        assert (await client.get(f"/callcontrol/{caller}/participants/nonsense")).status == 404
        assert (
            await client.post(f"/callcontrol/{caller}/participants/{caller_id}/drop")
        ).status == 200
        assert (await client.get(f"/callcontrol/{caller}/participants/{caller_id}")).status == 404
        assert (
            await client.post(f"/callcontrol/{caller}/participants/{caller_id}/drop")
        ).status == 404


async def test_makecall_works_at_a_dn_too_and_reads_names_in_any_case() -> None:
    async with running() as client:
        caller, callee = phones(client.pbx)[:2]
        made = await client.post(
            f"/callcontrol/{caller}/makecall", {"Destination": callee, "Timeout": 30}
        )
        assert made.status == 200
        assert made.json["finalstatus"] == "Success"
        assert made.json["result"]["dn"] == caller


async def test_a_makecall_that_fails_says_why_in_the_way_of_the_switch() -> None:
    for switch, status in (("status", 422), ("ok", 200)):
        async with running(Switches(failed_makecall=switch)) as client:  # type: ignore[arg-type]  # both are its words
            made = await client.makecall(phones(client.pbx)[0], "5555")
            assert made.status == status
            assert made.json["finalstatus"] != "Success"
            assert made.json["reason"] == "UnknownDestination"
            assert "result" not in made.json


@pytest.mark.parametrize(
    "body", [{}, {"destination": ""}, {"destination": 5}, {"destination": ["100"]}, [1]]
)
async def test_a_makecall_without_a_destination_is_a_bad_request(body: object) -> None:
    async with running() as client:
        assert (
            await client.post(f"/callcontrol/{phones(client.pbx)[0]}/makecall", body)
        ).status == 400


async def test_a_makecall_at_a_device_of_somebody_else_is_not_found() -> None:
    async with running() as client:
        caller, other = phones(client.pbx)[:2]
        device = client.pbx.directory.devices(other)[0].device_id
        assert (await client.makecall(caller, other, device)).status == 404


async def test_a_ringing_call_is_diverted() -> None:
    async with running() as client:
        third = phones(client.pbx)[2]
        _, callee, _ = await call(client)
        [ringing] = (await client.get(f"/callcontrol/{callee}/participants")).json
        path = f"/callcontrol/{callee}/participants/{ringing['id']}/divert"
        assert (await client.post(path)).status == 400, "where to?"
        assert (await client.post(path, {"destination": third})).status == 200
        [now] = (await client.get(f"/callcontrol/{third}/participants")).json
        assert (now["status"], now["callid"]) == ("Ringing", ringing["callid"])


async def test_data_is_attached() -> None:
    async with running() as client:
        caller, _, caller_id = await call(client)
        for action in ("attach_participant_data", "attach_party_data"):
            path = f"/callcontrol/{caller}/participants/{caller_id}/{action}"
            assert (await client.post(path, {"attacheddata": {"public_case": "7"}})).status == 200
            assert (await client.post(path, {"attacheddata": "public_case"})).status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/callcontrol", 405),
        ("DELETE", "/callcontrol/100", 405),
        ("POST", "/callcontrol/100", 405),
        ("POST", "/callcontrol/100/participants", 405),
        ("POST", "/callcontrol/100/participants/1/hold", 404),
        ("GET", "/callcontrol/100/nonsense", 404),
        ("GET", "/callcontrol/ws", 404),
    ],
)
async def test_what_is_not_served_is_refused(method: str, path: str, status: int) -> None:
    async with running() as client:
        assert (await client._send(method, path)).status == status


async def test_a_body_that_is_no_json_or_endless_is_refused() -> None:
    async with running() as client:
        path = f"/callcontrol/{phones(client.pbx)[0]}/makecall"
        assert (await client.post(path, form="{no")).status == 400
        assert (await client.post(path, form=b" " * 70_000)).status == 413
