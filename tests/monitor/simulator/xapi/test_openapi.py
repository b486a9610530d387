from __future__ import annotations

import os
from pathlib import Path

import jsonschema
import pytest

from monitor.simulator.xapi.entity_sets import EMPTY, REPORTS, SETS
from monitor.simulator.xapi.odata_actions import OPERATIONS as INVOKED
from tests.monitor.simulator.extract_schema import OPERATIONS, extract, load
from tests.monitor.simulator.xapi_client import SEEN, Calls, Client, Row, facts, validator

BESIDE = Path(__file__).parents[5] / "shared" / "reference" / "xapi-openapi.yaml"


def test_the_kept_facts_are_what_the_official_file_says() -> None:
    named = os.environ.get("CALLMON_XAPI_OPENAPI")
    path = Path(named) if named else BESIDE
    if not named and not path.exists():
        pytest.skip("no copy of the official OpenAPI file here; CALLMON_XAPI_OPENAPI names one")
    spec = load(path)
    assert extract(spec) == facts()
    assert {f"/{name}" for name in EMPTY} <= spec["paths"].keys()
    functions = {
        tuple(path.split("(")[0].split("/")[1:])
        for path, found in spec["paths"].items()
        if "get" in found
    }
    assert functions >= REPORTS


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
    client = Client(calls=Calls([Row(1, "100 A", "101 B")]))
    SEEN.clear()
    for name, served in SETS.items():
        rows = (await client.get(f"/{name}")).value
        await client.get(f"/{name}", expand="*")
        if served.numbered:
            await client.get(f"/{name}(Number='{rows[0]['Number']}')")
        if served.find:
            await client.get(f"/{name}({rows[0]['Id']})")
            for path in served.paths:
                await client.get(f"/{name}({rows[0]['Id']})/{path}")
        if served.create:
            made = await client.ask("POST", f"/{name}", _NEW.get(name, {}))
            for bound in (
                key for (owner, key), found in INVOKED.items() if owner == name and found.bound
            ):
                await client.ask("POST", f"/{name}({made.body['Id']})/{bound}")
            await client.ask("PATCH", f"/{name}({made.body['Id']})", {})
            await client.ask("DELETE", f"/{name}({made.body['Id']})")
    for (owner, name), operation in INVOKED.items():
        if not operation.bound:
            text = (
                f"/{owner}/{name}{_ARGUMENTS.get(name, '()') if operation.method == 'GET' else ''}"
            )
            await client.ask(operation.method, text, _BODIES.get(name))
    await client.ask("POST", "/ActiveCalls(1)/Pbx.DropCall")
    for path in (
        "/SystemStatus",
        "/Defs",
        "/Defs/TimeZones",
        "/Defs/Codecs",
        "/DialCodeSettings",
        "/OfficeHours",
        "/LicenseStatus",
    ):
        await client.get(path)
    await client.ask("PATCH", "/DialCodeSettings", {})
    assert set(OPERATIONS) == SEEN


_NEW = {
    "Groups": {"Name": "New"},
    "Contacts": {"LastName": "New", "Home": "1"},
    "InboundRules": {"RuleName": "New", "TrunkDN": {"Number": "10002"}},
    "OutboundRules": {"Name": "New"},
    "ServicePrincipals": {"Number": "new"},
}
_ARGUMENTS = {
    "Pbx.GetContactsByNumber": "(number='1')",
    "Pbx.InitTrunk": "(template='generic.pv.xml')",
}
_BODIES = {
    "Pbx.MakeCall": {"dn": "100", "destination": "101"},
    "Pbx.BatchDelete": {"ids": [0]},
    "Pbx.CreateContactByNumber": {"number": "1", "contact": {"FirstName": "A"}},
    "Pbx.DeleteContactsById": {"ids": [1]},
    "Pbx.BulkInboundRulesDelete": {"ids": []},
    "Pbx.RetreivePeersByNumbers": {"peersRequest": {"DnNumbers": ["100"]}},
}
