"""Record each command in this monitor's file, and on Redis for the other monitors.

Rules:

- A command is on Redis (in the transaction of its claim) and in the file before the PBX is asked. A
  command that cannot be recorded is not carried out. Its caller is told so.
- The end of a command is in the file before the caller is told. If the file does not take it, for
  example because the disk became full, it is written as soon as possible. Redis gets it at once. It
  gets it once more if Redis was emptied meanwhile.
- The end and the outcome of a command come to Redis in one transaction. So the other monitors know
  every outcome that a caller was told. If Redis does not answer then, it gets both when it does.
- A new leader settles what its predecessors left open. The outcome is then unknown for as long as
  the Idempotency-Key is kept, and every waiting caller is told. A predecessor that was only slow
  may still correct that.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog
from msgspec import structs
from redis.asyncio import Redis

from monitor.commands.outcome_rules import result_of
from monitor.counters import CommandCounters
from monitor.persistence.audit_entry import masked
from monitor.persistence.command_record import CommandRecord, Stage, encode_record
from monitor.persistence.sqlite_store import ONCE_KEPT_S, KnownRequest, Store
from monitor.shared.command_messages import (
    MAX_TEXT,
    NOT_RECORDED,
    CommandFailure,
    Completed,
    IdempotencyKey,
    Outcome,
    Request,
    encode,
)
from monitor.shared.errors import BusUnreachable, StoreFailed
from monitor.shared.redis.connection import raise_if_cancelled, send
from monitor.shared.redis.key_names import RecordKeys, RedisCommand, RequestKeys

RESULT_KEPT_S: Final = 120
"""Seconds for which an outcome is kept. With an Idempotency-Key: ``ONCE_KEPT_S`` of the SQLite
store."""
LATER_S: Final = 2.0
"""Seconds between two attempts to write what could not be written before."""
_LATER_KEPT: Final = 1_000
REPEATED: Final = "repeated"
"""The result in the audit log for a request under a known Idempotency-Key: the first answer was
given again and nothing was done."""

_log = structlog.get_logger(__name__)


class CommandJournal:
    """Record the commands of one PBX.

    ``store`` raises StoreFailed. This class handles it everywhere except in :meth:`begin`.
    """

    def __init__(self, redis: Redis, pbx: str, store: Store, counters: CommandCounters) -> None:
        self._redis = redis
        self._pbx = pbx
        self._requests = RequestKeys(pbx)
        self._keys = RecordKeys(pbx)
        self._store = store
        self._counters = counters
        self._in_hand: set[str] = set()
        self._later: deque[CommandRecord] = deque(maxlen=_LATER_KEPT)
        self._unconfirmed: dict[str, CommandRecord] = {}
        self._unsent: deque[list[RedisCommand]] = deque(maxlen=_LATER_KEPT)
        self._log = _log.bind(pbx=pbx)

    def unsaved(self) -> tuple[CommandRecord, ...]:
        """Return the records of ended commands that the file has not taken yet."""
        return tuple(self._later)

    def unconfirmed(self) -> tuple[CommandRecord, ...]:
        """Return the records of ended commands sent to Redis but not yet seen in its log."""
        return tuple(self._unconfirmed.values())

    def confirm(self, record: CommandRecord) -> None:
        """Note that the record was found in the log on Redis."""
        held = self._unconfirmed.get(record.request)
        if held is not None and record.stage >= held.stage:
            del self._unconfirmed[record.request]

    def new_record(self, request: Request) -> CommandRecord:
        """Return the record of a request that is about to be claimed.

        The caller must call :meth:`finish` or :meth:`release` afterwards.
        """
        once = request.once
        self._in_hand.add(request.id)
        return CommandRecord(
            request=request.id,
            pbx=self._pbx,
            at=time.time(),
            gateway=request.gateway[:MAX_TEXT],
            key=request.key[:MAX_TEXT],
            client=request.client[:MAX_TEXT],
            command=request.command[:MAX_TEXT],
            arguments=masked(request.arguments),
            digest=None if once is None else once.digest,
            fingerprint="" if once is None else once.fingerprint,
        )

    def release(self, record: CommandRecord) -> None:
        """Note that the request was not claimed."""
        self._in_hand.discard(record.request)

    def logged(self, record: CommandRecord) -> RedisCommand:
        """Return the command that puts the record on Redis."""
        return ("XADD", self._keys.log, "*", "record", encode_record(record))

    def retention_s(self, record: CommandRecord) -> int:
        """Return the seconds for which claim and outcome are kept on Redis."""
        return int(ONCE_KEPT_S) if record.fingerprint else RESULT_KEPT_S

    async def begin(self, record: CommandRecord, *, repeated: bool = False) -> KnownRequest | None:
        """Write to the file that the command has begun.

        Returns what is known of the earlier request if its Idempotency-Key was used before, else
        None. ``repeated``: it certainly was. Raises StoreFailed.
        """
        try:
            await (
                self._keep_later()
            )  # else a finished command under the same key would count as unknown for a day
            return await self._store.begin(record, repeated=repeated)
        except StoreFailed:
            known = await self._known(record)  # what was done is not called undone by a full disk
            if known is None:
                raise
            return known

    async def _known(self, record: CommandRecord) -> KnownRequest | None:
        for ended in self._later:
            if record.digest is not None and ended.digest == record.digest:
                return KnownRequest(ended.fingerprint, ended.outcome)
        return await self._store.known(record)

    async def finish(self, record: CommandRecord, outcome: Outcome) -> CommandRecord:
        """Write the command's end to the file and return its updated record."""
        stage = stage_of(outcome)
        done = encode(outcome) if stage is Stage.DONE and record.digest is not None else None
        record = structs.replace(record, result=_result(record, outcome), stage=stage, outcome=done)
        try:
            await self._store.merge([record])
            self._counters.audited += 1
        except StoreFailed as error:
            self._counters.unaudited += 1
            self._log.error("audit_entry_write_failure", command=record.command, reason=str(error))
            if (
                record.result != NOT_RECORDED
            ):  # a command with this result was not done and is not in the file
                self._later.append(record)
                return record  # it stays in hand until its end is in the file
        self._in_hand.discard(record.request)
        return record

    async def publish_outcome(
        self, record: CommandRecord, outcome: Outcome, once: IdempotencyKey | None = None
    ) -> None:
        """Put the outcome and the record's end on Redis and notify the gateway.

        ``once``: the Idempotency-Key that the request came with. Raises BusUnreachable.
        """
        if len(self._unconfirmed) < _LATER_KEPT:
            self._unconfirmed[record.request] = (
                record  # before sending: it may be read before the reply is here
            )
        commands = self._outcome_commands(record, outcome)
        if once is not None and record.digest is None and record.stage == Stage.UNKNOWN:
            # An earlier request under it is still in hand: this answer must not stand for its end.
            commands.append(("DEL", self._requests.once(once.digest)))
        try:
            await send(self._redis, commands, whole=True)
        except BusUnreachable:
            await asyncio.sleep(0.2)
            try:
                await send(
                    self._redis, commands, whole=True
                )  # the connection had died; storing it twice does no harm
            except BusUnreachable:
                self._unsent.append(commands)  # else the other monitors would never learn its end
                raise

    def _outcome_commands(self, record: CommandRecord, outcome: Outcome) -> list[RedisCommand]:
        commands: list[RedisCommand] = [
            (
                "SET",
                self._requests.result(record.request),
                encode(outcome),
                "EX",
                self.retention_s(record),
            ),
            ("PUBLISH", self._requests.replies(record.gateway), encode(Completed(record.request))),
            self.logged(record),
        ]
        if record.digest is not None and record.stage == Stage.UNDONE:
            commands.append(
                ("DEL", self._requests.once(record.digest))
            )  # the key's next request is a new attempt
        return commands

    async def run(self, level: Callable[[], bool]) -> None:
        """Settle open commands and repeat failed writes, until cancelled.

        ``level()``: True when everything is known that earlier leaders did. Nothing is settled
        before that.
        """
        while True:
            raise_if_cancelled()
            try:
                while self._unsent:  # first: callers must be told even if the file takes nothing
                    await send(self._redis, self._unsent[0], whole=True)
                    self._unsent.popleft()
                await self._keep_later()
                if level():
                    await self._settle()
            except (BusUnreachable, StoreFailed) as error:
                self._log.debug("command_records_pending", reason=str(error))
            raise_if_cancelled()
            await asyncio.sleep(LATER_S)

    async def _keep_later(self) -> None:
        """Write the ends that the file did not take before. Raises StoreFailed."""
        while self._later:
            record = self._later[0]
            await self._store.merge([record])
            if (
                self._later and self._later[0] is record
            ):  # else another request has written it meanwhile
                self._in_hand.discard(self._later.popleft().request)

    async def _settle(self) -> None:
        """Settle the commands that earlier leaders left open.

        Raises BusUnreachable or StoreFailed.
        """
        for record in await self._store.begun(self._pbx):
            if record.request not in self._in_hand:
                await self._settle_one(record)

    async def _settle_one(self, record: CommandRecord) -> None:
        text = (
            "The monitor ended meanwhile: it is not known whether it was done. Check the PBX first."
        )
        outcome = Outcome(record.request, None, CommandFailure("unknown", "outcome_unknown", text))
        ended = await self.finish(record, outcome)
        self._log.warning(
            "command_settled", command=ended.command, key=ended.key, result=ended.result
        )
        result, *rest = self._outcome_commands(ended, outcome)
        await send(self._redis, [(*result, "NX"), *rest], whole=True)


def _result(record: CommandRecord, outcome: Outcome) -> str:
    """Return the word for the audit log.

    What was done under an earlier request does not count as a second success.
    """
    known = record.fingerprint and record.digest is None
    result = result_of(outcome)
    return REPEATED if known and result == "success" else result


def stage_of(outcome: Outcome) -> Stage:
    """Return the stage of a command that has this outcome."""
    if outcome.undone:
        return Stage.UNDONE
    if outcome.failure is not None and outcome.failure.kind == "unknown":
        return Stage.UNKNOWN
    return Stage.DONE
