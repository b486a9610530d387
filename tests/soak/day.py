"""Play a day of rush-hour traffic, compressed, with thousands of subscribers and maybe faults.

Round after round: traffic goes on, things happen, traffic stands still; then within a time every
subscriber, whatever it did meanwhile, must hold the PBX's own truth, and all who watch the same
must hold the same in everything else too.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bench.processes import Party, party, resident
from tests.bus import RealBus, free_port, real_bus
from tests.soak.crowd import FEW
from tests.soak.faults import FAULTS, LEAVING, Stage
from tests.system.compare import NOT_ALWAYS_TOLD, Known, differences
from tests.system.processes import Running, site

WITHIN = 120.0
"""Seconds until everybody must hold the truth: stuck subscribers have much to read."""
_PARTIES = 2
"""Processes in which subscribers live."""
_LOG = """
change_log_length = 1000
"""
"""Short, so that it is full soon and memory could stay as it is."""
_LIMITS = """
connections_per_key = 100000
message_burst_per_key = 100000
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how many, how busy.

    ``rate``: calls a minute; ``speed``: how much faster than life people talk.
    """

    minutes: float = 5.0
    subscribers: int = 2_000
    seed: int = 1
    rate: float = 900.0
    speed: float = 10.0
    extensions: int = 200
    faults: bool = False
    between: float = 15.0
    """Seconds of traffic between two times at which all is looked at."""


@dataclass(slots=True)
class Round:
    """What one round showed."""

    at: float
    """Seconds since the first one began."""
    happened: str
    calls: int
    """Going on when all was looked at."""
    took: float
    """Seconds until everybody held the truth."""
    gateway: int
    """Resident bytes of the gateway that is never stopped."""
    monitors: int
    """Of the largest monitor."""


@dataclass(slots=True)
class Day:
    """What a whole run showed."""

    plan: Plan
    rounds: list[Round] = field(default_factory=list)
    calls: int = 0
    came: int = 0
    reconnects: int = 0
    resumed: int = 0


class Differs(AssertionError):
    """Somebody does not hold the truth."""


async def run(plan: Plan) -> Day:
    """Play it. Raises :class:`Differs` where a subscriber does not come to hold the truth."""
    dice = random.Random(plan.seed)
    settings = SimulatorSettings(
        extensions=plan.extensions,
        queues=6,
        rate=plan.rate,
        speed=plan.speed,
        seed=plan.seed,
        without=NOT_ALWAYS_TOLD,
    )
    async with AsyncExitStack() as stack:
        pbx = await stack.enter_async_context(SimulatedPbx(settings))
        pbx.traffic.pause()
        bus = await stack.enter_async_context(real_bus())
        stage, first = await stack.enter_async_context(_staged(pbx, bus))
        crowds = [
            await stack.enter_async_context(party(*_crowd_command(), speaks=True))
            for _ in range(_PARTIES)
        ]
        await _join(crowds, plan, [_address(stage.place.port), _address(stage.second_port)])
        return await _rounds(plan, dice, stage, first, crowds)


async def _rounds(
    plan: Plan, dice: random.Random, stage: Stage, first: Running, crowds: Sequence[Party]
) -> Day:
    day = Day(plan)
    unseen = {call.call_id for call in stage.pbx.switchboard.truth()}
    known = Known.of(stage.pbx, tolerance=2.0)
    begun = time.monotonic()
    while time.monotonic() - begun < plan.minutes * 60:
        stage.pbx.traffic.resume()
        await _tell(crowds, "go on")
        fault = dice.choice(FAULTS if plan.faults else LEAVING)
        await asyncio.sleep(dice.uniform(0.2, 0.6) * plan.between)
        await fault.do(stage, dice)
        await asyncio.sleep(dice.uniform(0.2, 0.6) * plan.between)
        stage.pbx.traffic.pause()
        await stage.pbx.traffic.quiet()
        await _tell(crowds, "calm")
        if fault.blinding:
            unseen = {call.call_id for call in stage.pbx.switchboard.truth()}
        waited = time.monotonic()
        after = f"{fault.name}, round {len(day.rounds) + 1} of seed {plan.seed}"
        held = await _all_right(stage.pbx, crowds, known, unseen, plan.subscribers, after)
        memory = (
            resident(first.process.pid),
            max(resident(each.process.pid) for each in stage.monitors),
        )
        now = time.monotonic()
        calls = len(stage.pbx.switchboard.truth())
        day.rounds.append(Round(now - begun, fault.name, calls, now - waited, *memory))
        day.calls = stage.pbx.traffic.stats.started
        day.came, day.reconnects, day.resumed = (
            sum(each[what] for each in held) for what in _COUNTED
        )
        _say(day.rounds[-1])
    return day


_COUNTED = ("came", "reconnects", "resumed")


async def _all_right(
    pbx: SimulatedPbx,
    crowds: Sequence[Party],
    known: Known,
    unseen: set[int],
    subscribers: int,
    after: str,
) -> list[dict[str, Any]]:
    """Wait until all hold the truth. Raises :class:`Differs`."""
    end = time.monotonic() + WITHIN
    while True:
        held = [await crowd.ask(do="held") for crowd in crowds]
        wrong = _wrong(pbx, held, known, unseen, subscribers)
        if not wrong:
            return held
        if time.monotonic() > end:
            raise Differs(f"after {after}: " + "\n".join(wrong[:20]))
        await asyncio.sleep(0.3)


def _wrong(
    pbx: SimulatedPbx,
    held: Sequence[dict[str, Any]],
    known: Known,
    unseen: set[int],
    subscribers: int,
) -> list[str]:
    states = [each for crowd in held for each in crowd["different"]]
    found = [
        f"{each['kinds']}: {difference}"
        for each in states
        for difference in differences(pbx, each["state"], known, unseen)
    ]
    counted = sum(sum(each["kinds"].values()) for each in states)
    if counted != subscribers:
        found.append(
            f"{counted} of {subscribers} subscribers hold one of the states that are most held"
        )
    for number, crowd in enumerate(held):
        whole = [
            each["state"]
            for each in crowd["different"]
            if set(each["state"]) != set(FEW) - {"system"}
        ]
        if len(whole) > 1:
            topics = [topic for topic in whole[0] if whole[0][topic] != whole[1][topic]]
            found.append(f"those in process {number} who watch everything differ in {topics}")
    return found


@asynccontextmanager
async def _staged(pbx: SimulatedPbx, bus: RealBus) -> AsyncIterator[tuple[Stage, Running]]:
    """Two monitors and two gateways as processes.

    The stage, and the gateway that is never stopped.
    """
    with tempfile.TemporaryDirectory(prefix="callmon-soak-") as directory:
        async with site(pbx, bus, Path(directory)) as place:
            text = place.settings.read_text(encoding="utf-8")
            more = {"[monitor]": _LOG, "[gateway]": _LOG, "[gateway.stream]": _LIMITS}
            for section, lines in more.items():
                text = text.replace(section, f"{section}{lines}")
            place.settings.write_text(text, encoding="utf-8")
            monitors = [await place.start("monitor") for _ in range(2)]
            first = await place.start("gateway", "--port", str(place.port))
            port = free_port()
            second = await place.start("gateway", "--port", str(port))
            yield Stage(pbx, bus, place, monitors, second, port), first


async def _join(crowds: Sequence[Party], plan: Plan, addresses: list[str]) -> None:
    each = plan.subscribers // len(crowds)
    await asyncio.gather(
        *(
            crowd.ask(do="join", members=each, addresses=addresses, seed=plan.seed + number)
            for number, crowd in enumerate(crowds)
        )
    )


async def _tell(crowds: Sequence[Party], what: str) -> None:
    for crowd in crowds:
        await crowd.ask(do=what)


def _crowd_command() -> tuple[str, ...]:
    return sys.executable, "-m", "tests.soak.crowd"


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}/webapi/stream"


def _say(each: Round) -> None:
    print(
        f"{each.at:6.0f} s  {each.calls:4} calls  all right after {each.took:5.1f} s  "
        f"gateway {each.gateway >> 20} MiB  monitor {each.monitors >> 20} MiB  {each.happened}",
        flush=True,
    )
