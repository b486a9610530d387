"""Write one space to Redis, each change as a compare-and-set on the stored position.

State, log and announcement go in one transaction. It commits only if epoch, ``seq`` and publish id
are those that this writer wrote last. So a writer that lost the lease without knowing it writes
nothing, and a store that lost history is noticed. A lost answer leaves a publish *undecided*: the
identical batch is tried again under its id until the store shows whether it was done. Between
publishes the next WATCH is already armed on a connection of its own, so that a change costs one
round trip.

Not for concurrent use: one task calls it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence

from redis.asyncio import Redis

from monitor.lease import Lease
from monitor.publishing.publish_batch import (
    Log,
    PublishBatch,
    StoredPositionHash,
    announcement,
    encode,
    judge,
)
from monitor.publishing.state_staging import StagedState, stage
from monitor.publishing.stray_fields import StrayFields
from monitor.shared.changes import Change, Edit, Position, epoch_name, is_ahead
from monitor.shared.entities.topics import State
from monitor.shared.errors import BusUnreachable, Fenced, HistoryLost
from monitor.shared.redis.connection import GuardedTransaction, accepted, rejected
from monitor.shared.redis.key_names import RedisCommand, SpaceKeys
from monitor.shared.timestamps import from_unix

LOG_BYTES = 64 * 1024 * 1024
"""Bytes of the changes kept in the log, unless the settings say otherwise."""
_ATTEMPTS = 10


class StatePublisher:
    """Write one space of one PBX.

    ``writer``: the lease's value with which an epoch may be started. ``lease``: given to one
    publisher of a PBX; its heartbeats then renew the lease. ``log_length``, ``log_bytes``: limits
    of the log. ``clock``: returns POSIX seconds.
    """

    def __init__(
        self,
        redis: Redis,
        keys: SpaceKeys,
        writer: str,
        *,
        lease: Lease | None = None,
        log_length: int = 10_000,
        log_bytes: int = LOG_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._writer = writer
        self._lease = lease
        self._log = Log(log_length, log_bytes)
        self._clock = clock
        self._reading: RedisCommand = ("HMGET", keys.position, "epoch", "seq", "id")
        self._signs: tuple[RedisCommand, ...] = (("GET", keys.lease), ("GET", keys.seen))
        self._watched = (keys.position,) if lease is None else (keys.position, keys.lease)
        self._written: tuple[Position, str] | None = None
        self._newest_epoch = ""
        self._rejected = ""
        self._under_way: PublishBatch | None = None
        self._armed: tuple[GuardedTransaction, StoredPositionHash | None] | None = None
        self._busy = True
        """False if nothing was published between the last two heartbeats."""
        self._strays = StrayFields(redis, keys)

    @property
    def keys(self) -> SpaceKeys:
        """Return the key names of the space."""
        return self._keys

    @property
    def position(self) -> Position | None:
        """Return the position that this writer wrote last.

        Returns None before an epoch is started and after Fenced or HistoryLost.
        """
        return None if self._written is None else self._written[0]

    @property
    def undecided(self) -> bool:
        """Return whether a publish was sent and it is not known yet if the store did it."""
        return self._under_way is not None

    async def stored(self) -> Position | None:
        """Return the position in the store, written by any writer. Raises BusUnreachable."""
        async with await GuardedTransaction.watch(
            self._redis, self._keys.position, reads=[self._reading]
        ) as guard:
            stored = await self._read(guard)
        return None if stored is None else stored.position

    async def start_epoch(self, state: State) -> Position:
        """Write the whole state under a new epoch, at ``seq`` 0.

        An undecided publish is dropped, because the state contains it. ``state`` is copied before
        anything is awaited. Raises Fenced if the lease is not ours, else BusUnreachable.
        """
        copied = {topic: dict(entities) for topic, entities in state.items()}
        self._written = self._under_way = None
        await self.aclose()
        token = secrets.token_hex(4)
        staged = await stage(self._redis, self._keys, copied, token)
        await self._keep_lease()
        for _ in range(_ATTEMPTS):
            async with await GuardedTransaction.watch(
                self._redis,
                *(self._keys.lease, self._keys.position, *staged.names.values()),
                reads=[self._reading, *self._signs, *staged.sizing()],
            ) as guard:
                position = await self._try_start(guard, staged, token)
            if position is not None:
                await self._arm()
                return position
        raise BusUnreachable(
            "the position or the lease changed under every attempt to start an epoch"
        )

    async def publish(self, edits: Iterable[Edit], trace: str = "", heard: float = 0.0) -> Position:
        """Write one change, announce it and return its position.

        ``trace``, ``heard``: stored in the change. Must not be called while :attr:`undecided`.
        Raises Fenced or HistoryLost: nothing was written, an epoch must be started. Raises
        BusUnreachable: the publish is now undecided; the edits are kept here and :meth:`settle`
        goes on with them.
        """
        if self._under_way is not None:
            raise RuntimeError("a publish is undecided: settle it first")
        position, _ = self._own()
        position = Position(position.epoch, position.seq + 1)
        change = Change(position, from_unix(self._clock()), tuple(edits), trace, heard)
        self._under_way = encode(self._keys, change, secrets.token_hex(8), self._log.length)
        return await self.settle()

    async def settle(self) -> Position:
        """Repeat the undecided publish, if there is one, until it is done.

        Raises like :meth:`publish`.
        """
        batch = self._under_way
        if batch is not None:
            await self._attempt(batch.commands, batch.id)
            self._written, self._under_way = (batch.position, batch.id), None
            self._log.written(batch.size)
            self._busy = True
            await self._arm()
        return self._own()[0]

    async def heartbeat(self) -> Position:
        """Settle what is undecided, announce the position and renew the lease if it was given.

        Raises Fenced (also if another monitor holds the lease), HistoryLost (also if a follower has
        seen a newer epoch than ours) or BusUnreachable.
        """
        position = await self.settle()
        at = from_unix(self._clock())
        beat = [
            ("HSET", self._keys.position, "at", at),
            announcement(self._keys, position, at),
            *self._renewal(),
        ]
        asked_at = await self._attempt(beat, beating=True)
        if self._lease is not None:
            self._lease.granted(asked_at)
        if self._busy:  # a quiet space needs no connection until its next change or heartbeat
            await self._arm()
        self._busy = False
        return position

    async def clean(self, state: Callable[[], State | None]) -> bool:
        """Remove some of the fields that no monitor wrote; return whether there are more.

        ``state()``: returns what the store holds now. It returns None while the store holds
        something else; nothing is removed then. Raises like :meth:`publish`, HistoryLost also if
        a hash lost fields or a value is not what was written. Leaves nothing undecided.
        """
        held = state()
        if held is not None and not self._strays.more:
            try:
                await self._strays.look(held)
            except HistoryLost:
                self._written = None
                raise
            held = state()
        if held is not None and (commands := self._strays.removal(held)):
            await self._attempt(commands)
            await self._arm()
        return self._strays.more

    async def aclose(self) -> None:
        """Give back the connection."""
        if self._armed is not None:
            (guard, _), self._armed = self._armed, None
            await guard.release()

    def _own(self) -> tuple[Position, str]:
        if self._written is None:
            raise HistoryLost("no epoch has been started")
        return self._written

    # One guarded transaction within our epoch.

    async def _attempt(
        self,
        commands: Sequence[RedisCommand],
        under_way: str | None = None,
        *,
        beating: bool = False,
    ) -> float:
        """Commit if the store is where we left it.

        ``beating``: also look whether the lease is ours, and which epoch a follower has seen.
        Returns the uptime in seconds before it was sent (0 without a lease).
        """
        try:
            for _ in range(_ATTEMPTS):
                guard, stored = await self._look(*(self._signs if beating else ()))
                async with guard:
                    if judge(stored, *self._own(), under_way) == "done already":
                        return 0
                    more: tuple[RedisCommand, ...] = ()
                    if beating:
                        await self._check_lease(guard)
                        more = await self._check_seen(guard)
                    asked_at = self._uptime()
                    if await guard.commit((*commands, *more)):
                        return asked_at
        except (Fenced, HistoryLost):
            self._written = self._under_way = None
            raise
        raise BusUnreachable("the position changed under every attempt")

    async def _look(
        self, *more: RedisCommand
    ) -> tuple[GuardedTransaction, StoredPositionHash | None]:
        """Begin a transaction, and read the position. ``more``: what else will be read."""
        armed, self._armed = self._armed, None
        guard = await self._begun(more) if armed is None else armed[0]
        try:
            if armed is None:
                armed = guard, await self._read(guard)
            elif more:
                await guard.read_ahead(*more)
        except BaseException:
            await guard.release()
            raise
        return armed

    async def _begun(self, more: Sequence[RedisCommand]) -> GuardedTransaction:
        reads = [self._reading, *more]
        return await GuardedTransaction.watch(self._redis, *self._watched, reads=reads)

    async def _read(self, guard: GuardedTransaction) -> StoredPositionHash | None:
        epoch, seq, id_ = await guard.fields(self._keys.position, "epoch", "seq", "id")
        stored = StoredPositionHash.parse(epoch, seq, id_)
        if stored is None and (epoch or seq):
            self._reject(self._keys.position, f"not a position of ours: epoch {epoch!r}, {seq!r}")
        return stored

    def _reject(self, key: str, what: str) -> None:
        """Report each wrong value, and log it once; it is overwritten."""
        rejected(key, what, logged=what != self._rejected)
        self._rejected = what

    async def _arm(self) -> None:
        try:
            self._armed = await self._look()
        except BusUnreachable:
            self._armed = None  # the next publish will find out and report it

    async def _check_seen(self, guard: GuardedTransaction) -> tuple[RedisCommand, ...]:
        """Return the commands that remove the note of the newest epoch seen, which is not needed.

        Raises HistoryLost if a follower has seen an epoch that is newer than ours. Followers
        recognise an epoch that is too far ahead by our heartbeat's time.
        """
        seen = await guard.get(self._keys.seen)
        if seen is None:
            return ()
        if is_ahead(seen, self._unix_ms()):
            self._reject(self._keys.seen, f"no epoch that a follower can have seen: {seen!r}")
        elif seen > self._own()[0].epoch:
            self._newest_epoch = max(self._newest_epoch, seen)
            raise HistoryLost(f"a follower is at the newer epoch {seen}")
        return (("UNLINK", self._keys.seen),)

    async def _check_lease(self, guard: GuardedTransaction) -> None:
        if self._lease is not None:
            holder = await guard.get(self._keys.lease)
            if holder not in (None, self._writer):
                self._lease.lost()
                raise Fenced(f"{holder} holds the lease")

    def _unix_ms(self) -> float:
        return self._clock() * 1000

    def _uptime(self) -> float:
        return 0.0 if self._lease is None else self._lease.uptime()

    def _renewal(self) -> tuple[RedisCommand, ...]:
        return () if self._lease is None else (self._lease.renewal,)

    # A new epoch.

    async def _keep_lease(self) -> None:
        """Renew the lease if it may have run out while a large state was written."""
        lease = self._lease
        if lease is not None and lease.expiring and not await lease.acquire():
            raise Fenced("the lease was lost while the state was being written")

    async def _try_start(
        self, guard: GuardedTransaction, staged: StagedState, token: str
    ) -> Position | None:
        stored = await self._read(guard)
        if await guard.get(self._keys.lease) != self._writer:
            if self._lease is not None:
                self._lease.lost()
            raise Fenced("the lease is not ours")
        if not await staged.intact(guard):
            raise BusUnreachable("the store lost what had just been written")
        known = {self._keys.seen: await guard.get(self._keys.seen)}
        if stored is not None:
            known[self._keys.position] = stored.position.epoch
        newest = self._newest_epoch
        for key, epoch in known.items():
            if epoch is not None and is_ahead(epoch, self._unix_ms()):
                self._reject(key, f"no epoch, or one too far ahead of our clock: {epoch!r}")
            else:
                newest = max(newest, epoch or "")
        self._newest_epoch = epoch_name(int(self._unix_ms()), newest or None, token)
        position, at = Position(self._newest_epoch, 0), from_unix(self._clock())
        asked_at = self._uptime()
        if not await guard.commit(self._start_commands(staged, position, token, at)):
            return None
        self._written = (position, token)
        for key in (*map(self._keys.state, self._keys.topics), self._keys.log, self._keys.position):
            accepted(key)  # all of it was written again
        self._log.begin()
        if self._lease is not None:
            self._lease.granted(asked_at)
        return position

    def _start_commands(
        self, staged: StagedState, position: Position, id_: str, at: str
    ) -> tuple[RedisCommand, ...]:
        return (
            *staged.put_in_place(),
            ("UNLINK", self._keys.log, self._keys.position, self._keys.seen),
            (
                "HSET",
                self._keys.position,
                "epoch",
                position.epoch,
                "seq",
                position.seq,
                "id",
                id_,
                "at",
                at,
            ),
            *self._renewal(),
            announcement(self._keys, position, at),
        )
