"""Evaluate watched queries, once for all who watch the same, and tell them when the answer changed.

After an evaluation there is a pause, which is longer the more the evaluation cost. So a query is
evaluated at once when little happens, and less often under load. The newest answer always comes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import structlog
from msgspec import Raw

from gateway.errors import INTERNAL, Refused, shown
from gateway.fanout.frames import Encoding, ErrorFrame, HeartbeatFrame, Message, ResultFrame, encode
from gateway.fanout.view_subscribers import PATIENCE
from gateway.operations.operation_table import Command
from gateway.parameters import Arguments
from gateway.queries.answer_cache import Answer
from gateway.responses import FAULT
from gateway.visibility import Visibility
from monitor.shared.changes import Position
from monitor.shared.codec import from_json, to_msgpack
from monitor.shared.timestamps import from_unix

LEAST_PAUSE_S = 0.05
"""Seconds between two evaluations, at least."""
_SHARE = 10.0
"""Seconds of pause for each second of evaluating."""
_SLICE_S = 0.005
"""Seconds for which it evaluates without a break."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """Represent a documented query with its arguments, as somebody with this visibility asks it."""

    command: Command
    arguments: Arguments
    visibility: Visibility

    def __hash__(self) -> int:
        return hash((self.command.name, self.arguments, self.visibility))


@dataclass(slots=True, eq=False)
class Watcher:
    """Hold what one client has been told of a watched query.

    ``position``: the position of the state for which the last answer told was true. ``since``:
    the position of an answer that its client has from elsewhere; None once we have reached it.
    As in the hub, the client is told nothing older.
    """

    watched: WatchedQuery
    encoding: Encoding
    wake: Callable[[], None]
    told: int = 0
    position: Position | None = None
    heartbeat_due: bool = False
    since: Position | None = None
    patience: int = PATIENCE
    heard: str | None = None


@dataclass(slots=True, eq=False)
class WatchedQuery:
    """Hold a watched question and its answer.

    ``answer``: the answer, or None if ``refusal`` came instead.
    """

    question: Question
    watchers: set[Watcher] = field(default_factory=set)
    answer: Answer | None = None
    refusal: tuple[str, str] | None = None
    version: int = 0
    position: Position | None = None
    """Position of the state when the question was last asked."""
    messages: dict[Encoding, Message] = field(default_factory=dict)


class WatchedQueries:
    """Hold all watched queries of a PBX. Everything but :meth:`run` is synchronous.

    ``ask``: answers a question from the replica; raises Refused. ``position``: returns the
    position of the state that answers a command. ``stale_since``, ``clock``, ``heartbeat`` and
    ``heard``: as for the hub.
    """

    def __init__(
        self,
        ask: Callable[[Question], Answer],
        position: Callable[[Command], Position | None],
        stale_since: Callable[[], str | None],
        clock: Callable[[], float],
        heartbeat: float = 5.0,
        heard: Callable[[], str | None] | None = None,
    ) -> None:
        self.heartbeat = heartbeat
        self._heard = heard
        self.closing = False
        """True while all clients are being sent away."""
        self._ask = ask
        self._position = position
        self._stale_since = stale_since
        self._clock = clock
        self._watched: dict[Question, WatchedQuery] = {}
        self._moved = asyncio.Event()
        self._told_stale: str | None = None
        self._watchers = 0
        self.polls: Counter[str] = Counter()
        """Long polls in progress, by the digest of their key."""

    def __len__(self) -> int:
        return self._watchers

    def watch(
        self,
        question: Question,
        encoding: Encoding,
        wake: Callable[[], None],
        since: Position | None = None,
    ) -> Watcher:
        """Add a watcher. It gets the current answer next. The caller must call :meth:`leave`.

        ``since``: the position of the answer that its client already has, perhaps from another
        gateway.
        """
        watched = self._watched.get(question)
        if watched is None:
            watched = self._watched[question] = WatchedQuery(question)
        self._bring_up(watched)
        watcher = Watcher(
            watched, encoding, wake, heartbeat_due=self._stale_since() is not None, since=since
        )
        watcher.heard = None if self._heard is None else self._heard()
        watched.watchers.add(watcher)
        self._watchers += 1
        wake()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Remove the watcher."""
        watched = watcher.watched
        if watcher in watched.watchers:
            watched.watchers.remove(watcher)
            self._watchers -= 1
        if not watched.watchers and self._watched.get(watched.question) is watched:
            del self._watched[watched.question]

    def changed(self) -> None:
        """Note that the state moved, or that the monitor fell silent or was heard again."""
        if self._watched:
            self._moved.set()

    def close(self) -> None:
        """Wake all watchers; each finds that all are being sent away."""
        self.closing = True
        for watched in self._watched.values():
            for watcher in watched.watchers:
                watcher.wake()

    def next_messages(self, watcher: Watcher) -> tuple[Message, ...]:
        """Return the messages to send next; empty: nothing until the watcher is woken.

        What is returned must be sent.
        """
        watched = watcher.watched
        if watched.position is None:
            return ()
        if watcher.since is not None and watched.position < watcher.since and watcher.patience:
            return self._held_back(watcher, watcher.since)
        watcher.since = None
        if watcher.told != watched.version:
            watcher.told, watcher.position = watched.version, watched.position
            return (self._message(watched, watcher.encoding),)
        if watcher.heartbeat_due:
            watcher.heartbeat_due = False
            watcher.position = at = watched.position
            beat = HeartbeatFrame(at.epoch, at.seq, self._now(), self._stale_since())
            return (encode(beat, watcher.encoding),)
        return ()

    async def run(self) -> None:
        """Evaluate queries and send heartbeats. Never returns; its caller must await it."""
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + self.heartbeat
        while True:
            try:
                async with asyncio.timeout_at(beat_at):
                    await self._moved.wait()
            except TimeoutError:
                beat_at = loop.time() + self.heartbeat
                self._send_heartbeats()
                continue
            self._moved.clear()
            spent = await self._look()
            await asyncio.sleep(max(LEAST_PAUSE_S, _SHARE * spent))

    async def _look(self) -> float:
        """Evaluate what may have changed, and wake its watchers. Return the seconds that it took.

        It works only for a moment without a break: there may be thousands of questions.
        """
        spent, began = 0.0, perf_counter()
        for watched in list(self._watched.values()):
            if self._watched.get(watched.question) is not watched:
                continue  # nobody watches it any more
            self._bring_up(watched)
            if (took := perf_counter() - began) >= _SLICE_S:
                spent += took
                await asyncio.sleep(0)
                began = perf_counter()
        self._tell_stale()
        return spent + perf_counter() - began

    def _tell_stale(self) -> None:
        if self._stale_since() != self._told_stale:
            self._told_stale = self._stale_since()
            self._send_heartbeats()

    def _held_back(self, watcher: Watcher, since: Position) -> tuple[Message, ...]:
        """Return only a heartbeat if we are stale, else nothing: the client is ahead of us."""
        stale_since = self._stale_since()
        if stale_since is None or not watcher.heartbeat_due:
            return ()
        watcher.heartbeat_due = False
        return (
            encode(
                HeartbeatFrame(since.epoch, since.seq, self._now(), stale_since), watcher.encoding
            ),
        )

    def _lose_patience(self, watcher: Watcher) -> None:
        heard = None if self._heard is None else self._heard()
        if self._stale_since() is None and (heard is None or heard != watcher.heard):
            watcher.heard = heard
            watcher.patience = max(0, watcher.patience - 1)

    def _send_heartbeats(self) -> None:
        for watched in self._watched.values():
            for watcher in watched.watchers:
                watcher.heartbeat_due = True
                if watcher.since is not None:
                    self._lose_patience(watcher)
                watcher.wake()

    def _bring_up(self, watched: WatchedQuery) -> None:
        """Evaluate the query if due; wake its watchers if the answer changed.

        Also wake a watcher whose answer was held back, as its client is ahead of us.
        """
        changed = self._evaluate(watched)
        for watcher in watched.watchers:
            if changed or watcher.since is not None:
                watcher.wake()

    def _evaluate(self, watched: WatchedQuery) -> bool:
        """Ask again if the state has moved. Return whether the answer changed."""
        now = self._position(watched.question.command)
        if now is None or now == watched.position:
            return False
        watched.position = now
        answer, refusal = None, None
        try:
            answer = self._ask(watched.question)
        except Refused as error:
            refusal = (shown(error).code, str(error))
        except Exception:  # a fault in a site's own query must not keep others from their answers
            refusal = (INTERNAL.code, FAULT)
            if watched.refusal != refusal:
                _log.exception("watched_query_failure", command=watched.question.command.name)
        same = (
            watched.version > 0
            and refusal == watched.refusal
            and (answer and answer.etag) == (watched.answer and watched.answer.etag)
        )
        watched.answer, watched.refusal = answer, refusal
        if not same:
            watched.version += 1
            watched.messages.clear()
        return not same

    def _message(self, watched: WatchedQuery, encoding: Encoding) -> Message:
        message = watched.messages.get(encoding)
        if message is None:
            message = watched.messages[encoding] = self._encoded(watched, encoding)
        return message

    def _encoded(self, watched: WatchedQuery, encoding: Encoding) -> Message:
        at, answer = watched.position, watched.answer
        if answer is None or at is None:
            return encode(
                ErrorFrame(*(watched.refusal or ("internal", "There is no answer."))), encoding
            )
        body = answer.body if encoding == "json" else to_msgpack(from_json(answer.body.decode()))
        return encode(ResultFrame(at.epoch, at.seq, self._now(), Raw(body)), encoding)

    def _now(self) -> str:
        return from_unix(self._clock())
