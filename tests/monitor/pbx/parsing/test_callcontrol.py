from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.facts import Participant
from monitor.pbx.parsing.callcontrol import (
    DnChanged,
    Irrelevant,
    Removed,
    Upserted,
    parse_event,
    parse_full_state,
    parse_participant,
)
from monitor.pbx.parsing.json_fields import LONGEST_NUMBER, LONGEST_TEXT
from monitor.shared.errors import PbxGarbled

# What a PBX sent, with the posters' masks: an extension rung from a trunk.
RINGING: dict[str, Any] = {
    "id": 8106,
    "status": "Ringing",
    "dn": "150",
    "party_caller_name": "+49123456789",
    "party_dn": "10007",
    "party_caller_id": "0123456789",
    "party_did": "",
    "device_id": "sip:150@127.0.0.1:5483;rinstance=c2a75fd2f1caea71",
    "party_dn_type": "Wexternalline",
    "direct_control": False,
    "originated_by_dn": "ROUTER",
    "originated_by_type": "Wroutepoint",
    "referred_by_dn": "",
    "referred_by_type": "None",
    "on_behalf_of_dn": "",
    "on_behalf_of_type": "None",
    "callid": 1264,
    "legid": 4,
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
near_participants = st.fixed_dictionaries({}, optional=dict.fromkeys(RINGING, json_values))


def event(kind: Any, entity: Any, data: Any = None) -> str:
    return json.dumps(
        {"sequence": 15, "event": {"event_type": kind, "entity": entity, "attached_data": data}}
    )


def test_a_captured_participant_is_read_field_by_field() -> None:
    assert parse_participant(RINGING) == Participant(
        id=8106,
        dn="150",
        status="Ringing",
        call_id=1264,
        leg_id=4,
        party_caller_name="+49123456789",
        party_dn="10007",
        party_caller_id="0123456789",
        party_dn_type="Wexternalline",
        device_id="sip:150@127.0.0.1:5483;rinstance=c2a75fd2f1caea71",
        originated_by_dn="ROUTER",
        originated_by_type="Wroutepoint",
    )


def test_unknown_fields_are_ignored_and_missing_ones_defaulted() -> None:
    assert parse_participant({"id": 1, "callid": 2, "new": {}}, "100") == Participant(
        1, "100", "", 2, None
    )


def test_numbers_may_be_written_as_text_and_any_status_is_kept() -> None:
    row = {
        "id": "7",
        "callid": "12",
        "legid": "3",
        "dn": 150,
        "status": "Held",
        "direct_control": "true",
    }
    assert parse_participant(row) == Participant(7, "150", "Held", 12, 3, direct_control=True)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        *(("ringing", "Ringing"), ("DIALING", "Dialing"), (" connected ", "Connected")),
        *(("hold", "Hold"), ("trying", "trying"), ("", "")),
    ],
)
def test_a_known_status_has_its_usual_spelling(word: str, status: str) -> None:
    assert parse_participant({"id": 1, "callid": 1, "dn": "1", "status": word}).status == status


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        {},
        {"id": 1},
        {"id": 1, "callid": True, "dn": "1"},
        {"id": 10**30, "callid": 1, "dn": "1"},
    ],
)
def test_a_participant_that_cannot_be_placed_is_garbled(row: Any) -> None:
    with pytest.raises(PbxGarbled):
        parse_participant(row)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (event(0, "/callcontrol/150/participants/8106"), Upserted("150", 8106, None)),
        (event("0", "/callcontrol/150/participants/8106"), Upserted("150", 8106, None)),
        (event(0, "/callcontrol/%2A55/participants/8"), Upserted("*55", 8, None)),
        (event(1, "/callcontrol/150/participants/8106"), Removed("150", 8106)),
        (event(0, "/callcontrol/150"), DnChanged("150")),
        (event(1, "/callcontrol/150"), DnChanged("150")),
        (event(0, "/callcontrol/150/devices/sip%3A150%40127.0.0.1%3A5483"), Irrelevant()),
        (event(0, "/callcontrol/150/devices/sip:150@127.0.0.1:5483;rinstance=c2"), Irrelevant()),
        (event(2, "/callcontrol/150/participants/8106", {"dtmf_input": "1"}), Irrelevant()),
        (event(3, "/callcontrol/150/participants/8106"), Irrelevant()),
        (event(4, "/callcontrol", {"RequestID": "1"}), Irrelevant()),
        (event(99, None), Irrelevant()),
    ],
)
def test_an_event_is_what_its_type_and_path_say(message: str, expected: object) -> None:
    assert parse_event(message) == expected
    assert parse_event(message.encode()) == expected


def test_a_participant_that_comes_with_its_event_is_taken() -> None:
    parsed = parse_event(event(0, "/callcontrol/150/participants/8106", RINGING))
    assert parsed == Upserted("150", 8106, parse_participant(RINGING))


@pytest.mark.parametrize(
    "data", [{"id": 1, "callid": 1}, {}, [], "x", RINGING | {"id": 8107}, RINGING | {"dn": "151"}]
)
def test_other_data_than_that_participant_is_not_taken(data: Any) -> None:
    assert parse_event(event(0, "/callcontrol/150/participants/8106", data)) == Upserted(
        "150", 8106, None
    )


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        "[]",
        "{}",
        b"\xff\xfe",
        '{"event":{}}',
        event(0, ""),
        event(0, "/"),
        event(0, "/xapi/v1/Users"),
        event(0, "/callcontrol"),
        event(0, "/callcontrol/150/participants/abc"),
        event(0, None),
        '{"event":' * 5000,
    ],
)
def test_garbage_on_the_socket_is_garbled(message: str | bytes) -> None:
    with pytest.raises(PbxGarbled):
        parse_event(message)


def test_the_full_state_lists_dns_with_their_types_and_all_participants() -> None:
    state = parse_full_state(
        [
            {"dn": "callmon", "type": "Wroutepoint", "participants": []},
            {"dn": "150", "type": "Wextension", "devices": [], "participants": [RINGING]},
            {"dn": "151"},
        ]
    )
    assert state.dns == {"callmon": "Wroutepoint", "150": "Wextension", "151": "None"}
    assert state.participants == (parse_participant(RINGING),)


def test_one_garbled_participant_does_not_cost_the_others() -> None:
    state = parse_full_state(
        [{"dn": "150", "participants": [{"id": "x"}, RINGING, None]}, 7, {"participants": []}]
    )
    assert [p.id for p in state.participants] == [8106]
    assert state.garbled == 3


@given(json_values)
def test_no_json_whatever_breaks_the_parsers(value: Any) -> None:
    for parse in (parse_participant, parse_full_state, lambda v: parse_event(json.dumps(v))):
        with contextlib.suppress(PbxGarbled):
            parse(value)


@given(json_values, json_values, json_values)
def test_no_event_whatever_breaks_the_parser(kind: Any, entity: Any, data: Any) -> None:
    with contextlib.suppress(PbxGarbled):
        parse_event(event(kind, entity, data))


@given(near_participants)
def test_a_participant_read_from_anything_has_its_types(row: dict[str, Any]) -> None:
    try:
        participant = parse_participant(row, "100")
    except PbxGarbled:
        return
    assert isinstance(participant.status, str)
    assert isinstance(participant.dn, str)
    assert -(2**63) <= participant.call_id < 2**63
    assert isinstance(participant.direct_control, bool)


LONG = "9" * 1_000_000


def test_no_text_of_a_participant_is_taken_over_without_bound() -> None:
    texts = {name for name, value in RINGING.items() if isinstance(value, str)}
    read = parse_participant(RINGING | dict.fromkeys(texts - {"dn"}, LONG))
    sizes = {name: len(getattr(read, name)) for name in texts}
    assert max(sizes.values()) == LONGEST_TEXT
    assert sizes["party_dn"] == 0
    assert sizes["party_caller_id"] == LONGEST_NUMBER


def test_a_dn_that_is_too_long_cannot_be_placed() -> None:
    with pytest.raises(PbxGarbled):
        parse_participant(RINGING | {"dn": LONG})
    for entity in (f"/callcontrol/{LONG}", f"/callcontrol/{'9' * 201}/participants/1"):
        with pytest.raises(PbxGarbled):
            parse_event(event(0, entity))
    state = parse_full_state([{"dn": LONG, "participants": [RINGING]}, {"dn": "150"}])
    assert (state.dns, state.participants, state.garbled) == ({"150": "None"}, (), 1)
