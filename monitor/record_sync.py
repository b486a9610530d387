"""The log of commands' records on Redis, by which every monitor's file comes to hold what the others wrote down.

Rules:

- Each monitor, leading or not, reads the log all the time from where it has been, and merges what it finds into its
  file; see :mod:`monitor.replicated_records`. It may be read twice: that changes nothing.
- A log with another ``generation`` is one begun anew, as after Redis was emptied. It is read from its beginning, and
  whatever the monitor's own file holds of late and the log does not is put there, by every monitor for itself.
- After Redis was not reached some of the log is read once more, and what the file holds of that time and the log does
  not is put there: a server that was killed may come back without what it had taken last. If it comes back without
  more than that, its log is read from its beginning, as a new one. What this monitor told and does not find in the log
  is told again.
- Where Redis lost the record of a command's end, it lost the answer too. That is put there again with the record; where
  the record does not hold it, the request is taken away: gateways then ask under a new id, and the leader answers.
- A file that takes nothing, as on a full disk, is no reason not to put there what the monitor knows: it may be the
  only one that knows a command's end.
- The log is bounded in bytes; the leader cuts it. A monitor that was away for longer than the log reaches back lacks
  the oldest records of that time, and nothing else.
- A log that is none, or whose newest entry is years ahead, was written by somebody else, and takes no entries any more.
  Whoever meets it begins a new one. A record that cannot be read is left out; its neighbours are taken.
- Each monitor says on Redis how far it is. The leader counts those that are in step.
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

from monitor.bus import heed_cancellation, is_wrong_type, rejected, send, text, translated
from monitor.errors import BusUnreachable, StoreFailed
from monitor.lease import uptime
from monitor.measures import Measures
from monitor.model.change import BELIEVED_AHEAD_MS
from monitor.model.keys import RecordKeys, RedisCommand, RequestKeys
from monitor.model.wire import Malformed
from monitor.replicated_records import CommandRecord, Stage, decode_record, encode_record
from monitor.store import ONCE_KEPT, Store

EVERY_S: Final = 0.25
"""Between two readings."""
_LEADING_EVERY_S: Final = 1.0
_AGAIN_MS: Final = 60_000
"""Of the log, which are read again after Redis was not reached."""
LOG_BYTES: Final = 8 * 1024 * 1024
"""Of records; the leader cuts what is more."""
OFFERED: Final = 10_000
"""Records that one monitor puts into a log begun anew, at most, and at most half of the log's bytes."""
_AT_ONCE: Final = 200
_SAY_EVERY_S: Final = 1.0
_SILENT_S: Final = 5.0
"""After which a monitor that says nothing does not count as standing by."""
_FORGOTTEN_S: Final = 60.0
_LAG: Final = 3
"""Sayings by which a monitor in step may be behind."""

_GENERATION: Final = re.compile(r"[0-9a-f]{16}")
_Id = tuple[int, int]

_log = structlog.get_logger(__name__)


class RecordSync:
    """One PBX's. ``name``: this monitor's, unlike any other's. ``leading``: whether it leads now.

    ``in_step``: whether all else that is mirrored is level too, as far as this monitor knows. ``unkept``: records of
    this monitor's own that its file has not taken yet. ``told``: those that it put there and has not ``seen`` in the
    log.
    """

    def __init__(
        self,
        redis: Redis,
        pbx: str,
        name: str,
        store: Store,
        measures: Measures,
        *,
        leading: Callable[[], bool],
        in_step: Callable[[], bool] = lambda: True,
        unkept: Callable[[], Sequence[CommandRecord]] = tuple,
        told: Callable[[], Sequence[CommandRecord]] = tuple,
        seen: Callable[[CommandRecord], None] = lambda record: None,
    ) -> None:
        self._redis = redis
        self._pbx = pbx
        self._keys = RecordKeys(pbx)
        self._requests = RequestKeys(pbx)
        self._name = name
        self._store = store
        self._measures = measures
        self._leading = leading
        self._in_step = in_step
        self._unkept = unkept
        self._told = told
        self._seen = seen
        self.level = False
        """Whether the file holds all that the log held at some time since :meth:`catch_up` began."""
        self._lock = asyncio.Lock()
        self._generation = ""
        self._position: _Id = (0, 0)
        self._sizes: deque[tuple[_Id, int]] = deque()
        self._bytes = 0
        self._newest: _Id = (0, 0)
        """The newest entry of this generation that was ever read."""
        self._found: dict[str, int] | None = None
        """Stages of what the log holds, while it is being found out what it lacks."""
        self._found_since = 0.0
        """POSIX seconds; of records from before it is not known whether the log holds them."""
        self._beat = 0
        self._said_at = 0.0
        self._others: dict[str, tuple[str, float]] = {}
        self._earlier: deque[_Id] = deque([(0, 0)], maxlen=_LAG)
        self._failing = ""
        self._log = _log.bind(pbx=pbx)

    async def run(self) -> None:
        """Read, merge and say so, until cancelled."""
        while True:
            heed_cancellation()
            try:
                await self.step()
                if uptime() >= self._said_at + _SAY_EVERY_S:
                    await self._say()
                self._failing = ""
            except (BusUnreachable, StoreFailed) as error:
                if str(error) != self._failing:
                    self._log.warning("records_not_mirrored", reason=str(error))
                self._failing = str(error)
            except Exception:  # whatever it is, the next reading may do better, and this must not stop
                self._log.exception("record_sync_failed")
            heed_cancellation()
            await asyncio.sleep(_LEADING_EVERY_S if self._leading() else EVERY_S)

    async def catch_up(self) -> None:
        """Bring the file to where the log is now, before anything is done as a leader. :attr:`level`: if it went."""
        self.level = False
        try:
            await self.step()
        except (BusUnreachable, StoreFailed) as error:
            self._log.warning("records_not_mirrored", reason=str(error))

    async def step(self) -> None:
        """Read to the log's end, and put there what it lacks. Raises BusUnreachable, StoreFailed."""
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
        told = self._told()
        while await self._read():
            heed_cancellation()
        if self._position < self._newest:
            self._log.warning("records_rolled_back", reason="Redis came back without some that it had taken")
            self._read_anew()
            while await self._read():
                heed_cancellation()
        if lost := [record for record in told if record in self._told()]:
            await self._put(lost)

    def _look_back(self) -> None:
        """Read some of the log once more: another server may answer next, which lacks the newest entries."""
        if self._found is None:
            self._position = (max(0, self._position[0] - _AGAIN_MS), 0)
            self._found, self._found_since = {}, (self._position[0] - _AGAIN_MS) / 1000

    def _read_anew(self) -> None:
        self._position = self._newest = (0, 0)
        self._found, self._found_since = {}, 0.0
        self._sizes.clear()
        self._bytes = 0

    async def _offer_once(self) -> None:
        """Put into a log begun anew what it lacks, unless that was done."""
        if self._found is not None:
            await self._offer(self._found)
            self._found = None

    async def _read(self) -> bool:
        """Read some of the log; whether there may be more."""
        with translated():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.execute_command("GET", self._keys.generation)
                start = f"{self._position[0]}-{self._position[1]}" if self._position != (0, 0) else "-"
                pipe.execute_command("XRANGE", self._keys.log, start, "+", "COUNT", _AT_ONCE)
                found, entries = await pipe.execute(raise_on_error=False)
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
        elif self._position == self._newest != (0, 0):  # the newest is never cut: it was taken back
            self._log.warning("records_rolled_back", reason="Redis has lost some that it had taken")
            self._read_anew()
            return True
        await self._merge(entries)
        return full

    async def _begin_anew(self) -> None:
        """Put an empty log in the place of what is none; every monitor puts there what it holds of late."""
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
        for id_, fields in entries:  # only what is in the file has been read
            size = len(fields.get(b"record", b""))
            self._position = _parsed(id_)
            if not self._sizes or self._position > self._sizes[-1][0]:
                self._sizes.append((self._position, size))
                self._bytes += size
        self._newest = max(self._newest, self._position)

    def _readable(self, entries: Sequence[tuple[Any, dict[Any, Any]]]) -> list[CommandRecord]:
        """Return the records of this PBX's commands; what cannot be read is left out."""
        records: list[CommandRecord] = []
        for id_, fields in entries:
            try:
                record = decode_record(fields.get(b"record", b""))
                self._seen(record)
                if record.at * 1000 > time.time() * 1000 + BELIEVED_AHEAD_MS:
                    raise Malformed(f"a command's record of the time {record.at}")
                if record.pbx == self._pbx:
                    records.append(record)
            except Malformed as error:
                rejected(self._keys.log, f"entry {text(id_)}: {error}")
        return records

    async def _offer(self, found: dict[str, int]) -> None:
        room, offered = LOG_BYTES // 2, list[CommandRecord]()
        # The newest first, and before them what stands in no file: nobody else may know it.
        for record in (*self._unkept(), *await self._store.commands(self._pbx, OFFERED)):
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
        """Put records there that Redis lacks, and what it lacks with them. Raises BusUnreachable."""
        commands = [command for record in records for command in self._lacking(record, time.time())]
        await send(self._redis, commands, whole=True)

    def _lacking(self, record: CommandRecord, now: float) -> list[RedisCommand]:
        commands: list[RedisCommand] = [("XADD", self._keys.log, "*", "record", encode_record(record))]
        left = int(record.at + ONCE_KEPT - now)
        if not record.fingerprint or record.stage == Stage.BEGUN or left <= 0:
            return commands
        if record.stage == Stage.DONE and record.outcome is not None:  # also in the place of one that called it unknown
            commands.append(("SET", self._requests.result(record.request), record.outcome, "EX", left))
        else:  # gone in a moment, by the right to write alone; nobody may take it for open or refused meanwhile
            commands.append(("SET", self._requests.request(record.request), "ended", "PX", 1, "XX"))
        return commands

    async def _cut(self) -> None:
        """Cut the log, if this monitor leads; what is cut is forgotten here by all."""
        if self._bytes <= LOG_BYTES:
            return
        while self._bytes > LOG_BYTES * 9 // 10:
            _, size = self._sizes.popleft()
            self._bytes -= size
        if self._leading() and self._sizes:
            (ms, number), _ = self._sizes[0]
            await send(self._redis, [("XTRIM", self._keys.log, "MINID", "=", f"{ms}-{number}")])

    async def _say(self) -> None:
        """Say how far this monitor is; the leader sees how far the others are. Raises BusUnreachable."""
        self._beat += 1
        state = "level" if self.level and self._in_step() else "behind"
        said = f"{self._generation} {self._position[0]}-{self._position[1]} {state} {self._beat}"
        commands: list[RedisCommand] = [("HSET", self._keys.mirrored, self._name, said)]
        if self._leading():
            table = await self._mirrored()
            gone = self._count({text(name) or "": text(value) or "" for name, value in table.items()})
            commands += [("HDEL", self._keys.mirrored, name) for name in gone[:_AT_ONCE]]
        await send(self._redis, commands)
        self._said_at = uptime()

    async def _mirrored(self) -> dict[Any, Any]:
        """Return what all monitors say; nothing of what is no table, which is taken away."""
        with translated():
            try:
                return dict(await self._redis.hgetall(self._keys.mirrored))
            except ResponseError as error:
                if not is_wrong_type(error):
                    raise
                rejected(self._keys.mirrored, str(error))
        await send(self._redis, [("UNLINK", self._keys.mirrored)])
        return {}

    def _count(self, table: dict[str, str]) -> list[str]:
        """Count who stands by, and who of them is in step; the names of those that are long silent."""
        now = uptime()
        self._others = {
            name: (said, self._others[name][1] if name in self._others and self._others[name][0] == said else now)
            for name, said in table.items()
            if name != self._name
        }
        alive = [said for said, at in self._others.values() if now < at + _SILENT_S]
        wanted = self._earlier[0]
        level = sum(_is_level(said, self._generation, wanted) for said in alive)
        if (len(alive), level) != (self._measures.standbys, self._measures.standbys_level):
            self._log.info("standbys", standing_by=len(alive), in_step=level)
        self._measures.standbys, self._measures.standbys_level = len(alive), level
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
    """Return what shows that somebody else wrote the log; None if nothing does. Raises other errors of Redis."""
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
    """Return an entry's id as numbers. Raises ValueError."""
    ms, _, number = (text(id_) or "").partition("-")
    return int(ms), int(number)
