"""What is done with users: duplicates, secrets, several at once."""

from __future__ import annotations

import pytest

from monitor.simulator.behaviour_options import Switches
from tests.monitor.simulator.xapi_client import Client, refusal, user


@pytest.fixture
def client() -> Client:
    return Client(switches=Switches(secrets="shown"))


async def test_a_shared_email_is_found(client: Client) -> None:
    client.directory.update(user(client, "101"), {"EmailAddress": "EXT102@example.com"})
    for number, shared in (("101", True), ("102", True), ("103", False)):
        path = f"/Users({user(client, number)['Id']})/Pbx.HasDuplicatedEmail()"
        assert (await client.get(path)).body["value"] is shared
    body = {"emails": ["ext103@example.com", "nobody@example.com"]}
    found = await client.ask("POST", "/Users/Pbx.GetDuplicatedEmails", body)
    assert found.body["value"] == ["ext103@example.com"]


async def test_secrets_are_renewed_as_chosen(client: Client) -> None:
    one, other = dict(user(client, "101")), dict(user(client, "102"))
    body = {"Ids": [one["Id"]], "opts": {"VoicemailPIN": True, "WebclientPassword": True}}
    assert (await client.ask("POST", "/Users/Pbx.RegeneratePasswords", body)).status == 204
    now = user(client, "101")
    assert now["AccessPassword"] != one["AccessPassword"]
    assert len(now["VMPIN"]) == 4
    assert now["AuthPassword"] == one["AuthPassword"]
    await client.ask("POST", f"/Users({other['Id']})/Pbx.Regenerate")
    changed = user(client, "102")
    assert all(changed[name] != other[name] for name in ("AuthID", "AuthPassword"))
    secret = await client.get(f"/Users({other['Id']})/Pbx.GetPhoneSecret()")
    assert secret.body["value"] == changed["DeskphonePassword"]
    answer = await client.ask(
        "POST", "/Users/Pbx.RegeneratePasswords", {"Ids": [99999], "opts": {}}
    )
    assert answer.status == 404
    wrong = body | {"opts": {"Colour": True}}
    assert (await client.ask("POST", "/Users/Pbx.RegeneratePasswords", wrong)).status == 400


async def test_several_users_are_changed_at_once(client: Client) -> None:
    ids = [user(client, number)["Id"] for number in ("101", "102")]
    body = {"ids": ids, "user": {"QueueStatus": "LoggedOut"}}
    assert (await client.ask("POST", "/Users/Pbx.BulkUpdate", body)).status == 204
    assert [user(client, n)["QueueStatus"] for n in ("101", "102")] == ["LoggedOut"] * 2
    body = {"ids": ids, "user": {"RecordCalls": True}}
    assert (await client.ask("POST", "/Users/Pbx.MultiUserUpdate", body)).status == 204
    assert user(client, "102")["RecordCalls"] is True
    answer = await client.ask("POST", "/Users/Pbx.BulkUpdate", {"ids": ids})
    assert refusal(answer) == (400, "WARNINGS.XAPI.REQUIRED", "user")


async def test_all_users_are_exported(client: Client) -> None:
    found = await client.get("/Users/Pbx.ExportExtensions()", select="Number")
    assert found.column("Number") == client.directory.extensions()
