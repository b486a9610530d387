"""Whether the PBX is connected, and where calls come from, by how its two parts fare. Pure.

Calls come from Call Control (participants) and XAPI's ActiveCalls (rows). Connected is when everything that can be had
has been read and is being followed. A part that refuses, for want of a licence or a right, is done without; so is
ActiveCalls when it fails for long. Call Control that fails otherwise means the connection is lost: its state is what
everything rests on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from monitor.model.entities import Connection
from monitor.pbx.facts import ConnectionChanged


class Condition(Enum):
    """How a part fares."""

    UNKNOWN = "unknown"
    """Not read yet."""
    LIVE = "live"
    REFUSED = "refused"
    DOWN = "down"


@dataclass(slots=True)
class Part:
    """A part, and why it is not live."""

    condition: Condition = Condition.UNKNOWN
    reason: str = ""

    def is_now(self, condition: Condition, reason: str = "") -> None:
        """Take note."""
        self.condition, self.reason = condition, reason


@dataclass(slots=True)
class ConnectionState:
    """Both parts. ``ever``: whether it was connected before, so that its absence is a loss."""

    call_control: Part = field(default_factory=Part)
    active_calls: Part = field(default_factory=Part)
    connection: Connection = "connecting"
    source: str = ""
    ever: bool = False
    _told: tuple[Connection, str, str] | None = None

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
        without_calls = calls.condition in (Condition.REFUSED, Condition.DOWN)
        if control.condition is Condition.LIVE:
            if calls.condition is Condition.LIVE:
                return "connected", "", "callcontrol+activecalls"
            if without_calls:
                return "connected", f"Without ActiveCalls: {calls.reason}", "callcontrol"
            return "connecting", calls.reason, ""
        if control.condition is Condition.REFUSED:
            if calls.condition is Condition.LIVE:
                return "connected", f"Without Call Control: {control.reason}", "activecalls"
            return "lost" if self.ever else "connecting", calls.reason or control.reason, ""
        if control.condition is Condition.DOWN:
            return "lost" if self.ever else "connecting", control.reason, ""
        return "connecting", control.reason, ""
