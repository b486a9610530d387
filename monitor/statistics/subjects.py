"""Find the queues, the extensions and the PBX for which calls count. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

from monitor.shared.entities.topics import SYSTEM_ID
from monitor.statistics.call_account import CallAccount

Place: TypeAlias = tuple[str, str]
"""Topic and id of a queue, an extension, or the PBX."""

PBX: Place = ("system", SYSTEM_ID)


class Subjects:
    """Index the accounts by the places for which they count.

    ``touched``: the places for which anything has changed; the reader empties it.
    """

    def __init__(self) -> None:
        self.touched: set[Place] = set()
        self._accounts: dict[str, CallAccount] = {}
        self._at: dict[Place, set[str]] = defaultdict(set)

    def of(self, place: Place) -> Iterator[CallAccount]:
        """Return all accounts that count for a place."""
        return (self._accounts[key] for key in self._at.get(place, ()))

    def show(self, key: str, account: CallAccount | None) -> None:
        """Replace the account that is held under this key; None removes it."""
        before = self._accounts.pop(key, None)
        held = _parts(before) if before is not None else {}
        now = _parts(account) if account is not None else {}
        if account is not None:
            self._accounts[key] = account
        for place in held.keys() - now.keys():
            self._at[place].discard(key)
            if not self._at[place]:
                del self._at[place]
        for place in now.keys() - held.keys():
            self._at[place].add(key)
        self.touched |= {
            place for place in held.keys() | now.keys() if held.get(place) != now.get(place)
        }


def _parts(account: CallAccount) -> dict[Place, object]:
    """Return the places for which an account counts, each with what it counts by."""
    end = (account.ended, account.outcome, account.seen)
    answers = (
        account.answered,
        *(turn.answered for turn in account.turns if turn.answered is not None),
    )
    parts: dict[Place, object] = {PBX: (account.started, account.kind, account.answered, end)}
    parts.update((("queues", visit.queue), (account.visits, end)) for visit in account.visits)
    parts.update((("extensions", turn.num), (turn, answers, end)) for turn in account.turns)
    return parts
