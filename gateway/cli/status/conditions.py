"""Define the records of ``callmon status`` and decide what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from monitor.shared.process_status import PbxRole

SILENCE_S: Final = 3.0
"""Seconds without a heartbeat after which a monitor is silent; gateways use the same time."""
PROCESS_SILENCE_S: Final = 15.0
"""Seconds without a report after which a process is silent. It reports every five seconds."""


class RedisStatus(Struct, frozen=True, rename="camel"):
    """The state of Redis. Fields that are not known are None or empty."""

    address: str
    """Address without a password."""
    reachable: bool
    reason: str = ""
    """The reason why it is not reachable."""
    kind: str = ""
    version: str = ""
    round_trip_ms: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    """Bytes; 0 means no limit."""
    not_allowed: tuple[str, ...] = ()
    """Names of the data that the user may not read."""


class LastSeen(Struct, frozen=True, rename="camel"):
    """A process that reported its state, or of which only the name is known."""

    name: str
    pid: int | None = None
    version: str = ""
    started: str | None = None
    leading_since: str | None = None
    silent_for_s: float = 0.0
    trouble: str = ""
    """A sentence about a monitor's disk if it is full."""

    @property
    def silent(self) -> bool:
        """Return whether its last report is too old."""
        return self.silent_for_s > PROCESS_SILENCE_S

    @property
    def silence(self) -> str:
        """Return in words how long it has been silent."""
        return f"has sent no sign of life for {self.silent_for_s:.0f} s; did it die?"


class PbxStatus(Struct, frozen=True, rename="camel"):
    """One PBX, as the leading monitor last wrote it to Redis."""

    name: str
    leader: LastSeen | None = None
    standbys: tuple[LastSeen, ...] = ()
    position: str | None = None
    book_position: str | None = None
    heartbeat: str | None = None
    """Time of the newest heartbeat by the monitor's clock."""
    heartbeat_age_s: float | None = None
    """Seconds since that heartbeat by this host's clock."""
    silent: bool = True
    """True if no heartbeat came recently, so that the data on Redis is old."""
    connection: str = ""
    """``connected``, or another state of the connection to the PBX; empty if it is not known."""
    connection_since: str | None = None
    reason: str = ""
    version: str = ""
    fqdn: str = ""
    licence_limit: int | None = None
    source: str = ""
    calls: int | None = None
    extensions: int | None = None
    not_allowed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Findings of the leading monitor that somebody should look at. They make nothing stale or
    missing, so they do not change the exit code."""

    @property
    def troubles(self) -> Iterator[str]:
        """Yield what is wrong, in sentences."""
        if {"lease", "position"} <= set(self.not_allowed):
            return
        if self.leader is None and "lease" not in self.not_allowed:
            yield f"{self.name}: no monitor leads; see callmon-monitor on its hosts."
        if "position" in self.not_allowed:
            return
        if self.position is None:
            yield f"{self.name}: no monitor has written a state yet.{self._never_reached}"
            return
        if self.silent:
            since = (
                f"{self.name}: nothing has been heard from a monitor since {self.heartbeat}; "
                f"the state shown is older."
            )
            yield f"{since}{self._never_reached}"
        if self.book_position is None:
            yield f"{self.name}: no address book has been read yet."
        for one in self.standbys:
            if one.silent:
                yield f"{self.name}: the standby {one.name} {one.silence}"
        if self.connection != "connected" and "state" not in self.not_allowed:
            why = f": {self.reason}" if self.reason else "."
            connection = self.connection or "not connected"
            yield f"{self.name}: the PBX is {connection} since {self.connection_since}{why}"

    @property
    def _never_reached(self) -> str:
        """Return why a leading monitor may have written nothing, or an empty text.

        A monitor begins to write once it has reached the PBX.
        """
        leader = self.leader
        if leader is None or leader.silent or leader.leading_since is None:
            return ""
        if self.heartbeat is not None and self.heartbeat >= leader.leading_since:
            return ""
        return f" {leader.name} leads and has not reached the PBX yet: sudo callmon check says why."


class GatewayStatus(Struct, frozen=True, rename="camel"):
    """A gateway, or one of its workers, as it last reported."""

    seen: LastSeen
    address: str
    worker: int | None
    subscribers: int
    pbxs: Mapping[str, PbxRole]

    @property
    def troubles(self) -> Iterator[str]:
        """Yield what is wrong, in sentences."""
        if self.seen.silent:
            yield f"gateway {self.title}: it {self.seen.silence}"
            return
        for name, part in self.pbxs.items():
            if part.role == "idle":
                continue
            if part.position is None or part.book_position is None:
                yield f"gateway {self.title}: it has no state of {name} yet."
            elif part.stale_since is not None:
                since = part.stale_since
                yield f"gateway {self.title}: it has heard nothing of {name} since {since}."

    @property
    def title(self) -> str:
        """Return its host, process and worker."""
        worker = "" if self.worker is None else f", worker {self.worker}"
        return f"{self.seen.name} (process {self.seen.pid}{worker})"


class SiteStatus(Struct, frozen=True, rename="camel"):
    """The whole status. ``gateways`` is None if the user on Redis may not read them."""

    version: str
    settings_file: str | None
    redis: RedisStatus
    pbxs: tuple[PbxStatus, ...] = ()
    gateways: tuple[GatewayStatus, ...] | None = ()

    @property
    def troubles(self) -> Iterator[str]:
        """Yield what is wrong, in sentences."""
        if not self.redis.reachable:
            return
        for pbx in self.pbxs:
            yield from pbx.troubles
        yield from self._monitors_troubles
        for gateway in self.gateways or ():
            yield from gateway.troubles
        if self.gateways == ():
            yield "No gateway runs; see callmon-gateway on its hosts."

    @property
    def _monitors_troubles(self) -> Iterator[str]:
        """Yield what each monitor cannot do, once however many PBXs it has."""
        told: set[str] = set()
        for pbx in self.pbxs:
            for one in (pbx.leader, *pbx.standbys):
                if one is not None and one.trouble and not one.silent and one.name not in told:
                    told.add(one.name)
                    yield f"monitor {one.name}: {one.trouble}"

    @property
    def unknown(self) -> Iterator[str]:
        """Yield what cannot be read, in sentences. If there is any, the status is not known."""
        if not self.redis.reachable:
            yield f"Redis: {self.redis.reason}"
            return
        for pbx in self.pbxs:
            for what in sorted({"position", "state"} & set(pbx.not_allowed)):
                yield f"{pbx.name}: this user of Redis may not read the {what}."
        if self.gateways is None:
            yield (
                "This user of Redis may not read gateways and standbys; see deploy/redis/users.acl."
            )

    @property
    def code(self) -> int:
        """Return the exit code: 0 all is live, 1 something is wrong, 2 not known."""
        if any(self.troubles):
            return 1
        return 2 if any(self.unknown) else 0
