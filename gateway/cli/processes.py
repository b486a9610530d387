"""``callmon monitor``, ``gateway`` and ``simulate``: each alone in its process."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from gateway import own_commands
from gateway import run as gateway_run
from gateway.cli.heartbeat import heartbeat
from gateway.cli.reload import GatewayReload, MonitorReload, nothing_to_reload, on_sighup
from gateway.cli.workers import WORKER, Workers, as_worker
from gateway.config import GatewaySection, GatewaySettings
from gateway.run import Gateway
from monitor import exposition, logs, notify
from monitor import run as monitor_run
from monitor.config import MonitorSettings
from monitor.errors import ConfigError
from monitor.model.keys import SITE
from monitor.run import Watched
from monitor.servers import Servers
from monitor.settings import found_files
from monitor.simulator import pbx as simulated
from monitor.simulator.switches import positions

_log = structlog.get_logger(__name__)


async def monitor(config: Path | None) -> None:
    """Until cancelled. Raises ConfigError."""
    settings = MonitorSettings.load(config)
    logs.configure(settings.log.level, settings.log.format)
    with logs.ProgramLog("monitor", **_settings(config)) as log:
        log.start()
        reload = MonitorReload(settings, lambda: MonitorSettings.load(config))
        on_sighup(reload)
        if settings.monitor.state_dir is None:
            _log.warning("no state_dir in [monitor]: the audit log and Idempotency-Keys are kept for this run only")
        await _monitor(settings, reload)


async def _monitor(settings: MonitorSettings, reload: MonitorReload) -> None:
    redis = Servers(settings.redis.url, settings.redis.ca_file)
    metrics = settings.metrics
    watching = "watching " + ", ".join(section.name for section in settings.pbx)
    troubles: dict[str, str] = {}

    def started(watched: Sequence[Watched]) -> None:
        reload.watches(watched)
        told.of_monitor(watched)
        notify.ready(watching)

    def trouble(text: str) -> None:
        notify.status(f"{watching}; {text}" if text else watching)
        troubles.clear()
        troubles.update({"store": text} if text else {})

    try:
        async with (
            _metrics("monitor", metrics.host, metrics.monitor_port, troubles) as registry,
            heartbeat(redis.of(SITE), "monitor", settings.monitor.name) as told,
        ):
            work = monitor_run.run(settings, redis.of, started, registry, trouble)
            await notify.looked_after(work)
    finally:
        await redis.aclose()


async def gateway(config: Path | None, port: int | None, workers: int = 1) -> None:
    """Until cancelled. ``workers``: processes that share the port. Raises ConfigError."""
    own = own_commands.load()  # before the keys are read: none may equal a command
    settings = _gateway_settings(config, port)
    logs.configure(settings.log.level, settings.log.format)
    if own:
        _log.info("own commands are served", commands=sorted(own))
    if not settings.pbx_names:
        raise ConfigError("There is no [[pbx]] section: nothing to serve.")
    worker = WORKER in os.environ
    reload = GatewayReload(settings, lambda: _gateway_settings(config, port), quiet=worker)
    section = settings.gateway
    if workers > 1:
        arguments = [*(("--config", str(config)) if config is not None else ()), "--port", str(section.port)]
        with logs.ProgramLog("gateway", **_settings(config), workers=workers) as log:
            log.start()
            await _workers(workers, arguments, section, reload)
        return
    with logs.ProgramLog("gateway", **_settings(config), worker=os.environ.get(WORKER)) as log:
        await _gateway(settings, reload, log)


async def _workers(workers: int, arguments: list[str], section: GatewaySection, reload: GatewayReload) -> None:
    reload.begin()
    held = Workers(workers, arguments, section.host, section.port, section.stream.drain)

    def all_reload() -> None:
        if reload():
            held.reload()

    on_sighup(all_reload)
    await notify.looked_after(held.run())


async def _gateway(settings: GatewaySettings, reload: GatewayReload, log: logs.ProgramLog) -> None:
    on_sighup(reload)
    worker = WORKER in os.environ
    redis = Servers(settings.redis.url, settings.redis.ca_file)
    metrics_port = settings.metrics.gateway_port
    if metrics_port is not None:
        metrics_port += int(os.environ.get(WORKER, "0"))

    def started(server: Gateway) -> None:
        reload.serves(server)
        told.of_gateway(server, int(os.environ[WORKER]) if worker else None)
        notify.ready(f"serving {server.address}")

    try:
        async with (
            _metrics("gateway", settings.metrics.host, metrics_port) as registry,
            heartbeat(redis.of(SITE), "gateway") as told,
        ):
            serving = gateway_run.run(
                settings.pbx_names,
                settings.key_table(),
                settings.gateway,
                redis.of,
                shared=worker,
                bound=lambda address: log.start(address=address),
                started=started,
                registry=registry,
            )
            log.reason = "supervisor_gone" if worker else log.reason
            await (as_worker(serving, reload) if worker else notify.looked_after(serving))
    finally:
        await redis.aclose()


def _gateway_settings(config: Path | None, port: int | None) -> GatewaySettings:
    """Read the settings. ``port``: in place of theirs. Raises ConfigError."""
    settings = GatewaySettings.load(config)
    if port is None:
        return settings
    return settings.model_copy(update={"gateway": settings.gateway.model_copy(update={"port": port})})


@asynccontextmanager
async def _metrics(
    program: str, host: str, port: int | None, troubles: Mapping[str, str] | None = None
) -> AsyncIterator[CollectorRegistry | None]:
    """Serve metrics on this port; None: nothing is measured. Raises ConfigError."""
    if port is None:
        yield None
        return
    registry = exposition.new_registry(program)
    async with exposition.exposed(registry, host, port, troubles) as address:
        _log.info("metrics", address=address)
        yield registry


def _settings(config: Path | None) -> dict[str, str | None]:
    """Return which settings file is read, and which one is not although it would have been found."""
    found = found_files()
    passed_over = str(found[1]) if len(found) > 1 and config == found[0] else None
    return {"settings": "none" if config is None else str(config.absolute()), "settings_not_read": passed_over}


async def simulate(*, latency: str, switches: list[str], **settings: object) -> None:
    """Until cancelled; prints what a client needs to know. Raises ConfigError."""
    logs.configure("warning", "human")
    on_sighup(nothing_to_reload)
    made = simulated.SimulatorSettings(**settings)  # type: ignore[arg-type]  # the command's options bear its names
    try:
        chosen = positions(switches)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    made = replace(made, switches=replace(chosen, latency=_seconds(latency)))
    with logs.ProgramLog("simulate") as log:
        await simulated.simulate(made, print, lambda address: log.start(address=address))


def _seconds(text: str) -> float:
    """Seconds of ``50ms`` or ``0.2s``. Raises ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is not a latency; write 50ms or 0.2s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)
