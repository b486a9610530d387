from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from threecx import NotFoundError  # type: ignore[import-untyped]  # it has no py.typed

from monitor.pbx.commands import extensions
from monitor.pbx.facts import DirectoryRead
from monitor.shared.errors import CommandOutcomeUnknown
from monitor.simulator.behaviour_options import Switches
from tests.monitor.pbx.commanding import SECRETS, Desk, commanding, profiles, read, word

# ext.update, ext.options.set

UPDATES: list[tuple[str, str, dict[str, Any], Any]] = [
    ("firstname", "Ада", {"first_name": "Ада"}, ("name", "Ада")),
    ("lastname", "O'Hara", {"last_name": "O'Hara"}, ("lastname", "O'Hara")),
    ("lastname", "", {"last_name": ""}, ("lastname", "")),
    ("email", "a@example.com", {"email_address": "a@example.com"}, ("email", "a@example.com")),
    ("mobile", "+7916", {"mobile": "+7916"}, ("mobile", "+7916")),
    ("authid", "ada", {"auth_id": "ada"}, ("authid", "ada")),
    ("authpass", "hunter2", {"auth_password": "hunter2"}, None),
    ("callerid", "+4930", {"outbound_caller_id": "+4930"}, ("callerid", "+4930")),
    ("enabled", "0", {"enabled": False}, ("enabled", 0)),
    ("enabled", "1", {"enabled": True}, ("enabled", 1)),
    ("deliveraudio", "1", {"pbx_delivers_audio": True}, ("deliveraudio", 1)),
    ("deliveraudio", "0", {"pbx_delivers_audio": False}, ("deliveraudio", 0)),
    ("recordcalls", "0", {"record_calls": False}, ("recordcalls", 0)),
    (
        "recordcalls",
        "1",
        {"record_calls": True, "record_external_calls_only": True},
        ("recordcalls", 1),
    ),
    (
        "recordcalls",
        "2",
        {"record_calls": True, "record_external_calls_only": False},
        ("recordcalls", 2),
    ),
    ("sipid", "ada.sip", {"sipid": "ada.sip"}, ("sipid", "ada.sip")),
    ("vmemail", "0", {"vm_email_options": "None"}, ("vmemail", 0)),
    ("vmemail", "1", {"vm_email_options": "Notification"}, ("vmemail", 1)),
    ("vmemail", "2", {"vm_email_options": "Attachment"}, ("vmemail", 2)),
    ("vmemail", "3", {"vm_email_options": "AttachmentAndDelete"}, ("vmemail", 3)),
    ("vmenabled", "0", {"vm_enabled": False}, ("vmenabled", 0)),
    ("vmpin", "4711", {"vmpin": "4711"}, None),
    ("vmplaycallerid", "0", {"vm_play_caller_id": False}, ("vmplaycallerid", 0)),
    ("vmplaydatetime", "0", {"vm_play_msg_date_time": "None"}, ("vmplaydatetime", 0)),
    ("vmplaydatetime", "1", {"vm_play_msg_date_time": "Play12Hr"}, ("vmplaydatetime", 1)),
    ("vmplaydatetime", "2", {"vm_play_msg_date_time": "Play24Hr"}, ("vmplaydatetime", 2)),
    ("internal", "1", {"internal": True}, ("internal", 1)),
    ("internal", "0", {"internal": False}, ("internal", 0)),
]


async def test_every_field_and_value_of_ext_update_reaches_the_pbx_and_is_shown(desk: Desk) -> None:
    for field, value, properties, shown in UPDATES:
        untouched = {**desk.user("101")}
        assert await desk.do("ext.update", num="101", **{field: value}) == {}
        user = await read(desk, "101")
        assert {name: word(getattr(user, name)) for name in properties} == properties
        changed = {name for name, was in desk.user("101").items() if was != untouched[name]}
        assert len(changed - {"DisplayName"}) <= len(properties) + 1
        if shown is not None:
            assert getattr(desk.extension("101"), shown[0]) == shown[1]


async def test_all_fields_at_once(desk: Desk) -> None:
    everything = {field: value for field, value, *_ in UPDATES}
    given = {**everything, "reinvite": "1", "replaces": "0", "noanswertimeout": "42"}
    assert await desk.do("ext.update", num="101", **given) == {
        "unsupported": ["reinvite", "replaces"]
    }
    user = await read(desk, "101")
    assert (user.first_name, user.vmpin, user.internal) == ("Ада", "4711", False)
    assert desk.extension("101").noanswertimeout == 42


def test_a_template_that_leaves_credentials_open_empties_none() -> None:
    left_open = dict.fromkeys(("authid", "authpass", "vmpin", "mobile"), "")
    assert extensions.properties(left_open) == {"Mobile": ""}


@pytest.mark.parametrize("partial", ["replace", "merge"])
async def test_the_no_answer_time_is_the_profiles_and_leaves_all_else_in_them(partial: Any) -> None:
    async with commanding(Switches(partial_profiles=partial)) as desk:
        before = {row["Name"]: {**row} for row in desk.user("117")["ForwardingProfiles"]}
        assert desk.extension("117").fwd_name == "Away"
        await desk.do("ext.update", num="117", noanswertimeout="77")
        after = {row["Name"]: row for row in desk.user("117")["ForwardingProfiles"]}
        assert after == {name: {**row, "NoAnswerTimeout": 77} for name, row in before.items()}
        assert desk.extension("117").noanswertimeout == 77
        assert (await profiles(desk, "117"))["Available"].no_answer_timeout == 77


REFUSED: list[tuple[dict[str, str], str, str, str]] = [
    ({"num": "999", "firstname": "A"}, "unknown_extension", "missing", "999"),
    ({"num": "800", "firstname": "A"}, "unknown_extension", "missing", "800"),
    ({"num": "it's/none", "firstname": "A"}, "unknown_extension", "missing", "it's/none"),
    ({"num": "101", "reinvite": "1"}, "unsupported", "conflict", "reinvite"),
    (
        {"num": "101", "reinvite": "1", "replaces": "1"},
        "unsupported",
        "conflict",
        "reinvite, replaces",
    ),
    ({"num": "101", "firstname": "A", "mobile": " 49301"}, "bad_value", "bad", "mobile begins"),
    ({"num": "101", "callerid": " 49301"}, "bad_value", "bad", "callerid begins with a space"),
    ({"num": "101"}, "nothing_to_set", "bad", "nothing to set"),
    ({"num": "101", "noanswertimeout": "3000000000"}, "out_of_range", "bad", "noanswertimeout"),
]


async def test_what_ext_update_refuses(desk: Desk) -> None:
    for arguments, code, kind, says in REFUSED:
        refused = await desk.refused("ext.update", **arguments)
        assert (refused.code, refused.kind) == (code, kind)
        assert says in str(refused)


OPTIONS: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({"enabled": "off"}, {"enabled": False}),
    ({"enabled": "on"}, {"enabled": True}),
    ({"external": "off"}, {"internal": True}),
    ({"external": "on"}, {"internal": False}),
    ({"recording": "external"}, {"record_calls": True, "record_external_calls_only": True}),
    ({"recording": "all"}, {"record_calls": True, "record_external_calls_only": False}),
    ({"recording": "off"}, {"record_calls": False}),
    (
        {"enabled": "off", "external": "off", "recording": "all"},
        {"enabled": False, "internal": True, "record_calls": True},
    ),
]


async def test_options_are_set(desk: Desk) -> None:
    for arguments, properties in OPTIONS:
        assert await desk.do("ext.options.set", num="102", **arguments) == {}
        user = await read(desk, "102")
        assert {name: getattr(user, name) for name in properties} == properties
        extension = desk.extension("102")
        assert (extension.enabled, extension.internal) == (int(user.enabled), int(user.internal))
        assert bool(extension.recordcalls) == user.record_calls


async def test_options_of_nobody_are_refused(desk: Desk) -> None:
    assert (
        await desk.refused("ext.options.set", num="999", enabled="off")
    ).code == "unknown_extension"


# ext.new, ext.del


async def test_an_extension_is_made(desk: Desk) -> None:
    assert await desk.do("ext.new", num="555", firstname="New", lastname="Man") == {}
    user = await read(desk, "555")
    assert user.full_name == "New Man"
    extension = desk.extension("555")
    assert (extension.name, extension.lastname, extension.extgroups) == ("New", "Man", ("DEFAULT",))


async def test_an_extension_is_made_with_every_field(desk: Desk) -> None:
    everything = {field: value for field, value, *_ in UPDATES}
    given = {**everything, "reinvite": "1", "noanswertimeout": "42"}
    assert await desk.do("ext.new", num="555", **given) == {"unsupported": ["reinvite"]}
    user = await read(desk, "555")
    assert (user.first_name, user.auth_password, user.vmpin) == ("Ада", "hunter2", "4711")
    assert desk.extension("555").noanswertimeout == 42
    assert (await profiles(desk, "555"))["Away"].no_answer_timeout == 42


async def test_an_extension_with_nothing_but_a_number_and_what_there_is_not(desk: Desk) -> None:
    assert await desk.do("ext.new", num="555", replaces="1") == {"unsupported": ["replaces"]}
    assert desk.extension("555").num == "555"


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [
        ("101", "already_exists", "conflict"),
        ("800", "already_exists", "conflict"),
        ("12a", "bad_value", "bad"),
    ],
)
async def test_a_wrong_number_is_refused(desk: Desk, number: str, code: str, kind: str) -> None:
    refused = await desk.refused("ext.new", num=number, **SECRETS)
    assert (refused.code, refused.kind) == (code, kind)
    assert "Number" in str(refused)


async def test_an_extension_whose_second_step_fails_is_not_left_behind(desk: Desk) -> None:
    desk.pbx.faults.answer_with(400, 1, "/xapi/v1/Users(", method="PATCH")
    refused = await desk.refused("ext.new", num="555", noanswertimeout="42", **SECRETS)
    assert refused.code == "undone"
    assert "deleted again" in str(refused)
    assert "555" not in desk.tracker.state["extensions"]


async def test_an_extension_that_cannot_be_deleted_again_is_plainly_told_and_shown(
    desk: Desk,
) -> None:
    desk.pbx.faults.answer_with(500, 1, "/xapi/v1/Users(", method="PATCH")
    desk.pbx.faults.answer_with(503, 1, "/xapi/v1/Users(", method="DELETE")
    with pytest.raises(
        CommandOutcomeUnknown, match=r"extension 555 was made.*Look at the PBX"
    ) as caught:
        await desk.do("ext.new", num="555", noanswertimeout="42", **SECRETS)
    assert not any(secret in str(caught.value) for secret in SECRETS.values())
    await desk.until(lambda: "555" in desk.tracker.state["extensions"])


async def test_an_extension_whose_making_is_cancelled_is_not_left_behind(desk: Desk) -> None:
    desk.pbx.faults.hang("/xapi/v1/Users(", method="PATCH")
    making = asyncio.create_task(desk.do("ext.new", num="555", noanswertimeout="42"))
    async with asyncio.timeout(60):
        await desk.pbx.faults.until("hung")
    assert desk.pbx.directory.dn("555") is not None
    making.cancel()
    with suppress(asyncio.CancelledError):
        await making
    assert desk.pbx.directory.dn("555") is None


async def test_an_extension_is_deleted_and_leaves_queues_and_groups(desk: Desk) -> None:
    assert await desk.do("ext.del", num="118") == {}
    with pytest.raises(NotFoundError):
        await read(desk, "118")
    assert "118" not in desk.tracker.state["extensions"]
    assert [agent.num for agent in desk.queue("800").agents] == ["105", "112", "100"]
    assert desk.group("601").members == ("117", "101", "110")
    assert not any("118" in row.members for row in desk.last(DirectoryRead).departments)


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [("999", "unknown_extension", "missing"), ("100", "operator_extension", "conflict")],
)
async def test_who_cannot_be_deleted(desk: Desk, number: str, code: str, kind: str) -> None:
    refused = await desk.refused("ext.del", num=number)
    assert (refused.code, refused.kind) == (code, kind)
