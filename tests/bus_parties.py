"""Play the monitors and followers of :mod:`tests.test_bus_model`, and check what they claim."""

from __future__ import annotations

import asyncio
import time

from gateway.replication.follower import StateFollower
from gateway.replication.replica import Replica
from monitor.lease import Lease
from monitor.publishing.publish_loop import PublishLoop
from monitor.publishing.state_publisher import StatePublisher
from monitor.shared import changes as model
from monitor.shared.changes import Edit, Position
from monitor.shared.entities.topics import Ivr, State, empty_state, table
from monitor.shared.errors import BusUnreachable, Fenced
from monitor.shared.redis.key_names import SpaceKeys
from tests.bus import Bus
from tests.faulty import FaultyRedis, Network

KEYS = SpaceKeys("model", "live")
LOG_LENGTH = 6


def copied(state: State) -> State:
    return {topic: dict(entities) for topic, entities in state.items()}


def bare(state: State) -> dict[str, str]:
    """What the PBX says, without who wrote it."""
    return {num: ivr.name for num, ivr in table(state, "ivrs", Ivr).items()}


class Claims:
    """Which state stands at which position, as anyone ever claimed, and whose.

    Every entity bears its writer's term of office, so that one who writes into another's epoch
    shows.
    """

    def __init__(self) -> None:
        self.states: dict[Position, State] = {}
        self.terms: dict[str, str] = {}
        self.broken: list[str] = []

    def claim(self, who: str, position: Position, state: State) -> None:
        """Gather faults: callbacks call this too, where an assertion would only end a task."""
        known = self.states.setdefault(position, copied(state))
        if known != state:
            self.broken.append(
                f"{who} claims another state at {position}: {state['ivrs']}, known: {known['ivrs']}"
            )
        for term in {entity.kind for entity in table(state, "ivrs", Ivr).values()}:
            if self.terms.setdefault(position.epoch, term) != term:
                self.broken.append(
                    f"two terms of office in one epoch at {position}: {state['ivrs']}"
                )


class Monitor:
    """A monitor process: it leads or contests.

    ``truth`` is the PBX, which all see; ``slow``: clock's error in s.
    """

    def __init__(self, name: str, bus: Bus, truth: State, claims: Claims, slow: float) -> None:
        self.name = name
        self.network = Network()
        self._redis = FaultyRedis(bus.client(), self.network)
        self._truth = truth
        self._slow = slow
        self._claims = claims
        self.lease = Lease(self._redis, KEYS, name, ttl=600)
        self.publisher: StatePublisher | None = None
        self.writer: PublishLoop | None = None
        self.state = empty_state(KEYS.topics)
        self._term = 0

    async def contest(self) -> None:
        try:
            if self.writer is not None or not await self.lease.acquire():
                return
        except BusUnreachable:
            return
        self._term += 1
        self.state["ivrs"] = {
            num: self._signed(ivr) for num, ivr in table(self._truth, "ivrs", Ivr).items()
        }
        self.publisher = StatePublisher(
            self._redis, KEYS, self.name, lease=self.lease, log_length=LOG_LENGTH, clock=self._clock
        )
        self.writer = PublishLoop(
            self.publisher, self.lease, lambda: self.state, lambda: True, heartbeat=3600
        )

    def learn(self, num: str) -> None:
        """Something happened to this entity at the PBX."""
        if self.writer is None:
            return
        after = table(self._truth, "ivrs", Ivr).get(num)
        edit = Edit(
            "ivrs", num, self.state["ivrs"].get(num), None if after is None else self._signed(after)
        )
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
            if (
                self.publisher.position is not None
                and not self.publisher.undecided
                and not len(self.writer._pending)
            ):
                self._claims.claim(f"monitor {self.name}", self.publisher.position, self.state)

    def _clock(self) -> float:
        return time.time() - self._slow

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
        self.feed = StateFollower(
            FaultyRedis(bus.client(), self.network),
            KEYS,
            self.replica,
            self._changed,
            silence=0.15,
            compare=0.3,
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
            self._claims.broken.append(
                f"{self.name} went back from {self._history[-1][0]} to {position}"
            )
        for earlier, state in self._history[-LOG_LENGTH:]:
            changes = self.replica.since(earlier.seq) if earlier.epoch == position.epoch else None
            if changes is not None:
                resumed = copied(state)
                for change in changes:
                    model.apply(resumed, change.edits)
                if resumed != self.replica.state:
                    self._claims.broken.append(
                        f"{self.name} resumed wrongly from {earlier} to {position}"
                    )
        self._history.append((position, copied(self.replica.state)))

    async def leave(self) -> None:
        self._task.cancel()
        _, still_running = await asyncio.wait([self._task], timeout=60)
        assert not still_running
