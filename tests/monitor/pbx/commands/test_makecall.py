from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from monitor.pbx.commands.makecall import dialled
from monitor.pbx.facts import CallOrdered
from monitor.shared.entities import topics
from monitor.shared.errors import CommandOutcomeUnknown, PbxUnreachable
from monitor.simulator.behaviour_options import Switches
from tests.monitor.pbx.commanding import Desk, commanding

SINGLE, OTHER, DOUBLE, NONE = "101", "102", "103", "109"
OUTSIDE = "+7 (916) 123-45-67"


def legs(desk: Desk, call_id: object) -> set[str]:
    """Who is shown to be in a call."""
    return {
        leg.dn_num
        for leg in topics.table(desk.tracker.state, "calls", topics.Call)[str(call_id)].legs
    }


def hide(desk: Desk, number: str) -> None:
    """Take an extension from those that the API client may monitor."""
    client = desk.pbx.directory.entity(desk.pbx.client_id)
    assert client is not None
    desk.pbx.directory.update(
        client, {"Peers": [row for row in client["Peers"] if row["Number"] != number]}
    )


async def test_an_extension_with_one_phone_dials_on_it(desk: Desk) -> None:
    reply = await desk.do("makecall", first=SINGLE, second=OTHER)
    assert reply == {"finalStatus": "Success", "callid": 1}
    assert SINGLE in legs(desk, 1)
    (call,) = await desk.sdk(lambda client: client.active_calls.list())
    assert (call.id, str(call.caller)[:3], str(call.callee)[:3]) == (1, SINGLE, OTHER)
    (participant,) = desk.pbx.switchboard.participants(SINGLE)
    assert participant.status == "Dialing"
    assert desk.extension(SINGLE).status == "Busy"


async def test_an_extension_with_several_phones_is_rung_first(desk: Desk) -> None:
    reply = await desk.do("makecall", first=DOUBLE, second=OTHER)
    assert reply == {"finalStatus": "Success", "callid": 1}
    assert {view.status for view in desk.pbx.switchboard.participants(DOUBLE)} == {"Ringing"}
    assert not desk.pbx.switchboard.participants(OTHER)
    assert DOUBLE in legs(desk, 1)
    call = topics.table(desk.tracker.state, "calls", topics.Call)["1"]
    assert call.owner is not None
    assert (call.owner.dn_num, call.owner.external_party) == (DOUBLE, OTHER), "the order tells it"
    (order,) = (fact for fact in desk.facts if isinstance(fact, CallOrdered))
    assert (order.call_id, order.dn, order.destination) == (1, DOUBLE, OTHER)


async def test_an_extension_that_call_control_does_not_show_is_asked_for_through_xapi() -> None:
    async with commanding(Switches(monitored="half")) as desk:
        seen = desk.pbx.directory.peers(desk.pbx.client_id)
        hidden = [number for number in (SINGLE, OTHER, "104", "105") if number not in seen][:2]
        reply = await desk.do("makecall", first=hidden[0], second=hidden[1])
        assert reply == {"finalStatus": "Success", "callid": 1}
        assert hidden[0] in legs(desk, 1)


@pytest.mark.parametrize("monitored", ["extensions", "all"])
@pytest.mark.parametrize("host_devices", [True, False])
@pytest.mark.parametrize("first", ["800", "700", "route point"])
async def test_a_queue_an_ivr_and_a_route_point_may_call(
    first: str, monitored: Any, host_devices: bool
) -> None:
    async with commanding(Switches(monitored=monitored, host_devices=host_devices)) as desk:
        dn = desk.pbx.client_id if first == "route point" else first
        for second, leg in ((OTHER, OTHER), (OUTSIDE, "10000")):
            reply = await desk.do("makecall", first=dn, second=second)
            assert reply["finalStatus"] == "Success"
            id_ = str(reply["callid"])
            call = desk.pbx.switchboard.calls[int(id_)]
            assert call.legs[dn].status == "Dialing"
            assert call.legs[leg].status == "Ringing"
            await desk.until(partial(desk.tracker.state["calls"].__contains__, id_))
            desk.pbx.switchboard.answer(call, leg)
            assert {num: leg.status for num, leg in call.legs.items()} == {
                dn: "Connected",
                leg: "Connected",
            }
            desk.pbx.switchboard.drop_call(call.id)


async def test_where_the_numbers_cannot_be_looked_up_the_pbx_says_whether_it_can_call(
    desk: Desk,
) -> None:
    desk.pbx.faults.answer_with(500, 1, "/xapi/v1/Peers")
    assert (await desk.do("makecall", first="800", second=OTHER))["finalStatus"] == "Success"


async def test_a_trunk_and_a_ring_group_cannot_call_and_nothing_rings(desk: Desk) -> None:
    for first in ("10000", "600"):
        assert (await desk.refused("makecall", first=first, second=OTHER)).kind == "conflict"
    assert desk.pbx.switchboard.active_calls() == []


async def test_without_call_control_xapi_makes_the_call() -> None:
    async with commanding() as desk:
        client = desk.pbx.directory.entity(desk.pbx.client_id)
        assert client is not None
        client["CallControlEnabled"] = False
        assert await desk.do("makecall", first=SINGLE, second=OTHER) == {
            "finalStatus": "Success",
            "callid": 1,
        }
        assert "1" in desk.tracker.state["calls"]
        client["XAPIEnabled"] = False
        refused = await desk.refused("makecall", first=OTHER, second=SINGLE)
        assert refused.code == "not_permitted"


async def test_a_number_outside_is_dialled_as_a_number(desk: Desk) -> None:
    await desk.do("makecall", first=SINGLE, second=OUTSIDE)
    (participant,) = desk.pbx.switchboard.participants(SINGLE)
    assert participant.party_caller_id == "+79161234567"


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("+49 30-12/34", "+49301234"),
        ("(8.800) 1", "88001"),
        ("*62", "*62"),
        (" 100 ", "100"),
        ("sip:100@example.com", "sip:100@example.com"),
        ("+49 (0)30 1234567", "+49301234567"),
        ("030\u20131234567", "0301234567"),
        ("tel:+49301234567", "+49301234567"),
        ("TEL:+49-30-1234567;phone-context=example.com", "+49301234567"),
        ("tel:+49301234567;ext=12", "+49301234567"),
        *((f"+49{dash}30{dash}1234567", "+49301234567") for dash in "-\u2010\u2011\u2012\u2013"),
        *((f"030 {dash} 1234567", "0301234567") for dash in "\u2014\u2015\u2212\ufe63\uff0d"),
        ("\u202a+49 30 1234567\u202c", "+49301234567"),
        ("\u2066\u200e+49\u00a030\u20091234567\u200f\u2069", "+49301234567"),
        ("\ufeff030\u200b1234567", "0301234567"),
        ("\u0663\u0660 123", "30123"),
        ("0049 (0)30 1234567", "0049301234567"),
        ("Reception", "Reception"),
        ("(+49)(0)30 1234567", "+49301234567"),
        ("+49 (030) 1234567", "+49301234567"),
        ("+49 / (0)30 / 1234567", "+49301234567"),
        ("011 44 [0]20 7946 0958", "011442079460958"),
        ("+39 (0)6 1234567", "+39061234567"),
        ("+225 (07) 12345678", "+2250712345678"),
        ("03\u05be1234567", "031234567"),
        ("\uff0803\uff091234\u30fc5678", "0312345678"),
        ("030\uff0f1234567", "0301234567"),
        ("030 1234567,,42#", "030 1234567,,42#"),
        ('"Ann" <+49 30 1234567>', "+49301234567"),
    ],
)
def test_what_is_dialled(given: str, number: str) -> None:
    assert dialled(given) == number


@pytest.mark.parametrize(
    "two",
    [
        "030 1234567 / 0171 2345678",
        "030 1234567, 0171 2345678",
        "030 1234567; 0171 2345678",
        "030 1234567 or 0171 2345678",
        "030 1234567 & 0171 2345678",
        "030 1234567 und 0171 2345678",
        "+49 30 1234567 +49 171 2345678",
        "Office 030 1234567 mobile 0171 2345678",
        "+49301234567 00491712345678",
        "0301234567 0171234567",
        "+47 22 33 44 55 66 77 88 99",
        "101,102",
        "101; 102",
    ],
)
async def test_two_numbers_in_one_text_are_refused_and_nothing_is_dialled(
    desk: Desk, two: str
) -> None:
    refused = await desk.refused("makecall", first=SINGLE, second=two)
    assert (refused.code, refused.kind) == ("bad_value", "bad")
    assert "more than one number" in str(refused)
    assert desk.pbx.switchboard.active_calls() == []


@pytest.mark.parametrize("form", ["status", "ok"])
async def test_a_call_that_fails_says_why_in_either_form(form: Any) -> None:
    async with commanding(Switches(failed_makecall=form)) as desk:
        desk.pbx.directory.set_devices(OTHER, [])
        desk.user(OTHER)["VMEnabled"] = False
        for first in (SINGLE, DOUBLE):
            for second, code in (
                (OTHER, "destination_is_not_registered"),
                ("abc1", "unknown_destination"),
            ):
                refused = await desk.refused("makecall", first=first, second=second)
                assert (refused.code, refused.kind) == (code, "conflict")
                assert not desk.pbx.switchboard.participants(first)
            assert (
                await desk.refused("makecall", first=first, second=first)
            ).code == "routing_loop_detected"
        hide(desk, SINGLE)
        assert (
            await desk.refused("makecall", first=SINGLE, second="abc1")
        ).code == "unknown_destination"


async def test_an_extension_without_a_phone_cannot_call(desk: Desk) -> None:
    refused = await desk.refused("makecall", first=NONE, second=OTHER)
    assert refused.code == "no_device"
    assert NONE in str(refused)


async def test_nobody_cannot_call(desk: Desk) -> None:
    refused = await desk.refused("makecall", first="998", second=OTHER)
    assert (refused.code, refused.kind) == ("unknown_extension", "missing")
    assert "998" in str(refused)


RESULT = {"id": 5, "dn": SINGLE, "callid": 77}
ANSWERS: list[tuple[int, dict[str, Any], dict[str, object] | str]] = [
    (200, {"finalstatus": "Success", "result": RESULT}, {"finalStatus": "Success", "callid": 77}),
    (200, {"finalstatus": 1, "result": RESULT}, {"finalStatus": "Success", "callid": 77}),
    (200, {"finalstatus": "success", "result": RESULT}, {"finalStatus": "Success", "callid": 77}),
    (200, {"finalstatus": "SUCCESS", "result": None}, {"finalStatus": "Success"}),
    (200, {"finalstatus": "rejected", "reason": "destinationbusy"}, "destination_busy"),
    (
        200,
        {"FinalStatus": "Success", "Result": {"CallId": 77}},
        {"finalStatus": "Success", "callid": 77},
    ),
    (200, {"finalstatus": "Success", "reason": "NotSpecified"}, {"finalStatus": "Success"}),
    (200, {"finalstatus": -1, "reason": "DestinationBusy"}, "destination_busy"),
    (200, {"finalstatus": 0, "reason": "NotSpecified", "reasontext": "no"}, "call_failed"),
    (200, {"finalstatus": "Failed"}, "call_failed"),
    (200, {"finalstatus": "Failed", "reason": "A new one!"}, "call_failed"),
    (422, {"finalstatus": "Failed", "reason": "DestinationNoAnswer"}, "destination_no_answer"),
    (
        422,
        {"finalstatus": "Rejected", "reason": "DestinationIsNotReachable"},
        "destination_is_not_reachable",
    ),
    (404, {"finalstatus": "Failed", "reason": "SubjectNotFound"}, "unknown_extension"),
    (500, {"finalstatus": "Failed", "reason": "Cancelled"}, "cancelled"),
    (403, {"error": {"code": "", "message": "Forbidden"}}, "not_permitted"),
    (404, {}, "unknown_extension"),
    (400, {}, "bad_value"),
]


@pytest.mark.parametrize("body", [{"result": {}}, {"finalstatus": "", "reason": ""}])
async def test_a_good_answer_that_says_nothing_is_no_failure(
    desk: Desk, body: dict[str, Any]
) -> None:
    desk.pbx.faults.answer_with(200, 1, "/callcontrol/101/devices", method="POST", body=body)
    with pytest.raises(CommandOutcomeUnknown):
        await desk.do("makecall", first=SINGLE, second=OTHER)


async def test_every_form_of_answer_is_understood(desk: Desk) -> None:
    for status, body, expected in ANSWERS:
        desk.pbx.faults.answer_with(status, 1, "/callcontrol/101/devices", method="POST", body=body)
        if isinstance(expected, dict):
            assert await desk.do("makecall", first=SINGLE, second=OTHER) == expected
        else:
            assert (await desk.refused("makecall", first=SINGLE, second=OTHER)).code == expected


@pytest.mark.parametrize(
    ("status", "body"), [(500, None), (502, "<html>"), (200, None), (200, ["odd"]), (200, {})]
)
async def test_an_answer_without_a_word_of_the_call_is_not_known(
    desk: Desk, status: int, body: Any
) -> None:
    desk.pbx.faults.answer_with(status, 1, "/callcontrol/101/devices", method="POST", body=body)
    with pytest.raises(CommandOutcomeUnknown):
        await desk.do("makecall", first=SINGLE, second=OTHER)


async def test_a_pbx_that_has_enough_makes_no_call(desk: Desk) -> None:
    desk.pbx.faults.answer_with(429, 1, "/callcontrol/101/devices", method="POST")
    with pytest.raises(PbxUnreachable):
        await desk.do("makecall", first=SINGLE, second=OTHER)
    desk.pbx.faults.answer_with(503, 1, "/callcontrol/101/devices", method="GET")
    with pytest.raises(PbxUnreachable):
        await desk.do("makecall", first=SINGLE, second=OTHER)
    assert not desk.pbx.switchboard.calls


async def test_a_call_whose_answer_is_lost_is_made_once_and_not_known(desk: Desk) -> None:
    desk.pbx.faults.lose_answers(1, "/callcontrol/101/devices", method="POST")
    with pytest.raises(CommandOutcomeUnknown):
        await desk.do("makecall", first=SINGLE, second=OTHER)
    assert len(desk.pbx.switchboard.calls) == 1
    await desk.until(lambda: "1" in desk.tracker.state["calls"])


async def test_other_commands_do_not_wait_for_a_phone_that_rings(desk: Desk) -> None:
    desk.pbx.faults.hang("/callcontrol/101/devices", method="POST")
    calling = asyncio.create_task(desk.do("makecall", first=SINGLE, second=OTHER))
    async with asyncio.timeout(60):
        await desk.pbx.faults.until("hung")
    await desk.do("ext.update", num="105", firstname="New")
    assert desk.extension("105").name == "New"
    desk.pbx.faults.release()
    assert (await calling)["finalStatus"] == "Success"


async def test_a_number_that_lost_its_plus_in_an_address_is_not_called(desk: Desk) -> None:
    refused = await desk.refused("makecall", first=SINGLE, second=" 49301234567")
    assert (refused.code, refused.kind) == ("bad_value", "bad")
    assert "%2B" in str(refused)
    assert not desk.pbx.switchboard.active_calls()
