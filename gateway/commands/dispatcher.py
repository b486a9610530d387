"""Send commands to the leading monitor and bring back their outcome.

The messages are in :mod:`monitor.shared.command_messages`. Rules:

- If no monitor listens, or none claims the request within a second, the gateway refuses the
  request. It does so in the same way in which a monitor claims one, so that no monitor can carry
  it out any more. The refusal is ``busy`` if a monitor is heard, otherwise ``no_monitor``.
- If a request was claimed and no outcome comes in time, nobody knows whether it was done. The
  same holds if the request has vanished from Redis, because it may have been claimed before. The
  gateway never repeats it.
- An older request under the same Idempotency-Key is refused too if no monitor claims it. This
  happens after its gateway died or Redis was rolled back. The monitor keeps a record of its own,
  and is asked under a new id.
- What was claimed under an Idempotency-Key is remembered here. If Redis has lost it, the monitor is
  told so: if it does not know the key either, nobody knows the outcome, and it is not done again.
- After a success, the answer waits until this gateway's replica contains the change. It also
  waits for the other gateways' replicas, for at most a second. So a client that is told of a
  success reads it in its next query.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import structlog
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.commands.pubsub_listener import PendingReply, PubSubListener
from gateway.errors import (
    BusAway,
    IdempotencyKeyReused,
    MonitorBusy,
    NoMonitor,
    NotReady,
    OutcomeUnknown,
)
from gateway.replication.position_waiter import PositionWaiter
from monitor.shared.codec import Malformed
from monitor.shared.command_messages import (
    OPEN,
    REFUSED,
    IdempotencyKey,
    Outcome,
    Request,
    decode_outcome,
    encode,
)
from monitor.shared.errors import BusUnreachable
from monitor.shared.redis.connection import NOT_OURS, REDIS_FAILURES, GuardedTransaction, rejected
from monitor.shared.redis.key_names import RedisCommand, RequestKeys

CLAIM_WITHIN_S = 1.0
"""Seconds in which a monitor should claim a request."""
START_WITHIN_S = 20.0
"""Seconds after which the monitor does not begin a request that still waits for its turn."""
FINISH_WITHIN_S = 60.0
"""Seconds after which a claimed request's outcome counts as unknown."""
OWN_WITHIN_S = 2.0
"""Seconds in which this gateway should contain a command's change."""
ONCE_KEPT_S = 86_400
"""Seconds for which an Idempotency-Key is remembered."""
_LOOK_EVERY_S = 0.5
_REFUSAL_KEPT_S = 120
_ATTEMPTS = 10
_MOST_REMEMBERED = 10_000
_ID = re.compile("[0-9a-f]{32}")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CommandReply:
    """Hold a command's outcome.

    ``again``: it is the outcome of an earlier request under the same Idempotency-Key.
    """

    outcome: Outcome
    again: bool


class CommandDispatcher:
    """Send one PBX's commands from this gateway. :meth:`run` must run, or no reply is heard."""

    def __init__(self, redis: Redis, pbx: str, position_waiter: PositionWaiter) -> None:
        self._redis = redis
        self._keys = RequestKeys(pbx)
        self._position_waiter = position_waiter
        self._pubsub_listener = PubSubListener(redis, pbx, position_waiter)
        self._latest: OrderedDict[str, tuple[PendingReply, float]] = OrderedDict()
        """Digests of Idempotency-Keys → what was heard of the latest request, until when."""
        self._log = _log.bind(pbx=pbx)

    async def run(self) -> None:
        """Listen for replies until cancelled."""
        await self._pubsub_listener.run()

    @property
    def listening(self) -> bool:
        """Return whether replies are heard now."""
        return self._pubsub_listener.listening

    @property
    def waiting(self) -> int:
        """Return how many commands wait for their outcome."""
        return self._pubsub_listener.waiting

    async def carry_out(
        self,
        command: str,
        arguments: dict[str, str],
        key: str,
        client: str,
        once: IdempotencyKey | None = None,
        trace: str = "",
    ) -> CommandReply:
        """Have the command carried out; return its outcome, which may be a failure.

        ``key``: the name of the caller's key. ``client``: the caller's address. ``trace``: the
        id in both sides' logs. Raises NoMonitor, MonitorBusy and BusAway if it was not done.
        Raises OutcomeUnknown and IdempotencyKeyReused.
        """
        request = Request(
            secrets.token_hex(16),
            self._pubsub_listener.name,
            command,
            arguments,
            key,
            client,
            once,
            trace,
            takes_body=True,
        )
        self._log.debug("command_sent", command=command, trace=trace)
        with self._pubsub_listener.waiting_for(request.id) as waiting:
            id_, outcome = await self._ask(request, waiting)
        result = "success" if outcome.failure is None else outcome.failure.code
        position = None if outcome.live is None else str(outcome.live)
        self._log.debug(
            "command_answered", command=command, trace=trace, result=result, position=position
        )
        if outcome.failure is None:
            await self._wait_until_replicated(outcome)
        return CommandReply(outcome, id_ != request.id)

    # Send a request.

    async def _ask(self, request: Request, waiting: PendingReply) -> tuple[str, Outcome]:
        """Send the request and wait; return the id of the request that was done, and its outcome.

        The id is that of an older request if one under the same Idempotency-Key exists.
        """
        for _ in range(_ATTEMPTS):
            id_ = await self._send(request)
            pending = self._pubsub_listener.join(id_, waiting)
            self._remember(request.once, pending)
            outcome = await self._wait(id_, pending, request)
            if outcome is not None:
                pending.claimed = not outcome.undone
                return id_, outcome
        raise MonitorBusy(
            "Earlier requests with this Idempotency-Key were not carried out, several times. "
            "Try again."
        )

    def _remember(self, once: IdempotencyKey | None, pending: PendingReply) -> None:
        if once is not None and not self._was_claimed(once):
            self._latest[once.digest] = pending, asyncio.get_running_loop().time() + ONCE_KEPT_S
            if len(self._latest) > _MOST_REMEMBERED:
                self._latest.popitem(last=False)

    def _was_claimed(self, once: IdempotencyKey | None) -> bool:
        """Return whether a monitor is known to have begun a request under this Idempotency-Key."""
        latest = None if once is None else self._latest.get(once.digest)
        if latest is None:
            return False
        pending, until = latest
        return pending.claimed and asyncio.get_running_loop().time() < until

    async def _send(self, request: Request) -> str:
        """Open the request on Redis and publish it; return the id to wait for.

        If there is an older request under the same Idempotency-Key, nothing is sent and its id
        is returned.
        """
        key, once = self._keys.request(request.id), request.once
        commands: list[RedisCommand] = [("SET", key, OPEN, "PX", int(START_WITHIN_S * 1000))]
        watched = [key]
        if once is not None:
            watched.append(place := self._keys.once(once.digest))
            commands.append(("SET", place, f"{request.id} {once.fingerprint}", "EX", ONCE_KEPT_S))
        message = replace(request, repeated=self._was_claimed(once))
        commands.append(("PUBLISH", self._keys.requests, encode(message)))
        for _ in range(_ATTEMPTS):
            sent = False
            try:
                async with await GuardedTransaction.watch(self._redis, *watched) as guard:
                    if once is not None and (older := await self._older(guard, once)) is not None:
                        return older
                    sent = True
                    answers = await guard.commit(commands)
            except BusUnreachable as error:
                if sent:
                    raise _unknown() from error
                raise BusAway(f"Redis cannot be reached; {_nothing_done(once)}") from error
            if answers is None:
                continue
            if not answers[-1]:
                text = f"No monitor of this PBX is running; {_nothing_done(once)}"
                await self._refuse(request, NoMonitor(text))
            return request.id
        raise BusAway(f"Redis was too busy to take the request; {_nothing_done(once)}")

    async def _older(self, guard: GuardedTransaction, once: IdempotencyKey) -> str | None:
        place = self._keys.once(once.digest)
        stored = await guard.get(place)
        if stored is None or stored == NOT_OURS:
            return None
        id_, _, fingerprint = stored.partition(" ")
        if not _ID.fullmatch(id_) or not fingerprint:
            rejected(place, "not a request under an Idempotency-Key; it is overwritten")
            return None  # the monitor keeps a record of its own, so nothing is done twice
        if fingerprint != once.fingerprint:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was used for another request; each needs its own."
            )
        # If Redis has lost the request, ask the monitor under a new id: it keeps a record of its
        # own.
        known = await guard.ask("EXISTS", self._keys.request(id_), self._keys.result(id_))
        return id_ if known else None

    async def _refuse(self, request: Request, refusal: NotReady) -> None:
        """Take the request back, so that no monitor carries it out.

        Raises ``refusal`` if it was taken back, now or before. Returns if a monitor has claimed
        it. Raises OutcomeUnknown if Redis does not answer, or has lost the request.
        """
        if await self._take_back(request.id, request.once):
            raise refusal

    async def _take_back(self, id_: str, once: IdempotencyKey | None) -> bool:
        """Refuse this request if no monitor has claimed it; return whether it is refused.

        Raises OutcomeUnknown if Redis does not answer, or has lost the request.
        """
        key = self._keys.request(id_)
        commands: list[RedisCommand] = [("SET", key, REFUSED, "EX", _REFUSAL_KEPT_S)]
        if once is not None:
            commands.append(("DEL", self._keys.once(once.digest)))
        try:
            for _ in range(_ATTEMPTS):
                async with await GuardedTransaction.watch(self._redis, key) as guard:
                    state = await guard.get(key)
                    if state is None:  # Redis was emptied: it may have been claimed before
                        raise _unknown()
                    if state != OPEN:
                        return state == REFUSED
                    if await guard.commit(commands):
                        return True
        except BusUnreachable as error:
            raise _unknown() from error
        raise _unknown()

    # Wait for its outcome.

    async def _wait(self, id_: str, waiting: PendingReply, request: Request) -> Outcome | None:
        """Return the outcome; None if it waited for an older request that no monitor claimed.

        Such an older request is refused. Raises OutcomeUnknown after :data:`FINISH_WITHIN_S`
        seconds.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        if id_ != request.id and (known := await self._look(id_)) is not None:
            return known
        while True:
            left = began + CLAIM_WITHIN_S - loop.time()
            heard = await waiting.wait(min(left, _LOOK_EVERY_S) if left > 0 else _LOOK_EVERY_S)
            outcome = await self._look(id_) if waiting.done or not heard else None
            if outcome is not None:
                return outcome
            if loop.time() >= began + FINISH_WITHIN_S:
                raise _unknown()
            late = loop.time() >= began + CLAIM_WITHIN_S
            if (
                late
                and not waiting.claimed
                and id_ != request.id
                and await self._take_back(id_, request.once)
            ):
                return None
            if not waiting.claimed and (waiting.busy or late):
                waiting.claimed = await self._is_claimed(id_, request, busy=waiting.busy)

    async def _look(self, id_: str) -> Outcome | None:
        try:
            stored = await self._get(self._keys.result(id_))
            return None if stored is None else decode_outcome(stored)
        except Malformed as error:
            raise _unknown() from error
        except REDIS_FAILURES:
            return None  # Redis may come back in time

    async def _is_claimed(self, id_: str, request: Request, *, busy: bool = False) -> bool:
        """Return whether a monitor has claimed a request of which no message came in time.

        The gateway's own request is refused if no monitor has claimed it. Raises NoMonitor or
        MonitorBusy if no monitor has it and none will take it.
        """
        if id_ == request.id:
            await self._refuse(request, self._unclaimed(request.once, busy))
            return True
        try:
            state = await self._get(self._keys.request(id_))
        except REDIS_FAILURES as error:
            raise _unknown() from error
        if state is None:  # a monitor may have claimed it and then died
            raise _unknown()
        if state == REFUSED.encode():
            raise self._unclaimed(request.once, busy)
        return state != OPEN.encode()

    def _unclaimed(self, once: IdempotencyKey | None, busy: bool) -> NotReady:
        """Return the refusal of a request that no monitor claimed. ``busy``: a monitor said so."""
        undone = f"{_nothing_done(once)} Try again."
        if busy or self._position_waiter.monitor_heard:
            return MonitorBusy(f"The monitor is too busy to accept the command; {undone}")
        return NoMonitor(f"No monitor of this PBX answers; {undone}")

    async def _get(self, key: str) -> bytes | None:
        value: Any = await self._redis.get(key)
        return None if value is None else bytes(value)

    async def _wait_until_replicated(self, outcome: Outcome) -> None:
        """Wait until this gateway's replica, and then the other gateways', contain the change."""
        if outcome.live is None and outcome.book is None:
            return
        if not await self._position_waiter.wait(outcome.live, outcome.book, OWN_WITHIN_S):
            self._log.warning("command_replication_timeout", position=str(outcome.live))
        await self._pubsub_listener.others_reach(outcome.live, outcome.book)


def _nothing_done(once: IdempotencyKey | None) -> str:
    """Return the end of a refusal; what an earlier request did is not known here."""
    if once is None:
        return "nothing was done."
    return (
        "nothing was done for this request. Its Idempotency-Key tells whether an earlier one was."
    )


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown(
        "No answer came in time: it is not known whether it was done. Check the PBX before you "
        "repeat it."
    )
