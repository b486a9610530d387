"""Run ``callmon audit``: print the audit log of this machine's monitor."""

from __future__ import annotations

from pathlib import Path

from gateway.cli.backup import store_file
from gateway.cli.check.state_directory import unreadable
from gateway.cli.tables import show
from monitor.persistence.directory_owner import as_owner_of
from monitor.persistence.sqlite_store import Store
from monitor.shared.errors import ConfigError
from monitor.shared.timestamps import from_unix


async def run(config: Path | None, last: int) -> None:
    """Print the newest ``last`` entries, oldest first.

    Raises ConfigError if there is no such file.
    """
    path = store_file(config)
    if not path.parent.is_dir():
        raise ConfigError(f"{path} {unreadable(path)}.")
    with as_owner_of(path.parent):
        if wrong := unreadable(path):
            raise ConfigError(f"{path} {wrong}.")
        store = Store(path, migrate=False)
        await store.open()
        try:
            entries = await store.audits(last)
        finally:
            await store.close()
    rows = [
        (
            from_unix(entry.at),
            entry.pbx,
            entry.key,
            entry.client,
            entry.command,
            entry.arguments,
            entry.result,
        )
        for entry in reversed(entries)
    ]
    titles = ("when", "PBX", "key", "from", "command", "with", "result")
    show(titles, rows, "Nothing has been changed yet.", whole="when")
