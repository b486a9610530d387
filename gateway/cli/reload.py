"""SIGHUP: the settings are read anew, and what can be changed while the process goes on is changed.

All is read and checked before anything is applied: settings that could not be started with change nothing. What cannot
be changed stays as it is, and is named until a restart has applied it. No value of a setting is logged.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Generic, TypeVar

import structlog

from gateway.cli.terminal import say
from gateway.config import GatewaySettings
from gateway.run import Gateway
from monitor import logs
from monitor.config import MonitorSettings, PbxSection
from monitor.errors import ConfigError
from monitor.pbx.secret import Secret
from monitor.run import Watched, database, password_of, secret_of
from monitor.settings import FileSettings, changed_names, with_changes

_STREAM_LIMITS: Final = frozenset(
    (
        *("connections", "connections_per_key", "messages_at_once", "messages_per_second"),
        *("messages_at_once_per_key", "messages_per_second_per_key", "silence", "oldest", "origins"),
    )
)
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


class GatewayReload(Reload[GatewaySettings]):
    """The gateway's: keys, budgets, the stream's limits, the log. Of several workers' parent: it serves nothing."""

    _gateway: Gateway | None = None

    def serves(self, gateway: Gateway) -> None:
        """Begin, with what is to be changed."""
        self._gateway = gateway
        self.begin()

    def _compare(self, before: GatewaySettings, after: GatewaySettings) -> tuple[Sequence[str], Collection[str]]:
        names, changeable = super()._compare(before, after)
        if not after.pbx_names:
            raise ConfigError("There is no [[pbx]] section: nothing to serve.")
        # A key for a PBX that is not served yet waits for it.
        waiting = {f"keys.{key.name}" for key in after.keys if key.pbx not in before.pbx_names}
        keys = {f"keys.{key.name}" for key in (*before.keys, *after.keys)} - waiting
        return names, {*changeable, *(name for name in names if _is_limit(name) or _is_within(name, keys))}

    def _apply(self, merged: GatewaySettings) -> None:
        if self._gateway is not None:
            self._gateway.change([section.api_key() for section in merged.keys], merged.gateway)


class MonitorReload(Reload[MonitorSettings]):
    """The monitor's: the secrets of its PBXs and their databases, and the log."""

    def __init__(self, settings: MonitorSettings, load: Callable[[], MonitorSettings]) -> None:
        super().__init__(settings, load)
        self._watched: Mapping[str, Watched] = {}
        self._renewed: list[tuple[Secret, str]] = []

    def watches(self, watched: Sequence[Watched]) -> None:
        """Begin, with what is to be changed."""
        self._watched = {one.service.pbx: one for one in watched}
        self.begin()

    def _compare(self, before: MonitorSettings, after: MonitorSettings) -> tuple[Sequence[str], Collection[str]]:
        names, changeable = super()._compare(before, after)
        if not after.pbx:
            raise ConfigError("There is no [[pbx]] section: nothing to watch.")
        read = {section.name: (secret_of(section), password_of(section)) for section in after.pbx}
        for section in after.pbx:
            database(section)
        held = {section.name: section for section in before.pbx}
        self._renewed = []
        renewed: set[str] = set()
        for section in after.pbx:
            if (old := held.get(section.name)) is not None:
                secret, password = read[section.name]
                renewed |= self._renew(old, section, secret, password)
        in_files = [name for name in sorted(renewed) if name.endswith("_file") and name not in names]
        return (*names, *in_files), {*changeable, *renewed}

    def _renew(self, old: PbxSection, new: PbxSection, secret: str, password: str | None) -> set[str]:
        """Remember the secrets that are to be exchanged; the names of the settings that this takes over.

        A secret goes with who uses it where: it waits for a restart where that has changed too.
        """
        one, taken = self._watched[old.name], set[str]()
        if _client(old) == _client(new):
            given = ("key", "key_file") if new.webapi else ("client_secret", "client_secret_file")
            taken |= _taken(f"pbx.{old.name}.", given, old, new, changed=secret != one.secret.text)
            self._renewed.append((one.secret, secret))
        if one.password is not None and password is not None and _role(old) == _role(new):
            changed = password != one.password.text
            given = ("password", "password_file")
            taken |= _taken(f"pbx.{old.name}.database.", given, old.database, new.database, changed=changed)
            self._renewed.append((one.password, password))
        return taken

    def _apply(self, merged: MonitorSettings) -> None:
        for secret, text in self._renewed:
            secret.exchange(text)


def _tell(names: Sequence[str], changeable: Collection[str]) -> None:
    changed = [name for name in names if name in changeable]
    waiting = [name for name in names if name not in changeable]
    _log.info("settings_reload", changed=", ".join(changed) or "nothing")
    if waiting:
        _log.warning("pending_restart", settings=", ".join(waiting))


def _is_limit(name: str) -> bool:
    stream = name.removeprefix("gateway.stream.")
    return name.startswith("gateway.budgets.") or (stream != name and stream in _STREAM_LIMITS)


def _is_within(name: str, sections: Collection[str]) -> bool:
    """Tell whether it is one of these sections, or stands in one."""
    return any(name == section or name.startswith(f"{section}.") for section in sections)


def _client(section: PbxSection) -> tuple[object, ...]:
    """Return who asks which PBX, and how."""
    return section.url, section.client_id, section.source, section.webapi


def _role(section: PbxSection) -> tuple[object, ...]:
    """Return who asks which database."""
    given = section.database
    return () if given is None else (given.host or section.url, given.port, given.name, given.user)


def _taken(prefix: str, fields: Sequence[str], old: object, new: object, *, changed: bool) -> set[str]:
    """Return the names of those settings that differ, or whose file holds another text."""
    differ = {field for field in fields if getattr(old, field) != getattr(new, field)}
    if changed and not differ:
        differ = {field for field in fields if field.endswith("_file")}
    return {prefix + field for field in differ}
