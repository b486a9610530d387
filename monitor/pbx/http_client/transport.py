"""Send HTTP requests to a PBX over its own connections, and report what became of each.

It uses aiohttp, as every event is followed by a read: hundreds a second. Reads share connections
that are kept open. A request that changes something gets a connection of its own: the PBX may
have just closed an idle one, and nobody could tell if the request had come in time. Nothing that
may change something is sent twice.

Answers are bounded, each by itself and all that are being read together. A larger one is not
taken. Answers are unpacked here and not by aiohttp, so that a small answer cannot become a large
one.
"""

from __future__ import annotations

import re
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from monitor.pbx.counters import PbxCounters
from monitor.pbx.http_client.bounded_answers import BoundedConnector, Flooded
from monitor.pbx.http_client.connect_errors import cause
from monitor.pbx.parsing import xapi
from monitor.pbx.parsing.json_fields import END_OF_TIME
from monitor.pbx.traffic_tap import NoTrafficTap, SentRequest, TrafficTap
from monitor.shared.codec import Malformed, from_lenient_json
from monitor.shared.errors import (
    CommandOutcomeUnknown,
    ConfigError,
    PbxError,
    PbxGarbled,
    PbxRefused,
    PbxUnreachable,
)
from monitor.shared.version import USER_AGENT

_LATER: Final = frozenset((408, 425, 429))
_LONGEST_RETRY_AFTER_S = 300.0
_LONGEST_LOCATION: Final = 2048
"""Characters of a redirect's target that are looked at."""
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of one answer, unpacked."""
MAX_HELD_BYTES: Final = 64 * 1024 * 1024
"""Bytes of all answers of one PBX that are being read at the same time."""
MAX_VALUES: Final = 500_000
"""Values in one answer's JSON. Small values take some sixty times their length in memory."""
_MAX_ERROR_BYTES: Final = 65_536
_MAX_CODE_CHARS: Final = 100
_PIECE_BYTES: Final = 65_536
_GZIP: Final = 31
"""zlib's ``wbits`` for gzip."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Hold an HTTP answer of any status.

    ``shown``: the request without its query, for messages.
    """

    shown: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def good(self) -> bool:
        """Return whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def values(self) -> int:
        """Return an upper bound for the number of values in its JSON."""
        return sum(self.body.count(mark) for mark in (b",", b"[", b"{"))

    def json(self) -> Any:
        """Return the decoded body, or None if it is empty.

        Raises PbxGarbled if it is not JSON or holds more than :data:`MAX_VALUES` values.
        """
        if not self.body:
            return None
        if self.values > MAX_VALUES:
            raise PbxGarbled(
                f"The PBX's answer to {self.shown} holds more than {MAX_VALUES} values; it is "
                f"not used."
            )
        try:
            return from_lenient_json(self.body)
        except Malformed as error:
            what = "a web page" if self.is_page else str(error)
            raise PbxGarbled(
                f"The server that answers {self.shown} is not a PBX ({what}); see url."
            ) from error

    @property
    def date(self) -> float | None:
        """Return the date in its head in POSIX seconds, cut to whole ones; None without one."""
        try:
            date = parsedate_to_datetime(self.headers.get("Date", "")).timestamp()
        except (ValueError, TypeError, OverflowError, OSError):
            return None
        return date if 0 < date < END_OF_TIME else None

    @property
    def is_page(self) -> bool:
        """Return whether the body is a page for people. No interface of a PBX answers with one."""
        return self.body[:64].lstrip().startswith(b"<")

    def refusal(self) -> PbxError:
        """Return the error for a status other than 2xx and 401."""
        if self.status >= 500 or self.status in _LATER:
            when = _retry_after(self.headers.get("Retry-After"))
            return PbxUnreachable(f"The PBX answered {self.status} to {self.shown}.", when)
        if self.status < 400:
            to = _origin(self.headers.get("Location", ""))
            right = (
                f"if its own address is {to}, write that as url"
                if to
                else "see whether url is its own address"
            )
            return PbxRefused(
                f"The PBX redirects {self.shown} elsewhere ({self.status}): {right}.", self.status
            )
        try:
            body = from_lenient_json(self.body) if 0 < len(self.body) <= _MAX_ERROR_BYTES else None
        except Malformed:
            body = None
        code, target = (
            xapi.error_code(body)[:_MAX_CODE_CHARS],
            xapi.error_target(body)[:_MAX_CODE_CHARS],
        )
        text = f"The PBX answered {self.status} to {self.shown}{f': {code}' if code else ''}."
        return PbxRefused(text, self.status, code, target)


class Transport:
    """Hold the connections to one PBX. Call :meth:`close` at the end.

    Times are seconds. ``parallel``: reads at the same time.
    """

    def __init__(
        self,
        url: str,
        tls: ssl.SSLContext | None,
        request_timeout: float,
        connect_timeout: float,
        parallel: int,
        counters: PbxCounters | None = None,
        traffic_tap: TrafficTap | None = None,
        on_date: Callable[[float, float], None] = lambda _, __: None,
    ) -> None:
        self._on_date = on_date
        self._traffic_tap: TrafficTap = NoTrafficTap() if traffic_tap is None else traffic_tap
        self._counters = PbxCounters() if counters is None else counters
        self._url, self._tls, self._parallel = url, tls, parallel
        if tls is not None:
            # Note it when the handshake ends: after a whole answer the connection is already given
            # back.
            tls.sslobject_class = _observed(
                self._counters
            )  # may be set on an instance, as documented
        self._timeout, self._connect_timeout = request_timeout, connect_timeout
        self.heard_at = 0.0
        """The time of the last answer on the monotonic clock."""
        self._reading: aiohttp.ClientSession | None = None
        self._writing: aiohttp.ClientSession | None = None
        self._held_bytes = 0

    async def close(self) -> None:
        """Close all connections. May be called again."""
        reading, self._reading = self._reading, None
        writing, self._writing = self._writing, None
        for session in (reading, writing):
            if session is not None:
                await session.close()

    async def read(
        self,
        method: str,
        address: str,
        token: str | None = None,
        content: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        shown: str = "",
        largest: int = MAX_BODY_BYTES,
    ) -> HttpResponse:
        """Send a request that changes nothing and return its answer.

        ``content``: a mapping is sent as a form. ``shown``: stands for method and path in messages,
        if the path holds a secret. ``largest``: bytes of the answer. Raises PbxUnreachable, and
        PbxGarbled if the answer is too large or cannot be unpacked.
        """
        shown = shown or f"{method} {address.partition('?')[0]}"
        if self._reading is None:
            self._reading = self._session(
                BoundedConnector(self._parallel + 16, self._tls, force_close=False)
            )
        question = content if isinstance(content, bytes) else None  # a form holds a secret
        sent = SentRequest(method, address, question, time.monotonic())
        try:
            async with self._reading.request(
                method,
                URL(self._url + address, encoded=True),
                headers={**_headers(token), **(headers or {})},
                data=content,
                allow_redirects=False,
            ) as response:
                return await self._answer(shown, sent, response, largest)
        except (_NotTaken, Flooded) as error:
            self._no_answer(shown, sent)
            raise PbxGarbled(f"The PBX's answer to {shown} {error}; it is not used.") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a TimeoutError is an OSError
            self._no_answer(shown, sent)
            raise PbxUnreachable(f"The PBX {self._why(error)} ({shown}).") from error

    async def ask(
        self, address: str, token: str, question: bytes, headers: Mapping[str, str], largest: int
    ) -> HttpResponse:
        """Post a question that changes nothing; see :meth:`read`.

        If the PBX closes the kept connection in place of an answer, ask once more: aiohttp does so
        with GET alone.
        """
        for again in (False, True):
            try:
                return await self.read("POST", address, token, question, headers, largest=largest)
            except PbxUnreachable as error:
                if again or not _closed(error.__cause__):
                    raise
        raise AssertionError("the second attempt returns or raises")

    async def write(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of one request, as aiohttp takes it
        shown: str = "",
        largest: int = MAX_BODY_BYTES,
    ) -> HttpResponse:
        """Send a request that may change something and return its answer of any status.

        ``shown`` and ``largest``: as for :meth:`read`. ``timeout``: seconds. Raises PbxUnreachable
        if the request was certainly not sent. Raises CommandOutcomeUnknown if it was sent and no
        whole answer came.
        """
        shown = shown or f"{method} {address.partition('?')[0]}"
        if self._writing is None:
            self._writing = self._session(BoundedConnector(0, self._tls, force_close=True), _once())
        sending, sent = _Sending(), SentRequest(method, address, content, time.monotonic())
        limits = aiohttp.ClientTimeout(
            total=timeout or self._timeout, sock_connect=self._connect_timeout
        )
        try:
            async with self._writing.request(
                method,
                URL(self._url + address, encoded=True),
                headers=headers,
                data=content,
                allow_redirects=False,
                timeout=limits,
                trace_request_ctx=sending,
            ) as response:
                return await self._answer(shown, sent, response, largest)
        except (_NotTaken, Flooded) as error:
            self._no_answer(shown, sent)
            raise sending.failure(f"the PBX's answer to {shown} {error}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._no_answer(shown, sent)
            raise sending.failure(f"the PBX {self._why(error)} ({shown})") from error

    async def _answer(
        self, shown: str, sent: SentRequest, response: aiohttp.ClientResponse, largest: int
    ) -> HttpResponse:
        self.heard_at = time.monotonic()
        answered = self.heard_at
        answer = HttpResponse(
            shown, response.status, response.headers, await self._body(response, largest)
        )
        if (date := answer.date) is not None:
            self._on_date(date, answered)
        self.heard_at = time.monotonic()
        self._counters.request(shown, response.status, self.heard_at - sent.at)
        self._traffic_tap.answered(sent, answer.status, answer.headers, answer.body)
        return answer

    async def _body(self, response: aiohttp.ClientResponse, largest: int) -> bytes:
        """Return the whole body, unpacked.

        Raises _NotTaken as soon as it is too large or cannot be unpacked.
        """
        unpacker, body = _unpacker(response.headers.get("Content-Encoding", "")), bytearray()
        came = 0
        try:
            async for packed in response.content.iter_any():
                self.heard_at = time.monotonic()
                came += len(packed)
                if came > largest:  # empty blocks of gzip without end
                    raise _NotTaken(f"is larger than {largest} bytes")
                for piece in _unpacked(unpacker, packed):
                    body += piece
                    self._held_bytes += len(piece)
                    if len(body) > largest:
                        raise _NotTaken(f"is larger than {largest} bytes")
                    if self._held_bytes > MAX_HELD_BYTES:
                        raise _NotTaken(
                            f"and others at the same time are larger than {MAX_HELD_BYTES} bytes"
                        )
            if body and unpacker is not None and not unpacker.eof:
                raise _NotTaken("ends before its gzip does")
        except BaseException:
            response.close()
            raise
        finally:
            self._held_bytes -= len(body)
        return bytes(body)

    def _no_answer(self, shown: str, sent: SentRequest) -> None:
        self._counters.request(shown, None, 0.0)
        self._traffic_tap.unanswered(sent)

    def _why(self, error: Exception) -> str:
        if isinstance(error, TimeoutError) and not isinstance(
            error, aiohttp.ConnectionTimeoutError
        ):
            return "did not answer in time"
        return f"cannot be reached: {cause(error, tls=self._tls is not None)}"

    def _session(
        self, connector: aiohttp.TCPConnector, trace: aiohttp.TraceConfig | None = None
    ) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=self._connect_timeout),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": USER_AGENT,
            },
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # no proxy, as the event socket uses none
            trace_configs=[trace] if trace is not None else [],
        )


def tls_context(url: str, ca_file: Path | None, *, verify: bool) -> ssl.SSLContext | None:
    """Return the TLS settings that check the PBX's identity, or None if ``url`` is not ``https``.

    Raises ConfigError if ``ca_file`` cannot be used.
    """
    if not url.startswith("https:"):
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        sudo = (
            "; let this user read it (chmod a+r), or use sudo"
            if isinstance(error, PermissionError)
            else ""
        )
        why = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"ca_file {ca_file} cannot be used: {why}{sudo}") from error
    if ca_file is not None:  # what people make often lacks a key usage, which Python 3.13 asks for
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def certificate_ends(peer: Mapping[str, Any] | None) -> float | None:
    """Return the end of a certificate in POSIX seconds, or None if it was not checked.

    ``peer``: the certificate as the ssl module returns it.
    """
    ends = (peer or {}).get("notAfter")
    return ssl.cert_time_to_seconds(ends) if isinstance(ends, str) else None


def _observed(counters: PbxCounters) -> type[ssl.SSLObject]:
    """Return a class of TLS connections that note the end of the PBX's certificate."""

    class Observed(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()  # raises as long as it is not complete
            counters.certificate_ends = (
                certificate_ends(self.getpeercert()) or counters.certificate_ends
            )

    return Observed


class _NotTaken(Exception):
    """Signal that an answer is too large or cannot be unpacked. Its text is a predicate."""


def _closed(error: BaseException | None) -> bool:
    """Return whether a connection that was open has ended without an answer."""
    return isinstance(
        error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError
    ) and not isinstance(error, aiohttp.ClientConnectorError)


def _unpacker(encoding: str) -> zlib._Decompress | None:
    """Return what unpacks a body of this Content-Encoding, or None if it is not packed.

    Raises _NotTaken for any encoding but gzip.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return zlib.decompressobj(_GZIP)
    raise _NotTaken("is compressed in another way than gzip")


def _unpacked(unpacker: zlib._Decompress | None, packed: bytes) -> Iterator[bytes]:
    """Yield the content of a piece of a body, in small pieces. Raises _NotTaken."""
    if unpacker is None:
        yield packed
        return
    try:
        while packed and not unpacker.eof:
            yield unpacker.decompress(packed, _PIECE_BYTES)
            packed = unpacker.unconsumed_tail
    except zlib.error:
        raise _NotTaken("says that it is gzip but is not") from None
    if packed:
        raise _NotTaken("has more data after its gzip data")


class _Sending:
    """Hold whether the sending of a request has begun."""

    def __init__(self) -> None:
        self.begun = False

    def failure(self, why: str) -> PbxUnreachable | CommandOutcomeUnknown:
        if not self.begun:
            return PbxUnreachable(f"Nothing was done: {why}.")
        return CommandOutcomeUnknown(
            f"The PBX was asked, but it is not known whether it was done: {why}."
        )


def _once() -> aiohttp.TraceConfig:
    """Return a trace that notes when a request is sent, and keeps aiohttp from sending it twice.

    Without this aiohttp would send a DELETE a second time.
    """

    async def sent(
        _: aiohttp.ClientSession,
        context: SimpleNamespace,
        __: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        sending: _Sending = context.trace_request_ctx
        if sending.begun:
            raise aiohttp.ClientConnectionError("the connection was cut")
        sending.begun = True

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(sent)
    return trace


def _headers(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token is not None else {}


def _origin(location: str) -> str:
    """Return scheme, host and port of an address, without path and login.

    Empty if the address has none that can be shown.
    """
    try:
        parts = urlsplit(location[:_LONGEST_LOCATION])
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return ""
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", host):
        return ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, or None if it cannot be read.

    The header has seconds or a date (RFC 9110, section 10.2.3). At most five minutes are returned.
    """
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        seconds = float(value)
    else:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(0.0, seconds), _LONGEST_RETRY_AFTER_S)
