"""Take the facts of what is served out of 3CX's OpenAPI file.

    python -m tests.monitor.simulator.extract_schema PATH/TO/xapi-openapi.yaml

writes ``schema.json`` of the simulated PBX, which describes itself with it, and against which the
tests check its answers: for each served operation the type of its answer and of its parameters, for
each entity type that can be in an answer its properties' types and its key, and the words of the
enumerations.
A type is written ``string?`` (``?``: may be null), ``integer:int32`` (with format), ``Pbx.Rights``
(an entity or enumeration), ``[Pbx.User]`` (an array), ``value:[Pbx.User]`` (an object that holds
just that). ``nav`` goes before what is in an answer only if it was asked for. No type: no body.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from tests.conftest import ROOT

SCHEMA_FILE: Final = ROOT / "monitor" / "simulator" / "xapi" / "description" / "schema.json"
_SETS: Final = """
Users Queues RingGroups Receptionists Trunks Groups Contacts InboundRules OutboundRules Fax
SipDevices DidNumbers Peers Parkings ServicePrincipals ActiveCalls
SystemStatus Defs DialCodeSettings OfficeHours LicenseStatus

Backups BlackListNumbers Blocklist CallCostSettings CallFlowApps CallFlowScripts CallHistoryView
ChatHistoryView ChatMessagesHistoryView Countries CustomPrompts DeviceInfos EmailTemplate
EmergencyGeoLocations EventLogs Firmwares Fxs FxsTemplates Holidays NetworkInterfaces
OAuthClients Parameters PhoneLogos PhoneTemplates Playlists PromptSets Recordings
ScheduledReports Sbcs Services TenantProperties TrunkTemplates WebsiteLinks
LastCdrAndChatMessageTimestamp MyUser MyGroup MyTokens SecurityTokens

AISettings AmazonIntegrationSettings AntiHackingSettings CallParkingSettings CallTypesSettings
CDRSettings ChatLogSettings CodecsSettings ConferenceSettings ConsoleRestrictions CountryCodes
CrmIntegration DataConnectorSettings E164Settings EmergencyNotificationsSettings
FaxServerSettings GeneralSettingsForApps GeneralSettingsForPbx GoogleSettings HotelServices
LoggingSettings MailSettings Microsoft365Integration Microsoft365TeamsIntegration
MusicOnHoldSettings NetworkSettings NotificationSettings PhoneBookSettings PhonesSettings
RemoteArchivingSettings SecureSipSettings SyslogSettings VoicemailSettings
"""
_INVOKED: Final = """
Users/Pbx.MakeCall Users/Pbx.BatchDelete Users/Pbx.GetFirstAvailableExtensionNumber
Users/Pbx.GetFirstAvailableHotdeskingNumber Queues/Pbx.ResetQueueStatistics
Queues/Pbx.GetFirstAvailableQueueNumber RingGroups/Pbx.GetFirstAvailableRingGroupNumber
Receptionists/Pbx.GetFirstAvailableReceptionistNumber Trunks/Pbx.GetFirstAvailableTrunkNumber
Contacts/Pbx.GetContactsByNumber Contacts/Pbx.CreateContactByNumber Contacts/Pbx.DeleteContactsById
ActiveCalls/Pbx.DropCall SystemStatus/Pbx.SystemExtensions InboundRules/Pbx.BulkInboundRulesDelete
Fax/Pbx.InitFax Trunks/Pbx.InitTrunk Defs/Pbx.GetSystemParameters Defs/Pbx.GetLicenseParameters
SystemStatus/Pbx.SystemHealthStatus Peers/Pbx.GetReportPeers Peers/Pbx.RetreivePeersByNumbers
ServicePrincipals/Pbx.GenerateAppToken

Users/Pbx.HasDuplicatedEmail Users/Pbx.GetDuplicatedEmails Users/Pbx.GetPhoneSecret
Users/Pbx.Regenerate Users/Pbx.RegeneratePasswords Users/Pbx.BulkUpdate Users/Pbx.MultiUserUpdate
Users/Pbx.ExportExtensions Groups/Pbx.DeleteCompanyByNumber Groups/Pbx.DeleteCompanyById
Groups/Pbx.GetRestrictions MyGroup/Pbx.GetRestrictions MyTokens/Pbx.RevokeToken
SecurityTokens/Pbx.RevokeToken Services/Pbx.Start Services/Pbx.Stop Services/Pbx.Restart
Services/Pbx.Enable Services/Pbx.Disable Services/Pbx.GarbageCollect
Recordings/Pbx.BulkRecordingsDelete ActivityLog/Pbx.GetLogs ActivityLog/Pbx.GetFilter
ActivityLog/Pbx.PurgeLogs EventLogs/Pbx.DownloadEventLogs EventLogs/Pbx.PurgeEventLog
CallHistoryView/Pbx.DownloadCallHistory Parameters/Pbx.GetParameterByName
WebsiteLinks/Pbx.ValidateLink WebsiteLinks/Pbx.BulkLinksDelete Blocklist/Pbx.BulkIpsDelete
BlackListNumbers/Pbx.BulkNumbersDelete Fax/Pbx.BulkFaxDelete Defs/Pbx.HasSystemOwner
OutboundRules/Pbx.GetEmergencyOutboundRules OutboundRules/Pbx.MoveUpDown OutboundRules/Pbx.Purge
InboundRules/Pbx.ExportCallerIdRules Trunks/Pbx.RefreshRegistration
Contacts/Pbx.DeleteContactsByType
DNProperties/Pbx.GetPropertiesByDn DNProperties/Pbx.GetDNPropertyByName
DNProperties/Pbx.CreateDNProperty DNProperties/Pbx.UpdateDNProperty
DNProperties/Pbx.DeleteDNProperty

ReportAbandonedChatsStatistics/Pbx.GetAbandonedChatsStatisticsData
ReportAbandonedQueueCalls/Pbx.GetAbandonedQueueCallsData
ReportAgentLoginHistory/Pbx.GetAgentLoginHistoryData
ReportAgentsInQueueStatistics/Pbx.GetAgentsInQueueStatisticsData
ReportAverageQueueWaitingTime/Pbx.GetAverageQueueWaitingTimeData
ReportBreachesSla/Pbx.GetBreachesSlaData
ReportCallLogData/Pbx.GetCallLogData ReportCallLogData/Pbx.GetOldCallLogData
ReportDetailedQueueStatistics/Pbx.GetDetailedQueueStatisticsData
ReportExtensionsStatisticsByRingGroups/Pbx.GetExtensionsStatisticsByRingGroupsData
ReportExtensionStatisticsByGroup/Pbx.GetExtensionStatisticsByGroupData
ReportExtensionStatistics/Pbx.GetExtensionStatisticsData
ReportInboundCalls/Pbx.GetInboundCalls ReportOutboundCalls/Pbx.GetOutboundCalls
ReportInboundRules/Pbx.GetInboundRulesData
ReportQueueAgentsChatStatistics/Pbx.GetQueueAgentsChatStatisticsData
ReportQueueAgentsChatStatisticsTotals/Pbx.GetQueueAgentsChatStatisticsTotalsData
ReportQueueAnsweredCallsByWaitTime/Pbx.GetQueueAnsweredCallsByWaitTimeData
ReportQueueAnUnCalls/Pbx.GetQueueAnUnCallsData
ReportQueueCallbacks/Pbx.GetQueueCallbacksData
ReportQueueChatPerformance/Pbx.GetQueueChatPerformanceData
ReportQueueFailedCallbacks/Pbx.GetQueueFailedCallbacksData
ReportQueuePerformanceOverview/Pbx.GetQueuePerformanceOverviewData
ReportQueuePerformanceTotals/Pbx.GetQueuePerformanceTotalsData
ReportRingGroupStatistics/Pbx.GetRingGroupStatisticsData
ReportStatisticSla/Pbx.GetStatisticSlaData
ReportTeamQueueGeneralStatistics/Pbx.GetTeamQueueGeneralStatisticsData
"""
SETS: Final = frozenset(_SETS.split())
"""Collections and single entities that are served whole: list, keys, navigation and writes."""
INVOKED: Final = frozenset(_INVOKED.split())
"""Functions and actions that are served."""
_METHODS: Final = ("get", "post", "patch", "delete")

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
    served = list(_served(spec))
    answers = {operation: _answer(spec, operation) for operation in served}
    parameters = {operation: _parameters(spec, operation) for operation in served}
    entities: dict[str, dict[str, str]] = {}
    enums: dict[str, list[str]] = {}
    wanted = [
        _WARNINGS,
        _ERROR,
        *(answer.split(" ", 1)[1] for answer in answers.values() if " " in answer),
        *(kind for given in parameters.values() for kind in given.values()),
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
        "parameters": {operation: given for operation, given in parameters.items() if given},
        "keys": _keys(spec, served),
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


def _served(spec: dict[str, Any]) -> Iterator[str]:
    """Yield the operations that are served, in the order of the file."""
    for path, found in spec["paths"].items():
        names = [re.sub(r"\(.*\)", "", part) for part in path.strip("/").split("/")]
        invoked = names[-1].startswith("Pbx.") or "(" in names[0]
        if (f"{names[0]}/{names[-1]}" in INVOKED) if invoked else (names[0] in SETS):
            yield from (f"{method.upper()} {path}" for method in _METHODS if method in found)


def _at(spec: dict[str, Any], operation: str) -> dict[str, Any]:
    method, path = operation.split(" ")
    found: dict[str, Any] = spec["paths"][path][method.lower()]
    return found


def _answer(spec: dict[str, Any], operation: str) -> str:
    """``status type`` of the successful answer."""
    responses = _at(spec, operation)["responses"]
    status = next(code for code in responses if code.startswith("2"))
    response = _resolved(spec, responses[status])
    content = response.get("content", {})
    if "application/json" not in content:
        return f"{status} {min(content)}" if content else str(status)
    schema = content["application/json"]["schema"]
    return f"{status} {_answer_type(spec['components']['schemas'], schema)}"


def _parameters(spec: dict[str, Any], operation: str) -> dict[str, str]:
    """Return the types of a function's parameters, or of an action's."""
    name = operation.rsplit("/", 1)[1]
    found, schemas = _at(spec, operation), spec["components"]["schemas"]
    if found.get("x-ms-docs-operation-type") == "action":
        content = found.get("requestBody", {}).get("content", {}).get("application/json", {})
        given = content.get("schema", {}).get("properties", {})
        return {key: _type(schemas, value) for key, value in given.items()}
    return {
        given["name"]: _type(schemas, given["schema"])
        for given in found.get("parameters", ())
        if given.get("in") == "path" and f"{given['name']}={{{given['name']}}}" in name
    }


def _keys(spec: dict[str, Any], served: list[str]) -> dict[str, str]:
    """Return the name of the key of each entity type that an address finds by its key."""
    return {
        "Pbx." + given["x-ms-docs-key-type"]: given["name"]
        for operation in served
        for given in _at(spec, operation).get("parameters", ())
        if "x-ms-docs-key-type" in given and given["name"] != "Number"
    }


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
