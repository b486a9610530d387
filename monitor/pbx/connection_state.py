"""Whether the PBX is connected, and where calls come from, by how its two parts fare. Pure.

Calls come from Call Control (participants) and XAPI's ActiveCalls (rows). Connected is when everything that can be had
has been read and is being followed. A part that refuses, for want of a licence or a right, is done without; so is
ActiveCalls when it fails for long. Call Control that fails otherwise means the connection is lost: its state is what
everything rests on. Where the settings insist on both nothing is done without; where they want ActiveCalls alone, Call
Control is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from monitor.pbx.facts import ConnectionChanged, Source
from monitor.shared.entities.topics import Connection


class InterfaceCondition(Enum):
    """How a part fares."""

    UNKNOWN = "unknown"
    """Not read yet."""
    LIVE = "live"
    REFUSED = "refused"
    DOWN = "down"


_LACKING = frozenset((InterfaceCondition.REFUSED, InterfaceCondition.DOWN))


@dataclass(slots=True)
class InterfaceState:
    """A part, and why it is not live."""

    condition: InterfaceCondition = InterfaceCondition.UNKNOWN
    reason: str = ""

    def is_now(self, condition: InterfaceCondition, reason: str = "") -> None:
        """Take note."""
        self.condition, self.reason = condition, reason


@dataclass(slots=True)
class ConnectionState:
    """Both parts. ``chosen``: by the settings. ``ever``: whether it was connected before, so that it can be lost."""

    chosen: Source = "auto"
    call_control: InterfaceState = field(default_factory=InterfaceState)
    active_calls: InterfaceState = field(default_factory=InterfaceState)
    connection: Connection = "connecting"
    source: str = ""
    ever: bool = False
    _told: tuple[Connection, str, str] | None = None

    @property
    def lacking(self) -> bool:
        """Whether a part has failed or refused, as against one that is still being read."""
        return any(part.condition in _LACKING for part in (self.call_control, self.active_calls))

    def changed(self, at: float) -> ConnectionChanged | None:
        """The news since the last call of this; None if there is none. ``at``: PBX clock."""
        now = self._judge()
        if now == self._told:
            return None
        self._told = now
        self.connection, reason, source = now
        if self.connection == "connected":
            self.ever = True
            self.source = source
        return ConnectionChanged(self.connection, reason, at, source)

    def _judge(self) -> tuple[Connection, str, str]:
        control, calls = self.call_control, self.active_calls
        if self.chosen == "activecalls":
            if calls.condition is InterfaceCondition.LIVE:
                return "connected", "", self.chosen
            return self._away, calls.reason, ""
        if self.chosen == "callcontrol+activecalls":
            lacking = next((part for part in (control, calls) if part.condition in _LACKING), None)
            if lacking is not None:
                return self._away, lacking.reason, ""
        return self._by_what_there_is()

    def _by_what_there_is(self) -> tuple[Connection, str, str]:
        control, calls = self.call_control, self.active_calls
        if control.condition is InterfaceCondition.LIVE:
            if calls.condition is InterfaceCondition.LIVE:
                return "connected", "", "callcontrol+activecalls"
            if calls.condition in _LACKING:
                return "connected", f"Without ActiveCalls: {calls.reason}", "callcontrol"
            return "connecting", calls.reason, ""
        if control.condition is InterfaceCondition.REFUSED:
            if calls.condition is InterfaceCondition.LIVE:
                return "connected", f"Without Call Control: {control.reason}", "activecalls"
            return self._away, calls.reason or control.reason, ""
        if control.condition is InterfaceCondition.DOWN:
            return self._away, control.reason, ""
        return "connecting", control.reason, ""

    @property
    def _away(self) -> Connection:
        return "lost" if self.ever else "connecting"
