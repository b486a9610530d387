"""Take out of 3CX's OpenAPI file the facts that the tests check answers against.

    python -m tests.monitor.simulator.extract_schema PATH/TO/xapi-openapi.yaml

writes ``xapi_schema.json`` beside this file: for each served operation the type of its answer, for
each entity type that can be in an answer its properties' types, and the words of the enumerations.
A type is written ``string?`` (``?``: may be null), ``integer:int32`` (with format), ``Pbx.Rights``
(an entity or enumeration), ``[Pbx.User]`` (an array), ``value:[Pbx.User]`` (an object that holds
just that). ``nav`` goes before what is in an answer only if it was asked for. No type: no body.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml

SCHEMA_FILE: Final = Path(__file__).with_name("xapi_schema.json")
OPERATIONS: Final = (
    "GET /Users",
    "POST /Users",
    "GET /Users({Id})",
    "PATCH /Users({Id})",
    "DELETE /Users({Id})",
    "GET /Users(Number={Number})",
    "GET /Users({Id})/Groups",
    "GET /Users({Id})/ForwardingProfiles",
    "GET /Users({Id})/Greetings",
    "POST /Users/Pbx.MakeCall",
    "POST /Users/Pbx.BatchDelete",
    "GET /Users/Pbx.GetFirstAvailableExtensionNumber()",
    "GET /Users/Pbx.GetFirstAvailableHotdeskingNumber()",
    "GET /Queues",
    "POST /Queues",
    "GET /Queues({Id})",
    "PATCH /Queues({Id})",
    "DELETE /Queues({Id})",
    "GET /Queues(Number={Number})",
    "GET /Queues({Id})/Agents",
    "GET /Queues({Id})/Managers",
    "POST /Queues({Id})/Pbx.ResetQueueStatistics",
    "GET /Queues/Pbx.GetFirstAvailableQueueNumber()",
    "GET /RingGroups",
    "POST /RingGroups",
    "GET /RingGroups({Id})",
    "PATCH /RingGroups({Id})",
    "DELETE /RingGroups({Id})",
    "GET /RingGroups(Number={Number})",
    "GET /RingGroups({Id})/Members",
    "GET /RingGroups/Pbx.GetFirstAvailableRingGroupNumber()",
    "GET /Receptionists",
    "POST /Receptionists",
    "GET /Receptionists({Id})",
    "PATCH /Receptionists({Id})",
    "DELETE /Receptionists({Id})",
    "GET /Receptionists(Number={Number})",
    "GET /Receptionists({Id})/Forwards",
    "GET /Receptionists/Pbx.GetFirstAvailableReceptionistNumber()",
    "GET /Trunks",
    "POST /Trunks",
    "GET /Trunks({Id})",
    "PATCH /Trunks({Id})",
    "DELETE /Trunks({Id})",
    "GET /Trunks(Number={Number})",
    "GET /Trunks/Pbx.GetFirstAvailableTrunkNumber()",
    "GET /Groups",
    "POST /Groups",
    "GET /Groups({Id})",
    "PATCH /Groups({Id})",
    "DELETE /Groups({Id})",
    "GET /Groups({Id})/Members",
    "GET /Groups({Id})/Rights",
    "GET /Contacts",
    "POST /Contacts",
    "GET /Contacts({Id})",
    "PATCH /Contacts({Id})",
    "DELETE /Contacts({Id})",
    "GET /Contacts/Pbx.GetContactsByNumber(number={number})",
    "POST /Contacts/Pbx.CreateContactByNumber",
    "POST /Contacts/Pbx.DeleteContactsById",
    "GET /ActiveCalls",
    "POST /ActiveCalls({Id})/Pbx.DropCall",
    "GET /OfficeHours",
    "GET /SystemStatus",
    "GET /SystemStatus/Pbx.SystemExtensions()",
    "GET /Defs",
    "GET /Defs/Codecs",
    "GET /Defs/TimeZones",
    "GET /InboundRules",
    "POST /InboundRules",
    "GET /InboundRules({Id})",
    "PATCH /InboundRules({Id})",
    "DELETE /InboundRules({Id})",
    "POST /InboundRules/Pbx.BulkInboundRulesDelete",
    "GET /OutboundRules",
    "POST /OutboundRules",
    "GET /OutboundRules({Id})",
    "PATCH /OutboundRules({Id})",
    "DELETE /OutboundRules({Id})",
    "GET /Fax",
    "POST /Fax",
    "GET /Fax({Id})",
    "PATCH /Fax({Id})",
    "DELETE /Fax({Id})",
    "GET /Fax(Number={Number})",
    "GET /Fax/Pbx.InitFax()",
    "GET /Trunks/Pbx.InitTrunk(template={template})",
    "GET /SipDevices",
    "GET /LicenseStatus",
    "GET /Defs/Pbx.GetSystemParameters()",
    "GET /Defs/Pbx.GetLicenseParameters()",
    "GET /SystemStatus/Pbx.SystemHealthStatus()",
    "GET /DidNumbers",
    "GET /DialCodeSettings",
    "PATCH /DialCodeSettings",
    "GET /Peers",
    "GET /Peers(Number={Number})",
    "GET /Peers/Pbx.GetReportPeers()",
    "POST /Peers/Pbx.RetreivePeersByNumbers",
    "GET /Parkings",
    "POST /Parkings",
    "GET /Parkings({Id})",
    "PATCH /Parkings({Id})",
    "DELETE /Parkings({Id})",
    "GET /Parkings(Number={Number})",
    "GET /Parkings({Id})/Groups",
    "GET /ServicePrincipals",
    "POST /ServicePrincipals",
    "GET /ServicePrincipals({Id})",
    "PATCH /ServicePrincipals({Id})",
    "DELETE /ServicePrincipals({Id})",
    "POST /ServicePrincipals({Id})/Pbx.GenerateAppToken",
)
"""Everything that the simulated PBX serves."""

_ERROR: Final = "Pbx.ODataErrors.ODataError"
_WARNINGS: Final = "Pbx.Warnings"


def load(path: Path) -> dict[str, Any]:
    """The OpenAPI file, parsed."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    spec: dict[str, Any] = yaml.load(path.read_text(), Loader=loader)
    return spec


def extract(spec: dict[str, Any]) -> dict[str, Any]:
    """The facts, in the form in which they are kept."""
    schemas = spec["components"]["schemas"]
    answers = {operation: _answer(spec, operation) for operation in OPERATIONS}
    entities: dict[str, dict[str, str]] = {}
    enums: dict[str, list[str]] = {}
    wanted = [
        _WARNINGS,
        _ERROR,
        *(answer.split(" ", 1)[1] for answer in answers.values() if " " in answer),
    ]
    while wanted:
        name = _bare(wanted.pop())
        if name in entities or name in enums or name not in schemas:
            continue
        if "enum" in schemas[name]:
            enums[name] = schemas[name]["enum"]
        else:
            entities[name] = {
                key: _property(schemas, value) for key, value in _properties(schemas, name).items()
            }
            wanted += entities[name].values()
    return {
        "operations": answers,
        "entities": dict(sorted(entities.items())),
        "enums": dict(sorted(enums.items())),
    }


def write(facts: dict[str, Any], path: Path = SCHEMA_FILE) -> None:
    """Keep the facts, one line an operation, entity and enumeration."""
    sections = []
    for title, section in facts.items():
        lines = [f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in section.items()]
        sections.append(f"  {json.dumps(title)}: {{\n" + ",\n".join(lines) + "\n  }")
    path.write_text("{\n" + ",\n".join(sections) + "\n}\n")


def _answer(spec: dict[str, Any], operation: str) -> str:
    """``status type`` of the successful answer."""
    method, path = operation.split(" ")
    responses = spec["paths"][path][method.lower()]["responses"]
    status = next(code for code in responses if code.startswith("2"))
    response = _resolved(spec, responses[status])
    content = response.get("content")
    if not content:
        return str(status)
    schema = content["application/json"]["schema"]
    return f"{status} {_answer_type(spec['components']['schemas'], schema)}"


def _answer_type(schemas: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in schema and schema["$ref"].endswith("CollectionResponse"):
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    if "$ref" in schema or "properties" not in schema | _merged(schema):
        return _type(schemas, schema)
    return (
        "value:" + _type(schemas, value)
        if (value := _merged(schema)["properties"].get("value"))
        else "object"
    )


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    properties = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        properties |= part.get("properties", {})
    return {"properties": properties} if properties else {}


def _properties(schemas: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in schemas[name].get("allOf", [schemas[name]]):
        if "$ref" in part:
            found |= _properties(schemas, part["$ref"].rsplit("/", 1)[1])
        else:
            found |= part.get("properties", {})
    return dict(sorted(found.items()))


def _property(schemas: dict[str, Any], schema: dict[str, Any]) -> str:
    return ("nav " if schema.get("x-ms-navigationProperty") else "") + _type(schemas, schema)


def _type(schemas: dict[str, Any], schema: dict[str, Any]) -> str:
    null = "?" if schema.get("nullable") else ""
    parts = [part for part in (schema, *schema.get("allOf", ())) if "$ref" in part]
    if parts:
        return str(parts[0]["$ref"].rsplit("/", 1)[1]) + null
    if schema.get("type") == "array":
        return f"[{_type(schemas, schema['items'])}]{null}"
    if "format" in schema:
        return f"{schema['type']}:{schema['format']}{null}"
    return f"{schema.get('type', 'object')}{null}"


def _resolved(spec: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in response:
        return response
    found: dict[str, Any] = spec["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    return found


def _bare(text: str) -> str:
    return (
        text.removeprefix("nav ")
        .removeprefix("value:")
        .removesuffix("?")
        .strip("[]")
        .removesuffix("?")
    )


if __name__ == "__main__":
    write(extract(load(Path(sys.argv[1]))))
