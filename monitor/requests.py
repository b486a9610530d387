"""Answers the gateways' requests while this monitor leads: each is carried out at most once.

A request is claimed before anything is done: in a transaction that watches the lease and the request's own key, and
only if lease and stored epoch are ours. So a leader that was stopped and woken cannot carry out what another has, and
nobody carries out what a gateway has refused.

How it is carried out is :mod:`monitor.carrying`'s affair. An outcome that could not be stored is not invented anew: the
gateway says that it is unknown.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis

from monitor.audit import AuditEntry, masked
from monitor.batch import Command
from monitor.bus import Guard, heed_cancellation, send, translated
from monitor.carrying import Carrying, Execute, Records, Written
from monitor.errors import BusUnreachable, StoreFailed
from monitor.lease import Lease
from monitor.measures import CommandMeasures
from monitor.model.change import Position
from monitor.model.keys import Keys, RequestKeys
from monitor.model.requests import (
    OPEN,
    Claimed,
    Done,
    Failure,
    Outcome,
    Request,
    decode_request,
    encode,
)
from monitor.model.wire import Malformed
from monitor.outcomes import failed, result_of, undone

MOST_IN_HAND = 64
"""Requests; more are left to be refused by their gateways."""
MOST_QUERIES_IN_HAND = 16
"""Requests for SQL; apart from the others, so that slow statements keep no command from being done."""
RESULT_KEPT = 120
"""Seconds for which an outcome stands; one of a request with an Idempotency-Key: :data:`ONCE_KEPT`."""
ONCE_KEPT = 86_400
_ATTEMPTS = 20
_POLL = 1.0
_BACKOFF_CAP = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Office:
    """In whose name requests are carried out: the lease, and the position that was written last."""

    lease: Lease
    position: Callable[[], Position | None]


class Requests:
    """Listens for requests and sees to them. Run it only while leading."""

    def __init__(
        self,
        redis: Redis,
        pbx: str,
        office: Office,
        execute: Execute,
        written: Written,
        records: Records,
        measures: CommandMeasures | None = None,
    ) -> None:
        self._measures = CommandMeasures() if measures is None else measures
        self._redis = redis
        self._pbx = pbx
        self._keys = RequestKeys(pbx)
        self._live = Keys(pbx, "live")
        self._office = office
        self._carrying = Carrying(pbx, execute, written, records, office.lease.sure)
        self._records = records
        self.listening = False
        """Whether requests are heard."""
        self._in_hand: set[str] = set()
        self._queries_in_hand: set[str] = set()
        self._log = _log.bind(pbx=pbx)

    @property
    def open(self) -> bool:
        """Whether requests are heard and may be claimed: an epoch of ours stands in the store."""
        return self.listening and self._office.position() is not None

    async def run(self) -> None:
        """Until cancelled. What is in hand then is given up; its gateway says that the outcome is unknown."""
        failures = 0
        async with asyncio.TaskGroup() as tasks:
            while True:
                heed_cancellation()
                try:
                    await self._listen(tasks)
                except BusUnreachable as error:
                    failures = min(failures + 1, 6)
                    self._log.info("requests are not heard", reason=str(error))
                    await asyncio.sleep(random.uniform(0, min(_BACKOFF_CAP, 0.05 * 2**failures)))  # noqa: S311

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        with translated():
            async with self._redis.pubsub() as pubsub:
                await pubsub.subscribe(self._keys.requests)
                try:
                    while True:
                        heed_cancellation()
                        message = await pubsub.get_message(timeout=_POLL)
                        self.listening = True
                        if message is not None and message["type"] == "message":
                            self._take(message["data"], tasks)
                finally:
                    self.listening = False

    def _take(self, data: bytes, tasks: asyncio.TaskGroup) -> None:
        try:
            request = decode_request(data)
        except Malformed as error:
            self._log.warning("a request cannot be read", reason=str(error))
            return
        query = request.command == "query"
        in_hand, most = (self._queries_in_hand, MOST_QUERIES_IN_HAND) if query else (self._in_hand, MOST_IN_HAND)
        if len(in_hand) >= most:
            self._measures.left_alone += 1
            self._log.warning(
                "too many requests in hand: one is left alone", command=request.command, trace=request.trace
            )
        elif request.id not in in_hand:
            in_hand.add(request.id)
            tasks.create_task(self._see_to(request, in_hand))

    async def _see_to(self, request: Request, in_hand: set[str]) -> None:
        self._measures.in_hand += 1
        try:
            # Whatever is logged on the way to its end bears its trace.
            with structlog.contextvars.bound_contextvars(trace=request.trace):
                await self._claim_and_do(request)
        except BusUnreachable as error:
            self._measures.unreachable += 1
            text = "a request's claim or outcome was lost"
            self._log.warning(text, command=request.command, trace=request.trace, reason=str(error))
        except Exception:  # its gateway says that the outcome is unknown; the others' requests go on
            self._log.exception("a request failed", command=request.command, trace=request.trace)
        finally:
            self._measures.in_hand -= 1
            in_hand.discard(request.id)

    async def _claim_and_do(self, request: Request) -> None:
        loop = asyncio.get_running_loop()
        seconds = await self._claim(request)
        if seconds is None:
            self._measures.left_alone += 1
            self._log.debug("a request is left alone", command=request.command, trace=request.trace)
            return
        began = loop.time()
        outcome = failed(request, Failure("unknown", "outcome_unknown", "The monitor was stopped in the midst of it."))
        try:
            outcome = await self._carrying.outcome(request, began + seconds)
            self._measures.done(request.command, result_of(outcome), loop.time() - began)
        finally:  # what may have been done is kept, even where nobody can be told of it
            await self._keep(request, outcome, loop.time() - began)
        await self._store(request, outcome)  # last: an answer means that the audit log has it

    # the claim

    async def _claim(self, request: Request) -> float | None:
        """Make the request ours; the seconds left for it. None if it is not to be had. Raises BusUnreachable."""
        key, lease = self._keys.request(request.id), self._office.lease
        for _ in range(_ATTEMPTS):
            mine = self._office.position()
            if not lease.sure() or mine is None:
                return None
            guard = await Guard.watch(self._redis, self._live.lease, key)
            try:
                holder, state, left = await guard.get(self._live.lease), await guard.get(key), await guard.left(key)
                (epoch,) = await guard.fields(self._live.position, "epoch")
                if holder != lease.name or epoch != mine.epoch or state != OPEN or not left:
                    return None
                claim = [
                    ("SET", key, lease.name, "EX", RESULT_KEPT),
                    ("PUBLISH", self._keys.replies(request.gateway), encode(Claimed(request.id))),
                ]
                if await guard.commit(claim):
                    return left
            finally:
                await guard.release()
        return None

    # the outcome

    async def _store(self, request: Request, outcome: Outcome) -> None:
        kept = RESULT_KEPT if request.once is None else ONCE_KEPT
        stored: list[Command] = [
            ("SET", self._keys.result(request.id), encode(outcome), "EX", kept),
            ("PUBLISH", self._keys.replies(request.gateway), encode(Done(request.id))),
        ]
        if request.once is not None and undone(outcome):
            stored.append(("DEL", self._keys.once(request.once.digest)))  # the next one under this key is a new attempt
        try:
            await send(self._redis, stored)
        except BusUnreachable:
            await asyncio.sleep(0.2)
            await send(self._redis, stored)  # a connection that had died; storing it twice does no harm

    async def _keep(self, request: Request, outcome: Outcome, seconds: float) -> None:
        entry = AuditEntry(
            at=time.time(),
            pbx=self._pbx,
            key=request.key,
            client=request.client,
            command=request.command,
            arguments=masked(request.arguments),
            result=result_of(outcome),
        )
        self._log.info(
            "command",
            key=entry.key,
            client=entry.client,
            command=entry.command,
            arguments=entry.arguments,
            result=entry.result,
            position=None if outcome.live is None else str(outcome.live),
            ms=round(seconds * 1000, 1),
            trace=request.trace,
        )
        try:
            await self._records.audit(entry)
            self._measures.audited += 1
        except StoreFailed as error:
            self._measures.unaudited += 1
            self._log.error("the audit log is not kept", reason=str(error))
