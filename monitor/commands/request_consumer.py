"""Answer the gateways' requests while this monitor leads, each carried out at most once.

A request is claimed before anything is done. The claim is a transaction that watches the lease and
the request's own key. It succeeds only if lease and stored epoch are ours. So a leader that was
suspended and resumed cannot carry out a request that another leader has, and no monitor carries out
a request that a gateway has refused.

:mod:`monitor.commands.executor` carries the request out. :mod:`monitor.commands.command_journal`
records its beginning before the PBX is asked, and its end before the caller is told. An outcome
that could not be stored is not made up: the gateway says that it is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from msgspec.structs import replace
from redis.asyncio import Redis

from monitor.commands.command_journal import CommandJournal
from monitor.commands.executor import CommandExecutor, Execute, Written
from monitor.commands.outcome_rules import as_known, failed, result_of
from monitor.counters import CommandCounters
from monitor.lease import Lease
from monitor.persistence.command_record import CommandRecord
from monitor.shared.backoff import Backoff
from monitor.shared.changes import Position
from monitor.shared.codec import Malformed
from monitor.shared.command_messages import (
    NOT_RECORDED,
    OPEN,
    Busy,
    Claimed,
    CommandFailure,
    Outcome,
    Request,
    decode_request,
    encode,
)
from monitor.shared.errors import BusError, BusUnreachable, StoreFailed
from monitor.shared.redis.connection import GuardedTransaction, raise_if_cancelled, send, translated
from monitor.shared.redis.key_names import RequestKeys, SpaceKeys
from monitor.shared.redis.subscriptions import ChannelMessage, subscribed

MOST_IN_HAND = 64
"""Requests in hand at most. Further ones are left for their gateways to refuse."""
KEPT_FOR_OTHERS = 8
"""One in so many of the requests in hand is for other keys than the one that has most of them."""
_LOOK_EVERY_S = 0.05
"""Seconds between two looks whether requests are still in hand."""
MOST_QUERIES_IN_HAND = 16
"""SQL requests in hand at most. They are counted apart so that slow statements block no command."""
_ATTEMPTS = 20
_POLL_S = 1.0
_WARN_EVERY_S = 1.0
"""Seconds between two warnings about what gateways send, so that they cannot fill the log."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LeadershipContext:
    """Hold the lease and the last written position, under which requests are carried out.

    ``level()``: True when everything is known that earlier leaders did. No request is carried out
    before that.
    """

    lease: Lease
    position: Callable[[], Position | None]
    level: Callable[[], bool] = lambda: True


class RequestConsumer:
    """Listen for requests and handle them. Run it only while leading."""

    def __init__(
        self,
        redis: Redis,
        pbx: str,
        office: LeadershipContext,
        execute: Execute,
        written: Written,
        journal: CommandJournal,
        counters: CommandCounters,
    ) -> None:
        self._counters = counters
        self._redis = redis
        self._pbx = pbx
        self._keys = RequestKeys(pbx)
        self._live = SpaceKeys(pbx, "live")
        self._office = office
        self._carrying = CommandExecutor(pbx, execute, written, office.lease.sure)
        self._journal = journal
        self.listening = False
        """True while the subscription to requests is up."""
        self._backoff = Backoff(shortest=0.2, longest=1.0)
        self._in_hand: dict[str, str] = {}
        """Requests in hand, by id: the name of their key."""
        self._declining = 0
        self._closing = False
        self._quiet_until = 0.0
        self._left_out = 0
        self._queries_in_hand: dict[str, str] = {}
        self._log = _log.bind(pbx=pbx)

    @property
    def open(self) -> bool:
        """Return whether requests are received and may be claimed.

        They may be claimed while an epoch of ours stands in the store.
        """
        return self.listening and self._office.position() is not None

    async def close(self, within: float) -> bool:
        """Take no more requests, and wait until none is in hand. Return whether that came about.

        ``within``: seconds to wait at most. After that, requests are taken again.
        """
        self._closing = True
        try:
            async with asyncio.timeout(within):
                while self._in_hand or self._queries_in_hand:  # noqa: ASYNC110 - bounded, and rare
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            self._closing = False
        except BaseException:
            self._closing = False
            raise
        return self._closing

    async def run(self) -> None:
        """Handle requests until cancelled.

        Requests in hand are then given up; their gateways say that the outcome is unknown.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._journal.run(self._office.level))
            while True:
                raise_if_cancelled()
                try:
                    await self._listen(tasks)
                except BusUnreachable as error:
                    say = self._log.info if self._backoff.failures else self._log.warning
                    say("request_subscription_lost", reason=str(error))
                    await asyncio.sleep(self._backoff.pause())

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        with translated():
            async with subscribed(self._redis, self._keys.requests) as subscription:
                self.listening = True
                self._backoff.reset()
                try:
                    while True:
                        raise_if_cancelled()
                        message = await subscription.get(_POLL_S)
                        if isinstance(message, ChannelMessage):
                            self._take(message.data, tasks)
                finally:
                    self.listening = False

    def _take(self, data: bytes, tasks: asyncio.TaskGroup) -> None:
        try:
            request = decode_request(data)
        except Malformed as error:
            self._warn("request_malformed", reason=str(error))
            return
        query = request.command == "query"
        in_hand, most = (
            (self._queries_in_hand, MOST_QUERIES_IN_HAND)
            if query
            else (self._in_hand, MOST_IN_HAND)
        )
        own = sum(key == request.key for key in in_hand.values())
        if self._closing or len(in_hand) >= most or own >= most - most // KEPT_FOR_OTHERS:
            self._counters.left_alone += 1
            if not self._closing:
                self._warn("request_limit_reached", command=request.command, trace=request.trace)
            if self._declining < MOST_IN_HAND:
                self._declining += 1
                tasks.create_task(self._decline(request))
        elif request.id not in in_hand:
            in_hand[request.id] = request.key
            tasks.create_task(self._handle(request, in_hand))

    def _warn(self, event: str, **more: object) -> None:
        """Log a warning, at most one in ``_WARN_EVERY_S`` seconds.

        The next one says how many were left out.
        """
        now = asyncio.get_running_loop().time()
        if now < self._quiet_until:
            self._left_out += 1
            return
        left_out, self._left_out, self._quiet_until = self._left_out, 0, now + _WARN_EVERY_S
        self._log.warning(event, **more, **({"left_out": left_out} if left_out else {}))

    async def _decline(self, request: Request) -> None:
        """Tell the gateway that this monitor leaves the request to it.

        If the message is lost, the gateway only loses a second.
        """
        try:
            await send(
                self._redis,
                [("PUBLISH", self._keys.replies(request.gateway), encode(Busy(request.id)))],
            )
        except BusUnreachable as error:
            self._log.debug("busy_reply_failure", reason=str(error))
        finally:
            self._declining -= 1

    async def _handle(self, request: Request, in_hand: dict[str, str]) -> None:
        self._counters.in_hand += 1
        try:
            # All log lines on the way to its end have its trace.
            with structlog.contextvars.bound_contextvars(trace=request.trace):
                await self._claim_and_do(request)
        except BusError as error:
            self._counters.unreachable += 1
            self._log.warning(
                "request_redis_failure",
                command=request.command,
                trace=request.trace,
                reason=str(error),
            )
        except (
            Exception
        ):  # its gateway says that the outcome is unknown; the others' requests go on
            self._log.exception("request_failure", command=request.command, trace=request.trace)
        finally:
            self._counters.in_hand -= 1
            in_hand.pop(request.id, None)

    async def _claim_and_do(self, request: Request) -> None:
        loop = asyncio.get_running_loop()
        begun = self._journal.new_record(request)
        seconds = None
        try:
            seconds = await self._claim(request, begun)
        finally:
            if seconds is None:
                self._journal.release(begun)
        if seconds is None:
            self._counters.left_alone += 1
            self._log.debug("request_unclaimed", command=request.command, trace=request.trace)
            return
        began = loop.time()
        outcome = failed(
            request,
            CommandFailure(
                "unknown", "outcome_unknown", "The monitor was stopped while it did this."
            ),
        )
        record = begun
        try:
            outcome, record = await self._carry_out(request, begun, began + seconds)
            self._counters.done(request.command, result_of(outcome), loop.time() - began)
        finally:  # record what may have been done, even if the caller cannot be told
            record = await self._finish(request, record, outcome, loop.time() - began)
        await self._journal.publish_outcome(record, outcome, request.once)

    # the claim

    async def _claim(self, request: Request, begun: CommandRecord) -> float | None:
        """Claim the request and return the seconds left for it.

        Returns None if it cannot be claimed. Raises BusUnreachable.
        """
        key, lease = self._keys.request(request.id), self._office.lease
        for _ in range(_ATTEMPTS):
            mine = self._office.position()
            if not lease.sure() or mine is None:
                return None
            async with await GuardedTransaction.watch(
                *(self._redis, self._live.lease, key),
                reads=[
                    ("GET", self._live.lease),
                    ("GET", key),
                    ("PTTL", key),
                    ("HMGET", self._live.position, "epoch"),
                ],
            ) as guard:
                holder, state, left = (
                    await guard.get(self._live.lease),
                    await guard.get(key),
                    await guard.left(key),
                )
                (epoch,) = await guard.fields(self._live.position, "epoch")
                if holder != lease.name or epoch != mine.epoch or state != OPEN or not left:
                    return None
                claim = [
                    ("SET", key, lease.name, "EX", self._journal.retention_s(begun)),
                    ("PUBLISH", self._keys.replies(request.gateway), encode(Claimed(request.id))),
                    self._journal.logged(begun),
                ]
                if await guard.commit(claim):
                    return left
        return None

    # the outcome

    async def _carry_out(
        self, request: Request, begun: CommandRecord, deadline: float
    ) -> tuple[Outcome, CommandRecord]:
        """Carry out the request and return its outcome and its record so far.

        It is not carried out if its beginning cannot be recorded or if it was done before.
        """
        try:
            if not self._office.level():
                raise StoreFailed("the commands of other monitors are not read yet")
            known = await self._journal.begin(begun, repeated=request.repeated)
        except StoreFailed as error:
            self._log.error(
                "command_record_write_failure", command=request.command, reason=str(error)
            )
            text = (
                "Nothing was done for this request: the monitor cannot record commands now. Its "
                "log says why."
            )
            return failed(request, CommandFailure("unavailable", NOT_RECORDED, text)), begun
        if known is not None:
            return as_known(request, known.fingerprint, known.outcome), replace(begun, digest=None)
        return await self._carrying.outcome(request, deadline), begun

    async def _finish(
        self, request: Request, record: CommandRecord, outcome: Outcome, seconds: float
    ) -> CommandRecord:
        record = await self._journal.finish(record, outcome)
        self._log.info(
            "command",
            key=record.key,
            client=record.client,
            command=record.command,
            arguments=record.arguments,
            result=record.result,
            position=None if outcome.live is None else str(outcome.live),
            ms=round(seconds * 1000, 1),
            trace=request.trace,
        )
        return record
