"""Load one TOML file for monitor and gateway, overridden by the environment; explain mistakes.

``CALLMON_REDIS__URL`` overrides ``url`` in ``[redis]``; :mod:`monitor.shared.settings.environment`
has the rules. Each program reads its own sections and knows the names of the other's, so that a
misspelt section or setting is always found.

If no file is named, two places are searched: ``/etc/callmon/callmon.toml``, then
``./callmon.toml``. The first file that exists is read, and no other one.
"""

from __future__ import annotations

import os
import tomllib
import unicodedata
from collections.abc import Collection, Iterator
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeGuard, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from monitor.shared.errors import ConfigError
from monitor.shared.redis.redis_target import RedisTarget
from monitor.shared.settings import environment
from monitor.shared.settings.environment import Merged, Place
from monitor.shared.settings.renamed import new_name

_SECRET_WORDS = ("secret", "password", "digest", "url")
_RIGHT = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "write a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "write a number, without a unit"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "write true or false"),
    **dict.fromkeys(("string_type", "path_type"), "write text, in quotation marks"),
    **dict.fromkeys(("tuple_type", "frozen_set_type"), 'write a list, such as ["…", "…"]'),
    "dict_type": 'write a table in braces, such as {{ "…" = … }}',
    "model_type": "a section with settings of its own belongs here",
    "literal_error": "write {expected}",
    "greater_than": "write more than {last}",
    "greater_than_equal": "write {last} or more",
    "less_than": "write less than {last}",
    "less_than_equal": "write {last} or less",
    "string_too_short": "give it a value, or leave it out",
    "string_too_long": "write at most {max_length} characters",
    "too_short": "write at least one, or leave it out",
    "ip_any_network": 'write a network such as "192.0.2.0/24", or an address such as "192.0.2.7"; '
    "the bits of the address behind the length are 0",
}
"""Pydantic's kinds of mistakes, and what would be right. ``last``: the last word of its text."""
_RIGHT_TIME = "write a time with its zone, such as 2030-01-01T00:00:00Z"
_RIGHT_PATTERNS = {
    "digest": 'write the SHA-256 of the key, 64 small hexadecimal digits: printf %s "$KEY" | '
    "sha256sum",
    "origins": 'write an origin, such as "https://wall.example.com" without a path, or "*"',
    "name": 'write small letters, digits, "-" and "_", at most 32, such as "main"',
}
"""Endings of the names of settings that must have a form, and that form."""
_ETC = "CALLMON_ETC"
"""Environment variable: a directory to use in place of ``/etc/callmon``."""
_TOML_HINTS = {
    "Invalid value": "; put text in quotation marks",
    "Unescaped": r"; write \\ for \, or the whole text in '…'",
    "Cannot overwrite": "; is a setting there twice? [pbx.database] and [pbx.figures] must come "
    "after their [[pbx]]",
    "Cannot declare": "; is a section there twice? A section that may be repeated has two pairs "
    "of brackets: [[pbx]]",
    "Illegal character": "; the quotation mark at the end of the text is missing",
    "Unterminated": "; the quotation mark at the end of the text is missing",
    "Expected '=' after a key": '; write name = value, the name without blanks: client_id = "…"',
    "Expected newline": "; a number has a point, no comma and no unit; text is in quotation marks",
    "Invalid statement": "; a line is a setting (name = value), a section ([redis]) or a comment "
    "(# …)",
    "Invalid initial character": "; a section is written without blanks: [redis], [[pbx]]",
    "at the end of a": "; a section ends with as many brackets as it begins with: [redis], [[pbx]]",
}
"""Parts of the parser's messages, and what to do about them."""
CREDENTIALS = Path("/run/credentials/callmon-monitor.service")
"""The directory in which systemd shows the monitor its secrets: each file NAME of
``/etc/callmon/pbx`` as ``pbx_NAME``."""


def secret_in(file: Path) -> str:
    """Return the secret that a file holds.

    Raises OSError. Raises ValueError if the file is empty, is not text or has several lines.

    A credential of callmon-monitor.service exists while that unit runs, with the content that it
    had when the unit started. For an administrator at a shell, it is read from the file from which
    the unit takes it. So a secret that was changed there is the one that is tried.
    """
    source = _source_of(file)
    if source is None:
        return _one_line_of(file)
    if os.environ.get("CREDENTIALS_DIRECTORY") == str(CREDENTIALS):  # the unit itself
        try:
            return _one_line_of(file)
        except FileNotFoundError:
            raise ValueError(
                f"is not there: {file}; put the secret into {source} and restart the unit"
            ) from None
    try:
        return _one_line_of(source)
    except FileNotFoundError:
        if not _is_there(file):
            raise
        return _one_line_of(file)


def outdated(file: Path) -> bool:
    """Return whether callmon-monitor.service runs with an outdated secret.

    Then the file from which the unit takes it has another one by now.
    """
    source = _source_of(file)
    try:
        return source is not None and _one_line_of(source) != _one_line_of(file)
    except (OSError, ValueError):
        return False  # the unit does not run, or another check reports it


def _source_of(file: Path) -> Path | None:
    """Return the file from which systemd makes this credential; None if it is not a credential."""
    if file.parent != CREDENTIALS or not file.name.startswith("pbx_"):
        return None
    return _etc() / "pbx" / file.name.removeprefix("pbx_")


def not_read(error: OSError | ValueError) -> str:
    """Return why a secret's file cannot be used, and what would be right.

    ``error``: raised by :func:`secret_in`.
    """
    if not isinstance(error, OSError):
        return str(error)
    said = f"cannot be read: {error.strerror}: {Path(error.filename).absolute()}"
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        return f"{said}; run this with sudo, or give the file to the user that the monitor runs as"
    return said


def _one_line_of(file: Path) -> str:
    try:
        text = file.read_text(
            encoding="utf-8-sig"
        ).strip()  # editors of Windows begin a file with a mark
    except UnicodeDecodeError:
        raise ValueError(f"is not text: {file}; it must hold only the secret") from None
    if not text:
        raise ValueError(f"is empty: {file}; it must hold only the secret")
    if len(text.splitlines()) > 1:
        raise ValueError(f"has several lines: {file}; it must hold only the secret")
    return text


def places() -> tuple[Path, ...]:
    """Return the places where a settings file is looked for, in this order."""
    return _etc() / "callmon.toml", Path("callmon.toml")


def found_files() -> list[Path]:
    """Return the absolute paths of the settings files that exist. The first one counts.

    A file that exists but cannot be read is included: leaving it out would hide the problem.
    """
    there = (path.absolute() for path in places() if _is_there(path))
    return list(dict.fromkeys(there))


def no_pbx(config: Path | None) -> str:
    """Return a text: the settings have no PBX, and where they come from.

    ``config``: the file that was read, or None.
    """
    return missing("[[pbx]] section", config)


def missing(what: str, config: Path | None) -> str:
    """Return a text: the settings do not have this, and where they come from.

    ``config``: the file that was read, or None.
    """
    if config is not None:
        return f"There is no {what} in {config}"
    looked = " nor ".join(str(path.absolute()) for path in places())
    return f"There is no {what}, as no settings file was found: neither {looked}"


def _etc() -> Path:
    return Path(os.environ.get(_ETC) or "/etc/callmon")


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # such as a directory that others may not look into
        return True
    return True


class Section(BaseModel):
    """Hold one section of the file: frozen, with no settings but those that it declares."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_empty_names(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse an empty path, which would mean the working directory, and an empty secret.

        Refuse ``~`` too: no shell makes the home directory of it, and a directory of that name
        would be made. Control characters are in no name, path or secret.
        """
        annotation = cls.model_fields[info.field_name or ""].annotation
        kinds = {annotation, *getattr(annotation, "__args__", ())}
        if value == "" and {Path, SecretStr} & kinds:
            raise ValueError("give it a value, or leave it out")
        if not isinstance(value, str):
            return value
        if Path in kinds and value.startswith("~"):
            raise ValueError("~ means nothing here; write the whole path, from / on")
        if any(unicodedata.category(character) == "Cc" for character in value.strip()):
            raise ValueError("a line end or another control character is in it; write it without")
        return value


class RedisSection(Section):
    """Hold ``[redis]``: the address of the bus."""

    url: str = Field(default="redis://127.0.0.1:6379/0", min_length=1)
    """``redis://[user:password@]host:port/db``, ``rediss://`` for TLS, or ``unix://path``. For
    Sentinels and Clusters: as :mod:`monitor.shared.redis.redis_target` takes them."""
    ca_file: Path | None = None
    """Certificates of the CA that signs the servers' certificates, in place of the system's."""

    @field_validator("url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        try:
            RedisTarget.parse(value)
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("redis url: ").removesuffix(".")) from None
        return value


class LogSection(Section):
    """Hold ``[log]``: what both programs log, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["human", "json"] = "human"


_Port = Annotated[int, Field(ge=1, le=65_535)]


class MetricsSection(Section):
    """Hold ``[metrics]``: where each program serves ``/metrics`` for Prometheus.

    Each program has a port of its own, and it is not the gateway's public port: a proxy in front of
    that one would show the day's statistics to the world. No key is asked for, so the default
    address is this host's own.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    monitor_port: _Port | None = None
    """Port of the monitor's metrics; None if it serves none."""
    gateway_port: _Port | None = None
    """Port of the gateway's metrics; None if it serves none. With several workers, each takes the
    next port, beginning with this one."""


class FileSettings(BaseModel):
    """Hold the settings that both programs share; the base of their own settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    redis: RedisSection = RedisSection()
    log: LogSection = LogSection()
    metrics: MetricsSection = MetricsSection()

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Load the file, if one is given, and the environment.

        Raises ConfigError with a sentence for each mistake.
        """
        values = _read(path) if path is not None else {}
        merged = environment.merge(cls, values, os.environ)
        wrong = merged.wrong
        try:
            settings = cls.model_validate(merged.values)
        except ValidationError as error:
            wrong = [
                *wrong,
                *(_sentence(cls, detail, path, values, merged) for detail in error.errors()),
            ]
        else:
            if not wrong:
                return settings
        raise ConfigError("\n".join(wrong))

    @classmethod
    def from_environment(cls) -> list[str]:
        """Return the names of the variables that give settings."""
        return environment.names(cls, os.environ)


_ModelT = TypeVar("_ModelT", bound=BaseModel)


def changed_names(before: BaseModel, after: BaseModel) -> tuple[str, ...]:
    """Return the names of the settings that differ, such as ``log.level`` and ``pbx.main.url``.

    An entry of a list is called by its ``name``. A section that was added or removed is named as a
    whole. Sections of the other program, which are not checked here, are left out.
    """
    return tuple(_changed(before, after, ""))


def with_changes(before: _ModelT, after: _ModelT, names: Collection[str]) -> _ModelT:
    """Return ``before`` with the values of ``after`` for these names.

    ``names``: as :func:`changed_names` returns them.
    """
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
        pairs = (
            (field, getattr(before, field), getattr(after, field)) for field in _own_fields(before)
        )
        fields = {
            field: _merged(old, new, names, _joined(name, field)) for field, old, new in pairs
        }
        return before.model_copy(update=fields)
    if _is_list(before) and _is_list(after):
        old, new = _by_name(before), _by_name(after)
        entries = (
            _merged(old.get(each), new.get(each), names, _joined(name, each)) for each in old | new
        )
        return tuple(entry for entry in entries if entry is not None)
    return before


def _own_fields(model: BaseModel) -> list[str]:
    """Return the names of the fields that this program reads."""
    return [name for name, field in type(model).model_fields.items() if field.annotation is not Any]


def _is_list(value: object) -> TypeGuard[tuple[BaseModel, ...]]:
    """Return whether it is a list of sections with names, such as ``[[pbx]]``."""
    return isinstance(value, tuple) and all(
        isinstance(entry, BaseModel) and hasattr(entry, "name") for entry in value
    )


def _by_name(entries: tuple[BaseModel, ...]) -> dict[str, BaseModel]:
    return {str(getattr(entry, "name", "")): entry for entry in entries}


def _joined(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(
            path.read_text(encoding="utf-8-sig")
        )  # editors of Windows begin it with a mark
    except OSError as error:
        hint = (
            "; let this user read it (chmod a+r), or use sudo"
            if isinstance(error, PermissionError)
            else ""
        )
        raise ConfigError(f"{path}: cannot be read: {error.strerror}{hint}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not TOML: it is not text in UTF-8; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        hint = next((hint for said, hint in _TOML_HINTS.items() if said in str(error)), "")
        raise ConfigError(f"{path}: not TOML: {error}{hint}") from error


def _sentence(
    settings: type[BaseModel],
    detail: ErrorDetails,
    path: Path | None,
    values: dict[str, Any],
    merged: Merged,
) -> str:
    """Return a sentence about one mistake.

    It says where the mistake is (the file or a variable), which setting, what value came, and what
    would be right.
    """
    place = detail["loc"]
    variable = merged.variable_of(place)
    if variable is None:
        guilty = _guilty(settings, detail, path, values, merged)
        where, name = f"{guilty}: " if guilty else "", environment.shown(place)
    elif merged.origins.get(place) == variable and detail["type"] != "extra_forbidden":
        where, name = "", variable
    else:
        where, name = f"{variable}: ", environment.shown(place)
    return where + _mistake(settings, detail, name)


def _guilty(
    settings: type[BaseModel],
    detail: ErrorDetails,
    path: Path | None,
    values: dict[str, Any],
    merged: Merged,
) -> str:
    """Return the source of settings that contradict each other: the file, variables, or several."""
    section = detail["loc"][:-1] if detail["type"] == "missing" else detail["loc"]
    variables = merged.variables_below(section)
    if not section:  # the settings as a whole: only lists of sections can contradict
        lists = [
            name
            for name, info in settings.model_fields.items()
            if environment.entry_in(info.annotation)
        ]
        variables = [variable for name in lists for variable in merged.variables_below((name,))]
    file = [str(path)] if path is not None and (not variables or _is_in(values, section)) else []
    first, *others = [*file, *variables] or [""]
    return f"{first} with {', '.join(others)}" if others else first


def _is_in(values: Any, place: Place) -> bool:
    for part in place:
        try:
            values = values[part]
        except (LookupError, TypeError):
            return False
    return True


def _mistake(settings: type[BaseModel], detail: ErrorDetails, name: str) -> str:
    """Return which setting is wrong, what value came, and what would be right."""
    if detail["type"] == "missing":
        return f"{name} is missing"
    in_file = name == environment.shown(detail["loc"])
    if (
        detail["type"] == "tuple_type"
        and isinstance(detail["input"], dict)
        and _are_entries(settings, name)
    ):
        return f"[{name}] has one pair of brackets too few; write [[{name}]], once for each"
    if detail["type"] == "model_type" and isinstance(detail["input"], list) and in_file:
        return f"[[{name}]] has one pair of brackets too many; write [{name}], once"
    if detail["type"] == "extra_forbidden" and (new := new_name(detail["loc"])) is not None:
        return f"{name} is now {new}"
    if detail["type"] == "extra_forbidden":
        known = _fields_at(settings, detail["loc"][:-1])
        near = get_close_matches(str(detail["loc"][-1]), known, 1, 0.5)
        right = f"did you mean {near[0]}?" if near else "known here: " + ", ".join(sorted(known))
        if name.startswith("redis.") and not near:
            right += (
                "; host, port, user and password stand in url: redis://user:password@host:port/0"
            )
        if section := _right_heading(settings, name):
            return f"[{name}] is not a section by itself; write {section}"
        return f"{name} is not a setting; {right}"
    return f"{name}{_came(detail)}: ".removeprefix(": ") + _right(detail)


def _right(detail: ErrorDetails) -> str:
    """Return what would be right, in the words of the file and not in Python's."""
    kind, said = detail["type"], detail["msg"]
    if kind == "string_pattern_mismatch":
        setting = next((part for part in reversed(detail["loc"]) if isinstance(part, str)), "")
        return next(form for end, form in _RIGHT_PATTERNS.items() if setting.endswith(end))
    if kind.startswith(("date", "timezone")):
        return _RIGHT_TIME
    if kind in _RIGHT:
        return _RIGHT[kind].format(last=said.rpartition(" ")[2], **detail.get("ctx", {}))
    reason = said.removeprefix("Value error, ")
    return reason[0].lower() + reason[1:]


def _came(detail: ErrorDetails) -> str:
    """Return the value that came, unless it is a secret or may contain one."""
    came = detail["input"]
    parts = [part for part in detail["loc"] if isinstance(part, str)]
    secret = any(word in part.lower() for word in _SECRET_WORDS for part in parts) or parts[
        -1:
    ] == ["key"]
    if came == "":
        return " is empty"
    if secret or isinstance(came, dict | list | tuple):
        return ""
    return f" is {str(came).lower() if isinstance(came, bool | date) else repr(came)}"


def _right_heading(settings: type[BaseModel], name: str) -> str:
    """Return the right heading of a section that belongs inside another one.

    Empty if no section contains one of this name.
    """
    for field in settings.model_fields:
        model = _model_of(settings, field)
        if model is not None and _model_of(model, name) is not None:
            after = f", after its [[{field}]]" if _are_entries(settings, field) else ""
            return f"[{field}.{name}]{after}"
    return ""


def _are_entries(settings: type[BaseModel], name: str) -> bool:
    """Return whether there may be several sections of this name."""
    field = settings.model_fields.get(name)
    return field is not None and getattr(field.annotation, "__origin__", None) is tuple


def _model_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the model of a section, or of a list's entries; None if the name is no section's."""
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    return environment.section_in(annotation) or environment.entry_in(annotation)


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the names of the settings that are known at a place of the file."""
    for part in loc:
        if isinstance(part, int):
            continue
        found = _model_of(model, part)
        if found is None:
            return []
        model = found
    return list(model.model_fields)
