"""SIGHUP: the settings are read anew, and what can be changed while the process goes on is changed.

All is read and checked before anything is applied: settings that could not be started with change nothing. What cannot
be changed stays as it is, and is named until a restart has applied it. No value of a setting is logged.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Collection, Sequence
from typing import Final, Generic, TypeVar

import structlog

from gateway.cli.runtime import logging_setup as logs
from gateway.cli.terminal_output import say
from monitor.shared.errors import ConfigError
from monitor.shared.settings.loader import FileSettings, changed_names, with_changes

_LEVELS: Final = ("debug", "info", "warning", "error")

_log = structlog.get_logger(__name__)

SettingsT = TypeVar("SettingsT", bound=FileSettings)


def on_sighup(answer: Callable[[], object]) -> None:
    """Answer SIGHUP so from now on, in place of being killed by it.

    Where it says that the terminal is gone from which this was started, the task that calls this is cancelled instead:
    else a program would stay that nobody sees.
    """
    task, had_terminal = asyncio.current_task(), os.isatty(0)

    def told() -> None:
        if had_terminal and not os.isatty(0) and task is not None:
            task.cancel("SIGHUP")
        else:
            answer()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told)


def nothing_to_reload() -> None:
    """Say so, where no settings file is used."""
    say("callmon: SIGHUP: there is no settings file to read again; all goes on as before.", error=True)


class Reload(Generic[SettingsT]):
    """Compares the settings in effect with those that are found now, and changes what can be changed.

    ``settings``: those in effect. ``load``: reads them again; raises ConfigError. ``quiet``: somebody else says what
    came of it. Nothing is done before :meth:`begin`.
    """

    def __init__(self, settings: SettingsT, load: Callable[[], SettingsT], *, quiet: bool = False) -> None:
        self._settings = settings
        self._load = load
        self._quiet = quiet
        self._begun = self._wanted = False

    def begin(self) -> None:
        """Take it that what is to be changed runs; what was asked for before is done now."""
        self._begun = True
        if self._wanted:
            self()

    def __call__(self) -> bool:
        """Read and apply; False if nothing was, as the settings that are found now are wrong."""
        if not self._begun:
            self._wanted = True
            return False
        before = self._settings
        try:
            after = self._load()
            names, changeable = self._compare(before, after)
        except ConfigError as error:
            _log.error("settings_reload_failure", reason="; ".join(str(error).splitlines()), kept="all as it was")
            return False
        self._settings = merged = with_changes(before, after, changeable)
        wordier = _LEVELS.index(merged.log.level) < _LEVELS.index(before.log.level)
        if wordier:
            logs.configure(merged.log.level, merged.log.format)
        self._apply(merged)
        if not self._quiet:
            _tell(names, changeable)
        if merged.log != before.log and not wordier:  # what was just said is said by the level of before
            logs.configure(merged.log.level, merged.log.format)
        return True

    def _compare(self, before: SettingsT, after: SettingsT) -> tuple[Sequence[str], Collection[str]]:
        """Return the names of all that differs, and of what of it can be changed. Raises ConfigError."""
        names = changed_names(before, after)
        return names, {name for name in names if name.startswith("log.")}

    def _apply(self, merged: SettingsT) -> None:
        """Put these settings into effect. Nothing can be wrong with them any more."""


def _tell(names: Sequence[str], changeable: Collection[str]) -> None:
    changed = [name for name in names if name in changeable]
    waiting = [name for name in names if name not in changeable]
    _log.info("settings_reload", changed=", ".join(changed) or "nothing")
    if waiting:
        _log.warning("pending_restart", settings=", ".join(waiting))
