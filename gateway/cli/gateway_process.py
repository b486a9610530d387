"""Run ``callmon gateway``: one gateway in its process, or several that share a port."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import structlog

from gateway import run as gateway_run
from gateway.auth.pbx_choice import served_of
from gateway.auth.tickets import SECRET_BYTES
from gateway.cli.runtime import logging_setup
from gateway.cli.runtime import service_notify as liveness
from gateway.cli.runtime.garbage_collector import garbage_collected
from gateway.cli.runtime.memory_release import memory_released
from gateway.cli.runtime.reload import Reload, on_sighup
from gateway.cli.runtime.startup import metrics_served, settings_told
from gateway.cli.runtime.status_reporter import heartbeat
from gateway.cli.runtime.workers import WORKER, Workers, as_worker
from gateway.config import GatewaySection, GatewaySettings
from gateway.operations import plugins
from gateway.run import Gateway
from monitor.shared.errors import ConfigError
from monitor.shared.redis.key_names import SITE
from monitor.shared.redis.topology import RedisClients
from monitor.shared.settings.loader import no_pbx

_STREAM_LIMITS: Final = frozenset(
    (
        *("connections", "connections_per_key", "message_burst", "messages_per_second"),
        *(
            "message_burst_per_key",
            "messages_per_second_per_key",
            "subscribe_timeout",
            "max_connection_age",
            "origins",
        ),
    )
)

_TICKET_SECRET: Final = "CALLMON_GATEWAY__TICKET_SECRET"  # noqa: S105 - a name
"""Environment variable by which workers get a secret that is the same for all of them."""

_log = structlog.get_logger(__name__)


async def run(config: Path | None, port: int | None, workers: int = 1) -> None:
    """Serve until cancelled.

    ``port``: used in place of the settings' port. ``workers``: processes that share the port.
    Raises ConfigError.
    """
    own = plugins.load()  # before the keys are read, because no key may equal a command
    settings = _gateway_settings(config, port)
    logging_setup.configure(settings.log.level, settings.log.format)
    if own:
        _log.info("own_commands", commands=sorted(own))
    if not settings.pbx_names:
        raise ConfigError(f"{no_pbx(config)}: nothing to serve.")
    worker = WORKER in os.environ
    reload = GatewayReload(settings, lambda: _gateway_settings(config, port), quiet=worker)
    section = settings.gateway
    if workers > 1:
        arguments = [
            *(("--config", str(config)) if config is not None else ()),
            "--port",
            str(section.port),
        ]
        with logging_setup.ProgramLog("gateway", **settings_told(config), workers=workers) as log:
            log.start()
            await _workers(workers, arguments, section, reload)
        return
    with logging_setup.ProgramLog(
        "gateway", **settings_told(config), worker=os.environ.get(WORKER)
    ) as log:
        await _gateway(settings, reload, log)


async def _workers(
    workers: int, arguments: list[str], section: GatewaySection, reload: GatewayReload
) -> None:
    reload.begin()
    environment = {} if section.ticket_secret else {_TICKET_SECRET: secrets.token_hex(SECRET_BYTES)}
    held = Workers(
        *(workers, arguments, section.host, section.port, section.stream.drain_time), environment
    )

    def all_reload() -> None:
        if reload():
            held.reload()

    on_sighup(all_reload)
    await liveness.looked_after(held.run())


async def _gateway(
    settings: GatewaySettings, reload: GatewayReload, log: logging_setup.ProgramLog
) -> None:
    on_sighup(reload)
    worker = WORKER in os.environ
    redis = RedisClients(settings.redis.url, settings.redis.ca_file)
    metrics_port = settings.metrics.gateway_port
    if metrics_port is not None:
        metrics_port += int(os.environ.get(WORKER, "0"))

    async def serve() -> None:
        async with gateway_run.serving(
            settings.pbx_names,
            settings.key_table(),
            settings.gateway,
            redis.of,
            shared=worker,
            bound=lambda address: log.start(address=address),
            registry=registry,
            tenants=settings.tenants,
        ) as server:
            reload.serves(server)
            told.of_gateway(
                server,
                int(os.environ[WORKER]) if worker else None,
                own_tickets=settings.gateway.ticket_secret is None,
            )
            liveness.ready(f"serving {server.address}")
            await server.ended()

    try:
        async with (
            garbage_collected(len(settings.pbx_names)),
            memory_released(),
            metrics_served("gateway", settings.metrics.host, metrics_port) as registry,
            heartbeat(redis.of(SITE), "gateway") as told,
        ):
            log.reason = "supervisor_gone" if worker else log.reason
            await (as_worker(serve(), reload) if worker else liveness.looked_after(serve()))
    finally:
        await redis.aclose()


def _gateway_settings(config: Path | None, port: int | None) -> GatewaySettings:
    """Read the settings. ``port``: used in place of theirs. Raises ConfigError."""
    settings = GatewaySettings.load(config)
    if port is None:
        return settings
    return settings.model_copy(
        update={"gateway": settings.gateway.model_copy(update={"port": port})}
    )


class GatewayReload(Reload[GatewaySettings]):
    """Reload what a gateway can change while it runs: keys, budgets, the stream's limits, the log.

    In the parent of several workers it applies only the log's settings, because the parent serves
    nothing.
    """

    _gateway: Gateway | None = None

    def serves(self, gateway: Gateway) -> None:
        """Begin to apply changes to this gateway."""
        self._gateway = gateway
        self.begin()

    def _compare(
        self, before: GatewaySettings, after: GatewaySettings
    ) -> tuple[Sequence[str], Collection[str]]:
        names, changeable = super()._compare(before, after)
        if not after.pbx_names:
            raise ConfigError("There is no [[pbx]] section: nothing to serve.")
        # A key for a PBX that is not served yet waits for it.
        waiting = {
            f"keys.{key.name}" for key in after.keys if not served_of(key.words, before.tenants)
        }
        keys = {f"keys.{key.name}" for key in (*before.keys, *after.keys)} - waiting
        return names, {
            *changeable,
            *(name for name in names if _is_limit(name) or _is_within(name, keys)),
        }

    def _apply(self, merged: GatewaySettings) -> None:
        if self._gateway is not None:
            self._gateway.change([section.api_key() for section in merged.keys], merged.gateway)


def _is_limit(name: str) -> bool:
    stream = name.removeprefix("gateway.stream.")
    return name.startswith("gateway.budgets.") or (stream != name and stream in _STREAM_LIMITS)


def _is_within(name: str, sections: Collection[str]) -> bool:
    """Return whether the name is one of these sections, or a setting in one."""
    return any(name == section or name.startswith(f"{section}.") for section in sections)
