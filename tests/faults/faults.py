"""Cause the faults: each has a kind, a target, a beginning and a duration.

And how each is done and healed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from tests.faults.ledger import Losses
from tests.faults.site import LEASE_S, PBX, Monitor, Site

Kind = Literal["kill", "stop", "cut off", "disk full"]
Target = Literal["leader", "standby", "Redis emptied", "Redis hanging"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
TARGETS: Final[tuple[Target, ...]] = get_args(Target)
_SHORTEST_S, _LONGEST_S = 0.3, 6.0
_LATEST_S = 3.0
_PUT_BACK_WITHIN_S: Final = 6.0
"""Seconds in which a healthy leader refills an empty Redis: statistics go every five, as the last.

A slow machine takes longer, so Redis itself is asked for them."""
LEASE: Final = f"callmon:{{{PBX}}}:lease"
STATISTICS: Final = f"callmon:{{{PBX}}}:figures"
"""Keys on Redis, by the table of keys that callmon documents."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. ``at`` and ``lasts``: seconds. ``way``: which of several ways to do it."""

    kind: Kind
    target: Target
    at: float
    lasts: float
    way: str = ""

    def __str__(self) -> str:
        way = f" ({self.way})" if self.way else ""
        return f"{self.kind} × {self.target}{way} at {self.at:.1f} s for {self.lasts:.1f} s"


_WAYS: Final = {
    ("cut off", "leader"): (
        "from Redis, reset",
        "from Redis, silent",
        "from the PBX, reset",
        "from the PBX, silent",
    ),
    ("cut off", "standby"): ("from Redis, reset", "from Redis, silent", "from the PBX, silent"),
    ("stop", "Redis hanging"): ("SIGSTOP", "CLIENT PAUSE"),
    ("kill", "Redis emptied"): ("killed", "FLUSHALL"),
}


def drawn(dice: random.Random, kinds: tuple[Kind, ...]) -> list[Fault]:
    """One to four faults."""
    found = []
    for _ in range(dice.randint(1, 4)):
        kind, target = dice.choice(kinds), dice.choice(TARGETS)
        way = dice.choice(_WAYS.get((kind, target), ("",)))
        found.append(
            Fault(
                kind, target, dice.uniform(0, _LATEST_S), dice.uniform(_SHORTEST_S, _LONGEST_S), way
            )
        )
    return sorted(found, key=lambda fault: fault.at)


@dataclass(slots=True)
class Hands:
    """Carries faults out at a site.

    ``leader``: says the name of the monitor that leads, as far as is known. ``news``: the first
    moment, from a given one on, at which a client was told a change; infinity: not yet. Only a
    leader that is well tells changes.
    """

    site: Site
    losses: Losses
    leader: Callable[[], str]
    news: Callable[[float], float]
    _redis: asyncio.Lock
    _processes: dict[str, asyncio.Lock]
    """One fault at a time for what ends or stops a process."""
    _ill: dict[str, float]
    """Monitors that led and were not well → when they are well again; infinity: not yet.

    From then on, the next news shows that one of the monitors leads."""
    _copies: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Standbys that were not well → since when they copied nothing, and until when."""
    _emptied_at: float = float("-inf")
    """When Redis was emptied last."""
    _answers_since: float = float("-inf")
    """Since when it has answered after that; infinity: not yet."""
    _away_since: float = float("-inf")
    _back: float = float("-inf")
    """Times at which the latest run of Redis faults began and ended."""

    @classmethod
    def at(
        cls,
        site: Site,
        losses: Losses,
        leader: Callable[[], str],
        news: Callable[[float], float] = lambda moment: moment,
    ) -> Hands:
        """With nothing done yet."""
        return cls(
            site,
            losses,
            leader,
            news,
            asyncio.Lock(),
            {name: asyncio.Lock() for name in site.monitors},
            {},
        )

    async def do(self, fault: Fault, begun: float) -> None:
        """Carry it out at its time, and heal it at its time."""
        await asyncio.sleep(max(0.0, begun + fault.at - time.monotonic()))
        self.losses.disk_full |= fault.kind == "disk full"
        match fault.target:
            case "leader" | "standby":
                leads = self.leader()
                name = leads if fault.target == "leader" else "b" if leads == "a" else "a"
                await self._harm(self.site.monitors[name], fault)
            case "Redis emptied":
                await self._emptied(fault)
            case "Redis hanging":
                await self._hanging(fault)

    async def _harm(self, monitor: Monitor, fault: Fault) -> None:
        harm = _HARMS[fault.kind]
        if fault.kind in ("kill", "stop"):
            async with self._processes[monitor.name]:
                await self._while_ill(
                    monitor, harm(monitor, fault), led=self.leader() == monitor.name
                )
        else:
            led = self.leader() == monitor.name and "PBX" not in fault.way
            await self._while_ill(monitor, harm(monitor, fault), led=led)

    async def _while_ill(self, monitor: Monitor, harm: Awaitable[None], *, led: bool) -> None:
        if not led:
            since = time.monotonic()
            self._copies[monitor.name] = since, float("inf")
            try:
                await harm
            finally:
                self._copies[monitor.name] = since, time.monotonic() + _PUT_BACK_WITHIN_S
            return
        self._ill[monitor.name] = float("inf")
        if await self._lacks():
            self._note_losses(max(self._emptied_at, self._away_since))
        try:
            await harm
        finally:
            self._ill[monitor.name] = time.monotonic() + LEASE_S

    async def _emptied(self, fault: Fault) -> None:
        """Empty Redis: by a kill, after a stop, while nobody reaches it, or beside a full disk."""
        redis, monitors = self.site.redis, self.site.monitors
        leads = monitors[self.leader()]
        async with self._redis:
            self._begin_fault()
            match fault.kind:
                case "kill" if fault.way == "killed":
                    redis.kill()
                    redis.forget()
                    await asyncio.sleep(min(fault.lasts, 2.0))
                    await redis.start_and_wait()
                case "kill":
                    pass
                case "stop":
                    redis.stop()
                    await asyncio.sleep(fault.lasts)
                    redis.wake()
                case "cut off":
                    await self._cut_all(fault.lasts)
                case "disk full":
                    leads.fill_disk()
            try:
                await self._flush()
                if fault.kind == "disk full":
                    await asyncio.sleep(fault.lasts)
            finally:
                if fault.kind == "disk full":
                    leads.free_disk()
                self._back = time.monotonic()

    def _begin_fault(self) -> None:
        """Note that Redis is away from now on: after that, a leader needs a lease's time."""
        if time.monotonic() > self._back + LEASE_S:
            self._away_since = time.monotonic()

    async def _lacks(self) -> bool:
        """Whether Redis was emptied, or is being emptied, and the leader has not put all back."""
        if self._answers_since == float("-inf"):
            return False
        if time.monotonic() < self._answers_since + _PUT_BACK_WITHIN_S:
            return True
        return not await self.site.redis.holds(STATISTICS)

    async def _flush(self) -> None:
        """Empty Redis, and note what may be lost if the leader was not well at that moment.

        It was not if it was ill when Redis went away, as it could do nothing since, or if another
        one had just taken the lease, be it that a client was not told yet.
        """
        leads = self.leader()
        self._answers_since = float("inf")  # whoever comes to harm from now on
        async with asyncio.timeout(30):
            while True:
                try:
                    holder = await self.site.redis.empty(LEASE)
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        self._emptied_at = self._answers_since = time.monotonic()
        ill = any(self.news(well) > self._away_since for well in self._ill.values())
        if ill or (holder is not None and holder.partition("/")[0] != leads):
            self._note_losses(self._away_since)

    def _note_losses(self, since: float) -> None:
        """Note that what nobody copied by then may be lost."""
        now = time.monotonic()
        self.losses.at += [since, now]
        for ill_since, until in self._copies.values():
            if until > since:
                self.losses.uncopied.append((ill_since, now))

    async def _hanging(self, fault: Fault) -> None:
        """Redis answers nobody for a while."""
        redis = self.site.redis
        async with self._redis:
            self._begin_fault()
            if lacks := await self._lacks():
                self._answers_since = float("inf")  # nothing can be put back before it answers
            match fault.kind:
                case "cut off":
                    await self._cut_all(fault.lasts, silent=True)
                case "stop" if fault.way == "CLIENT PAUSE":
                    await redis.say("CLIENT", "PAUSE", str(int(fault.lasts * 1000)), "ALL")
                    await asyncio.sleep(fault.lasts)
                case _:
                    await self._stopped(fault)
            self._back = time.monotonic()
            if lacks:
                self._answers_since = self._back

    async def _stopped(self, fault: Fault) -> None:
        """Redis stands still; ``kill``: and is then lost, and started with what it held.

        Or beside a full disk.
        """
        redis, leads = self.site.redis, self.site.monitors[self.leader()]
        if fault.kind == "kill":
            await redis.say("SAVE")
        redis.stop()
        if fault.kind == "disk full":
            leads.fill_disk()
        await asyncio.sleep(fault.lasts)
        if fault.kind == "disk full":
            leads.free_disk()
        if fault.kind == "kill":
            redis.kill()
            await redis.start_and_wait()
        else:
            redis.wake()

    async def _cut_all(self, seconds: float, *, silent: bool = False) -> None:
        ways = [monitor.to_redis for monitor in self.site.monitors.values()]
        for way in ways:
            way.turn("silent" if silent else "refused")
        await asyncio.sleep(seconds)
        for way in ways:
            way.turn("open")


async def _kill(monitor: Monitor, fault: Fault) -> None:
    monitor.process.kill()
    await asyncio.sleep(fault.lasts)
    monitor.process.start()


async def _stop(monitor: Monitor, fault: Fault) -> None:
    monitor.process.stop()
    await asyncio.sleep(fault.lasts)
    monitor.process.wake()


async def _cut_off(monitor: Monitor, fault: Fault) -> None:
    way = monitor.to_pbx if "PBX" in fault.way else monitor.to_redis
    way.turn("silent" if "silent" in fault.way else "refused")
    await asyncio.sleep(fault.lasts)
    way.turn("open")


async def _disk_full(monitor: Monitor, fault: Fault) -> None:
    monitor.fill_disk()
    await asyncio.sleep(fault.lasts)
    monitor.free_disk()


_HARMS: Final[dict[Kind, Callable[[Monitor, Fault], Awaitable[None]]]] = {
    "kill": _kill,
    "stop": _stop,
    "cut off": _cut_off,
    "disk full": _disk_full,
}
