"""Read what an HTTP request gives: names and values of its query string and body, and its keys.

A value is text in every form of request. JSON bodies may also hold numbers and lists, because
numbers and comma-separated lists are naturally written so in JSON. A name that is given twice
stays twice: the command refuses it.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from gateway.auth.api_keys import bearer
from gateway.errors import BadBody, BadParameter, Overloaded, TooLarge, UnsupportedBody
from gateway.parameters import LARGEST, LARGEST_BODY_BYTES, MOST_GIVEN, quoted
from monitor.shared.codec import refuse_constant

_Read = TypeVar("_Read")
MOST_LISTED = 1_000
"""Values in a list of a JSON body, at most."""
MOST_UNKNOWN_BYTES = 16 * 1024 * 1024
"""Bytes of all bodies together that are read before their senders are known."""
_PATIENCE_BYTES = 16 * LARGEST_BODY_BYTES
"""Bytes that are read and thrown away of a body that is too large.

A client that is still sending when the connection closes may never read the answer that says
why."""
_LONGEST_KIND: Final = 256
"""Characters of the ``Content-Type`` of a multipart form, at most."""
_NOTHING: Final = (b"", b"[]", b"null")
"""Bodies of programs that give no parameters: PHP writes an empty array, others a null."""
_CHARSET: Final = re.compile(
    r';\s*charset="?(windows-125[12]|iso-8859-1|koi8-r)"?\s*(?:;|$)', re.ASCII | re.IGNORECASE
)
"""A charset by which a body is read that is not UTF-8. UTF-8 is tried first: some libraries name
another one whatever they send."""
_BOUNDARY: Final = re.compile(
    r";\s*boundary=\"?([\w'()+,./:?=-]{1,70})\"?\s*(?:;|$)", re.ASCII | re.IGNORECASE
)
"""The boundary of a multipart form, of characters that RFC 2046 allows."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """Hold the names, values and keys of a request.

    ``pairs``: names and values, without ``key``. ``keys``: all keys given, except the one in the
    path.
    """

    pairs: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]


class UnauthenticatedBodies:
    """Count the bytes of the bodies that are being read.

    A body may be slow, and there may be thousands.
    """

    def __init__(self) -> None:
        self.unknown_bytes = 0
        """Bytes of the bodies that are read before their senders are known."""


def keys_outside(request: Request) -> tuple[str, ...]:
    """Return the keys in headers and query string, before a body is read.

    Raises BadParameter and BadBody as :func:`parse_request` does.
    """
    pairs = _urlencoded(request.scope["query_string"], "The query string")
    return (*(value for name, value in pairs if name == "key"), *_in_headers(request))


async def _no_turn() -> None:
    pass


async def parse_request(
    request: Request,
    bodies: UnauthenticatedBodies | None = None,
    turn: Callable[[], Awaitable[None]] = _no_turn,
) -> ParsedRequest:
    """Read the request; a body counts only with POST.

    ``bodies``: counts the body's bytes; given when the sender is not known yet. ``turn``: waits
    until the sender's next body may be decoded. Raises BadParameter, BadBody, TooLarge,
    UnsupportedBody, Overloaded, and starlette's ClientDisconnect.
    """
    pairs = _urlencoded(request.scope["query_string"], "The query string")
    if request.method == "POST":
        body = await _read(request, bodies)
        await turn()
        pairs += await _decoded(request, body)
    if len(pairs) > MOST_GIVEN:
        raise BadParameter(
            f"{len(pairs)} parameters were given; no command takes more than {MOST_GIVEN}."
        )
    keys = [value for name, value in pairs if name == "key"] + _in_headers(request)
    return ParsedRequest(tuple(pair for pair in pairs if pair[0] != "key"), tuple(keys))


def _in_headers(request: Request) -> list[str]:
    found = (bearer(request.headers.get("authorization")), request.headers.get("x-api-key"))
    return [key for key in found if key]


async def _decoded(request: Request, body: bytes) -> list[tuple[str, str]]:
    if body.strip() in _NOTHING:
        return []
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body.removeprefix(BOM_UTF8).lstrip()[:1] == b"{":
        return _json(body, _charsets(request))  # whatever its type says: no form begins so
    match kind:
        case "application/x-www-form-urlencoded":
            return _urlencoded(body.strip(), "The form", _charsets(request))
        case "multipart/form-data":
            return await _multipart(request.headers["content-type"], body)
        case "application/json":
            return _json(body, _charsets(request))
        case _:
            given_kind = quoted(kind) if kind else "not given"
            raise UnsupportedBody(
                f"The body's content type is {given_kind}; application/json, "
                f"application/x-www-form-urlencoded and "
                "multipart/form-data are accepted."
            )


async def _read(request: Request, bodies: UnauthenticatedBodies | None) -> bytes:
    body = bytearray()
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > _PATIENCE_BYTES:
                break
            if size <= LARGEST_BODY_BYTES:
                body += chunk
                _count(len(chunk), bodies)
    finally:
        if bodies is not None:
            bodies.unknown_bytes -= len(body)
    if size > LARGEST_BODY_BYTES:
        raise TooLarge(
            f"The body is larger than {LARGEST_BODY_BYTES} bytes.", {"Connection": "close"}
        )
    return bytes(body)


def _count(size: int, bodies: UnauthenticatedBodies | None) -> None:
    if bodies is None:
        return
    bodies.unknown_bytes += size
    if bodies.unknown_bytes > MOST_UNKNOWN_BYTES:
        raise Overloaded(
            "Too many requests without a key in a header are in progress; give the key in a header."
        )


def _charsets(request: Request) -> tuple[str, ...]:
    """Return how the body may be decoded, in the order to try."""
    found = _CHARSET.search(request.headers.get("content-type", "")[:_LONGEST_KIND])
    return ("utf-8-sig",) if found is None else ("utf-8-sig", found[1].lower())


def _in_charset(read: Callable[[str], _Read], charsets: tuple[str, ...]) -> _Read:
    """Read by the first charset that fits. Raises UnicodeDecodeError if none does."""
    for charset in charsets[:-1]:
        with suppress(UnicodeDecodeError):
            return read(charset)
    return read(charsets[-1])


def _urlencoded(
    data: bytes, what: str, charsets: tuple[str, ...] = ("utf-8",)
) -> list[tuple[str, str]]:
    def read(charset: str) -> list[tuple[str, str]]:
        return parse_qsl(
            data.decode(charset),
            keep_blank_values=True,
            encoding=charset.removesuffix("-sig"),
            errors="strict",
            max_num_fields=MOST_GIVEN,
            separator="&",
        )

    try:
        return _in_charset(read, charsets)
    except UnicodeDecodeError as error:
        raise BadBody(f"{what} is not UTF-8 in percent-encoding.") from error
    except ValueError as error:
        raise BadParameter(f"{what} has more than {MOST_GIVEN} parameters.") from error


async def _multipart(kind: str, body: bytes) -> list[tuple[str, str]]:
    """Return a form's names and values. ``kind``: its ``Content-Type``.

    The parser gets the boundary alone. It takes seconds to read a long ``Content-Type``, or to
    decode a charset such as punycode, and Python remembers each charset's name for ever.
    """

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    found = _BOUNDARY.search(kind) if len(kind) <= _LONGEST_KIND else None
    if found is None:
        raise BadBody("The content type of a multipart form must name its boundary.")
    headers = Headers({"content-type": f'multipart/form-data; boundary="{found[1]}"'})
    try:
        form = await MultiPartParser(headers, stream(), max_files=0, max_fields=MOST_GIVEN).parse()
    except (MultiPartException, UnicodeError, LookupError, KeyError) as error:
        raise BadBody("The body is not a multipart form of text fields.") from error
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]


def _json(body: bytes, charsets: tuple[str, ...] = ("utf-8-sig",)) -> list[tuple[str, str]]:
    # Only the standard library's parser shows names that come twice; tuple is fast for thousands.
    try:
        parsed = json.loads(
            _in_charset(body.decode, charsets),
            object_pairs_hook=tuple,
            parse_constant=refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise BadBody("The body is not JSON.") from error
    if not isinstance(parsed, tuple):
        raise BadBody("The JSON body must be an object of parameters.")
    if len(parsed) > MOST_GIVEN:
        raise BadParameter(f"The JSON body has more than {MOST_GIVEN} parameters.")
    # null is how programs write a parameter that they do not give.
    return [(name, _text(name, value)) for name, value in parsed if value is not None]


def _text(name: str, value: Any) -> str:
    match value:
        case tuple():  # an object's names and values
            pass
        case list():
            return ",".join(_items(name, value))
        case str():
            return value
        case int() if not isinstance(value, bool):
            return str(value)
        case float() if value.is_integer() and abs(value) <= LARGEST:  # else it is not exact
            return str(int(value))
        case _:
            pass
    came = "an object" if isinstance(value, tuple) else json.dumps(value)
    raise BadParameter(
        f"{quoted(name)} = {came} was given, but it takes text, a whole number, or a list of these."
    )


def _items(name: str, values: list[Any]) -> Iterator[str]:
    if len(values) > MOST_LISTED:
        raise BadParameter(
            f"{quoted(name)} is a list of {len(values)} values; it takes {MOST_LISTED} at most."
        )
    for value in values:
        if isinstance(value, list):
            raise BadParameter(f"{quoted(name)} must not contain a list within its list.")
        yield _text(name, value)
