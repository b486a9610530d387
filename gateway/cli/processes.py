"""``callmon monitor``, ``gateway`` and ``simulate``: each alone in its process."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from gateway import own_commands
from gateway import run as gateway_run
from gateway.cli.workers import WORKER, as_worker, supervise
from gateway.config import GatewaySettings
from monitor import exposition, logs, notify
from monitor import run as monitor_run
from monitor.config import MonitorSettings
from monitor.errors import ConfigError
from monitor.servers import Servers
from monitor.simulator import pbx as simulated
from monitor.simulator.switches import positions

_log = structlog.get_logger(__name__)


async def monitor(config: Path | None) -> None:
    """Until cancelled. Raises ConfigError."""
    settings = MonitorSettings.load(config)
    logs.configure(settings.log.level, settings.log.format)
    if settings.monitor.state_dir is None:
        _log.warning("no state_dir in [monitor]: the audit log and Idempotency-Keys are kept for this run only")
    redis = Servers(settings.redis.url, settings.redis.ca_file)
    watching = "watching " + ", ".join(section.name for section in settings.pbx)
    metrics = settings.metrics
    troubles: dict[str, str] = {}

    def trouble(text: str) -> None:
        notify.status(f"{watching}; {text}" if text else watching)
        troubles.clear()
        troubles.update({"store": text} if text else {})

    try:
        async with _metrics("monitor", metrics.host, metrics.monitor_port, troubles) as registry:
            work = monitor_run.run(settings, redis.of, lambda: notify.ready(watching), registry, trouble)
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
        await notify.looked_after(supervise(workers, arguments, section.host, section.port, section.stream.drain))
        return
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
                started=_serving,
                registry=registry,
            )
            await (as_worker(serving) if worker else notify.looked_after(serving))
    finally:
        await redis.aclose()


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
    await simulated.simulate(replace(made, switches=replace(chosen, latency=_seconds(latency))), print)


def _seconds(text: str) -> float:
    """Seconds of ``50ms`` or ``0.2s``. Raises ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is not a latency; write 50ms or 0.2s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)
