"""Parse Call Control's JSON into participants and events. Pure.

The parser is tolerant, as the API is young. Unknown fields are ignored, missing ones get their
default, numbers may be written as text. Any word of status is kept, a known one in its usual
spelling. Raises PbxGarbled for what cannot be placed at all: a participant without an id or a call
id, an event without an entity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from monitor.pbx.facts import Participant
from monitor.pbx.parsing.json_fields import (
    LONGEST_NUMBER,
    MOST_CALLS,
    MOST_PARTICIPANTS,
    check_number,
    dn_number,
    flag,
    integer,
    leg_status,
    objects,
    outside_number,
    text,
    whole,
)
from monitor.shared.codec import Malformed, from_lenient_json
from monitor.shared.errors import PbxGarbled

_UPSERT: Final = 0
_REMOVE: Final = 1


@dataclass(frozen=True, slots=True)
class Upserted:
    """Tell that a participant came or changed.

    ``participant`` is None if the event does not carry it, as in all events seen live.
    """

    dn: str
    participant_id: int
    participant: Participant | None


@dataclass(frozen=True, slots=True)
class Removed:
    """Tell that a participant is gone."""

    dn: str
    participant_id: int


@dataclass(frozen=True, slots=True)
class DnChanged:
    """Tell that a DN itself, or all of its participants, came, changed or went."""

    dn: str


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """Stand for any other event.

    For example a device, DTMF, a prompt's end, an answer to a request, or an unknown kind.
    """


Event: TypeAlias = Upserted | Removed | DnChanged | Irrelevant


@dataclass(frozen=True, slots=True)
class FullState:
    """Hold all participants of all DNs that may be monitored.

    ``garbled``: the number of rows that could not be placed and are left out.
    """

    participants: tuple[Participant, ...]
    dns: dict[str, str] = field(default_factory=dict)
    """Number → W-type."""
    garbled: int = 0


def parse_event(message: str | bytes) -> Event:
    """Return the event in a WebSocket message. Raises PbxGarbled."""
    try:
        envelope = from_lenient_json(message)
    except Malformed as error:
        raise PbxGarbled(f"An event is {error}.") from error
    event = envelope.get("event") if isinstance(envelope, dict) else None
    if not isinstance(event, dict):
        raise PbxGarbled("A message on the event socket holds no event.")
    kind = integer(event, "event_type")
    if kind is None:
        raise PbxGarbled("An event has no type.")
    if kind not in (_UPSERT, _REMOVE):
        return Irrelevant()
    return _entity_event(kind, text(event, "entity"), event.get("attached_data"))


def parse_participant(row: Any, dn: str = "") -> Participant:
    """Return a participant. Raises PbxGarbled if it has no id, no call id or no DN.

    ``dn``: the DN that it belongs to, if the row itself does not tell.
    """
    if not isinstance(row, dict):
        raise PbxGarbled("A participant is not an object.")
    participant_id, call_id = integer(row, "id"), integer(row, "callid")
    dn = dn_number(row, "dn") or dn
    if participant_id is None or call_id is None or not dn:
        raise PbxGarbled("A participant has no id, no call id or no DN.")
    return Participant(
        id=participant_id,
        dn=dn,
        status=leg_status(row, "status"),
        call_id=call_id,
        leg_id=integer(row, "legid"),
        party_caller_name=text(row, "party_caller_name"),
        party_dn=dn_number(row, "party_dn"),
        party_caller_id=outside_number(row, "party_caller_id"),
        party_did=outside_number(row, "party_did"),
        party_dn_type=_type(row, "party_dn_type"),
        device_id=text(row, "device_id"),
        direct_control=flag(row, "direct_control") is True,
        originated_by_dn=dn_number(row, "originated_by_dn"),
        originated_by_type=_type(row, "originated_by_type"),
        referred_by_dn=dn_number(row, "referred_by_dn"),
        referred_by_type=_type(row, "referred_by_type"),
        on_behalf_of_dn=dn_number(row, "on_behalf_of_dn"),
        on_behalf_of_type=_type(row, "on_behalf_of_type"),
    )


def parse_full_state(rows: Any) -> FullState:
    """Return Call Control's full state from its list of DNs with their participants.

    Raises PbxGarbled if it is not a list, or names too many calls or participants.
    """
    if not isinstance(rows, list):
        raise PbxGarbled("Call Control's full state is not a list.")
    participants: dict[tuple[str, int], Participant] = {}
    dns: dict[str, str] = {}
    garbled = 0
    for row in rows:
        dn = dn_number(row, "dn") if isinstance(row, dict) else ""
        if not dn:
            garbled += 1
            continue
        dns[dn] = _type(row, "type")
        for item in objects(row.get("participants")):
            try:
                participant = parse_participant(item, dn)
            except PbxGarbled:
                garbled += 1
            else:
                participants[participant.dn, participant.id] = participant
    check_number(len(participants), MOST_PARTICIPANTS, "participants of calls")
    check_number(len({one.call_id for one in participants.values()}), MOST_CALLS, "calls")
    return FullState(tuple(participants.values()), dns, garbled)


def _entity_event(kind: int, entity: str, data: Any) -> Event:
    parts = [unquote(part) for part in entity.strip("/").split("/")]
    if len(parts) < 2 or parts[0].lower() != "callcontrol" or not _is_number(parts[1]):
        raise PbxGarbled("An event names no entity of Call Control.")
    match parts[1:]:
        case [dn]:
            return DnChanged(dn)
        case [dn, "participants"]:
            return DnChanged(dn)
        case [dn, "participants", number]:
            participant_id = whole(number)
            if participant_id is None:
                raise PbxGarbled("An event names a participant without a number.")
            if kind == _REMOVE:
                return Removed(dn, participant_id)
            return Upserted(dn, participant_id, _attached(data, dn, participant_id))
        case _:
            return Irrelevant()


def _attached(data: Any, dn: str, participant_id: int) -> Participant | None:
    """Return the participant that came with its event, or None if the data is anything else."""
    if not isinstance(data, dict):
        return None
    try:
        participant = parse_participant(data, dn)
    except PbxGarbled:
        return None
    return participant if (participant.dn, participant.id) == (dn, participant_id) else None


def _is_number(dn: str) -> bool:
    return 0 < len(dn) <= LONGEST_NUMBER


def _type(row: Mapping[str, Any], name: str) -> str:
    return text(row, name) or "None"
