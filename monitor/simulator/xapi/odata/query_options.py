"""Parse the query options of an XAPI request and apply them to rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor.simulator.xapi.odata.filter import (
    ODataError,
    Row,
    parse_filter,
    parse_orderby,
    plain,
    split,
)

_OPTIONS: Final = frozenset(
    ("select", "expand", "filter", "orderby", "search", "top", "skip", "count")
)
_IGNORED: Final = frozenset(("format",))
MOST_ROWS: Final = 100
"""Greatest ``$top`` that the PBX accepts."""


@dataclass(frozen=True, slots=True)
class Expand:
    """Represent a related entity to include, with its own options."""

    name: str
    options: Options


@dataclass(frozen=True, slots=True)
class Options:
    """Hold the system query options. ``select`` None: all properties."""

    select: tuple[str, ...] | None = None
    expand: tuple[Expand, ...] = ()
    filter: str = ""
    orderby: str = ""
    search: str = ""
    top: int | None = None
    skip: int = 0
    count: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Represent the rows of an answer.

    ``total``: number of matching rows before paging. ``more``: number of matching rows cut off by
    the server's limit.
    """

    rows: list[Any]
    total: int
    more: int = 0


def parse_options(items: Iterable[tuple[str, str]], most: int | None = MOST_ROWS) -> Options:
    """Return the options of a request's query, given as pairs.

    ``most``: the greatest ``$top``; None: there is no limit.
    An option that is given twice counts as both its values with a comma between them, as ASP.NET
    reads it. Raises ODataError for an option that is wrong or unknown.
    """
    given: dict[str, str] = {}
    for name, value in items:
        word = name.removeprefix("$").lower()
        if word in _IGNORED or (word not in _OPTIONS and not name.startswith("$")):
            continue
        if word not in _OPTIONS:
            raise ODataError(f"The query parameter '{name}' is not supported.")
        given[word] = f"{given[word]},{value.strip()}" if word in given else value.strip()
    return Options(
        select=tuple(split(given["select"])) if given.get("select") else None,
        expand=tuple(_expand(item) for item in split(given["expand"]))
        if given.get("expand")
        else (),
        filter=given.get("filter", ""),
        orderby=given.get("orderby", ""),
        search=given.get("search", ""),
        top=_top(given, most),
        skip=_number(given, "skip") or 0,
        count=_flag(given),
    )


class Matcher:
    """Compile filter, search and order of a request once, to apply them to rows.

    Raises ODataError if they are wrong.
    """

    def __init__(
        self,
        options: Options,
        known: Collection[str],
        searched: Iterable[str] = (),
        get: Callable[[Row, str], Any] = plain,
    ) -> None:
        self._filter = parse_filter(options.filter, known, get) if options.filter else None
        self._order = parse_orderby(options.orderby, known, get) if options.orderby else None
        self._words = [word.strip('"').lower() for word in options.search.split()]
        self._searched = tuple(searched)

    @property
    def pinned(self) -> Mapping[str, object]:
        """Return the properties for which every matching row has exactly this value."""
        return self._filter.pinned if self._filter else {}

    def matching(self, rows: Collection[Any]) -> list[Any]:
        """Return the rows that match, in order."""
        found = list(rows)
        if self._filter:
            matches = self._filter.matches
            found = [row for row in found if matches(row)]
        if self._words:
            found = [row for row in found if self._mentions(row)]
        return self._order(found) if self._order else found

    def _mentions(self, row: Row) -> bool:
        text = "\n".join(str(row.get(name) or "") for name in self._searched).lower()
        return all(word in text for word in self._words)


def paged(rows: list[Any], options: Options, limit: int | None = None) -> Page:
    """Return the page that the options ask for, cut at ``limit`` rows by the server."""
    total = len(rows)
    end = total if options.top is None else min(total, options.skip + options.top)
    cut = end if limit is None else min(end, options.skip + limit)
    return Page(rows[options.skip : cut], total, max(end - cut, 0))


def _expand(item: str) -> Expand:
    name, bracket, rest = item.partition("(")
    if not bracket:
        return Expand(name, Options())
    if not rest.endswith(")"):
        raise ODataError(f"The $expand item '{item}' is not valid.")
    pairs = []
    for option in split(rest[:-1], ";"):
        word, equals, value = option.partition("=")
        if not equals or not word.startswith("$"):
            raise ODataError(f"The option '{option}' of the $expand item '{item}' is not valid.")
        pairs.append((word.strip(), value))
    return Expand(name.strip(), parse_options(pairs))


def _top(given: Mapping[str, str], most: int | None) -> int | None:
    top = _number(given, "top")
    if top is not None and most is not None and top > most:
        raise ODataError(
            f"The limit of '{most}' for Top query has been exceeded. "
            f"The value from the incoming request is '{top}'."
        )
    return top


def _number(given: Mapping[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ODataError(f"Invalid value '{text}' for ${name} query option found.")
    return int(text)


def _flag(given: Mapping[str, str]) -> bool:
    text = given.get("count", "false").lower()
    if text not in ("true", "false"):
        raise ODataError(f"Invalid value '{text}' for $count query option found.")
    return text == "true"
