"""How things are, as ``callmon status`` tells it: records, and what of them is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from monitor.shared.process_status import PbxRole

SILENCE_S: Final = 3.0
"""Without a heartbeat for so long a monitor is silent; gateways see it so too."""
PROCESS_SILENCE_S: Final = 15.0
"""The same for what each process tells of itself, every five seconds."""


class RedisStatus(Struct, frozen=True, rename="camel"):
    """Redis. What is not told is None or empty."""

    address: str
    """Without a password."""
    reachable: bool
    reason: str = ""
    """Why it is not reachable."""
    kind: str = ""
    version: str = ""
    round_trip_ms: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    """0: none."""
    not_allowed: tuple[str, ...] = ()
    """What its user may not read."""


class LastSeen(Struct, frozen=True, rename="camel"):
    """A process that told of itself, or of which no more is known than its name."""

    name: str
    pid: int | None = None
    version: str = ""
    started: str | None = None
    leading_since: str | None = None
    silent_for_s: float = 0.0

    @property
    def silent(self) -> bool:
        """Whether it has told nothing of itself for long."""
        return self.silent_for_s > PROCESS_SILENCE_S

    @property
    def silence(self) -> str:
        """For how long it has been silent, in words."""
        return f"has told nothing of itself for {self.silent_for_s:.0f} s; did it die?"


class PbxStatus(Struct, frozen=True, rename="camel"):
    """One PBX, as the monitor that leads has left it on Redis."""

    name: str
    leader: LastSeen | None = None
    standbys: tuple[LastSeen, ...] = ()
    position: str | None = None
    book_position: str | None = None
    heartbeat: str | None = None
    """The instant of the newest one, by the monitor's clock."""
    heartbeat_age_s: float | None = None
    """By this host's clock."""
    silent: bool = True
    """Whether none came lately: what is on Redis is of before."""
    connection: str = ""
    """``connected``, or what else the monitor says of the way to the PBX; empty: nothing."""
    connection_since: str | None = None
    reason: str = ""
    version: str = ""
    fqdn: str = ""
    licence_limit: int | None = None
    source: str = ""
    calls: int | None = None
    extensions: int | None = None
    not_allowed: tuple[str, ...] = ()

    @property
    def troubles(self) -> Iterator[str]:
        """What is wrong, in sentences."""
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
            since = f"{self.name}: nothing is heard from a monitor since {self.heartbeat}; what is shown is of before."
            yield f"{since}{self._never_reached}"
        if self.book_position is None:
            yield f"{self.name}: no address book has been read yet."
        for one in self.standbys:
            if one.silent:
                yield f"{self.name}: the standby {one.name} {one.silence}"
        if self.connection != "connected" and "state" not in self.not_allowed:
            why = f": {self.reason}" if self.reason else "."
            yield f"{self.name}: the PBX is {self.connection or 'not connected'} since {self.connection_since}{why}"

    @property
    def _never_reached(self) -> str:
        """Say why a monitor that leads may have written nothing: it begins once it has reached the PBX."""
        leader = self.leader
        if leader is None or leader.silent or leader.leading_since is None:
            return ""
        if self.heartbeat is not None and self.heartbeat >= leader.leading_since:
            return ""
        return f" {leader.name} leads and has not reached the PBX yet: sudo callmon check says why."


class GatewayStatus(Struct, frozen=True, rename="camel"):
    """A gateway, or one of its workers, as it told of itself last."""

    seen: LastSeen
    address: str
    worker: int | None
    subscribers: int
    pbxs: Mapping[str, PbxRole]

    @property
    def troubles(self) -> Iterator[str]:
        """What is wrong, in sentences."""
        if self.seen.silent:
            yield f"gateway {self.title}: it {self.seen.silence}"
            return
        for name, part in self.pbxs.items():
            if part.position is None or part.book_position is None:
                yield f"gateway {self.title}: it has no state of {name} yet."
            elif part.stale_since is not None:
                yield f"gateway {self.title}: it hears nothing of {name} since {part.stale_since}."

    @property
    def title(self) -> str:
        """Its host, process and worker."""
        worker = "" if self.worker is None else f", worker {self.worker}"
        return f"{self.seen.name} (process {self.seen.pid}{worker})"


class SiteStatus(Struct, frozen=True, rename="camel"):
    """All of it. ``gateways``: None if the user on Redis may not read of them."""

    version: str
    settings_file: str | None
    redis: RedisStatus
    pbxs: tuple[PbxStatus, ...] = ()
    gateways: tuple[GatewayStatus, ...] | None = ()

    @property
    def troubles(self) -> Iterator[str]:
        """What is wrong, in sentences."""
        if not self.redis.reachable:
            return
        for pbx in self.pbxs:
            yield from pbx.troubles
        for gateway in self.gateways or ():
            yield from gateway.troubles
        if self.gateways == ():
            yield "No gateway runs; see callmon-gateway on its hosts."

    @property
    def unknown(self) -> Iterator[str]:
        """What cannot be told, in sentences: with any of it nobody can say that all is live."""
        if not self.redis.reachable:
            yield f"Redis: {self.redis.reason}"
            return
        for pbx in self.pbxs:
            for what in sorted({"position", "state"} & set(pbx.not_allowed)):
                yield f"{pbx.name}: the {what} may not be read by this user of Redis."
        if self.gateways is None:
            yield "Gateways and standbys may not be read by this user of Redis; see deploy/redis/users.acl."

    @property
    def code(self) -> int:
        """The exit status: 0 all is live, 1 something is stale or missing, 2 it cannot be told."""
        if any(self.troubles):
            return 1
        return 2 if any(self.unknown) else 0
