"""Replicate the records of commands through a log on Redis, so that every monitor's file has them.

Rules:

- Each monitor, leading or not, reads the log continuously from its last position. It merges what it
  finds into its file; see :mod:`monitor.persistence.command_record`. Reading an entry twice changes
  nothing.
- A log with another ``generation`` is a new one, for example after Redis was emptied. It is read
  from its beginning. Each monitor puts there the recent records that its own file holds and the log
  does not.
- After Redis was unreachable, some of the log is read once more. What the file holds of that time
  and the log does not is put there: a server that was killed may come back without its newest
  entries. If it comes back without more than that, its log is read from its beginning like a new
  one. Records that this monitor sent and does not find in the log are sent again.
- Where Redis lost the record of a command's end, it lost the answer too. The answer is put there
  again with the record. If the record does not hold the answer, the request is removed: gateways
  then ask under a new id, and the leader answers.
- A file that takes nothing, for example on a full disk, does not stop this monitor from putting its
  records on Redis: it may be the only one that knows a command's end.
- The log is bounded in bytes; the leader trims it. A monitor that was away for longer than the log
  reaches back misses the oldest records of that time, and nothing else.
- If the key holds no log, or the newest entry is years ahead, another program wrote it, and it
  takes no more entries. The monitor that finds it begins a new one. A record that cannot be read is
  left out; its neighbours are taken.
- Each monitor says on Redis how far it has read. The leader counts the monitors that are in step.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from monitor.counters import MonitorCounters
from monitor.lease import uptime
from monitor.persistence.command_record import CommandRecord, Stage, decode_record, encode_record
from monitor.persistence.sqlite_store import ONCE_KEPT_S, Store
from monitor.shared.changes import BELIEVED_AHEAD_MS
from monitor.shared.codec import Malformed
from monitor.shared.errors import BusUnreachable, StoreFailed
from monitor.shared.redis.batched_reads import read_together
from monitor.shared.redis.connection import (
    is_wrong_type,
    raise_if_cancelled,
    rejected,
    send,
    text,
    translated,
)
from monitor.shared.redis.key_names import RecordKeys, RedisCommand, RequestKeys

EVERY_S: Final = 0.25
"""Seconds between two readings."""
_LEADING_EVERY_S: Final = 1.0
_AGAIN_MS: Final = 60_000
"""Milliseconds of the log that are read again after Redis was unreachable."""
LOG_BYTES: Final = 8 * 1024 * 1024
"""Bytes of records in the log; the leader trims it to this."""
OFFERED: Final = 10_000
"""Largest number of records that one monitor puts into a new log. They take at most half of the
log's bytes."""
_AT_ONCE: Final = 200
_SAY_EVERY_S: Final = 1.0
_SILENT_S: Final = 5.0
"""Seconds of silence after which a monitor no longer counts as standing by."""
_FORGOTTEN_S: Final = 60.0
_LAG: Final = 3
"""Reports by which a monitor in step may be behind."""

_GENERATION: Final = re.compile(r"[0-9a-f]{16}")
_Id = tuple[int, int]

_log = structlog.get_logger(__name__)


class RecordReplication:
    """Replicate the command records of one PBX.

    ``name``: this monitor's name, which must be unique. ``leading()``: True while this monitor
    leads. ``in_step()``: True while all other mirrored data is level too, as far as this monitor
    knows. ``unsaved()``: returns this monitor's own records that its file has not taken yet.
    ``unconfirmed()``: returns the records that it sent and has not found in the log yet.
    ``confirm``: is called with each record that was read from the log.
    """

    def __init__(
        self,
        redis: Redis,
        pbx: str,
        name: str,
        store: Store,
        counters: MonitorCounters,
        *,
        leading: Callable[[], bool],
        in_step: Callable[[], bool] = lambda: True,
        unsaved: Callable[[], Sequence[CommandRecord]] = tuple,
        unconfirmed: Callable[[], Sequence[CommandRecord]] = tuple,
        confirm: Callable[[CommandRecord], None] = lambda record: None,
    ) -> None:
        self._redis = redis
        self._pbx = pbx
        self._keys = RecordKeys(pbx)
        self._requests = RequestKeys(pbx)
        self._name = name
        self._store = store
        self._counters = counters
        self._leading = leading
        self._in_step = in_step
        self._unsaved = unsaved
        self._unconfirmed = unconfirmed
        self._confirm = confirm
        self.level = False
        """True while the file holds everything that the log held at some time since
        :meth:`catch_up` began."""
        self._lock = asyncio.Lock()
        self._generation = ""
        self._position: _Id = (0, 0)
        self._sizes: deque[tuple[_Id, int]] = deque()
        self._bytes = 0
        self._newest: _Id = (0, 0)
        """The newest entry of this generation that was ever read."""
        self._found: dict[str, int] | None = None
        """Stages of the records in the log by request id. None when nothing is being compared."""
        self._found_since = 0.0
        """POSIX seconds. For older records it is not known whether the log holds them."""
        self._beat = 0
        self._said_at = 0.0
        self._others: dict[str, tuple[str, float]] = {}
        self._earlier: deque[_Id] = deque([(0, 0)], maxlen=_LAG)
        self._failing = ""
        self._log = _log.bind(pbx=pbx)

    async def run(self) -> None:
        """Read the log, merge it and report progress, until cancelled."""
        while True:
            raise_if_cancelled()
            try:
                await self.step()
                if uptime() >= self._said_at + _SAY_EVERY_S:
                    await self._say()
                self._failing = ""
            except (BusUnreachable, StoreFailed) as error:
                if str(error) != self._failing:
                    self._log.warning("record_replication_lost", reason=str(error))
                self._failing = str(error)
            except Exception:  # any other error: the next reading may succeed, so go on
                self._log.exception("record_replication_failure")
            raise_if_cancelled()
            await asyncio.sleep(_LEADING_EVERY_S if self._leading() else EVERY_S)

    async def catch_up(self) -> None:
        """Bring the file to the log's present end, before this monitor does anything as a leader.

        :attr:`level` says whether it succeeded.
        """
        self.level = False
        try:
            await self.step()
        except (BusUnreachable, StoreFailed) as error:
            self._log.warning("record_replication_lost", reason=str(error))

    async def step(self) -> None:
        """Read to the log's end, and put there what it lacks.

        Raises BusUnreachable or StoreFailed.
        """
        async with self._lock:
            try:
                await self._read_all()
                await self._offer_once()
                self.level = True
                await self._cut()
            except StoreFailed:
                await self._offer_once()
                raise
            except BusUnreachable:
                self._look_back()
                raise

    async def _read_all(self) -> None:
        told = self._unconfirmed()
        while await self._read():
            raise_if_cancelled()
        if self._position < self._newest:
            self._log.warning(
                "records_rolled_back", reason="Redis came back without some that it had taken"
            )
            self._read_anew()
            while await self._read():
                raise_if_cancelled()
        if lost := [record for record in told if record in self._unconfirmed()]:
            await self._put(lost)

    def _look_back(self) -> None:
        """Arrange to read some of the log once more.

        Another server may answer next, and it may lack the newest entries.
        """
        if self._found is None:
            self._position = (max(0, self._position[0] - _AGAIN_MS), 0)
            self._found, self._found_since = {}, (self._position[0] - _AGAIN_MS) / 1000

    def _read_anew(self) -> None:
        self._position = self._newest = (0, 0)
        self._found, self._found_since = {}, 0.0
        self._sizes.clear()
        self._bytes = 0

    async def _offer_once(self) -> None:
        """Put into the log what it lacks, unless that was done already."""
        if self._found is not None:
            await self._offer(self._found)
            self._found = None

    async def _read(self) -> bool:
        """Read some of the log and return whether there may be more."""
        with translated():
            start = f"{self._position[0]}-{self._position[1]}" if self._position != (0, 0) else "-"
            found, entries = await read_together(
                self._redis,
                ("GET", self._keys.generation),
                ("XRANGE", self._keys.log, start, "+", "COUNT", _AT_ONCE),
            )
            if (wrong := _wrong(found, entries)) is not None:
                rejected(self._keys.log, wrong)
                await self._begin_anew()
                return True
            if found is None:
                await self._redis.set(self._keys.generation, secrets.token_hex(8), nx=True)
                return True
        generation = text(found) or ""
        if generation != self._generation:
            self._generation = generation
            self._read_anew()
            return True
        full = len(entries) == _AT_ONCE
        if entries and _parsed(entries[0][0]) == self._position:
            entries = entries[1:]
        elif (
            self._position == self._newest != (0, 0)
        ):  # the newest is never trimmed: Redis has lost it
            self._log.warning("records_rolled_back", reason="Redis has lost some that it had taken")
            self._read_anew()
            return True
        await self._merge(entries)
        return full

    async def _begin_anew(self) -> None:
        """Replace a wrong log by an empty one.

        Every monitor then puts its recent records there.
        """
        commands: list[RedisCommand] = [
            ("UNLINK", self._keys.log),
            ("SET", self._keys.generation, secrets.token_hex(8)),
        ]
        await send(self._redis, commands, whole=True)

    async def _merge(self, entries: Sequence[tuple[Any, dict[Any, Any]]]) -> None:
        if not entries:
            return
        records = self._readable(entries)
        if self._found is not None:
            for record in records:
                self._found[record.request] = max(record.stage, self._found.get(record.request, 0))
        await self._store.merge(records)
        for id_, fields in entries:  # advance only after the file has taken them
            size = len(fields.get(b"record", b""))
            self._position = _parsed(id_)
            if not self._sizes or self._position > self._sizes[-1][0]:
                self._sizes.append((self._position, size))
                self._bytes += size
        self._newest = max(self._newest, self._position)

    def _readable(self, entries: Sequence[tuple[Any, dict[Any, Any]]]) -> list[CommandRecord]:
        """Return the records of this PBX's commands, without those that cannot be read."""
        records: list[CommandRecord] = []
        wrong: list[str] = []
        for id_, fields in entries:
            try:
                record = decode_record(fields.get(b"record", b""))
                self._confirm(record)
                if record.at * 1000 > time.time() * 1000 + BELIEVED_AHEAD_MS:
                    raise Malformed(f"a command's record of the future: {record.at}")
                if record.pbx == self._pbx:
                    records.append(record)
            except Malformed as error:
                wrong.append(f"entry {text(id_)}: {error}")
        if wrong:  # one line for all, as there may be very many
            more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            rejected(self._keys.log, f"{wrong[0]}{more}")
        return records

    async def _offer(self, found: dict[str, int]) -> None:
        room, offered = LOG_BYTES // 2, list[CommandRecord]()
        # First the records that are in no file, because no other monitor may know them; then the
        # newest.
        for record in (*self._unsaved(), *await self._store.commands(self._pbx, OFFERED)):
            if record.at >= self._found_since and record.stage > found.get(record.request, -1):
                room -= len(encode_record(record))
                if room < 0:
                    break
                offered.append(record)
        offered.reverse()
        for at in range(0, len(offered), _AT_ONCE):
            await self._put(offered[at : at + _AT_ONCE])
        if offered:
            self._log.info("records_offered", records=len(offered))

    async def _put(self, records: Sequence[CommandRecord]) -> None:
        """Put records and answers on Redis that it lacks. Raises BusUnreachable."""
        commands = [command for record in records for command in self._lacking(record, time.time())]
        await send(self._redis, commands, whole=True)

    def _lacking(self, record: CommandRecord, now: float) -> list[RedisCommand]:
        commands: list[RedisCommand] = [
            ("XADD", self._keys.log, "*", "record", encode_record(record))
        ]
        left = int(record.at + ONCE_KEPT_S - now)
        if not record.fingerprint or record.stage == Stage.BEGUN or left <= 0:
            return commands
        if record.stage == Stage.DONE and record.outcome is not None:
            # Replaces also the outcome of a successor that called it unknown.
            commands.append(
                ("SET", self._requests.result(record.request), record.outcome, "EX", left)
            )
        else:  # removes it with the right to write only; meanwhile it is neither open nor refused
            commands.append(("SET", self._requests.request(record.request), "ended", "PX", 1, "XX"))
        return commands

    async def _cut(self) -> None:
        """Trim the log if this monitor leads.

        Every monitor forgets the sizes of the oldest entries.
        """
        if self._bytes <= LOG_BYTES:
            return
        while self._bytes > LOG_BYTES * 9 // 10:
            _, size = self._sizes.popleft()
            self._bytes -= size
        if self._leading() and self._sizes:
            (ms, number), _ = self._sizes[0]
            await send(self._redis, [("XTRIM", self._keys.log, "MINID", "=", f"{ms}-{number}")])

    async def _say(self) -> None:
        """Report on Redis how far this monitor has read; a leader also counts the others.

        Raises BusUnreachable.
        """
        self._beat += 1
        state = "level" if self.level and self._in_step() else "behind"
        said = f"{self._generation} {self._position[0]}-{self._position[1]} {state} {self._beat}"
        with translated():
            told, table = await read_together(
                self._redis,
                ("HSET", self._keys.mirrored, self._name, said),
                ("HGETALL", self._keys.mirrored),
            )
            if isinstance(table, ResponseError) and is_wrong_type(table):
                rejected(self._keys.mirrored, str(table))
                await self._redis.unlink(self._keys.mirrored)
            elif isinstance(told, Exception):
                raise told
            elif self._leading():
                reports = {text(name) or "": text(value) or "" for name, value in table.items()}
                if gone := self._count(reports)[:_AT_ONCE]:
                    await self._redis.hdel(self._keys.mirrored, *gone)
        self._said_at = uptime()

    def _count(self, table: dict[str, str]) -> list[str]:
        """Count the standby monitors and those of them that are in step.

        Returns the names of monitors that have been silent for ``_FORGOTTEN_S`` seconds.
        """
        now = uptime()
        self._others = {
            name: (
                said,
                self._others[name][1]
                if name in self._others and self._others[name][0] == said
                else now,
            )
            for name, said in table.items()
            if name != self._name
        }
        alive = [said for said, at in self._others.values() if now < at + _SILENT_S]
        wanted = self._earlier[0]
        level = sum(_is_level(said, self._generation, wanted) for said in alive)
        if (len(alive), level) != (self._counters.standbys, self._counters.standbys_level):
            self._log.info("standbys", standing_by=len(alive), in_step=level)
        self._counters.standbys, self._counters.standbys_level = len(alive), level
        self._earlier.append(self._position)
        return [name for name, (_, at) in self._others.items() if now >= at + _FORGOTTEN_S]


def _is_level(said: str, generation: str, wanted: _Id) -> bool:
    theirs, _, rest = said.partition(" ")
    position, _, rest = rest.partition(" ")
    try:
        return theirs == generation and rest.startswith("level ") and _parsed(position) >= wanted
    except ValueError:
        return False


def _wrong(generation: Any, entries: Any) -> str | None:
    """Return the sign that another program wrote the log, or None if there is none.

    Raises other errors of Redis.
    """
    for read in (generation, entries):
        if isinstance(read, Exception):
            if not is_wrong_type(read):
                raise read
            return str(read)
    if generation is not None and not _GENERATION.fullmatch(text(generation) or ""):
        return f"a generation that is none: {generation[:50]!r}"
    if entries and _parsed(entries[-1][0])[0] > time.time() * 1000 + BELIEVED_AHEAD_MS:
        return f"an entry of the time {text(entries[-1][0])}"
    return None


def _parsed(id_: bytes | str) -> _Id:
    """Return an entry's id as two numbers. Raises ValueError."""
    ms, _, number = (text(id_) or "").partition("-")
    return int(ms), int(number)
