"""One settings file for monitor and gateway: TOML, overridden by the environment, refused in plain sentences.

``CALLMON_REDIS__URL`` overrides ``url`` in ``[redis]``; lists (``[[pbx]]``) are given as JSON. Each program reads its
own sections and knows the names of the other's, so that a misspelt section or setting is always found.
"""

from __future__ import annotations

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from monitor.errors import ConfigError

_PREFIX = "CALLMON_"
_SECRET_WORDS = ("secret", "password", "digest", "url")
_TOML_HINTS = {
    "Invalid value": "; text stands in quotation marks",
    "Unescaped": r"; write \\ for \, or the whole text in '…'",
    "Cannot overwrite": "; is a setting there twice? [pbx.database] and [pbx.figures] stand after their [[pbx]]",
    "Cannot declare": "; is a section there twice? What may be there several times has two pairs of brackets: [[pbx]]",
}
"""What to do about what the parser says."""
CREDENTIALS = Path("/run/credentials/callmon-monitor.service")
"""Where systemd shows the monitor its secrets: each file NAME of ``/etc/callmon/pbx`` as ``pbx_NAME``."""


def secret_in(file: Path) -> str:
    """What a file holds. Raises OSError, and ValueError if that is nothing, no text or several lines.

    A credential of callmon-monitor.service is there while that runs, and only then. To an administrator at a shell, who
    checks before the first start or records while the monitor is stopped, it is read where the unit has it from.
    """
    try:
        return _one_line_of(file)
    except FileNotFoundError:
        if file.parent != CREDENTIALS or not file.name.startswith("pbx_"):
            raise
        return _one_line_of(Path(os.environ.get("CALLMON_ETC", "/etc/callmon"), "pbx", file.name.removeprefix("pbx_")))


def not_read(error: OSError | ValueError) -> str:
    """Return why a secret's file is of no use, and what would be right. ``error``: of :func:`secret_in`."""
    if not isinstance(error, OSError):
        return str(error)
    said = f"cannot be read: {error.strerror}: {error.filename}"
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        return f"{said}; run this with sudo, or give the file to the user that the monitor runs as"
    return said


def _one_line_of(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8-sig").strip()  # editors of Windows begin a file with a mark
    except UnicodeDecodeError:
        raise ValueError(f"is no text: {file}; it must hold the secret alone") from None
    if not text:
        raise ValueError(f"is empty: {file}; it must hold the secret alone")
    if len(text.splitlines()) > 1:
        raise ValueError(f"has several lines: {file}; it must hold the secret alone")
    return text


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


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors of Windows begin it with a mark
    except OSError as error:
        sudo = "; run this with sudo" if isinstance(error, PermissionError) and os.geteuid() != 0 else ""
        raise ConfigError(f"{path}: cannot be read: {error.strerror}{sudo}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not TOML: it is no text in UTF-8; save it as that") from error
    except tomllib.TOMLDecodeError as error:
        hint = next((hint for said, hint in _TOML_HINTS.items() if said in str(error)), "")
        raise ConfigError(f"{path}: not TOML: {error}{hint}") from error


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
    if detail["type"] == "tuple_type" and isinstance(detail["input"], dict) and _are_entries(settings, name):
        return f"[{name}] has one pair of brackets too few; write [[{name}]], once for each"
    if detail["type"] == "model_type" and isinstance(detail["input"], list):
        return f"[[{name}]] has one pair of brackets too many; write [{name}], once"
    if detail["type"] == "extra_forbidden":
        known = _fields_at(settings, detail["loc"][:-1])
        near = get_close_matches(str(detail["loc"][-1]), known, 1, 0.5)
        right = f"did you mean {near[0]}?" if near else "known here: " + ", ".join(sorted(known))
        if name.startswith("redis."):
            right += "; host, port, user and password stand in url: redis://user:password@host:port/0"
        if section := _right_heading(settings, name):
            return f"[{name}] is no section of its own; write {section}"
        return f"{name} is not a setting; {right}"
    if detail["type"] == "string_pattern_mismatch" and name.startswith("pbx["):
        return f'{name} is {detail["input"]!r}: write small letters, digits, "-" and "_", at most 32, such as "main"'
    secret = any(word in name.lower() for word in _SECRET_WORDS)
    whole_section = isinstance(detail["input"], dict | list | tuple)  # with whatever secrets stand in it
    shown = "" if secret or whole_section else f" is {detail['input']!r}"
    reason = detail["msg"].removeprefix("Value error, ")
    return f"{name}{shown}: {reason[0].lower()}{reason[1:]}"


def _right_heading(settings: type[BaseModel], name: str) -> str:
    """Return the heading of the section of this name inside another one; empty if there is none."""
    for field in settings.model_fields:
        model = _model_of(settings, field)
        if model is not None and _model_of(model, name) is not None:
            after = f", after its [[{field}]]" if _are_entries(settings, field) else ""
            return f"[{field}.{name}]{after}"
    return ""


def _are_entries(settings: type[BaseModel], name: str) -> bool:
    """Whether there may be several sections of this name."""
    field = settings.model_fields.get(name)
    return field is not None and getattr(field.annotation, "__origin__", None) is tuple


def _model_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the model of a section's or of its entries' settings; None if the name is no section's."""
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    inner = [annotation, *getattr(annotation, "__args__", ())]
    return next((t for t in inner if isinstance(t, type) and issubclass(t, BaseModel)), None)


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Names of the settings that are known at a place of the file."""
    for part in loc:
        if isinstance(part, int):
            continue
        found = _model_of(model, part)
        if found is None:
            return []
        model = found
    return list(model.model_fields)
