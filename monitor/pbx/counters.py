"""What is counted of a PBX's interface. Plain numbers, read when somebody asks for the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.pbx.clock import PbxClock
from monitor.shared.histogram import SLOW, Histogram


@dataclass(slots=True)
class PbxCounters:
    """Of one PBX, for as long as the process runs: the connections come and go with the lease."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind (:func:`kind_of`) and result (:func:`result_of`)."""
    durations: dict[str, Histogram] = field(default_factory=dict)
    """By kind, of those that were answered."""
    tokens: Counter[str] = field(default_factory=Counter)
    """``minted``, ``denied`` (asked for in vain), ``revoked`` (refused by the PBX before their time)."""
    events: Counter[str] = field(default_factory=Counter)
    """Of the event socket, by kind."""
    sockets: Counter[str] = field(default_factory=Counter)
    """Event sockets: ``opened``, ``ended``."""
    reads: Counter[str] = field(default_factory=Counter)
    """Whole readings, by what was read."""
    waiting: Callable[[], int] = lambda: 0
    """Participants that wait to be read after their events."""
    clock: PbxClock | None = None
    certificate_ends: float | None = None
    """POSIX seconds: until when the certificate holds that the PBX showed last; None if none was checked."""

    def request(self, shown: str, status: int | None, seconds: float) -> None:
        """A request is over. ``shown``: as in messages, without secrets; ``status``: None if no answer came."""
        kind = kind_of(shown)
        self.requests[kind, result_of(status)] += 1
        if status is not None:
            histogram = self.durations.get(kind)
            if histogram is None:
                histogram = self.durations[kind] = Histogram(SLOW)
            histogram.add(seconds)


def kind_of(shown: str) -> str:
    """Which of a few kinds a request is: ``GET /callcontrol/101/participants/7`` is a ``participant``.

    One of the documented interface is known by its command.
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
    """``ok``, ``refused`` (4xx), ``failed`` (5xx) or ``unreachable`` (no answer)."""
    if status is None:
        return "unreachable"
    return "ok" if status < 400 else "refused" if status < 500 else "failed"
