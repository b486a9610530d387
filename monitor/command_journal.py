"""What is written down of each command, and when: in this monitor's file, and on Redis for the other monitors.

Rules:

- A command is on Redis, in the transaction of its claim, and in the file before the PBX is asked. What cannot be
  written down is not done, and its caller is told so.
- Its end is in the file before the caller is told. A file that takes it no more, as a disk that became full meanwhile,
  gets it as soon as it can; Redis has it at once, and once more if it was emptied meanwhile.
- Its end and its outcome come to Redis in one transaction: whoever was told it, the other monitors know it too. Where
  Redis does not answer then, it gets both when it does.
- Who begins to lead settles what its predecessors left open: the outcome is unknown, for as long as the Idempotency-Key
  holds, and whoever waits is told. A predecessor who was only slow may still say better.
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

from monitor.audit import masked
from monitor.bus import heed_cancellation, send
from monitor.errors import BusUnreachable, StoreFailed
from monitor.measures import CommandMeasures
from monitor.model.keys import RecordKeys, RedisCommand, RequestKeys
from monitor.model.requests import NOT_RECORDED, Done, Failure, Once, Outcome, Request, encode
from monitor.outcomes import result_of, undone
from monitor.replicated_records import MAX_TEXT, CommandRecord, Stage, encode_record
from monitor.store import ONCE_KEPT, Known, Store

RESULT_KEPT: Final = 120
"""Seconds for which an outcome stands; one of a request with an Idempotency-Key: :data:`monitor.store.ONCE_KEPT`."""
LATER_S: Final = 2.0
"""Seconds between two attempts to write down what could not be."""
_LATER_KEPT: Final = 1_000
REPEATED: Final = "repeated"
"""What the audit log shows of a request under a known Idempotency-Key: the first answer was given, nothing was done."""

_log = structlog.get_logger(__name__)


class CommandJournal:
    """One PBX's. ``store``: raises StoreFailed, which is handled here but for :meth:`begin`."""

    def __init__(self, redis: Redis, pbx: str, store: Store, measures: CommandMeasures) -> None:
        self._redis = redis
        self._pbx = pbx
        self._requests = RequestKeys(pbx)
        self._keys = RecordKeys(pbx)
        self._store = store
        self._measures = measures
        self._in_hand: set[str] = set()
        self._later: deque[CommandRecord] = deque(maxlen=_LATER_KEPT)
        self._unseen: dict[str, CommandRecord] = {}
        self._untold: deque[list[RedisCommand]] = deque(maxlen=_LATER_KEPT)
        self._log = _log.bind(pbx=pbx)

    def unkept(self) -> tuple[CommandRecord, ...]:
        """Return the records of ends that the file has not taken yet."""
        return tuple(self._later)

    def told(self) -> tuple[CommandRecord, ...]:
        """Return the records of ends that were put on Redis, and were not seen in the log since."""
        return tuple(self._unseen.values())

    def seen(self, record: CommandRecord) -> None:
        """The record stands in the log."""
        held = self._unseen.get(record.request)
        if held is not None and record.stage >= held.stage:
            del self._unseen[record.request]

    def begun(self, request: Request) -> CommandRecord:
        """Return the record of a request that is about to be claimed; :meth:`finish` or :meth:`left` must follow."""
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

    def left(self, record: CommandRecord) -> None:
        """The request was not claimed."""
        self._in_hand.discard(record.request)

    def logged(self, record: CommandRecord) -> RedisCommand:
        """Return the command that puts the record on Redis."""
        return ("XADD", self._keys.log, "*", "record", encode_record(record))

    def kept(self, record: CommandRecord) -> int:
        """Return the seconds for which claim and outcome stand on Redis."""
        return int(ONCE_KEPT) if record.fingerprint else RESULT_KEPT

    async def begin(self, record: CommandRecord) -> Known | None:
        """Write down that the command is begun; what is known if its Idempotency-Key was used. Raises StoreFailed."""
        await self._keep_later()  # or what was done under the same key would be called unknown for a day
        return await self._store.begin(record)

    async def finish(self, record: CommandRecord, outcome: Outcome) -> CommandRecord:
        """Write down the command's end; its record now."""
        stage = stage_of(outcome)
        done = encode(outcome) if stage is Stage.DONE and record.digest is not None else None
        record = structs.replace(record, result=_result(record, outcome), stage=stage, outcome=done)
        try:
            await self._store.merge([record])
            self._measures.audited += 1
        except StoreFailed as error:
            self._measures.unaudited += 1
            self._log.error("audit_entry_not_kept", command=record.command, reason=str(error))
            if record.result != NOT_RECORDED:  # of those nothing stands in the file yet, and nothing was done
                self._later.append(record)
                return record  # it is in hand until its end is written down
        self._in_hand.discard(record.request)
        return record

    async def tell(self, record: CommandRecord, outcome: Outcome, once: Once | None = None) -> None:
        """Put the outcome and the record's end on Redis, and ring for them. Raises BusUnreachable.

        ``once``: the Idempotency-Key that the request came with.
        """
        if len(self._unseen) < _LATER_KEPT:
            self._unseen[record.request] = record  # before it is sent, as it may be read before the answer is here
        told = self._told(record, outcome)
        if once is not None and record.digest is None and record.stage == Stage.UNKNOWN:
            # An earlier request under it is still in hand: this answer must not stand for its end.
            told.append(("DEL", self._requests.once(once.digest)))
        try:
            await send(self._redis, told, whole=True)
        except BusUnreachable:
            await asyncio.sleep(0.2)
            try:
                await send(self._redis, told, whole=True)  # a connection that had died; storing it twice does no harm
            except BusUnreachable:
                self._untold.append(told)  # or the other monitors would never hear of its end
                raise

    def _told(self, record: CommandRecord, outcome: Outcome) -> list[RedisCommand]:
        commands: list[RedisCommand] = [
            ("SET", self._requests.result(record.request), encode(outcome), "EX", self.kept(record)),
            ("PUBLISH", self._requests.replies(record.gateway), encode(Done(record.request))),
            self.logged(record),
        ]
        if record.digest is not None and record.stage == Stage.UNDONE:
            commands.append(("DEL", self._requests.once(record.digest)))  # the next one under it is a new attempt
        return commands

    async def run(self, level: Callable[[], bool]) -> None:
        """Settle what is open, and write down and tell later what could not be, until cancelled.

        ``level``: whether all is known that earlier leaders did; nothing is settled before.
        """
        while True:
            heed_cancellation()
            try:
                while self._untold:  # first: a file that takes nothing must keep nobody from being told
                    await send(self._redis, self._untold[0], whole=True)
                    self._untold.popleft()
                await self._keep_later()
                if level():
                    await self._settle()
            except (BusUnreachable, StoreFailed) as error:
                self._log.debug("records_wait", reason=str(error))
            heed_cancellation()
            await asyncio.sleep(LATER_S)

    async def _keep_later(self) -> None:
        """Write down the ends that the file did not take before. Raises StoreFailed."""
        while self._later:
            record = self._later[0]
            await self._store.merge([record])
            if self._later and self._later[0] is record:  # else another request has written it down meanwhile
                self._in_hand.discard(self._later.popleft().request)

    async def _settle(self) -> None:
        """Settle the commands that earlier leaders left open. Raises BusUnreachable, StoreFailed."""
        for record in await self._store.begun(self._pbx):
            if record.request not in self._in_hand:
                await self._settle_one(record)

    async def _settle_one(self, record: CommandRecord) -> None:
        text = "The monitor that had it in hand ended: it may have been done or not. Look at the PBX first."
        outcome = Outcome(record.request, None, Failure("unknown", "outcome_unknown", text))
        ended = await self.finish(record, outcome)
        self._log.warning("command_settled", command=ended.command, key=ended.key, result=ended.result)
        result, *rest = self._told(ended, outcome)
        await send(self._redis, [(*result, "NX"), *rest], whole=True)


def _result(record: CommandRecord, outcome: Outcome) -> str:
    """Return the audit log's word. What was done under an earlier request is no second success."""
    known = record.fingerprint and record.digest is None
    result = result_of(outcome)
    return REPEATED if known and result == "success" else result


def stage_of(outcome: Outcome) -> Stage:
    """Return how far a command is that came to this."""
    if undone(outcome):
        return Stage.UNDONE
    if outcome.failure is not None and outcome.failure.kind == "unknown":
        return Stage.UNKNOWN
    return Stage.DONE
