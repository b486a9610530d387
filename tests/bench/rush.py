"""Measure how late a subscriber is in a rush: 50 ms to the PBX, hundreds of events a second.

For each phone that begins to ring, dial or talk: from the event to the first frame at the
subscriber that shows it in that state. The least possible is the read of the participant, one way
there and one way back: the latency.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect

from monitor.shared.codec import from_json
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.switchboard import Event, ParticipantUpsert
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bench.latency import percentile
from tests.bench.table import Sheet
from tests.bus import real_bus
from tests.system.stack import KEY, gateway, monitoring, subscriber, until

LATENCY = 0.05
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
        lags = [shown[key] - at for key, at in happened.items() if key in shown]
        return _sheet(
            lags, events / seconds, len(pbx.switchboard.truth()), len(lags) / max(1, len(happened))
        )


async def _read(socket: ClientConnection, shown: _Seen) -> None:
    while True:
        frame = from_json(await socket.recv())
        now = time.perf_counter()
        for call in frame.get("upsert", {}).get("calls", {}).values():
            for leg in call["AConnList"]:
                shown.setdefault((call["callID"], leg["dnNum"], leg["status"]), now)


def _sheet(lags: Sequence[float], rate: float, calls: int, part: float) -> Sheet:
    sheet = Sheet(
        f"A rush: {rate:.0f} events a second, {calls} calls at once, {LATENCY * 1e3:.0f} ms "
        f"to the PBX",
        f"From a phone's event to a frame that shows it, all parties in one process; {part:.0%} "
        f"of the states were "
        "shown, the others had passed before they were read.",
    )
    figures = (percentile(lags, 50), percentile(lags, 99), max(lags))
    for name, figure in zip(("p50", "p99", "greatest"), figures, strict=True):
        sheet.add(name, f"{figure * 1e3:.0f} ms")
    return sheet
