"""Report on Redis every few seconds how this process is, so that ``callmon status`` finds it.

Each process has one key, which expires soon after the process died. Living processes remove dead
ones from the list of all.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from gateway.supervision import kept_running
from monitor.shared.process_status import PbxRole, ProcessStatus, encode_process
from monitor.shared.redis.connection import (
    REDIS_FAILURES,
    is_wrong_type,
    raise_if_cancelled,
    rejected,
    text,
)
from monitor.shared.redis.key_names import PROCESSES, process_key
from monitor.shared.tasks import running
from monitor.shared.timestamps import from_unix
from monitor.shared.version import VERSION

if TYPE_CHECKING:
    from gateway.run import Gateway
    from monitor.run import WatchedPbx

EVERY_S: Final = 5.0
"""Seconds between two reports."""
MOST_LISTED: Final = 2_000
"""Processes in the list of all. A longer list is not ours: it would take seconds to look through,
and whoever has a gateway's user may add to it."""
EXPIRY_MS: Final = 60_000
"""Milliseconds for which a dead process is still listed."""
_WITH_OTHERS: Final = 13
"""Reports in a row: longer than a dead process is listed."""
_NOTES: Final = 10
"""Sentences about one PBX, at most."""
_FAREWELL_S: Final = 1.0
"""Seconds that the removal at the end may take."""

_log = structlog.get_logger(__name__)


class StatusReporter:
    """Report how this process is.

    ``program``, ``name``: as in :class:`monitor.shared.process_status.ProcessStatus`.
    """

    def __init__(
        self, redis: Redis, program: Literal["monitor", "gateway"], name: str = ""
    ) -> None:
        self._redis = redis
        self._program: Literal["monitor", "gateway"] = program
        self._name = name or re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
        self._id = f"{program}/{self._name}/{os.getpid()}/{secrets.token_hex(4)}"
        self._started = from_unix(time.time())
        self._described: asyncio.Future[Callable[[], ProcessStatus]] = (
            asyncio.get_running_loop().create_future()
        )
        self.trouble = ""
        """As in :class:`monitor.shared.process_status.ProcessStatus`."""
        self._refused = False
        self._own_tickets = False
        self._with_others = 0
        """Reports in a row that found gateways on other hosts."""

    def of_monitor(self, watched: Sequence[WatchedPbx]) -> None:
        """Begin to report a monitor that watches these PBXs."""
        self._described.set_result(
            lambda: self._process({one.service.pbx: _watching(one) for one in watched})
        )

    def of_gateway(
        self, gateway: Gateway, worker: int | None = None, *, own_tickets: bool = False
    ) -> None:
        """Begin to report this gateway. ``worker``: its number, if it is one of several.

        ``own_tickets``: no other host's gateway takes its tickets. The log says so once if there
        are such gateways.
        """
        self._own_tickets = own_tickets
        self._described.set_result(
            lambda: self._process(_serving(gateway), gateway.address, worker)
        )

    async def run(self) -> None:
        """Report until cancelled, then remove the report."""
        describe = await self._described
        try:
            while True:
                await self._try_to_tell(describe())
                raise_if_cancelled()
                await asyncio.sleep(EVERY_S)
        finally:
            with suppress(*REDIS_FAILURES):
                async with (
                    asyncio.timeout(_FAREWELL_S),
                    self._redis.pipeline(transaction=True) as pipe,
                ):
                    pipe.execute_command("DEL", process_key(self._id))
                    pipe.execute_command("SREM", PROCESSES, self._id)
                    await pipe.execute()

    async def _try_to_tell(self, process: ProcessStatus) -> None:
        try:
            listed = await tell(self._redis, self._id, process)
            if self._own_tickets:
                self._warn_of_tickets(listed)
        except NoPermissionError as error:
            if not self._refused:
                hint = "Give Redis the users' file of this version."
                _log.warning("status_write_refused", reason=str(error), hint=hint)
            self._refused = True
        except REDIS_FAILURES as error:
            if is_wrong_type(error):  # it would never expire, because each process renews it
                rejected(PROCESSES, str(error))
                with suppress(*REDIS_FAILURES):
                    await self._redis.delete(PROCESSES)
            # other parts report that Redis is unreachable

    def _warn_of_tickets(self, listed: Sequence[str]) -> None:
        """Warn once if gateways run on other hosts, for longer than a dead one is listed."""
        hosts = {member.split("/")[1] for member in listed if member.startswith("gateway/")}
        others = sorted(hosts - {self._name})
        self._with_others = self._with_others + 1 if others else 0
        if self._with_others > _WITH_OTHERS:
            self._own_tickets = False
            _log.warning(
                "ticket_secret_missing",
                gateways=others[:_NOTES],
                hint="Give all gateways that serve the same clients the same ticket_secret in "
                "[gateway]; else a ticket holds only at the gateway that made it.",
            )

    def _process(
        self, pbxs: dict[str, PbxRole], address: str = "", worker: int | None = None
    ) -> ProcessStatus:
        me = self._program, self._name, os.getpid(), VERSION, self._started
        return ProcessStatus(*me, pbxs, address, worker, self.trouble)


@asynccontextmanager
async def heartbeat(
    redis: Redis, program: Literal["monitor", "gateway"], name: str = ""
) -> AsyncIterator[StatusReporter]:
    """Report how this process is while the context is entered.

    The first report comes after ``of_monitor`` or ``of_gateway`` was called.
    """
    beating = StatusReporter(redis, program, name)
    async with running(kept_running("heartbeat", beating.run)):
        yield beating


async def tell(redis: Redis, id_: str, process: ProcessStatus) -> list[str]:
    """Write the report, and remove processes from the list whose report has expired.

    Returns the ids of those that are left. A list that is too long is begun anew. Raises
    RedisError.
    """
    async with redis.pipeline(transaction=True) as pipe:
        pipe.execute_command("SET", process_key(id_), encode_process(process), "PX", EXPIRY_MS)
        pipe.execute_command("SADD", PROCESSES, id_)
        pipe.execute_command("EXPIRE", PROCESSES, EXPIRY_MS // 1000)
        pipe.execute_command("SMEMBERS", PROCESSES)
        *_, members = await pipe.execute()
    if len(members) > MOST_LISTED:
        rejected(PROCESSES, f"{len(members)} processes")
        await redis.delete(PROCESSES)
        return []
    listed = sorted(text(member) or "" for member in members)
    async with redis.pipeline(transaction=False) as pipe:
        for member in listed:
            pipe.execute_command("EXISTS", process_key(member))
        there = await pipe.execute()
        gone = [member for member, exists in zip(listed, there, strict=True) if not exists]
        if gone:
            pipe.execute_command("SREM", PROCESSES, *gone)
            await pipe.execute()
    return [member for member in listed if member not in gone]


def _watching(watched: WatchedPbx) -> PbxRole:
    service = watched.service
    if service.leading_since is None:
        return PbxRole("standby", writer=service.lease.name)
    lasting = [] if service.comparison is None else service.comparison.lasting
    notes = tuple(f"{told.sentence} Since {from_unix(told.since)}." for told in lasting[:_NOTES])
    return PbxRole("leading", from_unix(service.leading_since), service.lease.name, notes=notes)


def _serving(gateway: Gateway) -> dict[str, PbxRole]:
    subscribers = Counter(session.pbx for session in gateway.live.sessions)
    return {
        name: PbxRole(
            "serving" if view.demand.followed else "idle",
            position=None if view.live.position is None else str(view.live.position),
            book_position=None if view.book.position is None else str(view.book.position),
            stale_since=view.live.stale_since or view.book.stale_since,
            subscribers=subscribers[name],
        )
        for name, view in gateway.pbxs.items()
    }
