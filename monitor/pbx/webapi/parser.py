"""Parse the answers of the documented interface, from any service that has it. Pure.

A service may tell only the four documented fields of a leg, may write numbers as text or the other
way round, and may leave out what it does not have. What is left out is empty or None here, never
made up. Optional fields that a service adds are read. Only an answer of quite another shape raises
PbxGarbled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, get_args

from msgspec import ValidationError, convert

from monitor.pbx.facts import VM_DATE_TIME, VM_EMAIL, SystemRow, UserRow
from monitor.pbx.parsing.json_fields import (
    MOST_CALLS,
    MOST_OF_A_KIND,
    check_number,
    dn_number,
    flag,
    integer,
    leg_status,
    objects,
    outside_number,
    posix,
    record,
    text,
    texts,
    whole,
)
from monitor.pbx.webapi.facts import ToldCall, ToldInfo
from monitor.shared import phone_numbers
from monitor.shared.entities.topics import CallState, Contact, Direction, DnType, EndedCall, Leg
from monitor.shared.errors import PbxGarbled
from monitor.shared.timestamps import from_unix

MOST_ENDED: Final = 1_000
"""Calls that ended which are taken from an answer: a callmon tells no more, the oldest first."""

_DN_TYPES: Final[Mapping[str, DnType]] = {word: word for word in get_args(DnType)} | {
    "line": "externalline",
    "trunk": "externalline",
}
_DIRECTIONS: Final[Mapping[str, Direction]] = {word.lower(): word for word in get_args(Direction)}
_STATES: Final[Mapping[str, CallState]] = {word.lower(): word for word in get_args(CallState)}
_ENDED_FIELDS: Final = frozenset(EndedCall.__struct_encode_fields__)
_EXTENSION_FIELDS: Final = frozenset(
    (
        *("firstname", "name", "lastname", "email", "mobile", "authid", "callerid", "enabled"),
        *("deliveraudio", "recordcalls", "sipid", "reinvite", "replaces", "vmemail", "vmenabled"),
        *("vmplaycallerid", "vmplaydatetime", "internal", "noanswertimeout", "registered"),
        *("fwdName", "status", "qGlobalStatus", "qStatus"),
    )
)
"""Fields of ``ext.info.get`` and ``ext.state.get`` that are read here."""
_LOGINS: Final[Mapping[str, Literal["LoggedIn", "LoggedOut"]]] = {
    "loggedin": "LoggedIn",
    "loggedout": "LoggedOut",
}


def numbers(answer: Any) -> tuple[str, ...]:
    """Return the numbers of a list. Raises PbxGarbled."""
    return _words(answer, "nums", dn_number)


def names(answer: Any) -> tuple[str, ...]:
    """Return the names of ``all.extgroup.get``. Raises PbxGarbled."""
    return _words(answer, "extGroups", text)


def ids(answer: Any) -> tuple[int, ...]:
    """Return the ids of ``contact.find``. Raises PbxGarbled."""
    found = (whole(word) for word in _list(answer, "ids"))
    return tuple(id_ for id_ in found if id_ is not None)


def connections(answer: Any) -> dict[int, ToldCall]:
    """Return the calls of ``pbx.ac.get`` by id. Raises PbxGarbled."""
    calls: dict[int, ToldCall] = {}
    for row in objects(_list(answer, "AConnByCallID")):
        id_ = integer(row, "callID")
        if id_ is not None:
            direction = _DIRECTIONS.get(text(row, "direction").lower())
            calls[id_] = ToldCall(
                id_, _legs(row.get("AConnList")), direction, text(row, "did"), None
            )
    check_number(len(calls), MOST_CALLS, "calls")
    return calls


def infos(answer: Any) -> dict[int, ToldCall]:
    """Return the calls of ``pbx.callsinfo.get`` by id, with the legs that it names.

    Raises PbxGarbled.
    """
    calls: dict[int, ToldCall] = {}
    for row in objects(_list(answer, "callsInfo")):
        id_ = integer(row, "callID")
        if id_ is None:
            continue
        info = ToldInfo(
            state=_STATES.get(text(row, "state").lower(), "Unknown"),
            started_at=posix(row, "startedAt"),
            answered_at=posix(row, "answeredAt"),
            owner=_leg(record(row, "owner")),
            talk_to=_legs(row.get("talkTo")),
            routing_to=_legs(row.get("routingTo")),
        )
        legs = {leg.dn_num: leg for leg in (*_own(info), *info.talk_to, *info.routing_to)}
        calls[id_] = ToldCall(id_, tuple(legs.values()), None, text(row, "did"), info)
    check_number(len(calls), MOST_CALLS, "calls")
    return calls


def joined(
    by_legs: Mapping[int, ToldCall], by_info: Mapping[int, ToldCall]
) -> tuple[tuple[ToldCall, ...], bool]:
    """Return the calls of both answers, and whether the two fit together.

    If they do not fit, something happened between them.
    """
    calls: list[ToldCall] = []
    fits = by_legs.keys() == by_info.keys()
    for id_ in sorted(by_legs.keys() | by_info.keys()):
        one, other = by_legs.get(id_), by_info.get(id_)
        if one is None or other is None:
            calls += [call for call in (one, other) if call is not None]
            continue
        told = {(leg.dn_num, leg.status) for leg in one.legs}
        fits = fits and {(leg.dn_num, leg.status) for leg in other.legs} <= told
        calls.append(ToldCall(id_, one.legs, one.direction, one.did or other.did, other.info))
    return tuple(calls), fits


def ended(answer: Any) -> tuple[EndedCall, ...]:
    """Return the calls that ended, of more than :data:`MOST_ENDED` the last.

    Those that cannot be read are left out. Raises PbxGarbled.
    """
    calls: list[EndedCall] = []
    for row in objects(_list(answer, "ended")[-MOST_ENDED:]):
        times = {
            name: _instant(row, name) for name in ("startedAt", "answeredAt", "endedAt", "queuedAt")
        }
        try:
            calls.append(convert(_bounded(row, _ENDED_FIELDS) | times, EndedCall))
        except ValidationError:
            continue
    return tuple(calls)


def extension_fields(answer: Any) -> Mapping[str, Any]:
    """Return what is read here of ``ext.info.get`` and ``ext.state.get``, with its texts cut.

    Such answers are kept for each extension. Raises PbxGarbled.
    """
    row = _object(answer)
    logins = [
        {"num": dn_number(login, "num"), "status": text(login, "status")}
        for login in objects(row.get("qStatus"))
    ]
    return _bounded(row, _EXTENSION_FIELDS) | {"qStatus": logins}


def extension(
    number: str, info: Mapping[str, Any], state: Mapping[str, Any], *, registered: bool
) -> UserRow:
    """Return an extension from the answers of ``ext.info.get`` and ``ext.state.get``.

    ``registered`` is used if ``ext.state.get`` does not tell it.
    """
    recording = integer(info, "recordcalls")
    told = flag(state, "registered")
    return UserRow(
        id=0,
        number=number,
        first_name=text(info, "firstname") or text(info, "name"),
        last_name=text(info, "lastname"),
        email=text(info, "email"),
        mobile=text(info, "mobile"),
        auth_id=text(info, "authid"),
        outbound_caller_id=text(info, "callerid"),
        enabled=flag(info, "enabled"),
        deliver_audio=flag(info, "deliveraudio"),
        record_calls=None if recording is None else recording > 0,
        record_external_only=None if recording is None else recording == 1,
        sip_id=text(info, "sipid"),
        reinvite=flag(info, "reinvite"),
        replaces=flag(info, "replaces"),
        vm_email_options=_of(VM_EMAIL, integer(info, "vmemail")),
        vm_enabled=flag(info, "vmenabled"),
        vm_play_caller_id=flag(info, "vmplaycallerid"),
        vm_play_msg_date_time=_of(VM_DATE_TIME, integer(info, "vmplaydatetime")),
        internal=flag(info, "internal"),
        registered=registered if told is None else told,
        profile=text(state, "fwdName"),
        no_answer_timeout=integer(info, "noanswertimeout"),
        queue_status=login(state, "qGlobalStatus"),
    )


def login(row: Mapping[str, Any], name: str) -> Literal["LoggedIn", "LoggedOut"] | None:
    """Return a login's status in one spelling, or None if the field holds none."""
    return _LOGINS.get(text(row, name).lower().replace(" ", ""))


def busy(state: Mapping[str, Any]) -> bool:
    """Return whether ``ext.state.get`` says that the extension is in a call."""
    return text(state, "status").lower() == "busy"


def queue_logins(state: Mapping[str, Any]) -> dict[str, bool]:
    """Return the logins to single queues from ``ext.state.get``: queue → True if logged in."""
    rows = ((dn_number(row, "num"), login(row, "status")) for row in objects(state.get("qStatus")))
    return {queue: status == "LoggedIn" for queue, status in rows if queue and status is not None}


def contact(id_: int, answer: Any) -> Contact:
    """Return a contact. Raises PbxGarbled."""
    row = _object(answer)
    lacking = {
        name: text(row, name) if row.get(name) is not None else None for name in ("data2", "data8")
    }
    plain = (
        "firstname",
        "lastname",
        "company",
        "tag",
        "phone",
        *(f"data{i}" for i in (0, 1, 3, 4, 5, 6, 7, 9)),
    )
    return convert({"id": id_} | {name: text(row, name) for name in plain} | lacking, Contact)


def system(answer: Any) -> SystemRow:
    """Return what the bare address says of the PBX. Raises PbxGarbled.

    Version and time zone are the PBX's, not the service's.
    """
    row = _object(answer)
    return SystemRow(
        text(row, "pbxVersion"), "", integer(row, "concurrentCalls"), text(row, "timeZone")
    )


def is_callmon(answer: Any) -> bool:
    """Return whether the bare address is that of a callmon."""
    return isinstance(answer, dict) and answer.get("product") == "callmon"


def says_no(answer: Any) -> bool:
    """Return whether the answer is the documented word of failure."""
    return isinstance(answer, dict) and answer.get("result") is False


def final_status(answer: Mapping[str, Any]) -> str:
    """Return the final status of ``makecall`` in lower case; empty if there is none."""
    return text(answer, "finalStatus").lower()


def error(answer: Any) -> tuple[str, str]:
    """Return the code and the sentence of a failure; each is empty if there is none."""
    found = record(answer, "error") if isinstance(answer, dict) else {}
    return text(found, "code"), text(found, "message")


def plain(answer: Any) -> Mapping[str, Any]:
    """Return an answer that is an object. Raises PbxGarbled if it is something else."""
    return _object(answer)


def _own(info: ToldInfo) -> tuple[Leg, ...]:
    return (info.owner,) if info.owner is not None else ()


def _legs(value: Any) -> tuple[Leg, ...]:
    found = (_leg(row) for row in objects(value))
    return tuple(leg for leg in found if leg is not None)


def _leg(row: Mapping[str, Any]) -> Leg | None:
    number = dn_number(row, "dnNum")
    if not number:
        return None
    kind = _DN_TYPES.get(text(row, "dnType").lower(), "unknown")
    other = outside_number(row, "externalParty")
    withheld = kind == "externalline" and other != "" and phone_numbers.is_withheld(other)
    return Leg(
        dn_num=number,
        dn_type=kind,
        external_party="" if withheld else other,
        status=leg_status(row, "status"),
        name=text(row, "name"),
        party_name=text(row, "partyName"),
        party_dn=dn_number(row, "partyDn"),
        on_behalf_of=dn_number(row, "onBehalfOf"),
        referred_by=dn_number(row, "referredBy"),
        leg_id=integer(row, "legId"),
        participant_id=integer(row, "participantId"),
        device_id=text(row, "deviceId"),
        since=_instant(row, "since"),
        hidden=withheld or row.get("hidden") is True,
        listening=row.get("listening") is True,
    )


def _bounded(row: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Return those of the fields that hold values or lists, with their texts cut."""
    found: dict[str, Any] = {}
    for name in names & row.keys():
        match row[name]:
            case str():
                found[name] = text(row, name)
            case list():
                found[name] = texts(row, name)
            case bool() | int() | float() | None as value:
                found[name] = value
    return found


def _instant(row: Mapping[str, Any], name: str) -> str | None:
    seconds = posix(row, name)
    return None if seconds is None else from_unix(seconds)


def _of(words: tuple[str, ...], index: int | None) -> str:
    return words[index] if index is not None and 0 <= index < len(words) else ""


def _words(
    answer: Any, name: str, read: Callable[[Mapping[str, Any], str], str]
) -> tuple[str, ...]:
    listed = _list(answer, name)
    check_number(len(listed), MOST_OF_A_KIND, name)
    found = (read({name: word}, name) for word in listed)
    return tuple(dict.fromkeys(word for word in found if word))


def _list(answer: Any, name: str) -> list[Any]:
    value = _object(answer).get(name)
    if not isinstance(value, list):
        raise PbxGarbled(f"An answer has no list {name}.")
    return value


def _object(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise PbxGarbled("An answer is not an object.")
    return answer
