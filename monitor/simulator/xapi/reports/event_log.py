"""Keep the event log: the start of the PBX, and telephones that register and go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Literal

from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.description.schema import new_entity
from monitor.simulator.xapi.odata.operators import written

EVENTS_KEPT: Final = 10_000
"""Number of events that are kept; the oldest are forgotten first."""
_STARTED, _REGISTERED, _UNREGISTERED = 4098, 4100, 4101


class EventHistory:
    """Follow the directory and keep ``Pbx.EventLog`` rows. ``clock`` returns POSIX seconds."""

    def __init__(self, directory: Directory, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        self._rows: deque[Entity] = deque(maxlen=EVENTS_KEPT)
        self._last_id = 0
        self._registered = {n: directory.registered(n) for n in directory.extensions()}
        directory.on_change(self._changed)
        self.started()

    def started(self) -> None:
        """Note that the PBX has started."""
        self._note(_STARTED, "Info", f"3CX Phone System {self._directory.version} has started")

    def rows(self) -> list[Entity]:
        """Return all events, newest first."""
        return list(reversed(self._rows))

    def forget(self) -> None:
        """Delete all events."""
        self._rows.clear()

    def _changed(self, number: str) -> None:
        dn = self._directory.dn(number)
        if dn is None or dn.kind != "extension":
            self._registered.pop(number, None)
            return
        now, before = self._directory.registered(number), self._registered.get(number, False)
        self._registered[number] = now
        if now and not before:
            self._note(_REGISTERED, "Info", f"Extension {number} is registered", number)
        elif before and not now:
            self._note(_UNREGISTERED, "Warning", f"Extension {number} is unregistered", number)

    def _note(
        self, event: int, kind: Literal["Info", "Warning"], message: str, *params: str
    ) -> None:
        self._last_id += 1
        self._rows.append(
            new_entity(
                "EventLog",
                EventId=event,
                Id=self._last_id,
                Message=message,
                Params=list(params),
                Source="3CX Phone System",
                TimeGenerated=written(self._clock()),
                Type=kind,
            )
        )
