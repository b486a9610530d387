"""Decide which of the live monitors should lead each PBX. Pure.

Rules:

- Weighted rendezvous hashing: each monitor has a score for each PBX, and the highest score wins. So
  the PBXs spread by the monitors' weights, and when a monitor comes or goes, only the PBXs that it
  gains or loses move. A weight of 0 leads only where nobody else can.
- Only monitors that watch the PBX now take part.
- A monitor counts once it was seen for :data:`SETTLE_S` seconds without a break, also when it comes
  back. That time doubles with each further time at which the same monitor comes back, so that one
  that flaps moves nothing. Each :data:`CALM_S` seconds for which it counted make good for one time.
  A monitor that is not seen any more does not count, at once.
- Scores hang on the monitor's name in the settings, so that a monitor that was restarted gets the
  same PBXs. Monitors that share a name are told apart by their ids.

All times are seconds on a clock that nobody sets.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from monitor.shared.backoff import bound

SETTLE_S: Final = 2.0
"""Seconds for which a monitor must be seen before it counts."""
LONGEST_SETTLE_S: Final = 120.0
CALM_S: Final = 30.0
"""Seconds for which a monitor must count until one of its comebacks is forgotten."""
FORGIVEN_AFTER_S: Final = 600.0
"""Seconds after which nobody remembers that a monitor was away."""
_BITS: Final = 52


class LiveMonitor(Struct, frozen=True, rename="camel"):
    """Describe a live monitor. ``pbxs``: names of the PBXs that it watches now."""

    name: str
    weight: float
    pbxs: tuple[str, ...]


def score(pbx: str, name: str, weight: float) -> tuple[bool, float]:
    """Return how much this monitor should lead this PBX; only the order of scores counts."""
    digest = blake2b(f"{pbx}\0{name}".encode(), digest_size=8).digest()
    share = ((int.from_bytes(digest, "big") >> (64 - _BITS)) + 0.5) / 2**_BITS  # above 0, below 1
    return (True, -weight / math.log(share)) if weight > 0 else (False, share)


@dataclass(slots=True)
class _Presence:
    """Hold since when a monitor watches a PBX, or since when it does not, and its comebacks."""

    since: float
    present: bool = True
    comebacks: int = 0

    @property
    def settled_at(self) -> float:
        """Return when it counts, if it stays."""
        return self.since + bound(SETTLE_S, max(0, self.comebacks - 1), LONGEST_SETTLE_S)

    def counts(self, now: float) -> bool:
        return self.present and now >= self.settled_at

    def went(self, now: float) -> None:
        """Note that it is not seen any more."""
        calm = max(0.0, now - self.settled_at)
        self.comebacks = max(0, self.comebacks - int(calm // CALM_S))
        self.present, self.since = False, now


class Placement:
    """Hold which monitors were seen, as the monitor with the id ``own`` knows them."""

    def __init__(self, own: str, name: str, weight: float) -> None:
        self._own, self._name, self._weight = own, name, weight
        self._members: dict[str, LiveMonitor] = {}
        self._shared_names: frozenset[str] = frozenset()
        self._presences: dict[tuple[str, str], _Presence] = {}

    def saw(self, members: Mapping[str, LiveMonitor], now: float) -> None:
        """Note which other monitors live now: id → monitor."""
        self._members = {id_: one for id_, one in members.items() if id_ != self._own}
        names = Counter((self._name, *(member.name for member in self._members.values())))
        self._shared_names = frozenset(name for name, count in names.items() if count > 1)
        seen = {
            (self._identity(id_, member.name), pbx)
            for id_, member in self._members.items()
            for pbx in member.pbxs
        }
        for key in seen:
            self._appeared(key, now)
        for key, presence in [*self._presences.items()]:
            if key in seen:
                continue
            if presence.present:
                presence.went(now)
            elif now >= presence.since + FORGIVEN_AFTER_S:
                del self._presences[key]

    def chosen(self, pbx: str, now: float) -> str | None:
        """Return the id of the monitor that should lead the PBX in place of this one; else None."""
        settled = [id_ for id_ in self._watching(pbx) if self._presence(id_, pbx).counts(now)]
        best = max((self._own, *settled), key=lambda id_: self._rank(pbx, id_))
        return None if best == self._own else best

    def successor(self, pbx: str, now: float) -> str | None:
        """Return the id of the monitor that should lead the PBX once this one is gone."""
        others = [*self._watching(pbx)]
        settled = [id_ for id_ in others if self._presence(id_, pbx).counts(now)]
        return max(settled or others, key=lambda id_: self._rank(pbx, id_), default=None)

    def count(self, pbx: str, now: float) -> int:
        """Return how many monitors count for this PBX, with this one."""
        return 1 + sum(self._presence(id_, pbx).counts(now) for id_ in self._watching(pbx))

    def refused(self, pbx: str, id_: str, now: float) -> None:
        """Note that this monitor did not take up the lease that it was given."""
        if id_ in self._members:
            presence = self._presence(id_, pbx)
            presence.since, presence.comebacks = now, presence.comebacks + 3

    def _appeared(self, key: tuple[str, str], now: float) -> None:
        presence = self._presences.get(key)
        if presence is None:
            self._presences[key] = _Presence(now)
        elif not presence.present:
            forgiven = now >= presence.since + FORGIVEN_AFTER_S
            comebacks = 0 if forgiven else presence.comebacks + 1
            self._presences[key] = _Presence(now, comebacks=comebacks)

    def _watching(self, pbx: str) -> Iterator[str]:
        return (id_ for id_, member in self._members.items() if pbx in member.pbxs)

    def _presence(self, id_: str, pbx: str) -> _Presence:
        return self._presences[self._identity(id_, self._members[id_].name), pbx]

    def _identity(self, id_: str, name: str) -> str:
        return id_ if name in self._shared_names else name

    def _rank(self, pbx: str, id_: str) -> tuple[bool, float, str]:
        name, weight = (
            (self._name, self._weight)
            if id_ == self._own
            else (self._members[id_].name, self._members[id_].weight)
        )
        identity = self._identity(id_, name)
        return *score(pbx, identity, weight), identity
