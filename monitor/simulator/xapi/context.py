"""What the XAPI serves: the directory, the calls of now, and how both look from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates_internal import Entity

_KEPT_LISTS = 8


class CallRow(Protocol):
    """A row of ActiveCalls. Times are POSIX seconds."""

    @property
    def id(self) -> int: ...  # noqa: D102
    @property
    def caller(self) -> str: ...  # noqa: D102
    @property
    def callee(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def last_change_status(self) -> float | None: ...  # noqa: D102
    @property
    def established_at(self) -> float | None: ...  # noqa: D102


class MadeParticipant(Protocol):
    """The participant that a call made by the API begins with, as Call Control shows it."""

    def to_json(self, switches: Switches) -> Mapping[str, Any]: ...  # noqa: D102


class MadeCall(Protocol):
    """What became of an attempt to call."""

    @property
    def finalstatus(self) -> str: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102
    @property
    def reasontext(self) -> str: ...  # noqa: D102
    @property
    def participant(self) -> MadeParticipant | None: ...  # noqa: D102


class Calls(Protocol):
    """The part of the switchboard that the XAPI uses."""

    def active_calls(self) -> Sequence[Any]:
        """Rows (:class:`CallRow`) of all calls."""

    def served_rows(self, rows: Iterable[Any]) -> None:
        """Told which rows were in an answer."""

    def served_participant(self, view: Any) -> None:
        """Told which participant was in an answer."""

    def drop_call(self, call_id: int) -> bool:
        """End a call; False if there is none."""

    def makecall(
        self, dn: str, device_id: str | None, destination: str, timeout: int | None, attached: dict[str, str]
    ) -> Any:
        """Call from a DN; gives a :class:`MadeCall`."""


@dataclass(slots=True)
class Site:
    """Everything a request may need. ``clock`` gives POSIX seconds."""

    directory: Directory
    calls: Calls
    switches: Switches
    clock: Callable[[], float]
    _lists: dict[tuple[object, ...], list[Any]] = field(default_factory=dict)

    def served(self, shown: Iterable[Entity]) -> None:
        """Tell the switchboard which of its calls were in an answer."""
        ids = {row["Id"] for row in shown}
        self.calls.served_rows([row for row in self.calls.active_calls() if row.id in ids])

    def kept_contacts(self, key: tuple[str, ...], make: Callable[[], list[Any]]) -> list[Any]:
        """The list of contacts that a query gives, made once for as long as the book stays the same.

        The eight lists asked for last are kept, so that leafing through a large book is quick.
        """
        full_key = (self.directory.book.revision, *key)
        found = self._lists.pop(full_key, None)
        if found is None:
            found = make()
            for old in [k for k in self._lists if k[0] != full_key[0]] or list(self._lists)[: 1 - _KEPT_LISTS]:
                del self._lists[old]
        self._lists[full_key] = found
        return found


def active_call(row: CallRow, now: float) -> Entity:
    """A ``Pbx.ActiveCall``; ``now`` is the PBX's clock, POSIX seconds."""
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
    """POSIX seconds as .NET writes them: UTC with seven digits of a second."""
    if seconds is None:
        return None
    ticks = round(seconds * 10**7)
    return f"{datetime.fromtimestamp(ticks // 10**7, UTC):%Y-%m-%dT%H:%M:%S}.{ticks % 10**7:07}Z"
