"""Check what clients send: known properties, their types and their words. Pure.

The types are those of the templates' values. The words are those of the OpenAPI file's
enumerations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from monitor.simulator.pbx_data import templates_trunks_contacts
from monitor.simulator.pbx_data.templates_internal import (
    Entity,
    queue,
    receptionist,
    ring_group,
    user,
)
from monitor.simulator.xapi import errors
from monitor.simulator.xapi.odata.filter import ODataError

_VOICEMAIL = (
    "None",
    "Notification",
    "Attachment",
    "AttachmentAndDelete",
    "VmailToMembers",
    "EmailToExtrasOnly",
)
_PEERS = (
    *(
        "None",
        "Extension",
        "Queue",
        "RingGroup",
        "IVR",
        "Fax",
        "Conference",
        "SpecialMenu",
        "Parking",
    ),
    *("ExternalLine", "Group", "RoutePoint"),
)
_POLLING = (
    *(
        "Hunt",
        "RingAll",
        "HuntRandomStart",
        "NextAgent",
        "LongestWaiting",
        "LeastTalkTime",
        "FewestAnswered",
    ),
    *(
        "HuntBy3s",
        "First3Available",
        "SkillBasedRouting_RingAll",
        "SkillBasedRouting_HuntRandomStart",
    ),
    *("SkillBasedRouting_RoundRobin", "SkillBasedRouting_FewestAnswered"),
)
_FORWARDS = (
    *(
        "EndCall",
        "Extension",
        "RingGroup",
        "Queue",
        "IVR",
        "VoiceMail",
        "CallByName",
        "RepeatPrompt",
        "CustomInput",
    ),
)
WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "CallType": ("AllCalls", "InternalCallsOnly", "ExternalCallsOnly"),
    "CallUsRequirement": ("Both", "Name", "Email", "None"),
    "Condition": (
        "NoAnswer",
        "PhoneBusy",
        "PhoneNotRegistered",
        "ForwardAll",
        "BasedOnCallerID",
        "BasedOnDID",
    ),
    "ContactType": ("3CX", "CRM", "Google", "M365"),
    "Direction": ("None", "Inbound", "Outbound", "Both"),
    "ForwardType": _FORWARDS,
    "IPRestriction": ("Any", "IPV4", "IPV6"),
    "IVRType": ("Default", "CodeBased", "ScriptBased", "Wakeup"),
    "PeerType": _PEERS,
    "PollingStrategy": _POLLING,
    "QueueStatus": ("LoggedOut", "LoggedIn"),
    "Recording": ("Disabled", "AllowToOptOut", "AskToOptIn"),
    "RingStrategy": ("Hunt", "RingAll", "Paging"),
    "SRTPMode": ("SRTPDisabled", "SRTPEnabled", "SRTPEnforced"),
    "TimeoutForwardPeerType": _PEERS,
    "TimeoutForwardType": _FORWARDS,
    "TranscriptionMode": ("Nothing", "Voicemail", "Recordings", "Both", "Inherit"),
    "TransportRestriction": ("Any", "UDP", "TCP", "TLS"),
    "TypeOfChatOwnershipType": ("TakeManually", "AutoAssign"),
    "VMEmailOptions": _VOICEMAIL,
    "VMPlayMsgDateTime": ("None", "Play12Hr", "Play24Hr"),
}
"""Allowed words of a property, by the property's name."""

TEMPLATES: Final[Mapping[str, Entity]] = {
    "User": user(""),
    "Queue": queue(""),
    "RingGroup": ring_group(""),
    "Receptionist": receptionist(""),
    "Trunk": templates_trunks_contacts.trunk(""),
    "Group": {**templates_trunks_contacts.group(""), "Members": [], "HasMembers": False},
    "Contact": templates_trunks_contacts.contact(),
    "InboundRule": templates_trunks_contacts.inbound_rule("", ""),
    "OutboundRule": templates_trunks_contacts.outbound_rule(),
    "Parking": templates_trunks_contacts.parking(""),
    "Fax": templates_trunks_contacts.fax(""),
    "ServicePrincipal": templates_trunks_contacts.service_principal(""),
    "ForwardingProfile": user("")["ForwardingProfiles"][0],
    "Greeting": {"DisplayName": "", "Filename": "", "Type": ""},
    "QueueAgent": {"Id": 0, "Name": "", "Number": "", "SkillGroup": "", "Tags": []},
    "Person": {"Id": 0, "Name": "", "Number": "", "Tags": []},
    "Peer": {
        "Hidden": False,
        "Id": 0,
        "MemberOf": [],
        "Name": "",
        "Number": "",
        "Tags": [],
        "Type": "",
    },
    "ReceptionistForward": {
        "CustomData": "",
        "ForwardDN": "",
        "ForwardType": "",
        "Id": 0,
        "Input": "",
        "PeerType": "",
    },
    "Rights": templates_trunks_contacts.rights(""),
    "UserGroup": {
        "CanDelete": True,
        "GroupId": 0,
        "GroupRights": {},
        "Id": 0,
        "MemberName": "",
        "Name": "",
        "Number": "",
        "Rights": {},
        "Tags": [],
        "TranscriptionMode": "",
        "Type": "",
    },
}
"""Properties of each entity type, with values of the right types."""

_INT32: Final = 2**31
_LONGEST: Final = 131_072


def check(kind: str, body: Any) -> Entity:
    """Return the body without annotations, if all its properties fit the entity type.

    Properties may be missing. Unknown properties and wrong types raise ODataError, as errors of the
    OData layer, and so do unknown words. Texts that are too long raise XapiError, with 3CX's own
    word.
    """
    if not isinstance(body, dict):
        raise ODataError("The request body must be a JSON object.")
    template = TEMPLATES[kind]
    values = {name: value for name, value in body.items() if "@odata." not in name}
    for name, value in values.items():
        if name not in template:
            raise ODataError(f"The property '{name}' does not exist on type 'Pbx.{kind}'.")
        _check_type(name, value, template[name])
        _check_word(name, value)
    return values


def check_rows(kind: str, name: str, rows: Any) -> list[Entity]:
    """Return the checked rows of a navigation property. Raises ODataError or XapiError."""
    if not isinstance(rows, list):
        raise ODataError(f"The property '{name}' must be an array.")
    return [check(kind, row) for row in rows]


def _check_type(name: str, value: Any, example: Any) -> None:
    if value is None or example is None:
        return
    right = type(value) is type(example)
    if right and isinstance(example, dict) and example and not value.keys() <= example.keys():
        raise ODataError(
            f"A property of '{name}' does not exist: {min(value.keys() - example.keys())}."
        )
    if not right or (isinstance(value, int) and not -_INT32 <= value < _INT32):
        raise ODataError(f"Cannot convert the value of '{name}' to the expected type.")


def _check_word(name: str, value: Any) -> None:
    if isinstance(value, str) and name in WORDS and value not in WORDS[name]:
        raise ODataError(f"'{value}' is not a value of the enumeration of '{name}'.")
    if isinstance(value, str) and len(value) > _LONGEST:
        raise errors.bad(errors.TOO_LONG, name)
