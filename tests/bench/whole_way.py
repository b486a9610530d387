"""Measure the time from the simulated PBX's event to the bytes at a subscriber's socket.

What lies between: the event on Call Control's WebSocket, the read of the participant over HTTP
(3CX's events carry no body), the tracker, one transaction on Redis, pub/sub, the gateway's replica
and one encoding, the subscriber's socket. The peer is a bare PUBLISH of as many bytes to a bare
subscriber of the same server, measured in the same run. All parties share one process and one event
loop, so the figures hold everybody's CPU time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from statistics import median

from websockets.asyncio.client import connect

from monitor.shared.codec import from_json
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bench.latency import percentile
from tests.bench.table import Sheet
from tests.bus import Bus, real_bus, until
from tests.system.stack import KEY, gateway, monitoring, subscriber

_PAYLOAD = b"x" * 1_000
"""About as large as the announcement of one call's change."""


async def measure(times: int) -> Sheet:
    """So many calls, and as many bare publishes."""
    async with real_bus() as bus:
        ours = await _from_event_to_socket(bus, times)
        bare = await _bare_publish(bus, times)
    sheet = Sheet(
        "The whole way, p50 / p99",
        "Time from the simulated PBX's event; its body must still be read over HTTP. All "
        "parties share one "
        "process and one event loop.",
    )
    for name, seconds in (
        ("PBX event → subscriber's socket", ours),
        ("bare Redis PUBLISH → receive", bare),
    ):
        figure = f"{median(seconds) * 1e3:.2f} / {percentile(seconds, 99) * 1e3:.2f} ms"
        sheet.add(name, figure, ratio=median(seconds) / median(bare))
    return sheet


async def _from_event_to_socket(bus: Bus, times: int) -> Sequence[float]:
    settings = SimulatorSettings(extensions=20, queues=1, traffic=False)
    async with (
        SimulatedPbx(settings) as pbx,
        monitoring(pbx, bus.client()),
        gateway(bus.client()) as address,
    ):
        begun: dict[int, float] = {}

        def heard(event: object) -> None:
            call_id = _call_of(pbx, event)
            if call_id is not None:
                begun.setdefault(call_id, time.perf_counter())

        pbx.switchboard.listen(heard)
        async with subscriber(address) as held:
            await until(
                lambda: held.state.get("system", {}).get("pbx", {}).get("connection") == "connected"
            )
        url = address.replace("http", "ws", 1) + f"/webapi/{KEY}/stream?topics=calls"
        seconds: list[float] = []
        async with connect(url, max_size=None) as socket:
            while from_json(await socket.recv())["type"] != "snapshot":
                pass
            first, second = pbx.directory.extensions()[:2]
            for _ in range(times):
                outcome = pbx.switchboard.makecall(first, None, second, 30, {})
                call_id = max(begun)
                while str(call_id) not in from_json(frame := await socket.recv()).get(
                    "upsert", {}
                ).get("calls", {}):
                    assert frame
                seconds.append(time.perf_counter() - begun[call_id])
                assert outcome.finalstatus == "Success"
                pbx.switchboard.drop_call(call_id)
                while str(call_id) not in from_json(await socket.recv()).get("remove", {}).get(
                    "calls", []
                ):
                    pass
        return seconds


def _call_of(pbx: SimulatedPbx, event: object) -> int | None:
    view = pbx.switchboard.participant(
        getattr(event, "dn", ""), getattr(event, "participant_id", 0)
    )
    return None if view is None else view.callid


async def _bare_publish(bus: Bus, times: int) -> Sequence[float]:
    sender, receiver = bus.client(), bus.client()
    seconds: list[float] = []
    async with receiver.pubsub() as pubsub:
        await pubsub.subscribe("bench")
        received = pubsub.listen()
        await anext(received)
        for _ in range(times):
            started = time.perf_counter()
            await sender.publish("bench", _PAYLOAD)
            async with asyncio.timeout(5):
                await anext(received)
            seconds.append(time.perf_counter() - started)
    return seconds
