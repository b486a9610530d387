"""The monitor process: one service a PBX, each connected to its PBX and to Redis."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from monitor.bus import heed_cancellation
from monitor.config import MonitorSettings, PbxSection
from monitor.errors import ConfigError
from monitor.measures import Measures
from monitor.metrics.collector import MonitorCollector
from monitor.mirror import Mirror
from monitor.pbx.client import PbxSettings
from monitor.pbx.database import Database, DatabaseSettings, greet
from monitor.pbx.facts import Fact
from monitor.pbx.source import PbxSource
from monitor.pbx.told import ToldFact
from monitor.pbx.webapi import ServedDatabase, WebApiSource
from monitor.pbx.webapi_client import WebApiSettings
from monitor.service import Service
from monitor.stats.terms import Terms
from monitor.store import Store
from monitor.tracker import Tracker

STORE = "callmon.db"
"""The file in ``state_dir``."""
RESTART_CAP_S: Final = 30.0
"""Between two starts of a PBX's part that fails again and again."""
_RESTART_BASE_S: Final = 0.5
_SOUND_AFTER_S: Final = 60.0

_log = structlog.get_logger(__name__)


async def run(
    settings: MonitorSettings,
    redis_of: Callable[[str], Redis],
    started: Callable[[], None] = lambda: None,
    registry: CollectorRegistry | None = None,
) -> None:
    """Watch all PBXs of the settings until cancelled; on the way out each lease is given back.

    ``redis_of`` gives the client for a PBX's keys. ``started`` is called once nothing of the settings stands in the way
    any more and all of them are watched. ``registry``: is given what is measured. Raises ConfigError if there is no PBX
    to watch, or a secret or the ``state_dir`` cannot be used.
    """
    if not settings.pbx:
        raise ConfigError("There is no [[pbx]] section: nothing to watch.")
    state_dir = settings.monitor.state_dir
    store = Store(None if state_dir is None else state_dir / STORE)
    await store.open()
    try:
        services = [service(section, settings, redis_of(section.name), store) for section in settings.pbx]
        if registry is not None:
            registry.register(MonitorCollector(services))
        async with asyncio.TaskGroup() as tasks:
            for section in settings.pbx:
                if (offered := database(section)) is not None:
                    tasks.create_task(greet(offered, section.name))
            for watching in services:
                tasks.create_task(keep_running(watching))
            started()
    finally:
        await store.close()


async def keep_running(service: Service[Fact] | Service[ToldFact]) -> None:
    """Run one PBX's service until cancelled. A fault in it is told, and restarts it alone, with back-off.

    The log has the trace once: the same fault again is one line. After a minute without any the next is a new one.
    """
    loop = asyncio.get_running_loop()
    failures, known = 0, ""
    while True:
        heed_cancellation()
        began = loop.time()
        try:
            await service.run()
            fault: Exception = RuntimeError("it ended, though it never should")
        except Exception as error:
            fault = error
        if loop.time() - began >= _SOUND_AFTER_S:
            failures, known = 0, ""
        failures += 1
        delay = random.uniform(0.5, 1.0) * min(RESTART_CAP_S, _RESTART_BASE_S * 2 ** min(failures, 10))  # noqa: S311
        told = repr(fault)
        _log.error(
            "pbx_failure",
            pbx=service.pbx,
            reason=told,
            failures=failures,
            restart_in=round(delay, 1),
            exc_info=fault if told != known else None,
        )
        known = told
        await asyncio.sleep(delay)


def service(
    section: PbxSection, settings: MonitorSettings, redis: Redis, store: Store
) -> Service[Fact] | Service[ToldFact]:
    """Wire up the service for one PBX. Raises ConfigError if its secret cannot be read."""
    measures = Measures()
    if section.webapi:
        served = webapi_settings(section)
        return Service(
            settings.monitor.name,
            section.name,
            redis,
            lambda: Mirror(settings.monitor.name, section.did_map),
            lambda emit, _: WebApiSource(served, emit, measures=measures.pbx),
            database=ServedDatabase(served),
            records=store,
            key_store=store,
            terms=terms(section),
            shelf=store,
            lease_ttl=settings.monitor.lease,
            log_length=settings.monitor.log_length,
            measures=measures,
        )
    pbx = pbx_settings(section)
    return Service(
        settings.monitor.name,
        section.name,
        redis,
        lambda: Tracker(settings.monitor.name, section.did_map),
        lambda emit, may_mint: PbxSource(pbx, emit, may_mint, measures=measures.pbx),
        database=database(section),
        records=store,
        key_store=store,
        terms=terms(section),
        shelf=store,
        lease_ttl=settings.monitor.lease,
        log_length=settings.monitor.log_length,
        measures=measures,
    )


def terms(section: PbxSection) -> Terms:
    """By which terms the PBX's day is counted."""
    given = section.figures
    return Terms(given.time_zone, given.answer_target, given.short_abandon, given.answer_targets)


def pbx_settings(section: PbxSection) -> PbxSettings:
    """What the client library needs to know of a PBX. Raises ConfigError if its secret cannot be read."""
    return PbxSettings(
        url=section.url,
        client_id=section.client_id,
        client_secret=_secret(section),
        ca_file=section.ca_file,
        verify=section.verify,
        source="auto" if section.source == "webapi" else section.source,
        poll_interval=section.poll_interval,
        poll_idle=section.poll_idle,
        watchdog_interval=section.watchdog_interval,
        directory_interval=section.directory_interval,
        contacts_interval=section.contacts_interval,
        request_timeout=section.request_timeout,
        silence=section.silence,
    )


def webapi_settings(section: PbxSection) -> WebApiSettings:
    """What is needed to reach a service that speaks the documented interface. Raises ConfigError as above."""
    return WebApiSettings(
        url=section.url,
        key=_secret(section),
        ca_file=section.ca_file,
        verify=section.verify,
        poll_interval=section.poll_interval,
        poll_idle=section.poll_idle,
        states_interval=section.states_interval,
        directory_interval=section.directory_interval,
        contacts_interval=section.contacts_interval,
        request_timeout=section.request_timeout,
        silence=section.silence,
    )


def database(section: PbxSection) -> Database | None:
    """The PBX's database, if there is one in the settings. Raises ConfigError if a file cannot be read."""
    given = section.database
    if given is None:
        return None
    try:
        password = given.secret()
    except OSError as error:
        why = f"{error.strerror}: {error.filename}"
        raise ConfigError(f"pbx {section.name}: password_file cannot be read: {why}") from error
    settings = DatabaseSettings(
        host=given.host or urlsplit(section.url).hostname or "",
        port=given.port,
        name=given.name,
        user=given.user,
        password=password,
        tls=given.tls,
        ca_file=given.ca_file,
        timeout=given.timeout,
        answer_size=given.answer_size,
    )
    try:
        return Database(settings)
    except ConfigError as error:
        raise ConfigError(f"pbx {section.name}: {error}") from error


def _secret(section: PbxSection) -> str:
    try:
        return section.secret()
    except OSError as error:
        file = "key_file" if section.webapi else "client_secret_file"
        raise ConfigError(f"pbx {section.name}: {file} cannot be read: {error.strerror}: {error.filename}") from error
