"""Read settings from the environment: ``CALLMON_GATEWAY__PORT=8080`` is ``port`` in ``[gateway]``.

- ``__`` parts the names. An entry of a list is named by its number: ``CALLMON_PBX__0__URL``.
- Lists, tables and whole sections are given as JSON: ``CALLMON_GATEWAY__CORS_ORIGINS='["*"]'``.
- A variable wins over the file, and a single setting wins over a whole section.
- A section of the other program is declared as ``Any`` and left to that program.
- The old name of a renamed setting is refused, and the new one is given.
- A variable with a single ``_`` may belong to Kubernetes (``CALLMON_SERVICE_HOST``) and is ignored.
  But it is refused if it would be the name of a setting with ``__`` in place of ``_``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import UnionType
from typing import Any, Final, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel

from monitor.shared.settings.renamed import RENAMED, new_name

PREFIX: Final = "CALLMON_"
Place: TypeAlias = tuple[int | str, ...]
"""The place of a setting: ``("pbx", 0, "url")``."""

_COLLECTIONS: Final = (tuple, list, frozenset, set, dict)


@dataclass(frozen=True, slots=True)
class Merged:
    """Hold the file's values with those of the environment over them.

    ``wrong``: a sentence for each mistake.
    """

    values: dict[str, Any]
    origins: dict[Place, str] = field(default_factory=dict)
    """Place of a setting → the variable that gave it."""
    wrong: list[str] = field(default_factory=list)

    def variable_of(self, place: Place) -> str | None:
        """Return the variable that gave this setting, or the list or section that contains it."""
        parents = (place[:end] for end in range(len(place), 0, -1))
        return next((self.origins[parent] for parent in parents if parent in self.origins), None)

    def variables_below(self, place: Place) -> list[str]:
        """Return the variables that gave a part of this section."""
        names = (name for at, name in self.origins.items() if at[: len(place)] == place)
        return list(dict.fromkeys(names))


class _Mistake(Exception):
    """Signal that a variable is wrong; the text says how, and what would be right."""


def merge(model: type[BaseModel], values: dict[str, Any], environ: Mapping[str, str]) -> Merged:
    """Return the file's values with those of the environment over them."""
    found: list[tuple[Place, str, Any]] = []
    merged = Merged(values)
    for name, text in environ.items():
        try:
            found += ((place, name, value) for place, value in _read(model, name, text))
        except _Mistake as mistake:
            merged.wrong.append(str(mistake))
    result: Any = values
    # A section sorts before its settings, and so do the entries of a list: 0, 1, 2 … Of two
    # variables that give one setting, the one of the whole section sorts before.
    for place, name, value in sorted(found, key=lambda one: (one[0], one[1].count("__"))):
        try:
            result = _put(result, place, value)
        except IndexError as error:
            merged.wrong.append(f"{name}: there is no {shown(place[:2])}; the next one is {error}")
        else:
            merged.origins[place] = name
    return Merged(result, merged.origins, merged.wrong)


def names(model: type[BaseModel], environ: Mapping[str, str]) -> list[str]:
    """Return the names of all variables that are meant as settings, sorted."""
    return sorted(name for name in environ if _parts(model, name) is not None)


def shown(place: Place) -> str:
    """Return a place as people write it: ``pbx[0].url``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(
        "."
    )


def section_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a setting is, or None if it is not one."""
    members = _members(annotation)
    return next(
        (one for one in members if isinstance(one, type) and issubclass(one, BaseModel)), None
    )


def entry_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section of each entry if the setting is a list of sections, else None."""
    lists = (one for one in _members(annotation) if get_origin(one) is tuple)
    return next(
        (section for one in lists if (section := section_in(get_args(one)[0])) is not None), None
    )


def _read(model: type[BaseModel], name: str, text: str) -> Iterator[tuple[Place, Any]]:
    """Yield the settings that a variable gives. Raises _Mistake."""
    parts = _parts(model, name)
    if parts is None:
        _refuse_single_underscore(model, name, text)
        return
    found = _target(model, name, parts)
    if found is None:
        return
    place, annotation = found
    if section_in(annotation) is None and not _is_collection(annotation):
        yield place, text
        return
    yield from _settings(place, annotation, _parsed(name, text, annotation))


def _parts(model: type[BaseModel], name: str) -> list[str] | None:
    upper = name.upper()
    parts = upper.removeprefix(PREFIX).lower().split("__")
    meant = upper.startswith(PREFIX) and (len(parts) > 1 or parts[0] in model.model_fields)
    return parts if meant else None


def _target(model: type[BaseModel], name: str, parts: list[str]) -> tuple[Place, Any] | None:
    """Find the setting to which the names lead. Raises _Mistake.

    None if it is left to the other program.
    """
    place: Place = ()
    here: Any = model
    for part in parts:
        entry, section = entry_in(here), section_in(here)
        if entry is not None:
            if not (part.isascii() and part.isdecimal()):
                example = f"{_variable(place)}__0"
                raise _Mistake(f"{name} is not a setting; an entry has a number, such as {example}")
            place, here = (*place, int(part)), entry
        elif section is None:
            raise _Mistake(f"{name} is not a setting; {_variable(place)} is one, and has no parts")
        elif part in section.model_fields:
            place, here = (*place, part), section.model_fields[part].annotation
            if here is Any:
                return None
        elif section.model_config.get("extra") == "ignore":
            return None
        elif (new := new_name((*place, part))) is not None:
            raise _Mistake(f"{name} is now {_variable((*place, new))}")
        else:
            raise _Mistake(
                f"{name} is not a setting; {_right(place, part, list(section.model_fields))}"
            )
    return place, here


def _right(place: Place, part: str, known: list[str]) -> str:
    whole = part.removesuffix("_file")
    if whole != part and whole in known:
        return (
            "only the package's /usr/bin/callmon and the image read a setting from a file; give "
            f'{_variable((*place, whole))}="$(cat FILE)"'
        )
    near = get_close_matches(part, known, 1, 0.5)
    if near:
        end = "" if place else "__…"
        return f"did you mean {_variable((*place, near[0]))}{end}?"
    return f"known {'here' if place else 'sections'}: {', '.join(sorted(known))}"


def _refuse_single_underscore(model: type[BaseModel], name: str, text: str) -> None:
    if text.startswith("tcp://"):
        return
    single: dict[Place, Place] = {place: place for place in _single_settings(model)}
    for old, new in RENAMED.items():
        *section, last = old.split(".")
        if (*section, new) in single:
            single[*section, last] = (*section, new)
    for place, right in single.items():
        if name == PREFIX + "_".join(map(str, place)).upper():
            raise _Mistake(f"{name} is not a setting; did you mean {_variable(right)}?")


def _single_settings(section: type[BaseModel], at: Place = ()) -> Iterator[Place]:
    for name, info in section.model_fields.items():
        inner = section_in(info.annotation)
        if inner is not None:
            yield from _single_settings(inner, (*at, name))
        elif at:
            yield (*at, name)


def _parsed(name: str, text: str, annotation: Any) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        came = "empty" if not text.strip() else f"not JSON ({_where(error)})"
        raise _Mistake(f"{name} is {came}; {_example(annotation)}") from None


def _where(error: Exception) -> str:
    """Return what is wrong with a JSON text, but not its content, which may be a secret."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos + 1}"
    return "nested too deeply"


def _example(annotation: Any) -> str:
    if entry_in(annotation) is not None:
        return 'a list of sections is given as JSON, such as [{"name": "main"}]'
    if section_in(annotation) is not None or any(
        get_origin(one) is dict for one in _members(annotation)
    ):
        return 'a section is given as JSON, such as {"name": "value"}'
    return 'a list is given as JSON, such as ["one", "two"]'


def _settings(place: Place, annotation: Any, value: Any) -> Iterator[tuple[Place, Any]]:
    """Yield the settings of a section one by one, as the file may give others of them."""
    section = section_in(annotation)
    if section is None or not isinstance(value, dict):
        yield place, value
        return
    for name, inner in value.items():
        info = section.model_fields.get(name)
        yield from _settings((*place, name), None if info is None else info.annotation, inner)


def _put(at: Any, place: Place, value: Any) -> Any:
    """Return a copy with the value at this place.

    Raises IndexError if a list is too short for it. If the file has something wrong on the way
    there, it stays, and is refused later.
    """
    if not place:
        return value
    first, rest = place[0], place[1:]
    if isinstance(first, int):
        entries = [] if at is None else at
        if not isinstance(entries, list):
            return at
        if first > len(entries):
            raise IndexError(len(entries))
        inner = _put(entries[first] if first < len(entries) else None, rest, value)
        return [*entries[:first], inner, *entries[first + 1 :]]
    table = {} if at is None else at
    if not isinstance(table, dict):
        return at
    return {**table, first: _put(table.get(first), rest, value)}


def _variable(place: Place) -> str:
    return PREFIX + "__".join(map(str, place)).upper()


def _is_collection(annotation: Any) -> bool:
    return any(get_origin(one) in _COLLECTIONS for one in _members(annotation))


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
