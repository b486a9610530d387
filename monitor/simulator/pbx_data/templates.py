"""Make entities with every structural property, as in a freshly installed 3CX v20.

``tables.json`` holds the entity types: names and types of properties are those of the official
OpenAPI file, values are those of a new entity. An entity also keeps its navigation properties
(``Agents``, ``Members`` …), as rows that identify the other side.
:mod:`monitor.simulator.xapi.entity_types` turns these rows into what the PBX answers. Nested values
are shared between entities: replace them, never change them in place.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

Entity: TypeAlias = dict[str, Any]

PROFILES: Final = ("Available", "Away", "Out of office", "Custom 1", "Custom 2")
"""Names of a user's forwarding profiles: the values of ``CurrentProfileName``."""

ROLES: Final = (
    "users",
    "receptionists",
    "group_admins",
    "managers",
    "group_owners",
    "system_admins",
    "system_owners",
)
"""Roles from the least to the most powerful."""

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

_MANAGERS_MAY: Final = (
    "AllowToChangePresence",
    "AllowToManageCompanyBook",
    "AssignClearOperations",
    "CanBargeIn",
    "CanSeeGroupCalls",
    "CanSeeGroupRecordings",
    "PerformOperations",
)


class EntityType(msgspec.Struct, frozen=True):
    """Represent an entity type of the XAPI.

    ``properties``: the values of a new entity; null where the PBX always makes the value.
    ``navigation``: type of the other side, ``[Peer]`` for a list. ``searched``: properties that
    ``$search`` reads. ``secrets`` are answered as null.
    """

    properties: Entity
    navigation: dict[str, str] = {}
    searched: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


class Tables(msgspec.Struct, frozen=True):
    """Hold what ``tables.json`` says. ``made_up``: names for the generator."""

    types: dict[str, EntityType]
    made_up: dict[str, list[Any]]


@cache
def tables() -> Tables:
    """Return the tables. They are read once, when they are first needed."""
    return msgspec.json.decode(Path(__file__).with_name("tables.json").read_bytes(), type=Tables)


def blank(kind: str, /, **values: Any) -> Entity:
    """Return a new entity of a type, with ``values`` in place of the defaults."""
    return {**tables().types[kind].properties, **values}


def display_name(first: str, last: str) -> str:
    """Return the name that 3CX shows for a user: ``Last, First``, or the only name given."""
    return f"{last}, {first}" if first and last else first or last


def destination(to: str, number: str = "", name: str = "", kind: str = "None") -> Entity:
    """Return the place to which a call is sent.

    ``to`` is a DestinationType, ``kind`` a PeerType.
    """
    return {"External": "", "Name": name, "Number": number, "Tags": [], "To": to, "Type": kind}


def user(number: str, first: str = "", last: str = "") -> Entity:
    """Return an extension with its five forwarding profiles.

    It has no registered device, is logged in at the queues and has the profile Available.
    """
    return blank(
        "User",
        Number=number,
        FirstName=first,
        LastName=last,
        DisplayName=display_name(first, last),
        ForwardingProfiles=_profiles(number),
    )


def trunk(number: str, name: str = "", main: str = "", calls: int = 10) -> Entity:
    """Return a SIP trunk with one line DN.

    ``main`` is its main number. ``calls`` is the number of calls that it carries at once.
    """
    entity = blank(
        "Trunk", Number=number, AuthID=number, ExternalNumber=main, SimultaneousCalls=calls
    )
    label = "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())
    host = f"sip.{label or 'trunk'}.example"
    own = {"Name": name, "Host": host, "ProxyHost": host, "Lines": calls}
    return {**entity, "Gateway": {**entity["Gateway"], **own}}


def group(number: str, name: str = "", is_default: bool = False) -> Entity:
    """Return a department. Its members are not listed here but in each member's own ``Groups``."""
    roles = [rights(role) for role in ("users", "managers", "group_owners")]
    entity = blank("Group", Number=number, Name=name, IsDefault=is_default, Rights=roles)
    del entity["Members"], entity["HasMembers"]
    return entity


def rights(role: str) -> Entity:
    """Return what members with a role may do in a department."""
    manages = role not in ("users", "receptionists")
    return blank("Rights", RoleName=role, **dict.fromkeys(_MANAGERS_MAY, manages))


def contact(first: str = "", last: str = "", company: str = "", phone: str = "") -> Entity:
    """Return an entry of the company's address book. ``phone`` is the mobile number."""
    return blank("Contact", FirstName=first, LastName=last, CompanyName=company, PhoneNumber=phone)


def inbound_rule(name: str, trunk_number: str, did: str = "", to: Entity | None = None) -> Entity:
    """Return a rule for calls from a trunk: those to ``did``, or all if it is empty."""
    where = to or destination("None")
    return blank(
        "InboundRule",
        RuleName=name,
        Condition="BasedOnDID" if did else "ForwardAll",
        Data=did,
        HolidaysDestination=where,
        OfficeHoursDestination=where,
        OutOfOfficeHoursDestination=where,
        TrunkDN={"Number": trunk_number},
    )


def service_principal(client_id: str, peers: tuple[str, ...] = ()) -> Entity:
    """Return an API client, which is a route point too. It may monitor the DNs ``peers``."""
    return blank(
        "ServicePrincipal",
        Number=client_id,
        Groups=[{"GroupId": None, "Rights": {"RoleName": ROLES[-1]}}],
        Peers=[{"Number": number} for number in peers],
    )


def fax(number: str) -> Entity:
    """Return a fax extension."""
    return blank("Fax", Number=number, AuthID=number)


def outbound_rule(name: str = "", trunks: tuple[tuple[int, str], ...] = ()) -> Entity:
    """Return a rule for calls to the outside, from any extension to any number.

    ``trunks``: Id and name of each trunk, in the order in which they are tried.
    """
    route = {"Append": "", "CallerID": "", "Prepend": "", "StripDigits": 0}
    routes = [{**route, "TrunkId": key, "TrunkName": trunk} for key, trunk in trunks]
    return blank("OutboundRule", Name=name, Routes=routes)


def _profiles(number: str) -> list[Entity]:
    voicemail = destination("VoiceMail", number, kind="Extension")
    example = blank("ForwardingProfile")
    routes = {
        name: {key: voicemail if isinstance(to, dict) else to for key, to in example[name].items()}
        for name in ("AvailableRoute", "AwayRoute")
    }
    return [
        blank("ForwardingProfile", Id=position, Name=name, **routes)
        for position, name in enumerate(PROFILES, start=1)
    ]
