"""Tell the other monitors on Redis that this one lives, and learn which others do.

Each monitor has a key, which it writes twice a second and which expires soon after it died. It
removes the key when it stops by itself. While Redis cannot be read, no other monitor counts: then
everything stays where it is.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import structlog
from redis.asyncio import Redis

from monitor.leadership.placement import LiveMonitor, Placement
from monitor.lease import LeaseWatch, uptime
from monitor.shared.codec import decode
from monitor.shared.errors import BusUnreachable
from monitor.shared.redis.connection import (
    accepted,
    raise_if_cancelled,
    rejected,
    send,
    text,
    translated,
    unless_rejected,
)
from monitor.shared.redis.key_names import MONITORS, monitor_key
from monitor.shared.redis.rejected_values import RejectedValues, collecting
from monitor.shared.tasks import running

EVERY_S: Final = 0.5
"""Seconds between two signs of life."""
EXPIRY_S: Final = 3.0
"""Seconds after which a monitor that gives no sign of life is gone."""
TRUSTED_S: Final = 2.0
"""Seconds for which the last reading counts."""
HANDED_OVER_AT_ONCE: Final = 8
"""PBXs that one monitor hands over at the same time."""
TAKEN_UP_AT_ONCE: Final = 16
"""PBXs that one monitor takes up at the same time. If hundreds were taken up at once on a busy
machine, the leases would be over before their first states are written."""
_FAREWELL_S: Final = 1.0
_REMOVED_AT_ONCE: Final = 10_000
"""Ids that no monitor has, removed at a time at most."""
_MOST_MEMBERS: Final = 64
_MOST_BYTES: Final = 1_048_576
_GREATEST_WEIGHT: Final = 100.0
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}/[0-9a-f]{8}")
_HINT: Final = (
    "The PBXs are not spread over the monitors meanwhile. If the user on Redis may not do that, "
    "give Redis the users' file of this version."
)

_log = structlog.get_logger(__name__)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LiveMonitor)


class Membership:
    """Know the live monitors, and which of them should lead each PBX.

    ``redis``: the client for the names of the site. ``name``, ``weight``: of this monitor, as in
    the settings. ``clock``: seconds on a clock that nobody sets.
    """

    def __init__(
        self, redis: Redis, name: str, weight: float = 1.0, clock: Callable[[], float] = uptime
    ) -> None:
        self.id = f"{name}/{secrets.token_hex(4)}"
        """This monitor's name in all leases; no other process has the same."""
        self.leases = LeaseWatch()
        self.handing_over = asyncio.Semaphore(HANDED_OVER_AT_ONCE)
        self.taking_up = asyncio.Semaphore(TAKEN_UP_AT_ONCE)
        self.rejected = RejectedValues()
        """Signs of life that were left out, because no monitor wrote them."""
        self._redis, self._name, self._weight = redis, name, weight
        self._clock = clock
        self._placement = Placement(self.id, name, weight)
        self._pbxs: set[str] = set()
        self._seen_at: float | None = None
        self._news = asyncio.Event()
        self._trouble = ""
        self._logged: set[str] = set()

    @contextmanager
    def watching(self, pbx: str) -> Iterator[None]:
        """Tell the others, while the context is entered, that this monitor may lead this PBX."""
        self._pbxs.add(pbx)
        try:
            yield
        finally:
            self._pbxs.discard(pbx)

    def chosen(self, pbx: str) -> str | None:
        """Return the name of the monitor that should lead the PBX; None: this one, or not known."""
        return self._placement.chosen(pbx, self._clock()) if self._trusted else None

    def successor(self, pbx: str) -> str | None:
        """Return the name of the monitor that should lead the PBX after this one, if any."""
        return self._placement.successor(pbx, self._clock()) if self._trusted else None

    def count(self, pbx: str) -> int:
        """Return how many live monitors count for this PBX, with this one."""
        return self._placement.count(pbx, self._clock()) if self._trusted else 1

    def refused(self, pbx: str, name: str) -> None:
        """Note that this monitor did not take up the lease that it was given."""
        self._placement.refused(pbx, name, self._clock())

    async def chooses_another(self, pbx: str) -> str:
        """Wait until another monitor should lead the PBX, and return its name."""
        while (name := self.chosen(pbx)) is None:
            await self._news.wait()
        return name

    async def run(self) -> None:
        """Give signs of life and look at the others' until cancelled; then say goodbye."""
        try:
            async with running(self.leases.run()):
                with collecting(self.rejected):
                    while True:
                        await self._exchange()
                        self._news.set()
                        self._news = asyncio.Event()
                        raise_if_cancelled()
                        await asyncio.sleep(EVERY_S)
        finally:
            await self._leave()

    @property
    def _trusted(self) -> bool:
        return self._seen_at is not None and self._clock() < self._seen_at + TRUSTED_S

    async def _exchange(self) -> None:
        """Give a sign of life and read the others'."""
        try:
            members = await self._read(await self._beat())
        except BusUnreachable as error:
            if not self._trouble:
                _log.warning("membership_lost", reason=str(error), hint=_HINT)
            self._trouble = str(error)
            return
        except Exception:  # it must not end the process; nothing moves meanwhile
            _log.exception("membership_failure")
            return
        self._trouble = ""
        self._seen_at = self._clock()
        self._placement.saw(members, self._seen_at)

    async def _beat(self) -> list[str]:
        """Give a sign of life. Return the ids of all that are listed. Raises BusUnreachable."""
        own = _encoder.encode(LiveMonitor(self._name, self._weight, tuple(sorted(self._pbxs))))
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.execute_command("SET", monitor_key(self.id), own, "PX", int(EXPIRY_S * 1000))
                pipe.execute_command("SADD", MONITORS, self.id)
                pipe.execute_command("EXPIRE", MONITORS, 60)
                pipe.execute_command("SMEMBERS", MONITORS)
                first, *_, listed = await pipe.execute(raise_on_error=False)
            if isinstance(first, Exception):
                raise first
            found = unless_rejected(MONITORS, listed, None)
            if found is None:  # it would never expire, because each monitor renews it
                await self._redis.delete(MONITORS)
                return []
        ids = sorted(text(id_) or "" for id_ in found)
        ours = [id_ for id_ in ids if _ID.fullmatch(id_)][:_MOST_MEMBERS]
        if len(ours) < len(ids):
            self._reject(MONITORS, f"{len(ids) - len(ours)} ids that no monitor has")
            strays = [id_ for id_ in found if not _ID.fullmatch(text(id_) or "")]
            if strays:  # else they would be read each second
                await send(self._redis, [("SREM", MONITORS, *strays[:_REMOVED_AT_ONCE])])
        return [id_ for id_ in ours if id_ != self.id]

    async def _read(self, ids: list[str]) -> Mapping[str, LiveMonitor]:
        """Return those of the listed monitors that live. Raises BusUnreachable."""
        with translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                for id_ in ids:
                    pipe.execute_command("GET", monitor_key(id_))
                found = await pipe.execute(raise_on_error=False) if ids else []
        members: dict[str, LiveMonitor] = {}
        for id_, data in zip(ids, found, strict=True):
            if data is not None and (member := self._decoded(id_, data)) is not None:
                members[id_] = member
        if gone := [id_ for id_, data in zip(ids, found, strict=True) if data is None]:
            await send(self._redis, [("SREM", MONITORS, *gone)])
        return members

    def _decoded(self, id_: str, data: Any) -> LiveMonitor | None:
        """Return what another monitor told, or None if no monitor tells that."""
        key = monitor_key(id_)
        try:
            if not isinstance(data, bytes) or len(data) > _MOST_BYTES:
                raise ValueError(str(data)[:100] if isinstance(data, Exception) else "too long")
            member = decode(_decoder, data, "a sign of life")
            if member.name != id_.rpartition("/")[0]:
                raise ValueError("it has another monitor's name")
            if not 0 <= member.weight <= _GREATEST_WEIGHT:
                raise ValueError("its weight is not between 0 and 100")
        except ValueError as error:
            self._reject(key, f"no monitor tells that of itself: {error}")
            return None
        accepted(key)
        self._logged.discard(key)
        return member

    def _reject(self, key: str, reason: str) -> None:
        """Tell that a value was left out; in the log only once, as it is read so often."""
        rejected(key, reason, logged=key not in self._logged)
        if len(self._logged) < _MOST_MEMBERS:
            self._logged.add(key)

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await send(
                    self._redis,
                    [("DEL", monitor_key(self.id)), ("SREM", MONITORS, self.id)],
                    whole=True,
                )
        except (BusUnreachable, TimeoutError) as error:
            _log.debug("membership_farewell_failure", reason=str(error), expires_within=EXPIRY_S)
