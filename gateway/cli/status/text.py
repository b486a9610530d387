"""Write the text of ``callmon status``: one screen for an administrator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from gateway.cli.status.conditions import (
    GatewayStatus,
    LastSeen,
    PbxStatus,
    RedisStatus,
    SiteStatus,
)
from monitor.shared.timestamps import moment

_COLUMN = 15
_MIB = 1024 * 1024
_VERDICTS = ("All is live.", "Something is stale or missing:", "The status is not known:")


def words(found: SiteStatus, now: float) -> Iterator[str]:
    """Yield the status line by line. ``now``: POSIX seconds."""
    for line in _lines(found, now):
        yield "".join(
            char if char.isprintable() else "?" for char in line
        )  # no control characters of a PBX's text


def _lines(found: SiteStatus, now: float) -> Iterator[str]:
    yield _row("callmon", found.version)
    yield _row("settings file", found.settings_file or "none: defaults and the environment")
    yield _row("Redis", _server(found.redis))
    if found.redis.reachable:
        if len(found.pbxs) > 1:
            yield _row("monitors", _shares(found.pbxs))
        for pbx in found.pbxs:
            yield ""
            yield from _pbx(pbx, now)
        yield ""
        yield from _gateways(found, now)
    yield ""
    yield _VERDICTS[found.code]
    yield from (f"  {sentence}" for sentence in (*found.troubles, *found.unknown))


def _row(title: str, text: str) -> str:
    return f"{title:<{_COLUMN}}{text}"


def _server(server: RedisStatus) -> str:
    if not server.reachable:
        return f"{server.address}: cannot be asked"
    kind = f"{server.kind} {server.version}" if server.kind else "answers"
    text = f"{server.address}: {kind}, round trip {server.round_trip_ms} ms"
    if server.memory_bytes is not None:
        limit = f" of {server.memory_limit_bytes / _MIB:.0f}" if server.memory_limit_bytes else ""
        text += f", memory {server.memory_bytes / _MIB:.1f}{limit} MiB"
    if server.not_allowed:
        text += f"; {' and '.join(server.not_allowed)}: not allowed for this user"
    return text


def _shares(pbxs: Sequence[PbxStatus]) -> str:
    """Return how many of the PBXs each monitor leads."""
    leads = Counter(pbx.leader.name for pbx in pbxs if pbx.leader is not None)
    for standby in (one for pbx in pbxs for one in pbx.standbys):
        leads.setdefault(standby.name, 0)
    told = [f"{name} leads {count}" for name, count in sorted(leads.items())]
    led = leads.total()
    nobody = [f"nobody leads {len(pbxs) - led}"] if led < len(pbxs) else []
    return f"{', '.join((*told, *nobody))} of {len(pbxs)} PBXs"


def _pbx(pbx: PbxStatus, now: float) -> Iterator[str]:
    yield _row(f"PBX {pbx.name}", "stale or missing" if any(pbx.troubles) else "live")
    yield _row("  leads", _leader(pbx, now))
    standbys = ", ".join(_named(one) + (" (silent)" if one.silent else "") for one in pbx.standbys)
    yield _row("  stands by", standbys or "no known monitor")
    yield _row("  heartbeat", _heartbeat(pbx))
    yield _row(
        "  position", f"{pbx.position or 'none'}, address book {pbx.book_position or 'none'}"
    )
    yield _row("  3CX", _connection(pbx, now))
    counts = (("calls", pbx.calls), ("extensions", pbx.extensions))
    told = ", ".join(f"{count} {what}" for what, count in counts if count is not None)
    yield _row("  now", told or "not allowed for this user")
    yield from (_row("  note", note) for note in pbx.notes)


def _leader(pbx: PbxStatus, now: float) -> str:
    if pbx.leader is None:
        return "this user may not see which one" if "lease" in pbx.not_allowed else "nobody"
    since = f", since {_since(pbx.leader.leading_since, now)}" if pbx.leader.leading_since else ""
    return _named(pbx.leader) + since


def _named(seen: LastSeen) -> str:
    return f"{seen.name}, callmon {seen.version or 'of an unknown version'}"


def _heartbeat(pbx: PbxStatus) -> str:
    if "position" in pbx.not_allowed:
        return "not allowed for this user"
    if pbx.heartbeat is None or pbx.heartbeat_age_s is None:
        return "none"
    if pbx.silent:
        return f"the last one {_lasting(pbx.heartbeat_age_s)} ago, at {pbx.heartbeat}"
    if not -1 <= pbx.heartbeat_age_s <= 10:
        ahead = "behind" if pbx.heartbeat_age_s > 0 else "ahead of"
        return (
            f"they come; the monitor's clock is {_lasting(abs(pbx.heartbeat_age_s))} {ahead} "
            f"this host's"
        )
    return f"{max(0.0, pbx.heartbeat_age_s):.1f} s ago"


def _connection(pbx: PbxStatus, now: float) -> str:
    if "state" in pbx.not_allowed:
        return "not allowed for this user"
    if not pbx.connection:
        return "nothing is known"
    last = "when last heard: " if pbx.silent else ""
    told = [f"{last}{pbx.connection} since {_since(pbx.connection_since, now)}"]
    told += [pbx.reason.removesuffix(".")] if pbx.reason else []
    told += [f"version {pbx.version}"] if pbx.version else []
    told += [pbx.fqdn] if pbx.fqdn else []
    told += [f"licence for {pbx.licence_limit} calls"] if pbx.licence_limit is not None else []
    told += [f"calls from {pbx.source}"] if pbx.source else []
    return ", ".join(told)


def _gateways(found: SiteStatus, now: float) -> Iterator[str]:
    if found.gateways is None:
        yield _row("gateways", "not allowed for this user")
        return
    subscribers = sum(gateway.subscribers for gateway in found.gateways if not gateway.seen.silent)
    yield _row("gateways", f"{len(found.gateways)}, with {_counted(subscribers)}")
    for gateway in found.gateways:
        yield from _gateway(gateway, now)


def _gateway(gateway: GatewayStatus, now: float) -> Iterator[str]:
    seen = gateway.seen
    since = _since(seen.started, now)
    yield f"  {gateway.title} at {gateway.address}: callmon {seen.version}, since {since}"
    if seen.silent:
        yield f"    silent for {_lasting(seen.silent_for_s)}"
        return
    for name, part in gateway.pbxs.items():
        if part.role == "idle":
            yield f"    {name}: not followed, as nobody asks for it"
            continue
        stale = f", stale since {part.stale_since}" if part.stale_since else ""
        position = part.position or "no position"
        yield f"    {name}: {_counted(part.subscribers)}, at {position}{stale}"


def _counted(subscribers: int) -> str:
    return f"{subscribers} subscriber{'' if subscribers == 1 else 's'}"


def _since(instant: str | None, now: float) -> str:
    if instant is None:
        return "an unknown time"
    try:
        return f"{instant} ({_lasting(max(0.0, now - moment(instant).timestamp()))})"
    except ValueError:
        return instant


def _lasting(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
