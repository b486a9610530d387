"""Reload the settings on SIGHUP, and change what can be changed while the process runs.

All is read and checked before anything is applied. Settings that would not allow a start change
nothing. What cannot be changed stays as it is, and is named until a restart has applied it. No
value of a setting is logged.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Collection, Sequence
from typing import Final, Generic, TypeVar

import structlog

from gateway.cli.runtime import logging_setup
from gateway.cli.terminal_output import say
from monitor.shared.errors import ConfigError
from monitor.shared.settings.loader import FileSettings, changed_names, with_changes

_LEVELS: Final = ("debug", "info", "warning", "error")

_log = structlog.get_logger(__name__)

SettingsT = TypeVar("SettingsT", bound=FileSettings)


def on_sighup(answer: Callable[[], object]) -> None:
    """Call ``answer`` on SIGHUP from now on, in place of being killed by it.

    SIGHUP may also mean that the terminal is gone from which this was started. Then the calling
    task is cancelled instead. Otherwise a program would go on that no user sees.
    """
    task, had_terminal = asyncio.current_task(), os.isatty(0)

    def told() -> None:
        if had_terminal and not os.isatty(0) and task is not None:
            task.cancel("SIGHUP")
        else:
            answer()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told)


def nothing_to_reload() -> None:
    """Print that there is no settings file to read again."""
    say(
        "callmon: SIGHUP: there is no settings file to read again; nothing has changed.", error=True
    )


class Reload(Generic[SettingsT]):
    """Compare the settings in effect with those found now, and change what can be changed.

    ``settings``: those in effect. ``load``: reads them again; raises ConfigError. ``quiet``:
    another process logs the result. Nothing is done before :meth:`begin`.
    """

    def __init__(
        self, settings: SettingsT, load: Callable[[], SettingsT], *, quiet: bool = False
    ) -> None:
        self._settings = settings
        self._load = load
        self._quiet = quiet
        self._begun = self._wanted = False

    def begin(self) -> None:
        """Note that changes can be applied now, and do a reload that was asked for before."""
        self._begun = True
        if self._wanted:
            self()

    def __call__(self) -> bool:
        """Read and apply the settings; return whether that was done.

        Returns False if they are wrong or if :meth:`begin` was not called yet.
        """
        if not self._begun:
            self._wanted = True
            return False
        before = self._settings
        try:
            after = self._load()
            names, changeable = self._compare(before, after)
        except ConfigError as error:
            _log.error(
                "settings_reload_failure",
                reason="; ".join(str(error).splitlines()),
                kept="all as it was",
            )
            return False
        self._settings = merged = with_changes(before, after, changeable)
        wordier = _LEVELS.index(merged.log.level) < _LEVELS.index(before.log.level)
        if wordier:
            logging_setup.configure(merged.log.level, merged.log.format)
        self._apply(merged)
        if not self._quiet:
            _tell(names, changeable)
        if (
            merged.log != before.log and not wordier
        ):  # the lines above are logged with the level of before
            logging_setup.configure(merged.log.level, merged.log.format)
        return True

    def _compare(
        self, before: SettingsT, after: SettingsT
    ) -> tuple[Sequence[str], Collection[str]]:
        """Return the names of all settings that differ, and of those that can be changed.

        Raises ConfigError.
        """
        names = changed_names(before, after)
        return names, {name for name in names if name.startswith("log.")}

    def _apply(self, merged: SettingsT) -> None:
        """Put these settings into effect. They have been checked already."""


def _tell(names: Sequence[str], changeable: Collection[str]) -> None:
    changed = [name for name in names if name in changeable]
    waiting = [name for name in names if name not in changeable]
    _log.info("settings_reload", changed=", ".join(changed) or "nothing")
    if waiting:
        _log.warning("pending_restart", settings=", ".join(waiting))
