"""Measure how soon a caller in a queue is shown there, where only ActiveCalls tells of it.

Run as ``python -m tests.bench.queues``. A simulated PBX (``on_behalf_of`` is off), a monitor, a
gateway and the subscriber are processes of their own. The PBX's journal says when a caller came
into a queue, and when a call came in on a line: no event of Call Control tells either. The
subscriber notes when a frame shows it. A caller counts as never shown if neither the call nor the
call that ended names the queue.

What ActiveCalls cost the monitor is sampled: each few milliseconds of its CPU time one look at
what it does. The body's way through the socket is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from websockets.asyncio.client import connect

from monitor.shared.codec import from_json
from monitor.simulator.behaviour_options import positions
from monitor.simulator.calls.acts import Act
from monitor.simulator.calls.api_rows import ActiveCallRow
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bench.latency import percentile
from tests.bench.processes import Party, cpu_seconds, party, python
from tests.bench.table import Sheet, show
from tests.bus import real_bus, until
from tests.system.processes import site
from tests.system.stack import KEY, subscriber

_SAMPLE_S: Final = 0.002
_WARM_S: Final = 20.0
"""Seconds until all is read that is read once: directory, address book, logins to queues."""
_SETTLED_S: Final = 3.0
"""Seconds after the last act by which it must have been shown."""
_READS: Final = ("active_calls_poller.py", "_rows_read")
"""A sample belongs to the reads of ActiveCalls if this module or function is on the stack."""

State = tuple[int, str]
"""A call, and the queue in which it is shown; empty: it is shown at all."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated, and for how long it is watched. ``rate``: calls a minute."""

    extensions: int = 9_000
    queues: int = 60
    rate: float = 900.0
    seconds: float = 45.0
    switches: tuple[str, ...] = ()
    web_client: bool = True
    """True if the web client's interface may be used."""


@dataclass(slots=True)
class Found:
    """What was measured. Times are seconds; ``queues`` has None where a queue was never shown."""

    queues: list[float | None] = field(default_factory=list)
    lines: list[float] = field(default_factory=list)
    calls: int = 0
    cpu: float = 0.0
    """Cores that the monitor used."""
    share: float = 0.0
    """Share of its CPU time that went into ActiveCalls."""
    reads: float = 0.0
    """Reads of ActiveCalls a second."""

    def within(self, seconds: float) -> float:
        """Share of the callers who were shown in their queue so soon."""
        return sum(lag is not None and lag <= seconds for lag in self.queues) / len(self.queues)

    @property
    def lags(self) -> list[float]:
        """Of all states that only ActiveCalls tells, if they were shown."""
        return [*self.lines, *(lag for lag in self.queues if lag is not None)]


async def measure(plan: Plan) -> Found:
    """Play, watch, compare."""
    with tempfile.TemporaryDirectory(prefix="callmon-bench-") as folder:
        samples = Path(folder) / "samples.json"
        async with (
            real_bus() as bus,
            party(*python("queues", "simulate", json.dumps(_settings(plan)))) as pbx,
            site(_Address(pbx.port), bus, Path(folder)) as place,
        ):
            text = place.settings.read_text()
            place.settings.write_text(
                text.replace("poll_interval = 0.3\npoll_idle = 0.6\nwatchdog_interval = 2.0\n", "")
            )
            place.program = ("-m", "tests.bench.queues", "sampled", str(samples))
            monitor = await place.start("monitor")
            place.program = ("-m", "gateway")
            await place.start("gateway", "--port", str(place.port))
            async with subscriber(place.address) as held:
                await until(lambda: held.connected, 120)
            found = await _watch(plan, pbx, place.address, monitor.process.pid)
            await monitor.terminate()
            counted = json.loads(samples.read_text())
            found.share = counted["reads"] / max(1, counted["all"])
            return found


@dataclass(frozen=True, slots=True)
class _Address:
    """Where the simulated PBX is, for the settings file."""

    port: int
    client_id: str = "callmon"
    client_secret: str = "only-for-the-bench"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _settings(plan: Plan) -> dict[str, Any]:
    return {
        "extensions": plan.extensions,
        "queues": plan.queues,
        "rate": plan.rate,
        "web_client": plan.web_client,
        "switches": list(plan.switches),
    }


async def _watch(plan: Plan, pbx: Party, address: str, monitor: int) -> Found:
    url = address.replace("http", "ws", 1) + f"/webapi/{KEY}/stream?topics=calls,ended"
    shown: dict[State, float] = {}
    async with connect(url, max_size=None) as socket:
        reading = asyncio.create_task(_read(socket, shown))
        await asyncio.sleep(_WARM_S)
        begun, used = await pbx.ask(do="begin"), cpu_seconds(monitor)
        await asyncio.sleep(plan.seconds)
        used = cpu_seconds(monitor) - used
        told = await pbx.ask(do="end")
        await asyncio.sleep(_SETTLED_S)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
    found = Found(calls=told["calls"], cpu=used / plan.seconds)
    found.reads = (told["reads"] - begun["reads"]) / plan.seconds
    for at, call, queue in told["states"]:
        seen = shown.get((call, queue))
        if queue:
            found.queues.append(None if seen is None else max(0.0, seen - at))
        elif seen is not None:
            found.lines.append(max(0.0, seen - at))
    return found


async def _read(socket: Any, shown: dict[State, float]) -> None:
    while True:
        frame = from_json(await socket.recv())
        now = time.time()
        for topic in ("calls", "ended"):
            entities = frame.get("upsert" if frame["type"] == "change" else "state", {})
            for call in entities.get(topic, {}).values():
                for queue in ("", *call["queues"]):
                    shown.setdefault((call["callID"], queue), now)


# the simulated PBX


async def _simulate(settings: dict[str, Any]) -> None:
    switches = positions(settings.pop("switches"))
    address = _Address(0)
    made = SimulatorSettings(
        **settings, switches=switches, client_secret=address.client_secret, earlier=90.0
    )
    async with SimulatedPbx(made) as pbx:
        states: list[tuple[float, int, str]] = []

        def saw(act: Act) -> None:
            if act.deed == "arrived":
                states.append((act.at, act.call, ""))
            elif act.deed in ("entered", "unheard") and act.kind == "queue":
                states.append((act.at, act.call, act.dn))

        pbx.switchboard.on_act(saw)
        rows, reads = pbx.switchboard.active_calls, 0

        def read() -> list[ActiveCallRow]:
            nonlocal reads
            reads += 1
            return rows()

        setattr(pbx.switchboard, "active_calls", read)  # noqa: B010 - a method, for mypy
        _say(port=int(pbx.url.rsplit(":", 1)[1]))
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
        )
        while line := await lines.readline():
            if json.loads(line)["do"] == "begin":
                states.clear()
            _say(states=states, calls=len(pbx.switchboard.calls), reads=reads)


def _say(**words: object) -> None:
    print(json.dumps(words), flush=True)


# the monitor


def _sampled(samples: str, arguments: list[str]) -> None:
    """Run callmon; at the end write how many samples there were, and how many of ActiveCalls."""
    counted = {"all": 0, "reads": 0}

    def sample(_: int, frame: FrameType | None) -> None:
        counted["all"] += 1
        while frame is not None:
            code = frame.f_code
            if code.co_filename.endswith(_READS[0]) or code.co_name == _READS[1]:
                counted["reads"] += 1
                return
            frame = frame.f_back

    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, _SAMPLE_S, _SAMPLE_S)
    sys.argv = ["callmon", *arguments]
    try:
        runpy.run_module("gateway", run_name="__main__")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        Path(samples).write_text(json.dumps(counted))


def sheet(plan: Plan, found: Found) -> Sheet:
    """Draw what was found beside the targets."""
    drawn = Sheet(
        f"Callers in queues: {plan.extensions:,} extensions, {plan.queues} queues, "
        f"{plan.rate:g} calls a minute, {found.calls} at once",
        f"From the moment in the PBX to a frame at a subscriber, {len(found.queues)} callers in "
        f"queues and {len(found.lines)} calls on lines; the legs do not name their queue.",
    )
    never = sum(lag is None for lag in found.queues) / len(found.queues)
    soon = found.within(0.3)
    drawn.add("in their queue within 300 ms", f"{soon:.1%}", ratio=soon, least=0.99)
    drawn.add("in their queue within 1 s", f"{found.within(1.0):.1%}", ratio=found.within(1.0))
    drawn.add("never", f"{never:.1%}", ratio=never, most=0)
    for percent, most in ((50, 60), (99, 150)) if len(found.lags) > 1 else ():
        lag = percentile(found.lags, percent) * 1e3
        drawn.add(
            f"state known only from ActiveCalls, p{percent}, ms",
            f"{lag:.0f} ms",
            ratio=lag,
            most=most,
        )
    part = "ActiveCalls' part of the monitor's CPU time"
    drawn.add(part, f"{found.share:.0%}", ratio=found.share, most=0.15)
    drawn.add("the monitor", f"{found.cpu:.0%} of a core, {found.reads:.1f} reads a second")
    return drawn


def _main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["simulate"]:
        asyncio.run(_simulate(json.loads(arguments[1])))
        return
    if arguments[:1] == ["sampled"]:
        _sampled(arguments[1], list(arguments[2:]))
        return
    parser = argparse.ArgumentParser(prog="tests.bench.queues", description=__doc__)
    for name in ("extensions", "queues"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Plan(), name))
    for name in ("rate", "seconds"):
        parser.add_argument(f"--{name}", type=float, default=getattr(Plan(), name))
    parser.add_argument("--switches", nargs="*", default=(), metavar="NAME=POSITION")
    parser.add_argument("--no-web-client", dest="web_client", action="store_false")
    plan = Plan(**vars(parser.parse_args(arguments)))
    show(sheet(plan, asyncio.run(measure(plan))))


if __name__ == "__main__":
    _main(sys.argv[1:])
