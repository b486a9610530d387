"""Follow the stream for ``callmon top``: the state, its clock, and in words what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from gateway.cli.wall_words import WORDS, translated
from gateway.stream_client import Entities, StreamClient, StreamRefused
from monitor.shared.printable_text import printable
from monitor.shared.timestamps import moment

TOPICS: Final = (
    *("system", "calls", "queues", "extensions", "ended"),
    *("queuestats", "extstats", "pbxstats"),
)
Health: TypeAlias = Literal["live", "stale", "refused"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Represent whether the shown state is up to date, and in words why not."""

    health: Health
    words: str


class Follower:
    """Follow the stream until it is refused.

    ``changed``: is called after each update and when the stream is refused.
    """

    def __init__(self, client: StreamClient, changed: Callable[[], None]) -> None:
        self._client = client
        self._changed = changed
        self._offset: float | None = None
        self._heard = time.time()
        self.refused: StreamRefused | None = None
        self.updates = 0

    @property
    def state(self) -> Entities:
        """Return the present state; it is the client's own object."""
        return self._client.state

    @property
    def begun(self) -> bool:
        """Return whether there ever was a state."""
        return self._client.position is not None

    @property
    def now(self) -> float:
        """Return POSIX seconds on the gateway's clock."""
        return time.time() + (self._offset or 0.0)

    async def run(self) -> None:
        """Apply updates until the stream is refused or this is cancelled."""
        try:
            async for update in self._client:
                offset = moment(update.server_time).timestamp() - time.time()
                # A frame is never early, so the greatest difference belongs to the least delayed
                # one.
                self._offset = offset if self._offset is None else max(self._offset, offset)
                _clean(update.state if update.kind == "snapshot" else update.upsert)
                self._heard = time.time()
                self.updates += 1
                self._changed()
        except StreamRefused as error:
            self.refused = error
            self._changed()

    def standing(self) -> Standing:
        """Return the health of the stream.

        It names the nearest break in the chain from the gateway to the PBX.
        """
        if self.refused is not None:
            why = self.refused.reason or self.refused
            return Standing(
                "refused", printable(translated("The gateway stopped sending: {why}", why=why))
            )
        connection = self._client.connection
        if connection.status != "live":
            return Standing("stale", printable(self._away(connection.reason)))
        if self._client.stale_since is not None:
            at = _clock(moment(self._client.stale_since).timestamp())
            return Standing(
                "stale",
                translated(
                    "Nothing is heard from the monitor since {since}; this is the last known state",
                    since=at,
                ),
            )
        system = self.state.get("system", {}).get("pbx")
        if system is None:
            return Standing("stale", translated("Nothing is known of the PBX yet"))
        if system["connection"] != "connected":
            at = _clock(moment(system["since"]).timestamp())
            why = f": {system['reason']}" if system["reason"] else ""
            lost = "PBX lost" if system["connection"] == "lost" else "Connecting to the PBX"
            return Standing("stale", translated(f"{lost} since {{since}}", since=at) + why)
        return Standing("live", WORDS["live"])

    def _away(self, reason: str) -> str:
        """Return why the gateway is not reached.

        During the first attempt there is no reason yet.
        """
        if not self.begun:
            if not reason:
                return translated("Connecting to the gateway")
            return translated("{reason} Trying again; q quits", reason=reason)
        again = ": {reason} Trying again" if reason else "; trying again"
        since = translated("The gateway is not reached since {since}", since=_clock(self._heard))
        return since + translated(again, reason=reason)


def _clean(value: Any) -> Any:
    """Remove from all texts, in place, what a terminal would obey; return the value."""
    match value:
        case str():
            return printable(value)
        case dict():
            for key, item in value.items():
                value[key] = _clean(item)
        case list():
            value[:] = map(_clean, value)
    return value


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
