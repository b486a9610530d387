"""Build the HTTP responses of queries, and their headers.

An answer is encoded once for all clients that ask the same at the same position. ``ETag`` is a
hash of the content: it is the same at every gateway, and it stays the same as long as the answer
does; of a compressed answer it is weak, as its bytes may differ (RFC 9110, 8.8.1). A client may
store an answer, but must ask before it shows it again (``no-cache``).
Refusals and all other responses must not be stored.
"""

from __future__ import annotations

import re

from starlette.responses import Response

from gateway.queries.answer_cache import Answer
from gateway.responses import json_response

_LONGEST_TAGS = 4096
"""Characters of ``If-None-Match``, at most.

It is parsed again each time a waiting query's answer changes."""
_OF_PROXIES = re.compile(r'-(?:gzip|br|zstd|deflate)"$')
"""The end of a tag to which a proxy that compresses has added its own (Apache, Caddy)."""
_VARY = "Authorization, X-API-Key, Accept-Encoding"


def answer_headers(answer: Answer, stale_since: str | None, *, compressed: bool) -> dict[str, str]:
    """Return an answer's headers; they are the same with and without its body.

    ``stale_since``: the instant since which the answer may be out of date; None while it is
    live. ``compressed``: whether its body is sent in gzip.
    """
    headers = {
        "ETag": f"W/{answer.etag}" if compressed else answer.etag,
        "Cache-Control": "private, no-cache",
        "Vary": _VARY,
        "Callmon-Position": str(answer.position),
    }
    return headers if stale_since is None else headers | {"Callmon-Stale-Since": stale_since}


def respond(
    answer: Answer,
    stale_since: str | None,
    method: str,
    if_none_match: str | None,
    *,
    gzip: bool = False,
) -> Response:
    """Return the response to a GET, HEAD or POST.

    It is 304 for a GET or HEAD if the client has this answer already. ``gzip``: whether the
    client takes a compressed body.
    """
    packed = answer.gzipped() if gzip else None
    headers = answer_headers(answer, stale_since, compressed=packed is not None)
    if (
        method in ("GET", "HEAD")
        and if_none_match is not None
        and matches(if_none_match, answer.etag)
    ):
        return Response(status_code=304, headers=headers)
    head = method == "HEAD"
    if packed is None:
        return json_response(answer.body, headers=headers, head=head)
    return json_response(packed, headers=headers | {"Content-Encoding": "gzip"}, head=head)


def matches(if_none_match: str, etag: str) -> bool:
    """Return whether the header names this tag, or any (``*``), by weak comparison.

    Source: RFC 9110, 13.1.2. A tag counts without what a proxy added to it. A header longer than
    our tags ever need matches nothing: the answer is sent whole.
    """
    if len(if_none_match) > _LONGEST_TAGS:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags or etag in (_OF_PROXIES.sub('"', tag) for tag in tags)
