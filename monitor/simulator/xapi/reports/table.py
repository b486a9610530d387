"""List the reports: functions that make a report's rows from a site and the request's arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.paths import Argument

Report: TypeAlias = Callable[[Site, Mapping[str, Argument]], list[Entity]]


def nothing(_: Site, __: Mapping[str, Argument]) -> list[Entity]:
    """Return no rows: the simulated PBX has neither chats nor callbacks."""
    return []


REPORTS: Final[Mapping[tuple[str, str], Report]] = {}
"""Reports by the names of their owner and function. The others have no rows."""
