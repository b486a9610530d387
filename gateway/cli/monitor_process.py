"""Run ``callmon monitor``: a monitor alone in its process.

Nothing of a gateway or of the simulator is imported for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from gateway.cli.runtime import logging_setup
from gateway.cli.runtime import service_notify as liveness
from gateway.cli.runtime.garbage_collector import garbage_collected
from gateway.cli.runtime.reload import Reload, on_sighup
from gateway.cli.runtime.startup import metrics_served, settings_told
from gateway.cli.runtime.status_reporter import heartbeat
from monitor import run as monitor_run
from monitor.config import MonitorSettings, PbxSection
from monitor.pbx.http_client.secret import Secret
from monitor.run import WatchedPbx, database, password_of, secret_of
from monitor.shared.errors import ConfigError
from monitor.shared.redis.key_names import SITE
from monitor.shared.redis.topology import RedisClients
from monitor.shared.settings.loader import no_pbx

_THREADS: Final = "128"
"""Threads in which libuv looks up names, of which it uses half at a time. It has 4 by default: then
two PBXs whose names no name server answers for would hold up all other lookups."""

_log = structlog.get_logger(__name__)


async def run(config: Path | None) -> None:
    """Run the monitor until cancelled. Raises ConfigError."""
    os.environ.setdefault("UV_THREADPOOL_SIZE", _THREADS)  # read when the first name is looked up
    settings = MonitorSettings.load(config)
    logging_setup.configure(settings.log.level, settings.log.format)
    if not settings.pbx:
        raise ConfigError(f"{no_pbx(config)}: nothing to watch.")
    with logging_setup.ProgramLog("monitor", **settings_told(config)) as log:
        log.start()
        reload = MonitorReload(settings, lambda: MonitorSettings.load(config))
        on_sighup(reload)
        if settings.monitor.state_dir is None:
            _log.warning(
                "state_dir_missing",
                hint="Set state_dir in [monitor]; without it the audit log and Idempotency-Keys "
                "end with this run.",
            )
        await _monitor(settings, reload)


async def _monitor(settings: MonitorSettings, reload: MonitorReload) -> None:
    redis = RedisClients(settings.redis.url, settings.redis.ca_file)
    metrics = settings.metrics
    watching = "watching " + ", ".join(section.name for section in settings.pbx)
    troubles: dict[str, str] = {}
    watched_now: list[WatchedPbx] = []

    def rejected() -> dict[str, str]:
        found = (one.service.rejected.reasons() for one in watched_now)
        return {key: reason for reasons in found for key, reason in reasons.items()}

    def started(watched: Sequence[WatchedPbx]) -> None:
        watched_now.extend(watched)
        reload.watches(watched)
        told.of_monitor(watched)
        liveness.ready(watching)

    def trouble(text: str) -> None:
        liveness.status(f"{watching}; {text}" if text else watching)
        told.trouble = text
        troubles.clear()
        troubles.update({"store": text} if text else {})

    try:
        async with (
            garbage_collected(len(settings.pbx)),
            metrics_served(
                *("monitor", metrics.host, metrics.monitor_port, troubles), rejected
            ) as registry,
            heartbeat(redis.of(SITE), "monitor", settings.monitor.name) as told,
        ):
            work = monitor_run.run(settings, redis.of, started, registry, trouble)
            await liveness.looked_after(work)
    finally:
        await redis.aclose()


class MonitorReload(Reload[MonitorSettings]):
    """Reload what a monitor can change while it runs.

    These are the secrets of its PBXs and their databases, and the log's settings.
    """

    def __init__(self, settings: MonitorSettings, load: Callable[[], MonitorSettings]) -> None:
        super().__init__(settings, load)
        self._watched: Mapping[str, WatchedPbx] = {}
        self._renewed: list[tuple[Secret, str]] = []

    def watches(self, watched: Sequence[WatchedPbx]) -> None:
        """Begin to apply changes to these PBXs."""
        self._watched = {one.service.pbx: one for one in watched}
        self.begin()

    def _compare(
        self, before: MonitorSettings, after: MonitorSettings
    ) -> tuple[Sequence[str], Collection[str]]:
        names, changeable = super()._compare(before, after)
        if not after.pbx:
            raise ConfigError("There is no [[pbx]] section: nothing to watch.")
        read = {section.name: (secret_of(section), password_of(section)) for section in after.pbx}
        for section in after.pbx:
            database(section)
        held = {section.name: section for section in before.pbx}
        self._renewed = []
        renewed: set[str] = set()
        for section in after.pbx:
            if (old := held.get(section.name)) is not None:
                secret, password = read[section.name]
                renewed |= self._renew(old, section, secret, password)
        in_files = [
            name for name in sorted(renewed) if name.endswith("_file") and name not in names
        ]
        return (*names, *in_files), {*changeable, *renewed}

    def _renew(
        self, old: PbxSection, new: PbxSection, secret: str, password: str | None
    ) -> set[str]:
        """Remember the secrets to exchange; return the names of the settings that this applies.

        A secret belongs to its user and server. If those have changed too, it waits for a restart.
        """
        one, taken = self._watched[old.name], set[str]()
        if _client(old) == _client(new):
            given = ("key", "key_file") if new.webapi else ("client_secret", "client_secret_file")
            taken |= _taken(f"pbx.{old.name}.", given, old, new, changed=secret != one.secret.text)
            self._renewed.append((one.secret, secret))
        if one.password is not None and password is not None and _role(old) == _role(new):
            changed = password != one.password.text
            given = ("password", "password_file")
            taken |= _taken(
                f"pbx.{old.name}.database.", given, old.database, new.database, changed=changed
            )
            self._renewed.append((one.password, password))
        return taken

    def _apply(self, merged: MonitorSettings) -> None:
        for secret, text in self._renewed:
            secret.exchange(text)


def _client(section: PbxSection) -> tuple[object, ...]:
    """Return the settings that identify the PBX and its API client."""
    return section.url, section.client_id, section.source, section.webapi


def _role(section: PbxSection) -> tuple[object, ...]:
    """Return the settings that identify the database and its user."""
    given = section.database
    return () if given is None else (given.host or section.url, given.port, given.name, given.user)


def _taken(
    prefix: str, fields: Sequence[str], old: object, new: object, *, changed: bool
) -> set[str]:
    """Return the names of those settings that differ, or whose file holds another text."""
    differ = {field for field in fields if getattr(old, field) != getattr(new, field)}
    if changed and not differ:
        differ = {field for field in fields if field.endswith("_file")}
    return {prefix + field for field in differ}
