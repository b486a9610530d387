"""``callmon monitor``, ``gateway`` and ``simulate``: each alone in its process."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import structlog

from gateway import own_commands
from gateway import run as gateway_run
from gateway.cli.workers import WORKER, as_worker, supervise
from gateway.config import GatewaySettings
from monitor import bus, logs
from monitor import run as monitor_run
from monitor.config import MonitorSettings
from monitor.errors import ConfigError
from monitor.simulator import pbx as simulated
from monitor.simulator.switches import Switches

_log = structlog.get_logger(__name__)


async def monitor(config: Path | None) -> None:
    """Until cancelled. Raises ConfigError."""
    settings = MonitorSettings.load(config)
    logs.configure(settings.log.level, settings.log.format)
    if settings.monitor.state_dir is None:
        _log.warning("no state_dir in [monitor]: the audit log and Idempotency-Keys are kept for this run only")
    redis = bus.connect(settings.redis.url)
    try:
        await monitor_run.run(settings, redis)
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
        await supervise(workers, arguments, section.host, section.port, section.stream.drain)
        return
    redis = bus.connect(settings.redis.url)
    try:
        worker = WORKER in os.environ
        serving = gateway_run.run(settings.pbx_names, settings.key_table(), section, redis, shared=worker)
        await (as_worker(serving) if worker else serving)
    finally:
        await redis.aclose()


async def simulate(*, latency: str, **settings: object) -> None:
    """Until cancelled; prints what a client needs to know. Raises ConfigError."""
    logs.configure("warning", "human")
    made = simulated.SimulatorSettings(**settings)  # type: ignore[arg-type]  # the command's options bear its names
    await simulated.simulate(replace(made, switches=Switches(latency=_seconds(latency))), print)


def _seconds(text: str) -> float:
    """Seconds of ``50ms`` or ``0.2s``. Raises ConfigError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is not a latency; write 50ms or 0.2s")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)
