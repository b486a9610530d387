"""Run ``callmon backup`` and ``callmon restore`` for the monitor's file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from gateway.cli.terminal_output import say
from monitor.config import MonitorSettings
from monitor.persistence import backups
from monitor.persistence.sqlite_store import STORE
from monitor.shared.errors import ConfigError
from monitor.shared.settings.loader import missing


async def back_up(config: Path | None, file: Path) -> None:
    """Copy the store of this machine's monitor into a new file.

    Raises ConfigError or StoreFailed.
    """
    contents = backups.back_up(store_file(config), file)
    say(f"{file} is written and checked. {contents}.")


async def restore(config: Path | None, file: Path) -> None:
    """Put a backup in the store's place while no monitor runs.

    Raises ConfigError or StoreFailed.
    """
    store = store_file(config)
    contents, kept = backups.restore(file, store, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    say(f"{store} is restored and checked. {contents}.")
    if kept is not None:
        say(f"The previous store is kept as {kept}; remove it when you do not need it any more.")


def store_file(config: Path | None) -> Path:
    """Return the path of the store of this machine's monitor. Raises ConfigError."""
    state_dir = MonitorSettings.load(config).monitor.state_dir
    if state_dir is None:
        lacks = missing("state_dir in [monitor]", config)
        raise ConfigError(f"{lacks}: nothing is kept after the monitor ends.")
    return state_dir / STORE
