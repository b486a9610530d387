"""Keep the summaries of all PBXs up to date, and tell their subscribers."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from gateway.fanout.hub import Hub
from gateway.queries.answer_cache import CachedBytes
from gateway.replication.pbx_summaries import PbxSummaries, summary_of, unknown
from gateway.replication.replica import Replica
from monitor.shared.changes import epoch_name
from monitor.shared.timestamps import from_unix


class Fleet:
    """Hold the summaries of the PBXs that a gateway follows, and the hub that sends them.

    The creator must run :attr:`hub`. ``clock``: POSIX seconds. ``heartbeat``: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time, heartbeat: float = 5.0) -> None:
        epoch = epoch_name(int(clock() * 1000), None, secrets.token_hex(8))
        self.summaries = PbxSummaries(epoch)
        # Each PBX's own silence stands in its summary, so this space is never stale as a whole.
        self.hub = Hub(self.summaries, lambda: None, clock, heartbeat)
        self._clock = clock
        self._followed: dict[str, Replica] = {}
        self._moved: list[Callable[[], None]] = []
        self._ask: dict[str, Callable[[], None]] = {}
        self.cached = CachedBytes()
        """Counts what the caches of all PBXs keep of answers."""
        self.held: Counter[str] = Counter()
        """Subscriptions to the summaries of each PBX, or to a query about them."""

    def follow(
        self, name: str, live: Replica, moved: Callable[[], None], ask: Callable[[], None]
    ) -> None:
        """Add a PBX.

        ``moved``: called whenever the summary of any PBX changed. ``ask``: has this one followed,
        if it is followed only on demand.
        """
        self._followed[name] = live
        self._ask[name] = ask
        self._moved.append(moved)
        self.refresh(name)

    def ask_for(self, names: Collection[str]) -> None:
        """Note that somebody asks for the summaries of these PBXs; have them followed."""
        for name in names:
            if name in self._ask:
                self._ask[name]()

    def hold(self, names: Iterable[str]) -> None:
        """Count in a subscription that watches the summaries of these PBXs."""
        self.held.update(names)

    def let_go(self, names: Iterable[str]) -> None:
        """Count out a subscription that was counted in with these PBXs."""
        self.held.subtract(names)

    def refresh(self, name: str) -> None:
        """Derive the summary of this PBX again, as its replica moved or fell silent."""
        live = self._followed[name]
        known = live.position is not None
        summary = summary_of(name, live.state, live.stale_since) if known else unknown(name)
        heard = 0.0 if live.newest is None else live.newest.heard
        if self.summaries.put(summary, from_unix(self._clock()), heard):
            self.hub.changed()
            for moved in self._moved:
                moved()
