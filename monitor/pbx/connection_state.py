"""Decide from the PBX's two interfaces if it is connected and where calls come from. Pure.

Calls come from Call Control (participants) and from XAPI's ActiveCalls (rows).

- The PBX is connected when everything that is available has been read and is being followed.
- An interface that refuses, as a licence or a right is missing, is left out.
  So is ActiveCalls when it fails for long.
- If Call Control fails in another way, the connection is lost: everything rests on its state.
- If the settings demand both interfaces, none is left out.
  If they demand ActiveCalls alone, Call Control is not asked.
- Without the directory nothing can be told: until it was read once, the PBX is not connected.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from monitor.pbx.facts import ConnectionChanged, Source
from monitor.shared.entities.topics import Connection


class InterfaceCondition(Enum):
    """Name the condition of an interface of the PBX."""

    UNKNOWN = "unknown"
    """Not read yet."""
    LIVE = "live"
    REFUSED = "refused"
    DOWN = "down"


_LACKING = frozenset((InterfaceCondition.REFUSED, InterfaceCondition.DOWN))


@dataclass(slots=True)
class InterfaceState:
    """Hold the condition of an interface, and why it is not live."""

    condition: InterfaceCondition = InterfaceCondition.UNKNOWN
    reason: str = ""

    def set(self, condition: InterfaceCondition, reason: str = "") -> None:
        """Set the condition and its reason."""
        self.condition, self.reason = condition, reason


@dataclass(slots=True)
class ConnectionState:
    """Follow both interfaces and derive the connection from them.

    ``chosen``: the source that the settings demand. ``ever``: True once it was connected, so that
    it can be lost.
    """

    chosen: Source = "auto"
    call_control: InterfaceState = field(default_factory=InterfaceState)
    active_calls: InterfaceState = field(default_factory=InterfaceState)
    directory: InterfaceState = field(default_factory=InterfaceState)
    """``DOWN`` only if the directory could not be read since the start."""
    connection: Connection = "connecting"
    source: str = ""
    ever: bool = False
    _told: tuple[Connection, str, str] | None = None

    @property
    def lacking(self) -> bool:
        """Return whether an interface has failed or refused.

        One that is still being read has done neither.
        """
        return any(part.condition in _LACKING for part in (self.call_control, self.active_calls))

    def changed(self, at: float) -> ConnectionChanged | None:
        """Return what changed since the last call of this method, or None if nothing did.

        ``at``: POSIX seconds on the PBX's clock.
        """
        now = self._judge()
        if now[0] == "connected" and self.directory.condition is InterfaceCondition.DOWN:
            now = self._away, f"Without the directory: {self.directory.reason}", ""
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
