"""Define options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _found(chosen: Path | None) -> Path | None:
    """Return the chosen settings file, else the first one that is found, else None."""
    if chosen is not None:
        return chosen
    from monitor.shared.settings.loader import found_files

    return next(iter(found_files()), None)


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="CALLMON_CONFIG",
        callback=_found,
        readable=False,  # the loader reports an unreadable file like wrong settings
        show_default=False,
        help="Settings file. Not given: /etc/callmon/callmon.toml, else ./callmon.toml.",
    ),
]
