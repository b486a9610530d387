"""Run ``callmon status``: read the status of everything from Redis, without changing anything.

It names what the user on Redis may not read. A heartbeat's age depends on two hosts' clocks, so an
old one is read again. If it has moved meanwhile, only the clocks differ.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from gateway.cli.runtime.status_reporter import EXPIRY_MS, MOST_LISTED
from gateway.cli.status.conditions import (
    SILENCE_S,
    GatewayStatus,
    LastSeen,
    PbxStatus,
    RedisStatus,
    SiteStatus,
)
from gateway.cli.status.text import words
from gateway.cli.terminal_output import say, say_text
from gateway.config import GatewaySettings
from monitor.shared.changes import Position
from monitor.shared.codec import Malformed, decode_entity, to_json
from monitor.shared.entities.topics import SYSTEM_ID, System
from monitor.shared.errors import ConfigError
from monitor.shared.process_status import PbxRole, ProcessStatus, decode_process
from monitor.shared.redis.connection import REDIS_FAILURES, text
from monitor.shared.redis.failure_text import explain
from monitor.shared.redis.key_names import PROCESSES, SITE, SpaceKeys, process_key
from monitor.shared.redis.topology import RedisClients
from monitor.shared.settings.loader import no_pbx
from monitor.shared.timestamps import instant, moment
from monitor.shared.version import VERSION

_LOOK_AGAIN_S: Final = SILENCE_S + 0.5
_UNKNOWN: Final = 2
_NOT_ALLOWED: Final = object()
"""Placeholder for an answer that this user may not read."""


async def run(config: Path | None, *, as_json: bool) -> int:
    """Print the status; return the exit code of :class:`SiteStatus`, or 2 for wrong settings."""
    try:
        settings = GatewaySettings.load(config)
        if not settings.pbx_names:
            raise ConfigError(f"{no_pbx(config)}: nothing to show.")
        servers = RedisClients(settings.redis.url, settings.redis.ca_file)
    except ConfigError as error:
        say(*f"callmon: {error}".split("\n"), error=True)
        return _UNKNOWN
    try:
        found = await look(
            servers, settings.redis.url, settings.pbx_names, None if config is None else str(config)
        )
    finally:
        await servers.aclose()
    if as_json:
        more = {
            "exitStatus": found.code,
            "troubles": [*found.troubles],
            "unknown": [*found.unknown],
        }
        say_text(to_json(msgspec.to_builtins(found) | more).decode())
    else:
        say(*words(found, time.time()))
    return found.code


async def look(
    servers: RedisClients, url: str, pbxs: Sequence[str], settings_file: str | None = None
) -> SiteStatus:
    """Read the whole status. ``url``: the address of Redis, shown without its password."""
    try:
        server = await _server(servers.of(SITE), _shown(url))
        seen = await _processes(servers.of(SITE))
        looks = await _looks(servers, pbxs)
    except REDIS_FAILURES as error:
        down = RedisStatus(_shown(url), reachable=False, reason=f"{explain(error)}.")
        return SiteStatus(VERSION, settings_file, down)
    found = tuple(_pbx(one, seen or ()) for one in looks)
    gateways = (
        None
        if seen is None
        else tuple(_gateway(one) for one in seen if one.process.program == "gateway")
    )
    return SiteStatus(VERSION, settings_file, server, found, gateways)


# Redis itself


async def _server(redis: Redis, address: str) -> RedisStatus:
    await redis.ping()  # the first ping connects
    asked = time.perf_counter()
    await redis.ping()
    took = (time.perf_counter() - asked) * 1000
    try:
        told: Mapping[str, Any] = {**await redis.info("server"), **await redis.info("memory")}
    except NoPermissionError:
        return RedisStatus(
            address, reachable=True, round_trip_ms=round(took, 2), not_allowed=("version", "memory")
        )
    valkey = "valkey_version" in told
    return RedisStatus(
        address,
        reachable=True,
        kind="Valkey" if valkey else "Redis",
        version=str(told.get("valkey_version" if valkey else "redis_version", "")),
        round_trip_ms=round(took, 2),
        memory_bytes=_number(told.get("used_memory")),
        memory_limit_bytes=_number(told.get("maxmemory")),
    )


def _shown(url: str) -> str:
    """Return the address without its password."""
    # Not by urlsplit: in new Pythons it raises ValueError for the host "a,[::1]:26379".
    scheme, _, rest = re.split("[?#]", url)[0].partition("://")
    place, slash, path = rest.partition("/")
    login, at, hosts = place.rpartition("@")
    user = login.partition(":")[0]
    return f"{scheme}://{user}{at if user else ''}{hosts}{slash}{path}"


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


# processes


@dataclass(frozen=True, slots=True)
class _Told:
    """Hold a process's report and its age in seconds by Redis' own clock."""

    process: ProcessStatus
    silent_for: float

    @property
    def seen(self) -> LastSeen:
        one = self.process
        return LastSeen(
            *(one.name, one.pid, one.version, one.started),
            silent_for_s=round(self.silent_for, 1),
            trouble=one.trouble,
        )


async def _processes(redis: Redis) -> list[_Told] | None:
    """Return the reports of all processes by name, or None if this user may not read them."""
    try:
        found_members = [*await redis.smembers(PROCESSES)][:MOST_LISTED]
        members = sorted(text(member) or "" for member in found_members)
    except NoPermissionError:
        return None
    async with redis.pipeline(transaction=False) as pipe:
        for member in members:
            pipe.execute_command("GET", process_key(member))
            pipe.execute_command("PTTL", process_key(member))
        answers = await pipe.execute() if members else []
    found = []
    for member, data, left in zip(members, answers[::2], answers[1::2], strict=True):
        try:
            process = None if data is None else decode_process(data)
        except Malformed:
            continue  # of another version, or invented
        # A gateway's user may write only what a gateway reports.
        if process is not None and member.startswith(f"{process.program}/"):
            found.append(_Told(process, max(0.0, (EXPIRY_MS - left) / 1000)))
    return sorted(
        found, key=lambda told: (told.process.name, told.process.worker or 0, told.process.pid)
    )


def _gateway(told: _Told) -> GatewayStatus:
    one = told.process
    subscribers = sum(part.subscribers for part in one.pbxs.values())
    return GatewayStatus(told.seen, one.address, one.worker, subscribers, one.pbxs)


# PBXs


@dataclass(frozen=True, slots=True)
class _StatusReader:
    """Hold the answers about one PBX. Each may be ``_NOT_ALLOWED``."""

    name: str
    at: float
    """POSIX seconds on our clock."""
    lease: Any
    live: Any
    book: Any
    system: Any
    calls: Any
    extensions: Any
    moved: bool = False
    """True if a heartbeat came between two looks."""

    @property
    def age(self) -> float | None:
        """Return the seconds since the newest heartbeat by our clock, or None without one."""
        heartbeat = _fields(self.live)[2]
        return None if heartbeat is None else self.at - moment(heartbeat).timestamp()

    @property
    def doubtful(self) -> bool:
        """Return whether the newest heartbeat is too old, or in the future, by our clock."""
        return self.age is not None and not -1.0 <= self.age <= SILENCE_S


async def _looks(servers: RedisClients, pbxs: Sequence[str]) -> list[_StatusReader]:
    """Look at each PBX, and once more at those with a doubtful heartbeat."""
    looks = [await _look_at(servers.of(name), name) for name in pbxs]
    if any(one.doubtful for one in looks):
        await asyncio.sleep(_LOOK_AGAIN_S)
        looks = [await _again(servers.of(one.name), one) if one.doubtful else one for one in looks]
    return looks


async def _again(redis: Redis, before: _StatusReader) -> _StatusReader:
    now = await _look_at(redis, before.name)
    return replace(now, moved=now.live != before.live)


async def _look_at(redis: Redis, pbx: str) -> _StatusReader:
    live, book = SpaceKeys(pbx, "live"), SpaceKeys(pbx, "book")
    async with redis.pipeline(transaction=False) as pipe:
        pipe.execute_command("GET", live.lease)
        pipe.execute_command("HMGET", live.position, "epoch", "seq", "at")
        pipe.execute_command("HMGET", book.position, "epoch", "seq", "at")
        pipe.execute_command("HMGET", live.state("system"), SYSTEM_ID)
        pipe.execute_command("HLEN", live.state("calls"))
        pipe.execute_command("HLEN", live.state("extensions"))
        answers = await pipe.execute(raise_on_error=False)
    return _StatusReader(pbx, time.time(), *map(_allowed, answers))


def _allowed(answer: Any) -> Any:
    """Return the answer, or ``_NOT_ALLOWED`` if this user may not read it.

    Raises the answer if it is another error.
    """
    if isinstance(answer, NoPermissionError):
        return _NOT_ALLOWED
    if isinstance(answer, Exception):
        raise answer
    return answer


def _fields(answer: Any) -> tuple[str | None, str | None, str | None]:
    """Return epoch, seq and heartbeat of a position.

    Each is None if it is missing or may not be read.
    """
    if answer is _NOT_ALLOWED:
        return None, None, None
    epoch, seq, at = map(text, answer)
    try:
        return epoch, seq, None if at is None else instant(moment(at))
    except ValueError:
        return epoch, seq, None


def _position(answer: Any) -> str | None:
    epoch, seq, _ = _fields(answer)
    return (
        None
        if epoch is None or seq is None or not seq.isdecimal()
        else str(Position(epoch, int(seq)))
    )


def _pbx(look: _StatusReader, told: Sequence[_Told]) -> PbxStatus:
    names = {"lease": look.lease, "position": look.live, "state": look.system, "counts": look.calls}
    system = _system(look.system)
    monitors = [
        one for one in told if look.name in one.process.pbxs and one.process.program == "monitor"
    ]
    age = look.age
    found = PbxStatus(
        look.name,
        _leader(look, monitors, system),
        tuple(one.seen for one in monitors if _stands_by(one, look)),
        _position(look.live),
        _position(look.book),
        _fields(look.live)[2],
        None if age is None else round(age, 1),
        silent=age is None or (look.doubtful and not look.moved),
        calls=None if look.calls is _NOT_ALLOWED else look.calls,
        extensions=None if look.extensions is _NOT_ALLOWED else look.extensions,
        not_allowed=tuple(name for name, answer in names.items() if answer is _NOT_ALLOWED),
        notes=tuple(
            note
            for one in monitors
            if not one.seen.silent and _part(one, look.name).role == "leading"
            for note in _part(one, look.name).notes
        ),
    )
    if system is None:
        return found
    return msgspec.structs.replace(
        found,
        connection=system.connection,
        connection_since=system.since,
        reason=system.reason,
        version=system.version,
        fqdn=system.fqdn,
        licence_limit=system.licence_limit,
        source=system.source,
    )


def _stands_by(told: _Told, look: _StatusReader) -> bool:
    """Return whether a monitor stands by.

    One that has just taken the lease reports for some seconds that it still does.
    """
    part = _part(told, look.name)
    leads = bool(part.writer) and look.lease is not _NOT_ALLOWED and part.writer == text(look.lease)
    return part.role == "standby" and not leads


def _system(answer: Any) -> System | None:
    if answer is _NOT_ALLOWED or answer[0] is None:
        return None
    try:
        entity = decode_entity("system", answer[0])
    except Malformed:
        return None
    return entity if isinstance(entity, System) else None


def _leader(
    look: _StatusReader, monitors: Sequence[_Told], system: System | None
) -> LastSeen | None:
    """Return the holder of the lease, or None if no monitor holds it.

    If this user may not read the lease, return the monitor that reports that it leads, else the one
    that last led.
    """
    parts = [(_part(one, look.name), one) for one in monitors]
    if look.lease is _NOT_ALLOWED:
        leading = [
            (part.since or "", one)
            for part, one in parts
            if part.role == "leading" and not one.seen.silent
        ]
        if leading:
            since, one = max(leading, key=lambda pair: pair[0])
            return msgspec.structs.replace(one.seen, leading_since=since or None)
        return None if system is None else LastSeen(system.monitor)
    holder = text(look.lease)
    if holder is None:
        return None
    for part, one in parts:
        if part.writer == holder:
            return msgspec.structs.replace(one.seen, leading_since=part.since)
    return LastSeen(holder.rpartition("/")[0] or holder)


def _part(told: _Told, pbx: str) -> PbxRole:
    return told.process.pbxs[pbx]
