"""Represent one parsed XAPI request and make its answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.context import Site
from monitor.simulator.xapi.entity_types import SHAPES
from monitor.simulator.xapi.odata.query_options import Options, paged
from monitor.simulator.xapi.paths import Argument
from monitor.simulator.xapi.view import XapiView

_IN_PATHS = "/()'=,."


@dataclass(frozen=True, slots=True)
class XapiResponse:
    """Represent an answer. ``body`` None: there is no body."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class XapiRequest:
    """Represent a request.

    ``root``: the service's absolute address. ``path``: the requested path below it. ``body``:
    decoded. ``client_id``: the client's DN. ``role``: the greatest of its roles.
    """

    site: Site
    method: str
    root: str
    path: str
    pairs: tuple[tuple[str, str], ...]
    options: Options
    body: Any = None
    client_id: str = ""
    role: str = ""
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    entity: Entity = field(default_factory=dict)

    @property
    def view(self) -> XapiView:
        """Return the view of the directory for this request."""
        return XapiView(self.site.directory, concealed=self.site.switches.secrets == "concealed")

    def reply(self, context: str, body: Mapping[str, Any], status: int = 200) -> XapiResponse:
        """Answer with ``body`` and the address of its description."""
        return XapiResponse(status, {"@odata.context": f"{self.root}/$metadata#{context}", **body})

    def one(self, shape: str, entity: Entity, context: str, status: int = 200) -> XapiResponse:
        """Answer with one entity."""
        shown = self.view.presenter(SHAPES[shape], self.options)(entity)
        return self.reply(context, shown, status)

    def many(
        self,
        shape: str,
        rows: Collection[Any],
        context: str,
        shown: Callable[[list[Any]], None] | None = None,
    ) -> XapiResponse:
        """Answer with a collection, by the request's options and cut at the server's page size.

        ``shown`` receives the rows in the answer.
        """
        view, kind = self.view, SHAPES[shape]
        present, matcher = view.presenter(kind, self.options), view.matcher(kind, self.options)
        if shape == "Contact":
            options = self.options
            key = (context, str(self.arguments), options.filter, options.search, options.orderby)
            found = self.site.kept_contacts(key, lambda: matcher.matching(rows))
        else:
            found = matcher.matching(rows)
        page = paged(found, self.options, self.site.switches.page_size)
        if shown is not None:
            shown(page.rows)
        body: dict[str, Any] = {}
        if self.options.count:
            body["@odata.count"] = page.total
        if page.more:
            body["@odata.nextLink"] = self._next(len(page.rows))
        body["value"] = [present(row) for row in page.rows]
        return self.reply(context, body)

    def _next(self, given: int) -> str:
        later = {"$skip": str(self.options.skip + given)}
        if self.options.top is not None:
            later["$top"] = str(self.options.top - given)
        dropped = ("$skip", "$top", "skip", "top")
        kept = [(name, value) for name, value in self.pairs if name.lower() not in dropped]
        query = urlencode([*kept, *later.items()], safe="$")
        return f"{self.root}/{quote(self.path, safe=_IN_PATHS)}?{query}"
