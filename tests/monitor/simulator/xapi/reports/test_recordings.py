"""The recordings: of whose talks there is one, what it tells, and how it is deleted."""

from __future__ import annotations

import re

import pytest

from monitor.simulator.xapi.reports import call_history
from tests.monitor.simulator.exchange_bench import CALLER, Bench
from tests.monitor.simulator.xapi.reports.test_call_log import through_the_queue
from tests.monitor.simulator.xapi_client import Client


@pytest.fixture
def pbx() -> Bench:
    bench = Bench()
    for number in bench.directory.extensions():
        records(bench, number, calls=number in ("104", "105", "112"), outside=number == "112")
    return bench


@pytest.fixture
def client(pbx: Bench) -> Client:
    return Client(bench=pbx)


def records(pbx: Bench, number: str, *, calls: bool, outside: bool = False) -> None:
    """Set whether an extension's calls, or only those with the outside, are recorded."""
    user = pbx.directory.entity(number)
    assert user is not None
    pbx.directory.update(user, {"RecordCalls": calls, "RecordExternalCallsOnly": outside})


def inside(pbx: Bench, caller: str, callee: str) -> None:
    """One extension talks to another for ten seconds."""
    call = pbx.switchboard.dial(caller, callee)
    pbx.now += 5
    pbx.switchboard.answer(call, callee)
    pbx.now += 10
    pbx.switchboard.end(call)


async def test_the_talk_of_the_agent_who_records_is_listed_when_it_is_over(
    pbx: Bench, client: Client
) -> None:
    assert (await client.get("/Recordings")).value == []
    through_the_queue(pbx)
    (row,) = (await client.get("/Recordings")).value
    assert (row["CallType"], row["FromDn"], row["FromDnType"]) == ("InboundExternal", "10000", 1)
    assert (row["ToDn"], row["ToDnType"], row["ToDisplayName"]) == ("105", 0, "No105, Ann")
    assert row["FromCallerNumber"] == CALLER
    assert (row["StartTime"], row["EndTime"]) == (
        "2026-03-04T12:00:15.0000000Z",
        "2026-03-04T12:01:15.0000000Z",
    )
    name = rf"105/\[No105, Ann\]_105-{re.escape(CALLER)}_20260304120015\({row['Id']}\)\.wav"
    assert re.fullmatch(name, row["RecordingUrl"]), row["RecordingUrl"]


async def test_each_who_records_has_one_and_who_records_the_outside_has_none_of_inside(
    pbx: Bench, client: Client
) -> None:
    inside(pbx, "104", "105")
    inside(pbx, "112", "101")
    rows = (await client.get("/Recordings")).value
    assert [(row["CallType"], row["FromDn"], row["ToDn"]) for row in rows] == [
        ("Local", "104", "105"),
        ("Local", "104", "105"),
    ]
    assert [row["RecordingUrl"].partition("/")[0] for row in rows] == ["104", "105"]


async def test_what_is_deleted_is_gone_and_the_oldest_are_forgotten_first(
    pbx: Bench, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_history, "RECORDINGS_KEPT", 3)
    for _ in range(2):
        inside(pbx, "104", "105")
    ids = (await client.get("/Recordings")).column("Id")
    assert len(ids) == 3
    path = "/Recordings/Pbx.BulkRecordingsDelete"
    assert (await client.ask("POST", path, {"ids": [ids[1], 10**6]})).status == 204
    assert (await client.get("/Recordings")).column("Id") == [ids[0], ids[2]]


def test_some_people_of_a_made_up_company_record() -> None:
    users = Bench().directory.users.values()
    assert [user["Number"] for user in users if user["RecordCalls"]] == ["102", "107", "112", "117"]
