"""Send HTTP requests to a 3CX v20: token, Call Control and XAPI.

Errors are those of :mod:`monitor.shared.errors`. A request that is answered 401 is sent once more
with another token. Only a question is sent again otherwise, if a kept connection ends instead.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from monitor.pbx.counters import PbxCounters
from monitor.pbx.facts import ActiveCall, Participant, Source, SystemRow
from monitor.pbx.http_client.paging import PAGE, Query, read_all
from monitor.pbx.http_client.secret import Secret, text_of
from monitor.pbx.http_client.token import Claims, GrantedToken, TokenOwner
from monitor.pbx.http_client.transport import MAX_BODY_BYTES, HttpResponse, Transport, tls_context
from monitor.pbx.parsing import xapi as rows
from monitor.pbx.parsing.callcontrol import FullState, parse_full_state, parse_participant
from monitor.pbx.parsing.json_fields import integer, objects, text
from monitor.pbx.traffic_tap import NoTrafficTap, TrafficTap
from monitor.shared.codec import to_json
from monitor.shared.errors import (
    CommandOutcomeUnknown,
    PbxError,
    PbxGarbled,
    PbxRefused,
    TokenRefused,
)
from monitor.shared.time_zones import ZoneRow

XAPI: Final = "/xapi/v1"
CALL_CONTROL: Final = "/callcontrol"
MAX_LISTED_VALUES: Final = 4_000_000
"""Values in the JSON of all pages of one collection."""
MAX_LISTED_BYTES: Final = 256 * 1024 * 1024
"""Bytes of all pages of one collection: 200,000 contacts have about 100 MiB."""
MAX_TOKEN_BYTES: Final = 65_536
_MAX_PARTICIPANT_BYTES: Final = 1024 * 1024
"""Bytes of one answer about one DN or participant. Many of these are read at the same time."""
_GONE: Final = frozenset((404, 410))
_NO_TOKENS_HERE: Final = frozenset((404, 405, 410, 501))
_MEANT_FOR_TLS: Final = b"HTTPS port"
"""Words in nginx's answer to plain HTTP on a TLS port. nginx stands in front of every 3CX."""


@dataclass(frozen=True, slots=True)
class PbxSettings:
    """Hold the address of a PBX and how often to ask it. Times are seconds."""

    url: str
    """``https://pbx.example.com:5001``, without a path."""
    client_id: str
    client_secret: str | Secret = field(repr=False)
    ca_file: Path | None = None
    """Trust these certificates and no others."""
    verify: bool = True
    request_timeout: float = 10.0
    connect_timeout: float = 5.0
    ping_interval: float = 1.0
    """Seconds between two pings on the event socket, at most."""
    silence_timeout: float = 4.5
    """Seconds without a word from the PBX, while pings or reads ask it, until it counts as lost."""
    source: Source = "auto"
    poll_interval: float = 0.25
    """Seconds between two reads of ActiveCalls while calls change."""
    poll_idle: float = 0.5
    """Seconds between two reads of ActiveCalls while nothing happens."""
    watchdog_interval: float = 30.0
    """Seconds between two full reads of Call Control."""
    directory_interval: float = 60.0
    contacts_interval: float = 600.0
    logins_interval: float = 3.0
    """Seconds between two readings of the logins to single queues."""
    recheck_interval: float = 300.0
    """Seconds between two attempts at a part of the PBX that refused."""
    parallel_reads: int = 64
    """Participants read at the same time."""


@dataclass(frozen=True, slots=True)
class ActiveCalls:
    """Hold all rows of ActiveCalls.

    ``server_now``: the PBX's clock in POSIX seconds; None if no row tells it.
    """

    rows: tuple[ActiveCall, ...]
    server_now: float | None
    cpu_seconds: float = 0.0
    """CPU time that reading the answer's JSON took."""


class PbxClient:
    """Hold the connections of one API client to one PBX.

    Call :meth:`close` at the end. Every method raises PbxUnreachable, PbxRefused, TokenRefused or
    PbxGarbled; see :mod:`monitor.shared.errors`. The constructor raises ConfigError if ``ca_file``
    cannot be read. ``traffic_tap`` receives everything that the PBX says. ``on_date`` receives the
    dates of its answers, as :meth:`monitor.pbx.clock.PbxClock.take_date` takes them.
    """

    def __init__(
        self,
        settings: PbxSettings,
        may_mint: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
        counters: PbxCounters | None = None,
        traffic_tap: TrafficTap | None = None,
        on_date: Callable[[float, float], None] = lambda _, __: None,
    ) -> None:
        self.traffic_tap: TrafficTap = NoTrafficTap() if traffic_tap is None else traffic_tap
        self.counters = PbxCounters() if counters is None else counters
        self.settings = settings
        self.tls = tls_context(settings.url, settings.ca_file, verify=settings.verify)
        """TLS for the event socket; None if the address is not ``https``."""
        self._transport = Transport(
            settings.url,
            self.tls,
            settings.request_timeout,
            settings.connect_timeout,
            settings.parallel_reads,
            self.counters,
            self.traffic_tap,
            on_date,
        )
        self.tokens = TokenOwner(
            self._grant, may_mint, clock, counters=self.counters, secret=self._secret
        )
        self._call_rows = rows.ActiveCallRows()

    @property
    def heard_at(self) -> float:
        """Return when the last answer to a request came, on the monotonic clock."""
        return self._transport.heard_at

    async def close(self) -> None:
        """Close all connections. May be called again."""
        await self._transport.close()

    async def get_json(self, path: str, query: Query | None = None) -> Any:
        """Return the JSON that a GET of this path answers.

        ``path`` begins with ``/`` and is percent-encoded already; ``query`` is not.
        """
        return (await self._get(path, query)).json()

    async def post(self, path: str, body: object) -> Any:
        """Post ``body`` as JSON and return the answer.

        Like :meth:`patch` and :meth:`delete` it may raise CommandOutcomeUnknown too.
        """
        return _done(await self.order("POST", path, to_json(body)))

    async def patch(self, path: str, body: object) -> None:
        """Send ``body`` as changes of the entity at this path."""
        _done(await self.order("PATCH", path, to_json(body)))

    async def delete(self, path: str) -> None:
        """Delete the entity at this path."""
        _done(await self.order("DELETE", path))

    async def order(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of one request, as aiohttp takes it
        *,
        blame_token: bool = True,
        largest: int = MAX_BODY_BYTES,
    ) -> HttpResponse:
        """Send a request that may change something; return its answer of any status but 401.

        ``content`` is JSON unless ``headers`` say otherwise. ``timeout``: seconds, in place of
        those in the settings. ``largest``: bytes of the answer. If ``blame_token`` is False, a 401
        is returned like any other answer: perhaps a right is missing and the token is good.
        Raises PbxUnreachable or TokenRefused if nothing was done. Raises CommandOutcomeUnknown if
        that is not known.
        """
        kind = {"Content-Type": "application/json"} if content is not None else {}

        async def send(token: str) -> HttpResponse:
            given = {"Authorization": f"Bearer {token}", **kind, **(headers or {})}
            return await self._transport.write(
                method, path, given, content, timeout, largest=largest
            )

        if not blame_token:
            return await send(await self.tokens.get())
        return await self._authorized(send, f"{method} {path}")

    async def ask(
        self, path: str, question: bytes, headers: Mapping[str, str], largest: int = MAX_BODY_BYTES
    ) -> HttpResponse:
        """Post a question that changes nothing; return its answer of any status but 401.

        ``largest``: bytes of the answer. Raises PbxUnreachable, PbxGarbled, TokenRefused.
        """

        async def read(token: str) -> HttpResponse:
            return await self._transport.ask(path, token, question, headers, largest)

        return await self._authorized(read, f"POST {path}")

    async def collection(
        self, name: str, query: Query | None = None, top: int | None = PAGE
    ) -> list[dict[str, Any]]:
        """Return all rows of an XAPI collection by Id, read in pages of ``top`` rows.

        Raises PbxGarbled if they hold more than :data:`MAX_LISTED_VALUES` values or
        :data:`MAX_LISTED_BYTES` bytes.
        """
        return (await self._collection(name, query, top))[0]

    async def _collection(
        self, name: str, query: Query | None = None, top: int | None = PAGE
    ) -> tuple[list[dict[str, Any]], float]:
        """Return the rows, and the seconds of CPU time that reading the JSON took."""
        values = size = 0
        cpu = 0.0

        async def fetch(page: Query) -> Any:
            nonlocal values, size, cpu
            answer = await self._get(f"{XAPI}/{name}", page)
            begun = time.thread_time()
            values += answer.values
            size += len(answer.body)
            if size > MAX_LISTED_BYTES:
                raise PbxGarbled(
                    f"The PBX's list {name} is larger than {MAX_LISTED_BYTES} bytes; it is not "
                    f"used."
                )
            if values > MAX_LISTED_VALUES:
                text = (
                    f"The PBX's list {name} holds more than {MAX_LISTED_VALUES} values; it is "
                    f"not used."
                )
                raise PbxGarbled(text)
            read = answer.json()
            cpu += time.thread_time() - begun
            return read

        return await read_all(fetch, query or {}, top), cpu

    async def full_state(self) -> FullState:
        """Return all participants of all DNs that this API client may monitor."""
        return parse_full_state(await self.get_json(CALL_CONTROL))

    async def participant(self, dn: str, participant_id: int) -> Participant | None:
        """Return a participant, or None if it is gone."""
        try:
            row = await self.get_json(
                f"{CALL_CONTROL}/{quote(dn, safe='')}/participants/{participant_id}"
            )
        except PbxRefused as refused:
            if refused.status in _GONE:
                return None
            raise
        return parse_participant(row, dn)

    async def active_calls(self) -> ActiveCalls:
        """Return all calls of the PBX as XAPI lists them."""
        listed, cpu = await self._collection("ActiveCalls", top=None)
        begun = time.thread_time()
        calls = self._call_rows.parse(listed)
        now = next((now for row in listed if (now := rows.server_now(row)) is not None), None)
        return ActiveCalls(calls, now, cpu + time.thread_time() - begun)

    async def system_status(self) -> SystemRow:
        """Return version, name and licence of the PBX."""
        answer = await self.get_json(f"{XAPI}/SystemStatus")
        if not isinstance(answer, dict):
            raise PbxGarbled("SystemStatus is not an object.")
        return rows.system(answer)

    async def time_zone(self) -> str:
        """Return the PBX's time zone as ``OfficeHours`` has it.

        This is an Id of ``Defs/TimeZones`` or a name. It is empty if none is set.
        """
        answer = await self.get_json(f"{XAPI}/OfficeHours", {"$select": "TimeZoneId"})
        if not isinstance(answer, dict):
            raise PbxGarbled("OfficeHours is not an object.")
        return text(answer, "TimeZoneId")

    async def time_zones(self, told: str) -> tuple[ZoneRow, ...]:
        """Return the rows of ``Defs/TimeZones`` with this Id or name.

        The rows are not read in pages, as their Ids are texts.
        """
        quoted = told.replace("'", "''")
        known = " or ".join(f"{name} eq '{quoted}'" for name in ("Id", "IanaName", "WindowsName"))
        answer = await self.get_json(f"{XAPI}/Defs/TimeZones", {"$filter": known})
        listed = answer.get("value") if isinstance(answer, dict) else None
        return tuple(rows.zone(row) for row in objects(listed))

    async def whoami(self) -> Claims:
        """Return the roles that the PBX gives this API client."""
        return await self.tokens.claims()

    def _secret(self) -> str:
        return text_of(self.settings.client_secret)

    async def _grant(self) -> GrantedToken:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.settings.client_id,
            "client_secret": self._secret(),
        }
        granted = await self._transport.read(
            "POST", "/connect/token", content=form, largest=MAX_TOKEN_BYTES
        )
        if granted.status == 400 and _MEANT_FOR_TLS in granted.body:
            raise PbxRefused("The PBX wants https: write https:// in url.", 400)
        if granted.status in _NO_TOKENS_HERE or (
            granted.is_page and not 300 <= granted.status < 400 and granted.status < 500
        ):
            raise PbxGarbled(
                f"The server at {self.settings.url} is not a 3CX of version 20: it has no POST "
                f"/connect/token"
                f" ({granted.status}). See url: host and port are those of the 3CX web client. A "
                f"3CX before version 20"
                " is followed by the documented interface alone: key in place of client_id."
            )
        if granted.status in (400, 401):
            raise TokenRefused(
                f"The PBX does not accept the API client {self.settings.client_id!r} with "
                f"this secret."
                " See client_id and client_secret, and Integrations → API in the admin console."
            )
        if not granted.good:
            raise granted.refusal()
        answer = granted.json()
        token = text(answer, "access_token", MAX_TOKEN_BYTES) if isinstance(answer, dict) else ""
        if not token.isascii() or not token or any(char.isspace() for char in token):
            raise PbxGarbled(
                "The PBX's answer to a token request has no token: is it a 3CX? See url."
            )
        expires_in = integer(answer, "expires_in")
        return GrantedToken(token, None if expires_in is None else float(expires_in))

    async def _get(self, path: str, query: Query | None) -> HttpResponse:
        """Return a good answer of any form."""
        address, largest = (
            _address(path, query),
            _MAX_PARTICIPANT_BYTES if _of_one(path) else MAX_BODY_BYTES,
        )

        async def read(token: str) -> HttpResponse:
            return await self._transport.read("GET", address, token, largest=largest)

        answer = await self._authorized(read, f"GET {path}")
        if not answer.good:
            raise answer.refusal()
        return answer

    async def _authorized(
        self, send: Callable[[str], Awaitable[HttpResponse]], shown: str
    ) -> HttpResponse:
        token = await self.tokens.get()
        answer = await send(token)
        if answer.status == 401:
            self.tokens.refused(token)
            token = await self.tokens.get(unlike=token)
            answer = await send(token)
        if answer.status == 401:
            self.tokens.refused(token)
            raise TokenRefused(f"The PBX refuses a token that it has just issued ({shown}).")
        return answer


def _of_one(path: str) -> bool:
    return path.startswith(f"{CALL_CONTROL}/")


def refusal(shown: str, status: int, headers: Mapping[str, str]) -> PbxError:
    """Return the error for an HTTP status other than 2xx and 401.

    ``shown``: the request, as the message names it.
    """
    return HttpResponse(shown, status, headers, b"").refusal()


def _done(answer: HttpResponse) -> Any:
    """Return the JSON answer to a request that changed something.

    Raises CommandOutcomeUnknown for a status from 500 on and for an answer that is not JSON; the
    error for any other refusal.
    """
    if answer.status >= 500:
        raise CommandOutcomeUnknown(
            f"The PBX answered {answer.status} to {answer.shown}: it is not known whether it "
            f"was done."
        )
    if not answer.good:
        raise answer.refusal()
    try:
        return answer.json()
    except PbxGarbled as garbled:
        raise CommandOutcomeUnknown(f"It is not known whether it was done. {garbled}") from garbled


def _address(path: str, query: Query | None) -> str:
    return f"{path}?{urlencode(query, quote_via=quote, safe='$,()')}" if query else path
