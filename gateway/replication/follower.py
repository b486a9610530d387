"""Follow one space (live or book) of one PBX: Redis → replica.

Pub/sub wakes the follower and is the fast path. The log is the truth.

- Subscribe, wait for the confirmation, read what is stored, then apply what comes with a greater
  ``seq``. Start-up, recovery and fail-over all take this one path.
- The next ``seq`` of our epoch is applied; an older one is ignored. Anything else makes us read
  the log. If the log does not reach back or the epoch is newer, we read the state.
- All followers of a gateway hear on one connection (:mod:`monitor.shared.redis.subscriptions`). If
  it is lost, each of them subscribes and reads again.
- A store that is behind us is not followed. The state is kept and grows stale until a writer has
  put that right. If the store is at an older epoch, its writer may not know our epoch. So we
  leave the epoch's name there for the writer.
- An epoch may be years ahead of the clock of a monitor that is heard in an older epoch. No
  monitor began such an epoch. We drop what we hold of it and follow the monitor. Else one wrong
  value on Redis would be believed for ever.
- Silence is not health. After three seconds without a message the position is read. If it moved
  on, this subscription is wedged: it is given up, and the next one has a new connection. If it did
  not move, the monitor is silent. The position is also compared every few seconds.
- If Redis is away, the state is kept and grows stale. The follower comes back with full-jitter
  back-off, for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import structlog
from redis.asyncio import Redis

from gateway.counters import ReplicationCounters
from gateway.replication.redis_reader import (
    LeftOut,
    StoredPosition,
    check_topics,
    leave_epoch,
    read_log,
    read_position,
    read_state,
    still_unreadable,
)
from gateway.replication.replica import Gap, Replica
from monitor.shared.backoff import Backoff
from monitor.shared.changes import Change, Position, is_ahead
from monitor.shared.codec import Announcement, Heartbeat, Malformed, decode_announcement
from monitor.shared.errors import BusUnreachable
from monitor.shared.redis.connection import REDIS_FAILURES, raise_if_cancelled, rejected
from monitor.shared.redis.failure_text import explain
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.redis.subscriptions import (
    ChannelMessage,
    ChannelSubscription,
    MessagesLost,
    subscribed,
)
from monitor.shared.tasks import end
from monitor.shared.timestamps import from_unix, moment

SILENCE_S = 3.0
COMPARE_S = 5.0
_LOOKING_S = 0.05
"""Seconds between two checks whether the store has answered."""

_log = structlog.get_logger(__name__)


class StateFollower:
    """Move ``replica`` along with what the monitor writes to Redis.

    Calls ``on_change``, synchronously, whenever the replica's state, position or staleness
    changed. ``silence``: seconds without a message after which the monitor counts as silent.
    ``compare``: seconds between two comparisons with the store.
    """

    def __init__(
        self,
        redis: Redis,
        keys: SpaceKeys,
        replica: Replica,
        on_change: Callable[[], None],
        *,
        silence: float = SILENCE_S,
        compare: float = COMPARE_S,
    ) -> None:
        self.connected = False
        """True while subscribed, once the store has been read since the subscription."""
        self.counters = ReplicationCounters()
        self._redis = redis
        self._keys = keys
        self._replica = replica
        self._on_change = on_change
        self._silence = silence
        self._compare = compare
        self._heard_at = 0.0  # seconds on the event loop's clock
        self._heard_wall = 0.0
        self._backoff = Backoff(shortest=0.2, longest=1.0)
        self._owed: Position | None = None
        self._left_out: LeftOut = {}
        self._log = _log.bind(pbx=keys.pbx, space=keys.space)

    @property
    def stale_since(self) -> str | None:
        """Return since when nothing was heard from the monitor; None while it is heard.

        It is an instant.
        """
        return self._replica.stale_since

    @property
    def heard_at(self) -> float:
        """Return when the monitor was last heard, in POSIX seconds by our clock.

        Before :meth:`run` it is 0. Until the monitor is first heard, it is when :meth:`run`
        began.
        """
        return self._heard_wall

    def forget(self) -> None:
        """Drop what was followed. Call it only while :meth:`run` does not run."""
        self.connected = False
        self._left_out, self._owed = {}, None
        self._replica.forget()
        self._on_change()

    async def may_reach(self, position: Position) -> bool:
        """Return whether the store may hold this position, now or soon.

        It may not if a writer of an older epoch writes there. True if Redis does not answer.
        """
        mine = self._replica.position
        if mine is None or position.epoch <= mine.epoch:
            return True
        try:
            stored = await read_position(self._redis, self._keys)
        except (*REDIS_FAILURES, BusUnreachable, Malformed):
            return True
        return stored is None or position.epoch <= stored.position.epoch

    async def run(self) -> None:
        """Follow until cancelled."""
        self._heard_wall = time.time()
        self._stale()  # nothing has been heard yet
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_for_ever())
            tasks.create_task(self._watch_silence())

    async def _follow_for_ever(self) -> None:
        while True:
            raise_if_cancelled()
            try:
                await self._follow()
            except (*REDIS_FAILURES, BusUnreachable, Malformed, _Wedged) as error:
                say = self._log.info if self._backoff.failures else self._log.warning
                delay = self._backoff.pause()
                reason = (
                    str(error)
                    if isinstance(error, BusUnreachable | Malformed | _Wedged)
                    else f"Redis: {explain(error)}"
                )
                say("follower_connection_lost", reason=reason, retry_in=round(delay, 3))
                self.connected = False
                self.counters.losses += 1
                self._on_change()
                await asyncio.sleep(delay)

    async def _watch_silence(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # A monitor that is silent counts again only after it was heard and silent for as long.
            left = self._heard_at + self._silence - loop.time()
            silent = self.stale_since is not None
            await asyncio.sleep(self._silence if silent else max(left, self._silence / 20))
            if self.stale_since is None and loop.time() >= self._heard_at + self._silence:
                self._stale()

    async def _follow(self) -> None:
        async with subscribed(self._redis, self._keys.channel) as subscription:
            await self._catch_up("subscribed")
            self._owed = None
            self.connected = True
            self._backoff.reset()
            self._log.info("follower_connected", position=str(self._replica.position))
            self._on_change()
            try:
                await self._listen(subscription)
            except _Wedged:
                subscription.distrust()
                raise

    async def _listen(self, subscription: ChannelSubscription) -> None:
        loop = asyncio.get_running_loop()
        listening_since = compared_at = loop.time()
        looking: _ReadReason | None = None
        try:
            while True:
                raise_if_cancelled()
                due = min(
                    compared_at + self._compare, max(self._heard_at, compared_at) + self._silence
                )
                wait = _LOOKING_S if looking is not None else max(due - loop.time(), 0.001)
                message = await subscription.get(wait)
                if isinstance(message, ChannelMessage):
                    await self._take(decode_announcement(message.data), len(message.data))
                elif isinstance(message, MessagesLost):
                    await self._catch_up("gap")
                if looking is not None and looking.reading.done():
                    await self._compared(looking)
                    looking = None
                elif looking is None and loop.time() >= due:
                    silent = loop.time() - max(self._heard_at, listening_since) >= self._silence
                    looking = self._look(silent=silent)
                    compared_at = loop.time()
        finally:
            if looking is not None:
                await end([looking.reading])

    async def _take(self, message: Announcement, size: int) -> None:
        self._doubt(message)
        mine = self._replica.position
        match message:
            case Change():
                try:
                    fresh = self._applied(message, size)
                except Gap:
                    fresh = await self._catch_up("gap", message.position)
            case Heartbeat():
                fresh = message.position == mine or await self._catch_up(
                    "announced", message.position
                )
            case _:
                assert_never(message)
        if fresh:
            self._hear(message.at)

    def _doubt(self, message: Announcement) -> None:
        """Drop what we hold if its epoch is years ahead of the speaking monitor's clock.

        It is kept if the monitor's own epoch is as far ahead.
        """
        mine = self._replica.position
        if mine is None or message.position.epoch >= mine.epoch:
            return
        clock = moment(message.at).timestamp() * 1000
        if is_ahead(mine.epoch, clock) and not is_ahead(message.position.epoch, clock):
            rejected(
                self._keys.position,
                f"{mine} is years ahead of the monitor, who is at {message.position}",
            )
            self._replica.drop()

    def _applied(self, change: Change, size: int) -> bool:
        """Apply a change of ``size`` bytes. Return whether it was new.

        Raises Gap if changes before it are missing, and Malformed if it is not of this space.
        """
        check_topics(change, self._keys)
        news = self._replica.apply(change, size)
        if news:
            self.counters.changes += 1
            self._log.debug(
                "change_received",
                trace=change.trace,
                position=str(change.position),
                edits=len(change.edits),
            )
        return news

    def _look(self, *, silent: bool) -> _ReadReason:
        """Begin to read the store's position; what is announced meanwhile is still applied."""
        reading = asyncio.create_task(read_position(self._redis, self._keys))
        return _ReadReason(
            reading, self._replica.position, self._replica.at, self._heard_at, silent
        )

    async def _compared(self, look: _ReadReason) -> None:
        """Compare with the store. If it moved while we heard nothing, the subscription is wedged.

        A store that is ahead may have its announcements still on the way to us. They must be
        here by the next comparison. Raises _Wedged.
        """
        stored, owed = look.reading.result(), self._owed
        self._owed = None
        if self._left_out:
            self._left_out = await still_unreadable(self._redis, self._keys, self._left_out)
        if stored is None or (look.mine is not None and stored.position < look.mine):
            await self._behind(stored)
            return
        silent = look.silent and self._heard_at == look.heard_at
        if silent and (stored.position != look.mine or stored.at != look.at):
            raise _Wedged(f"the store moved to {stored.position}, {stored.at}, unheard")
        mine = self._replica.position
        same_epoch = mine is not None and mine.epoch == stored.position.epoch
        self.counters.behind = (
            stored.position.seq - mine.seq if mine is not None and same_epoch else 0
        )
        if mine is None or (owed is not None and mine < owed):
            await self._catch_up("compared")
        elif mine < stored.position:
            self._owed = stored.position

    async def _catch_up(self, why: str, announced: Position | None = None) -> bool:
        """Go to the store's position, by the log or by the state.

        Returns whether we are now at ``announced`` or further on. ``why``: the reason under
        which it is counted.
        """
        self.counters.catch_ups[why] += 1
        while True:
            mine = self._replica.position
            if announced is not None and mine is not None and announced < mine:
                stored = await read_position(self._redis, self._keys)
                if stored is None or stored.position < mine:
                    await self._behind(stored)
                return False
            stored = await self._advance(mine)
            if stored is None or (
                self._replica.position is not None and stored.position < self._replica.position
            ):
                await self._behind(stored)
                return False
            if stored.position == self._replica.position:
                self.counters.behind = 0
                self._replica.at = max(self._replica.at or "", stored.at)
                return announced is None or announced <= stored.position

    async def _advance(self, mine: Position | None) -> StoredPosition | None:
        """Go one step towards the store's position, and return that position."""
        if mine is None:
            return await self._load()
        try:
            stored, changes, sizes = await read_log(self._redis, self._keys, mine.seq)
            if stored is None or stored.position <= mine:
                return stored
            if stored.position.epoch != mine.epoch or not changes:
                return await self._load()
            for change, size in zip(changes, sizes, strict=True):
                self._applied(change, size)
        except (Gap, Malformed):
            return await self._load()
        self._on_change()
        return stored

    async def _load(self) -> StoredPosition | None:
        read = await read_state(self._redis, self._keys)
        if read is None:
            return None
        mine = self._replica.position
        if mine is None or read.stored.position > mine:
            self._left_out = read.left_out
            self._replica.load(
                read.stored.position, read.stored.at, read.state, read.log, read.sizes
            )
            self.counters.loads += 1
            self._log.info("state_loaded", position=str(read.stored.position))
            self._on_change()
        return read.stored

    async def _behind(self, stored: StoredPosition | None) -> None:
        mine = self._replica.position
        if mine is None:
            return
        self._log.warning(
            "stored_position_behind", stored=str(stored and stored.position), ours=str(mine)
        )
        if stored is not None and stored.position.epoch < mine.epoch:
            await leave_epoch(self._redis, self._keys, mine.epoch)

    def _hear(self, at: str) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._heard_wall = time.time()
        self._replica.heard(at)
        self._on_change()

    def _stale(self) -> None:
        self._replica.silent(from_unix(self._heard_wall))
        self._on_change()


@dataclass(frozen=True, slots=True)
class _ReadReason:
    """Hold a read of the store's position, and what we knew when it began."""

    reading: asyncio.Task[StoredPosition | None]
    mine: Position | None
    at: str | None
    heard_at: float
    silent: bool


class _Wedged(Exception):
    """Signal that the subscription is silent although the store moved."""
