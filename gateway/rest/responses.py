"""Answers as bytes and as HTTP responses, refusals too.

An answer is encoded once for all who ask the same at the same position. ``ETag`` is a hash of the content, so it is the
same at every gateway and as long as the answer is. Answers may be kept by the client but not shown without asking
(``no-cache``); refusals and everything else are not to be kept at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from hashlib import blake2b

from msgspec import Struct
from starlette.responses import Response

from gateway.errors import INTERNAL, Refused, Shown, shown
from monitor.shared.changes import Position
from monitor.shared.codec import to_json

_CACHED_ANSWERS = 256
_CACHED_BYTES = 8 * 1024 * 1024
_LARGEST_CACHED = 2 * 1024 * 1024
_LONGEST_TAGS = 4096
"""Characters of ``If-None-Match``: it is taken apart again whenever a waiting query's answer is another."""
_VARY = "Authorization, X-API-Key"
GUARDS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Keys may stand in addresses, so no page may tell others where it came from."""
RAW_GUARDS = tuple((name.lower().encode(), value.encode()) for name, value in GUARDS.items())
"""The same as ASGI has headers."""
FAULT = "Something went wrong here; it has been logged."
"""All that is said of a fault of our own."""


class Reason(Struct, frozen=True):
    """Why a request failed."""

    code: str
    """A stable word."""
    message: str
    """A sentence for people; its wording may change."""


class Failure(Struct, frozen=True):
    """The body of every refusal."""

    result: bool
    """Always false."""
    error: Reason


@dataclass(frozen=True, slots=True)
class Answer:
    """An encoded answer and the position of the state that it was made from."""

    body: bytes
    etag: str
    position: Position


class AnswerCache:
    """The answers of one space of one PBX at its present position; when the position moves they are forgotten.

    Bounded in number and bytes: the answers not asked for longest go first.
    """

    def __init__(self, entries: int = _CACHED_ANSWERS, size: int = _CACHED_BYTES) -> None:
        self._entries = entries
        self._size = size
        self._position: Position | None = None
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, question: Hashable, position: Position, make: Callable[[], object]) -> Answer:
        """The answer to ``question`` at ``position``: the one kept, or what ``make`` makes."""
        if position != self._position:
            self._answers.clear()
            self._position, self._bytes = position, 0
        kept = self._answers.get(question)
        if kept is not None:
            self._answers.move_to_end(question)
            return kept
        answer = encode(make(), position)
        self._keep(question, answer)
        return answer

    def _keep(self, question: Hashable, answer: Answer) -> None:
        if len(answer.body) > min(_LARGEST_CACHED, self._size):
            return
        self._answers[question] = answer
        self._bytes += len(answer.body)
        while self._bytes > self._size or len(self._answers) > self._entries:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest.body)


def encode(value: object, position: Position) -> Answer:
    """The answer as JSON with its entity tag."""
    body = to_json(value)
    return Answer(body, f'"{blake2b(body, digest_size=16).hexdigest()}"', position)


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


def refuse(error: Refused, method: str) -> Response:
    """The response that says what was wrong."""
    return _failure(shown(error), str(error), method, error.headers)


def fault(method: str) -> Response:
    """The response to a fault of our own. It says nothing of it: that stands in the log."""
    return _failure(INTERNAL, FAULT, method, {})


def json_response(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None, *, head: bool = False
) -> Response:
    """JSON with these headers; ``head``: the same without the body. Not to be kept unless a header says so."""
    all_headers = {"Cache-Control": "no-store"} | (headers or {}) | {"Content-Length": str(len(body))}
    return Response(b"" if head else body, status, all_headers, media_type="application/json")


def matches(if_none_match: str, etag: str) -> bool:
    """Whether the header names this tag, or any (``*``), by weak comparison (RFC 9110, 13.1.2).

    Of a header that is longer than any of ours needs nothing is known: the answer comes whole.
    """
    if len(if_none_match) > _LONGEST_TAGS:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags


def _failure(row: Shown, message: str, method: str, headers: dict[str, str]) -> Response:
    body = to_json(Failure(False, Reason(row.code, message)))
    return json_response(body, row.status, headers, head=method == "HEAD")
