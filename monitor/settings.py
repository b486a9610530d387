"""One settings file for monitor and gateway: TOML, overridden by the environment, refused in plain sentences.

``CALLMON_REDIS__URL`` overrides ``url`` in ``[redis]``; lists (``[[pbx]]``) are given as JSON. Each program reads its
own sections and knows the names of the other's, so that a misspelt section or setting is always found.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from monitor.errors import ConfigError

_SECRET_WORDS = ("secret", "password", "digest", "url")


class Section(BaseModel):
    """A section of the file: frozen, and nothing but what it declares."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class RedisSection(Section):
    """``[redis]``: the bus."""

    url: str = "redis://127.0.0.1:6379/0"
    """``redis://[user:password@]host:port/db``, ``rediss://`` for TLS, ``unix://path``."""


class FileSettings(BaseSettings):
    """Base of both programs' settings."""

    model_config = SettingsConfigDict(
        env_prefix="CALLMON_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    redis: RedisSection = RedisSection()

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
        try:
            return cls(**_read(path) if path is not None else {})
        except ValidationError as error:
            where = f"{path}: " if path is not None else ""
            raise ConfigError("\n".join(where + _sentence(cls, detail) for detail in error.errors())) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


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
    shown = "" if any(word in name.lower() for word in _SECRET_WORDS) else f" is {detail['input']!r}"
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
