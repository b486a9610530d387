"""Serve metrics and log the settings file, for ``callmon monitor`` and ``callmon gateway``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from monitor.shared.settings.loader import found_files

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def metrics_served(
    program: str,
    host: str,
    port: int | None,
    troubles: Mapping[str, str] | None = None,
    rejected: Callable[[], Mapping[str, str]] = dict,
) -> AsyncIterator[CollectorRegistry | None]:
    """Serve metrics on this port and yield the registry.

    With ``port`` None nothing is measured, and None is yielded. ``troubles``, ``rejected``: as in
    :func:`gateway.cli.runtime.metrics_server.exposed`. Raises ConfigError.
    """
    if port is None:
        yield None
        return
    from gateway.cli.runtime import metrics_server  # an HTTP server; a monitor needs it only here

    registry = metrics_server.new_registry(program)
    async with metrics_server.exposed(registry, host, port, troubles, rejected) as address:
        _log.info("metrics_address", address=address)
        yield registry


def settings_told(config: Path | None) -> dict[str, str | None]:
    """Return the log's fields for the settings file that is read and a found one that is not."""
    found = found_files()
    passed_over = str(found[1]) if len(found) > 1 and config == found[0] else None
    return {
        "settings": "none" if config is None else str(config.absolute()),
        "settings_not_read": passed_over,
    }
