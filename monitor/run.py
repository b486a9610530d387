"""Run the monitor process: one service per PBX, each connected to its PBX and to Redis."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import structlog
from prometheus_client import CollectorRegistry, Gauge
from redis.asyncio import Redis

from monitor.config import MonitorSettings, PbxSection
from monitor.counters import MonitorCounters
from monitor.leadership.membership import Membership
from monitor.leadership.pbx_service import PbxService
from monitor.metrics.collector import MonitorCollector
from monitor.pbx.database.client import Database, DatabaseSettings, greet
from monitor.pbx.facts import Fact
from monitor.pbx.http_client.secret import Secret
from monitor.pbx.v20_client import PbxSettings
from monitor.pbx.v20_source import PbxSource
from monitor.pbx.webapi.client import WebApiSettings
from monitor.pbx.webapi.facts import ToldFact
from monitor.pbx.webapi.source import ServedDatabase, WebApiSource
from monitor.persistence.sqlite_store import STORE, Store
from monitor.shared.backoff import bound
from monitor.shared.errors import ConfigError, StoreFailed
from monitor.shared.redis.connection import raise_if_cancelled
from monitor.shared.redis.key_names import SITE
from monitor.shared.settings.loader import not_read
from monitor.statistics.settings import StatisticsSettings
from monitor.tracking.tracker import Tracker
from monitor.tracking.webapi_tracker import WebApiTracker

PROBE_EVERY_S = 5.0
"""Seconds between two checks whether the file can be written."""
RESTART_CAP_S: Final = 30.0
"""Longest time in seconds between two starts of a PBX's service that fails again and again."""
_RESTART_BASE_S: Final = 0.5
_SOUND_AFTER_S: Final = 60.0

_log = structlog.get_logger(__name__)


async def run(
    settings: MonitorSettings,
    redis_of: Callable[[str], Redis],
    started: Callable[[Sequence[WatchedPbx]], None] = lambda _: None,
    registry: CollectorRegistry | None = None,
    trouble: Callable[[str], None] = lambda _: None,
) -> None:
    """Watch all PBXs of the settings until cancelled; release each lease at the end.

    ``redis_of``: returns the client for a PBX's keys. ``started``: is called with the watched PBXs
    once the settings have proved usable. ``registry``: receives the metrics. ``trouble``: is called
    with a sentence when what must outlive Redis cannot be written, and with an empty text when it
    can again. Raises ConfigError if there is no PBX to watch, or if a secret or the ``state_dir``
    cannot be used.
    """
    if not settings.pbx:
        raise ConfigError("There is no [[pbx]] section: nothing to watch.")
    state_dir = settings.monitor.state_dir
    store = Store(None if state_dir is None else state_dir / STORE)
    await store.open()
    try:
        membership = Membership(redis_of(SITE), settings.monitor.name, settings.monitor.weight)
        watched = [
            watch(section, settings, redis_of(section.name), store, membership)
            for section in settings.pbx
        ]
        if registry is not None:
            registry.register(MonitorCollector([one.service for one in watched]))
            writable = Gauge(
                "callmon_monitor_store_writable",
                "Whether what must outlive Redis can be written.",
                registry=registry,
            )
            writable.set_function(lambda: float(not store.trouble))
        async with asyncio.TaskGroup() as tasks:
            for section in settings.pbx:
                if (offered := database(section)) is not None:
                    tasks.create_task(greet(offered, section.name))
            tasks.create_task(membership.run())
            for one in watched:
                tasks.create_task(keep_running(one.service))
            tasks.create_task(_probe(store, trouble))
            started(watched)
    finally:
        await store.close()


async def keep_running(service: PbxService[Fact] | PbxService[ToldFact]) -> None:
    """Run one PBX's service until cancelled; restart it with back-off after a fault.

    A fault restarts only this PBX's service. The log has the trace once: if the same fault comes
    again it is one line. After a minute without a fault the next one counts as new.
    """
    loop = asyncio.get_running_loop()
    failures, known = 0, ""
    while True:
        raise_if_cancelled()
        began = loop.time()
        try:
            await service.run()
            fault: Exception = RuntimeError("it ended, though it never should")
        except Exception as error:
            fault = error
        if loop.time() - began >= _SOUND_AFTER_S:
            failures, known = 0, ""
        failures += 1
        delay = random.uniform(0.5, 1.0) * bound(_RESTART_BASE_S, failures, RESTART_CAP_S)  # noqa: S311
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


@dataclass(frozen=True, slots=True)
class WatchedPbx:
    """Hold one PBX's service and its secrets, which may change.

    ``password``: None if the PBX has no database.
    """

    service: PbxService[Fact] | PbxService[ToldFact]
    secret: Secret
    password: Secret | None


async def _probe(store: Store, trouble: Callable[[str], None]) -> None:
    """Check regularly whether the file can be written, and report when that changes."""
    told = False
    while True:
        raise_if_cancelled()
        with suppress(StoreFailed):
            await store.probe()
        if told != bool(store.trouble):
            told = bool(store.trouble)
            if told:
                _log.error(
                    "store_not_writable",
                    reason=store.trouble,
                    commands="refused until it can be written",
                )
            else:
                _log.info("store_writable")
            trouble(f"commands are refused: {store.trouble}" if told else "")
        await asyncio.sleep(PROBE_EVERY_S)


def watch(
    section: PbxSection,
    settings: MonitorSettings,
    redis: Redis,
    store: Store,
    membership: Membership | None = None,
) -> WatchedPbx:
    """Build what watches one PBX. Raises ConfigError if a secret cannot be read."""
    secret, password = Secret(secret_of(section)), password_of(section)
    held = None if password is None else Secret(password)
    return WatchedPbx(
        _service(section, settings, redis, store, secret, held, membership), secret, held
    )


def _service(
    section: PbxSection,
    settings: MonitorSettings,
    redis: Redis,
    store: Store,
    secret: Secret,
    password: Secret | None,
    membership: Membership | None,
) -> PbxService[Fact] | PbxService[ToldFact]:
    counters = MonitorCounters()
    if section.webapi:
        served = webapi_settings(section, secret)
        return PbxService(
            settings.monitor.name,
            section.name,
            redis,
            lambda: WebApiTracker(settings.monitor.name, section.did_map),
            lambda emit, _: WebApiSource(served, emit, counters=counters.pbx),
            database=ServedDatabase(served),
            store=store,
            terms=terms(section),
            lease_ttl=settings.monitor.lease_duration,
            log_length=settings.monitor.change_log_length,
            log_bytes=settings.monitor.change_log_bytes,
            counters=counters,
            membership=membership,
        )
    pbx = pbx_settings(section, secret)
    return PbxService(
        settings.monitor.name,
        section.name,
        redis,
        lambda: Tracker(settings.monitor.name, section.did_map),
        lambda emit, may_mint: PbxSource(pbx, emit, may_mint, counters=counters.pbx),
        database=database(section, password),
        store=store,
        terms=terms(section),
        lease_ttl=settings.monitor.lease_duration,
        log_length=settings.monitor.change_log_length,
        log_bytes=settings.monitor.change_log_bytes,
        counters=counters,
        membership=membership,
    )


def terms(section: PbxSection) -> StatisticsSettings:
    """Return the settings by which the PBX's day is counted."""
    given = section.figures
    return StatisticsSettings(
        given.time_zone, given.answer_target, given.short_abandon_threshold, given.answer_targets
    )


def pbx_settings(section: PbxSection, secret: Secret | None = None) -> PbxSettings:
    """Return what the client library needs to know of a PBX.

    ``secret``: the secret if it was read already. Raises ConfigError if it cannot be read.
    """
    return PbxSettings(
        url=section.url,
        client_id=section.client_id,
        client_secret=secret_of(section) if secret is None else secret,
        ca_file=section.ca_file,
        verify=section.verify,
        source="auto" if section.source == "webapi" else section.source,
        poll_interval=section.poll_interval,
        poll_idle=section.poll_idle,
        watchdog_interval=section.watchdog_interval,
        directory_interval=section.directory_interval,
        contacts_interval=section.contacts_interval,
        request_timeout=section.request_timeout,
        silence_timeout=section.silence_timeout,
    )


def webapi_settings(section: PbxSection, secret: Secret | None = None) -> WebApiSettings:
    """Return what is needed to reach a service that speaks the documented interface.

    ``secret``: the key if it was read already. Raises ConfigError if it cannot be read.
    """
    return WebApiSettings(
        url=section.url,
        key=secret_of(section) if secret is None else secret,
        ca_file=section.ca_file,
        verify=section.verify,
        poll_interval=section.poll_interval,
        poll_idle=section.poll_idle,
        states_interval=section.states_interval,
        directory_interval=section.directory_interval,
        contacts_interval=section.contacts_interval,
        request_timeout=section.request_timeout,
        silence_timeout=section.silence_timeout,
    )


def database(section: PbxSection, password: Secret | None = None) -> Database | None:
    """Return the PBX's database, or None if the settings name none.

    ``password``: the password if it was read already. Raises ConfigError if a file cannot be read.
    """
    given = section.database
    read = password or password_of(section)
    if given is None or read is None:
        return None
    settings = DatabaseSettings(
        host=given.host or urlsplit(section.url).hostname or "",
        port=given.port,
        name=given.name,
        user=given.user,
        password=read,
        tls=given.tls,
        ca_file=given.ca_file,
        timeout=given.timeout,
        max_answer_bytes=given.max_answer_bytes,
    )
    try:
        return Database(settings)
    except ConfigError as error:
        raise ConfigError(f"pbx {section.name}: {error}") from error


def secret_of(section: PbxSection) -> str:
    """Return the API client's secret, or the key. Raises ConfigError if its file cannot be read."""
    try:
        return section.secret()
    except (OSError, ValueError) as error:
        file = "key_file" if section.webapi else "client_secret_file"
        raise ConfigError(f"pbx {section.name}: {file} {not_read(error)}") from error


def password_of(section: PbxSection) -> str | None:
    """Return the database's password, or None if there is no database.

    Raises ConfigError if its file cannot be read.
    """
    if section.database is None:
        return None
    try:
        return section.database.secret()
    except (OSError, ValueError) as error:
        raise ConfigError(f"pbx {section.name}: password_file {not_read(error)}") from error
