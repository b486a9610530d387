"""What is counted of a PBX's interface."""

from __future__ import annotations

import pytest

from monitor.pbx.counters import PbxCounters, kind_of, result_of


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        ("POST /connect/token", "token"),
        ("GET /callcontrol", "full_state"),
        ("GET /callcontrol/101/participants/7", "participant"),
        ("GET /xapi/v1/ActiveCalls", "active_calls"),
        ("GET /xapi/v1/Users", "directory"),
        ("GET /xapi/v1/Contacts(7)", "contacts"),
        ("PATCH /xapi/v1/Users(7)", "command"),
        ("POST /callcontrol/101/makecall", "command"),
        ("POST /webclient/api/MyPhone/session", "web_client"),
        ("POST /MyPhone/MPWebService.asmx", "web_client"),
        ("GET /webapi/pbx.calls.get", "pbx.calls.get"),
        ("GET /webapi/", "who"),
    ],
)
def test_requests_are_of_a_few_kinds(shown: str, kind: str) -> None:
    assert kind_of(shown) == kind


def test_a_request_without_an_answer_has_no_duration() -> None:
    counters = PbxCounters()
    counters.request("GET /callcontrol", None, 10.0)
    counters.request("GET /callcontrol", 200, 0.2)
    assert counters.requests == {("full_state", "unreachable"): 1, ("full_state", "ok"): 1}
    assert counters.durations["full_state"].count == 1
    assert [result_of(status) for status in (200, 304, 401, 503)] == [
        "ok",
        "ok",
        "refused",
        "failed",
    ]
