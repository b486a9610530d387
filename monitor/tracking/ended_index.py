"""Index the calls that ended: which callers nobody has talked with since, what goes first. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from monitor.shared import phone_numbers
from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.shared.phone_index import SubscriberIndex

_FROM_OUTSIDE = frozenset({"FromExternal", "Inbound", "External"})
_LOSSES = frozenset({"missed", "abandoned"})


class EndedIndex:
    """Index the topic ``ended``; :meth:`follow` must be given all its edits."""

    def __init__(self) -> None:
        self._open_losses: SubscriberIndex[str] = SubscriberIndex()
        self._least: OrderedDict[str, None] = OrderedDict()

    @property
    def least(self) -> Iterable[str]:
        """Return the ids of the calls with which no caller from outside was lost, in their order.

        Of too many calls, these are dropped first.
        """
        return self._least.keys()

    def follow(self, edits: Iterable[Edit]) -> None:
        """Take in what changed of the calls that ended."""
        for edit in edits:
            if isinstance(edit.before, topics.EndedCall):
                number = _open_loss(edit.before)
                if number is not None:
                    self._open_losses.remove(number, edit.id)
            if not isinstance(edit.after, topics.EndedCall) or _is_loss(edit.after):
                self._least.pop(edit.id, None)
            else:
                self._least.setdefault(edit.id)
            if isinstance(edit.after, topics.EndedCall):
                number = _open_loss(edit.after)
                if number is not None:
                    self._open_losses.add(number, edit.id)

    def open_losses(self, callers: Iterable[str]) -> Iterator[str]:
        """Yield the ids of the calls of these callers from outside that nobody took.

        Calls whose callers somebody has talked with since are left out. ``callers``: their numbers
        in any notation.
        """
        numbers = dict.fromkeys(map(phone_numbers.parse, callers))
        ids = (id_ for number in numbers if number for id_ in self._open_losses.find(number))
        yield from dict.fromkeys(ids)


def _open_loss(ended: topics.EndedCall) -> phone_numbers.PhoneNumber | None:
    """Return the caller's number if nobody took this call from outside or talked with it since."""
    if ended.outcome in _LOSSES and ended.direction in _FROM_OUTSIDE and ended.returned_at is None:
        return phone_numbers.parse(ended.caller)
    return None


def _is_loss(ended: topics.EndedCall) -> bool:
    """Return whether a caller from outside was lost with it."""
    return ended.outcome in _LOSSES and ended.direction not in ("Internal", "FromInternal")
