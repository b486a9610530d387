"""Answers as bytes and as HTTP responses, refusals too.

An answer is encoded once for all who ask the same at the same position. ``ETag`` is a hash of the content, so it is the
same at every gateway and as long as the answer is. Answers may be kept by the client but not shown without asking
(``no-cache``); refusals and everything else are not to be kept at all.
"""

from __future__ import annotations

from starlette.responses import Response

from gateway.queries.answer_cache import Answer
from gateway.responses import json_response

_LONGEST_TAGS = 4096
"""Characters of ``If-None-Match``: it is taken apart again whenever a waiting query's answer is another."""
_VARY = "Authorization, X-API-Key"


def answer_headers(answer: Answer, stale_since: str | None) -> dict[str, str]:
    """The headers that an answer bears, whether its body is sent or not."""
    headers = {
        "ETag": answer.etag,
        "Cache-Control": "private, no-cache",
        "Vary": _VARY,
        "Callmon-Position": str(answer.position),
    }
    return headers if stale_since is None else headers | {"Callmon-Stale-Since": stale_since}


def respond(answer: Answer, stale_since: str | None, method: str, if_none_match: str | None) -> Response:
    """The response to a GET, HEAD or POST: 304 to a GET or HEAD if the client has this answer already."""
    headers = answer_headers(answer, stale_since)
    if method in ("GET", "HEAD") and if_none_match is not None and matches(if_none_match, answer.etag):
        return Response(status_code=304, headers=headers)
    return json_response(answer.body, headers=headers, head=method == "HEAD")


def matches(if_none_match: str, etag: str) -> bool:
    """Whether the header names this tag, or any (``*``), by weak comparison (RFC 9110, 13.1.2).

    Of a header that is longer than any of ours needs nothing is known: the answer comes whole.
    """
    if len(if_none_match) > _LONGEST_TAGS:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags
