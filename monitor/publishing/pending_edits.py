"""Edits that wait to be published, merged as they come. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.shared.changes import Edit


class PendingEdits:
    """What changed since the last publish: one edit an entity, so its size is bounded by the state's."""

    def __init__(self) -> None:
        self._edits: dict[tuple[str, str], Edit] = {}

    def __len__(self) -> int:
        """Entities touched, those included that are again what they were."""
        return len(self._edits)

    def add(self, edits: Iterable[Edit]) -> None:
        """Merge ``edits``, which follow those already here."""
        for edit in edits:
            key = (edit.topic, edit.id)
            first = self._edits.get(key)
            if first is None:
                self._edits[key] = edit
            elif first.before is None and edit.after is None:
                del self._edits[key]  # came and went, as calls do for as long as nothing can be written
            else:
                self._edits[key] = Edit(edit.topic, edit.id, first.before, edit.after)

    def take(self) -> tuple[Edit, ...]:
        """All of it as one change, without what cancelled out; nothing is left here."""
        edits = tuple(edit for edit in self._edits.values() if edit.before != edit.after)
        self._edits.clear()
        return edits

    def clear(self) -> None:
        """Forget all of it: a whole state is about to be written."""
        self._edits.clear()
