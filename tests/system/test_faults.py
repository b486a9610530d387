"""Test that every subscriber holds the truth again after the PBX misbehaved under load.

While it is out of reach, everybody is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from monitor.simulator.pbx_data import templates
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import fake_bus, until
from tests.system.compare import NOT_ALWAYS_TOLD, Known, differences, knowable
from tests.system.stack import Subscriber, watched

WITHIN = 60.0
"""Seconds: generous, as the machines are shared; it takes a few."""

Misbehave = Callable[[SimulatedPbx], Awaitable[None]]


@asynccontextmanager
async def rush(*, tls: bool = False) -> AsyncIterator[tuple[SimulatedPbx, Subscriber, list[str]]]:
    """Ten calls a second, and a subscriber who writes down what he is told of the connection."""
    settings = SimulatorSettings(
        extensions=60, queues=3, rate=600, speed=5, tls=tls, without=NOT_ALWAYS_TOLD
    )
    async with (
        SimulatedPbx(settings) as pbx,
        fake_bus() as bus,
        watched(pbx, bus, watchdog=3.0) as held,
    ):
        told: list[str] = []
        await until(lambda: held.connected and len(pbx.switchboard.truth()) > 5, WITHIN)
        held.on_update(lambda _: told.append(held.state["system"]["pbx"]["connection"]))
        yield pbx, held, told


async def _sockets_dropped(pbx: SimulatedPbx) -> None:
    for code in (None, 1001, 1011, None):
        pbx.faults.drop_sockets(code)
        await asyncio.sleep(0.3)


async def _events_lost(pbx: SimulatedPbx) -> None:
    pbx.faults.lose_events(probability=0.3)
    await asyncio.sleep(2)


async def _events_late(pbx: SimulatedPbx) -> None:
    pbx.faults.delay_events(0.3)
    await asyncio.sleep(2)


async def _events_out_of_order(pbx: SimulatedPbx) -> None:
    pbx.faults.reorder_events(200)
    await asyncio.sleep(2)


async def _reads_that_find_nothing(pbx: SimulatedPbx) -> None:
    pbx.faults.missing_reads(60)
    await asyncio.sleep(2)


async def _tokens_expired(pbx: SimulatedPbx) -> None:
    for _ in range(3):
        pbx.faults.expire_tokens()
        await asyncio.sleep(0.5)


async def _tokens_revoked(pbx: SimulatedPbx) -> None:
    for _ in range(3):
        pbx.faults.revoke_tokens()
        await asyncio.sleep(0.5)


async def _another_with_our_credentials(pbx: SimulatedPbx) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": pbx.client_id,
        "client_secret": pbx.client_secret,
    }
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            async with http.post(f"{pbx.url}/connect/token", data=form) as answer:
                assert answer.status == 200
            await asyncio.sleep(0.5)


async def _too_many_requests(pbx: SimulatedPbx) -> None:
    pbx.faults.answer_with(429, 30, "/callcontrol", retry_after=1)
    await asyncio.sleep(1.5)


async def _errors_of_its_own(pbx: SimulatedPbx) -> None:
    pbx.faults.answer_with(500, 20, "/callcontrol")
    pbx.faults.answer_with(503, 10, "/xapi")
    await asyncio.sleep(1.5)


async def _calls_list_away(pbx: SimulatedPbx) -> None:
    pbx.faults.answer_with(500, 10, "/xapi/v1/ActiveCalls")
    await asyncio.sleep(2)


FAULTS: dict[str, Misbehave] = {
    "sockets dropped": _sockets_dropped,
    "events lost": _events_lost,
    "events late": _events_late,
    "events out of order": _events_out_of_order,
    "reads that find nothing": _reads_that_find_nothing,
    "tokens expired": _tokens_expired,
    "tokens revoked": _tokens_revoked,
    "another with our credentials": _another_with_our_credentials,
    "too many requests": _too_many_requests,
    "errors of its own": _errors_of_its_own,
    "the list of calls away": _calls_list_away,
}


@pytest.mark.parametrize("fault", FAULTS.keys())
async def test_after_a_fault_the_subscriber_holds_the_truth(fault: str) -> None:
    async with rush() as (pbx, held, _):
        await FAULTS[fault](pbx)
        pbx.faults.calm()
        await right(pbx, held)


async def test_a_pbx_that_hangs_is_told_as_lost_and_found_again() -> None:
    async with rush() as (pbx, held, told):
        pbx.faults.hang("/")
        pbx.faults.drop_sockets()
        await until(lambda: "lost" in told, WITHIN)
        pbx.faults.release()
        await until(lambda: held.connected, WITHIN)
        await right(pbx, held)


async def test_a_pbx_that_takes_no_connections_is_told_as_lost_and_found_again() -> None:
    async with rush() as (pbx, held, told):
        await pbx.faults.refuse()
        await until(lambda: "lost" in told, WITHIN)
        await pbx.faults.accept()
        await until(lambda: held.connected, WITHIN)
        await right(pbx, held)


async def test_a_certificate_that_expires_while_connected() -> None:
    async with rush(tls=True) as (pbx, held, told):
        pbx.certify(timedelta(minutes=-1))
        pbx.faults.drop_sockets()
        await until(lambda: "lost" in told, WITHIN)
        await until(
            lambda: "certificate has expired" in held.state["system"]["pbx"]["reason"], WITHIN
        )
        assert held.state["calls"], "the last state stays"
        pbx.certify(timedelta(days=90))
        await until(lambda: held.connected, WITHIN)
        await right(pbx, held)


async def test_a_directory_that_changes_while_the_pbx_is_away() -> None:
    async with rush() as (pbx, held, told):
        pbx.traffic.pause()
        await pbx.traffic.quiet()
        busy = {leg.dn for call in pbx.switchboard.truth() for leg in call.legs}
        renamed, removed = [
            number for number in sorted(pbx.directory.extensions()) if number not in busy
        ][:2]
        new = pbx.directory.first_free("extension") or ""
        await pbx.faults.refuse()
        await until(lambda: "lost" in told, WITHIN)
        entity = pbx.directory.entity(renamed)
        assert entity is not None
        pbx.directory.update(entity, {"FirstName": "Renamed"})
        pbx.directory.remove(removed)
        pbx.directory.add("extension", templates.user(new, "New", "Here"))
        pbx.directory.update(pbx.directory.entity("800") or {}, {"Name": "Another queue"})
        await pbx.faults.accept()
        pbx.traffic.resume()

        def shown() -> tuple[Any, ...]:
            extensions = held.state["extensions"]
            return (
                extensions.get(renamed, {}).get("name"),
                removed in extensions,
                extensions.get(new, {}).get("lastname"),
                held.state["queues"]["800"]["name"],
            )

        await until(lambda: shown() == ("Renamed", False, "Here", "Another queue"), WITHIN)
        await right(pbx, held)


async def right(pbx: SimulatedPbx, held: Subscriber) -> None:
    """Freeze the traffic; wait until the subscriber holds the truth that can still be known."""
    await until(lambda: held.connected, WITHIN)
    known = Known.of(pbx, tolerance=60.0)
    pbx.traffic.pause()
    await pbx.traffic.quiet()

    def wrong() -> list[str]:
        return knowable(differences(pbx, held.state, known))

    try:
        await until(lambda: not wrong(), WITHIN)
    except TimeoutError:
        raise AssertionError("\n".join(wrong())) from None
