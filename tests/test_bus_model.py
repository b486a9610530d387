"""Search for faults of the bus, by properties over the real code.

Two monitors of one PBX, followers that come and go, and a Redis that loses its memory or goes back
in time. Whoever claims a position (the store, a writer, a follower) must claim the same state as
everybody else ever did: *exact* and *unique*. No follower goes back: *forward*. The changes from
any earlier position lead to the present: *resumable*. And once the faults stop everyone arrives
where the PBX is: *live*.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.replication.redis_reader import read_state
from monitor.shared.entities.topics import Ivr, empty_state
from tests.bus import Dump, FakeBus, RealBus, copy, fake_bus, flush, patient, real_bus, restore
from tests.bus_parties import KEYS, Claims, Follower, Monitor, bare
from tests.examples import examples

EXAMPLES = {"fakeredis": 20, "valkey": 6}
"""Histories with each server: a real one takes seven times as long."""
STEPS = 50
T = TypeVar("T")

writers = st.integers(0, 1)
keys = st.sampled_from("abc")
faults = st.sampled_from(["request lost", "answer lost", "request late"])


class BusMachine(RuleBasedStateMachine):
    """One history of mishaps."""

    _runner: asyncio.Runner
    _bus: FakeBus | RealBus

    def __init__(self) -> None:
        super().__init__()
        self._onlooker = patient(self._bus)
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
            stored = await read_state(self._onlooker, KEYS)
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
            self._monitors = [
                Monitor(name, self._bus, self._truth, self._claims, slow)
                for name, slow in (("A", 0.0), ("B", 3600.0))
            ]
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
            await self._onlooker.delete(KEYS.lease)
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
            await self._onlooker.delete(KEYS.lease)

        self.run(run_out())

    @rule(who=writers)
    def a_fail_over_is_forgotten(self, who: int) -> None:
        """Another takes over and is followed.

        Then the store is again what it was, and the first one none the wiser.
        """

        async def forget() -> None:
            before = await copy(self._bus)
            await self._onlooker.delete(KEYS.lease)
            await self._monitors[who].contest()
            await self._monitors[who].step(beat=False)
            await asyncio.sleep(0.01)
            await restore(self._bus, before)

        self.run(forget())

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
        for network in [party.network for party in self._monitors] + [
            party.network for party in self._followers
        ]:
            await network.heal()
        self._followers.append(Follower(99, self._bus, self._claims))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 30
        while not self._settled():
            for monitor in self._monitors:
                await monitor.contest()
                await monitor.step(beat=True)
            await asyncio.sleep(0.01)
            if loop.time() > deadline:
                self._claims.broken.append(self._picture())
                return

    def _settled(self) -> bool:
        leaders = [
            m
            for m in self._monitors
            if m.publisher is not None and m.publisher.position is not None
        ]
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


@pytest.mark.parametrize("server", EXAMPLES)
def test_whatever_happens_nobody_holds_a_wrong_state_and_everybody_arrives(server: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with asyncio.Runner() as runner:
            opening = fake_bus() if server == "fakeredis" else real_bus()
            explore(runner, opening, EXAMPLES[server])
    finally:
        structlog.reset_defaults()


def explore(
    runner: asyncio.Runner,
    opening: AbstractAsyncContextManager[FakeBus | RealBus],
    histories: int,
) -> None:
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
            settings=examples(
                histories,
                stateful_step_count=STEPS,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        runner.run(close_bus())
