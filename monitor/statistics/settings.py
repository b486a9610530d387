"""Define the settings by which the day is counted."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class StatisticsSettings(Struct, frozen=True):
    """Hold the settings of the statistics.

    ``zone``: an IANA name; empty: the PBX's own. ``targets``: seconds by queue number; they win
    over all others. The settings may change with a restart: the new ones then apply also to what
    was counted before, except for the zone.
    """

    zone: str = ""
    target: int = 20
    """Seconds within which a call should be answered (this or less), if no other target is set."""
    short: int = 5
    """Seconds. A caller who gives up earlier counts as a short abandon."""
    targets: Mapping[str, int] = field(default_factory=dict)

    def queue_target(self, num: str, sla_time: int | None) -> int:
        """Return the queue's target in seconds.

        It is the one set here, else the one set at the PBX (None or 0: not set), else the general
        one.
        """
        return self.targets.get(num) or sla_time or self.target
