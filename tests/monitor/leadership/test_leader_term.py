"""One term: facts in, changes out, and both spaces written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.cli.runtime.status_reporter import _watching
from gateway.replication.redis_reader import read_state
from monitor.leadership import leader_term
from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    ConnectionChanged,
    ContactsRead,
    ParticipantSeen,
    QueueFiguresRead,
)
from monitor.pbx.http_client.secret import Secret
from monitor.run import WatchedPbx
from monitor.shared.entities.statistics import ExtensionStats
from monitor.shared.entities.topics import Contact, table
from monitor.tracking.tracker import Tracker
from tests.bus import Bus, RealBus, until, until_async
from tests.monitor.leadership.test_pbx_service import BOOK, LIVE, stands
from tests.monitor.terms import Process, running
from tests.monitor.tracking.pbx_facts import EXTENSIONS, NOON, directory, participant


async def test_a_leader_writes_what_its_tracker_makes_of_the_facts(bus: Bus) -> None:
    async with running(bus, ttl=60.0) as one:
        await stands(bus, "connected")
        one.source.call()
        await stands(bus, "1")
        assert one.source.may_mint()
        assert one.source.wanted == 1
        assert one.trackers[-1].inconsistent_calls == set()


async def test_facts_that_come_while_a_publish_is_under_way_go_out_as_one_change(bus: Bus) -> None:
    async with running(bus) as one:
        before = await stands(bus, "connected")
        for _ in range(100):
            one.source.call()
        after = await stands(bus, "100")
        assert after.epoch == before.epoch
        assert after.seq - before.seq <= 2


async def test_the_address_book_has_an_epoch_of_its_own_from_its_first_reading_on(bus: Bus) -> None:
    async with running(bus, "one") as one:
        one.source.emit(ContactsRead((Contact(1, "Ann"),)))
        await until_async(lambda: _book_is(bus, {"1": Contact(1, "Ann")}))
    async with running(bus, "two") as two:
        await stands(bus, "connected")
        assert await _book_is(bus, {"1": Contact(1, "Ann")})
        two.source.emit(ContactsRead((Contact(2, "Bob"),)))
        await until_async(lambda: _book_is(bus, {"2": Contact(2, "Bob")}))


async def test_a_book_of_100_000_does_not_hold_up_the_calls(valkey: RealBus) -> None:
    contacts = tuple(
        Contact(number, "Ann", f"Number {number}", phone=str(number)) for number in range(100_000)
    )
    async with running(valkey) as one:
        await stands(valkey, "connected")
        one.source.emit(ContactsRead(contacts))
        number = 0
        while not await _book_has(valkey, len(contacts)):
            number += 1
            one.source.call()
            await stands(valkey, str(number))
        assert number > 3, "calls were told again and again while the book was being written"


class _Following(Process):
    """A monitor process with the real tracker."""

    def _tracker(self) -> Any:
        return Tracker("one")


async def _following(bus: Bus) -> tuple[_Following, asyncio.Task[None]]:
    """Run a monitor until it has read the directory."""
    process = _Following(bus, "one")
    task = asyncio.create_task(process.service.run())
    await until(lambda: bool(process.sources) and process.source.running)
    process.source.emit(ConnectionChanged("connected", "", NOON, "activecalls"))
    process.source.emit(directory())
    return process, task


async def test_figures_of_the_pbx_that_differ_are_told_in_the_log_and_in_the_status(
    bus: Bus,
) -> None:
    process, task = await _following(bus)
    emit = process.source.emit
    emit(ActiveCallsRead((), NOON, NOON))
    figures = {"waiting": 0.0, "ringing": 0.0, "offered": 7.0, "answered": 7.0}
    with capture_logs() as logged:
        for second in range(80):
            figures["offered"] = figures["answered"] = 7.0 if second < 15 else 9.0
            emit(QueueFiguresRead({"800": dict(figures)}, NOON + second))
        [note, other] = _watching(WatchedPbx(process.service, Secret("x"), None)).notes
        figures["offered"] = 0.0
        emit(QueueFiguresRead({"800": dict(figures)}, NOON + 80))
    came, answered = (
        f"Queue 800: the PBX's count of {what} is 2 higher than callmon's."
        for what in ("callers who came in", "answered callers")
    )
    assert note.startswith(f"{came} Since 2026-")
    assert other.startswith(f"{answered} Since 2026-")
    told = [line for line in logged if line["event"].startswith("queue_figures")]
    assert [(line["event"], line["log_level"]) for line in told] == [
        ("queue_figures_difference", "warning"),
        ("queue_figures_agreement", "info"),
        ("queue_figures_agreement", "info"),
    ]
    assert told[0]["queue"] == "800"
    assert told[0]["reason"] == f"{came} {answered}"
    assert [(line["queue"], line["figure"]) for line in told[1:]] == [
        ("800", "offered"),
        ("800", "answered"),
    ]
    task.cancel()
    await asyncio.wait([task])
    assert process.service.comparison is None, "it leads no more"
    await process.records.close()


async def test_statistics_that_are_drawn_one_by_one_are_all_written(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader_term, "_MOST_DRAWN", 1)
    process, task = await _following(bus)
    emit = process.source.emit
    waits = ActiveCall(50, "10000 skyetel (+4930999)", "800 Sales", "Talking", NOON, NOON)
    emit(ActiveCallsRead((waits,), NOON, NOON))  # so that each tick draws the queue first
    for call, dn in enumerate(EXTENSIONS):
        rings = participant(dn, call, call, "Ringing", f"10000:+49301{call}")
        emit(ParticipantSeen(rings, NOON + 1, NOON + 1))
    await until_async(lambda: _offered(bus, dict.fromkeys(EXTENSIONS, 1)))
    task.cancel()
    await asyncio.wait([task])
    await process.records.close()


async def _offered(bus: Bus, calls: dict[str, int]) -> bool:
    """Return whether so many calls are told to have reached each extension today."""
    read = await read_state(bus.client(), LIVE)
    found = {} if read is None else table(read.state, "extstats", ExtensionStats)
    return {num: stats.offered for num, stats in found.items()} == calls


async def _book_is(bus: Bus, contacts: dict[str, Contact]) -> bool:
    read = await read_state(bus.client(), BOOK)
    return read is not None and read.state["contacts"] == contacts


async def _book_has(bus: Bus, size: int) -> bool:
    return await bus.client().hlen(BOOK.state("contacts")) == size
