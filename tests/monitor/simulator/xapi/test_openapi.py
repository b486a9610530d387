from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.simulator.xapi.entity_sets import SETS
from monitor.simulator.xapi.odata_actions import OPERATIONS as INVOKED
from monitor.simulator.xapi.singletons import SINGLETONS
from tests.monitor.simulator.extract_schema import extract, load
from tests.monitor.simulator.xapi_client import SEEN, Calls, Client, Row, facts, validator

BESIDE = Path(__file__).parents[5] / "shared" / "reference" / "xapi-openapi.yaml"


def test_the_kept_facts_are_what_the_official_file_says() -> None:
    named = os.environ.get("CALLMON_XAPI_OPENAPI")
    path = Path(named) if named else BESIDE
    if not named and not path.exists():
        pytest.skip("no copy of the official OpenAPI file here; CALLMON_XAPI_OPENAPI names one")
    assert extract(load(path)) == facts()


def test_the_check_refuses_what_is_not_in_the_api() -> None:
    check = validator("value:[Pbx.QueueAgent]")
    check.validate(
        {"value": [{"Id": 1, "Number": "100", "Name": None, "Tags": ["MS"]}], "@odata.count": 1}
    )
    wrong = (
        {"Colour": 1},
        {"Id": "1"},
        {"Id": 2**31},
        {"Number": None},
        {"Tags": ["Red"]},
        {"Tags": None},
    )
    for row in wrong:
        with pytest.raises(jsonschema.ValidationError):
            check.validate({"value": [row]})
    with pytest.raises(jsonschema.ValidationError):
        validator("Pbx.ActiveCall").validate({"ServerNow": "yesterday"})


async def test_every_operation_answers_as_the_official_file_says() -> None:
    """Writes and operations with a body; each answer is checked where it is asked for."""
    client = Client(calls=Calls([Row(1, "100 A", "101 B")]), client_id="100")
    SEEN.clear()
    await _prepare(client)
    for name in SETS:
        await _use_collection(client, name)
    await _use_singletons(client)
    for group in list(client.directory.groups.values())[1:]:  # so that they may be deleted
        await client.ask("PATCH", f"/Groups({group['Id']})", {"Members": []})
    for (owner, name), operation in INVOKED.items():
        if not operation.bound:
            given = _arguments(owner, name) if operation.method == "GET" else ""
            body = _BODIES.get(name)
            if body is not None and body.get("id") == 0:
                body = body | {"id": (await client.get(f"/{owner}")).value[0]["Id"]}
            await client.ask(operation.method, f"/{owner}/{name}{given}", body)
    await client.ask("POST", "/ActiveCalls(1)/Pbx.DropCall")
    left = [text.split(" /")[1] for text in set(facts()["operations"]) - SEEN]
    assert {text.split("(")[0] for text in left} == _NEVER_THERE
    assert all("({" in text for text in left)


async def _prepare(client: Client) -> None:
    """Make what must be there before other operations are asked for."""
    user = client.directory.entity("100")
    assert user is not None
    assert client.site.tokens is not None
    for _ in range(2):
        client.site.tokens.log_in("100", user["AccessPassword"])
    for path, body in _NEEDED.items():
        await client.ask("POST", path, body)


async def _use_singletons(client: Client) -> None:
    for name, single in SINGLETONS.items():
        await client.get(f"/{name}")
        if single.changeable:
            await client.ask("PATCH", f"/{name}", {})
    for operation in facts()["operations"]:
        owner, _, below = operation.removeprefix("GET /").partition("/")
        if owner in SINGLETONS and below and "." not in below:
            await client.get(f"/{owner}/{below}")


async def _use_collection(client: Client, name: str) -> None:
    """Do with one entity of a collection all that can be done with it."""
    served = SETS[name]
    rows = (await client.get(f"/{name}")).value
    await client.get(f"/{name}", expand="*")
    if served.numbered:
        await client.get(f"/{name}(Number='{rows[0]['Number']}')")
    key = rows[0][served.key] if rows else None
    if served.create:
        made = await client.ask("POST", f"/{name}", _NEW.get(name, {}))
        assert made.status == 201, made.body
        key = made.body[served.key]
    one = f"/{name}({_literal(key)})"
    asked = [("GET", one)] if f"GET /{name}({{{served.key}}})" in facts()["operations"] else []
    asked += [("GET", f"{one}/{path}") for path in served.paths]
    asked += [
        (found.method, f"{one}/{word}")
        for (owner, word), found in INVOKED.items()
        if owner == name and found.bound
    ]
    asked += [("PATCH", one)] if served.change else []
    asked += [("DELETE", one)] if served.delete else []
    for method, path in asked:
        await client.ask(method, path, {} if method != "GET" else None)


def _literal(key: int | str | None) -> str:
    return f"'{key}'" if isinstance(key, str) else str(key)


_NEVER_THERE = {
    "Backups", "CustomPrompts", "DeviceInfos", "EmailTemplate", "Firmwares", "OAuthClients",
    "PhoneLogos",
}  # fmt: skip
"""Collections of which a fresh PBX has no entity, and of which clients can make none."""
_NEW = {
    "BlackListNumbers": {"CallerId": "+1"},
    "Blocklist": {"IPAddrMask": "192.0.2.1/32"},
    "CallFlowApps": {"Name": "New"},
    "Fxs": {"MacAddress": "00155D000001"},
    "Holidays": {"Name": "New"},
    "Parameters": {"Name": "NEW"},
    "Playlists": {"Name": "New"},
    "ScheduledReports": {"Name": "New"},
    "Sbcs": {"DisplayName": "New"},
    "TenantProperties": {"Name": "NEW"},
    "WebsiteLinks": {"Link": "new"},
    "Groups": {"Name": "New"},
    "Contacts": {"LastName": "New", "Home": "1"},
    "InboundRules": {"RuleName": "New", "TrunkDN": {"Number": "10002"}},
    "OutboundRules": {"Name": "New"},
    "ServicePrincipals": {"Number": "new"},
}


def _arguments(owner: str, name: str) -> str:
    """Values for the parameters of a function, of the right types."""
    start = f"GET /{owner}/{name}("
    given: dict[str, str] = next(
        (kinds for text, kinds in facts()["parameters"].items() if text.startswith(start)), {}
    )
    values = (
        f"{word}={_NAMED.get(word) or _VALUES[kind.removesuffix('?')]}"
        for word, kind in given.items()
    )
    return f"({','.join(values)})"


_NEEDED: dict[str, dict[str, Any]] = {
    "/Parameters": {"Name": "X"},
    "/DNProperties/Pbx.CreateDNProperty": {"dnNumber": "100", "property": {"Name": "X"}},
}
"""What must be there before functions are called."""
_NAMED = {"dnNumber": "'100'", "name": "'X'"}
_VALUES = {
    "string": "''",
    "string:date-time": "2026-03-04T00:00:00Z",
    "integer:int32": "0",
    "boolean": "false",
}
_SERVICES = {"options": {"ServiceNames": ["3CXIVR01"]}}
_BODIES: dict[str, dict[str, Any]] = {
    "Pbx.BulkFaxDelete": {"ids": [0]},
    "Pbx.BulkIpsDelete": {"ids": [0]},
    "Pbx.BulkLinksDelete": {"ids": ["x"]},
    "Pbx.BulkNumbersDelete": {"ids": ["x"]},
    "Pbx.BulkRecordingsDelete": {"ids": [0]},
    "Pbx.BulkUpdate": {"ids": [], "user": {}},
    "Pbx.CreateDNProperty": {"dnNumber": "100", "property": {"Name": "Y"}},
    "Pbx.DeleteCompanyById": {"id": 2},
    "Pbx.DeleteCompanyByNumber": {"number": "GRP0002"},
    "Pbx.DeleteDNProperty": {"dnNumber": "100", "propertyName": "X"},
    "Pbx.Disable": _SERVICES,
    "Pbx.Enable": _SERVICES,
    "Pbx.DeleteContactsByType": {"contactSource": "CRM"},
    "Pbx.MoveUpDown": {"id": 0, "up": True},
    "Pbx.RefreshRegistration": {"id": 0},
    "Pbx.GarbageCollect": {"options": {"Blocking": True}},
    "Pbx.GetDuplicatedEmails": {"emails": ["a@b.c"]},
    "Pbx.MultiUserUpdate": {"ids": [], "user": {}},
    "Pbx.RegeneratePasswords": {"Ids": [], "opts": {}},
    "Pbx.Restart": _SERVICES,
    "Pbx.Start": _SERVICES,
    "Pbx.Stop": _SERVICES,
    "Pbx.UpdateDNProperty": {"dnNumber": "100", "property": {"Name": "X", "Value": "1"}},
    "Pbx.ValidateLink": {"model": {"FriendlyName": "free", "Pair": ""}},
    "Pbx.MakeCall": {"dn": "100", "destination": "101"},
    "Pbx.BatchDelete": {"ids": [0]},
    "Pbx.CreateContactByNumber": {"number": "1", "contact": {"FirstName": "A"}},
    "Pbx.DeleteContactsById": {"ids": [1]},
    "Pbx.BulkInboundRulesDelete": {"ids": []},
    "Pbx.RetreivePeersByNumbers": {"peersRequest": {"DnNumbers": ["100"]}},
}
