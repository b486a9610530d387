"""Derive a small entity of each PBX from the replicas of this gateway. Pure.

The summaries of all PBXs are a space of their own, with a history of its own: each change of a
summary is one change, so that a subscriber gets each, can resume, and is told nothing twice. The
epoch is this gateway's. No other gateway has it, so a subscriber that comes from another one
gets a snapshot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

from monitor.shared.changes import Change, Edit, Position
from monitor.shared.entities.pbx_summary import PbxAlarm, PbxSummary
from monitor.shared.entities.topics import (
    FLEET_TOPICS,
    SYSTEM_ID,
    Line,
    Queue,
    State,
    System,
    empty_state,
    table,
)

TOPIC: Final = "pbxs"
LOG_LENGTH: Final = 5_000
"""Changes held, about a kilobyte each."""


def summary_of(name: str, live: State, stale_since: str | None) -> PbxSummary:
    """Return the summary of a PBX. ``live``: its state. ``stale_since``: as the replica has it."""
    system = table(live, "system", System).get(SYSTEM_ID)
    if system is None:
        return unknown(name)
    calls = len(live["calls"])
    # A queue's callers come oldest first, so the first of each is enough: this is for each change.
    waiting = [queue.waiting for queue in table(live, "queues", Queue).values() if queue.waiting]
    lines = table(live, "lines", Line).values()
    capacities = [line.capacity for line in lines if line.capacity is not None]
    silent = stale_since is not None
    return PbxSummary(
        name,
        "silent" if silent else system.connection,
        stale_since if silent else system.since,
        system.reason,
        system.version,
        system.licence_limit,
        calls,
        sum(map(len, waiting)),
        min((callers[0].since for callers in waiting), default=None),
        sum(line.in_use for line in lines),
        sum(capacities) if capacities else None,
        tuple(_alarms(system, lines, calls, silent=silent)),
    )


def unknown(name: str) -> PbxSummary:
    """Return the summary of a PBX of which this gateway has not heard."""
    return PbxSummary(name, "unknown", None, alarms=("connection",))


def _alarms(
    system: System, lines: Iterable[Line], calls: int, *, silent: bool
) -> Iterable[PbxAlarm]:
    if silent or system.connection != "connected":
        yield "connection"
    if any(line.registered is False for line in lines):
        yield "lines"
    if system.licence_limit and calls >= system.licence_limit:
        yield "licence"


class PbxSummaries:
    """Hold the summaries at :attr:`position`, with their recent changes, as a hub needs it."""

    def __init__(self, epoch: str, log_length: int = LOG_LENGTH) -> None:
        self.state: State = empty_state(FLEET_TOPICS)
        self.position = Position(epoch, 0)
        self._log: deque[Change] = deque(maxlen=log_length)

    def put(self, summary: PbxSummary, at: str, heard: float = 0.0) -> bool:
        """Take a summary; return whether it is another than before.

        ``at``: the instant. ``heard``: when its cause was heard, as a change has it.
        """
        held = self.state[TOPIC]
        before = held.get(summary.name)
        if before == summary:
            return False
        self.position = Position(self.position.epoch, self.position.seq + 1)
        edit = Edit(TOPIC, summary.name, before, summary)
        held[summary.name] = summary
        self._log.append(Change(self.position, at, (edit,), "", heard))
        return True

    def since(self, seq: int, to: int | None = None) -> tuple[Change, ...] | None:
        """Return the changes after ``seq``, oldest first; None if the log does not reach back.

        ``to``: the number after which changes are left out; None: return all up to the newest.
        """
        missing = self.position.seq - seq
        if not 0 <= missing <= len(self._log):
            return None
        first = len(self._log) - missing
        wanted = missing if to is None else max(0, min(missing, to - seq))
        return tuple(islice(self._log, first, first + wanted))
