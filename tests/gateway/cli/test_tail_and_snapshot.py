"""``callmon tail`` and ``callmon snapshot``: the stream in lines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.cli import tail_and_snapshot
from gateway.cli.tail_and_snapshot import GatewayAddress
from gateway.cli.terminal_output import say
from gateway.stream_client import Connection, Entities, StreamPosition, Update
from monitor.shared.entities.topics import TOPICS, Call, Entity, Extension, Leg, Talk
from monitor.shared.errors import CallmonError, ConfigError
from tests.gateway import entities
from tests.gateway.cli.console import HOSTILE, OBEYED
from tests.gateway.histories import plain
from tests.gateway.serving import serving


def test_tail_writes_each_change_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    system = {"fqdn": HOSTILE, "connection": "lost", "reason": HOSTILE}
    change = Update(
        "change",
        StreamPosition("e", 1),
        "2026-01-01T00:00:00.000Z",
        None,
        {},
        {"system": {"pbx": system}},
        {},
    )
    for line in (*tail_and_snapshot._Lines()(change), *tail_and_snapshot._json_lines(change)):
        say(line)
    out = capsys.readouterr().out
    assert not OBEYED & set(out)
    assert len(out.splitlines()) == 2


def update(**more: Any) -> Update:
    fields: dict[str, Any] = {
        "kind": "change",
        "position": StreamPosition("e", 7),
        "server_time": "2026-03-04T08:15:30.250Z",
        "stale_since": None,
        "state": {},
    }
    return Update(**fields | more)


def lines(**more: Any) -> list[str]:
    """What people read, without the time before it."""
    found = list(tail_and_snapshot._Lines()(update(**more)))
    assert all(line.startswith("08:15:30.250  ") for line in found)
    return [line.removeprefix("08:15:30.250  ") for line in found]


def of(topic: str, id_: str, entity: Entity) -> dict[str, dict[str, Any]]:
    return {topic: {id_: plain(entity)}}


CALL = replace(
    entities.call(7),
    legs=(
        Leg("10000", "externalline", "+4930", "Connected", name="trunk", party_name="Ann"),
        Leg("101", "extension", "+4930", "Ringing", name="Ben"),
    ),
    queue="800",
    did="Sales",
)

ANN: Extension = replace(entities.extension("101"), registered=True, enabled=1)


@pytest.mark.parametrize(
    ("upsert", "says"),
    [
        (
            of("calls", "7", CALL),
            (
                "call      7  inbound  Talking      10000 (trunk) Connected +4930 (Ann), "
                "101 (Ben) Ringing · Waiting in 800 · Sales"
            ),
        ),
        (
            of("ended", "7", replace(entities.ended(7), callee="101", callee_name="Ben")),
            "call      7  inbound  ended        Missed: 0301234567 → 101 (Ben)",
        ),
        (
            of("ended", "7", replace(entities.ended(7), caller="")),
            "call      7  inbound  ended        Missed: Number withheld → –",
        ),
        (
            of("system", "pbx", replace(entities.system("lost"), reason="it hangs")),
            "PBX pbx.example lost: it hangs",
        ),
        (of("extensions", "101", ANN), "extension 101 (N101): Free"),
        (
            of(
                "extensions",
                "101",
                replace(
                    entities.extension("101"),
                    talks=(
                        Talk(1, "Talking", None, "102", "Ann", False),
                        Talk(2, "Ringing", None, "+49", "", True),
                    ),
                ),
            ),
            "extension 101 (N101): Talking 102 (Ann) and Ringing +49",
        ),
        (of("queues", "800", entities.queue("800")), "queue 800 (Q800): Waiting 0"),
        (of("ivrs", "70", entities.ivr("70")), "ivrs 70 changed"),
    ],
)
def test_a_change_is_told_in_words(upsert: dict[str, dict[str, Any]], says: str) -> None:
    assert lines(upsert=upsert) == [says]


TOGETHER: Call = replace(CALL, queue="", did="")
ALONE: Call = replace(TOGETHER, legs=CALL.legs[:1])
EMPTY: Call = replace(TOGETHER, legs=())


def at(second: int, **more: Any) -> Update:
    return update(server_time=f"2026-03-04T08:15:{second:02}.000Z", **more)


def told(*updates: Update) -> list[str]:
    """Which calls have a row in what people read, with their time and their legs' number."""
    write = tail_and_snapshot._Lines()
    return [
        f"{line[6:8]} {'ended' if ' ended ' in line else line.count('Connected')}"
        for one in updates
        for line in write(one)
        if "  call " in line
    ]


def test_the_last_leg_before_an_end_and_a_call_without_parties_have_no_row() -> None:
    ended = {"upsert": of("ended", "7", entities.ended(7)), "remove": {"calls": ["7"]}}
    assert told(
        at(1, upsert=of("calls", "7", ALONE)),
        at(2, upsert=of("calls", "7", TOGETHER)),
        at(3, upsert=of("calls", "7", ALONE)),
        at(4, upsert=of("calls", "7", EMPTY)),
        at(4, **ended),
        at(20, kind="heartbeat"),
    ) == ["01 1", "02 1", "04 ended"]
    snapshot = at(1, kind="snapshot", state=of("calls", "7", TOGETHER))
    assert told(snapshot, at(2, upsert=of("calls", "7", ALONE)), at(2, **ended)) == ["02 ended"]


def test_a_call_that_goes_on_with_one_leg_is_told_a_moment_later() -> None:
    falling = at(2, upsert=of("calls", "7", ALONE))
    begun = at(1, upsert=of("calls", "7", TOGETHER))
    assert told(begun, falling, at(3, kind="heartbeat")) == ["01 1"]
    assert told(begun, falling, at(3, kind="heartbeat"), at(7, kind="heartbeat")) == [
        "01 1",
        "02 1",
    ]
    passed_on = at(3, upsert=of("calls", "7", TOGETHER))
    assert told(begun, falling, passed_on, at(9, kind="heartbeat")) == ["01 1", "03 1"]


def test_what_is_gone_is_told_but_for_calls_of_which_their_end_tells() -> None:
    gone = {"calls": ["7"], "ended": ["6@2026"], "queues": ["800", "801"]}
    assert lines(remove=gone) == [
        "queues 800 is gone",
        "queues 801 is gone",
    ]


def test_a_snapshot_is_told_by_its_size_and_a_heartbeat_only_if_something_is_wrong() -> None:
    state: Entities = {"calls": {"7": plain(CALL)}, "queues": {}}
    assert lines(kind="snapshot", state=state) == ["snapshot at e/7: 1 calls, 0 queues"]
    assert lines(kind="heartbeat") == []
    assert lines(kind="heartbeat", stale_since=entities.START) == [
        f"nothing heard from the monitor since {entities.START}"
    ]


def test_programs_read_each_change_as_an_object_in_a_line() -> None:
    upsert: Entities = {"calls": {"7": {"did": "Übung\n"}}}
    state: Entities = {"calls": {"7": {}}}
    one, other, *rest = [
        line
        for kind, more in (
            ("snapshot", {"state": state}),
            ("heartbeat", {}),
            ("change", {"upsert": upsert, "remove": {"queues": ["800"]}}),
        )
        for line in tail_and_snapshot._json_lines(update(kind=kind, **more))
    ]
    assert rest == []
    at = {"epoch": "e", "seq": 7, "server_time": "2026-03-04T08:15:30.250Z"}
    assert json.loads(one) == {"type": "snapshot", **at, "state": state}
    assert json.loads(other) == {
        "type": "change", **at, "upsert": upsert, "remove": {"queues": ["800"]}
    }  # fmt: skip
    assert "\n" not in other


def test_why_there_is_no_connection_is_said_once_and_that_it_works_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = tail_and_snapshot.Reporter()
    for status, reason in (
        ("connecting", ""),
        ("live", ""),
        ("waiting", "Nothing listens."),
        ("connecting", "Nothing listens."),
        ("waiting", "It is draining."),
        ("live", ""),
        ("live", ""),
        ("closed", "It has ended."),
    ):
        report(Connection(status, reason))  # type: ignore[arg-type]  # they are statuses
    said = capsys.readouterr()
    assert said.out == "", "a pipe reads that"
    assert said.err.splitlines() == [
        "callmon: Nothing listens. Trying again.",
        "callmon: It is draining. Trying again.",
        "callmon: The gateway is reached.",
    ]


def test_topics_are_those_that_there_are() -> None:
    assert tail_and_snapshot._topics(" calls, queues,") == ("calls", "queues")
    assert tail_and_snapshot._topics("") == tuple(TOPICS)
    with pytest.raises(ConfigError, match="cals, phones: not a topic; the topics are system, "):
        tail_and_snapshot._topics("cals,calls,phones")


async def test_a_snapshot_is_one_object_that_holds_the_state(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with serving() as served:
        served.put("calls", "7", entities.call(7))
        gateway = GatewayAddress(f"http://{served.host}", "reader-key")
        await tail_and_snapshot.snapshot(gateway, "calls,queues", 60.0)
    said = json.loads(capsys.readouterr().out)
    assert (said["epoch"], said["seq"]) == (served.position.epoch, served.position.seq)
    assert said["state"] == {"calls": {"7": plain(entities.call(7))}, "queues": {}}


async def test_a_snapshot_of_one_of_several_pbxs_and_of_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with serving() as served:
        address = f"http://{served.host}"
        one = GatewayAddress(address, "fleet-key", pbx="main")
        await tail_and_snapshot.snapshot(one, "queues", 60.0)
        assert json.loads(capsys.readouterr().out)["state"] == {"queues": {}}
        await tail_and_snapshot.snapshot(GatewayAddress(address, "fleet-key"), "pbxs", 60.0)
        told = json.loads(capsys.readouterr().out)["state"]["pbxs"]
        assert told.keys() == {"main", "empty"}


async def test_a_gateway_that_sends_no_state_is_not_waited_for_for_ever() -> None:
    async with serving() as served:
        gateway = GatewayAddress(f"http://{served.host}", "early-key")
        with pytest.raises(CallmonError, match=r"No state came from http://\S+ within 0\.2 s"):
            await tail_and_snapshot.snapshot(gateway, "calls", 0.2)
