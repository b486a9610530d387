"""Test that a source's facts add up to the simulated PBX's state under every fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from monitor.pbx.facts import (
    ActiveCallsRead,
    ConnectionChanged,
    DirectoryRead,
    Fact,
    Participant,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
    QueueFiguresRead,
)
from monitor.pbx.v20_client import PbxClient, PbxSettings
from monitor.pbx.v20_source import PbxSource
from monitor.shared.tasks import running
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import until
from tests.monitor.pbx.scripted import Facts

BUSY = SimulatorSettings(rate=600, speed=20.0, extensions=40)


@dataclass
class Mirror(Facts):
    """Participants and rows as the facts say, by the rule of ``kept`` alone."""

    participants: dict[tuple[str, int], Participant] = field(default_factory=dict)
    calls: set[int] = field(default_factory=set)
    directory: DirectoryRead | None = None
    connected_now: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        super().__init__()

    def emit(self, fact: Fact) -> None:
        super().emit(fact)
        match fact:
            case ParticipantSeen():
                self.participants[fact.participant.dn, fact.participant.id] = fact.participant
            case ParticipantGone():
                self.participants.pop((fact.dn, fact.participant_id), None)
            case ParticipantsRead():
                kept = {key: p for key, p in self.participants.items() if key in fact.kept}
                listed = {(p.dn, p.id): p for p in fact.participants}
                self.participants = kept | {
                    key: p for key, p in listed.items() if key not in fact.kept
                }
            case ActiveCallsRead():
                self.calls = {row.id for row in fact.rows}
            case ConnectionChanged():
                self.connected_now = fact.connection == "connected"
            case DirectoryRead():
                self.directory = fact
        self.changed.set()


def truth(pbx: SimulatedPbx) -> tuple[dict[tuple[str, int], str], set[int]]:
    visible = pbx.directory.peers(pbx.client_id)
    views = (
        view.to_json(pbx.switches) for dn in visible for view in pbx.switchboard.participants(dn)
    )
    return {
        (str(row["dn"]), int(str(row["id"]))): " ".join(
            str(row[name]) for name in ("status", "callid", "party_dn", "party_caller_id")
        )
        for row in views
    }, {row.id for row in pbx.switchboard.active_calls()}


def held(mirror: Mirror) -> tuple[dict[tuple[str, int], str], set[int]]:
    return {
        key: f"{p.status} {p.call_id} {p.party_dn} {p.party_caller_id}"
        for key, p in mirror.participants.items()
    }, mirror.calls


@asynccontextmanager
async def followed(
    settings: SimulatorSettings = BUSY, mirror: Mirror | None = None, **changes: Any
) -> AsyncIterator[tuple[SimulatedPbx, PbxSource, Mirror]]:
    async with SimulatedPbx(settings) as pbx:
        mirror = mirror or Mirror()
        to = PbxSettings(
            pbx.url,
            pbx.client_id,
            pbx.client_secret,
            ca_file=pbx.ca_file,
            poll_interval=0.2,
            watchdog_interval=1.0,
            request_timeout=5.0,
        )
        source = PbxSource(replace(to, **changes), mirror.emit)
        running = asyncio.create_task(source.run())
        try:
            await mirror.connected()
            yield pbx, source, mirror
        finally:
            assert not running.done(), running
            running.cancel()
            await asyncio.wait([running])


async def some_calls(pbx: SimulatedPbx, mirror: Mirror, events: int = 60) -> None:
    """Let that many events be told from now on."""
    after = len(mirror.of(ParticipantSeen)) + events
    async with asyncio.timeout(120):
        while len(mirror.of(ParticipantSeen)) < after:
            mirror.changed.clear()
            await mirror.changed.wait()


async def agrees(pbx: SimulatedPbx, mirror: Mirror) -> None:
    """Stop the traffic and wait until what was told equals what goes on."""
    pbx.traffic.pause()
    await pbx.traffic.quiet()
    try:
        async with asyncio.timeout(60):
            while held(mirror) != truth(pbx) or not mirror.connected_now:
                mirror.changed.clear()
                await mirror.changed.wait()
    except TimeoutError:
        assert held(mirror) == truth(pbx)
        raise
    pbx.traffic.resume()


@pytest.mark.parametrize(
    "switches",
    [
        Switches(),
        Switches(monitored="all", on_behalf_of=True, party_did=True, sequence="gaps"),
        Switches(monitored="half", sequence="process", expires_in="minutes", duplicates=False),
        Switches(page_size=7, event_data=True, attended="new", callees="joined"),
        Switches(
            page_size=3, latency=0.05, established="last", callees="target", socket_at_expiry="stay"
        ),
    ],
)
async def test_under_all_switches_the_facts_add_up(switches: Switches) -> None:
    async with followed(replace(BUSY, switches=switches)) as (pbx, _, mirror):
        for _ in range(2):
            await some_calls(pbx, mirror)
            await agrees(pbx, mirror)


Misfortune = Callable[[SimulatedPbx], Awaitable[object] | None]


@pytest.mark.parametrize(
    "misfortune",
    [
        pytest.param(lambda pbx: pbx.faults.drop_sockets(), id="socket cut"),
        pytest.param(lambda pbx: pbx.faults.drop_sockets(1001), id="socket closed"),
        pytest.param(lambda pbx: pbx.faults.lose_events(probability=0.2), id="events lost"),
        pytest.param(lambda pbx: pbx.faults.reorder_events(20), id="events in the wrong order"),
        pytest.param(lambda pbx: pbx.faults.delay_events(0.2), id="events late"),
        pytest.param(lambda pbx: pbx.faults.missing_reads(10), id="404 after events"),
        pytest.param(lambda pbx: pbx.faults.expire_tokens(), id="token expired"),
        pytest.param(lambda pbx: pbx.faults.revoke_tokens(), id="token revoked"),
        pytest.param(lambda pbx: pbx.faults.answer_with(500, 20), id="500"),
        pytest.param(
            lambda pbx: pbx.faults.answer_with(429, 5, "/callcontrol", retry_after=1), id="429"
        ),
        pytest.param(lambda pbx: pbx.faults.answer_with(401, 3), id="401"),
        pytest.param(lambda pbx: pbx.restart(0.2), id="restart"),
    ],
)
async def test_after_any_misfortune_the_facts_add_up_again(misfortune: Misfortune) -> None:
    async with followed() as (pbx, _, mirror):
        await some_calls(pbx, mirror, 30)
        done = misfortune(pbx)
        if done is not None:
            await done
        await some_calls(pbx, mirror, 30)
        pbx.faults.calm()
        await agrees(pbx, mirror)


async def test_hundreds_of_events_a_second_are_followed_at_50_ms_to_the_pbx() -> None:
    settings = SimulatorSettings(
        extensions=400, queues=20, rate=3000, speed=10.0, switches=Switches(latency=0.05)
    )
    async with followed(settings) as (pbx, source, mirror):
        await some_calls(pbx, mirror, 1000)
        await agrees(pbx, mirror)
        await until(lambda: source.lag == 0)


async def test_a_pbx_that_hangs_is_lost_and_found() -> None:
    async with followed(request_timeout=0.3) as (pbx, _, mirror):
        pbx.faults.hang("/callcontrol")
        await mirror.until(ConnectionChanged, lambda fact: fact.connection == "lost")
        pbx.faults.release()
        await agrees(pbx, mirror)


async def test_a_pbx_that_is_away_for_a_while_is_found_again() -> None:
    async with followed() as (pbx, _, mirror):
        await pbx.faults.refuse()
        await mirror.until(ConnectionChanged, lambda fact: fact.connection == "lost")
        await pbx.faults.accept()
        await agrees(pbx, mirror)


@pytest.mark.parametrize("at_expiry", ["close", "stay"])
async def test_tokens_that_live_two_seconds_are_renewed_in_time(at_expiry: Any) -> None:
    settings = replace(BUSY, token_lifetime=2.0, switches=Switches(socket_at_expiry=at_expiry))
    async with followed(settings) as (pbx, _, mirror):
        await some_calls(pbx, mirror, 150)
        await agrees(pbx, mirror)
        assert pbx.tokens.minted >= 2
        reasons = {fact.reason for fact in mirror.of(ConnectionChanged)}
        assert not any("another program" in reason for reason in reasons)


async def test_over_tls_with_its_own_authority() -> None:
    async with followed(replace(BUSY, tls=True)) as (pbx, _, mirror):
        await some_calls(pbx, mirror, 20)
        await agrees(pbx, mirror)


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted() -> None:
    async with SimulatedPbx(SimulatorSettings(tls=True, traffic=False)) as pbx:
        facts = Facts()
        source = PbxSource(PbxSettings(pbx.url, pbx.client_id, pbx.client_secret), facts.emit)
        async with running(source.run()):
            await facts.until(
                ConnectionChanged, lambda fact: "certificate is not trusted" in fact.reason
            )
        trusting = PbxClient(PbxSettings(pbx.url, pbx.client_id, pbx.client_secret, verify=False))
        assert (await trusting.system_status()).version
        await trusting.close()


async def test_without_the_licence_nothing_is_to_be_had_and_the_reason_says_so() -> None:
    settings = SimulatorSettings(traffic=False, licence="professional")
    async with SimulatedPbx(settings) as pbx:
        facts = Facts()
        source = PbxSource(PbxSettings(pbx.url, pbx.client_id, pbx.client_secret), facts.emit)
        async with running(source.run()):
            told = await facts.until(ConnectionChanged, lambda fact: "403" in fact.reason)
            assert told.connection == "connecting"


async def test_a_caller_of_whom_the_web_client_alone_tells_has_the_calls_read() -> None:
    quiet = replace(BUSY, traffic=False)
    async with followed(quiet, poll_interval=60.0, poll_idle=60.0) as (pbx, _, mirror):
        await mirror.until(QueueFiguresRead)
        queue = pbx.directory.queue_numbers()[0]
        call = pbx.switchboard.arrive(pbx.directory.trunk_numbers()[0], "+4930100")
        pbx.switchboard.route(call, queue, greeting=False)
        await mirror.until(
            ActiveCallsRead, lambda read: any(row.callee.startswith(queue) for row in read.rows)
        )
