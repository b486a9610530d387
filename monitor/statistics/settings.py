"""By which terms the day is counted."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class StatisticsSettings(Struct, frozen=True):
    """``zone``: an IANA name; empty: the PBX's own. ``targets``: seconds by queue number, before all others.

    They may be others after a restart: what was counted before is seen by the new ones, but for the zone's.
    """

    zone: str = ""
    target: int = 20
    """Seconds within which a call should be answered (no later than), where no other target is set."""
    short: int = 5
    """Who gives up before so many seconds is a short abandon."""
    targets: Mapping[str, int] = field(default_factory=dict)

    def queue_target(self, num: str, sla_time: int | None) -> int:
        """The queue's target in seconds: set here, else at the PBX (null or 0: not set), else the general one."""
        return self.targets.get(num) or sla_time or self.target
