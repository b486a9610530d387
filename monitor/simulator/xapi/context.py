"""Hold what the XAPI serves: the directory, the present calls, and how calls look from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.api_rows import ActiveCallRow
from monitor.simulator.calls.switchboard import CallOutcome, Event, ParticipantView
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.tokens import Tokens
from monitor.simulator.xapi.odata.operators import written
from monitor.simulator.xapi.plain_entities import PlainStore
from monitor.simulator.xapi.reports.call_history import CallHistory
from monitor.simulator.xapi.reports.event_log import EventHistory
from monitor.simulator.xapi.reports.login_history import LoginHistory

_KEPT_LISTS = 8


class Calls(Protocol):
    """Describe what the XAPI needs of the switchboard. Tests put a simpler one in its place.

    ``committed_at``: POSIX seconds of the change that the present event tells.
    """

    committed_at: float

    def listen(self, callback: Callable[[Event], None]) -> None:
        """Register a callable that receives every event of every DN."""

    def participant(self, number: str, participant_id: int) -> ParticipantView | None:
        """Return one participant of a DN, or None if it is gone."""

    def active_calls(self) -> Sequence[Any]:
        """Return the rows (:class:`ActiveCallRow`) of all calls."""

    def served_rows(self, rows: Iterable[Any]) -> None:
        """Record that an answer has shown these rows."""

    def served_participant(self, view: ParticipantView) -> None:
        """Record that an answer has shown this participant."""

    def drop_call(self, call_id: int) -> bool:
        """End a call. Return False if there is none."""

    def makecall(
        self,
        dn: str,
        device_id: str | None,
        destination: str,
        timeout: int | None,
        attached: dict[str, str],
    ) -> CallOutcome:
        """Call from a DN and return the outcome."""


@dataclass(slots=True)
class Site:
    """Hold everything that a request may need. ``clock`` returns POSIX seconds.

    The histories begin with the site. ``dn_properties``: by DN and by name. ``activity_since``: the
    activity log was purged then.
    """

    directory: Directory
    calls: Calls
    switches: Switches
    clock: Callable[[], float]
    tokens: Tokens | None = None
    plain: PlainStore = field(default_factory=PlainStore)
    dn_properties: dict[str, dict[str, Entity]] = field(default_factory=dict)
    last_property: int = 0
    activity_since: float = 0.0
    history: CallHistory = field(init=False)
    logins: LoginHistory = field(init=False)
    events: EventHistory = field(init=False)
    _lists: dict[tuple[object, ...], list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.history = CallHistory(self.calls, self.directory)
        self.logins = LoginHistory(self.directory, self.clock)
        self.events = EventHistory(self.directory, self.clock)

    def restarted(self) -> None:
        """Forget the calls that went on, as the PBX has restarted."""
        self.history.lose()
        self.events.started()

    def served(self, shown: Iterable[Entity]) -> None:
        """Tell the switchboard which of its calls an answer has shown."""
        ids = {row["Id"] for row in shown}
        self.calls.served_rows([row for row in self.calls.active_calls() if row.id in ids])

    def kept_contacts(self, key: tuple[str, ...], make: Callable[[], list[Any]]) -> list[Any]:
        """Return the list of contacts for a query. ``make`` makes it if it is not kept.

        A kept list is valid until the book changes. The eight lists that were used last are kept,
        so that paging through a large book is quick.
        """
        full_key = (self.directory.book.revision, *key)
        found = self._lists.pop(full_key, None)
        if found is None:
            found = make()
            for old in [k for k in self._lists if k[0] != full_key[0]] or list(self._lists)[
                : 1 - _KEPT_LISTS
            ]:
                del self._lists[old]
        self._lists[full_key] = found
        return found


def active_call(row: ActiveCallRow, now: float) -> Entity:
    """Return a ``Pbx.ActiveCall``. ``now`` is the PBX's clock in POSIX seconds."""
    return {
        "Callee": row.callee,
        "Caller": row.caller,
        "EstablishedAt": instant(row.established_at),
        "Id": row.id,
        "LastChangeStatus": instant(row.last_change_status),
        "ServerNow": instant(now),
        "Status": row.status,
    }


def instant(seconds: float | None) -> str | None:
    """Return POSIX seconds as .NET writes them: UTC, with seven digits after the second."""
    return None if seconds is None else written(seconds)
