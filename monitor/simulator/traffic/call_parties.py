"""Who takes part in a call of the traffic, and the scene in which it plays."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeAlias

from monitor.simulator.calls.call_api import Switchboard
from monitor.simulator.calls.model import SimulatedCall
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.traffic.planner import Plan


@dataclass(frozen=True, slots=True)
class InQueue:
    """Wait until an agent of the queue may be free, at most so many seconds."""

    queue: str
    seconds: float


Step: TypeAlias = float | InQueue
"""What a scene waits for: seconds, or an agent."""
Play: TypeAlias = Generator[Step, None, None]


class NoRoom(Exception):
    """Nobody is free to make this call."""


@dataclass(frozen=True, slots=True)
class FreeTrunk:
    """How a call from outside comes in: over a trunk, by a rule or by none."""

    trunk: str
    did: str = ""
    rule: str = ""


class Cast:
    """The PBX's people and lines as they are now; looked up anew after the directory has changed."""

    def __init__(self, board: Switchboard, directory: Directory) -> None:
        self.board = board
        self.directory = directory
        self._usable: list[str] | None = None
        self._places: dict[str, int] = {}
        self._queues_of: dict[str, list[str]] = {}
        directory.on_change(lambda _: self._forget())

    def free(self, wish: str, *others: str) -> str:
        """The wished extension if it is in no call and none of ``others``, else the next such. Raises NoRoom."""
        usable = self._phones()
        start = self._places.get(wish, 0)
        for number in (*usable[start:], *usable[:start]):
            if number not in others and not self.board.busy(number):
                return number
        raise NoRoom

    def agents(self, queue: str) -> list[str]:
        """Agents of a queue who can be rung now, in order of priority."""
        return [number for number in self.directory.available_agents(queue) if not self.board.busy(number)]

    def members(self, group: str) -> list[str]:
        """Members of a ring group who can be rung now, in order."""
        self._phones()
        return [n for n in self.directory.members(group) if n in self._places and not self.board.busy(n)]

    def queues_of(self, agent: str) -> list[str]:
        """The queues that an agent serves."""
        self._phones()
        return self._queues_of.get(agent, [])

    def rings_all(self, queue: str) -> bool:
        """Whether a queue rings all its agents at once."""
        entity = self.directory.entity(queue)
        return entity is None or "RingAll" in str(entity["PollingStrategy"])

    def greets(self, queue: str) -> bool:
        """Whether a queue has a greeting."""
        entity = self.directory.entity(queue)
        return entity is not None and bool(entity["EnableIntro"])

    def lines_to(self, target: str) -> list[FreeTrunk]:
        """The lines by which calls come to a number: by rules that lead there, else over trunks without rules."""
        found: list[FreeTrunk] = []
        free: list[FreeTrunk] = []
        for trunk in self.directory.trunk_numbers():
            rules = self.directory.rules(trunk)
            leading = [rule for rule in rules if target and rule["OfficeHoursDestination"]["Number"] == target]
            found += [FreeTrunk(trunk, str(rule["Data"]), str(rule["RuleName"])) for rule in leading]
            if not rules:
                free.append(FreeTrunk(trunk))
        return found or free

    def trunks(self) -> list[str]:
        """Trunks that carry another call; all if every one is full."""
        known = [(number, self.directory.entity(number)) for number in self.directory.trunk_numbers()]
        room = [n for n, trunk in known if trunk and self.board.in_use(n) < int(trunk["SimultaneousCalls"])]
        return room or [number for number, _ in known]

    def _phones(self) -> list[str]:
        if self._usable is None:
            known = self.directory.extensions()
            self._usable = [n for n in known if self.directory.devices(n) and _enabled(self.directory, n)]
            self._places = {number: place for place, number in enumerate(self._usable)}
            self._queues_of = {}
            for queue in self.directory.queue_numbers():
                for agent in self.directory.agents(queue):
                    self._queues_of.setdefault(agent, []).append(queue)
        return self._usable

    def _forget(self) -> None:
        self._usable = None


@dataclass(slots=True, eq=False)
class Scene:
    """One plan being played. Its first call is the one that it lives by."""

    cast: Cast
    plan: Plan
    clock: Callable[[], float]
    """The traffic's own time, seconds."""
    rng: random.Random
    calls: list[SimulatedCall] = field(default_factory=list)
    play: Play | None = None
    version: int = 0
    """Grows with each step, so that what was to wake an earlier one is known to be late."""

    @property
    def board(self) -> Switchboard:
        """Where the calls are made."""
        return self.cast.board

    def begin(self, call: SimulatedCall) -> SimulatedCall:
        """Take a call into the scene."""
        call.driver = self
        self.calls.append(call)
        return call

    def lost(self) -> bool:
        """Whether its call is over, or somebody else plays it now."""
        return bool(self.calls) and (self.calls[0].over or self.calls[0].driver is not self)

    def close(self) -> None:
        """End what is still its own."""
        if self.play is not None:
            self.play.close()
        for call in self.calls:
            if call.driver is self:
                self.board.end(call)


def _enabled(directory: Directory, number: str) -> bool:
    user = directory.entity(number)
    return user is not None and bool(user["Enabled"])
