"""Find free parties for a call of the traffic and hold the scene in which it is played."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeAlias

from monitor.simulator.calls.model import SimulatedCall
from monitor.simulator.calls.switchboard import Switchboard
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.traffic.planner import Plan


@dataclass(frozen=True, slots=True)
class InQueue:
    """Ask to wait until an agent of the queue may be free, at most ``seconds``."""

    queue: str
    seconds: float


Step: TypeAlias = float | InQueue
"""A scene's wait: for a number of seconds, or for an agent."""
Play: TypeAlias = Generator[Step, None, None]


class NoRoom(Exception):
    """Signal that nobody is free to make this call."""


@dataclass(frozen=True, slots=True)
class FreeTrunk:
    """Represent the way in of a call from outside: a trunk and an inbound rule, or no rule."""

    trunk: str
    did: str = ""
    rule: str = ""


class Cast:
    """Look up the PBX's people and trunks as they are now.

    What it remembers is read again after the directory has changed.
    """

    def __init__(self, switchboard: Switchboard, directory: Directory) -> None:
        self.switchboard = switchboard
        self.directory = directory
        self.away: set[str] = set()
        """Extensions whose owners have a break: nobody is there to call or to be rung."""
        self._usable: list[str] | None = None
        self._places: dict[str, int] = {}
        self._queues_of: dict[str, list[str]] = {}
        directory.on_change(lambda _: self._forget())

    def free(self, wish: str, *others: str) -> str:
        """Return the wished extension if it is free, else the next free one.

        A free extension is in no call, not away, and none of ``others``. Raises NoRoom if there is
        none.
        """
        usable = self._phones()
        start = self._places.get(wish, 0)
        for number in (*usable[start:], *usable[:start]):
            if number not in others and self._is_free(number):
                return number
        raise NoRoom

    def agents(self, queue: str) -> list[str]:
        """Return a queue's agents that can be rung now, in order of priority."""
        return [
            number for number in self.directory.available_agents(queue) if self._is_free(number)
        ]

    def members(self, group: str) -> list[str]:
        """Return a ring group's members that can be rung now, in order."""
        self._phones()
        return [
            n for n in self.directory.rung_members(group) if n in self._places and self._is_free(n)
        ]

    def queues_of(self, agent: str) -> list[str]:
        """Return the queues that an agent serves."""
        self._phones()
        return self._queues_of.get(agent, [])

    def rings_all(self, queue: str) -> bool:
        """Return whether a queue rings all its agents at once."""
        entity = self.directory.entity(queue)
        return entity is None or "RingAll" in str(entity["PollingStrategy"])

    def greets(self, queue: str) -> bool:
        """Return whether a queue has a greeting."""
        entity = self.directory.entity(queue)
        return entity is not None and bool(entity["EnableIntro"])

    def lines_to(self, target: str) -> list[FreeTrunk]:
        """Return the ways by which calls from outside come to a number.

        These are the inbound rules that lead there; if there are none, the trunks without rules.
        """
        found: list[FreeTrunk] = []
        free: list[FreeTrunk] = []
        for trunk in self.directory.trunk_numbers():
            rules = self.directory.rules(trunk)
            leading = [
                rule
                for rule in rules
                if target and rule["OfficeHoursDestination"]["Number"] == target
            ]
            found += [
                FreeTrunk(trunk, str(rule["Data"]), str(rule["RuleName"])) for rule in leading
            ]
            if not rules:
                free.append(FreeTrunk(trunk))
        return found or free

    def trunks(self) -> list[str]:
        """Return the trunks that can carry another call, or all trunks if every one is full."""
        known = [
            (number, self.directory.entity(number)) for number in self.directory.trunk_numbers()
        ]
        room = [
            n
            for n, trunk in known
            if trunk and self.switchboard.in_use(n) < int(trunk["SimultaneousCalls"])
        ]
        return room or [number for number, _ in known]

    def _is_free(self, number: str) -> bool:
        return number not in self.away and not self.switchboard.busy(number)

    def _phones(self) -> list[str]:
        if self._usable is None:
            known = self.directory.people()
            self._usable = [
                n for n in known if self.directory.devices(n) and _enabled(self.directory, n)
            ]
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
    """Hold one plan that is being played. The scene ends with its first call."""

    cast: Cast
    plan: Plan
    clock: Callable[[], float]
    """Clock of the traffic's own time, in seconds."""
    rng: random.Random
    calls: list[SimulatedCall] = field(default_factory=list)
    play: Play | None = None
    began: bool = False
    """True once it has made a call."""
    version: int = 0
    """Number of steps so far. A wake-up with an older number is too late and is ignored."""

    @property
    def switchboard(self) -> Switchboard:
        """Return the switchboard at which the calls are made."""
        return self.cast.switchboard

    def begin(self, call: SimulatedCall) -> SimulatedCall:
        """Add a call to the scene and return it."""
        call.driver, self.began = self, True
        self.calls.append(call)
        return call

    def go_on_with(self, call: SimulatedCall) -> None:
        """Make another of its calls the one with which the scene ends."""
        self.calls.sort(key=lambda other: other is not call)

    def forget(self) -> None:
        """Forget the calls that are over, so that the scene goes on until the next one ends."""
        self.calls = [call for call in self.calls if not call.over]

    def lost(self) -> bool:
        """Return whether its first call is over or is played by another scene now."""
        return bool(self.calls) and (self.calls[0].over or self.calls[0].driver is not self)

    def close(self) -> None:
        """End the play and the calls that still belong to this scene."""
        if self.play is not None:
            self.play.close()
        for call in self.calls:
            if call.driver is self:
                self.switchboard.end(call)


def _enabled(directory: Directory, number: str) -> bool:
    user = directory.entity(number)
    return user is not None and bool(user["Enabled"])
