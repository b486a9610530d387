"""Generate the traffic: seeded calls of all kinds, played by one task in its own time.

The traffic's time runs ``speed`` times as fast as the wall clock and stands still while paused. It
is stretched when the machine cannot keep up, so that no burst of calls follows. As long as no
program takes part, all that happens is a function of seed, directory and that time. The order of
steps never depends on how long they took.

Calls that a program makes or changes are given to
:func:`monitor.simulator.traffic.scenarios.people`, which rings, answers and hangs up. Callers that
wait in a queue are served in the order of their arrival. They are woken when an agent's phone is
free.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import count

from monitor.simulator.call_kinds import MIX, Kind
from monitor.simulator.calls.model import OperationRefused, SimulatedCall
from monitor.simulator.calls.switchboard import Switchboard
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates import PROFILES
from monitor.simulator.traffic.breaks import shift
from monitor.simulator.traffic.call_parties import Cast, InQueue, NoRoom, Scene
from monitor.simulator.traffic.planner import TALK_S, Plan, Planner
from monitor.simulator.traffic.scenarios import PLAYS, people

_LONGEST_NAP_S = 0.05
"""Seconds after which the task looks again in any case.

It may find a pause, a stop or a call made by a program."""
LONGEST_STEP_S = 1.0
"""Seconds of the wall clock that are caught up at once. A longer delay stretches the time."""
_STEPS_IN_A_ROW = 32
"""Number of steps after which other tasks on the event loop get a turn."""
_PEOPLE = 1_000_000_000
"""First plan index for calls that programs made."""
_AWAY_AT_ONCE = 6
"""Agents for each one that may be away at the same time."""
_SHIFTS = 2_000_000_000
"""First plan index for the breaks of agents."""


@dataclass(slots=True)
class Stats:
    """Count what the traffic has done. ``skipped``: calls for which nobody was free."""

    started: int = 0
    over: int = 0
    skipped: int = 0
    ordered: int = 0
    """Number of calls that programs made or changed and that the traffic took over."""
    kinds: Counter[Kind] = field(default_factory=Counter)


class TrafficGenerator:
    """Make ``rate`` calls a minute of the wall clock, at most ``limit`` of them.

    ``speed``: factor by which calls ring and talk faster than in life. ``mix``: weights of the
    kinds. ``without``: habits of :mod:`monitor.simulator.call_kinds` that callers do not have.
    ``talk``: average seconds of a talk. ``call_centre``: agents take breaks and answer quickly, and
    the traffic is never over. ``longest_step``: see :data:`LONGEST_STEP_S`.
    """

    def __init__(
        self,
        switchboard: Switchboard,
        directory: Directory,
        seed: int,
        rate: float,
        speed: float = 1.0,
        *,
        limit: int | None = None,
        mix: Mapping[Kind, float] = MIX,
        without: Collection[str] = (),
        talk: float = TALK_S,
        call_centre: bool = False,
        longest_step: float = LONGEST_STEP_S,
    ) -> None:
        if rate < 0 or speed <= 0 or longest_step <= 0:
            raise ValueError("a rate is not negative, a speed and a step are more than nothing")
        self.stats = Stats()
        self.now = 0.0
        """Seconds of the traffic's own time since it was made."""
        self.speed = speed
        self.limit = limit
        self._longest_step = longest_step
        self._longest_nap = min(_LONGEST_NAP_S, longest_step / 2)
        self._switchboard = switchboard
        self._cast = Cast(switchboard, directory)
        self._planner = Planner(directory, seed, mix, without, talk, call_centre=call_centre)
        self._arrivals = random.Random(f"{seed}/arrivals")  # noqa: S311 - made-up calls, nothing secret
        self._between = 60.0 * speed / rate if rate > 0 else None
        self._order = count()
        self._agenda: list[tuple[float, int, int, Scene | None]] = []
        self._waiting: dict[str, list[tuple[int, int, Scene]]] = {}
        self._scenes: set[Scene] = set()
        self._index = 0
        self._playing = True
        self._going = asyncio.Event()
        self._going.set()
        self._frozen = asyncio.Event()
        self._finished = asyncio.Event()
        switchboard.on_idle(self._agent_free)
        switchboard.on_order(self._ordered)
        directory.on_change(self._agent_free)
        self._schedule_arrival()
        if call_centre:
            self._begin_shifts()

    # control

    async def run(self) -> None:
        """Play until :meth:`stop`.

        It goes on after the last planned call, to play the calls that programs make.
        """
        clock = asyncio.get_running_loop().time
        last = clock()
        while self._playing:
            if not self._going.is_set():
                await self._going.wait()
                last = clock()
            moment = clock()
            until = self.now + min(moment - last, self._longest_step) * self.speed
            last = moment
            await self._catch_up(until)
            await asyncio.sleep(self._nap())

    def advance(self, seconds: float) -> None:
        """Play ``seconds`` of the traffic's time at once. Tests use it in place of :meth:`run`."""
        until = self.now + seconds
        while self._due(until):
            self._step()
        self.now = until

    def pause(self) -> None:
        """Freeze every call as it is now."""
        self._going.clear()
        self._frozen.set()

    def resume(self) -> None:
        """Go on after a pause, from where the calls were frozen."""
        self._frozen.clear()
        self._going.set()

    async def quiet(self) -> None:
        """Wait until everything is frozen.

        A step is never left half done, so this returns as soon as the traffic is paused.
        """
        await self._frozen.wait()

    async def finished(self) -> None:
        """Wait until the last of ``limit`` calls is over."""
        await self._finished.wait()

    def stop(self) -> None:
        """Make :meth:`run` return. Calls stay as they are, and nobody plays them any more."""
        self._playing = False
        self._agenda.clear()
        self._waiting.clear()
        self._scenes.clear()
        self._going.set()

    def plan(self, index: int) -> Plan | None:
        """Return the plan of call ``index`` of the sequence, from 0.

        Returns None if nobody can be called at this PBX.
        """
        return self._planner.plan(index)

    # time

    async def _catch_up(self, until: float) -> None:
        steps = 0
        while self._playing and self._going.is_set() and self._due(until):
            self._step()
            steps += 1
            if steps % _STEPS_IN_A_ROW == 0:
                await asyncio.sleep(0)
        if self._going.is_set():
            self.now = until

    def _nap(self) -> float:
        if not self._agenda:
            return self._longest_nap
        return min(self._longest_nap, max(0.0, (self._agenda[0][0] - self.now) / self.speed))

    def _due(self, until: float) -> bool:
        return bool(self._agenda) and self._agenda[0][0] <= until

    def _step(self) -> None:
        due, _, version, scene = heapq.heappop(self._agenda)
        self.now = max(self.now, due)
        if scene is None:
            self._arrive()
        elif scene.version == version:
            self._play(scene)

    # scenes

    def _begin_shifts(self) -> None:
        """Let the agents of all queues take breaks from now on."""
        directory = self._cast.directory
        self._cast.away.update(
            user["Number"]
            for user in directory.users.values()
            if user["CurrentProfileName"] != PROFILES[0]
        )
        agents = {agent for queue in directory.queue_numbers() for agent in directory.agents(queue)}
        for place, number in enumerate(sorted(agents)):
            plan = self._planner.plan(_SHIFTS + place)
            if plan is not None:
                scene = self._scene(plan)
                scene.play = shift(scene, number, max(1, len(agents) // _AWAY_AT_ONCE))
                heapq.heappush(self._agenda, (self.now, next(self._order), scene.version, scene))

    def _schedule_arrival(self) -> None:
        done = self.limit is not None and self.stats.started >= self.limit
        if self._between is not None and not done:
            due = self.now + self._arrivals.expovariate(1.0) * self._between
            heapq.heappush(self._agenda, (due, next(self._order), 0, None))
        elif done:
            self._look_for_the_end()

    def _arrive(self) -> None:
        plan = self._planner.plan(self._index)
        self._index += 1
        if plan is not None:
            scene = self._scene(plan)
            scene.play = PLAYS[plan.kind](scene)
            self._play(scene)
            if scene.calls:
                self.stats.started += 1
                self.stats.kinds[plan.kind] += 1
            else:
                self.stats.skipped += 1
        self._schedule_arrival()

    def _scene(self, plan: Plan) -> Scene:
        rng = random.Random(plan.seed)  # noqa: S311 - made-up calls, nothing secret
        scene = Scene(self._cast, plan, lambda: self.now, rng)
        self._scenes.add(scene)
        return scene

    def _play(self, scene: Scene) -> None:
        """Let a scene do its next step and schedule the one after it."""
        scene.version += 1
        if scene.play is None or scene.lost():
            self._close(scene)
            return
        try:
            step = next(scene.play)
        except (StopIteration, OperationRefused, NoRoom):
            self._close(scene)
            return
        seconds = step.seconds if isinstance(step, InQueue) else step
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), scene.version, scene))
        if isinstance(step, InQueue):
            queue = self._waiting.setdefault(step.queue, [])
            heapq.heappush(queue, (scene.plan.index, scene.version, scene))

    def _close(self, scene: Scene) -> None:
        scene.close()
        self._scenes.discard(scene)
        if scene.began and scene.plan.index < _PEOPLE:
            self.stats.over += 1
        self._look_for_the_end()

    def _look_for_the_end(self) -> None:
        if self.limit is not None and self.stats.started >= self.limit and not self._scenes:
            self._finished.set()

    # events from other components

    def _agent_free(self, number: str) -> None:
        """Wake the first scene that waits for this agent, at the next step."""
        for queue in self._cast.queues_of(number):
            waiting = self._waiting.get(queue, [])
            while waiting:
                _, version, scene = heapq.heappop(waiting)
                if scene.version == version and scene in self._scenes:
                    heapq.heappush(self._agenda, (self.now, next(self._order), version, scene))
                    break

    def _ordered(self, call: SimulatedCall) -> None:
        """Play the people of a call that a program made or changed."""
        plan = self._planner.plan(_PEOPLE + self.stats.ordered)
        self.stats.ordered += 1
        if plan is None or not self._playing:
            return
        scene = self._scene(plan)
        scene.begin(call)
        scene.play = people(scene)
        heapq.heappush(self._agenda, (self.now, next(self._order), scene.version, scene))
