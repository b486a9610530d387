"""The bus under everything that may happen to it, by property-based search over the real code.

Two monitors of one PBX, followers that come and go, and a Redis that loses its memory or goes back in time. Whoever
claims a position (the store, a writer, a follower) must claim the same state as everybody else ever did: *exact* and
*unique*. No follower goes back: *forward*. The changes from any earlier position lead to the present: *resumable*. And
once the faults stop everyone arrives where the PBX is: *live*.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from gateway.feed import Feed
from gateway.replica import Replica
from gateway.stored import read_state
from monitor.errors import BusUnreachable, Fenced
from monitor.lease import Lease
from monitor.model import change as model
from monitor.model.change import Edit, Position
from monitor.model.entities import Ivr, State, empty_state, table
from monitor.model.keys import Keys
from monitor.publisher import Publisher
from monitor.writer import SpaceWriter
from tests.bus import Bus, Dump, FakeBus, RealBus, copy, fake_bus, flush, real_bus, restore
from tests.faulty import FaultyRedis, Network

KEYS = Keys("model", "live")
LOG_LENGTH = 6
EXAMPLES = 60
STEPS = 50
T = TypeVar("T")

writers = st.integers(0, 1)
keys = st.sampled_from("abc")
faults = st.sampled_from(["request lost", "answer lost", "request late"])


def copied(state: State) -> State:
    return {topic: dict(entities) for topic, entities in state.items()}


def bare(state: State) -> dict[str, str]:
    """What the PBX says, without who wrote it."""
    return {num: ivr.name for num, ivr in table(state, "ivrs", Ivr).items()}


class Claims:
    """Which state stands at which position, as anyone ever claimed, and whose.

    Every entity bears its writer's term of office, so that one who writes into another's epoch shows.
    """

    def __init__(self) -> None:
        self.states: dict[Position, State] = {}
        self.terms: dict[str, str] = {}
        self.broken: list[str] = []

    def claim(self, who: str, position: Position, state: State) -> None:
        """Also heard from callbacks, where an assertion would only end a task: so faults are gathered."""
        known = self.states.setdefault(position, copied(state))
        if known != state:
            self.broken.append(f"{who} claims another state at {position}: {state['ivrs']}, known: {known['ivrs']}")
        for term in {entity.kind for entity in table(state, "ivrs", Ivr).values()}:
            if self.terms.setdefault(position.epoch, term) != term:
                self.broken.append(f"two terms of office in one epoch at {position}: {state['ivrs']}")


class Monitor:
    """A monitor process: it leads or contests. ``truth`` is the PBX, which all monitors see."""

    def __init__(self, name: str, bus: Bus, truth: State, claims: Claims) -> None:
        self.name = name
        self.network = Network()
        self._redis = FaultyRedis(bus.client(), self.network)
        self._truth = truth
        self._claims = claims
        self.lease = Lease(self._redis, KEYS, name, ttl=600)
        self.publisher: Publisher | None = None
        self.writer: SpaceWriter | None = None
        self.state = empty_state(KEYS.topics)
        self._term = 0

    async def contest(self) -> None:
        try:
            if self.writer is not None or not await self.lease.acquire():
                return
        except BusUnreachable:
            return
        self._term += 1
        self.state["ivrs"] = {num: self._signed(ivr) for num, ivr in table(self._truth, "ivrs", Ivr).items()}
        self.publisher = Publisher(self._redis, KEYS, self.name, lease=self.lease, log_length=LOG_LENGTH)
        self.writer = SpaceWriter(self.publisher, self.lease, lambda: self.state, lambda: True, heartbeat=3600)

    def learn(self, num: str) -> None:
        """Something happened to this entity at the PBX."""
        if self.writer is None:
            return
        after = table(self._truth, "ivrs", Ivr).get(num)
        edit = Edit("ivrs", num, self.state["ivrs"].get(num), None if after is None else self._signed(after))
        model.apply(self.state, [edit])
        self.writer.changed([edit])

    def knows_the_truth(self) -> bool:
        return bare(self.state) == bare(self._truth)

    async def step(self, *, beat: bool) -> None:
        if self.writer is None or self.publisher is None:
            return
        if beat:
            self.writer._beat_at = 0.0
        try:
            await self.writer.step()
        except Fenced:
            await self.stop()
        except BusUnreachable:
            return
        else:
            if self.publisher.position is not None and not self.publisher.undecided and not len(self.writer._pending):
                self._claims.claim(f"monitor {self.name}", self.publisher.position, self.state)

    def _signed(self, ivr: Ivr) -> Ivr:
        return Ivr(ivr.num, ivr.name, f"{self.name}{self._term}")

    async def stop(self) -> None:
        if self.publisher is not None:
            await self.publisher.aclose()
        self.writer = self.publisher = None


class Follower:
    """A gateway."""

    def __init__(self, number: int, bus: Bus, claims: Claims) -> None:
        self.name = f"follower {number}"
        self.network = Network()
        self.replica = Replica(KEYS, log_length=LOG_LENGTH)
        self.feed = Feed(
            FaultyRedis(bus.client(), self.network), KEYS, self.replica, self._changed, silence=0.15, compare=0.3
        )
        self._claims = claims
        self._history: list[tuple[Position, State]] = []
        self._task = asyncio.get_running_loop().create_task(self.feed.run())

    def _changed(self) -> None:
        position = self.replica.position
        if position is None:
            return
        self._claims.claim(self.name, position, self.replica.state)
        if self._history and self._history[-1][0] == position:
            return
        if self._history and position < self._history[-1][0]:
            self._claims.broken.append(f"{self.name} went back from {self._history[-1][0]} to {position}")
        for earlier, state in self._history[-LOG_LENGTH:]:
            changes = self.replica.since(earlier.seq) if earlier.epoch == position.epoch else None
            if changes is not None:
                resumed = copied(state)
                for change in changes:
                    model.apply(resumed, change.edits)
                if resumed != self.replica.state:
                    self._claims.broken.append(f"{self.name} resumed wrongly from {earlier} to {position}")
        self._history.append((position, copied(self.replica.state)))

    async def leave(self) -> None:
        self._task.cancel()
        try:
            await self._task
        except asyncio.CancelledError:
            return


class BusMachine(RuleBasedStateMachine):
    """One history of mishaps."""

    _runner: asyncio.Runner
    _bus: FakeBus | RealBus

    def __init__(self) -> None:
        super().__init__()
        self._claims = Claims()
        self._truth = empty_state(KEYS.topics)
        self._count = 0
        self._dumps: list[Dump] = []
        self._followers: list[Follower] = []
        self._monitors: list[Monitor] = []

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Do it, then look at the store like any reader."""

        async def observed() -> T:
            result = await what
            stored = await read_state(self._bus.client(), KEYS)
            if stored is not None:
                self._claims.claim("the store", stored.stored.position, stored.state)
                expected = [] if stored.stored.position.seq == 0 else [stored.stored.position]
                if [change.position for change in stored.log[-1:]] != expected:
                    self._claims.broken.append(f"the log does not end at {stored.stored.position}")
            return result

        result = self._runner.run(observed())
        assert not self._claims.broken, "\n".join(self._claims.broken)
        return result

    @initialize()
    def begin(self) -> None:
        async def first() -> None:
            await flush(self._bus)
            self._monitors = [Monitor(name, self._bus, self._truth, self._claims) for name in "AB"]
            await self._monitors[0].contest()
            await self._monitors[0].step(beat=False)
            self._followers.append(Follower(1, self._bus, self._claims))

        self.run(first())

    @rule(who=writers)
    def contest(self, who: int) -> None:
        self.run(self._monitors[who].contest())

    def _happen(self, key: str, gone: bool) -> None:
        self._count += 1
        if gone:
            self._truth["ivrs"].pop(key, None)
        else:
            self._truth["ivrs"][key] = Ivr(key, str(self._count))
        for monitor in self._monitors:
            monitor.learn(key)

    @rule(key=keys, gone=st.booleans())
    def a_call(self, key: str, gone: bool) -> None:
        self._happen(key, gone)

    @rule(who=writers, key=keys)
    def a_call_is_published(self, who: int, key: str) -> None:
        self._happen(key, gone=False)
        self.run(self._monitors[who].step(beat=False))

    @rule(who=writers, key=keys)
    def a_call_is_published_by_whoever_can(self, who: int, key: str) -> None:
        async def work() -> None:
            for monitor in self._monitors[who:] + self._monitors[:who]:
                await monitor.contest()
                await monitor.step(beat=False)

        self._happen(key, gone=False)
        self.run(work())

    @rule(who=writers, beat=st.booleans())
    def step(self, who: int, beat: bool) -> None:
        self.run(self._monitors[who].step(beat=beat))

    @rule(who=writers)
    def the_other_takes_over(self, who: int) -> None:
        async def take_over() -> None:
            await self._bus.client().delete(KEYS.lease)
            await self._monitors[who].contest()
            await self._monitors[who].step(beat=False)

        self.run(take_over())

    @rule(who=writers, fault=faults, beat=st.booleans())
    def step_over_a_bad_network(self, who: int, fault: Any, beat: bool) -> None:
        self._happen("d", gone=False)
        self._monitors[who].network.next_exec = fault
        self.run(self._monitors[who].step(beat=beat))

    @rule(who=writers)
    def late_requests_arrive(self, who: int) -> None:
        self.run(self._monitors[who].network.deliver_late())

    @rule(who=writers)
    def crash(self, who: int) -> None:
        self.run(self._monitors[who].stop())

    @rule()
    def the_lease_runs_out(self) -> None:
        async def run_out() -> None:
            await self._bus.client().delete(KEYS.lease)

        self.run(run_out())

    @rule()
    def empty_the_store(self) -> None:
        self.run(flush(self._bus))

    @rule()
    def remember_the_store(self) -> None:
        self._dumps.append(self.run(copy(self._bus)))

    @precondition(lambda self: self._dumps)
    @rule(data=st.data())
    def roll_the_store_back(self, data: st.DataObject) -> None:
        self.run(restore(self._bus, data.draw(st.sampled_from(self._dumps))))

    @precondition(lambda self: len(self._followers) < 3)
    @rule()
    def a_follower_comes(self) -> None:
        async def come() -> None:
            self._followers.append(Follower(len(self._followers) + 1, self._bus, self._claims))

        self.run(come())

    @precondition(lambda self: self._followers)
    @rule()
    def a_follower_goes(self) -> None:
        self.run(self._followers.pop().leave())

    @rule()
    def subscriptions_break(self) -> None:
        self.run(self._bus.drop_subscribers())

    @precondition(lambda self: self._followers)
    @rule(data=st.data(), messages=st.integers(1, 3))
    def messages_get_lost(self, data: st.DataObject, messages: int) -> None:
        data.draw(st.sampled_from(self._followers)).network.deaf_for += messages

    @rule(seconds=st.sampled_from([0.001, 0.005, 0.02]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def teardown(self) -> None:
        if self._monitors:
            try:
                self.run(self._all_end_well())
            finally:
                self._runner.run(self._close())

    async def _all_end_well(self) -> None:
        for network in [party.network for party in self._monitors] + [party.network for party in self._followers]:
            await network.heal()
        self._followers.append(Follower(99, self._bus, self._claims))
        try:
            async with asyncio.timeout(5):
                while not self._settled():
                    for monitor in self._monitors:
                        await monitor.contest()
                        await monitor.step(beat=True)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            self._claims.broken.append(self._picture())

    def _settled(self) -> bool:
        leaders = [m for m in self._monitors if m.publisher is not None and m.publisher.position is not None]
        return (
            len(leaders) == 1
            and leaders[0].publisher is not None
            and leaders[0].knows_the_truth()
            and all(
                f.replica.position == leaders[0].publisher.position
                and bare(f.replica.state) == bare(self._truth)
                and f.replica.stale_since is None
                for f in self._followers
            )
        )

    def _picture(self) -> str:
        monitors = [(m.name, m.publisher and m.publisher.position) for m in self._monitors]
        followers = [(f.name, f.replica.position, f.replica.stale_since) for f in self._followers]
        return f"not live: {monitors}, {followers}"

    async def _close(self) -> None:
        for follower in self._followers:
            await follower.leave()
        for monitor in self._monitors:
            await monitor.stop()
        if isinstance(self._bus, RealBus):
            await self._bus.close_clients()


@pytest.mark.parametrize("server", ["fakeredis", "valkey"])
def test_whatever_happens_nobody_holds_a_wrong_state_and_everybody_arrives(server: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with asyncio.Runner() as runner:
            explore(runner, fake_bus() if server == "fakeredis" else real_bus())
    finally:
        structlog.reset_defaults()


def explore(runner: asyncio.Runner, opening: AbstractAsyncContextManager[FakeBus | RealBus]) -> None:
    async def open_bus() -> FakeBus | RealBus:
        return await opening.__aenter__()

    async def close_bus() -> None:
        await opening.__aexit__(None, None, None)

    class Machine(BusMachine):
        _runner = runner
        _bus = runner.run(open_bus())

    try:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        runner.run(close_bus())
