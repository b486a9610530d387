"""Merge the edits that wait to be published. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.shared.changes import Edit


class PendingEdits:
    """Hold what changed since the last publish.

    It holds one edit per entity, so its size is bounded by the size of the state.
    """

    def __init__(self) -> None:
        self._edits: dict[tuple[str, str], Edit] = {}

    def __len__(self) -> int:
        """Return the number of touched entities, including those that changed back."""
        return len(self._edits)

    def add(self, edits: Iterable[Edit]) -> None:
        """Merge ``edits`` into those already here, which came before them."""
        for edit in edits:
            key = (edit.topic, edit.id)
            first = self._edits.get(key)
            if first is None:
                self._edits[key] = edit
            elif first.before is None and edit.after is None:
                del self._edits[key]  # it came and went before anything could be written
            else:
                self._edits[key] = Edit(edit.topic, edit.id, first.before, edit.after)

    def take(self) -> tuple[Edit, ...]:
        """Remove all edits and return them as one change, without those that cancelled out."""
        edits = tuple(edit for edit in self._edits.values() if edit.before != edit.after)
        self._edits.clear()
        return edits

    def clear(self) -> None:
        """Forget all edits, because a whole state is about to be written."""
        self._edits.clear()
