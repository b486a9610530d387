"""Send HTTP requests to a service with the documented interface.

The service is another callmon, or the product on an older 3CX. The first request finds out which:

- A callmon takes the key from the header ``Authorization``. So the key stands in no address, and
  in no log on the way.
- A service that does not answer that as a callmon gets the key in the path. The document has this
  form and every service accepts it.
- A command that changes something is a POST with a form for a callmon. For others it is a GET, as
  documented.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode

from monitor.pbx.clock import PbxClock
from monitor.pbx.counters import PbxCounters
from monitor.pbx.http_client.secret import Secret, text_of
from monitor.pbx.http_client.transport import HttpResponse, Transport, tls_context
from monitor.pbx.webapi import parser
from monitor.shared.codec import to_json
from monitor.shared.errors import (
    CommandOutcomeUnknown,
    CommandRefused,
    PbxGarbled,
    PbxRefused,
    PbxUnreachable,
    RefusalKind,
    TokenRefused,
)

T = TypeVar("T")

_ROOT: Final = "/webapi"
_ATTEMPTS: Final = 5
"""Attempts at a read that is answered 429, each after the time that the service asks for."""
_LATER_S: Final = 5.0
"""Seconds until the next attempt, if the service does not say."""
_LONG: Final[Mapping[str, float]] = {"makecall": 50.0, "query": 50.0}
"""Seconds for commands that wait for a phone or a database."""
_KINDS: Final[Mapping[int, RefusalKind]] = {
    400: "bad",
    404: "missing",
    405: "bad",
    413: "bad",
    422: "bad",
}
_NOT_DONE: Final = frozenset((429, 503))
_AWAY: Final = frozenset((429, 502, 503, 504))
_NOT_SERVED: Final = frozenset(
    ("unknown_command", "scope_missing", "not_available", "wrong_method")
)
_NOT_SERVED_STATUS: Final = frozenset((403, 405, 501))


@dataclass(frozen=True, slots=True)
class WebApiSettings:
    """Hold the address of a service and how often to ask it. Times are seconds."""

    url: str
    """``https://pbx.example.com``, without a path."""
    key: str | Secret = field(repr=False)
    ca_file: Path | None = None
    """Trust these certificates and no others."""
    verify: bool = True
    request_timeout: float = 10.0
    connect_timeout: float = 5.0
    silence_timeout: float = 4.5
    """Seconds without a word from the service, while calls are read, until it counts as lost."""
    poll_interval: float = 0.25
    """Seconds between two reads of the calls while they change."""
    poll_idle: float = 0.5
    """Seconds between two reads of the calls while nothing happens."""
    states_interval: float = 5.0
    """Seconds between two readings of all extensions' states."""
    directory_interval: float = 60.0
    contacts_interval: float = 600.0
    parallel_reads: int = 8


@dataclass(frozen=True, slots=True)
class CachedResponse(Generic[T]):
    """Hold an answer.

    ``tag``: its ETag, to be sent with the next question; empty if it has none.
    """

    value: T
    tag: str = ""
    position: str = ""
    """The position of the callmon's state that the answer was made from."""
    stale_since: str = ""
    """Time since which a callmon has heard nothing of its PBX, so that its answers may be old.

    Empty if it hears of its PBX."""


class WebApiClient:
    """Send requests to one service. Call :meth:`close` at the end.

    The constructor raises ConfigError if ``ca_file`` cannot be read.
    """

    def __init__(
        self, settings: WebApiSettings, clock: PbxClock, counters: PbxCounters | None = None
    ) -> None:
        self.settings, self._clock = settings, clock
        tls = tls_context(settings.url, settings.ca_file, verify=settings.verify)
        self._transport = Transport(
            settings.url,
            tls,
            settings.request_timeout,
            settings.connect_timeout,
            settings.parallel_reads,
            counters,
        )
        self._callmon: bool | None = None
        self._finding_out = asyncio.Lock()
        self._not_before = 0.0

    @property
    def heard_at(self) -> float:
        """Return when the last answer came, on the monotonic clock."""
        return self._transport.heard_at

    async def close(self) -> None:
        """Close all connections. May be called again."""
        await self._transport.close()

    async def who(self) -> Mapping[str, Any]:
        """Return the answer of the bare address.

        Raises PbxUnreachable, PbxGarbled, PbxRefused, TokenRefused.
        """
        callmon = await self._is_callmon()
        answer = await self._send("", {}, {}, callmon=callmon)
        return parser.plain(_good(answer).json())

    async def get(
        self,
        command: str,
        parse: Callable[[Any], T],
        arguments: Mapping[str, str] | None = None,
        kept: CachedResponse[T] | None = None,
        *,
        patient: bool = True,
    ) -> CachedResponse[T]:
        """Return the parsed answer of a query; on status 304 this is the value of ``kept``.

        ``patient``: ask again if the service wants to be asked later. Raises PbxUnreachable,
        PbxGarbled, TokenRefused, PbxRefused. For PbxRefused :func:`not_served` tells if the service
        does not serve the command at all.
        """
        callmon = await self._is_callmon()
        headers = {"If-None-Match": kept.tag} if kept is not None and kept.tag else {}
        answer = await self._asked(
            command, arguments or {}, headers, callmon=callmon, patient=patient
        )
        if answer.status == 304 and kept is not None:
            return CachedResponse(kept.value, kept.tag, *_condition(answer))
        value = _good(answer).json()
        if parser.says_no(value) and set(value) <= {"result", "error"}:
            code, _ = parser.error(value)
            raise PbxRefused(
                f"The service refuses {command}{f': {code}' if code else ''}.", 404, code
            )
        return CachedResponse(parse(value), answer.headers.get("ETag", ""), *_condition(answer))

    async def order(self, command: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        """Have the service carry out a command; return the reply's fields.

        ``result`` is left out, unless it says that the command had no success. Raises
        CommandRefused, CommandOutcomeUnknown, PbxUnreachable (not done), TokenRefused.
        """
        try:
            callmon = await self._is_callmon()
        except PbxRefused as refused:
            raise CommandRefused(refused.code or "pbx_refused", str(refused)) from refused
        given = {name: value for name, value in arguments.items() if command != "query" or value}
        if command == "query":
            method, address, content = (
                "POST",
                self._path(command, callmon=callmon),
                to_json(_query(given)),
            )
            kind = {"Content-Type": "application/json"}
        elif callmon:
            method, address, content = (
                "POST",
                self._path(command, callmon=True),
                urlencode(given).encode(),
            )
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
        else:
            method, address, content, kind = (
                "GET",
                self._address(command, given, callmon=False),
                None,
                {},
            )
        headers = {**kind, **self._credentials(callmon=callmon)}
        shown = f"{method} {_ROOT}/{command}"
        answer = await self._transport.write(
            method, address, headers, content, _LONG.get(command), shown
        )
        return _done(command, answer)

    async def _asked(
        self,
        command: str,
        arguments: Mapping[str, str],
        headers: Mapping[str, str],
        *,
        callmon: bool,
        patient: bool,
    ) -> HttpResponse:
        for attempt in range(_ATTEMPTS):
            await asyncio.sleep(self._not_before - self._clock.now())
            answer = await self._send(command, arguments, headers, callmon=callmon)
            if answer.status != 429:
                break
            later = answer.refusal()
            after = later.retry_after if isinstance(later, PbxUnreachable) else None
            self._not_before = max(
                self._not_before, self._clock.now() + (_LATER_S if after is None else after)
            )
            if not patient or attempt + 1 == _ATTEMPTS:
                break
        return answer

    async def _send(
        self,
        command: str,
        arguments: Mapping[str, str],
        headers: Mapping[str, str],
        *,
        callmon: bool,
    ) -> HttpResponse:
        asked = self._clock.now()
        answer = await self._transport.read(
            "GET",
            self._address(command, arguments, callmon=callmon),
            headers={**self._credentials(callmon=callmon), **headers},
            shown=f"GET {_ROOT}/{command}",
        )
        self._learn(answer, asked)
        if answer.status == 401:
            self._callmon = None  # another kind of service may answer at that address by now
        return answer

    async def _is_callmon(self) -> bool:
        """Return whether the service is a callmon: it accepts the key from the header."""
        async with self._finding_out:
            if self._callmon is None:
                answer = await self._send("", {}, {}, callmon=True)
                self._callmon = self._judged(answer)
            return self._callmon

    def _judged(self, answer: HttpResponse) -> bool:
        if answer.status in _AWAY:
            raise answer.refusal()
        try:
            body = answer.json()
        except PbxGarbled:
            return False
        if not answer.good and parser.error(body)[0]:  # only a callmon gives a reason in this form
            _good(answer)
        return parser.is_callmon(body)

    def _path(self, command: str, *, callmon: bool) -> str:
        return (
            f"{_ROOT}/{command}"
            if callmon
            else f"{_ROOT}/{quote(text_of(self.settings.key), safe='')}/{command}"
        )

    def _address(self, command: str, arguments: Mapping[str, str], *, callmon: bool) -> str:
        path = self._path(command, callmon=callmon)
        return f"{path}?{urlencode(arguments, quote_via=quote)}" if arguments else path

    def _credentials(self, *, callmon: bool) -> dict[str, str]:
        return {"Authorization": f"Bearer {text_of(self.settings.key)}"} if callmon else {}

    def _learn(self, answer: HttpResponse, asked: float) -> None:
        """Take the service's clock from its answer's date, which is cut to whole seconds."""
        if (date := answer.date) is not None:
            self._clock.learn(date + 0.5, asked - 0.5, self._clock.now() + 0.5)


def not_served(refused: PbxRefused) -> bool:
    """Return whether the service does not serve the command at all.

    False if it only refuses what the command was asked about.
    """
    return refused.code in _NOT_SERVED or (
        not refused.code and refused.status in _NOT_SERVED_STATUS
    )


def _condition(answer: HttpResponse) -> tuple[str, str]:
    return answer.headers.get("Callmon-Position", ""), answer.headers.get("Callmon-Stale-Since", "")


def _good(answer: HttpResponse) -> HttpResponse:
    if answer.status == 401:
        raise TokenRefused("The service does not accept the key; see key in the settings.")
    if not answer.good:
        raise answer.refusal()
    return answer


def _query(arguments: Mapping[str, str]) -> dict[str, object]:
    count = arguments.get("count", "")
    return {"query": arguments.get("query", "")} | (
        {"count": int(count)} if count.isdigit() else {}
    )


def _done(command: str, answer: HttpResponse) -> Mapping[str, object]:
    if answer.status == 401:
        raise TokenRefused("Nothing was done: the service does not accept the key.")
    try:
        body = answer.json()
    except PbxGarbled as garbled:
        if answer.good:
            raise CommandOutcomeUnknown(
                f"It is not known whether it was done. {garbled}"
            ) from garbled
        body = None
    code, message = parser.error(body)
    if not answer.good:
        raise _failure(answer, code, message)
    reply = dict(body) if isinstance(body, dict) else {}
    result = reply.pop("result", True)
    if result is False:
        if command == "ext.queueglobal.set" and not code:
            return {"result": False}
        raise CommandRefused(
            code or "pbx_refused", message or f"The service answers that {command} failed."
        )
    status = parser.final_status(reply) if command == "makecall" else ""
    if status not in ("", "success", "1"):
        raise CommandRefused(
            code or "call_failed",
            message or f"The service answers that the call's final status is {status}.",
        )
    if command == "contact.new" and isinstance(result, int) and not isinstance(result, bool):
        reply.setdefault("id", result)
    return reply


def _failure(answer: HttpResponse, code: str, message: str) -> Exception:
    text = message or f"The service answered {answer.status} to {answer.shown}."
    if code == "too_late" or answer.status in _NOT_DONE:
        return PbxUnreachable(f"Nothing was done: {text}")
    if answer.status >= 500 and answer.status != 501:
        return CommandOutcomeUnknown(text)
    if answer.status < 400:
        return CommandRefused("pbx_refused", text)
    if answer.status == 403:  # "your key" in its message means our key, not the caller's
        return CommandRefused(
            "not_permitted", f"The service refuses it to callmon's key there: {text}"
        )
    return CommandRefused(code or "pbx_refused", text, _KINDS.get(answer.status, "conflict"))
