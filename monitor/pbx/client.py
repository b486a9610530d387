"""HTTP to a 3CX v20: its token, Call Control and XAPI. The only module that knows aiohttp.

aiohttp, as every event is followed by a read: hundreds a second. Errors are those of :mod:`monitor.errors`; a 401 is
tried once more with another token, nothing else is retried here.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from monitor.errors import ConfigError, PbxError, PbxGarbled, PbxRefused, PbxUnreachable, TokenRefused
from monitor.model.wire import Malformed, from_json
from monitor.pbx import rows
from monitor.pbx.events import FullState, parse_full_state, parse_participant
from monitor.pbx.facts import ActiveCall, Participant, SystemRow
from monitor.pbx.paging import PAGE, Query, read_all
from monitor.pbx.token import Claims, Granted, TokenOwner
from monitor.pbx.tolerant import integer, text

XAPI: Final = "/xapi/v1"
CALL_CONTROL: Final = "/callcontrol"
_GONE: Final = frozenset((404, 410))
_LATER: Final = frozenset((408, 425, 429))
_LONGEST_RETRY_AFTER = 300.0


@dataclass(frozen=True, slots=True)
class PbxSettings:
    """How to reach a PBX, and how often to ask it. Times are seconds."""

    url: str
    """``https://pbx.example.com:5001``, without a path."""
    client_id: str
    client_secret: str = field(repr=False)
    ca_file: Path | None = None
    """Trust these certificates and no others."""
    verify: bool = True
    request_timeout: float = 10.0
    connect_timeout: float = 5.0
    ping_interval: float = 5.0
    """Between pings on the event socket."""
    ping_timeout: float = 10.0
    """Without a pong after which the socket counts as dead."""
    poll_interval: float = 1.0
    """Between ActiveCalls reads while there are calls; twice that while there are none."""
    watchdog_interval: float = 30.0
    """Between full reads of Call Control."""
    directory_interval: float = 60.0
    contacts_interval: float = 600.0
    recheck_interval: float = 300.0
    """Between attempts at a part of the PBX that refused."""
    parallel_reads: int = 64
    """Participants read at a time."""


@dataclass(frozen=True, slots=True)
class ActiveCalls:
    """All rows of ActiveCalls. ``server_now``: the PBX's clock, POSIX seconds; None when there are no rows."""

    rows: tuple[ActiveCall, ...]
    server_now: float | None


class PbxClient:
    """One API client's connections to one PBX. To be closed.

    Every method raises PbxUnreachable, PbxRefused, TokenRefused or PbxGarbled; see :mod:`monitor.errors`. The
    constructor raises ConfigError if ``ca_file`` cannot be read.
    """

    def __init__(
        self,
        settings: PbxSettings,
        may_mint: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.tls = _tls(settings)
        """For the event socket; None if the address is not ``https``."""
        self.tokens = TokenOwner(self._grant, may_mint, clock)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections. May be called again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get_json(self, path: str, query: Query | None = None) -> Any:
        """What a path answers. ``path`` begins with ``/`` and is percent-encoded already; ``query`` is not."""
        token = await self.tokens.get()
        status, answer = await self._send("GET", _address(path, query), token)
        if status == 401:
            self.tokens.refused(token)
            token = await self.tokens.get(unlike=token)
            status, answer = await self._send("GET", _address(path, query), token)
        if status == 401:
            self.tokens.refused(token)
            raise TokenRefused(f"The PBX refuses a token that it has just given (GET {path}).")
        return answer

    async def collection(self, name: str, query: Query | None = None, top: int | None = PAGE) -> list[dict[str, Any]]:
        """All rows of an XAPI collection, by Id, read in pages of ``top`` rows."""

        async def fetch(page: Query) -> Any:
            return await self.get_json(f"{XAPI}/{name}", page)

        return await read_all(fetch, query or {}, top)

    async def full_state(self) -> FullState:
        """All participants of all DNs that this API client may monitor."""
        return parse_full_state(await self.get_json(CALL_CONTROL))

    async def participant(self, dn: str, participant_id: int) -> Participant | None:
        """A participant; None if it is gone."""
        try:
            row = await self.get_json(f"{CALL_CONTROL}/{quote(dn, safe='')}/participants/{participant_id}")
        except PbxRefused as refused:
            if refused.status in _GONE:
                return None
            raise
        return parse_participant(row, dn)

    async def active_calls(self) -> ActiveCalls:
        """All calls of the PBX as XAPI lists them."""
        listed = await self.collection("ActiveCalls", top=None)
        calls = tuple(call for row in listed if (call := rows.active_call(row)) is not None)
        return ActiveCalls(calls, next((now for row in listed if (now := rows.server_now(row)) is not None), None))

    async def system_status(self) -> SystemRow:
        """Version, name and licence of the PBX."""
        answer = await self.get_json(f"{XAPI}/SystemStatus")
        if not isinstance(answer, dict):
            raise PbxGarbled("SystemStatus is not an object.")
        return rows.system(answer)

    async def whoami(self) -> Claims:
        """The roles that the PBX gives this API client."""
        return await self.tokens.claims()

    async def _grant(self) -> Granted:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.settings.client_id,
            "client_secret": self.settings.client_secret,
        }
        try:
            status, answer = await self._send("POST", "/connect/token", form=form)
        except PbxRefused as refused:
            if refused.status != 400:
                raise
            status, answer = 401, None
        if status == 401:
            raise TokenRefused(
                f"The PBX does not accept the API client {self.settings.client_id!r} with this secret."
                " See client_id and client_secret, and Integrations → API in the admin console."
            )
        token = text(answer, "access_token") if isinstance(answer, dict) else ""
        if not token.isascii() or not token or any(char.isspace() for char in token):
            raise PbxGarbled("The PBX's answer to a request for a token holds none.")
        expires_in = integer(answer, "expires_in")
        return Granted(token, None if expires_in is None else float(expires_in))

    async def _send(
        self, method: str, address: str, token: str | None = None, form: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request: 200 or 204 with what came as JSON, or 401. All other ends are errors."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else None
        shown = f"{method} {address.partition('?')[0]}"
        try:
            async with self._opened().request(
                method,
                URL(self.settings.url + address, encoded=True),
                headers=headers,
                data=form,
                allow_redirects=False,
            ) as response:
                body = await response.read()
        except TimeoutError as error:
            raise PbxUnreachable(f"The PBX did not answer in time ({shown}).") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PbxUnreachable(f"The PBX cannot be reached: {_cause(error)} ({shown}).") from error
        if response.status == 401:
            return 401, None
        if not 200 <= response.status < 300:
            raise _refusal(shown, response.status, response.headers, body)
        return response.status, _decoded(shown, body) if body else None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self.settings
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=settings.parallel_reads + 16, ssl=self.tls if self.tls is not None else True
                ),
                timeout=aiohttp.ClientTimeout(total=settings.request_timeout, sock_connect=settings.connect_timeout),
                headers={"Accept": "application/json", "User-Agent": "callmon"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def refusal(shown: str, status: int, headers: Mapping[str, str]) -> PbxError:
    """The error for an HTTP status other than 2xx and 401. ``shown``: the request, for the message."""
    return _refusal(shown, status, headers, b"")


def _refusal(shown: str, status: int, headers: Mapping[str, str], body: bytes) -> PbxError:
    if status >= 500 or status in _LATER:
        when = _retry_after(headers.get("Retry-After"))
        return PbxUnreachable(f"The PBX answered {status} to {shown}.", when)
    if status < 400:
        return PbxRefused(f"The PBX sends us elsewhere ({status} to {shown}): is url its own address?", status)
    try:
        code = rows.error_code(from_json(body)) if body else ""
    except Malformed:
        code = ""
    return PbxRefused(f"The PBX answered {status} to {shown}{f': {code}' if code else ''}.", status, code)


def _retry_after(value: str | None) -> float | None:
    """Seconds, of a header that has seconds or a date (RFC 9110, section 10.2.3); at most five minutes."""
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
    return min(max(0.0, seconds), _LONGEST_RETRY_AFTER)


def _decoded(shown: str, body: bytes) -> Any:
    try:
        return from_json(body)
    except Malformed as error:
        raise PbxGarbled(f"What answers {shown} is not a PBX: {error}.") from error


def _address(path: str, query: Query | None) -> str:
    return f"{path}?{urlencode(query, quote_via=quote, safe='$,()')}" if query else path


def _cause(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error}); see ca_file"
    return str(error) or type(error).__name__


def _tls(settings: PbxSettings) -> ssl.SSLContext | None:
    if not settings.url.startswith("https:"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise ConfigError(f"ca_file {settings.ca_file} cannot be used: {error.strerror or error}") from error
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
