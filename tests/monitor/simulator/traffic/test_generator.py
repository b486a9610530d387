"""Test that the traffic is reproducible, varied and robust, and leaves no trace."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.ground_truth import TruthCall, TruthEnded
from monitor.simulator.calls.model import SimulatedCall
from monitor.simulator.calls.switchboard import ControlRequest, Switchboard
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.traffic.generator import TrafficGenerator
from monitor.simulator.traffic.planner import ANONYMOUS, KINDS, Kind
from tests.monitor.simulator.exchange_bench import NOON, Client

_DIRECTORY_SEED = 5


@dataclass
class Day:
    """Traffic in a time of its own, the switchboard's clock with it."""

    directory: Directory
    switchboard: Switchboard
    traffic: TrafficGenerator
    client: Client

    def until_over(self, seconds: float = 20_000.0) -> list[TruthEnded]:
        while (
            seconds > 0
            and self.traffic.stats.over < self.traffic.stats.started + self.traffic.stats.skipped
        ):
            self.traffic.advance(5.0)
            seconds -= 5.0
        return self.switchboard.ended()

    def only(self) -> SimulatedCall:
        (call,) = self.switchboard.calls.values()
        return call


def day(
    rate: float = 60.0,
    *,
    seed: int = 1,
    limit: int | None = None,
    kinds: tuple[Kind, ...] = KINDS,
    extensions: int = 60,
    speed: float = 1.0,
) -> Day:
    directory = make_directory(_DIRECTORY_SEED, extensions, 3, contacts=20)
    holder: list[TrafficGenerator] = []
    switchboard = Switchboard(
        directory, Switches(), lambda: NOON + (holder[0].now if holder else 0.0)
    )
    client = Client(switchboard)
    traffic = TrafficGenerator(
        switchboard, directory, seed, rate, speed, limit=limit, mix=dict.fromkeys(kinds, 1.0)
    )
    holder.append(traffic)
    return Day(directory, switchboard, traffic, client)


def run_to_the_end(today: Day, seconds: float = 6000.0) -> list[TruthEnded]:
    today.traffic.advance(seconds)
    assert today.switchboard.calls == {}
    return today.switchboard.ended()


def test_the_same_seed_and_directory_give_the_same_calls_whatever_the_steps_of_time() -> None:
    first, second, other = day(limit=200), day(limit=200), day(limit=200, seed=2)
    first.traffic.advance(6000.0)
    for _ in range(6000):
        second.traffic.advance(1.0)
    other.traffic.advance(6000.0)
    assert len(first.switchboard.ended()) >= 200
    assert first.switchboard.ended() == second.switchboard.ended()
    assert first.switchboard.ended() != other.switchboard.ended()


def test_plans_do_not_depend_on_rate_speed_or_what_was_played() -> None:
    first, second = day(60.0), day(600.0, speed=10.0)
    first.traffic.advance(300.0)
    plans = [first.traffic.plan(index) for index in range(200)]
    assert plans == [second.traffic.plan(index) for index in range(200)]
    assert {plan.kind for plan in plans if plan is not None} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_call_is_played_to_its_end(kind: Kind) -> None:
    today = day(6.0, limit=12, kinds=(kind,))
    seen: set[str] = set()
    queued = False
    for _ in range(30_000):
        today.traffic.advance(0.5)
        for truth in today.switchboard.truth():
            seen.update(leg.dn_type for leg in truth.legs)
            queued = queued or bool(truth.queue)
        if today.traffic.stats.over == 12:
            break
    ended = today.switchboard.ended()
    stats = today.traffic.stats
    assert (stats.started, stats.over, today.switchboard.calls) == (12, 12, {})
    assert len(ended) >= 12
    assert today.client.table == {}
    assert today.client.errors == []
    if kind.endswith("unanswered") and kind != "blind_unanswered":
        assert {end.outcome for end in ended} <= {"missed", "unanswered"}
    if kind in ("queue_abandoned", "menu_abandoned"):
        assert {end.outcome for end in ended} == {"abandoned"}
    if kind in ("outbound", "forward", "conference", "attended", "internal"):
        assert "answered" in {end.outcome for end in ended}
    wanted = {
        "conference": {"conference"},
        "forward": {"externalline"},
        "internal_busy": {"specialmenu"},
        "menu_queue": {"ivr", "queue"},
    }
    assert wanted.get(kind, set()) <= seen
    assert queued == ("queue" in kind)


def test_all_truths_of_a_busy_hour_are_sound() -> None:
    today = day(600.0, limit=600, extensions=150)
    most = 0
    for _ in range(4000):
        today.traffic.advance(1.0)
        most = max(most, len(today.switchboard.calls))
        for truth in today.switchboard.truth():
            _sound(truth)
        if today.traffic.stats.over >= 600:
            break
    assert most > 100
    assert today.traffic.stats.over == 600
    assert today.client.errors == []
    assert all(
        end.started_at <= (end.answered_at or end.ended_at) <= end.ended_at
        for end in today.switchboard.ended()
    )


def test_an_inbound_call_has_the_rule_of_its_line_or_none() -> None:
    today = day(60.0, limit=150)
    rules = {
        rule["RuleName"]: rule["TrunkDN"]["Number"]
        for rule in today.directory.inbound_rules.values()
    }
    dids = set()
    for end in run_to_the_end(today):
        if end.direction in ("Inbound", "FromExternal", "External"):
            trunks = [leg.dn for leg in end.legs if leg.dn_type == "externalline"]
            assert not end.did or rules[end.did] in trunks
            only = today.directory.rules(trunks[0])
            assert len(only) != 1 or end.did == only[0]["RuleName"]
            dids.add(end.did)
        else:
            assert end.did == ""
    assert "" in dids
    assert len(dids) > 3


def test_a_few_callers_from_outside_hide_their_number() -> None:
    today = day(limit=150, kinds=("direct",))
    plans = [today.traffic.plan(index) for index in range(1000)]
    assert 20 < sum(plan is not None and plan.caller == ANONYMOUS for plan in plans) < 60
    rows: set[str] = set()
    while today.traffic.stats.over < 150:
        today.traffic.advance(1.0)
        rows |= {row.caller for row in today.switchboard.active_calls()}
    assert any(text.endswith(f"({ANONYMOUS})") for text in rows)
    assert ANONYMOUS in {ended.caller for ended in today.switchboard.ended()}


def test_calls_that_others_end_or_change_do_not_stop_the_traffic() -> None:
    today = day(600.0, limit=400, extensions=100)
    actions = ("drop", "answer", "divert", "routeto", "transferto")
    for step in range(3000):
        today.traffic.advance(0.7)
        calls = list(today.switchboard.calls.values())
        if calls and step % 2:
            call = calls[step % len(calls)]
            views = list(call.views.values())
            view = views[step % len(views)]
            request = ControlRequest(destination=("800", "150", "+15155550123", "600")[step % 4])
            today.switchboard.act(view.dn, view.id, actions[step % len(actions)], request)
        elif calls:
            today.switchboard.drop_call(calls[step % len(calls)].id)
    run_to_the_end(today)
    assert today.traffic.stats.started == today.traffic.stats.over == 400
    assert today.client.errors == []
    assert today.client.table == {}


def test_a_queue_serves_its_callers_in_the_order_of_their_coming() -> None:
    today = day(120.0, limit=60, kinds=("queue",))
    came: dict[str, list[int]] = {}
    rung: dict[str, list[int]] = {}
    for _ in range(20_000):
        today.traffic.advance(0.05)
        for call in today.switchboard.truth():
            if call.queue:
                for orders in (came, rung) if call.routing_to else (came,):
                    order = orders.setdefault(call.queue, [])
                    if call.call_id not in order:
                        order.append(call.call_id)
        if today.traffic.stats.over == 60:
            break
    assert sum(len(order) for order in rung.values()) > 30
    for queue, order in rung.items():
        assert order == [call for call in came[queue] if call in order]


def test_busy_extensions_are_not_chosen_for_direct_calls() -> None:
    today = day(1200.0, limit=300, kinds=("direct", "internal", "outbound"), extensions=40)
    for _ in range(600):
        today.traffic.advance(0.5)
        for number in today.directory.extensions():
            assert today.switchboard.in_use(number) <= 1
    assert today.traffic.stats.skipped > 0, "more was wanted than there are people"


def test_calls_made_by_a_program_are_rung_answered_and_ended() -> None:
    today = day(0.0)
    today.traffic.advance(1.0)
    usable = [n for n in today.directory.extensions() if len(today.directory.devices(n)) == 2]
    outcome = today.switchboard.makecall(usable[0], None, "+15155550123", None, {})
    assert outcome.finalstatus == "Success"
    call = today.only()
    words: list[tuple[str, tuple[str, ...]]] = []
    for _ in range(400):
        today.traffic.advance(0.5)
        truth = next(
            (truth for truth in today.switchboard.truth() if truth.call_id == call.id), None
        )
        if truth is None:
            break
        word = (truth.state, tuple(leg.status for leg in truth.legs))
        if not words or words[-1] != word:
            words.append(word)
    assert words[0] == ("Routing", ("Ringing",))
    assert call.over
    assert today.traffic.stats.ordered == 1


def test_without_traffic_an_ordered_call_stays_as_it_is() -> None:
    directory = make_directory(_DIRECTORY_SEED, 20, 2, contacts=0)
    switchboard = Switchboard(directory, Switches(), lambda: NOON)
    number = next(n for n in directory.extensions() if directory.devices(n))
    switchboard.makecall(number, directory.devices(number)[0].device_id, "+15155550123", None, {})
    assert [truth.state for truth in switchboard.truth()] == ["Routing"]


def test_a_pbx_without_people_has_no_traffic() -> None:
    directory = Directory()
    traffic = TrafficGenerator(Switchboard(directory, Switches(), lambda: NOON), directory, 1, 60.0)
    traffic.advance(60.0)
    assert (traffic.stats.started, traffic.plan(0)) == (0, None)


def test_a_rate_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        day(-1.0)


async def test_running_pausing_and_stopping() -> None:
    today = day(6000.0, speed=100.0, limit=100)
    enough = asyncio.Event()
    today.switchboard.listen(lambda _: enough.set() if today.traffic.stats.started > 20 else None)
    running = asyncio.create_task(today.traffic.run())
    async with asyncio.timeout(30):
        await enough.wait()
        today.traffic.pause()
        await today.traffic.quiet()
        frozen = (today.traffic.now, today.switchboard.truth())
        for _ in range(100):
            await asyncio.sleep(0)
        assert (today.traffic.now, today.switchboard.truth()) == frozen
        today.traffic.resume()
        await today.traffic.finished()
        assert (today.traffic.stats.started, today.traffic.stats.over, today.switchboard.calls) == (
            100,
            100,
            {},
        )
        today.traffic.stop()
        await running


async def test_a_paused_traffic_can_be_stopped() -> None:
    today = day(600.0)
    running = asyncio.create_task(today.traffic.run())
    today.traffic.pause()
    async with asyncio.timeout(60):
        await today.traffic.quiet()
        today.traffic.stop()
        await running


def _sound(truth: TruthCall) -> None:
    dns = {leg.dn for leg in truth.legs}
    assert truth.owner in dns
    assert {*truth.talk_to, *truth.routing_to} <= dns
    assert truth.state != "Initiating" or dns == {truth.owner}
    assert not truth.queue or truth.answered_at is None
    assert (truth.direction in ("Inbound", "External", "FromExternal")) == (
        truth.legs[0].dn_type == "externalline"
    ) or (truth.direction in ("Outbound", "Internal", "Inbound"))
