"""Run one client's connection to the stream: its limits, its deadlines, and its turn to send.

WebSocket and Server-Sent Events build on it. One task reads. Another task sends what the hub has
for the client, and lives only while there is something to send. A timer checks the deadlines.
Most clients are up to date most of the time, and the hub writes to them itself. So each client
costs little.

Nothing is queued for a client. What changes while it takes nothing is merged.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any, Final

import structlog
from starlette.websockets import WebSocketDisconnect

from gateway.errors import NoState
from gateway.fair_share import KeyShare
from gateway.fanout.frames import PROTOCOL, Encoding, Hello, Messages
from gateway.fanout.view_subscribers import DirectWriter
from gateway.pbx_context import PbxContext
from gateway.stream.client_messages import Rights, Subscribe, Watch
from gateway.stream.subscription import ClientSubscription, SubscriptionSet
from gateway.transport.websocket_protocol import MESSAGE_SIZE_BYTES
from gateway.visibility import Visibility
from monitor.shared.entities.topics import FLEET_TOPICS
from monitor.shared.tasks import end
from monitor.shared.timestamps import from_unix

GONE: Final = 1006
"""Close code of a client that went without a close frame. No close frame can be sent to it
either."""
STALLED: Final = 4202
"""Close code of a client that takes nothing."""
CLOSE_WITHIN_S: Final = 2.0
"""Seconds that the closing frame may take to get out, before the connection is dropped."""
_SLICE_S = 0.005
"""Seconds for which one client is sent to without a break."""
_log = structlog.get_logger(__name__)


class CloseConnection(Exception):
    """Signal that the connection ends with this close code and reason (at most 123 bytes)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def farewell_reason(retry_in: tuple[float, float]) -> str:
    """Return a reason that asks the client to come back after a random time.

    ``retry_in``: the range of that time in seconds.
    """
    return f'{{"retry_in":[{retry_in[0]:g},{retry_in[1]:g}]}}'


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Hold what is expected of a client. Times in seconds, sizes in bytes."""

    server: str = "callmon"
    message_size: int = MESSAGE_SIZE_BYTES
    message_burst: int = 30
    messages_per_second: float = 10.0
    bad_messages: int = 3
    """Bad messages that are answered with an error; the next one ends the connection."""
    stall_timeout: float = 60.0
    """Seconds for which a client may take nothing of what is sent."""
    subscribe_timeout: float = 30.0
    """Seconds within which a client must subscribe."""


@dataclass(frozen=True, slots=True)
class StreamPrincipal:
    """Describe the client that a connection serves.

    ``expires``: when its key expires, in POSIX seconds; None: never. ``max_age``: the
    connection's maximum age in seconds.
    """

    key_name: str
    visibility: Visibility
    topics: tuple[str, ...]
    expires: float | None
    max_age: float
    scopes: frozenset[str] = frozenset()
    share: KeyShare | None = None
    """Limits that all connections of its key share; None: no limit."""
    count: Callable[[], Awaitable[object]] | None = None
    """Counts a subscription as a read of its key. Raises TooManyRequests. None: no limit."""
    key_home: str | None = None
    """The PBX with which its key is stored; None: the one that is watched."""
    pbxs: frozenset[str] = frozenset()
    """The PBXs whose summaries it may see."""
    named: bool = True
    """False if the client named no PBX: it may watch only what is of all PBXs."""

    @property
    def rights(self) -> Rights:
        """Return what the client may subscribe to."""
        return Rights((*self.topics, *FLEET_TOPICS), self.scopes, self.named)


class StreamConnection(ABC):
    """Serve a client that was let in. ``clock``: POSIX seconds. ``line``: as for the hub."""

    __slots__ = (
        *(
            "_begun",
            "_blocked_since",
            "_clock",
            "_farewell",
            "_timeout",
            "_loop",
            "_limits",
            "_pbx",
            "_pending",
        ),
        *("_place", "_timer", "_unsent", "_vacant_since", "_writer", "principal"),
    )

    def __init__(
        self,
        pbx: PbxContext,
        principal: StreamPrincipal,
        encoding: Encoding,
        limits: ConnectionLimits,
        clock: Callable[[], float],
        line: DirectWriter | None = None,
    ) -> None:
        self.principal = principal
        self._pbx = pbx
        self._limits = limits
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._begun = self._vacant_since = self._loop.time()
        self._farewell: CloseConnection | None = None
        self._timeout: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        self._blocked_since: float | None = None
        self._pending = 0
        self._unsent: Messages = ()
        self._place: ClientSubscription | SubscriptionSet = ClientSubscription(
            *(pbx, principal.visibility, encoding, self._wake, line, principal.share),
            pbxs=principal.pbxs,
        )

    @property
    def pbx(self) -> str:
        """Return the name of the PBX that is watched; empty if it is all of the key."""
        return self._pbx.name if self.principal.named else ""

    @property
    def blocked(self) -> float:
        """Return for how many seconds the client has taken nothing; 0 while it takes data."""
        return 0.0 if self._blocked_since is None else self._loop.time() - self._blocked_since

    @property
    def closed_with(self) -> int | None:
        """Return the close code with which the client was sent away; None if it was not."""
        return None if self._farewell is None else self._farewell.code

    def end(self, code: int, reason: str) -> None:
        """Ask for the end of the connection; only the first call counts."""
        if self._farewell is not None:
            return
        self._farewell = CloseConnection(code, reason)
        self._hold_direct_writes()
        if self._timeout is not None:
            self._timeout.reschedule(self._loop.time())

    async def _run(self, reading: Coroutine[Any, Any, None]) -> CloseConnection | None:
        """Read until the client goes or is sent away.

        Returns the close code and reason with which it was sent away; None if it went by itself.
        """
        try:
            self._check_deadlines()
            await self._read_until_the_end(reading)
        finally:
            reading.close()
            if self._timer is not None:
                self._timer.cancel()
            if self._writer is not None:
                await end([self._writer])
            self._let_unsent_go()
            self._place.end()
        return self._farewell

    async def _read_until_the_end(self, reading: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(None) as timeout:
                if self._farewell is not None:
                    return
                self._timeout = timeout
                try:
                    await reading
                finally:
                    self._timeout = None
        except WebSocketDisconnect:
            pass
        except CloseConnection as farewell:
            self.end(farewell.code, farewell.reason)
        except TimeoutError:
            if self._farewell is None:
                self._failed()
        except Exception:
            self._failed()

    def _log_end(self, transport: str, code: int) -> None:
        """Log that the client was sent away; rationed for its key, as a client may come at once."""
        share = self.principal.share
        left_out = 0 if share is None else share.log_budget.take(self._loop.time())
        if left_out is not None:
            more = {"left_out": left_out} if left_out else {}
            key = self.principal.key_name
            _log.info("stream_end", transport=transport, pbx=self.pbx, key=key, code=code, **more)

    def _failed(self) -> None:
        _log.exception("stream_failure", pbx=self._pbx.name, key=self.principal.key_name)
        self.end(1011, "internal error")

    async def _enter(self, wanted: Subscribe | Watch) -> None:
        """Watch this from now on. Raises HoldsTooMuch."""
        share = self.principal.share
        if share is not None:
            await share.turn()
            await share.part_turn()
        began = thread_time()
        try:
            self._place.enter(wanted)
        except NoState as error:
            raise CloseConnection(4103, "no state yet") from error
        finally:
            if share is not None:
                share.worked(thread_time() - began)

    async def _next_messages(self) -> Messages:
        """Return what to send next, after waiting until the gateway may work for this key."""
        share = self.principal.share
        if share is None:
            return self._place.next_messages()
        self._let_unsent_go()
        await share.turn_to_send()
        if self._place.begins:
            await share.part_turn()
        began = thread_time()
        messages = self._unsent = self._place.next_messages()
        share.worked(thread_time() - began)
        share.hold_unsent(messages)
        return messages

    async def _next_part(self, parts: Iterator[bytes]) -> bytes | None:
        """Return a snapshot's next part, in turn with those of all other clients; None: no more."""
        share = self.principal.share
        if share is None:
            return next(parts, None)
        await share.part_turn()
        began = thread_time()
        part = next(parts, None)
        share.worked_on_part(thread_time() - began, self._unsent)
        return part

    def _let_unsent_go(self) -> None:
        """Count out what was taken last: it was sent, or never will be."""
        messages, self._unsent = self._unsent, ()
        if self.principal.share is not None:
            self.principal.share.let_unsent_go(messages)

    def _hello(self) -> Hello:
        heartbeat = self._pbx.hub.heartbeat
        return Hello(
            PROTOCOL,
            self._limits.server,
            self._pbx.name if self.principal.named else None,
            heartbeat,
            self._server_time(),
            self.principal.topics,
        )

    def _server_time(self) -> str:
        return from_unix(self._clock())

    # Sending

    @abstractmethod
    async def _send_next(self) -> bool:
        """Wait until the client can take data, then send what is newest.

        Returns whether there was anything to send.
        """

    @abstractmethod
    def _waiting(self) -> int:
        """Return the bytes that the kernel has not taken yet, as far as that is known."""

    @abstractmethod
    def _hold_direct_writes(self) -> None:
        """Stop the hub from writing to this connection directly."""

    def _wake(self) -> None:
        if self._writer is None and self._farewell is None:
            self._writer = self._loop.create_task(self._write())

    async def _write(self) -> None:
        until = perf_counter() + _SLICE_S
        try:
            while await self._send_next():
                if perf_counter() >= until:  # one fast client must not keep others waiting
                    await asyncio.sleep(0)
                    until = perf_counter() + _SLICE_S
        except WebSocketDisconnect:
            self.end(GONE, "")
        except CloseConnection as farewell:
            self.end(farewell.code, farewell.reason)
        except Exception:
            self._failed()
        finally:
            self._writer = None

    def _check(self) -> None:
        """Raise CloseConnection if nothing more may be sent."""
        if self._farewell is not None:
            # Not the same: it would get a traceback, which refers to this connection: a cycle.
            raise CloseConnection(self._farewell.code, self._farewell.reason)
        if self._expired:
            raise CloseConnection(4001, "key expired")

    async def _await_send(self, sending: Awaitable[None]) -> None:
        """Await the sending. Meanwhile the client counts as one that takes nothing."""
        self._pending = self._waiting()
        self._blocked_since = self._loop.time()
        try:
            await sending
        finally:
            self._blocked_since = None

    # Time

    @property
    def _expired(self) -> bool:
        return self.principal.expires is not None and self._clock() >= self.principal.expires

    def _check_deadlines(self) -> None:
        """End the connection if the key expired, it is too old, it stalled or no subscription came.

        Else check again later.
        """
        now = self._loop.time()
        age = now - self._begun
        if self._expired:
            self.end(4001, "key expired")
        elif age >= self.principal.max_age:
            self.end(4200, farewell_reason((0, 10)))
        elif self._stalled(now):
            self.end(STALLED, "nothing could be sent")
        elif (
            not self._place.taken
            and self._blocked_since is None
            and now - self._vacant_since >= self._limits.subscribe_timeout
        ):
            self.end(4203, "no subscription came")
        else:
            self._timer = self._loop.call_later(self._until_next_look(now), self._check_deadlines)

    def _until_next_look(self, now: float) -> float:
        until_old = self._begun + self.principal.max_age - now
        until_expiry = (
            until_old if self.principal.expires is None else self.principal.expires - self._clock()
        )
        shortest = min(self._limits.stall_timeout, self._limits.subscribe_timeout)
        return max(0.0, min(shortest / 4, until_old, until_expiry))

    def _stalled(self, now: float) -> bool:
        if self._blocked_since is None:
            return False
        pending = self._waiting()
        if pending < self._pending:  # it is slow, but it takes data
            self._blocked_since, self._pending = now, pending
        return now - self._blocked_since >= self._limits.stall_timeout
