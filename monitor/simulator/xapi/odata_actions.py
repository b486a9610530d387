"""Carry out the functions (GET) and actions (POST) of the XAPI. They are listed in one table."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from monitor.simulator.pbx_data import templates
from monitor.simulator.pbx_data.directory import DnKind
from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi import derived_entities, errors, system, writes
from monitor.simulator.xapi.actions import departments, logs, properties, rules, services, users
from monitor.simulator.xapi.actions.operation import (
    DONE,
    Operation,
    body_ids,
    body_object,
    body_text,
    deletes,
)
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.description.operations import Described, invoked
from monitor.simulator.xapi.entity_sets import FREE_NUMBERS
from monitor.simulator.xapi.entity_types import SHAPES
from monitor.simulator.xapi.reports.table import REPORTS, nothing
from monitor.simulator.xapi.request import XapiRequest, XapiResponse

_MAKECALL_TIMEOUT: Final = 30
"""Seconds for which a call made by the API rings. The request has no field for it."""


def _first_free(owner: tuple[str, str]) -> Operation:
    def run(asked: XapiRequest) -> XapiResponse:
        number = asked.site.directory.first_free(FREE_NUMBERS[owner])
        return asked.reply("Pbx.FirstAvailableNumber", {"Number": number})

    return Operation("GET", run)


def _about(shape: str, make: Callable[[Site], Entity]) -> Operation:
    return Operation("GET", lambda asked: asked.one(shape, make(asked.site), f"Pbx.{shape}"))


def _init_fax(asked: XapiRequest) -> XapiResponse:
    entity = {**templates.fax(_free(asked, "fax")), "AuthPassword": secrets.token_hex(8)}
    return _blank(asked, "Fax", entity)


def _init_trunk(asked: XapiRequest) -> XapiResponse:
    return _blank(asked, "Trunk", templates.trunk(_free(asked, "externalline")))


def _free(asked: XapiRequest, kind: DnKind) -> str:
    number = asked.site.directory.first_free(kind)
    if number is None:
        raise errors.bad(errors.NO_NUMBERS, "Number")
    return number


def _blank(asked: XapiRequest, shape: str, entity: Entity) -> XapiResponse:
    """Answer with an entity for the client to fill in and post back. No secret is concealed."""
    return asked.reply(f"Pbx.{shape}", {name: entity[name] for name in SHAPES[shape].fields})


def _make_call(asked: XapiRequest) -> XapiResponse:
    dn, destination = body_text(asked, "dn"), body_text(asked, "destination")
    outcome = asked.site.calls.makecall(dn, None, destination, _MAKECALL_TIMEOUT, {})
    body: dict[str, Any] = {
        "FinalStatus": outcome.finalstatus,
        "Reason": outcome.reason,
        "ReasonText": outcome.reasontext,
    }
    if outcome.participant is not None:
        asked.site.calls.served_participant(outcome.participant)
        participant = outcome.participant.to_json(asked.site.switches)
        body["Result"] = {pascal: participant[name] for name, pascal in _PARTICIPANT.items()}
    body["VttId"] = None
    failed = outcome.finalstatus != "Success" and asked.site.switches.failed_makecall == "status"
    return asked.reply("Pbx.CallControlResultResponse", body, 422 if failed else 200)


def _batch_delete(asked: XapiRequest) -> XapiResponse:
    directory = asked.site.directory
    refused = []
    for user_id in body_ids(asked):
        user = directory.users.get(user_id)
        try:
            if user is None:
                raise errors.not_found()
            writes.delete_dn(directory, user)
        except errors.XapiError as error:
            refused.append(
                {"Error": error.message, "ExtensionNumber": user["Number"] if user else None}
            )
    return asked.reply("Collection(Pbx.UserDeleteError)", {"value": refused})


def _contacts_by_number(asked: XapiRequest) -> XapiResponse:
    number = str(asked.arguments["number"])
    found = asked.site.directory.book.find(number, asked.site.switches.contacts_match)
    return asked.many("Contact", found, "Contacts")


def _contact_by_number(asked: XapiRequest) -> XapiResponse:
    number, contact = body_text(asked, "number"), asked.body.get("contact") or {}
    if isinstance(contact, dict) and not any(
        contact.get(name) for name in templates.CONTACT_PHONES
    ):
        contact = {**contact, "PhoneNumber": number}
    made = writes.create_contact(asked.site.directory, asked.site.switches, contact)
    return asked.one("Contact", made, "Contacts/$entity")


def _delete_contacts(asked: XapiRequest) -> XapiResponse:
    for contact_id in body_ids(asked):
        if contact_id in asked.site.directory.contacts:
            asked.site.directory.book.remove(contact_id)
    return DONE


def _drop_call(asked: XapiRequest) -> XapiResponse:
    if not asked.site.calls.drop_call(asked.entity["Id"]):
        raise errors.not_found()
    return asked.reply("Pbx.IActionResult", {})


def _system_extensions(asked: XapiRequest) -> XapiResponse:
    found = derived_entities.system_extensions(asked.site.directory)
    return asked.many("SystemExtensionStatus", found, "Collection(Pbx.SystemExtensionStatus)")


def _report_peers(asked: XapiRequest) -> XapiResponse:
    return asked.many(
        "Peer", [derived_entities.peer(dn) for dn in asked.site.directory.dns()], "Peers"
    )


def _peers_by_numbers(asked: XapiRequest) -> XapiResponse:
    wanted = body_object(asked).get("peersRequest")
    numbers = wanted.get("DnNumbers") if isinstance(wanted, dict) else None
    if not isinstance(numbers, list):
        raise errors.bad(errors.REQUIRED, "peersRequest")
    found = derived_entities.peers(
        asked.site.directory, [number for number in numbers if isinstance(number, str)]
    )
    return asked.many("Peer", found, "Peers")


def _generate_secret(asked: XapiRequest) -> XapiResponse:
    secret = secrets.token_urlsafe(24)
    asked.site.directory.secrets[asked.entity["Number"]] = secret
    return asked.reply("Edm.String", {"value": secret})


def _has_owner(asked: XapiRequest) -> XapiResponse:
    users = asked.site.directory.users.values()
    roles = {row["Rights"]["RoleName"] for user in users for row in user["Groups"]}
    return asked.reply("Edm.Boolean", {"value": "system_owners" in roles})


def _end_login(asked: XapiRequest) -> XapiResponse:
    return _ended(asked, None)


def _end_own_login(asked: XapiRequest) -> XapiResponse:
    return _ended(asked, asked.client_id)


def _ended(asked: XapiRequest, client_id: str | None) -> XapiResponse:
    tokens = asked.site.tokens
    if tokens is None or not tokens.end_login(asked.entity["Id"], client_id):
        raise errors.not_found()
    return DONE


def _reset_statistics(_: XapiRequest) -> XapiResponse:
    return DONE


def _report(described: Described) -> Operation:
    make = REPORTS.get(described.owner, nothing)
    shape = described.answer.name.removeprefix("Pbx.")

    def run(asked: XapiRequest) -> XapiResponse:
        return asked.many(shape, make(asked.site, asked.arguments), f"Collection(Pbx.{shape})")

    return Operation("GET", run)


OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    **{key: _report(found) for key, found in invoked().items() if key[0].startswith("Report")},
    **{owner: _first_free(owner) for owner in FREE_NUMBERS},
    **departments.OPERATIONS,
    **logs.OPERATIONS,
    **properties.OPERATIONS,
    **rules.OPERATIONS,
    **services.OPERATIONS,
    **users.OPERATIONS,
    ("Users", "Pbx.MakeCall"): Operation("POST", _make_call),
    ("Users", "Pbx.BatchDelete"): Operation("POST", _batch_delete),
    ("Contacts", "Pbx.GetContactsByNumber"): Operation("GET", _contacts_by_number),
    ("Contacts", "Pbx.CreateContactByNumber"): Operation("POST", _contact_by_number),
    ("Contacts", "Pbx.DeleteContactsById"): Operation("POST", _delete_contacts),
    ("InboundRules", "Pbx.BulkInboundRulesDelete"): deletes("InboundRules"),
    ("BlackListNumbers", "Pbx.BulkNumbersDelete"): deletes("BlackListNumbers", str),
    ("Blocklist", "Pbx.BulkIpsDelete"): deletes("Blocklist"),
    ("Fax", "Pbx.BulkFaxDelete"): deletes("Fax"),
    ("WebsiteLinks", "Pbx.BulkLinksDelete"): deletes("WebsiteLinks", str),
    ("MyTokens", "Pbx.RevokeToken"): Operation("POST", _end_own_login, bound=True),
    ("SecurityTokens", "Pbx.RevokeToken"): Operation("POST", _end_login, bound=True),
    ("Defs", "Pbx.HasSystemOwner"): Operation("GET", _has_owner),
    ("ActiveCalls", "Pbx.DropCall"): Operation("POST", _drop_call, bound=True),
    ("Queues", "Pbx.ResetQueueStatistics"): Operation("POST", _reset_statistics, bound=True),
    ("Fax", "Pbx.InitFax"): Operation("GET", _init_fax),
    ("Trunks", "Pbx.InitTrunk"): Operation("GET", _init_trunk),
    ("Defs", "Pbx.GetSystemParameters"): _about("SystemParameters", system.system_parameters),
    ("Defs", "Pbx.GetLicenseParameters"): _about("License", system.license_parameters),
    ("SystemStatus", "Pbx.SystemHealthStatus"): _about("SystemHealthStatus", system.health),
    ("SystemStatus", "Pbx.SystemExtensions"): Operation("GET", _system_extensions),
    ("Peers", "Pbx.GetReportPeers"): Operation("GET", _report_peers),
    ("Peers", "Pbx.RetreivePeersByNumbers"): Operation("POST", _peers_by_numbers),
    ("ServicePrincipals", "Pbx.GenerateAppToken"): Operation("POST", _generate_secret, bound=True),
}
"""Operations by name and by the collection or singleton to which they belong."""

_PARTICIPANT: Final = {
    "id": "Id",
    "status": "Status",
    "dn": "DN",
    "party_caller_name": "PartyCallerName",
    "party_dn": "PartyDn",
    "party_caller_id": "PartyCallerId",
    "device_id": "DeviceId",
    "party_dn_type": "PartyDnType",
    "direct_control": "DirectControl",
    "callid": "CallId",
    "legid": "LegId",
}
