from __future__ import annotations

from tests.monitor.simulator.xapi_client import Client, refusal


async def test_an_empty_department_is_deleted_by_number_or_id(client: Client) -> None:
    for action, name in (("DeleteCompanyByNumber", "Number"), ("DeleteCompanyById", "Id")):
        made = await client.ask("POST", "/Groups", {"Name": "Night"})
        body = {name.lower(): made.body[name]}
        assert (await client.ask("POST", f"/Groups/Pbx.{action}", body)).status == 204
        assert made.body["Id"] not in client.directory.groups
        assert (await client.ask("POST", f"/Groups/Pbx.{action}", body)).status == 404
    assert (await client.ask("POST", "/Groups/Pbx.DeleteCompanyById", {"id": "1"})).status == 400


async def test_a_department_with_members_and_the_default_one_stay(client: Client) -> None:
    for number, word in (("GRP0000", "GROUP"), ("GRP0001", "GROUP_WITH_MEMBERS")):
        answer = await client.ask("POST", "/Groups/Pbx.DeleteCompanyByNumber", {"number": number})
        assert refusal(answer)[:2] == (400, f"WARNINGS.{word}_CANNOT_BE_DELETED")


async def test_what_is_used_is_told(client: Client) -> None:
    key = (await client.get("/Groups")).value[0]["Id"]
    for path in (f"/Groups({key})", "/MyGroup"):
        told = (await client.get(f"{path}/Pbx.GetRestrictions()")).body
        assert told["Users"] == {"Allowed": None, "Unlimited": True, "Used": 30}
        assert told["Trunks"]["Used"] == 3
