"""Follow Call Control's event socket.

The library's own endless loop is not used. It would keep the first token, and every reconnect
after that token's end would be answered 401. One :meth:`EventSocket.session` is one life of the
socket: take another token than the last life's, connect, read the full state, then follow events
until something ends it. Events that come while the full state is being read are not lost: see
:mod:`monitor.pbx.callcontrol.participant_reader`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NoReturn, assert_never

import structlog
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CloseCode

from monitor.pbx.callcontrol.participant_reader import ParticipantFact, ParticipantReader
from monitor.pbx.clock import PbxClock
from monitor.pbx.http_client import websocket
from monitor.pbx.parsing.callcontrol import (
    DnChanged,
    Event,
    Irrelevant,
    Removed,
    Upserted,
    parse_event,
)
from monitor.pbx.silence_watch import watch_silence
from monitor.pbx.v20_client import CALL_CONTROL, PbxClient, refusal
from monitor.shared.errors import PbxError, PbxGarbled, PbxUnreachable, TokenRefused
from monitor.shared.tasks import together

_PATH: Final = f"{CALL_CONTROL}/ws"
_MAX_MESSAGE_BYTES: Final = 256 * 1024
MAX_EVENT_BYTES: Final = 32 * 1024 * 1024
"""Bytes of all events between two full reads. The next full read shows what they told."""
_LOOK_EVERY_S: Final = 0.01
_PING_IN_CALLS_S: Final = 0.25
"""Seconds between two pings while calls go on."""
_LATE_S: Final = 0.5
"""Seconds by which a sign of life is overdue when the network, or the PBX, has stood still.

Twice what may be missing in :attr:`ParticipantReader.turns_late`."""
_FARTHEST_S: Final = 1.0
"""Seconds that the way to the PBX and back is taken to last until the first answer to a ping."""
_FARTHER_S: Final = 0.01
"""Seconds by which the way to the PBX may grow from one answer to the next."""
_SHARE: Final = 0.5
"""Part of the time that events may take: a PBX with very many calls needs more than others."""
_FRAMES_READ_AHEAD: Final = 128
"""Frames read ahead. Beyond these the socket is not read for a while; nothing is dropped here."""

_KINDS: Final = {
    Upserted: "upserted",
    Removed: "removed",
    DnChanged: "dn_changed",
    Irrelevant: "other",
}

_log = structlog.get_logger(__name__)


class EventSocket:
    """Follow Call Control.

    ``emit`` takes facts, synchronously and in order. ``on_event`` is called after each event of a
    call. ``calls_go_on``: returns whether there are calls, also calls that no phone is in.
    """

    def __init__(
        self,
        client: PbxClient,
        emit: Callable[[ParticipantFact], None],
        clock: PbxClock,
        on_event: Callable[[], None],
        calls_go_on: Callable[[], bool],
    ) -> None:
        self._client, self._emit, self._clock, self._on_event = client, emit, clock, on_event
        self._calls_go_on = calls_go_on
        self._token: str | None = None
        self._participants: ParticipantReader | None = None
        self._event_bytes = 0
        self._heard_at = 0.0
        self._pinged: tuple[float, float] | None = None
        """Time of a ping since which nothing was heard, and how late our own turns were by then."""
        self._away = _FARTHEST_S
        """Seconds that an answer to a ping takes of late, when nothing stands still."""

    @property
    def lag(self) -> int:
        """Return the number of participants that wait to be read after their events.

        0 while there is no socket.
        """
        return self._participants.lag if self._participants is not None else 0

    def request_full_read(self) -> None:
        """Read all participants soon.

        Does nothing while there is no socket, as opening it starts a full read.
        """
        if self._participants is not None:
            self._participants.request_full_read()

    async def read_and_wait(self, dn: str, participant_id: int) -> None:
        """Read a participant as if an event had told of it, and wait until that is done.

        Does nothing while there is no socket.
        """
        participants = self._participants
        if participants is None:
            return
        participants.upserted(dn, participant_id, None, self._clock.now())
        while participants.reads(dn, participant_id) and participants is self._participants:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY_S)

    async def session(self, on_open: Callable[[], None], on_full: Callable[[], None]) -> NoReturn:
        """Open the socket and follow it until it ends; raise the PbxError that says why it ended.

        ``on_open`` is called once the socket is open. ``on_full`` is called after each full read.
        After the first full read all facts of participants have been emitted.
        """
        self._token = token = await self._client.tokens.get(unlike=self._token)
        socket = await self._connect(token)
        settings, counters = self._client.settings, self._client.counters
        counters.sockets["opened"] += 1
        self._heard_at, self._pinged, self._away = time.monotonic(), None, _FARTHEST_S
        self._client.traffic_tap.opened()
        self._event_bytes = 0

        def fully_read() -> None:
            self._event_bytes = 0
            on_full()

        self._participants = ParticipantReader(
            self._client, self._emit, self._clock, settings.parallel_reads, fully_read
        )
        try:
            on_open()
            await together(
                self._participants.run(),
                self._watch(self._participants),
                self._follow(socket, self._participants),
                self._ping(socket, self._participants),
                watch_silence(
                    settings.silence_timeout, lambda: self._heard_at, partial(self._silent, socket)
                ),
                watch_silence(settings.silence_timeout, self._awaited_since, self._unanswered),
            )
        finally:
            self._participants = None
            counters.sockets["ended"] += 1
            await websocket.close(socket)
        raise AssertionError("the parts of a session end with an error")

    async def _connect(self, token: str) -> websocket.PbxSocket:
        settings, tls = self._client.settings, self._client.tls
        try:
            return await websocket.connect(
                settings.url,
                _PATH,
                tls,
                settings.request_timeout,
                _MAX_MESSAGE_BYTES,
                _FRAMES_READ_AHEAD,
                {"Authorization": f"Bearer {token}"},
            )
        except InvalidStatus as error:
            raise self._turned_away(error, token) from error
        except TimeoutError as error:
            self._client.traffic_tap.refused(None)
            raise PbxUnreachable("The PBX did not open the event socket in time.") from error
        except (OSError, WebSocketException, ValueError) as error:
            self._client.traffic_tap.refused(None)
            raise PbxUnreachable(f"The event socket cannot be opened: {error}.") from error

    def _turned_away(self, error: InvalidStatus, token: str) -> PbxError:
        response = error.response
        self._client.traffic_tap.refused(response.status_code)
        if response.status_code == 401:
            self._client.tokens.refused(token)
            return TokenRefused("The PBX refuses our token at the event socket.")
        return refusal(
            "the opening of the event socket",
            response.status_code,
            dict(response.headers.raw_items()),
        )

    async def _watch(self, participants: ParticipantReader) -> None:
        """Read everything now and then, to find out what lost events would have told."""
        while True:
            await asyncio.sleep(self._client.settings.watchdog_interval)
            participants.request_full_read()

    async def _ping(self, socket: websocket.PbxSocket, participants: ParticipantReader) -> NoReturn:
        """Ask for a sign of life now and then. Any event is such a sign too.

        While one is awaited no other is asked for: it would come later than the first.
        """
        longest = self._client.settings.ping_interval
        turn = min(longest, _PING_IN_CALLS_S)
        last = time.monotonic()
        pong: asyncio.Future[float] | None = None
        while True:
            await asyncio.sleep(turn)
            now = time.monotonic()
            due = now - last > longest - turn / 2
            wanted = due or participants.holds_any or self._calls_go_on()
            if not wanted or (pong is not None and not pong.done()):
                continue
            last, self._pinged = now, (now, participants.turns_late)
            try:
                pong = asyncio.ensure_future(await socket.ping())
            except ConnectionClosed as closed:
                raise PbxUnreachable(_why(closed)) from closed
            pong.add_done_callback(self._pong)

    def _pong(self, pong: asyncio.Future[float]) -> None:
        if not pong.cancelled() and pong.exception() is None:
            self._hear(time.monotonic())
            self._away = min(pong.result(), self._away + _FARTHER_S)

    def _hear(self, came: float) -> None:
        """Note when the PBX was heard, and whether it should have been heard earlier.

        That our own turns were late is not counted: :class:`ParticipantReader` looks at that.
        """
        self._heard_at = max(self._heard_at, came)
        if self._pinged is None or came < self._pinged[0]:
            return
        (at, late_before), self._pinged = self._pinged, None
        if self._participants is None:
            return
        ours = self._participants.turns_late - late_before
        if came - at - ours > self._away + _LATE_S:
            self._participants.expect_late_events(self._away)

    def _silent(self, socket: websocket.PbxSocket) -> None:
        socket.transport.abort()  # no close handshake: a silent PBX would not answer it either
        longest = self._client.settings.silence_timeout
        raise PbxUnreachable(f"The event socket is silent: nothing was heard in {longest:g} s.")

    def _awaited_since(self) -> float | None:
        """Return since when the PBX has answered nothing although it was asked, or None."""
        participants = self._participants
        since = None if participants is None else participants.awaited_since
        return None if since is None else max(since, self._client.heard_at)

    def _unanswered(self) -> NoReturn:
        longest = self._client.settings.silence_timeout
        raise PbxUnreachable(f"The PBX sends events, but has answered no request in {longest:g} s.")

    async def _follow(
        self, socket: websocket.PbxSocket, participants: ParticipantReader
    ) -> NoReturn:
        garbled, messages = 0, websocket.PacedMessages(socket, _SHARE)
        try:
            while True:
                message = await messages.next()
                heard = self._clock.now()
                self._event_bytes += len(message)
                if self._event_bytes > MAX_EVENT_BYTES:
                    raise PbxGarbled(
                        f"The PBX sent more than {MAX_EVENT_BYTES} bytes of events at once."
                    )
                self._hear(messages.came_at)
                self._client.traffic_tap.heard(message)
                try:
                    event = parse_event(message)
                except PbxGarbled as error:
                    garbled += 1
                    self._client.counters.events["garbled"] += 1
                    if garbled == 1:
                        _log.warning("pbx_event_malformed", reason=str(error))
                    participants.request_full_read()
                else:
                    self._apply(event, heard, messages.came_at, participants)
        except ConnectionClosed as closed:
            self._client.traffic_tap.closed(
                *((None, "") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason))
            )
            raise PbxUnreachable(_why(closed)) from closed

    def _apply(
        self, event: Event, heard: float, came: float, participants: ParticipantReader
    ) -> None:
        self._client.counters.events[_KINDS[type(event)]] += 1
        match event:
            case Upserted():
                participants.upserted(
                    event.dn, event.participant_id, event.participant, heard, came
                )
            case Removed():
                participants.removed(event.dn, event.participant_id, heard, came)
            case DnChanged():
                participants.request_full_read()
            case Irrelevant():
                return
            case _:
                assert_never(event)
        self._on_event()


def _why(closed: ConnectionClosed) -> str:
    if closed.rcvd is not None:
        reason = f", {closed.rcvd.reason}" if closed.rcvd.reason else ""
        return f"The PBX closed the event socket ({closed.rcvd.code}{reason})."
    if closed.sent is not None and closed.sent.code == CloseCode.MESSAGE_TOO_BIG:
        return f"The PBX sent an event larger than {_MAX_MESSAGE_BYTES} bytes; it is not used."
    return "The event socket was cut."
