"""Make trunks, departments, contacts, rules and API clients with every structural property. Pure.

The rules of :mod:`monitor.simulator.pbx_data.templates_internal` hold here too.
"""

from __future__ import annotations

from typing import Final

from monitor.simulator.pbx_data.templates_internal import Entity, destination

_NO_ROUTE: Final[Entity] = {"IsPromptEnabled": False, "Prompt": "", "Route": destination("None")}
CONTACT_PHONES: Final = (
    "PhoneNumber",
    "Mobile2",
    "Home",
    "Business",
    "Business2",
    "Other",
    "BusinessFax",
    "Pager",
)
"""A contact's fields that hold telephone numbers."""


def trunk(
    number: str, name: str = "", main: str = "", dids: tuple[str, ...] = (), calls: int = 10
) -> Entity:
    """Return a SIP trunk with one line DN.

    ``main`` is its main number. ``calls`` is the number of calls that it carries at once.
    """
    return {
        "Id": 0,
        "Number": number,
        "TranscriptionMode": "Inherit",
        "AuthID": number,
        "AuthPassword": {"Concealed": False, "Value": ""},
        "Certificate": "",
        "CertificateExpirationDate": None,
        "CertificateName": "",
        "ConfigurationIssue": "",
        "DidNumbers": list(dids),
        "Direction": "Both",
        "DisableCallTransfer": False,
        "DisableVideo": False,
        "DiversionHeader": False,
        "E164CountryCode": "",
        "E164ProcessIncomingNumber": False,
        "EnableInboundCalls": True,
        "EnableOutboundCalls": True,
        "ExternalNumber": main,
        "Gateway": _gateway(name, calls),
        "InCIDFormatting": [],
        "IPRestriction": "Any",
        "IsOnline": True,
        "Messaging": None,
        "OutboundCallerID": "",
        "OutCIDFormatting": [],
        "PublicInfoGroups": [],
        "PublicIPinSIP": "",
        "PublishInfo": False,
        "ReceiveInfo": False,
        "RemoteMyPhoneUriHost": "",
        "RemotePBXPreffix": "",
        "ScriptName": "",
        "SecondaryRegistrar": "",
        "SeparateAuthId": "",
        "SimultaneousCalls": calls,
        "Tags": [],
        "TransportRestriction": "Any",
        "TrunkRegTimes": [],
        "TunnelEnabled": False,
        "TunnelRemoteAddr": "",
        "TunnelRemotePort": 5090,
        "UseSeparateAuthId": False,
        "Groups": [],
        "EmergencyGeoLocations": [],
        "ReceiveExtensions": [],
        "RoutingRules": [],
    }


def group(number: str, name: str = "", is_default: bool = False) -> Entity:
    """Return a department. Its members are not listed here but in each member's own ``Groups``."""
    return {
        "Id": 0,
        "Number": number,
        "Name": name,
        "IsDefault": is_default,
        "TranscriptionMode": "Nothing",
        "CallUsEnableChat": True,
        "CallUsEnablePhone": True,
        "CallUsEnableVideo": True,
        "CallUsRequirement": "Both",
        "ClickToCallId": "",
        "AllowCallService": True,
        "AnswerAfter": 20,
        "BreakRoute": _NO_ROUTE,
        "BreakTime": {"IgnoreHolidays": False, "Periods": [], "Type": "Never"},
        "CallHandlingMode": [],
        "CurrentGroupHours": "Default",
        "CustomOperator": destination("None"),
        "CustomPrompt": "",
        "DisableCustomPrompt": True,
        "GloballyVisible": False,
        "HolidaysRoute": _NO_ROUTE,
        "Hours": {"IgnoreHolidays": False, "Periods": [], "Type": "AllHours"},
        "Language": "EN",
        "LastLoginTime": None,
        "MusicOnHold": "",
        "OfficeRoute": _NO_ROUTE,
        "OutOfOfficeRoute": _NO_ROUTE,
        "OverrideExpiresAt": None,
        "OverrideHolidays": False,
        "PromptSet": "",
        "Props": None,
        "TimeZoneId": "UTC",
        "Groups": [],
        "OfficeHolidays": [],
        "Rights": [rights(role) for role in ("users", "managers", "group_owners")],
    }


def rights(role: str) -> Entity:
    """Return what members with a role may do in a department."""
    manages = role not in ("users", "receptionists")
    return {
        "RoleName": role,
        "AllowIVR": True,
        "AllowParking": True,
        "AllowToChangePresence": manages,
        "AllowToManageCompanyBook": manages,
        "AssignClearOperations": manages,
        "CanBargeIn": manages,
        "CanIntercom": True,
        "CanSeeGroupCalls": manages,
        "CanSeeGroupMembers": True,
        "CanSeeGroupRecordings": manages,
        "Invalid": False,
        "PerformOperations": manages,
        "ShowMyCalls": True,
        "ShowMyPresence": True,
        "ShowMyPresenceOutside": False,
    }


def contact(first: str = "", last: str = "", company: str = "", phone: str = "") -> Entity:
    """Return an entry of the company's address book. ``phone`` is the mobile number."""
    return {
        "Id": 0,
        "FirstName": first,
        "LastName": last,
        "CompanyName": company,
        "Title": "",
        "Department": "",
        "Email": "",
        "PhoneNumber": phone,
        "Mobile2": "",
        "Home": "",
        "Business": "",
        "Business2": "",
        "BusinessFax": "",
        "Pager": "",
        "Other": "",
        "Tag": "",
        "ContactType": "3CX",
    }


def inbound_rule(name: str, trunk_number: str, did: str = "", to: Entity | None = None) -> Entity:
    """Return a rule for calls from a trunk: those to ``did``, or all if it is empty."""
    where = to or destination("None")
    return {
        "Id": 0,
        "RuleName": name,
        "Condition": "BasedOnDID" if did else "ForwardAll",
        "Data": did,
        "CallType": "AllCalls",
        "CustomData": "",
        "AlterDestinationDuringHolidays": False,
        "AlterDestinationDuringOutOfOfficeHours": False,
        "HolidaysDestination": where,
        "Hours": {"IgnoreHolidays": False, "Periods": [], "Type": "AllHours"},
        "OfficeHoursDestination": where,
        "OutOfOfficeHoursDestination": where,
        "TrunkDN": {"Number": trunk_number},
    }


def service_principal(
    client_id: str, peers: tuple[str, ...] = (), role: str = "system_owners"
) -> Entity:
    """Return an API client, which is a route point too. It may monitor the DNs ``peers``."""
    return {
        "Id": 0,
        "Number": client_id,
        "TranscriptionMode": "Inherit",
        "XAPIEnabled": True,
        "CallControlEnabled": True,
        "MyPhoneEnabled": False,
        "IsSystem": False,
        "LastUsed": None,
        "Groups": [{"GroupId": None, "Rights": {"RoleName": role}}],
        "Peers": [{"Number": number} for number in peers],
    }


def parking(number: str) -> Entity:
    """Return a parking place."""
    return {"Id": 0, "Number": number, "TranscriptionMode": "Inherit", "Groups": []}


def fax(number: str) -> Entity:
    """Return a fax extension."""
    return {
        "Id": 0,
        "Number": number,
        "TranscriptionMode": "Inherit",
        "AuthID": number,
        "AuthPassword": "",
        "FaxServer": False,
        "OutboundCallerId": "",
        "Groups": [],
    }


def outbound_rule(name: str = "", trunks: tuple[tuple[int, str], ...] = ()) -> Entity:
    """Return a rule for calls to the outside, from any extension to any number.

    ``trunks``: Id and name of each trunk, in the order in which they are tried.
    """
    return {
        "Id": 0,
        "Name": name,
        "DNRanges": [],
        "EmergencyRule": False,
        "GroupIds": [],
        "GroupNames": [],
        "NumberLengthRanges": "",
        "Prefix": "",
        "Priority": 0,
        "Routes": [
            {
                "Append": "",
                "CallerID": "",
                "Prepend": "",
                "StripDigits": 0,
                "TrunkId": key,
                "TrunkName": trunk,
            }
            for key, trunk in trunks
        ],
    }


def _gateway(name: str, calls: int) -> Entity:
    label = "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())
    host = f"sip.{label or 'trunk'}.example"
    return {
        "Id": 0,
        "Name": name,
        "Codecs": ["PCMA", "PCMU", "G729"],
        "DeliverAudio": True,
        "DestNumberInRemotePartyIDCalled": False,
        "DestNumberInRequestLineURI": False,
        "DestNumberInTo": True,
        "Host": host,
        "InboundParams": [],
        "Internal": False,
        "IPInRegistrationContact": "External",
        "IsCustom": True,
        "Lines": calls,
        "MatchingStrategy": "MatchAnyFields",
        "OutboundCallerID": "",
        "OutboundParams": [],
        "Port": 5060,
        "ProxyHost": host,
        "ProxyPort": 5060,
        "RequireRegistrationFor": "InOutCalls",
        "SourceIdentification": [],
        "SpecifiedIPForRegistrationContact": "",
        "SRTPMode": "SRTPDisabled",
        "SupportReinvite": True,
        "SupportReplaces": False,
        "TemplateFilename": "",
        "TimeBetweenReg": 600,
        "Type": "Provider",
        "UseIPInContact": False,
        "VariableChoices": [],
    }
