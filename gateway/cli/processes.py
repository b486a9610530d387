"""``callmon monitor``, ``gateway`` and ``simulate``: each alone in its process."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from gateway import own_commands
from gateway import run as gateway_run
from gateway.cli.terminal import say_text
from gateway.cli.workers import WORKER, as_worker, supervise
from gateway.config import GatewaySection, GatewaySettings
from monitor import exposition, logs, notify
from monitor import run as monitor_run
from monitor.config import MonitorSettings
from monitor.errors import ConfigError
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
        if settings.monitor.state_dir is None:
            _log.warning("no state_dir in [monitor]: the audit log and Idempotency-Keys are kept for this run only")
        await _monitor(settings)


async def _monitor(settings: MonitorSettings) -> None:
    redis = Servers(settings.redis.url, settings.redis.ca_file)
    watching = "watching " + ", ".join(section.name for section in settings.pbx)
    metrics = settings.metrics
    try:
        async with _metrics("monitor", metrics.host, metrics.monitor_port) as registry:
            work = monitor_run.run(settings, redis.of, lambda: notify.ready(watching), registry)
            await notify.looked_after(work)
    finally:
        await redis.aclose()


async def gateway(config: Path | None, port: int | None, workers: int = 1) -> None:
    """Until cancelled. ``workers``: processes that share the port. Raises ConfigError."""
    own_commands.load()  # before the keys are read: none may equal a command
    settings = GatewaySettings.load(config)
    logs.configure(settings.log.level, settings.log.format)
    if not settings.pbx_names:
        raise ConfigError("There is no [[pbx]] section: nothing to serve.")
    section = settings.gateway if port is None else settings.gateway.model_copy(update={"port": port})
    if workers > 1:
        arguments = [*(("--config", str(config)) if config is not None else ()), "--port", str(section.port)]
        with logs.ProgramLog("gateway", **_settings(config), workers=workers) as log:
            log.start()
            await notify.looked_after(supervise(workers, arguments, section.host, section.port, section.stream.drain))
        return
    with logs.ProgramLog("gateway", **_settings(config), worker=os.environ.get(WORKER)) as log:
        await _gateway(settings, section, log)


async def _gateway(settings: GatewaySettings, section: GatewaySection, log: logs.ProgramLog) -> None:
    redis = Servers(settings.redis.url, settings.redis.ca_file)
    worker = WORKER in os.environ
    metrics_port = settings.metrics.gateway_port
    if metrics_port is not None:
        metrics_port += int(os.environ.get(WORKER, "0"))
    try:
        async with _metrics("gateway", settings.metrics.host, metrics_port) as registry:
            serving = gateway_run.run(
                settings.pbx_names,
                settings.key_table(),
                section,
                redis.of,
                shared=worker,
                bound=lambda address: log.start(address=address),
                started=_serving,
                registry=registry,
            )
            log.reason = "supervisor_gone" if worker else log.reason
            await (as_worker(serving) if worker else notify.looked_after(serving))
    finally:
        await redis.aclose()


@asynccontextmanager
async def _metrics(program: str, host: str, port: int | None) -> AsyncIterator[CollectorRegistry | None]:
    """Serve metrics on this port; None: nothing is measured. Raises ConfigError."""
    if port is None:
        yield None
        return
    registry = exposition.new_registry(program)
    async with exposition.exposed(registry, host, port) as address:
        _log.info("metrics", address=address)
        yield registry


def _settings(config: Path | None) -> dict[str, str | None]:
    """Return which settings file is read, and which one is not although it would have been found."""
    found = found_files()
    passed_over = str(found[1]) if len(found) > 1 and config == found[0] else None
    return {"settings": "none" if config is None else str(config.absolute()), "settings_not_read": passed_over}


def _serving(address: str) -> None:
    notify.ready(f"serving {address}")


async def simulate(*, latency: str, switches: list[str], **settings: object) -> None:
    """Until cancelled; prints what a client needs to know. Raises ConfigError."""
    logs.configure("warning", "human")
    made = simulated.SimulatorSettings(**settings)  # type: ignore[arg-type]  # the command's options bear its names
    try:
        chosen = positions(switches)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    made = replace(made, switches=replace(chosen, latency=_seconds(latency)))
    with logs.ProgramLog("simulate") as log:
        await simulated.simulate(made, say_text, lambda address: log.start(address=address))


def _seconds(text: str) -> float:
    """Seconds of ``50ms`` or ``0.2s``. Raises ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is not a latency; write 50ms or 0.2s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)
