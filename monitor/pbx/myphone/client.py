"""Speak the web client's own protocol ("MyPhone"), the only way to log in to a single queue.

Commands are protobuf messages that are posted; see :mod:`monitor.myphone_messages`. Rules:

- A session is opened with the API client's token, if it has the right ("MyPhone" of the API
  client). The socket of the session is opened next, then the session logs in: the PBX pushes the
  queues to the sockets of sessions that have logged in.
- When the PBX has forgotten the session, or its socket has ended, a new one is opened.
- The queues are taken from whichever comes: a push, or the answer to a command. It is not known
  whether a PBX sends them when it is asked (``GetMyInfo``) or only after each login. If it leaves
  the question without an answer, they are read by logging in again.
- A message that cannot be understood is left out; it costs nothing but itself.
- The PBX acknowledges some commands although it did nothing. Whoever changes something has to read
  it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from monitor import myphone_messages
from monitor.pbx.http_client.transport import HttpResponse
from monitor.pbx.myphone.push_socket import PushSocket
from monitor.pbx.myphone.queue_table import QueueTable, is_whole
from monitor.pbx.parsing.json_fields import text
from monitor.pbx.v20_client import MAX_TOKEN_BYTES, XAPI, PbxClient
from monitor.shared.codec import to_json
from monitor.shared.errors import (
    CommandOutcomeUnknown,
    CommandRefused,
    PbxGarbled,
)
from monitor.shared.printable_text import printable

_SESSION: Final = "/webclient/api/MyPhone/session"
_COMMANDS: Final = "/MyPhone/MPWebService.asmx"
_FORGOTTEN: Final = (b"Login is required", b"NOT AUTH")
_DONE: Final = b"successfully processed"
_OCTETS: Final = "application/octet-stream"
_LARGEST: Final = myphone_messages.MAX_MESSAGE_BYTES
PUSHED_WITHIN_S: Final = 5.0
"""Seconds to wait for the queues after they were asked for."""
_READS_BY_LOGIN: Final = 20
"""Readings by a new login before the PBX is asked again in the usual way."""
_MAX_WORDS_BYTES: Final = 1024
"""Bytes of an answer that can be plain words. Larger ones hold names of queues and people."""
_MAX_SAID_CHARS: Final = 200
"""Characters of the PBX's own words that are shown."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Session:
    """Hold an open session. ``told``: number of messages with all queues that have come."""

    key: str
    socket: PushSocket
    table: QueueTable = field(default_factory=QueueTable)
    told: int = 0
    login_refused: str = ""
    garbled: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    """Hold the answer to a command. ``told``: what the session's was before the command."""

    session: _Session
    told: int
    body: bytes


def _ignore(_: QueueTable) -> None:
    pass


class MyPhoneClient:
    """Hold one session, opened when it is first needed. Call :meth:`close` at the end.

    ``on_queues`` is called with all that is known of the queues, whenever the PBX has told of them.
    Both methods raise CommandRefused(``no_webclient_right``) if the API client has no right to it.
    They raise PbxUnreachable, PbxGarbled, TokenRefused, and PbxRefused for any other answer.
    """

    def __init__(
        self, client: PbxClient, on_queues: Callable[[QueueTable], None] = _ignore
    ) -> None:
        self._client = client
        self._on_queues = on_queues
        self._session: _Session | None = None
        self._opening = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._reads_by_login = 0

    @property
    def reads_by_login(self) -> bool:
        """Return whether this PBX tells the queues only when a session logs in."""
        return self._reads_by_login > 0

    async def close(self) -> None:
        """Close the session's socket. May be called again."""
        await self._drop(self._session)

    async def queues_info(self) -> dict[str, dict[str, bool]]:
        """Return queue's number → agent's extension → True if the agent is logged in to it."""
        async with self._reading:  # else an older answer could come after a newer one
            if self._reads_by_login:
                self._reads_by_login -= 1
                await self._drop(self._session)
            known = self._session
            for again in (False, True):
                answer = await self._command(myphone_messages.get_my_info(), changes=False)
                session, fresh = answer.session, answer.session is not known
                if await self._told(session, 0 if fresh else answer.told):
                    self._reads_by_login = _READS_BY_LOGIN if again else self._reads_by_login
                    return session.table.logins
                lost = session.socket.lost
                await self._drop(session)
                if fresh:
                    break
            raise lost or PbxGarbled(
                f"The web client's interface does not list the queues.{session.login_refused}"
            )

    async def set_queue_status(self, queue_id: int, agent_id: int, *, logged_in: bool) -> None:
        """Ask the PBX to log an agent in to a queue, or out of it.

        The PBX may have said that it was done and have done nothing: read it back. Raises
        CommandOutcomeUnknown, and CommandRefused(``pbx_refused``) if the PBX refuses.
        """
        answer = await self._command(
            myphone_messages.set_queue_status(queue_id, agent_id, logged_in=logged_in), changes=True
        )
        said = _acknowledged(answer.body)
        if said is None and _DONE not in answer.body:
            raise CommandOutcomeUnknown(
                "The PBX's answer does not say whether the login to the queue was changed."
            )
        if said is not None and not said.success:
            raise CommandRefused(
                "pbx_refused", f"The PBX did not change the login to the queue: {_words(said)}."
            )

    async def _told(self, session: _Session, before: int) -> bool:
        """Wait until the PBX has told all queues more than ``before`` times.

        Return False if it does not, or cannot as there is no socket.
        """
        within = min(self._client.settings.request_timeout, PUSHED_WITHIN_S)
        try:
            async with asyncio.timeout(within):
                while session.told <= before and session.socket.lost is None:
                    session.socket.news.clear()
                    await session.socket.news.wait()
        except TimeoutError:
            pass
        return session.told > before

    async def _command(self, message: bytes, *, changes: bool) -> _Answer:
        for _ in range(2):
            session = await self._opened()
            told = session.told
            answer = await (self._order if changes else self._ask)(message, session.key)
            words = answer.body if len(answer.body) <= _MAX_WORDS_BYTES else b""
            forgotten = answer.status == 403 or any(word in words for word in _FORGOTTEN)
            if not forgotten and not answer.good:
                raise answer.refusal()
            if not forgotten:
                self._take(session, answer.body, pushed=False)
                return _Answer(session, told, answer.body)
            await self._drop(session)
        raise PbxGarbled(
            "The web client's interface does not know the session that it has just opened."
        )

    def _take(self, session: _Session, body: bytes, *, pushed: bool) -> None:
        """Take in a push, or the answer to a command, which may be no message."""
        if pushed:
            self._client.traffic_tap.pushed(body)
        try:
            update = myphone_messages.queues_update(myphone_messages.decode(body))
            if update is None:
                return
            session.table.apply(update, replace=not pushed)
        except myphone_messages.NotAMessage as error:
            if pushed:
                self._note_garbled(session, error)
            return
        self._client.counters.events["queues"] += 1
        session.told += is_whole(update)
        session.socket.news.set()
        self._on_queues(session.table)

    def _note_garbled(self, session: _Session, error: myphone_messages.NotAMessage) -> None:
        self._client.counters.events["garbled"] += 1
        if not session.garbled:
            session.garbled = True
            _log.warning("pbx_event_malformed", part="queue_logins", reason=str(error))

    async def _opened(self) -> _Session:
        """Return the session; open one if there is none whose socket lives."""
        async with self._opening:
            session = self._session
            if session is not None and session.socket.lost is not None and session.socket.opened:
                await self._drop(session)
            if self._session is None:
                self._session = await self._open()
            return self._session

    async def _drop(self, session: _Session | None) -> None:
        """End this session, unless another one has taken its place."""
        if session is not None:
            if session is self._session:
                self._session = None
            await session.socket.close()

    async def _open(self) -> _Session:
        answer = await self._ask_for_session()
        fields = answer if isinstance(answer, dict) else {}
        key = text(fields, "sessionKey", MAX_TOKEN_BYTES)
        if not key or not key.isascii() or not key.isprintable():
            raise PbxGarbled("The web client's interface opened no session.")

        def take(message: bytes) -> None:
            self._take(session, message, pushed=True)

        session = _Session(key, PushSocket(self._client, take))
        try:
            await session.socket.open(key, text(fields, "pass", MAX_TOKEN_BYTES))
            said = await self._ask(myphone_messages.login(), key)
        except BaseException:
            await session.socket.close()
            raise
        # Whether the session may go on is judged by the command that follows.
        login = _acknowledged(said.body)
        if login is not None and not login.success:
            session.login_refused = f" It refused the login: {_words(login)}."
        self._take(session, said.body, pushed=False)
        return session

    async def _ask(self, message: bytes, key: str) -> HttpResponse:
        """Send a message that changes nothing; it shares the connections that are kept open."""
        return await self._client.ask(_COMMANDS, message, _headers(key), _LARGEST)

    async def _order(self, message: bytes, key: str) -> HttpResponse:
        answer = await self._client.order(
            "POST", _COMMANDS, message, _headers(key), largest=_LARGEST
        )
        if answer.status >= 500:
            raise CommandOutcomeUnknown(
                f"The PBX answered {answer.status}: it is not known whether the login was changed."
            )
        return answer

    async def _ask_for_session(self) -> object:
        body = to_json({"name": "callmon", "version": "1", "isHuman": False})
        for last in (False, True):
            try:
                answer = await self._client.order("POST", _SESSION, body, blame_token=False)
            except CommandOutcomeUnknown as error:
                raise PbxGarbled(str(error)) from error  # one unused session more does no harm
            if answer.status == 401:
                await self._client.get_json(
                    f"{XAPI}/Defs", {"$select": "Id"}
                )  # renews the token, if that was it
            if answer.status in (403, 404) or (answer.status == 401 and last):
                raise _no_right()
            if answer.good:
                return answer.json()
            if answer.status >= 500:
                raise PbxGarbled(
                    f"The web client's interface opened no session: {answer.refusal()}"
                )
            if answer.status != 401:
                raise answer.refusal()
        raise _no_right()


def _headers(key: str) -> dict[str, str]:
    return {"MyPhoneSession": key, "Content-Type": _OCTETS, "Accept": _OCTETS}


def _acknowledged(body: bytes) -> myphone_messages.Acknowledgement | None:
    try:
        return myphone_messages.acknowledged(myphone_messages.decode(body))
    except myphone_messages.NotAMessage:
        return None


def _words(said: myphone_messages.Acknowledgement) -> str:
    """Return the PBX's own words, safe to show and without a full stop."""
    shown = printable(said.text[:_MAX_SAID_CHARS]).strip().rstrip(".")
    return shown or f"it gave no reason but error {said.code}"


def _no_right() -> CommandRefused:
    return CommandRefused(
        "no_webclient_right",
        "This needs the web client's interface, which this API client may not use: tick its "
        "MyPhone access under "
        "Integrations → API in the admin console.",
    )
