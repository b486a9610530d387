"""The monitor process: one service a PBX, each connected to its PBX and to Redis."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from monitor.config import MonitorSettings, PbxSection
from monitor.errors import ConfigError
from monitor.pbx.client import PbxSettings
from monitor.pbx.source import PbxSource
from monitor.service import Emit, MayMint, Service
from monitor.store import Store
from monitor.tracker import Tracker

STORE = "callmon.db"
"""The file in ``state_dir``."""


async def run(settings: MonitorSettings, redis: Redis) -> None:
    """Watch all PBXs of the settings until cancelled; on the way out each lease is given back.

    Raises ConfigError if there is no PBX to watch, or a secret or the ``state_dir`` cannot be used.
    """
    if not settings.pbx:
        raise ConfigError("There is no [[pbx]] section: nothing to watch.")
    state_dir = settings.monitor.state_dir
    store = Store(None if state_dir is None else state_dir / STORE)
    await store.open()
    try:
        services = [service(section, settings, redis, store) for section in settings.pbx]
        async with asyncio.TaskGroup() as tasks:
            for watching in services:
                tasks.create_task(watching.run())
    finally:
        await store.close()


def service(section: PbxSection, settings: MonitorSettings, redis: Redis, store: Store) -> Service:
    """Wire up the service for one PBX. Raises ConfigError if its secret cannot be read."""
    pbx = pbx_settings(section)

    def source(emit: Emit, may_mint: MayMint) -> PbxSource:
        return PbxSource(pbx, emit, may_mint)

    return Service(
        settings.monitor.name,
        section.name,
        redis,
        lambda: Tracker(settings.monitor.name, section.did_map),
        source,
        records=store,
        key_store=store,
        lease_ttl=settings.monitor.lease,
        log_length=settings.monitor.log_length,
    )


def pbx_settings(section: PbxSection) -> PbxSettings:
    """What the client library needs to know of a PBX. Raises ConfigError if its secret cannot be read."""
    try:
        secret = section.secret()
    except OSError as error:
        raise ConfigError(f"pbx {section.name}: client_secret_file cannot be read: {error.strerror}") from error
    return PbxSettings(
        url=section.url,
        client_id=section.client_id,
        client_secret=secret,
        ca_file=section.ca_file,
        verify=section.verify,
        source="auto" if section.source == "webapi" else section.source,
        poll_interval=section.poll_interval,
        poll_idle=section.poll_idle,
        watchdog_interval=section.watchdog_interval,
        directory_interval=section.directory_interval,
        contacts_interval=section.contacts_interval,
        request_timeout=section.request_timeout,
    )
