"""Redis → replica: follow one space of one PBX.

Pub/sub is the doorbell and the fast path, the log is the truth:

- Subscribe, wait for the confirmation, read what is stored, apply what comes with a greater ``seq``. Start-up, recovery
  and fail-over are this one path.
- The next ``seq`` of our epoch is applied, an older one ignored. Anything else reads the log, and if the log does not
  reach back or the epoch is newer, the state. Every later confirmation (the client subscribed again by itself) is a
  possible gap.
- A store that is behind us is not followed: the state is kept and grows stale until a writer has put that right. If it
  is at an older epoch its writer may not know ours, so the name is left there for him.
- An epoch years ahead of the clock of a monitor that is heard in an older one was begun by none: what we hold of it is
  dropped, and the monitor followed. Else one wrong value on Redis would be believed for ever.
- Silence is not health. After three seconds without a word the position is read: moved on, then this subscription is
  wedged and torn down; not moved, then the monitor is silent. Every few seconds it is compared as well.
- Redis away: the state is kept and grows stale; come back with full-jitter back-off, for ever.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from gateway.counters import ReplicationCounters
from gateway.replication.redis_reader import (
    StoredPosition,
    check_topics,
    leave_epoch,
    read_log,
    read_position,
    read_state,
)
from gateway.replication.replica import Gap, Replica
from monitor.shared.changes import Change, Position, is_ahead
from monitor.shared.codec import Announcement, Heartbeat, Malformed, decode_announcement
from monitor.shared.redis.connection import raise_if_cancelled, rejected
from monitor.shared.redis.failure_text import explain
from monitor.shared.redis.key_names import SpaceKeys
from monitor.shared.timestamps import from_unix, moment

SILENCE = 3.0
COMPARE = 5.0
CONFIRM_WITHIN = 5.0
_LOOKING = 0.05
"""Seconds between two looks whether the store has answered."""
_BACKOFF_BASE = 0.05
_BACKOFF_CAP = 1.0

_log = structlog.get_logger(__name__)


class StateFollower:
    """Moves ``replica`` and calls ``on_change``, synchronously, whenever its state, position or staleness changed.

    ``silence``, ``compare``: seconds.
    """

    def __init__(
        self,
        redis: Redis,
        keys: SpaceKeys,
        replica: Replica,
        on_change: Callable[[], None],
        *,
        silence: float = SILENCE,
        compare: float = COMPARE,
    ) -> None:
        self.connected = False
        """Whether subscribed, with the store read since."""
        self.measures = ReplicationCounters()
        self._redis = redis
        self._keys = keys
        self._replica = replica
        self._on_change = on_change
        self._silence = silence
        self._compare = compare
        self._heard_at = 0.0  # loop's clock
        self._heard_wall = 0.0
        self._failures = 0
        self._owed: Position | None = None
        self._log = _log.bind(pbx=keys.pbx, space=keys.space)

    @property
    def stale_since(self) -> str | None:
        """Since when nothing has been heard from the monitor: an instant; None while it is heard."""
        return self._replica.stale_since

    @property
    def last_heartbeat(self) -> str | None:
        """The monitor's instant when it was last heard."""
        return self._replica.at

    @property
    def heard_at(self) -> float:
        """When the monitor was last heard, POSIX seconds on our clock; 0 before this runs."""
        return self._heard_wall

    async def run(self) -> None:
        """Until cancelled."""
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
            except (RedisError, OSError, TimeoutError, Malformed, _Wedged) as error:
                self._failures += 1
                delay = random.uniform(0, min(_BACKOFF_CAP, _BACKOFF_BASE * 2 ** min(self._failures, 10)))  # noqa: S311
                reason = str(error) if isinstance(error, Malformed | _Wedged) else f"Redis: {explain(error)}"
                self._log.warning("feed lost", reason=reason, retry_in=round(delay, 3))
                self.connected = False
                self.measures.losses += 1
                self._on_change()
                await asyncio.sleep(delay)

    async def _watch_silence(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(self._heard_at + self._silence - loop.time(), self._silence / 20))
            if self.stale_since is None and loop.time() >= self._heard_at + self._silence:
                self._stale()

    async def _follow(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._keys.channel)
            await self._confirmed(pubsub)
            await self._catch_up("subscribed")
            self._owed = None
            self.connected, self._failures = True, 0
            self._log.info("following", position=str(self._replica.position))
            self._on_change()
            await self._listen(pubsub)

    async def _confirmed(self, pubsub: PubSub) -> None:
        deadline = asyncio.get_running_loop().time() + CONFIRM_WITHIN
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            message = await pubsub.get_message(timeout=left)
            if message is not None and message["type"] == "subscribe":
                return
        raise TimeoutError("the subscription was not confirmed")

    async def _listen(self, pubsub: PubSub) -> None:
        loop = asyncio.get_running_loop()
        listening_since = compared_at = loop.time()
        looking: _ReadReason | None = None
        try:
            while True:
                raise_if_cancelled()
                due = min(compared_at + self._compare, max(self._heard_at, compared_at) + self._silence)
                wait = _LOOKING if looking is not None else max(due - loop.time(), 0.001)
                message = await pubsub.get_message(timeout=wait)
                if message is not None and message["type"] == "message":
                    await self._take(decode_announcement(message["data"]), len(message["data"]))
                elif message is not None and message["type"] == "subscribe":
                    await self._catch_up("subscribed")
                if looking is not None and looking.reading.done():
                    await self._compared(looking)
                    looking = None
                elif looking is None and loop.time() >= due:
                    silent = loop.time() - max(self._heard_at, listening_since) >= self._silence
                    looking = self._look(silent=silent)
                    compared_at = loop.time()
        finally:
            if looking is not None:
                looking.reading.cancel()
                await asyncio.gather(looking.reading, return_exceptions=True)

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
                fresh = message.position == mine or await self._catch_up("announced", message.position)
            case _:
                assert_never(message)
        if fresh:
            self._hear(message.at)

    def _doubt(self, message: Announcement) -> None:
        """Drop what we hold if it is of an epoch that the monitor which speaks now does not believe, as his own."""
        mine = self._replica.position
        if mine is None or message.position.epoch >= mine.epoch:
            return
        clock = moment(message.at).timestamp() * 1000
        if is_ahead(mine.epoch, clock) and not is_ahead(message.position.epoch, clock):
            rejected(self._keys.position, f"{mine} is years ahead of the monitor, who is at {message.position}")
            self._replica.drop()

    def _applied(self, change: Change, size: int) -> bool:
        """Take in a change of so many bytes; whether it was news.

        Raises Gap, and Malformed if it is not of this space.
        """
        check_topics(change, self._keys)
        news = self._replica.apply(change, size)
        if news:
            self.measures.changes += 1
            self._log.debug("change", trace=change.trace, position=str(change.position), edits=len(change.edits))
        return news

    def _look(self, *, silent: bool) -> _ReadReason:
        """Begin to read the store's position; what is announced meanwhile is taken in all the same."""
        reading = asyncio.create_task(read_position(self._redis, self._keys))
        return _ReadReason(reading, self._replica.position, self._replica.at, self._heard_at, silent)

    async def _compared(self, look: _ReadReason) -> None:
        """Compare with the store. If we heard nothing while it moved, the subscription is wedged.

        A store that is ahead may have its announcements on the way to us still: they must be here by the next look.
        """
        stored, owed = look.reading.result(), self._owed
        self._owed = None
        if stored is None or (look.mine is not None and stored.position < look.mine):
            await self._behind(stored)
            return
        silent = look.silent and self._heard_at == look.heard_at
        if silent and (stored.position != look.mine or stored.at != look.at):
            raise _Wedged(f"the store moved to {stored.position}, {stored.at}, unheard")
        mine = self._replica.position
        same_epoch = mine is not None and mine.epoch == stored.position.epoch
        self.measures.behind = stored.position.seq - mine.seq if mine is not None and same_epoch else 0
        if mine is None or (owed is not None and mine < owed):
            await self._catch_up("compared")
        elif mine < stored.position:
            self._owed = stored.position

    async def _catch_up(self, why: str, announced: Position | None = None) -> bool:
        """Go to where the store is, by the log or by the state. Whether we are at ``announced`` now, or further on.

        ``why``: as it is counted.
        """
        self.measures.catch_ups[why] += 1
        while True:
            mine = self._replica.position
            if announced is not None and mine is not None and announced < mine:
                stored = await read_position(self._redis, self._keys)
                if stored is None or stored.position < mine:
                    await self._behind(stored)
                return False
            stored = await self._advance(mine)
            if stored is None or (self._replica.position is not None and stored.position < self._replica.position):
                await self._behind(stored)
                return False
            if stored.position == self._replica.position:
                self.measures.behind = 0
                self._replica.at = max(self._replica.at or "", stored.at)
                return announced is None or announced <= stored.position

    async def _advance(self, mine: Position | None) -> StoredPosition | None:
        """One step towards the store's position, which is returned."""
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
            self._replica.load(read.stored.position, read.stored.at, read.state, read.log, read.sizes)
            self.measures.loads += 1
            self._log.info("state loaded", position=str(read.stored.position))
            self._on_change()
        return read.stored

    async def _behind(self, stored: StoredPosition | None) -> None:
        mine = self._replica.position
        if mine is None:
            return
        self._log.warning("the store is behind", stored=str(stored and stored.position), ours=str(mine))
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
    """A look at the store's position, and what we knew when it began."""

    reading: asyncio.Task[StoredPosition | None]
    mine: Position | None
    at: str | None
    heard_at: float
    silent: bool


class _Wedged(Exception):
    """The subscription says nothing though there is something to say."""
