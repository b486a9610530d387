from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

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
)
from monitor.pbx.parsing import xapi
from monitor.pbx.parsing.json_fields import LONGEST_NUMBER, LONGEST_TEXT
from monitor.shared.entities.topics import Contact
from monitor.shared.timestamps import from_unix
from monitor.shared.timestamps import moment as parsed
from tests.monitor.pbx.parsing.test_callcontrol import json_values

PARSERS: list[Callable[[dict[str, Any]], object]] = [
    xapi.active_call,
    xapi.server_now,
    xapi.user,
    xapi.queue,
    xapi.ring_group,
    xapi.ivr,
    xapi.trunk,
    xapi.department,
    xapi.inbound_rule,
    xapi.system,
    xapi.contact,
    xapi.error_code,
]
NAMES = st.sampled_from(
    [
        *(
            "Id",
            "Number",
            "Name",
            "Caller",
            "Status",
            "LastChangeStatus",
            "ServerNow",
            "Agents",
            "Managers",
            "Members",
        ),
        *(
            "ForwardingProfiles",
            "CurrentProfileName",
            "QueueStatus",
            "IsRegistered",
            "Gateway",
            "DidNumbers",
            "error",
        ),
        *(
            "TrunkDN",
            "Type",
            "details",
            "code",
            "message",
            "NoAnswerTimeout",
            "MaxSimCalls",
            "Enabled",
        ),
    ]
)


def test_a_call_has_its_times_in_posix_seconds() -> None:
    row = {
        "Id": 46874,
        "Caller": "100 Smith, John",
        "Callee": "10000 skyetel (+15153182968)",
        "Status": "Talking",
        "LastChangeStatus": "2026-03-04T03:15:00.1234567Z",
        "EstablishedAt": "2026-03-04T03:14:55+00:00",
        "ServerNow": "2026-03-04T03:15:30Z",
    }
    assert xapi.active_call(row) == ActiveCall(
        46874,
        "100 Smith, John",
        "10000 skyetel (+15153182968)",
        "Talking",
        1772594100.123456,
        1772594095.0,
    )
    assert xapi.server_now(row) == 1772594130.0


@pytest.mark.parametrize(
    "time", [None, "", "yesterday", "2026-03-04T03:15:00", 5, "0001-01-01T00:00:00Z"]
)
def test_a_time_that_names_no_moment_is_none(time: Any) -> None:
    call = xapi.active_call({"Id": 1, "EstablishedAt": time})
    assert call is not None
    assert call.established_at is None


def test_a_users_no_answer_timeout_is_that_of_the_profile_in_force() -> None:
    user = xapi.user(
        {
            "Id": 29,
            "Number": "101",
            "FirstName": "Tom",
            "CurrentProfileName": "Away",
            "QueueStatus": "LoggedOut",
            "IsRegistered": True,
            "Enabled": False,
            "ForwardingProfiles": [
                {"Name": "Available", "NoAnswerTimeout": 20},
                {"Name": "Away", "NoAnswerTimeout": 5},
            ],
        }
    )
    assert user is not None
    assert (user.id, user.number, user.first_name, user.profile) == (29, "101", "Tom", "Away")
    assert (user.no_answer_timeout, user.queue_status, user.registered) == (5, "LoggedOut", True)
    assert (user.enabled, user.internal) == (False, None)


@pytest.mark.parametrize(("value", "rung"), [(True, False), (False, True), (None, True), (2, True)])
def test_the_profile_in_force_takes_a_user_out_of_ring_groups(value: Any, rung: bool) -> None:
    profiles = [
        {"Name": "Available", "DisableRingGroupCalls": value},
        {"Name": "Away", "DisableRingGroupCalls": True},
    ]
    row = {"Number": "101", "CurrentProfileName": "Available", "ForwardingProfiles": profiles}
    user = xapi.user(row)
    assert user is not None
    assert user.in_ring_groups is rung


def test_a_queue_keeps_the_order_of_its_agents() -> None:
    row = {
        "Id": 40,
        "Number": "800",
        "Name": "Sales",
        "SLATime": 20,
        "Agents": [
            {"Number": "103", "Name": "C", "SkillGroup": "1"},
            {"Number": "101"},
            {"Name": "nobody"},
        ],
        "Managers": [{"Number": "100"}],
    }
    assert xapi.queue(row) == QueueRow(
        40, "800", "Sales", (AgentRow("103", "C", "1"), AgentRow("101")), ("100",), 20
    )


@pytest.mark.parametrize("word", ["Parking", "Wparking", "parking"])
def test_a_peers_type_may_have_a_w_before_it_and_be_in_any_case(word: str) -> None:
    found = xapi.peer({"Number": "SP0", "Name": "Park", "Type": word})
    assert found == PeerRow("SP0", "Park", word)
    group = {"Name": "Sales", "Members": [{"Number": "101", "Type": "Wextension"}]}
    assert xapi.department(group) == DepartmentRow(0, "Sales", "", ("101",))


def test_the_other_rows_of_the_directory_are_read() -> None:
    members = [{"Number": "101", "Type": "Extension"}, {"Number": "800", "Type": "Queue"}]
    assert xapi.ring_group(
        {"Number": "600", "Name": "Office", "Members": members, "RingStrategy": "RingAll"}
    ) == (RingGroupRow(0, "600", "Office", ("101", "800"), "RingAll"))
    assert xapi.ivr({"Id": 3, "Number": "700", "Name": "Main", "IVRType": "Default"}) == (
        IvrRow(3, "700", "Main", "Default")
    )
    assert xapi.trunk(
        {
            "Id": 4,
            "Number": "10000",
            "Gateway": {"Name": "skyetel"},
            "IsOnline": True,
            "SimultaneousCalls": 10,
            "DidNumbers": ["+4930100"],
        }
    ) == TrunkRow(4, "10000", "skyetel", True, 10, "", ("+4930100",))
    assert xapi.department(
        {"Id": 6, "Name": "DEFAULT", "Number": "GRP0", "IsDefault": True, "Members": members}
    ) == (DepartmentRow(6, "DEFAULT", "GRP0", ("101",), True))
    assert xapi.inbound_rule(
        {
            "RuleName": "Main",
            "Condition": "BasedOnDID",
            "Data": "+4930100",
            "TrunkDN": {"Number": "10000"},
            "OfficeHoursDestination": {"To": "Queue", "Number": "800"},
            "OutOfOfficeHoursDestination": {"To": "IVR", "Number": "700"},
            "HolidaysDestination": {"To": "VoiceMail", "Number": "101"},
        }
    ) == InboundRuleRow("Main", "BasedOnDID", "+4930100", "10000", ("800", "700"))
    assert xapi.inbound_rule(
        {
            "RuleName": "Shop",
            "TrunkDN": {"Number": "10000"},
            "OfficeHoursDestination": {"To": "Queue", "Number": "800"},
            "OutOfOfficeHoursDestination": {"To": "IVR", "Number": "700"},
            "AlterDestinationDuringOutOfOfficeHours": False,
            "HolidaysDestination": None,
        }
    ) == InboundRuleRow("Shop", "", "", "10000", ("800",))
    assert xapi.system({"Version": "20.0.10.1", "FQDN": "pbx.example.com", "MaxSimCalls": 32}) == (
        SystemRow("20.0.10.1", "pbx.example.com", 32)
    )


def test_a_contacts_fields_stand_in_the_documented_slots() -> None:
    row = {
        "Id": 5,
        "FirstName": "Ada",
        "LastName": "Byron",
        "CompanyName": "Engines",
        "Tag": "t",
        "PhoneNumber": "1",
        "Mobile2": "2",
        "Home": "3",
        "Business": "4",
        "Business2": "5",
        "Email": "6",
        "Other": "7",
        "BusinessFax": "8",
        "Pager": "9",
        "Title": "Countess",
    }
    slots = {
        "data0": "2",
        "data1": "3",
        "data3": "4",
        "data4": "5",
        "data5": "6",
        "data6": "7",
        "data7": "8",
    }
    assert xapi.contact(row) == Contact(
        5, "Ada", "Byron", "Engines", "t", "1", data2=None, data8=None, data9="9", **slots
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": "", "message": "WARNINGS.XAPI.NOT_FOUND"}}, "WARNINGS.XAPI.NOT_FOUND"),
        (
            {"error": {"code": "WARNINGS.LIMIT_REACHED", "message": "Limit"}},
            "WARNINGS.LIMIT_REACHED",
        ),
        (
            {"error": {"message": "No", "details": [{"message": "WARNINGS.XAPI.REQUIRED"}]}},
            "WARNINGS.XAPI.REQUIRED",
        ),
        ({"error": {"code": "BadRequest", "message": "The query is wrong."}}, "BadRequest"),
        ({"error": "no"}, ""),
        ([], ""),
    ],
)
def test_3cx_own_word_is_found_in_an_error_body(body: Any, code: str) -> None:
    assert xapi.error_code(body) == code


@pytest.mark.parametrize(
    "parse", [xapi.user, xapi.queue, xapi.ring_group, xapi.ivr, xapi.trunk, xapi.contact]
)
def test_a_row_without_what_it_is_known_by_is_left_out(
    parse: Callable[[dict[str, Any]], object],
) -> None:
    assert parse({"Name": "nameless"}) is None


@given(st.datetimes(timezones=st.just(UTC)) | st.just(datetime.max.replace(tzinfo=UTC)))
def test_a_moment_that_is_read_can_be_written(moment: datetime) -> None:
    call = xapi.active_call(
        {"Id": 1, "EstablishedAt": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}9Z"}
    )
    assert call is not None
    if call.established_at is not None:
        assert abs(parsed(from_unix(call.established_at)) - moment) <= timedelta(milliseconds=1)


@given(st.dictionaries(NAMES, json_values))
def test_no_row_whatever_breaks_a_parser(row: dict[str, Any]) -> None:
    for parse in PARSERS:
        parse(row)


class Endless(dict[str, Any]):
    """A row each of whose texts is long, at all levels."""

    def get(self, name: str, default: Any = None) -> Any:
        match name:
            case "Id":
                return 1
            case "Number":
                return "9" * LONGEST_NUMBER
            case "DidNumbers":
                return ["9" * 5_000]
            case "TrunkDN" | "Gateway":
                return Endless(x=1)
            case "Agents" | "Managers" | "Members" | "ForwardingProfiles":
                return [Endless(x=1)]
            case _:
                return "x" * 5_000


def test_no_text_of_a_row_is_taken_over_without_bound() -> None:
    read = [parse(Endless(x=1)) for parse in PARSERS]
    assert sum(row is not None for row in read) >= 9
    for row in filter(None, read):
        if not isinstance(row, str | float):
            sizes = [len(word) for word in _words(to_builtins(row))]
            assert 0 < max(sizes) <= LONGEST_TEXT, type(row)


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _words(item)


def _call_row(id_: object, callee: object = "800 Sales", now: int = 0) -> dict[str, Any]:
    return {
        "Id": id_,
        "Caller": "10000 skyetel (+49)",
        "Callee": callee,
        "Status": "Talking",
        "LastChangeStatus": "2026-03-04T03:15:00.1234567Z",
        "EstablishedAt": None,
        "ServerNow": f"2026-03-04T03:15:{now:02}Z",
    }


def test_a_row_of_active_calls_that_has_not_changed_is_the_very_same_again() -> None:
    rows = xapi.ActiveCallRows()
    (first,) = rows.parse([_call_row(7)])
    same, other = rows.parse([_call_row(7, now=1), _call_row(8)])
    assert same is first
    assert other == replace(first, id=8)
    (moved,) = rows.parse([_call_row(7, "101 Ext 101")])
    assert moved == xapi.active_call(_call_row(7, "101 Ext 101"))
    (again,) = rows.parse([_call_row(8)])
    assert again == other
    assert again is not other, "only the last answer's rows are remembered"


@given(
    st.lists(
        st.lists(
            st.fixed_dictionaries(
                {"Id": st.integers(0, 3) | st.text(max_size=2) | json_values},
                optional={
                    name: st.text(max_size=3) | json_values
                    for name in ("Caller", "Callee", "Status", "LastChangeStatus")
                },
            ),
            max_size=4,
        ),
        max_size=4,
    )
)
def test_rows_of_active_calls_are_parsed_as_if_each_answer_were_the_first(
    answers: list[list[dict[str, Any]]],
) -> None:
    rows = xapi.ActiveCallRows()
    for answer in answers:
        alone = [call for row in answer if (call := xapi.active_call(row)) is not None]
        assert list(rows.parse(answer)) == alone
