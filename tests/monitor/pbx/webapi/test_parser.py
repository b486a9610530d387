"""Test that all answers of the documented interface are read, skipped or called garbled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.webapi import parser
from monitor.shared.codec import encode_entity, from_json, to_json
from monitor.shared.errors import PbxGarbled
from monitor.shared.timestamps import moment
from tests.gateway.entities import ended
from tests.monitor.pbx.parsing.test_callcontrol import json_values

LAST = "9999-12-31T23:59:59.9999999Z"
_TIMES = st.sampled_from(
    ["2026-03-04T03:15:00.123Z", "2026-03-04T04:15:00+01:00", LAST, "0001-01-01T00:00:00Z", "soon"]
)
_NAMES = st.sampled_from(
    [
        *(
            "nums",
            "extGroups",
            "ids",
            "AConnByCallID",
            "callsInfo",
            "ended",
            "callID",
            "AConnList",
            "dnNum",
            "since",
        ),
        *(
            "owner",
            "talkTo",
            "routingTo",
            "startedAt",
            "answeredAt",
            "num",
            "status",
            "qStatus",
            "error",
            "code",
        ),
    ]
)
_ANSWERS = st.recursive(
    json_values | _TIMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)
READERS: list[Callable[[Any], object]] = [
    parser.numbers,
    parser.names,
    parser.ids,
    parser.connections,
    parser.infos,
    parser.ended,
    parser.system,
    lambda answer: parser.contact(1, answer),
]


@given(_ANSWERS | st.dictionaries(_NAMES, _ANSWERS, max_size=4))
def test_no_answer_whatever_breaks_a_reader(answer: Any) -> None:
    for read in READERS:
        with contextlib.suppress(PbxGarbled):
            read(answer)
    parser.error(answer)
    if isinstance(answer, dict):
        parser.extension("101", answer, answer, registered=True)
        parser.queue_logins(answer)


def test_a_legs_known_status_has_its_usual_spelling() -> None:
    row = {"callID": 1, "AConnList": [{"dnNum": "101", "status": "ringing"}]}
    (leg,) = parser.connections({"AConnByCallID": [row]})[1].legs
    assert leg.status == "Ringing"


def call(**other: object) -> dict[str, Any]:
    row = from_json(to_json(ended(1)))
    assert isinstance(row, dict)
    return row | other


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("startedAt", "answeredAt", "endedAt", "queuedAt"), _TIMES)
    )
)
def test_an_ended_call_has_times_that_can_be_reckoned_with_or_is_left_out(
    times: dict[str, str],
) -> None:
    for found in parser.ended({"ended": [call(**times)]}):
        encode_entity(found)
        for time in (found.started_at, found.answered_at, found.ended_at, found.queued_at):
            assert time is None or moment(time).year == 2026


@pytest.mark.parametrize("name", ["startedAt", "endedAt"])
def test_one_ended_call_without_its_times_does_not_cost_the_others(name: str) -> None:
    read = parser.ended({"ended": [call(**{name: "soon"}), call(**{name: LAST}), call()]})
    assert read == (ended(1),)


def test_no_text_of_an_answer_is_taken_over_without_bound() -> None:
    long = "9" * 1_000_000
    leg = dict.fromkeys(("externalParty", "status", "name", "partyName", "partyDn"), long)
    row = {"callID": 1, "did": long, "AConnList": [leg | {"dnNum": "100"}, leg | {"dnNum": long}]}
    told = parser.connections({"AConnByCallID": [row]})[1]
    assert len(told.legs) == 1, "a leg whose DN is too long is left out"
    (over,) = parser.ended({"ended": [call(caller=long, callerName=long, lines=["1", long])]})
    fields = parser.extension_fields(
        {"email": long, "other": long, "mobile": {"x": long}, "qStatus": [{"num": "8", "x": long}]}
    )
    assert fields.keys() == {"email", "qStatus"}
    assert parser.queue_logins(fields) == {}
    for value in (told, over, fields, parser.names({"extGroups": [long]})):
        assert len(to_json(value)) < 7_000
    assert parser.numbers({"nums": ["1", long]}) == ("1",)


def test_of_too_many_calls_that_ended_the_last_are_read() -> None:
    rows = [call(callID=id_) for id_ in range(parser.MOST_ENDED + 5)]
    read = [found.call_id for found in parser.ended({"ended": rows})]
    assert read == [*range(5, parser.MOST_ENDED + 5)]
