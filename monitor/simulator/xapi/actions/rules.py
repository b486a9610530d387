"""Carry out what is done with rules, trunks and the address book as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi import errors
from monitor.simulator.xapi.actions.operation import DONE, Operation, body_object
from monitor.simulator.xapi.description.schema import mismatch, value_type
from monitor.simulator.xapi.odata.filter import ODataError
from monitor.simulator.xapi.request import XapiRequest, XapiResponse
from monitor.simulator.xapi.validation import check


def _emergency_rules(asked: XapiRequest) -> XapiResponse:
    rules = asked.site.directory.outbound_rules.values()
    return asked.many("OutboundRule", [r for r in rules if r["EmergencyRule"]], "OutboundRules")


def _move_rule(asked: XapiRequest) -> XapiResponse:
    """Move a rule one place up or down. At the end of the list it stays where it is."""
    body = body_object(asked)
    key, up = body.get("id"), body.get("up")
    if type(key) is not int or type(up) is not bool:
        raise ODataError("The parameters 'id' and 'up' must be an integer and a boolean.")
    rules = sorted(asked.site.directory.outbound_rules.values(), key=_place)
    at = next((place for place, rule in enumerate(rules) if rule["Id"] == key), None)
    if at is None:
        raise errors.not_found()
    other = at - 1 if up else at + 1
    if 0 <= other < len(rules):
        rules[at], rules[other] = rules[other], rules[at]
    for place, rule in enumerate(rules):
        rule["Priority"] = place
    return DONE


def _place(rule: Entity) -> tuple[int, int]:
    return rule["Priority"] or 0, rule["Id"]


def _purge_rules(asked: XapiRequest) -> XapiResponse:
    """Delete the rules that the body names, or all."""
    purged = body_object(asked).get("purgeObject") if asked.body else None
    ids = check("XOutboundRulePurge", purged).get("Ids") if purged is not None else None
    rules = asked.site.directory.outbound_rules
    for key in list(rules) if ids is None else ids:
        rules.pop(key, None)
    return DONE


def _caller_id_rules(asked: XapiRequest) -> XapiResponse:
    rules = asked.site.directory.inbound_rules.values()
    found = [rule for rule in rules if rule["Condition"] == "BasedOnCallerID"]
    return asked.many("InboundRule", found, "InboundRules")


def _register_trunk(asked: XapiRequest) -> XapiResponse:
    key = body_object(asked).get("id")
    trunk = asked.site.directory.trunks.get(key) if type(key) is int else None
    if trunk is None:
        raise errors.not_found()
    asked.site.directory.update(trunk, {"IsOnline": True})
    return DONE


def _delete_contacts(asked: XapiRequest) -> XapiResponse:
    """Delete the entries of the address book that came from one source."""
    source = body_object(asked).get("contactSource")
    if source is None or mismatch(source, value_type("Pbx.ContactSource")):
        raise errors.bad(errors.INVALID, "contactSource")
    book = asked.site.directory.book
    for key in [key for key, one in book.contacts.items() if one["ContactType"] == source]:
        book.remove(key)
    return DONE


OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("OutboundRules", "Pbx.GetEmergencyOutboundRules"): Operation("GET", _emergency_rules),
    ("OutboundRules", "Pbx.MoveUpDown"): Operation("POST", _move_rule),
    ("OutboundRules", "Pbx.Purge"): Operation("POST", _purge_rules),
    ("InboundRules", "Pbx.ExportCallerIdRules"): Operation("GET", _caller_id_rules),
    ("Trunks", "Pbx.RefreshRegistration"): Operation("POST", _register_trunk),
    ("Contacts", "Pbx.DeleteContactsByType"): Operation("POST", _delete_contacts),
}
"""Operations by the collection to which they belong and by name."""
