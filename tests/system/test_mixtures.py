"""Play a little of ``make soak-monitors``, and prove that its observer sees what is wrong."""

from __future__ import annotations

import ast
import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.bus import free_port
from tests.faults import ledger
from tests.faults.clients import Clients
from tests.faults.counted import bounds_of, ended_differs, note_listed, returned, statistics_told
from tests.faults.faults import LEASE, STATISTICS, Fault, Hands
from tests.faults.ledger import Command, Key, Losses, Reply
from tests.faults.mixture import Mixture
from tests.faults.phones import Call
from tests.faults.proxy import Proxy
from tests.faults.running import at_a_site, played
from tests.faults.site import Monitor, Process, Redis, Site, zone_at_noon

HARNESS = Path(__file__).parents[1] / "faults"
QUICK = [Fault("kill", "Redis emptied", 0.2, 0.5, "FLUSHALL"), Fault("kill", "leader", 2.0, 1.0)]


@pytest.mark.timeout(400)
async def test_a_mixture_of_faults_leaves_what_an_outside_observer_counted(tmp_path: Path) -> None:
    async with at_a_site(tmp_path, keys=1) as (place, clients, phones):
        outcome = await played(place, clients, phones, "quick", QUICK, 60.0)
        wrong = [one for one in outcome.violations if not one.documented]
        assert not wrong, "\n".join(map(str, outcome.violations))
        assert outcome.commands > 2
        assert outcome.calls > 4


def test_the_observer_shares_no_code_with_what_it_watches() -> None:
    for path in HARNESS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.partition(".")[0] for name in names}
            assert not roots & {"monitor", "gateway"}, f"{path} imports {names}"
            assert all(
                name.startswith("tests.faults") for name in names if name.startswith("tests")
            ), path


def _command(*replies: Reply) -> Command:
    return Command("M1", "contact.new", {}, 0.0, list(replies))


DONE, REFUSED, UNKNOWN = (
    Reply(1.0, "done", 200, "", "1"),
    Reply(1.0, "refused", 503, "busy"),
    Reply(1.0, "unknown", 0, ""),
)


@pytest.mark.parametrize(
    ("command", "times", "final", "right"),
    [
        (_command(DONE), 1, DONE, True),
        (_command(DONE, DONE), 2, DONE, False),
        (_command(DONE), 0, DONE, False),
        (_command(REFUSED), 1, REFUSED, False),
        (_command(REFUSED), 0, REFUSED, True),
        (_command(UNKNOWN), 1, UNKNOWN, True),
        (_command(UNKNOWN), 0, UNKNOWN, True),
        (_command(DONE), 1, UNKNOWN, False),
        (_command(DONE, Reply(2.0, "done", 200, "", "2")), 1, DONE, False),
    ],
)
def test_a_command_is_judged_by_what_was_told_and_done(
    command: Command, times: int, final: Reply, *, right: bool
) -> None:
    assert right is not any(ledger.judge_command(command, times, Losses(), final=final))


@pytest.mark.parametrize(
    ("command", "times", "results", "right"),
    [
        (_command(DONE), 1, ["success"], True),
        (_command(DONE), 1, [], False),
        (_command(DONE), 1, ["outcome_unknown"], False),
        (_command(UNKNOWN), 1, ["outcome_unknown"], True),
        (_command(UNKNOWN), 1, ["busy"], False),
        (_command(UNKNOWN), 0, ["success"], False),
        (_command(UNKNOWN), 0, ["begun"], False),
        (_command(REFUSED), 0, [], True),
    ],
)
def test_an_audit_log_is_judged_by_what_was_done(
    command: Command, times: int, results: list[str], *, right: bool
) -> None:
    assert right is not any(ledger.judge_audit(command, times, results, "a", Losses()))


def test_a_revoked_key_that_is_taken_and_a_key_that_is_refused_are_seen() -> None:
    held = Key("k", "raw", "read", made=0.0, kept=True)
    ended = Key("k", "raw", "read", made=0.0, kept=True, revoking=1.0, revoked=2.0)
    assert ledger.judge_probe(held, 9.0, 200, "", Losses()) is None
    assert ledger.judge_probe(held, 9.0, 503, "no_keys", Losses()) is None
    assert ledger.judge_probe(held, 9.0, 401, "key_unknown", Losses()) is not None
    assert ledger.judge_probe(ended, 9.0, 401, "key_unknown", Losses()) is None
    found = ledger.judge_probe(ended, 9.0, 200, "", Losses())
    assert found is not None
    assert not found.documented
    lost = ledger.judge_probe(ended, 9.0, 200, "", Losses([2.5]))
    assert lost is not None
    assert lost.documented


def test_calls_are_counted_exactly_while_all_is_well_and_once_at_most_otherwise() -> None:
    call = Call("102", "104", 0.0, 7, 1.0, 2.0, "answered")
    names = ["pbx calls", "ext 104 unknown", "queue offered"]
    certain, uncertain = bounds_of([call], [], names), bounds_of([], [call], names)
    for bounds, right, wrong in ((certain, {1}, {0, 2}), (uncertain, {0, 1}, {2, -1})):
        for grown in right | wrong:
            found = ledger.judge_statistics(
                {}, {"pbx calls": grown}, {"pbx calls": bounds["pbx calls"]}, documented=False
            )
            assert any(found) is (grown in wrong)
    row = {"callID": 7, "outcome": "unknown"}
    assert not ended_differs(call, [row])
    assert not ended_differs(call, [])
    assert ended_differs(call, [row, row])
    assert ended_differs(call, [{**row, "outcome": "missed"}])
    note_listed([call], [row])
    assert not ended_differs(call, [row])
    assert not ended_differs(call, [{**row, "outcome": "answered"}]), "it was put right"
    assert ended_differs(call, [{**row, "outcome": "missed"}])
    assert ended_differs(call, [])
    note_listed([call], [{**row, "outcome": "answered"}])
    assert ended_differs(call, [row])
    call.listed, call.certain = "", True
    assert ended_differs(call, [row])
    assert ended_differs(call, [])


def test_calls_that_are_pending_when_all_are_over_are_seen() -> None:
    sides = ("calls", "answered", "missed", "abandoned", "unanswered", "unknown", "pending")
    quiet = dict.fromkeys(sides, 0)
    pbx = {"calls": 0, "answered": 0, "inbound": quiet, "internal": quiet, "outbound": quiet}
    queue = dict.fromkeys(
        ("offered", "answered", "diverted", "unknown", "abandoned", "shortAbandoned"), 0
    )
    before = statistics_told(pbx, queue, {})
    after = statistics_told({**pbx, "outbound": {**quiet, "calls": 1, "pending": 1}}, queue, {})
    made = Call("105", "00490001", 0.0, 7, None, 2.0, "unanswered")
    found = [
        *ledger.judge_statistics(before, after, bounds_of([], [made], after), documented=False)
    ]
    assert [violation.text.partition(" 0")[0] for violation in found] == ["pbx outbound.pending"]


def test_a_call_that_comes_back_from_the_other_monitors_file_may_be_counted_once() -> None:
    lost, kept, late, unseen = (
        Call("102", "104", 0.0, call_id, None, 2.0, "missed") for call_id in (7, 8, 9, 10)
    )
    told = [{"callID": call_id, "outcome": "missed"} for call_id in (7, 8, 9, 10)]
    note_listed([kept], told)
    note_listed([unseen], [{"callID": 10, "outcome": "unknown"}])
    again = returned([lost, kept, late, unseen], frozenset({7, 8, 10}), told)
    assert again == [lost, unseen]
    note_listed([unseen], told)
    again = returned([lost, kept, late, unseen], frozenset({7, 8, 10}), told)
    assert again == [lost]
    bounds = bounds_of([late], [], ["pbx calls"], again)
    assert bounds["pbx calls"] == ledger.Bounds(1, 2)
    assert bounds["pbx internal.unknown"] == ledger.Bounds(-1, 1), (
        "it may have been counted as unknown before"
    )
    assert returned([lost], frozenset({7}), []) == []


@pytest.mark.parametrize("hour", range(24))
def test_no_mixture_goes_over_the_midnight_at_which_figures_begin_anew(hour: int) -> None:
    now = datetime(2026, 11, 28, hour, 59, 44, tzinfo=UTC)
    assert now.astimezone(ZoneInfo(zone_at_noon(now))).hour == 12


async def test_redis_is_waited_for_when_it_is_started_again(tmp_path: Path) -> None:
    redis = Redis(free_port(), tmp_path)
    try:
        for _ in range(5):
            await redis.start_and_wait()
            assert await redis.say("PING") == b"+PONG\r\n"
            redis.kill()
    finally:
        redis.kill()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Site]:
    """A Redis, and two processes that stand for the monitors: they can be stopped and killed."""
    redis = Redis(free_port(), tmp_path)
    way = Proxy(redis.port)
    monitors = {}
    for name in ("a", "b"):
        process = Process(name, ["sleep", "60"], tmp_path / f"{name}.log")
        monitors[name] = Monitor(name, process, tmp_path, tmp_path, way, way)
    first = monitors["a"].process
    try:
        await redis.start_and_wait()
        yield Site(tmp_path, first, "", redis, monitors, first, "", tmp_path)
    finally:
        redis.kill()
        for monitor in monitors.values():
            monitor.process.kill()


FLUSH = Fault("kill", "Redis emptied", 0.0, 0.0, "FLUSHALL")
KILL = Fault("kill", "leader", 0.0, 0.0)
HANG = Fault("stop", "Redis hanging", 0.0, 0.1, "SIGSTOP")


async def test_a_leader_that_is_lost_before_it_has_filled_an_emptied_redis_is_a_documented_loss(
    place: Site,
) -> None:
    losses = Losses()
    hands = Hands.at(place, losses, lambda: "a")
    await hands.do(FLUSH, 0.0)
    assert losses.at == [], "a leader that is well puts all back"
    await hands.do(HANG, 0.0)
    await hands.do(KILL, 0.0)
    assert len(losses.at) == 2
    others = Hands.at(place, losses, lambda: "a")
    await others.do(KILL, 0.0)
    assert len(losses.at) == 2, "Redis was not emptied here"
    others._ill["a"] = time.monotonic()  # it is well from now on
    await others.do(HANG, 0.0)
    await others.do(FLUSH, 0.0)
    assert len(losses.at) == 2, "it was well before Redis was away"
    others._ill["a"] = others._away_since + 0.05
    await others.do(FLUSH, 0.0)
    assert len(losses.at) == 4, "it became well while Redis was away, and could do nothing"


async def test_a_leader_that_is_lost_while_redis_is_being_emptied_is_a_documented_loss(
    place: Site,
) -> None:
    losses = Losses()
    hands = Hands.at(place, losses, lambda: "a")
    place.redis.stop()
    emptying = asyncio.create_task(hands.do(FLUSH, 0.0))
    while hands._away_since < 0:  # noqa: ASYNC110  # it must be looked at
        await asyncio.sleep(0)
    await hands.do(KILL, 0.0)
    place.redis.wake()
    await emptying
    assert losses.at != []


async def test_a_lease_that_another_monitor_had_just_taken_makes_an_emptied_redis_a_documented_loss(
    place: Site,
) -> None:
    losses = Losses()
    hands = Hands.at(place, losses, lambda: "a")
    await place.redis.say("SET", LEASE, "a/1")
    await hands.do(FLUSH, 0.0)
    assert losses.at == []
    await place.redis.say("SET", LEASE, "b/1")
    await hands.do(FLUSH, 0.0)
    assert len(losses.at) == 2


async def test_calls_are_judged_as_seen_whole_only_if_the_lease_did_not_change_hands(
    place: Site,
) -> None:
    mixture = Mixture(place, None, None, "1/1", [])  # type: ignore[arg-type]  # it asks nobody
    first, second, third = (Call("102", "104", 0.0, call_id) for call_id in (7, 8, 9))
    assert not await mixture._sorted_in(None, first), "nobody led when it began"
    await place.redis.say("SET", LEASE, "a/1")
    leader = await place.redis.value(LEASE)
    assert await mixture._sorted_in(leader, second)
    await place.redis.say("SET", LEASE, "b/1")
    assert not await mixture._sorted_in(leader, third), "it may have ended while nobody watched"
    assert (mixture.certain, mixture.uncertain) == ([second], [first, third])
    assert [call.certain for call in (first, second, third)] == [False, True, False]


async def test_what_a_standby_missed_while_it_was_not_well_may_be_lost_too(place: Site) -> None:
    losses, well = Losses(), Losses()
    hands = Hands.at(place, losses, lambda: "a")
    begun = time.monotonic()
    await hands.do(Fault("kill", "standby", 0.0, 0.05), 0.0)
    back = time.monotonic()
    hands._note_losses(time.monotonic())
    assert losses.cover(back, 0.0)
    assert not losses.cover(begun - 0.01, 0.0)
    Hands.at(place, well, lambda: "a")._note_losses(time.monotonic())
    assert not well.cover(back, 0.0)


async def test_a_leader_is_ill_until_a_change_shows_that_one_leads_again(place: Site) -> None:
    clients = Clients(place, session=None)  # type: ignore[arg-type]  # it asks nothing
    hands = Hands.at(place, clients.losses, lambda: "a", clients.first_change)
    hands._ill["a"] = time.monotonic() - 10
    clients.changes.append(time.monotonic() - 5)
    await hands.do(FLUSH, 0.0)
    assert clients.losses.at == []
    clients.changes = [time.monotonic() - 11]
    await hands.do(FLUSH, 0.0)
    assert len(clients.losses.at) == 2, "on a slow machine nobody leads yet"


async def test_an_emptied_redis_lacks_something_until_it_holds_the_statistics_again(
    place: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.faults.site._ANSWERS_WITHIN_S", 60.0)
    losses = Losses()
    hands = Hands.at(place, losses, lambda: "a")
    hands._answers_since = hands._emptied_at = time.monotonic() - 60
    await place.redis.say("SET", STATISTICS, "counted")
    await hands.do(KILL, 0.0)
    assert losses.at == []
    await place.redis.say("FLUSHALL")
    await hands.do(KILL, 0.0)
    assert len(losses.at) == 2, "on a slow machine it takes the leader longer"
