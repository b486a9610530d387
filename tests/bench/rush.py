"""Measure how late a subscriber is in a rush: 50 ms to the PBX, hundreds of events a second.

For each phone that begins to ring, dial or talk: from the event to the first frame at the
subscriber that shows it in that state. The least possible is the read of the participant, one way
there and one way back: the latency.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect

from monitor.shared.codec import from_json
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.switchboard import Event, ParticipantUpsert
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bench.latency import percentile
from tests.bench.table import Sheet
from tests.bus import real_bus, until
from tests.system.stack import KEY, gateway, monitoring, subscriber

LATENCY = 0.05
_KINDS = ("extension", "queue", "externalline")
"""Kinds of numbers whose states are told apart: an event tells an extension's at once."""
_LEAST = 2
"""States of a kind from which its percentiles are told."""
_Seen = dict[tuple[int, str, str], float]


async def measure(seconds: float) -> Sheet:
    """For so many seconds."""
    settings = SimulatorSettings(
        extensions=800, queues=8, rate=4_000, speed=4, switches=Switches(latency=LATENCY)
    )
    async with (
        real_bus() as bus,
        SimulatedPbx(settings) as pbx,
        monitoring(pbx, bus.client()),
        gateway(bus.client()) as address,
    ):
        async with subscriber(address) as held:
            await until(lambda: held.connected)
        happened: _Seen = {}
        events = 0

        def heard(event: Event) -> None:
            nonlocal events
            events += 1
            view = pbx.switchboard.participant(event.dn, event.participant_id)
            if isinstance(event, ParticipantUpsert) and view is not None:
                happened.setdefault((view.callid, view.dn, view.status), time.perf_counter())

        pbx.switchboard.listen(heard)
        url = address.replace("http", "ws", 1) + f"/webapi/{KEY}/stream?topics=calls"
        shown: _Seen = {}
        async with connect(url, max_size=None) as socket:
            with suppress(TimeoutError):
                await asyncio.wait_for(_read(socket, shown), seconds)
        kinds = {dn.number: dn.kind for dn in pbx.directory.dns()}
        lags: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        for key, at in happened.items():
            if key in shown and kinds[key[1]] in lags:
                lags[kinds[key[1]]].append(shown[key] - at)
        part = sum(map(len, lags.values())) / max(1, len(happened))
        return _sheet(lags, events / seconds, len(pbx.switchboard.truth()), part)


async def _read(socket: ClientConnection, shown: _Seen) -> None:
    while True:
        frame = from_json(await socket.recv())
        now = time.perf_counter()
        for call in frame.get("upsert", {}).get("calls", {}).values():
            for leg in call["AConnList"]:
                shown.setdefault((call["callID"], leg["dnNum"], leg["status"]), now)


def _sheet(lags: dict[str, list[float]], rate: float, calls: int, part: float) -> Sheet:
    sheet = Sheet(
        f"A rush: {rate:.0f} events a second, {calls} calls at once, {LATENCY * 1e3:.0f} ms "
        f"to the PBX",
        f"From a phone's event to a frame that shows it, all parties in one process; {part:.0%} "
        f"of the states were "
        "shown, the others had passed before they were read.",
    )
    for kind, its in lags.items():
        if len(its) < _LEAST:
            continue
        sheet.add(f"{kind} states: p50", f"{percentile(its, 50) * 1e3:.0f} ms")
        sheet.add(f"{kind} states: p99", f"{percentile(its, 99) * 1e3:.0f} ms")
        most = max(its) * 1e3
        goal = 250 if kind == "extension" else None
        sheet.add(f"{kind} states: greatest, ms", f"{most:.0f} ms", ratio=most, most=goal)
    return sheet
