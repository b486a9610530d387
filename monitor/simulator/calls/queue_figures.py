"""Count the queues' callers of the simulated PBX, as its web client shows them.

A caller counts once for each time that the call comes into a queue. The visit is *answered* when
somebody takes the caller out of the queue, and *abandoned* when the call ends in it. A caller who
is led elsewhere is neither. Counting begins with the PBX and does not end at midnight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.simulator.calls.exchange import Event, ParticipantUpsert
from monitor.simulator.calls.model import PEOPLE, SimulatedCall
from monitor.simulator.calls.switchboard import Switchboard


@dataclass(slots=True)
class _Counts:
    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    waited: float = 0.0
    """Seconds that answered callers waited, in all."""
    longest: float = 0.0
    ringing: int = 0
    """Callers for whom phones rang when this was told last."""
    visits: dict[int, tuple[SimulatedCall, float]] = field(default_factory=dict)
    """Participant of the queue → the call that is in the queue, and since when."""


class QueueFigures:
    """Count from the switchboard's events.

    ``changed`` is called with the number of a queue whose figures have changed, while ``watched``
    returns True.
    """

    def __init__(
        self,
        switchboard: Switchboard,
        changed: Callable[[str], None],
        watched: Callable[[], bool],
    ) -> None:
        self._switchboard = switchboard
        self._changed = changed
        self._watched = watched
        self._queues: dict[str, _Counts] = {}
        switchboard.listen(self._take)

    def of(self, queue: str) -> dict[str, float]:
        """Return a queue's figures by name. Waits are whole seconds."""
        counts = self._queues.get(queue, _Counts())
        now = self._switchboard.clock()
        ringing = _ringing(counts, queue)
        waits = (now - since for _, since in counts.visits.values())
        return {
            "waiting": len(counts.visits) - ringing,
            "ringing": ringing,
            "offered": counts.offered,
            "answered": counts.answered,
            "abandoned": counts.abandoned,
            "average_wait": round(counts.waited / counts.answered) if counts.answered else 0,
            "longest_wait": round(max((counts.longest, *waits))),
        }

    def forget(self) -> None:
        """Count from zero again, as a PBX does after a restart."""
        self._queues.clear()

    def _take(self, event: Event) -> None:
        dn = self._switchboard.directory.dn(event.dn)
        if dn is not None and dn.kind == "queue":
            counts = self._queues.setdefault(event.dn, _Counts())
            if isinstance(event, ParticipantUpsert):
                self._came(counts, event)
            else:
                self._left(counts, event.participant_id)
            if self._watched():
                self._tell(event.dn, counts)
        elif dn is not None and dn.kind == "extension" and self._watched():
            for queue, counts in self._queues.items():
                # a call that has just left the queue has an event of the queue too, which follows
                here = all(queue in call.legs for call, _ in counts.visits.values())
                if here and counts.ringing != _ringing(counts, queue):
                    self._tell(queue, counts)

    def _tell(self, queue: str, counts: _Counts) -> None:
        counts.ringing = _ringing(counts, queue)
        self._changed(queue)

    def _came(self, counts: _Counts, event: ParticipantUpsert) -> None:
        view = self._switchboard.participant(event.dn, event.participant_id)
        call = None if view is None else self._switchboard.calls.get(view.callid)
        if call is not None and event.participant_id not in counts.visits:
            counts.visits[event.participant_id] = call, self._switchboard.clock()
            counts.offered += 1

    def _left(self, counts: _Counts, participant_id: int) -> None:
        call, since = counts.visits.pop(participant_id, (None, 0.0))
        if call is None:
            return
        wait = self._switchboard.clock() - since
        counts.longest = max(counts.longest, wait)
        if call.over:
            counts.abandoned += 1
        elif sum(leg.connected and leg.dn.kind in PEOPLE for leg in call.legs.values()) > 1:
            counts.answered += 1
            counts.waited += wait


def _ringing(counts: _Counts, queue: str) -> int:
    """Return for how many of the queue's callers agents' phones ring."""
    return sum(
        any(leg.ringing and leg.behalf == queue for leg in call.legs.values())
        for call, _ in counts.visits.values()
    )
