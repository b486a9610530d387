"""Follow the simulated PBX's last hours, before the demo begins, and leave what a monitor leaves.

The PBX lives through these hours in virtual time. Everything that it shows goes through the
parsers, the tracker and the statistics of the monitor. What they hold at the end is written to
Redis as by a monitor that has just been stopped. So the demo's monitor takes it over as it would
from any other.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Final

from redis.asyncio import Redis

from monitor import run as monitor_run
from monitor.config import PbxSection
from monitor.lease import Lease
from monitor.pbx.clock import PbxClock
from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    ConnectionChanged,
    DirectoryRead,
    Fact,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
)
from monitor.pbx.parsing import xapi
from monitor.pbx.parsing.callcontrol import parse_participant
from monitor.pbx.v20_client import PbxClient
from monitor.pbx.xapi.directory_reader import DirectoryReader
from monitor.publishing.state_publisher import StatePublisher
from monitor.shared.redis.connection import commit_while
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.time_zones import zone_info
from monitor.simulator.calls.switchboard import ActiveCallRow, Event, ParticipantRemove
from monitor.simulator.server import SimulatedPbx
from monitor.simulator.xapi.context import active_call
from monitor.statistics.checkpoint_format import encode
from monitor.statistics.counting_tracker import CountingTracker
from monitor.statistics.daily_statistics import Statistics
from monitor.tracking.tracker import Tracker

HOURS: Final = 4.0
"""Hours of calls behind a demo at its start: half a working day."""
MOST_CALLS: Final = 1_500
"""Calls that are played before a demo at most, so that it begins within seconds."""
_ZONES: Final = (
    *("Europe/Berlin", "America/New_York", "America/Los_Angeles"),
    *("Pacific/Auckland", "Asia/Tokyo", "Asia/Dubai"),
)
"""Places for the simulated company. At any time, it is the middle of the day in one of them."""
_MIDDLE_OF_THE_DAY: Final = range(11, 18)
"""Hours before which a half of a working day has passed."""
_TICK_S: Final = 20.0
"""Seconds between two drawings of the statistics, which nobody sees meanwhile."""
_NAME: Final = "demo, earlier"


def place(now: float) -> str:
    """Return a time zone in which it is the middle of a working day at ``now``."""
    hours = {zone: datetime.fromtimestamp(now, zone_info(zone)).hour for zone in _ZONES}
    return next(zone for zone in _ZONES if hours[zone] in _MIDDLE_OF_THE_DAY)


async def leave_morning(
    pbx: SimulatedPbx, section: PbxSection, redis: Redis, hours: float = HOURS
) -> None:
    """Let the PBX live through the last hours and leave their state and statistics on Redis.

    The PBX's traffic must be paused.
    """
    follower = _Follower(pbx, section)
    since = time.time() - hours * 3600
    await follower.begin(since)
    with _without_garbage_collection():
        await pbx.live_through(since, follower.read_calls)
    pbx.switchboard.unlisten(follower.hear)
    await follower.leave(redis)


class _Follower:
    """Follow a simulated PBX in its own time, as a monitor does."""

    def __init__(self, pbx: SimulatedPbx, section: PbxSection) -> None:
        self._pbx = pbx
        self._section = section
        self._tracker: CountingTracker[Fact] = CountingTracker(
            Tracker(_NAME, section.did_map), Statistics(monitor_run.terms(section))
        )
        self._visible = frozenset(pbx.directory.peers(pbx.client_id))
        self._moments = count(1.0)
        self._at = self._ticked = 0.0
        self._rows: dict[ActiveCallRow, ActiveCall | None] = {}
        self._directory: DirectoryRead | None = None
        """The directory as it is now; None before the beginning and after the end."""

    async def begin(self, at: float) -> None:
        """Read the directory and follow the calls from ``at`` on, POSIX seconds."""
        clock = PbxClock(wall=lambda: at)
        client = PbxClient(monitor_run.pbx_settings(self._section), clock=clock.now)
        try:
            reader = DirectoryReader(client, clock)
            directory, contacts = await reader.directory(), await reader.contacts()
        finally:
            await client.close()
        self._at = at
        apply = self._tracker.apply
        apply(ConnectionChanged("connected", "", at, "callcontrol+activecalls"))
        apply(directory)
        apply(contacts)
        self._directory = directory
        self._pbx.directory.on_change(self._note_change)
        kinds = {
            dn.number: f"W{dn.kind}"
            for dn in self._pbx.directory.dns()
            if dn.number in self._visible
        }
        apply(ParticipantsRead((), kinds, next(self._moments), at))
        apply(ActiveCallsRead((), next(self._moments), at))
        self._pbx.switchboard.listen(self.hear)

    def _note_change(self, number: str) -> None:
        """Take in what an agent has changed, such as the profile in force for a break."""
        changed = self._pbx.directory.entity(number)
        row = None if changed is None or self._directory is None else xapi.user(changed)
        if row is None or self._directory is None:
            return
        at = self._at = max(self._at, self._pbx.switchboard.clock())
        users = tuple(row if one.number == number else one for one in self._directory.users)
        self._directory = replace(self._directory, users=users, at=at)
        self._tracker.apply(self._directory)

    def hear(self, event: Event) -> None:
        """Take in an event of Call Control."""
        if event.dn not in self._visible:
            return
        switchboard = self._pbx.switchboard
        at = self._at = max(self._at, switchboard.clock())
        view = switchboard.participant(event.dn, event.participant_id)
        if isinstance(event, ParticipantRemove):
            gone = ParticipantGone(event.dn, event.participant_id, next(self._moments), at)
            self._tracker.apply(gone)
        elif view is not None:
            seen = parse_participant(view.to_json(self._pbx.switches))
            self._tracker.apply(ParticipantSeen(seen, next(self._moments), at))

    def read_calls(self, at: float) -> None:
        """Read ActiveCalls at ``at``, POSIX seconds."""
        self._at = at
        shown = self._pbx.switchboard.active_calls()
        known = self._rows
        self._rows = {
            row: known.get(row) or xapi.active_call(active_call(row, at)) for row in shown
        }
        told = tuple(call for call in self._rows.values() if call is not None)
        self._tracker.apply(ActiveCallsRead(told, next(self._moments), at))
        if at >= self._ticked + _TICK_S:
            self._ticked = at
            self._tracker.tick(at)

    async def leave(self, redis: Redis) -> None:
        """Write state and statistics as a monitor that leads, and give the lease back."""
        self._directory = None
        keys = SpaceKeys(self._section.name, "live")
        lease = Lease(redis, keys, _NAME)
        await lease.acquire()
        publisher = StatePublisher(redis, keys, lease.name, lease=lease)
        self._tracker.tick(self._at)  # the statistics are drawn with it
        try:
            await publisher.start_epoch(self._tracker.state)
            if (saved := self._tracker.saved) is not None:
                command = ("SET", keys.statistics, encode(saved))
                await commit_while(redis, keys.lease, lease.name, [command])
        finally:
            await publisher.aclose()
            await lease.release()


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Leave cycles alone for some seconds: looking for them takes a third of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
