"""Count requests, tokens, events and reads of a PBX's interface.

The counters are plain numbers. They are read when the metrics are collected.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.pbx.clock import PbxClock
from monitor.shared.metrics.histogram import Histogram, slow_by_name


@dataclass(slots=True)
class PbxCounters:
    """Count for one PBX as long as the process runs.

    The counters outlive the connections, which come and go with the lease.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Requests by kind (:func:`kind_of`) and result (:func:`result_of`)."""
    durations: defaultdict[str, Histogram] = field(default_factory=slow_by_name)
    """Seconds of the answered requests, by kind."""
    tokens: Counter[str] = field(default_factory=Counter)
    """Tokens: ``minted``, ``denied`` (not given), ``revoked`` (refused by the PBX too early)."""
    events: Counter[str] = field(default_factory=Counter)
    """Events of the event socket, by kind."""
    sockets: Counter[str] = field(default_factory=Counter)
    """Event sockets: ``opened``, ``ended``."""
    reads: Counter[str] = field(default_factory=Counter)
    """Whole readings, by what was read."""
    waiting: Callable[[], int] = lambda: 0
    """Participants that wait to be read after their events."""
    clock: PbxClock | None = None
    certificate_ends: float | None = None
    """End (POSIX seconds) of the PBX's last certificate; None if none was checked."""

    def request(self, shown: str, status: int | None, seconds: float) -> None:
        """Count a finished request that took ``seconds``.

        ``shown``: the request as in messages, without secrets. ``status``: None if no answer came.
        """
        kind = kind_of(shown)
        self.requests[kind, result_of(status)] += 1
        if status is not None:
            self.durations[kind].add(seconds)


def kind_of(shown: str) -> str:
    """Return the kind of a request, one of a few words.

    ``GET /callcontrol/101/participants/7`` is a ``participant``. The kind of a request of the
    documented interface is its command.
    """
    method, _, path = shown.partition(" ")
    match path.strip("/").split("/"):
        case ["webapi"]:
            return "who"
        case ["webapi", command]:
            return command
        case ["connect", "token"]:
            return "token"
        case ["webclient" | "MyPhone", *_]:
            return "web_client"
        case _ if method != "GET":
            return "command"
        case ["callcontrol"]:
            return "full_state"
        case ["callcontrol", *_]:
            return "participant"
        case ["xapi", _, "ActiveCalls"]:
            return "active_calls"
        case ["xapi", _, name, *_] if name.startswith("Contacts"):
            return "contacts"
        case _:
            return "directory"


def result_of(status: int | None) -> str:
    """Return ``ok``, ``refused`` (4xx), ``failed`` (5xx) or ``unreachable`` (no answer)."""
    if status is None:
        return "unreachable"
    return "ok" if status < 400 else "refused" if status < 500 else "failed"
