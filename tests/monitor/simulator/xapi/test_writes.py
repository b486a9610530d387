from __future__ import annotations

from typing import Any

import pytest

from monitor.simulator.behaviour_options import Switches
from tests.monitor.simulator.xapi_client import Client, refusal


async def user_id(client: Client, number: str) -> int:
    found: int = (await client.get(f"/Users(Number='{number}')")).body["Id"]
    return found


async def test_a_user_without_a_number_gets_the_first_free_one(client: Client) -> None:
    answer = await client.ask("POST", "/Users", {})
    assert answer.status == 201
    assert answer.body["Number"] == "130"
    assert (
        answer.headers["location"]
        == f"https://pbx.example.com:5001/xapi/v1/Users({answer.body['Id']})"
    )
    assert (await client.get(f"/Users({answer.body['Id']})/Groups")).column("Name") == ["DEFAULT"]


async def test_a_user_is_created_as_documented(client: Client) -> None:
    body = {
        "Id": 0,
        "Number": "555",
        "FirstName": "Анна",
        "LastName": "O'Hara",
        "EmailAddress": "a@example.com",
        "AccessPassword": "secret",
        "Language": "EN",
        "PromptSet": "8210986B-9412-497f-AD77-3A554F4A9BDB",
        "SendEmailMissedCalls": True,
        "VMEmailOptions": "Notification",
        "Require2FA": False,
    }
    answer = await client.ask("POST", "/Users", body)
    assert answer.status == 201
    assert answer.body["DisplayName"] == "O'Hara, Анна"
    assert answer.body["AccessPassword"] is None
    assert client.directory.extensions()[-1] == "555"
    group = client.directory.add_group(
        dict(next(iter(client.directory.groups.values())), Name="New", IsDefault=False)
    )
    rights = {"Groups": [{"GroupId": group["Id"], "Rights": {"RoleName": "managers"}}]}
    assert (await client.ask("PATCH", f"/Users({answer.body['Id']})", rights)).status == 204
    assert (await client.get(f"/Users({answer.body['Id']})")).body["PrimaryGroupId"] == group["Id"]
    (row,) = (await client.get(f"/Groups({group['Id']})/Members", expand="Rights")).value
    assert (row["Number"], row["Rights"]["RoleName"]) == ("555", "managers")


@pytest.mark.parametrize(
    "change",
    [
        {"FirstName": "New", "LastName": "Name"},
        {"Enabled": False, "Internal": True, "RecordCalls": True, "RecordExternalCallsOnly": False},
        {"QueueStatus": "LoggedOut"},
        {"CurrentProfileName": "Out of office"},
        {
            "VMEmailOptions": "AttachmentAndDelete",
            "VMPlayMsgDateTime": "Play24Hr",
            "VMPlayCallerID": False,
        },
        {"Mobile": None, "SIPID": "x", "OutboundCallerID": "+1"},
    ],
)
async def test_a_user_is_changed(client: Client, change: dict[str, Any]) -> None:
    key = await user_id(client, "101")
    before = (await client.get(f"/Users({key})")).body
    answer = await client.ask("PATCH", f"/Users({key})", change)
    assert (answer.status, answer.body) == (204, None)
    after = (await client.get(f"/Users({key})")).body
    assert after == before | change | {"DisplayName": after["DisplayName"]}
    if "LastName" in change:
        assert after["DisplayName"] == "Name, New"


@pytest.mark.parametrize(("governed", "after"), [("obeyed", "LoggedOut"), ("ignored", "LoggedIn")])
async def test_a_profile_may_govern_the_login_to_queues(governed: Any, after: str) -> None:
    client = Client(switches=Switches(governed_login=governed))
    key = await user_id(client, "101")
    await client.ask("PATCH", f"/Users({key})", {"CurrentProfileName": "Away"})
    assert (await client.ask("PATCH", f"/Users({key})", {"QueueStatus": "LoggedOut"})).status == 204
    assert (await client.get(f"/Users({key})")).body["QueueStatus"] == after


@pytest.mark.parametrize(
    ("effect", "after"), [("no_effect", "LoggedIn"), ("logs_out", "LoggedOut")]
)
async def test_a_profile_may_log_out_of_all_queues(effect: Any, after: str) -> None:
    client = Client(switches=Switches(queue_log_out=effect))
    key = await user_id(client, "101")
    found = (await client.get(f"/Users({key})", expand="ForwardingProfiles")).body
    profiles = [row | {"OfficeHoursAutoQueueLogOut": True} for row in found["ForwardingProfiles"]]
    await client.ask("PATCH", f"/Users({key})", {"ForwardingProfiles": profiles})
    await client.ask("PATCH", f"/Users({key})", {"CurrentProfileName": "Away"})
    assert (await client.ask("PATCH", f"/Users({key})", {"QueueStatus": "LoggedIn"})).status == 204
    assert (await client.get(f"/Users({key})")).body["QueueStatus"] == after


async def test_a_number_may_be_sent_but_not_changed(client: Client) -> None:
    for path, number in (("/Users", "101"), ("/Queues", "800"), ("/Trunks", "10000")):
        key = (await client.get(f"{path}(Number='{number}')")).body["Id"]
        assert (await client.ask("PATCH", f"{path}({key})", {"Number": number})).status == 204
        answer = await client.ask("PATCH", f"{path}({key})", {"Number": "4444"})
        assert refusal(answer) == (400, "WARNINGS.XAPI.FORBIDDEN_CHANGE", "Number")


async def test_part_of_a_nested_value_changes_only_that_part(client: Client) -> None:
    trunk = (await client.get("/Trunks(Number='10000')")).body
    change = {"Gateway": {"Host": "sip.example.net"}}
    assert (await client.ask("PATCH", f"/Trunks({trunk['Id']})", change)).status == 204
    after = (await client.get("/Trunks(Number='10000')")).body
    assert after["Gateway"] == trunk["Gateway"] | change["Gateway"]


@pytest.mark.parametrize(
    ("partial", "names"),
    [
        ("replace", ["Away"]),
        ("merge", ["Available", "Away", "Out of office", "Custom 1", "Custom 2"]),
    ],
)
async def test_some_profiles_replace_all_or_only_themselves(partial: Any, names: list[str]) -> None:
    client = Client(switches=Switches(partial_profiles=partial))
    key = await user_id(client, "101")
    away = {"Name": "Away", "CustomMessage": "back soon"}
    assert (
        await client.ask("PATCH", f"/Users({key})", {"ForwardingProfiles": [away]})
    ).status == 204
    found = await client.get(f"/Users({key})/ForwardingProfiles")
    assert found.column("Name") == names
    assert next(row for row in found.value if row["Name"] == "Away")["CustomMessage"] == "back soon"


@pytest.mark.parametrize("partial", ["replace", "merge"])
async def test_profiles_read_changed_and_sent_back_keep_all_else(partial: Any) -> None:
    client = Client(switches=Switches(partial_profiles=partial))
    key = await user_id(client, "101")
    profiles = (await client.get(f"/Users({key})/ForwardingProfiles")).value
    profiles[0]["NoAnswerTimeout"] = 45
    assert (
        await client.ask("PATCH", f"/Users({key})", {"ForwardingProfiles": profiles})
    ).status == 204
    assert (await client.get(f"/Users({key})/ForwardingProfiles")).value == profiles
    unknown = {"ForwardingProfiles": [{"Name": "Holiday"}]}
    assert (
        refusal(await client.ask("PATCH", f"/Users({key})", unknown))[1]
        == "WARNINGS.XAPI.NOT_FOUND"
    )
    nameless = {"ForwardingProfiles": [{"CustomMessage": "x"}]}
    assert (
        refusal(await client.ask("PATCH", f"/Users({key})", nameless))[1]
        == "WARNINGS.XAPI.REQUIRED"
    )
    by_id = {"ForwardingProfiles": [{"Id": profile["Id"]} for profile in profiles]}
    assert (await client.ask("PATCH", f"/Users({key})", by_id)).status == 204
    greeting = {"Greetings": [{"Filename": "hello.wav", "DisplayName": "Hello"}]}
    assert (await client.ask("PATCH", f"/Users({key})", greeting)).status == 204
    assert (await client.get(f"/Users({key})/Greetings")).column("Type") == ["Default"]


async def test_a_user_is_deleted_from_everywhere(client: Client) -> None:
    agent = client.directory.agents("800")[-1]
    key = await user_id(client, agent)
    assert (await client.ask("DELETE", f"/Users({key})")).status == 204
    assert agent not in client.directory.agents("800")
    assert (await client.ask("DELETE", f"/Users({key})")).status == 404


async def test_the_operator_stays(client: Client) -> None:
    operator = await user_id(client, "100")
    other = await user_id(client, "105")
    answer = await client.ask("DELETE", f"/Users({operator})")
    assert refusal(answer)[1] == "WARNINGS.OPERATOR_CANNOT_BE_DELETED"
    batch = await client.ask("POST", "/Users/Pbx.BatchDelete", {"ids": [operator, other, 99999]})
    assert batch.value == [
        {"ExtensionNumber": "100", "Error": "WARNINGS.OPERATOR_CANNOT_BE_DELETED"},
        {"ExtensionNumber": None, "Error": "WARNINGS.XAPI.NOT_FOUND"},
    ]
    assert client.directory.dn("105") is None
    assert (await client.ask("POST", "/Users/Pbx.BatchDelete", {"ids": "all"})).status == 400


async def test_collections_of_related_entities_are_not_written(client: Client) -> None:
    key = (await client.get("/Queues(Number='800')")).body["Id"]
    assert (await client.ask("POST", f"/Queues({key})/Agents", {"Number": "101"})).status == 404
    for method in ("PUT", "PATCH", "DELETE"):
        assert (await client.ask(method, f"/Queues({key})/Agents", {})).status == 405


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/Users"),
        ("DELETE", "/Users"),
        ("PATCH", "/Queues"),
        ("POST", "/ActiveCalls"),
        ("POST", "/DidNumbers"),
        ("POST", "/SystemStatus"),
        ("POST", "/Users(Number='101')"),
        ("PATCH", "/Users(Number='101')"),
        ("DELETE", "/Users(Number='101')"),
        ("GET", "/Users/Pbx.MakeCall"),
        ("POST", "/Users/Pbx.GetFirstAvailableExtensionNumber()"),
    ],
)
async def test_a_method_that_an_address_does_not_know_is_refused(
    client: Client, method: str, path: str
) -> None:
    answer = await client.ask(method, path, {})
    assert answer.status == 405
    assert answer.headers["allow"]
