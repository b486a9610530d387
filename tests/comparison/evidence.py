"""Note what the PBX has told of one call, so that nobody is blamed for what it never said."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.pbx.facts import Participant
from monitor.simulator.calls.api_rows import ActiveCallRow
from tests.truth.calls import PLACES, TALKS, Party, Story, direction

_KEPT = PLACES | {"externalline", "conference"}
"""Kinds that stay in a call until something else is told: once named, they are known."""


class Evidence:
    """What was told of a call so far, beside its true story. Times are POSIX seconds."""

    def __init__(self, story: Story, visible: frozenset[str], latency: float) -> None:
        self.latency = latency
        """Seconds that an answer takes, at most."""
        self.story = story
        self.visible = visible
        self.first: float | None = None
        """Time of the first word of it."""
        self.start_told = False
        """True if the time of the start was told, or an event came at that moment."""
        self.accepted = False
        """True if it was told that the caller was accepted by somebody or something."""
        self.answer_told: float | None = None
        """Time of the first word that people talk."""
        self.answer_heard = False
        """True if an event told of the answer at that moment."""
        self.lasting = ""
        """Lasting direction, as far as those named tell."""
        self.ever: set[str] = set()
        """DNs that were named while they were in the call."""
        self.mailbox = ""
        """Phone whose voicemail has the call, as far as it was told."""
        self._first_named: dict[tuple[str, float], float] = {}
        self._named: dict[str, float] = {}
        self._row: frozenset[str] = frozenset()
        self._others: dict[tuple[str, int], frozenset[str]] = {}
        self._connected: set[tuple[str, int]] = set()

    def participant(self, seen: Participant, at: float) -> None:
        """Note a participant that was read after its event."""
        names = frozenset(filter(None, (seen.dn, seen.party_dn, seen.on_behalf_of_dn)))
        self._others[seen.dn, seen.id] = names
        self._name(names, at)
        connected = seen.status == "Connected"
        if seen.party_dn_type == "Wspecialmenu" and seen.party_caller_id in self.visible:
            self.mailbox = seen.party_caller_id
        if at == self.story.started_at:
            self.start_told = True
        behalf = self.story.parties.get(seen.on_behalf_of_dn)
        held = behalf is not None and behalf.kind == "queue"
        self.accepted = self.accepted or ((connected or held) and self._is_accepted())
        # A party that was connected before names also the phone that rings in its partner's place.
        before = (seen.dn, seen.id) in self._connected and seen.party_dn not in self.visible
        if connected and not before and self._talk((seen.dn, seen.party_dn)):
            self._answer(at)
        if connected:
            self._connected.add((seen.dn, seen.id))
        self._conclude()

    def gone(self, dn: str, participant_id: int) -> bool:
        """Note that a participant is gone; return whether it was one of this call."""
        return self._others.pop((dn, participant_id), None) is not None

    def row(self, row: ActiveCallRow, at: float) -> None:
        """Note a row of ActiveCalls."""
        self._row = row.dns
        self._name(row.dns, at)
        started = self.story.started_at
        if started in (row.established_at, row.last_change_status):
            self.start_told = True
        hosted = any(p.dn in row.dns for p in self.story.parties.values() if p.kind in PLACES)
        past = row.status in ("Talking", "Transferring")
        self.accepted = self.accepted or ((hosted or past) and self._is_accepted())
        if row.status == "Talking" and self._talk(row.dns):
            self._answer(at)
        self._conclude()

    def told(self) -> dict[str, Party]:
        """The present parties that somebody who knows only what was told can know of."""
        present = self.story.parties
        now = self._row.union(*(names for (dn, _), names in self._others.items() if dn in present))
        return {
            dn: party
            for dn, party in present.items()
            if dn in self.visible
            or dn in now
            or (party.kind in _KEPT and self._named.get(dn, 0.0) >= party.since)
        }

    def names(self, numbers: Iterable[str]) -> bool:
        """Whether all these DNs were named while they were in the call."""
        return self.ever.union(self.visible).issuperset(numbers)

    def named_after(self, dn: str, since: float) -> float | None:
        """Seconds until a party that came at ``since`` was named; None if it never was."""
        first = self._first_named.get((dn, since))
        return None if first is None else first - since

    def read(self, dn: str) -> bool:
        """Whether all that a DN went through in the call was told while it lasted."""
        return all(
            (dn, since) in self._first_named for each, since in self.story.phases if each == dn
        )

    def _name(self, names: Iterable[str], at: float) -> None:
        if self.first is None:
            self.first = at
        for dn in names:
            self._named[dn] = at
            if dn in self.story.parties:
                self.ever.add(dn)
                self._first_named.setdefault((dn, self.story.parties[dn].since), at)

    def _talk(self, names: Iterable[str]) -> bool:
        parties = [self.story.parties[dn] for dn in names if dn in self.story.parties]
        talkers = [p for p in parties if p.kind in TALKS and p.how == "Connected"]
        return self.story.answered_at is not None and len(talkers) > 1

    def _answer(self, at: float) -> None:
        if self.answer_told is None:
            self.answer_told = at
            self.answer_heard = at == self.story.answered_at

    def _is_accepted(self) -> bool:
        beginner = self.story.parties.get(self.story.beginner)
        return beginner is None or beginner.how == "Connected"

    def _conclude(self) -> None:
        now = direction(self.story.outside, self.story.beginner, self.told().values())
        if not self.lasting or not now.startswith("From"):
            self.lasting = now
