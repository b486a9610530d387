"""Parse XAPI's rows into the rows of :mod:`monitor.pbx.facts`. Pure.

Each function takes one row as decoded from JSON. A field that is missing or of another type gets
its default. A row without its number, or without another key that identifies it, gives None and
is to be left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from monitor.pbx.facts import (
    ActiveCall,
    AgentRow,
    DepartmentRow,
    InboundRuleRow,
    IvrRow,
    PeerRow,
    QueueRow,
    RingGroupRow,
    SystemRow,
    TrunkRow,
    UserRow,
)
from monitor.pbx.parsing.json_fields import (
    MOST_CALLS,
    check_number,
    dn_number,
    flag,
    integer,
    objects,
    outside_number,
    posix,
    record,
    text,
    texts,
)
from monitor.shared.entities.topics import Contact
from monitor.shared.time_zones import ZoneRow

_ONLY_PEERS = frozenset({"conference", "specialmenu", "parking", "fax", "routepoint"})
"""PeerTypes, in lower case, of DNs that no collection of the directory lists except Peers."""
_DESTINATIONS = {
    "OfficeHoursDestination": "",
    "OutOfOfficeHoursDestination": "AlterDestinationDuringOutOfOfficeHours",
    "HolidaysDestination": "AlterDestinationDuringHolidays",
}
"""Property with a rule's destination → property that says whether it is in force; empty: always."""
_DNS = frozenset({"Extension", "Queue", "RingGroup", "IVR", "Fax", "RoutePoint"})
"""DestinationTypes that lead to the DN whose number they give."""


class ActiveCallRows:
    """Parse one answer of ActiveCalls after the other.

    ActiveCalls is read many times a second, and most rows are as they were: only ``ServerNow``
    moves. A row that has not changed since the last answer is not parsed again.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[tuple[Any, ...], ActiveCall]] = {}
        """A row's Id → its fields as they came, and what they mean. Only the last answer's rows."""

    def parse(self, listed: Iterable[Mapping[str, Any]]) -> tuple[ActiveCall, ...]:
        """Return the rows of an answer; those without an Id are left out.

        Raises PbxGarbled if there are too many.
        """
        known: dict[int, tuple[tuple[Any, ...], ActiveCall]] = {}
        calls: list[ActiveCall] = []
        for row in listed:
            id_ = integer(row, "Id")
            if id_ is None:
                continue
            fields = _call_fields(row)
            held = self._known.get(id_)
            if held is not None and held[0] == fields:
                known[id_] = held
                calls.append(held[1])
            elif (call := active_call(row)) is not None:
                calls.append(call)
                if all(isinstance(value, str | None) for value in fields):  # else 1 is True
                    known[id_] = fields, call
        check_number(len(calls), MOST_CALLS, "calls")
        self._known = known
        return tuple(calls)


def _call_fields(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what :func:`active_call` reads of a row, beside the Id."""
    get = row.get
    return (
        get("Caller"),
        get("Callee"),
        get("Status"),
        get("LastChangeStatus"),
        get("EstablishedAt"),
    )


def active_call(row: Mapping[str, Any]) -> ActiveCall | None:
    """Return a row of ActiveCalls."""
    call_id = integer(row, "Id")
    if call_id is None:
        return None
    return ActiveCall(
        id=call_id,
        caller=text(row, "Caller"),
        callee=text(row, "Callee"),
        status=text(row, "Status"),
        last_change_status=posix(row, "LastChangeStatus"),
        established_at=posix(row, "EstablishedAt"),
    )


def server_now(row: Mapping[str, Any]) -> float | None:
    """Return the PBX's clock from a row of ActiveCalls, in POSIX seconds."""
    return posix(row, "ServerNow")


def user(row: Mapping[str, Any]) -> UserRow | None:
    """Return a row of Users. ``ForwardingProfiles`` must be expanded."""
    number = dn_number(row, "Number")
    if not number:
        return None
    profile = text(row, "CurrentProfileName")
    in_force = next(
        (p for p in objects(row.get("ForwardingProfiles")) if text(p, "Name") == profile), {}
    )
    return UserRow(
        id=integer(row, "Id") or 0,
        number=number,
        first_name=text(row, "FirstName"),
        last_name=text(row, "LastName"),
        email=text(row, "EmailAddress"),
        mobile=text(row, "Mobile"),
        auth_id=text(row, "AuthID"),
        outbound_caller_id=text(row, "OutboundCallerID"),
        enabled=flag(row, "Enabled"),
        deliver_audio=flag(row, "PbxDeliversAudio"),
        record_calls=flag(row, "RecordCalls"),
        record_external_only=flag(row, "RecordExternalCallsOnly"),
        sip_id=text(row, "SIPID"),
        vm_email_options=text(row, "VMEmailOptions"),
        vm_enabled=flag(row, "VMEnabled"),
        vm_play_caller_id=flag(row, "VMPlayCallerID"),
        vm_play_msg_date_time=text(row, "VMPlayMsgDateTime"),
        internal=flag(row, "Internal"),
        registered=flag(row, "IsRegistered") is True,
        profile=profile,
        no_answer_timeout=integer(in_force, "NoAnswerTimeout"),
        queue_status=_login(text(row, "QueueStatus")),
        in_ring_groups=flag(in_force, "DisableRingGroupCalls") is not True,
    )


def queue(row: Mapping[str, Any]) -> QueueRow | None:
    """Return a row of Queues. ``Agents`` and ``Managers`` must be expanded."""
    number = dn_number(row, "Number")
    if not number:
        return None
    agents = (
        AgentRow(dn_number(agent, "Number"), text(agent, "Name"), text(agent, "SkillGroup"))
        for agent in objects(row.get("Agents"))
        if dn_number(agent, "Number")
    )
    return QueueRow(
        id=integer(row, "Id") or 0,
        number=number,
        name=text(row, "Name"),
        agents=tuple(agents),
        managers=_numbers(row.get("Managers")),
        sla_time=integer(row, "SLATime"),
    )


def ring_group(row: Mapping[str, Any]) -> RingGroupRow | None:
    """Return a row of RingGroups. ``Members`` must be expanded."""
    number = dn_number(row, "Number")
    if not number:
        return None
    members, strategy = _numbers(row.get("Members")), text(row, "RingStrategy")
    return RingGroupRow(integer(row, "Id") or 0, number, text(row, "Name"), members, strategy)


def ivr(row: Mapping[str, Any]) -> IvrRow | None:
    """Return a row of Receptionists."""
    number = dn_number(row, "Number")
    return (
        IvrRow(integer(row, "Id") or 0, number, text(row, "Name"), text(row, "IVRType"))
        if number
        else None
    )


def trunk(row: Mapping[str, Any]) -> TrunkRow | None:
    """Return a row of Trunks. Its name is that of its gateway, if there is one."""
    number = dn_number(row, "Number")
    if not number:
        return None
    return TrunkRow(
        id=integer(row, "Id") or 0,
        number=number,
        name=text(record(row, "Gateway"), "Name") or text(row, "Name"),
        online=flag(row, "IsOnline"),
        simultaneous_calls=integer(row, "SimultaneousCalls"),
        external_number=outside_number(row, "ExternalNumber"),
        did_numbers=texts(row, "DidNumbers"),
    )


def department(row: Mapping[str, Any]) -> DepartmentRow | None:
    """Return a row of Groups with its extensions. ``Members`` must be expanded.

    Members that are not extensions are left out.
    """
    name = text(row, "Name")
    if not name:
        return None
    members = _numbers([m for m in objects(row.get("Members")) if _peer_type(m) == "extension"])
    number, is_default = dn_number(row, "Number"), flag(row, "IsDefault") is True
    return DepartmentRow(integer(row, "Id") or 0, name, number, members, is_default)


def inbound_rule(row: Mapping[str, Any]) -> InboundRuleRow | None:
    """Return a row of InboundRules, or None for a rule of no trunk.

    ``TrunkDN`` must be expanded.
    """
    number = dn_number(record(row, "TrunkDN"), "Number")
    if not number:
        return None
    return InboundRuleRow(
        text(row, "RuleName"), text(row, "Condition"), text(row, "Data"), number, _destinations(row)
    )


def _destinations(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the DNs to which a rule leads.

    A destination for other hours counts unless the row says that it is not in force. A voicemail
    names its owner's number, to which the rule does not lead.
    """
    found: dict[str, None] = {}
    for name, in_force in _DESTINATIONS.items():
        where = record(row, name)
        number = dn_number(where, "Number")
        if number and text(where, "To") in _DNS and flag(row, in_force) is not False:
            found[number] = None
    return tuple(found)


def peer(row: Mapping[str, Any]) -> PeerRow | None:
    """Return a row of Peers, or None if it has no number or other collections list it."""
    number = dn_number(row, "Number")
    if not number or _peer_type(row) not in _ONLY_PEERS:
        return None
    return PeerRow(number, text(row, "Name"), text(row, "Type"))


def _peer_type(row: Mapping[str, Any]) -> str:
    """Return a row's PeerType in lower case, without the W that some versions put before it."""
    return text(row, "Type").lower().removeprefix("w")


def system(row: Mapping[str, Any]) -> SystemRow:
    """Return the fields of SystemStatus."""
    return SystemRow(text(row, "Version"), text(row, "FQDN"), integer(row, "MaxSimCalls"))


def zone(row: Mapping[str, Any]) -> ZoneRow:
    """Return a row of Defs/TimeZones."""
    return ZoneRow(text(row, "Id"), text(row, "IanaName"), text(row, "WindowsName"))


def contact(row: Mapping[str, Any]) -> Contact | None:
    """Return a row of Contacts."""
    contact_id = integer(row, "Id")
    if contact_id is None:
        return None
    return Contact(
        id=contact_id,
        firstname=text(row, "FirstName"),
        lastname=text(row, "LastName"),
        company=text(row, "CompanyName"),
        tag=text(row, "Tag"),
        phone=text(row, "PhoneNumber"),
        data0=text(row, "Mobile2"),
        data1=text(row, "Home"),
        data2=None,
        data3=text(row, "Business"),
        data4=text(row, "Business2"),
        data5=text(row, "Email"),
        data6=text(row, "Other"),
        data7=text(row, "BusinessFax"),
        data8=None,
        data9=text(row, "Pager"),
    )


def error_code(body: Any) -> str:
    """Return 3CX's own word (``WARNINGS.XAPI.NOT_FOUND``) from an OData error body.

    If there is none, this is the body's ``code``, or empty.
    """
    error = record(body, "error") if isinstance(body, dict) else {}
    places = [error, *objects(error.get("details"))]
    words = [text(place, name) for place in places for name in ("code", "message")]
    return next((word for word in words if word.startswith("WARNINGS.")), text(error, "code"))


def error_target(body: Any) -> str:
    """Return the property that an OData error body blames; empty if it names none."""
    error = record(body, "error") if isinstance(body, dict) else {}
    return next(
        (name for detail in objects(error.get("details")) if (name := text(detail, "target"))), ""
    )


def _login(word: str) -> Literal["LoggedIn", "LoggedOut"] | None:
    match word:
        case "LoggedIn" | "LoggedOut":
            return word
        case _:
            return None


def _numbers(value: Any) -> tuple[str, ...]:
    return tuple(number for item in objects(value) if (number := dn_number(item, "Number")))
