"""Keep the PBX's directory and queue logins in Redis for the next monitor.

Reading thousands of extensions again takes many requests, and a take-over would wait for them. So
the next leader starts from what the last one knew. It reads the directory again later, when
subscribers already have the state.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from redis.asyncio import Redis

from monitor.handover.fact_codec import decode, encode
from monitor.pbx.facts import DirectoryRead, HandoverFact
from monitor.shared.codec import Malformed
from monitor.shared.errors import BusUnreachable
from monitor.shared.redis.connection import (
    commit_while,
    is_wrong_type,
    raise_if_cancelled,
    read_turn,
    rejected,
    translated,
)
from monitor.shared.redis.key_names import SpaceKeys

_PAUSE_S: Final = 1.0
"""Seconds between two writes, and from a failed one to its repetition."""

_log = structlog.get_logger(__name__)


class DirectoryHandover:
    """Hand over the directory of one PBX.

    ``writer``: the lease's value while this monitor holds it. A monitor without the lease writes
    nothing.
    """

    def __init__(self, redis: Redis, pbx: str, writer: str) -> None:
        self._redis = redis
        self._keys = SpaceKeys(pbx, "live")
        self._writer = writer
        self._newest: dict[type[HandoverFact], HandoverFact] = {}
        self._wake = asyncio.Event()
        self._log = _log.bind(pbx=pbx)

    async def read(self) -> tuple[HandoverFact, ...]:
        """Return the facts that the last leader left.

        Returns nothing if they cannot be read.
        """
        try:
            with translated():
                async with read_turn(self._redis):
                    found = await self._redis.get(self._keys.directory)
            return decode(found) if isinstance(found, bytes) else ()
        except (BusUnreachable, Malformed) as error:
            if isinstance(error, Malformed) or is_wrong_type(error.__cause__):
                rejected(self._keys.directory, str(error), logged=False)
            self._log.warning("directory_handover_read_failure", reason=str(error))
            return ()

    def save(self, fact: HandoverFact) -> None:
        """Schedule a fact to be written soon, in place of the previous one of its type.

        Nothing is written before the directory is known.
        """
        self._newest[type(fact)] = fact
        if DirectoryRead in self._newest:
            self._wake.set()

    async def run(self) -> None:
        """Write the saved facts until cancelled."""
        written = b""
        while True:
            raise_if_cancelled()
            await self._wake.wait()
            self._wake.clear()
            data = encode(self._newest.values())
            if data != written:
                try:
                    commands = [("SET", self._keys.directory, data)]
                    done = await commit_while(self._redis, self._keys.lease, self._writer, commands)
                except BusUnreachable as error:
                    self._log.debug("directory_handover_write_failure", reason=str(error))
                    done = False
                if done:
                    written = data
                else:
                    self._wake.set()
            await asyncio.sleep(_PAUSE_S)
