"""Serve ``/openapi.json``, ``/asyncapi.json``, and the pages that show them.

``/docs`` is Swagger UI as its makers release it, from files that come with the gateway. It may load
nothing from elsewhere and send requests to the gateway alone. It begins with the key that the
wallboard keeps in this browser; a key that is typed in stays in the page's memory.
``/docs/stream`` tells the stream in words.

What people read is in the language that ``?lang=`` names. A page that is asked for without it is
in the browser's. ``/openapi.json`` is English then, whoever asks.

A document is made at its first request, compressed once, and kept. Clients may keep it for ever
if its address has its present tag in it. Without the tag they ask each time whether it has
changed. No key is needed, so the bytes sent to one address are limited: to a number at once, and
to a rate after that.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from html import escape
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.docs.asyncapi import asyncapi
from gateway.docs.openapi import openapi
from gateway.docs.stream_page import stream_text
from gateway.docs.text_page import text_page
from gateway.docs.translation import ENGLISH, LANGUAGES, catalogue, preferred, said, translated
from gateway.errors import TooManyRequests
from gateway.operations.operation_table import Command
from gateway.responses import refuse
from gateway.rest.query_responses import matches
from gateway.token_bucket import TokenBucket
from gateway.transport.compression import takes_gzip
from gateway.transport.ip_addresses import held_by
from monitor.shared.codec import to_json

_STATIC: Final = Path(__file__).parents[1] / "static"
_FILES: Final = {
    "docs.css": "text/css",
    "docs.js": "text/javascript",
    "swagger-ui/swagger-ui.css": "text/css",
    "swagger-ui/swagger-ui-bundle.js": "text/javascript",
}
_NAMES: Final = {"en": "English", "ru": "Русский"}
"""Language → its own name."""
TEXT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_FIRST: Final = "no-cache"
_SHARED: Final = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
"""A module script is loaded with CORS; a page that isolates itself asks for the second as well."""

BYTES_AT_ONCE: Final = 64 * 1024 * 1024
"""Bytes of documents for one address at once: each document twenty times, uncompressed."""
BYTES_PER_SECOND: Final = 1024 * 1024
_MOST_REMEMBERED: Final = 10_000
_RETRY_AFTER_S: Final = 10

ADDRESSES: Final = (
    "docs",
    "stream",
    "openapi.json",
    "asyncapi.json",
    *(part for file in _FILES for part in file.split("/")),
)
"""Parts of these addresses. None of them is secret."""


@dataclass(frozen=True, slots=True)
class Document:
    """Hold a document that is ready to send. ``tag``: a hash of its content.

    ``shared``: pages of other origins may load it too.
    """

    body: bytes
    compressed: bytes
    tag: str
    media_type: str
    policy: str | None = None
    shared: bool = False


class Handouts:
    """Count the bytes of documents sent to each address, and limit them.

    This host itself has no limit. ``clock``: seconds on a clock that nobody sets. The 10,000
    addresses that asked last are remembered.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._allowances: OrderedDict[str, TokenBucket] = OrderedDict()

    def count(self, host: str, size: int) -> None:
        """Count bytes before they are sent.

        Raises TooManyRequests if the address has no more left; then they are not counted.
        """
        holder, now = held_by(host), self._clock()
        if holder is None:
            return
        allowance = self._allowances.setdefault(
            holder, TokenBucket(BYTES_AT_ONCE, BYTES_PER_SECOND, now)
        )
        self._allowances.move_to_end(holder)
        if len(self._allowances) > _MOST_REMEMBERED:
            self._allowances.popitem(last=False)
        if not allowance.take(now, size):
            raise TooManyRequests(
                "Too much of the pages and documents was sent to this address; keep what you "
                "have, by its ETag.",
                {"Retry-After": str(_RETRY_AFTER_S)},
            )


def documents(commands: Iterable[Command], version: str, handouts: Handouts) -> list[BaseRoute]:
    """Return the routes that document these commands and the stream. ``version``: callmon's."""
    table = tuple(commands)
    files = {name: RenderedDocument(partial(_file, name), handouts) for name in _FILES}
    kept = {
        "/asyncapi.json": RenderedDocument(
            lambda: document_of(to_json(asyncapi(version)), "application/json"), handouts
        ),
    } | {f"/static/{name}": file for name, file in files.items()}

    def in_each(make: Callable[[str], Document]) -> dict[str, RenderedDocument]:
        return {name: RenderedDocument(partial(make, name), handouts) for name in LANGUAGES}

    return [
        Route("/openapi.json", _in_languages(in_each(partial(_openapi, table, version)))),
        Route("/docs", _in_languages(in_each(partial(_docs, version)), guess=True)),
        Route("/docs/stream", _in_languages(in_each(partial(_stream_page, version)), guess=True)),
        *(Route(path, document.answer) for path, document in kept.items()),
    ]


def _in_languages(
    each: Mapping[str, RenderedDocument], *, guess: bool = False
) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers in the language that is asked for. ``guess``: else in the browser's."""

    async def answer(request: Request) -> Response:
        asked = each.get(request.query_params.get("lang", ""))
        if asked is not None or not guess:
            return await (asked or each[ENGLISH]).answer(request)
        language = preferred(request.headers.get("accept-language", ""))
        response = await each[language].answer(request)
        response.headers.add_vary_header("Accept-Language")
        return response

    return answer


class RenderedDocument:
    """Make a document at its first request, in a thread. ``handouts``: counts its bytes."""

    def __init__(self, make: Callable[[], Document], handouts: Handouts) -> None:
        self._make = make
        self._handouts = handouts
        self._made: Document | None = None

    async def answer(self, request: Request) -> Response:
        """Return the response to a GET or HEAD: 304 if the client has the document already."""
        if self._made is None:
            self._made = await asyncio.to_thread(self._make)
        response = _response(self._made, request)
        try:
            self._handouts.count(
                "" if request.client is None else request.client.host, len(response.body)
            )
        except TooManyRequests as error:
            return refuse(error, request.method)
        return response


def _response(document: Document, request: Request) -> Response:
    compressed = takes_gzip(request.headers.get("accept-encoding", ""))
    body = document.compressed if compressed else document.body
    etag = f'"{document.tag}-gzip"' if compressed else f'"{document.tag}"'
    headers = {
        "ETag": etag,
        "Vary": "Accept-Encoding",
        "Cache-Control": _FOR_EVER if request.query_params.get("v") == document.tag else _ASK_FIRST,
    }
    if document.policy is not None:
        headers["Content-Security-Policy"] = document.policy
    if document.shared:
        headers |= _SHARED
    if matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    if compressed:
        headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(body))
    return Response(
        b"" if request.method == "HEAD" else body, 200, headers, media_type=document.media_type
    )


def document_of(
    body: bytes, media_type: str, policy: str | None = None, *, shared: bool = False
) -> Document:
    """Return the document with its tag.

    ``policy``: the Content-Security-Policy of a page. ``shared``: pages of other origins may load
    it too.
    """
    tag = blake2b(body, digest_size=8).hexdigest()
    return Document(body, gzip.compress(body, mtime=0), tag, media_type, policy, shared)


def _file(name: str) -> Document:
    return document_of((_STATIC / name).read_bytes(), _FILES[name])


def _openapi(commands: Iterable[Command], version: str, language: str) -> Document:
    say = partial(said, texts=catalogue(language))
    return document_of(to_json(translated(openapi(commands, version), say)), "application/json")


def _stream_page(version: str, language: str) -> Document:
    say = partial(said, texts=catalogue(language))
    page = text_page(
        say(stream_text(asyncapi(version))),
        title=f"callmon {version}: {say('the stream')}",
        back=say("Start page"),
        to="../" if language == ENGLISH else f"../?lang={language}",
        language=language,
    )
    return document_of(page.encode(), "text/html", TEXT_POLICY)


def _docs(version: str, language: str) -> Document:
    def at(name: str) -> str:
        return f"static/{name}?v={document_of((_STATIC / name).read_bytes(), '').tag}"

    say = partial(said, texts=catalogue(language))
    links = " ".join(
        f'<a href="docs?lang={name}" lang="{name}" hreflang="{name}">{word}</a>'
        for name, word in _NAMES.items()
        if name != language
    )
    page = f"""<!doctype html>
<html lang="{language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>callmon {escape(version)}: {say("the interface")}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{at("swagger-ui/swagger-ui.css")}">
<link rel="stylesheet" href="{at("docs.css")}">
<script src="{at("theme.js")}"></script>
<nav aria-label="{say("Languages")}">{links}</nav>
<div id="docs"></div>
<noscript>
{say("This page needs JavaScript.")}
<a href="openapi.json?lang={language}">openapi.json</a> {say("says the same without.")}
</noscript>
<script src="{at("swagger-ui/swagger-ui-bundle.js")}"></script>
<script src="{at("docs.js")}"></script>
</html>
"""
    return document_of(page.encode(), "text/html", TEXT_POLICY)
