"""Find files that root can read and the services' user cannot, when root runs ``callmon check``."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from gateway.cli.check.finding import Finding
from monitor.shared.settings.loader import CREDENTIALS, places

SERVICES_USER: Final = "callmon"
"""User under which the units of the Debian package run."""
_UNREADABLE: Final = (
    "/bin/sh",
    "-c",
    'for file; do [ -r "$file" ] || printf "%s\\n" "$file"; done',
    "sh",
)


async def look_at(config: Path | None, *named: Path | None) -> AsyncIterator[Finding]:
    """Yield what is wrong, if anything is.

    ``config``: the settings file. ``named``: files that it names. Only the system's settings file
    is tested, because the user of a monitor started by hand with another file is not known.
    """
    if os.geteuid() != 0 or config != places()[0] or not _is_known(SERVICES_USER):
        return
    files = [config, *(file for file in named if file is not None and file.parent != CREDENTIALS)]
    for file in await asyncio.to_thread(unreadable, SERVICES_USER, files):
        wrong = f"{file} cannot be read by the user {SERVICES_USER}, as whom the services run"
        yield Finding(
            "files", wrong=f"{wrong}; chmod a+r, or if it holds a secret chown {SERVICES_USER}"
        )


def unreadable(user: str, files: Sequence[Path]) -> list[Path]:
    """Return those of the existing files that this user may not read. Only root can tell."""
    account = pwd.getpwnam(user)
    said = subprocess.run(  # noqa: S603 - a constant
        [*_UNREADABLE, *(str(file) for file in files if file.exists())],
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=os.getgrouplist(user, account.pw_gid),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return [Path(line) for line in said.splitlines()]


def _is_known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
