"""Read participants after their events, so that nothing old overrides anything newer.

Rules:

- An event says that a participant changed, but seldom how. So the participant is read. One read
  of a participant is in flight at a time. Events that come meanwhile cause one more read after it.
  Reads of different participants run side by side.
- A Remove event, and an event that carries the participant, count at once. If a read was under
  way then, its answer is thrown away.
- A full read does not stop the other reads. A participant is ``kept`` if it had an event, or a
  read under way, since the full read was asked for. The full read says nothing of it; its own
  read does.
- When too many wait, one full read replaces all their reads. A full read also repairs a read that
  failed. A full read that fails again and again ends the session.
- The fact that a participant is gone tells how many of its events no read has shown: something
  may have passed unseen. Events often come twice, perhaps together with the removal. Events of the
  same moment count as one. But if this process stood still (it was stopped, or its machine was),
  or the network did, what came meanwhile is heard at one moment, and each event counts.
- 404 means gone. The Remove event that should come with it confirms that. If it does not come, a
  full read looks again.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from typing import Final, Protocol, TypeAlias

import structlog

from monitor.pbx.clock import PbxClock
from monitor.pbx.facts import Participant, ParticipantGone, ParticipantSeen, ParticipantsRead
from monitor.pbx.parsing.callcontrol import FullState
from monitor.shared.backoff import bound
from monitor.shared.errors import PbxError, PbxRefused, PbxUnreachable, TokenRefused
from monitor.shared.tasks import first_error

_ATTEMPTS: Final = 3
_LONGEST_PAUSE_S: Final = 10.0
_SAME_MOMENT_S: Final = 0.05
_MOST_UNREAD: Final = 2
"""Events that are remembered of a participant. More of them would tell nothing more."""
_TURN_S: Final = 0.25
_STANDSTILL_S: Final = 1.0
"""Seconds without a turn of the event loop after which this process has stood still."""
_CATCHING_UP_S: Final = 0.5
"""Seconds after a standstill in which events are heard that came during it."""


@dataclass(frozen=True, slots=True)
class FullReadPacing:
    """Hold the times and limits that start a full read. Times are seconds."""

    full_read_above: int = 256
    """Participants waiting to be read. Above this number a full read is cheaper."""
    full_read_gap: float = 0.5
    """Seconds between the starts of two full reads."""
    confirm_within: float = 1.0
    """Seconds within which a Remove event must follow a 404."""


Key: TypeAlias = tuple[str, int]
ParticipantFact: TypeAlias = ParticipantSeen | ParticipantGone | ParticipantsRead

_log = structlog.get_logger(__name__)


class ParticipantApi(Protocol):
    """Describe what :class:`ParticipantReader` needs of the client."""

    async def participant(self, dn: str, participant_id: int) -> Participant | None:
        """Return a participant, or None if it is gone."""
        ...

    async def full_state(self) -> FullState:
        """Return all participants."""
        ...


@dataclass(slots=True)
class _PendingRead:
    """Hold a read in flight. Times are monotonic.

    ``heard``: the event that caused it. ``again``: an event that was heard meanwhile, and when it
    had come. ``void``: True if its answer is to be thrown away.
    """

    heard: float
    again: float | None = None
    again_came: float = 0.0
    void: bool = False


class ParticipantReader:
    """Read the participants during one life of the event socket.

    ``emit`` is called synchronously, in order. ``on_full`` is called after each full read. Nothing
    is read unless :meth:`run` runs. It ends with the error of a read that fails for good.
    """

    def __init__(
        self,
        reads: ParticipantApi,
        emit: Callable[[ParticipantFact], None],
        clock: PbxClock,
        parallel: int,
        on_full: Callable[[], None],
        pace: FullReadPacing | None = None,
    ) -> None:
        self._reads, self._emit, self._clock = reads, emit, clock
        self._tasks: asyncio.TaskGroup | None = None
        self._parallel = parallel
        self._on_full = on_full
        self._pace = pace or FullReadPacing()
        self._waiting: dict[Key, float] = {}
        self._in_flight: dict[Key, _PendingRead] = {}
        self._kept: set[Key] | None = None
        """Participants that the full read in flight says nothing of; None while there is none."""
        self._full_wanted = asyncio.Event()
        self._full_wanted.set()
        self._full_asked: float | None = None
        self._full_took = self._due_after = inf
        """Seconds that the last full read took, and until when nothing is due because of one."""
        self._unread: dict[Key, list[float]] = {}
        """Times at which each participant's unread events came; the first two suffice."""
        self._present: set[Key] = set()
        self._unconfirmed: OrderedDict[Key, float] = OrderedDict()
        """Participants answered 404 → when the Remove event is overdue, the earliest first."""
        self._confirming: asyncio.TimerHandle | None = None
        self._turned = float("inf")
        """Time of the event loop's last turn."""
        self._turns_late = 0.0
        self._caught_up = 0.0
        self._turning: asyncio.TimerHandle | None = None

    @property
    def lag(self) -> int:
        """Return how many participants wait to be read."""
        return len(self._waiting)

    @property
    def holds_any(self) -> bool:
        """Return whether any participant is known, or is about to be."""
        return bool(self._present or self._waiting or self._in_flight)

    @property
    def turns_late(self) -> float:
        """Return the seconds by which turns of the event loop were late, in all.

        A delay of less than a quarter of a second may not be noticed.
        """
        overdue = asyncio.get_running_loop().time() - self._turned - _TURN_S
        return self._turns_late + max(0.0, overdue)

    @property
    def awaited_since(self) -> float | None:
        """Return the monotonic time since which an answer is due; None if none is waited for.

        A full read may take as long as the last one took: a large PBX may answer nothing else
        meanwhile. Nothing is due before the first one is done.
        """
        asked = [reading.heard for reading in self._in_flight.values()]
        if self._full_asked is not None:
            asked.append(self._full_asked)
        return max(min(asked), self._due_after) if asked else None

    def reads(self, dn: str, participant_id: int) -> bool:
        """Return whether this participant waits to be read, or is being read."""
        return (dn, participant_id) in self._waiting or (dn, participant_id) in self._in_flight

    def upserted(
        self,
        dn: str,
        participant_id: int,
        participant: Participant | None,
        heard: float,
        came: float | None = None,
    ) -> None:
        """Take in an Upsert event, with the participant if the event carries it.

        ``came``: the monotonic time at which it came, if it was ``heard`` later.
        """
        key = (dn, participant_id)
        self._keep(key)
        reading = self._in_flight.get(key)
        if participant is not None:
            self._forget(key)
            self._unread.pop(key, None)
            self._seen(key, participant, heard)
            return
        unread = self._unread.setdefault(key, [])
        came = heard if came is None else came
        if len(unread) < _MOST_UNREAD and not self._same_moment(unread, came):
            unread.append(came)
        if reading is not None:
            reading.again, reading.again_came = heard, came
        else:
            self._waiting[key] = heard
            self._start()

    def removed(
        self, dn: str, participant_id: int, heard: float, came: float | None = None
    ) -> None:
        """Take in a Remove event; see :meth:`upserted`."""
        key = (dn, participant_id)
        self._keep(key)
        self._forget(key)
        self._unconfirmed.pop(key, None)
        unread = self._unread.get(key)
        if unread and self._same_moment(unread, heard if came is None else came):
            unread.pop()
        self._gone(key, heard)

    def expect_late_events(self, away: float = 0.0) -> None:
        """Count each event of the next moments: they come together, but happened one by one.

        ``away``: seconds that the way to the PBX and back lasts.
        """
        self._caught_up = asyncio.get_running_loop().time() + _CATCHING_UP_S + away

    def request_full_read(self) -> None:
        """Read everything soon."""
        self._full_wanted.set()

    async def run(self) -> None:
        """Read everything first, then what the events ask for.

        Raises PbxError when a full read fails for good or the token is refused.
        """
        self._turn()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                try:
                    await self._read_when_wanted()
                finally:
                    self._tasks = (
                        None  # a group that ends takes no new tasks, but its tasks may still answer
                    )
        except BaseExceptionGroup as group:
            raise first_error(group) from None
        finally:
            if self._confirming is not None:
                self._confirming.cancel()
            if self._turning is not None:
                self._turning.cancel()

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._turned > _STANDSTILL_S:
            self.expect_late_events()
        self._turns_late = self.turns_late
        self._turned = now
        self._turning = loop.call_later(_TURN_S, self._turn)

    def _same_moment(self, unread: list[float], came: float) -> bool:
        """Return whether an event came with the last one that is unread."""
        if not unread or came - unread[-1] >= _SAME_MOMENT_S:
            return False
        now = asyncio.get_running_loop().time()
        return now - self._turned <= _STANDSTILL_S and came >= self._caught_up

    # full reads

    async def _read_when_wanted(self) -> None:
        while True:
            await self._full_wanted.wait()
            self._full_wanted.clear()
            began = self._clock.now()
            await self._read_all()
            await asyncio.sleep(max(0.0, began + self._pace.full_read_gap - self._clock.now()))

    async def _read_all(self) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                await self._read_all_once()
            except PbxUnreachable as error:
                if attempt + 1 == _ATTEMPTS:
                    raise
                pause = error.retry_after or random.uniform(0.0, bound(0.5, attempt, 1.0))  # noqa: S311
                _log.info("full_read_failure", reason=str(error), attempt=attempt + 1)
                await asyncio.sleep(min(pause, _LONGEST_PAUSE_S))
            else:
                return

    async def _read_all_once(self) -> None:
        waiting, self._waiting = self._waiting, {}
        kept = self._kept = set(self._in_flight)
        asked = self._full_asked = self._clock.now()
        self._due_after = asked + self._full_took
        try:
            state = await self._reads.full_state()
        except BaseException:
            # The full read failed: read these after all, except those that had an event since.
            self._waiting = {
                key: heard for key, heard in waiting.items() if key not in kept
            } | self._waiting
            raise
        finally:
            self._kept = self._full_asked = None
        answered = self._due_after = self._clock.now()
        self._full_took = answered - asked
        if state.garbled:
            _log.warning("participants_malformed", count=state.garbled)
        self._unread = {key: heard for key, heard in self._unread.items() if key in kept}
        listed = {(p.dn, p.id) for p in state.participants}
        self._present = (listed - kept) | (self._present & kept)
        at = self._clock.at(asked)
        self._emit(ParticipantsRead(state.participants, state.dns, asked, at, frozenset(kept)))
        self._on_full()
        self._start()

    # reads of one participant

    def _start(self) -> None:
        if len(self._waiting) > self._pace.full_read_above and self._kept is None:
            self._full_wanted.set()
        while self._tasks is not None and self._waiting and len(self._in_flight) < self._parallel:
            key = next(iter(self._waiting))
            reading = self._in_flight[key] = _PendingRead(self._waiting.pop(key))
            self._tasks.create_task(self._read(key, reading))

    async def _read(self, key: Key, reading: _PendingRead) -> None:
        try:
            participant = await self._reads.participant(*key)
        except TokenRefused:
            self._tasks = None
            raise
        except PbxError as error:
            self._failed(key, reading, error)
        else:
            self._answered(key, reading, participant)
        del self._in_flight[key]
        if reading.again is not None:
            self._waiting[key] = reading.again
        self._start()

    def _answered(self, key: Key, reading: _PendingRead, participant: Participant | None) -> None:
        if reading.void:
            return
        if participant is not None:
            if reading.again is None:
                self._unread.pop(key, None)
            else:
                # Perhaps more events came; this answer may be older than they are.
                self._unread[key] = [reading.again_came]
            self._seen(key, participant, reading.heard)
        elif reading.again is None:
            self._gone(key, reading.heard)
            self._doubt(key)

    def _failed(self, key: Key, reading: _PendingRead, error: PbxError) -> None:
        if reading.void:
            return
        _log.info("participant_read_failure", dn=key[0], participant=key[1], reason=str(error))
        if isinstance(error, PbxRefused) and reading.again is None:
            self._gone(key, reading.heard)
        self._full_wanted.set()

    def _seen(self, key: Key, participant: Participant, heard: float) -> None:
        self._present.add(key)
        self._emit(ParticipantSeen(participant, heard, self._clock.at(heard)))

    def _gone(self, key: Key, heard: float) -> None:
        self._present.discard(key)
        self._emit(
            ParticipantGone(*key, heard, self._clock.at(heard), len(self._unread.pop(key, ())))
        )

    def _keep(self, key: Key) -> None:
        if self._kept is not None:
            self._kept.add(key)

    def _forget(self, key: Key) -> None:
        self._waiting.pop(key, None)
        reading = self._in_flight.get(key)
        if reading is not None:
            reading.void, reading.again = True, None

    # 404s that no Remove event has confirmed

    def _doubt(self, key: Key) -> None:
        self._unconfirmed[key] = self._clock.now() + self._pace.confirm_within
        self._unconfirmed.move_to_end(key)
        if self._confirming is None:
            self._confirming = asyncio.get_running_loop().call_later(
                self._pace.confirm_within, self._confirm
            )

    def _confirm(self) -> None:
        self._confirming = None
        now = self._clock.now()
        overdue = list(takewhile(lambda key: self._unconfirmed[key] <= now, self._unconfirmed))
        if overdue:
            self._full_wanted.set()
        for key in overdue:
            del self._unconfirmed[key]
        if self._unconfirmed:
            left = next(iter(self._unconfirmed.values())) - now
            self._confirming = asyncio.get_running_loop().call_later(left, self._confirm)
