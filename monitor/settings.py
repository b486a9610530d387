"""One settings file for monitor and gateway: TOML, overridden by the environment, refused in plain sentences.

``CALLMON_REDIS__URL`` overrides ``url`` in ``[redis]``; lists (``[[pbx]]``) are given as JSON. Each program reads its
own sections and knows the names of the other's, so that a misspelt section or setting is always found.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeGuard, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from monitor.errors import ConfigError

_PREFIX = "CALLMON_"
_SECRET_WORDS = ("secret", "password", "digest", "url")
CREDENTIALS = Path("/run/credentials/callmon-monitor.service")
"""Where systemd shows the monitor its secrets: each file NAME of ``/etc/callmon/pbx`` as ``pbx_NAME``."""


def secret_in(file: Path) -> str:
    """What a file holds. Raises OSError.

    A credential of callmon-monitor.service is there while that runs, and only then. To an administrator at a shell, who
    checks before the first start or records while the monitor is stopped, it is read where the unit has it from.
    """
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        if file.parent != CREDENTIALS or not file.name.startswith("pbx_"):
            raise
        kept = Path(os.environ.get("CALLMON_ETC", "/etc/callmon"), "pbx", file.name.removeprefix("pbx_"))
        return kept.read_text(encoding="utf-8").strip()


class Section(BaseModel):
    """A section of the file: frozen, and nothing but what it declares."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class RedisSection(Section):
    """``[redis]``: the bus."""

    url: str = "redis://127.0.0.1:6379/0"
    """``redis://[user:password@]host:port/db``, ``rediss://`` for TLS, ``unix://path``; Sentinels and Clusters as
    :mod:`monitor.servers` takes them."""
    ca_file: Path | None = None
    """Certificates of who signs the servers', in place of the system's."""


class LogSection(Section):
    """``[log]``: what is logged, by both programs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["human", "json"] = "human"


_Port = Annotated[int, Field(ge=1, le=65_535)]


class MetricsSection(Section):
    """``[metrics]``: ``/metrics`` for Prometheus, of both programs, each on a port of its own.

    Not on the gateway's own port: what stands before that would show the figures of the day to the world. No key is
    asked for, so the address is this host's until somebody says otherwise.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    monitor_port: _Port | None = None
    """None: the monitor serves none."""
    gateway_port: _Port | None = None
    """None: the gateway serves none. Of several workers each takes the next port, from this one on."""


class FileSettings(BaseSettings):
    """Base of both programs' settings."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    redis: RedisSection = RedisSection()
    log: LogSection = LogSection()
    metrics: MetricsSection = MetricsSection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        return env_settings, init_settings

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Read the file, if one is given, and the environment. Raises ConfigError: a sentence for each thing wrong."""
        _check_environment(cls)
        try:
            return cls(**_read(path) if path is not None else {})
        except SettingsError as error:
            raise ConfigError(f"The environment: {error}; lists and whole sections are given as JSON") from None
        except ValidationError as error:
            where = f"{path}: " if path is not None else ""
            raise ConfigError("\n".join(where + _sentence(cls, detail) for detail in error.errors())) from None


_ModelT = TypeVar("_ModelT", bound=BaseModel)


def changed_names(before: BaseModel, after: BaseModel) -> tuple[str, ...]:
    """Return the names of the settings that differ, such as ``log.level`` and ``pbx.main.url``.

    An entry of a list bears its name. A section that came or went is named as a whole; one of the other program, which
    is read as it comes, is left out.
    """
    return tuple(_changed(before, after, ""))


def with_changes(before: _ModelT, after: _ModelT, names: Collection[str]) -> _ModelT:
    """Return ``before`` with the values of ``after`` for these names, as :func:`changed_names` gives them."""
    merged: _ModelT = _merged(before, after, frozenset(names), "")
    return merged


def _changed(before: object, after: object, name: str) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, BaseModel) and type(before) is type(after):
        for field in _own_fields(before):
            yield from _changed(getattr(before, field), getattr(after, field), _joined(name, field))
    elif _is_list(before) and _is_list(after):
        old, new = _by_name(before), _by_name(after)
        for each in old | new:
            yield from _changed(old.get(each), new.get(each), _joined(name, each))
    else:
        yield name


def _merged(before: Any, after: Any, names: frozenset[str], name: str) -> Any:
    if name in names:
        return after
    if isinstance(before, BaseModel) and type(before) is type(after):
        pairs = ((field, getattr(before, field), getattr(after, field)) for field in _own_fields(before))
        fields = {field: _merged(old, new, names, _joined(name, field)) for field, old, new in pairs}
        return before.model_copy(update=fields)
    if _is_list(before) and _is_list(after):
        old, new = _by_name(before), _by_name(after)
        entries = (_merged(old.get(each), new.get(each), names, _joined(name, each)) for each in old | new)
        return tuple(entry for entry in entries if entry is not None)
    return before


def _own_fields(model: BaseModel) -> list[str]:
    """Return the names of the fields that this program reads."""
    return [name for name, field in type(model).model_fields.items() if field.annotation is not Any]


def _is_list(value: object) -> TypeGuard[tuple[BaseModel, ...]]:
    """Tell whether it is a list of sections with names, such as ``[[pbx]]``."""
    return isinstance(value, tuple) and all(isinstance(entry, BaseModel) and hasattr(entry, "name") for entry in value)


def _by_name(entries: tuple[BaseModel, ...]) -> dict[str, BaseModel]:
    return {str(getattr(entry, "name", "")): entry for entry in entries}


def _joined(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def _check_environment(settings: type[BaseSettings]) -> None:
    """Refuse CALLMON_X__Y if there is no section X. Names without ``__`` may be Kubernetes' (CALLMON_SERVICE_HOST)."""
    known = list(settings.model_fields)
    for name in os.environ:
        section, nested, _ = name.removeprefix(_PREFIX).lower().partition("__")
        if name.startswith(_PREFIX) and nested and section not in known:
            near = get_close_matches(section, known, 1, 0.5)
            right = f"did you mean {_PREFIX}{near[0].upper()}__…?" if near else "sections: " + ", ".join(known)
            raise ConfigError(f"{name} is not a setting; {right}")


def _sentence(settings: type[BaseModel], detail: ErrorDetails) -> str:
    """One mistake: which setting, what came, what would be right."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
    if detail["type"] == "missing":
        return f"{name} is missing"
    if detail["type"] == "extra_forbidden":
        known = _fields_at(settings, detail["loc"][:-1])
        near = get_close_matches(str(detail["loc"][-1]), known, 1, 0.5)
        right = f"did you mean {near[0]}?" if near else "known here: " + ", ".join(sorted(known))
        return f"{name} is not a setting; {right}"
    secret = any(word in name.lower() for word in _SECRET_WORDS)
    whole_section = isinstance(detail["input"], dict | list | tuple)  # with whatever secrets stand in it
    shown = "" if secret or whole_section else f" is {detail['input']!r}"
    reason = detail["msg"].removeprefix("Value error, ")
    return f"{name}{shown}: {reason[0].lower()}{reason[1:]}"


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Names of the settings that are known at a place of the file."""
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        inner = [annotation, *getattr(annotation, "__args__", ())]
        found = next((t for t in inner if isinstance(t, type) and issubclass(t, BaseModel)), None)
        if found is None:
            return []
        model = found
    return list(model.model_fields)
