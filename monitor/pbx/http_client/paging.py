"""Read a whole OData collection in pages; lose and double nothing while rows come and go.

Rules:

- Rows are asked for by ascending ``Id``; a server may have an order of its own. Each page begins
  with the last row of the page before.
- If a page has no row that is known, rows before it were removed meanwhile and the rest moved up.
  Then the next page is asked for further back.
- A row is left out if its Id was read already.
- The server may give fewer rows than asked for. It may say so by ``@odata.nextLink`` or not at
  all. So the count of rows tells if there are more. Without a count, with one that is less than
  the rows given, or with a link, a page that brings nothing new is the last.
- The list of a PBX that never ends is given up after :data:`MAX_ROWS` rows or :data:`MAX_PAGES`
  pages.
- The link itself is not followed: its host and its ``$skip`` are the server's idea of the request
  before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from monitor.pbx.parsing.json_fields import integer, objects
from monitor.shared.errors import PbxGarbled

Query = Mapping[str, str]
Fetch = Callable[[Query], Awaitable[Any]]
"""A function that reads one page for these query options.

It raises PbxRefused if the server does not accept them."""

PAGE = 100
"""Greatest number of rows that 3CX v20 gives at once. It refuses a ``$top`` above it with 400."""
MAX_ROWS = 200_000
MAX_PAGES = 10_000


async def read_all(fetch: Fetch, query: Query, top: int | None = PAGE) -> list[dict[str, Any]]:
    """Return all rows that match ``query``, by ascending Id; leave out rows without an Id.

    ``top``: rows asked for at once; None: as many as the server gives. Raises what ``fetch``
    raises, and PbxGarbled for an answer that is not a collection or has no end.
    """
    reading = _PageRead(top)
    while not reading.done:
        page = {**query, "$orderby": "Id", "$count": "true", **reading.window()}
        reading.take(await fetch(page))
    return reading.rows()


class _PageRead:
    def __init__(self, top: int | None) -> None:
        self.done = False
        self._rows: dict[int, dict[str, Any]] = {}
        self._pages = 0
        self._top = top
        self._skip = 0
        self._overlaps = False
        self._last: Any = None
        """The last row of the page before, as it came."""
        self._step_back = 1

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows by ascending Id."""
        return [self._rows[id_] for id_ in sorted(self._rows)]

    def window(self) -> dict[str, str]:
        """Return the query options of the next page."""
        window = {"$skip": str(self._skip)} if self._skip else {}
        return window if self._top is None else {"$top": str(self._top), **window}

    def take(self, answer: Any) -> None:
        """Take in a page.

        Raises PbxGarbled if it is not a list of entities, or if the list has no end.
        """
        if not isinstance(answer, dict) or not isinstance(answer.get("value"), list):
            raise PbxGarbled("An answer is not a list of entities.")
        listed = answer["value"]
        given = len(listed)
        self._pages += 1
        if self._pages > MAX_PAGES or len(self._rows) + given > MAX_ROWS:
            raise PbxGarbled(
                f"The PBX's list has no end: more than {MAX_ROWS} rows or {MAX_PAGES} pages."
            )
        page = {id_: row for row in objects(listed) if (id_ := integer(row, "Id")) is not None}
        if given and not page and not self._rows:
            raise PbxGarbled("Entities have no Id.")
        if self._overlaps and self._rows.keys().isdisjoint(page) and listed[:1] != [self._last]:
            self._skip = max(0, self._skip - self._step_back)
            self._step_back *= 2
            self._overlaps = self._skip > 0
            return
        known = len(self._rows)
        for id_, row in page.items():
            self._rows.setdefault(id_, row)
        self._last = listed[-1] if listed else None
        count, link = integer(answer, "@odata.count"), bool(answer.get("@odata.nextLink"))
        self._advance(given, len(self._rows) > known, count, link=link)

    def _advance(self, given: int, progress: bool, count: int | None, *, link: bool) -> None:
        reached = self._skip + given
        if count is None or count < reached:
            self.done = not progress and self._step_back == 1
        else:
            self.done = not given or (reached == count and not (link and progress))
        self._overlaps = given > 1
        self._skip = reached - self._overlaps
        self._step_back = 1
