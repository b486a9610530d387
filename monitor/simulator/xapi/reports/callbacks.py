"""Find the callbacks of queues among past calls. Pure.

A caller who goes from a queue to the menu ``QCB`` asks to be called back. The callback is the first
later call from an extension to the caller's number. It has failed if nobody was reached. A request
that nobody has called back yet is not a callback. Numbers are compared by their last digits, as one
may be written in several ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from monitor.simulator.pbx_data.generator import CALLBACK_QUEUE
from monitor.simulator.xapi.reports.call_history import CallHistory, PastCall, PastLeg

_DIGITS: Final = 8
"""Digits at the end of a number by which it is recognised."""


@dataclass(frozen=True, slots=True)
class PastCallback:
    """Represent a call that an agent made to somebody who had asked a queue for it."""

    queue: str
    number: str
    call: PastCall

    @property
    def outside(self) -> PastLeg | None:
        """Return the leg of the line on which the caller was called; None if it came to none."""
        lines = (leg for leg in self.call.legs if leg.dn.kind == "externalline")
        return next(lines, None)

    @property
    def failed(self) -> bool:
        """Return whether the caller was not reached."""
        return self.outside is None or self.outside.connected is None


def made_between(history: CallHistory, start: float, end: float) -> Iterator[PastCallback]:
    """Yield the callbacks that were asked for in this time, oldest first."""
    asked: dict[str, tuple[str, str]] = {}
    for call in reversed(list(history.between(start, float("inf")))):
        first = call.legs[0]
        queue = _queue_asked(call) if call.began <= end else ""
        if queue:
            asked[first.number[-_DIGITS:]] = first.number, queue
        elif first.dn.kind == "extension" and first.party.number[-_DIGITS:] in asked:
            number, queue = asked.pop(first.party.number[-_DIGITS:])
            yield PastCallback(queue, number, call)


def _queue_asked(call: PastCall) -> str:
    """Return the queue that the caller asked for a callback; empty if there is none."""
    menus = [leg for leg in call.legs if leg.dn.number == CALLBACK_QUEUE]
    left = [leg for leg in call.legs if leg.dn.kind == "queue"]
    queues = [leg.dn.number for menu in menus for leg in left if leg.ended == menu.began]
    return queues[-1] if queues else ""
