"""Follow a 3CX v20 and emit everything that it says as facts.

This module puts the parts of the library together. Four loops run side by side: Call Control's
events, ActiveCalls, the directory, the address book. Each has its own retries, so a loop that
fails stops none of the others. The address book waits until calls are live.
:mod:`monitor.pbx.connection_state` decides what the loops' results say of the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from monitor.pbx.callcontrol.event_socket import EventSocket
from monitor.pbx.clock import PbxClock
from monitor.pbx.commands.execute_and_reread import CommandRunner
from monitor.pbx.connection_state import ConnectionState, InterfaceCondition
from monitor.pbx.counters import PbxCounters
from monitor.pbx.facts import (
    ActiveCallsRead,
    Fact,
    ParticipantsRead,
    QueueFiguresRead,
    QueueLoginsRead,
)
from monitor.pbx.http_client import secret
from monitor.pbx.myphone.queue_logins import QueueLoginReader
from monitor.pbx.parsing.json_fields import tell_too_long
from monitor.pbx.silence_watch import watch_silence
from monitor.pbx.traffic_tap import TrafficTap
from monitor.pbx.v20_client import PbxClient, PbxSettings
from monitor.pbx.xapi.active_calls_poller import ActiveCallsPoller
from monitor.pbx.xapi.directory_cache import DirectoryCache
from monitor.pbx.xapi.directory_reader import DirectoryReader
from monitor.shared.backoff import Backoff
from monitor.shared.errors import PbxError, PbxRefused
from monitor.shared.tasks import together

STEADY_S: Final = 10.0
"""Seconds that a socket must have been live before the next retry is a quick one again."""
DO_WITHOUT_AFTER_S: Final = 10.0
"""Seconds of failing reads of ActiveCalls after which it is left out."""
_FIRST_RECHECK_S: Final = 5.0

_log = structlog.get_logger(__name__)


class PbxSource:
    """Follow one PBX and emit facts in the order in which they became known.

    ``emit`` is called synchronously. ``may_mint`` is asked before every request for a token.
    ``traffic_tap`` receives everything that the PBX says. Raises ConfigError if ``ca_file``
    cannot be read.
    """

    def __init__(
        self,
        settings: PbxSettings,
        emit: Callable[[Fact], None],
        may_mint: Callable[[], bool] = lambda: True,
        clock: PbxClock | None = None,
        counters: PbxCounters | None = None,
        traffic_tap: TrafficTap | None = None,
    ) -> None:
        self._settings, self._emit = settings, emit
        self._clock = clock = clock or PbxClock()
        self._client = PbxClient(
            *(settings, may_mint, clock.now, counters, traffic_tap), clock.take_date
        )
        self._counters = counters = self._client.counters
        counters.clock, counters.waiting = clock, lambda: self.lag
        self._poller = ActiveCallsPoller(self._client, emit, clock)
        self._listener = EventSocket(
            *(self._client, emit, clock, self._poller.request_read),
            calls_go_on=lambda: self._poller.calls_go_on,
        )
        self._reader = DirectoryReader(self._client, clock)
        self._state = ConnectionState(settings.source)
        self._alone = False
        self._connected = asyncio.Event()
        self._directory_wanted = asyncio.Event()
        self._live_since: float | None = None
        self._lost_beside_participants = False
        """True if the PBX counts as lost although Call Control's session goes on."""
        self._rows_failing_since: float | None = None
        self._contacts_wanted = asyncio.Event()
        self._known = DirectoryCache(emit)
        self._callers: Mapping[str, tuple[float | None, ...]] = {}
        self._logins = QueueLoginReader(self._client, self._queues_told, clock, settings)
        self._execution = CommandRunner(
            self._client,
            self._reader,
            self._known,
            self._logins,
            self._listener,
            self._poller,
            self._want_all,
            emit,
            clock,
        )
        self._log = _log.bind(url=settings.url)

    @property
    def lag(self) -> int:
        """Return the number of participants that wait to be read after their events."""
        return self._listener.lag

    async def execute(self, command: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        """Carry out a documented command and return the reply's fields.

        What it changed has been emitted as facts before this returns. Raises CommandRefused
        (nothing was changed), CommandOutcomeUnknown, PbxUnreachable and TokenRefused (not done).
        """
        return await self._execution.execute(command, arguments)

    def request_read(self) -> None:
        """Read ActiveCalls soon."""
        self._poller.request_read()

    def request_full_read(self) -> None:
        """Read all participants soon."""
        self._listener.request_full_read()

    def want_directory(self) -> None:
        """Read the directory soon."""
        self._directory_wanted.set()

    async def run(self) -> None:
        """Follow the PBX until cancelled; retry all that fails and tell it as a fact."""
        tell_too_long(partial(self._log.warning, "pbx_text_too_long"))
        self._tell()
        try:
            await together(
                *([] if self._settings.source == "activecalls" else [self._follow_participants()]),
                self._follow_rows(),
                watch_silence(
                    self._settings.silence_timeout, self._rows_awaited_since, self._rows_silent
                ),
                self._follow_directory(),
                self._follow_contacts(),
                self._logins.run(self._connected),
            )
        finally:
            await self.close()

    async def close(self) -> None:
        """Close all connections. May be called again."""
        await self._logins.web.close()
        await self._client.close()

    # Call Control

    async def _follow_participants(self) -> None:
        part = self._state.call_control
        backoff, rechecks = (
            Backoff(),
            Backoff(_FIRST_RECHECK_S, self._settings.recheck_interval, _FIRST_RECHECK_S),
        )
        while True:
            self._live_since = None
            try:
                await self._listener.session(self._opened, self._participants_read)
            except PbxRefused as refused:
                part.set(InterfaceCondition.REFUSED, str(refused))
                self._without_call_control()
                alone = self._state.active_calls.condition is InterfaceCondition.LIVE
                pause = (rechecks if alone else backoff).pause()
            except PbxError as error:
                if self._lasted() >= STEADY_S:
                    backoff.reset()
                    rechecks.reset()
                if part.condition is not InterfaceCondition.REFUSED:
                    part.set(InterfaceCondition.DOWN, str(error))
                pause = backoff.pause(error)
            self._tell()
            await self._pause(pause)

    def _lasted(self) -> float:
        """Return for how many seconds the last socket was live."""
        return 0.0 if self._live_since is None else self._clock.now() - self._live_since

    def _opened(self) -> None:
        if self._state.call_control.condition is not InterfaceCondition.REFUSED:
            self._state.call_control.set(
                InterfaceCondition.UNKNOWN, "Reading the state of all calls."
            )
            self._tell()

    def _participants_read(self) -> None:
        self._counters.reads["participants"] += 1
        self._poller.request_read()  # after both reads it is clear which calls still go on
        if self._live_since is None:
            self._live_since = self._clock.now()
            self._alone = False
            self._state.call_control.set(InterfaceCondition.LIVE)
            self._tell()

    def _without_call_control(self) -> None:
        """Drop all participants: nothing is known of them any more."""
        if not self._alone:
            self._alone = True
            self._poller.request_read()
            now = self._clock.now()
            self._emit(ParticipantsRead((), {}, now, self._clock.at(now)))

    # ActiveCalls

    async def _follow_rows(self) -> None:
        part = self._state.active_calls
        backoff, rechecks = (
            Backoff(),
            Backoff(_FIRST_RECHECK_S, self._settings.recheck_interval, _FIRST_RECHECK_S),
        )
        while True:
            try:
                await self._poller.run(self._rows_read)
            except PbxRefused as refused:
                self._without_rows(InterfaceCondition.REFUSED, str(refused))
                alone = self._state.call_control.condition is InterfaceCondition.LIVE
                pause = (rechecks if alone else backoff).pause()
            except PbxError as error:
                if self._rows_failing_since is None:
                    self._rows_failing_since = self._clock.now()
                    backoff.reset()
                    rechecks.reset()
                if self._clock.now() - self._rows_failing_since >= DO_WITHOUT_AFTER_S:
                    self._without_rows(InterfaceCondition.DOWN, str(error))
                elif part.condition is InterfaceCondition.UNKNOWN:
                    part.set(InterfaceCondition.UNKNOWN, str(error))
                    self._tell()
                pause = backoff.pause(error)
            await self._pause(pause)

    def _rows_awaited_since(self) -> float | None:
        """Return since when an answer is missing, if ActiveCalls is the only source of calls.

        None if Call Control tells of calls too, or if ActiveCalls is not live or not being read.
        """
        alone = (
            self._settings.source == "activecalls"
            or self._state.call_control.condition is InterfaceCondition.REFUSED
        )
        asked = self._poller.asked_at
        if (
            asked is None
            or not alone
            or self._state.active_calls.condition is not InterfaceCondition.LIVE
        ):
            return None
        return max(asked, self._client.heard_at)

    def _rows_silent(self) -> None:
        reason = (
            f"The PBX has said nothing in {self._settings.silence_timeout:g} s, though it "
            f"was asked for the calls."
        )
        self._state.active_calls.set(InterfaceCondition.DOWN, reason)
        self._tell()

    def _rows_read(self) -> None:
        self._counters.reads["active_calls"] += 1
        self._rows_failing_since = None
        if self._state.active_calls.condition is not InterfaceCondition.LIVE:
            self._state.active_calls.set(InterfaceCondition.LIVE)
            self._tell()

    def _without_rows(self, condition: InterfaceCondition, reason: str) -> None:
        was_live = self._state.active_calls.condition is InterfaceCondition.LIVE
        self._state.active_calls.set(condition, reason)
        self._tell()
        if was_live and self._state.connection == "connected":
            # Old rows must not keep calls alive that Call Control does not show any more.
            # If the PBX is out of reach, no call is ended.
            now = self._clock.now()
            self._emit(ActiveCallsRead((), now, self._clock.at(now)))

    def _queues_told(self, fact: QueueLoginsRead | QueueFiguresRead) -> None:
        """Pass on what the web client is told; read the calls if a caller came or rings."""
        self._emit(fact)
        if isinstance(fact, QueueFiguresRead):
            callers = {
                queue: tuple(figures.get(name) for name in ("waiting", "ringing", "offered"))
                for queue, figures in fact.figures.items()
            }
            if callers != self._callers:
                self._callers = callers
                self._poller.request_read()

    # directory and address book

    async def _follow_directory(self) -> None:
        backoff, warned = Backoff(), False
        while True:
            self._directory_wanted.clear()
            self._known.directory_asked()
            try:
                read = await self._reader.directory()
            except PbxError as error:
                warns = (
                    self._connected.is_set() and not warned
                )  # else the connection's own line warns
                warned = warned or warns
                (self._log.warning if warns else self._log.info)(
                    "pbx_read_failure", part="directory", reason=str(error)
                )
                if self._state.directory.condition is not InterfaceCondition.LIVE:
                    self._state.directory.set(InterfaceCondition.DOWN, str(error))
                    self._tell()
                await self._pause(backoff.pause(error))
                continue
            backoff.reset()
            warned = False
            self._known.directory_read(read)
            self._state.directory.set(InterfaceCondition.LIVE)
            self._tell()
            self._counters.reads["directory"] += 1
            await _wait(self._directory_wanted, self._settings.directory_interval)

    async def _follow_contacts(self) -> None:
        backoff, failed = Backoff(), 0
        while True:
            await self._connected.wait()
            self._contacts_wanted.clear()
            self._known.contacts_asked()
            refused = self._reader.refused
            try:
                contacts = await self._reader.contacts()
            except PbxError as error:
                (self._log.info if failed else self._log.warning)(
                    "pbx_read_failure", part="contacts", reason=str(error)
                )
                failed += 1
                if failed == 2:  # not for a moment: the directory tells it
                    self._directory_wanted.set()
                await self._pause(backoff.pause(error))
                continue
            backoff.reset()
            if failed > 1 or self._reader.refused != refused:
                self._directory_wanted.set()
            failed = 0
            self._known.contacts_read(contacts)
            self._counters.reads["contacts"] += 1
            await _wait(self._contacts_wanted, self._settings.contacts_interval)

    async def _pause(self, seconds: float) -> None:
        await secret.pause(seconds, self._settings.client_secret)

    def _want_all(self) -> None:
        self._directory_wanted.set()
        self._contacts_wanted.set()
        self._logins.want()

    def _tell(self) -> None:
        again = self._state.ever
        before = self._state.connection
        news = self._state.changed(self._clock.at(self._clock.now()))
        if news is None:
            return
        if news.connection == "connected":
            self._connected.set()
            if again and before != "connected":
                self._directory_wanted.set()  # a PBX that was away may have another directory now
            if self._lost_beside_participants:
                self.request_full_read()  # it decides which of the known calls still go on
            self._lost_beside_participants = False
        else:
            self._connected.clear()
            live = self._state.call_control.condition is InterfaceCondition.LIVE
            self._lost_beside_participants = live
        troubled = news.connection == "lost" or (
            news.reason and self._state.lacking
        )  # lost, never reached or partial
        say = self._log.warning if troubled else self._log.info
        say("pbx_connection", connection=news.connection, source=news.source, reason=news.reason)
        self._emit(news)


async def _wait(wanted: asyncio.Event, seconds: float) -> None:
    """Wait until ``wanted`` is set, at most so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wanted.wait()
