"""``callmon check``: try the settings against PBX and Redis, and say in words what is wrong."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.cli.peers import Ask, add_peers
from gateway.config import GatewaySettings
from monitor import bus
from monitor import run as monitor_run
from monitor.config import MonitorSettings, PbxSection
from monitor.errors import BusUnreachable, CommandRefused, PbxError, PbxRefused, TokenRefused
from monitor.model.instants import from_unix
from monitor.model.keys import Keys
from monitor.pbx import webapi_answers as answers
from monitor.pbx.client import PbxClient
from monitor.pbx.clock import PbxClock
from monitor.pbx.database import Database
from monitor.pbx.webapi_client import WebApiClient
from monitor.pbx.webclient import WebClient
from monitor.servers import Servers

_SOON: Final = 14
"""Days before a certificate's end in which somebody should see to it."""
_APART: Final = 30.0
"""Seconds by which the clocks may differ."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. ``wrong``: what is wrong and what to do about it; empty if nothing is."""

    what: str
    detail: str
    wrong: str = ""


async def run(config: Path | None, fix: Ask | None = None) -> int:
    """Print a line for each thing that was tried; 1 if anything is wrong. Raises ConfigError.

    ``fix``: asked before extensions are added to those that the API client monitors; None: nothing is changed.
    """
    monitor, gateway = MonitorSettings.load(config), GatewaySettings.load(config)
    wrong = 0
    async for finding in _findings(monitor, gateway, fix):
        wrong += bool(finding.wrong)
        print(f"{'WRONG' if finding.wrong else 'ok':<6}{finding.what}: {finding.wrong or finding.detail}", flush=True)
    print(f"\n{wrong} thing{'s' if wrong != 1 else ''} to put right." if wrong else "\nAll is well.")
    return 1 if wrong else 0


async def _findings(monitor: MonitorSettings, gateway: GatewaySettings, fix: Ask | None) -> AsyncIterator[Finding]:
    if not monitor.pbx:
        yield Finding(
            "settings", "", "there is no [[pbx]] section; name, url, client_id and client_secret belong there"
        )
    names = ", ".join(section.name for section in gateway.keys) or "none"
    yield Finding("keys", f"in the settings file: {names}; those made by command: callmon key list")
    yield _state_dir(monitor.monitor.state_dir)
    servers = Servers(monitor.redis.url, monitor.redis.ca_file)
    try:
        yield await _redis(servers.of("check"))
        for section in monitor.pbx:
            yield await _monitor(servers.of(section.name), section.name)
    finally:
        await servers.aclose()
    for section in monitor.pbx:
        async for finding in _pbx(section, fix):
            yield finding


def _state_dir(folder: Path | None) -> Finding:
    """Whether what must outlive Redis can be kept, as far as the user can tell who runs this."""
    what = "state_dir"
    if folder is None:
        return Finding(what, "none in [monitor]: keys made by command, Idempotency-Keys and the audit log end with it")
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding(what, f"{folder} can be written to")
    except OSError as error:
        wrong = f"{folder} cannot be written to: {error.strerror}; make it, and give it to the user the monitor runs as"
        return Finding(what, "", wrong)


async def _redis(redis: Redis) -> Finding:
    """Whether all that callmon does on Redis may be done: a transaction on its keys, and publishing."""
    probe = f"callmon:{{check}}:{secrets.token_hex(4)}"
    try:
        guard = await bus.Guard.watch(redis, probe)
        await guard.commit(
            [
                ("HSET", probe, "epoch", "check"),
                ("EXPIRE", probe, 10),
                ("XADD", f"{probe}:log", "*", "change", "check"),
                ("DEL", probe, f"{probe}:log"),
                ("PUBLISH", probe, "check"),
            ]
        )
        version = (await redis.info("server")).get("redis_version", "unknown")
    except (BusUnreachable, RedisError, OSError, TimeoutError) as error:
        return Finding("Redis", "", f"{error}; look at redis.url, the server, and the rights of its user")
    return Finding("Redis", f"answers, version {version}")


async def _monitor(redis: Redis, pbx: str) -> Finding:
    """Whether somebody follows the PBX now; nobody may be right, before the first start."""
    try:
        holder = bus.text(await redis.get(Keys(pbx, "live").lease))
    except (RedisError, OSError, TimeoutError) as error:
        return Finding(f"monitor of {pbx}", "", f"cannot be told: {error}")
    note = f"{holder} follows it; 3CX keeps one token a client, so this check makes it renew its own, once"
    return Finding(f"monitor of {pbx}", note if holder else "none is running now")


async def _served(section: PbxSection) -> Finding:
    """What answers there, where the PBX is reached through the documented interface."""
    what = f"PBX {section.name}, documented interface"
    client = WebApiClient(monitor_run.webapi_settings(section), PbxClock())
    try:
        told = await client.get("all.ext.get", answers.numbers)
        if told.stale_since:
            return Finding(what, "", f"{section.url} answers, but hears nothing of its PBX since {told.stale_since}.")
        return Finding(what, f"{section.url} answers; {len(told.value)} extensions")
    except PbxRefused as error:
        return Finding(what, "", f"{error} Does {section.url} serve /webapi, and is the key right?")
    except PbxError as error:
        return Finding(what, "", str(error))
    finally:
        await client.close()


async def _pbx(section: PbxSection, fix: Ask | None) -> AsyncIterator[Finding]:
    if section.webapi:
        yield await _served(section)
        return
    what = f"PBX {section.name}"
    client = PbxClient(monitor_run.pbx_settings(section))
    try:
        try:
            claims = await client.whoami()
            yield Finding(what, f"token given; roles: {', '.join(sorted(claims.roles)) or 'not told'}")
        except TokenRefused as error:
            yield Finding(what, "", f"{error}. Is the API client made (Integrations → API), its secret right?")
            return
        try:
            status = await client.system_status()
            yield Finding(f"{what}, XAPI", f"{status.fqdn or section.url}, version {status.version or 'not told'}")
            users = await client.collection("Users", {"$select": "Id,Number"})
        except PbxRefused as error:
            yield Finding(
                f"{what}, XAPI", "", f"{error}. Tick XAPI at the API client; 3CX wants an Enterprise licence."
            )
            users = []
        if section.source != "activecalls":
            yield await _call_control(client, what, {str(user.get("Number")) for user in users}, fix)
        yield await _logins(client, what)
        yield _certificate(client, what)
        if users:
            yield await _clock(client, what)
        if (database := monitor_run.database(section)) is not None:
            yield await _database(database, what)
    except PbxError as error:
        yield Finding(what, "", str(error))
    finally:
        await client.close()


async def _call_control(client: PbxClient, what: str, extensions: set[str], fix: Ask | None) -> Finding:
    what = f"{what}, Call Control"
    try:
        visible = set((await client.full_state()).dns)
    except PbxRefused as error:
        return Finding(what, "", f"{error}. Tick Call Control API at the API client; 3CX wants an Enterprise licence.")
    missing = sorted(extensions - visible)
    if missing:
        some = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        found = f"{len(missing)} extensions are not monitored ({some})"
        if fix is None:
            return Finding(what, "", f"{found}: add them at the API client, or let callmon check --fix do it")
        return await _added(client, what, missing, found, fix)
    return Finding(what, f"{len(visible)} DNs monitored, all {len(extensions)} extensions among them")


async def _added(client: PbxClient, what: str, missing: Collection[str], found: str, fix: Ask) -> Finding:
    try:
        done = await add_peers(client, missing, fix)
        left = set(missing) - set((await client.full_state()).dns)
    except PbxError as error:
        return Finding(what, "", f"{found}, and the PBX does not let this client add them: {error}.")
    return Finding(what, f"{found}: {done}", f"{found}: {done}" if left else "")


def _certificate(client: PbxClient, what: str) -> Finding:
    """Whether the PBX's certificate holds for a while yet."""
    what, ends = f"{what}, certificate", client.measures.certificate_ends
    if ends is None:
        return Finding(what, "none is checked: the address is plain http, or verify is off")
    days = int((ends - time.time()) // 86_400)
    until = from_unix(ends)[:10]
    if days < _SOON:
        left = f"it holds until {until} only, {days} days more"
        return Finding(what, "", f"{left}; 3CX renews its own, others must be renewed")
    return Finding(what, f"holds until {until}")


async def _clock(client: PbxClient, what: str) -> Finding:
    """Whether PBX and this host agree on the time: calls bear the PBX's, logs and the audit this host's."""
    what = f"{what}, clock"
    told = (await client.active_calls()).server_now
    if told is None:
        return Finding(what, "the PBX tells its time with calls, and there are none now")
    ahead = told - time.time()
    words = f"the PBX's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this host's"
    return Finding(what, words, f"{words}: let both keep time by NTP" if abs(ahead) > _APART else "")


async def _database(database: Database, what: str) -> Finding:
    """Whether SQL can be offered: the database lets us in, and its role can only read."""
    what = f"{what}, database"
    try:
        return Finding(what, await database.check())
    except (CommandRefused, PbxError) as error:
        return Finding(what, "", str(error))


async def _logins(client: PbxClient, what: str) -> Finding:
    """Logins to single queues are known, and can be changed, through the web client's interface alone."""
    what = f"{what}, web client"
    try:
        queues = await WebClient(client).queues_info()
    except CommandRefused as refused:
        note = f"{refused} Without it qStatus is not told, and ext.queue.set does not work; all else does."
        return Finding(what, note)
    return Finding(what, f"logins to {len(queues)} queues are told")
