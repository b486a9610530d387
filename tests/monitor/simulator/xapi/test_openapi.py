from __future__ import annotations

import os
from pathlib import Path

import jsonschema
import pytest

from monitor.simulator.pbx_data.templates import ROLES, tables
from monitor.simulator.xapi.entity_sets import EMPTY, REPORTS, SETS
from monitor.simulator.xapi.entity_types import SHAPES
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


def test_every_shape_has_the_properties_of_the_official_one() -> None:
    partly = {"ExtensionRule", "Phone", "EmergencyGeoTrunkLocation", "Holiday"}
    """Never made here: their lists stay empty."""
    for name, shape in SHAPES.items():
        properties = facts()["entities"][f"Pbx.{name}"]
        if name not in partly:
            assert set(shape.fields) == {
                key for key, text in properties.items() if not text.startswith("nav ")
            }, name
        assert set(shape.navigation) <= {
            key for key, text in properties.items() if text.startswith("nav ")
        }, name
        for key, navigation in shape.navigation.items():
            word = properties[key].removeprefix("nav ").removesuffix("?")
            assert word == (
                f"[Pbx.{navigation.shape}]" if navigation.many else f"Pbx.{navigation.shape}"
            )


def test_everything_in_the_tables_is_an_operation_of_the_official_file() -> None:
    for name, served in SETS.items():
        assert f"GET /{name}" in OPERATIONS
        assert (f"POST /{name}" in OPERATIONS) is (served.create is not None)
        assert (f"PATCH /{name}({{Id}})" in OPERATIONS) is (served.change is not None)
        assert (f"DELETE /{name}({{Id}})" in OPERATIONS) is (served.delete is not None)
        assert (f"GET /{name}(Number={{Number}})" in OPERATIONS) is (served.numbered is not None)
        for path in served.paths:
            assert f"GET /{name}({{Id}})/{path}" in OPERATIONS
    for (owner, name), operation in INVOKED.items():
        key = "({Id})" if operation.bound else ""
        start = f"{operation.method} /{owner}{key}/{name}"
        assert any(text == start or text.startswith(f"{start}(") for text in OPERATIONS), start


def test_the_words_that_are_taken_are_those_of_the_official_enumerations() -> None:
    enums = facts()["enums"]
    kinds: dict[str, set[str]] = {}
    for shape in SHAPES:
        for name, text in facts()["entities"][f"Pbx.{shape}"].items():
            if text.removesuffix("?") in enums:
                kinds.setdefault(name, set()).add(text.removesuffix("?"))
    for name, words in tables().words.items():
        (kind,) = kinds[name]
        assert list(words) == enums[kind], name
    assert ROLES[-2:] == ("system_admins", "system_owners")


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
