"""Carry out a command, and read what it changed before its success is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from monitor.pbx.callcontrol.event_socket import EventSocket
from monitor.pbx.clock import PbxClock
from monitor.pbx.command_result import CommandResult, ReadBack
from monitor.pbx.commands import table
from monitor.pbx.facts import CallOrdered
from monitor.pbx.myphone.queue_logins import QueueLoginReader
from monitor.pbx.v20_client import PbxClient
from monitor.pbx.xapi.active_calls_poller import ActiveCallsPoller
from monitor.pbx.xapi.directory_cache import DirectoryCache
from monitor.pbx.xapi.directory_reader import DirectoryReader
from monitor.shared.backoff import Backoff
from monitor.shared.errors import CommandOutcomeUnknown, CommandRefused, PbxError

LOOK_WITHIN_S: Final = 1.0
"""Seconds within which a call that was just made should be read."""
_ATTEMPTS: Final = 3

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CommandRunner:
    """Carry out commands and read again what they changed.

    ``want_all``: requests that everything is read again soon. ``emit``: takes the fact that a call
    was ordered; it is called synchronously.
    """

    client: PbxClient
    reader: DirectoryReader
    known: DirectoryCache
    logins: QueueLoginReader
    listener: EventSocket
    poller: ActiveCallsPoller
    want_all: Callable[[], None]
    emit: Callable[[CallOrdered], None]
    clock: PbxClock

    async def execute(self, command: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        """Carry out a command and return the reply's fields.

        What it changed has been emitted as facts before this returns. Raises CommandRefused,
        PbxUnreachable and TokenRefused if nothing was done. Raises CommandOutcomeUnknown if that is
        not known, or if it was done and cannot be shown.
        """
        try:
            done = await table.run(self.client, self.logins.web, command, arguments)
        except CommandOutcomeUnknown:
            self.want_all()
            raise
        if done.ordered is not None:
            self.emit(CallOrdered(*done.ordered, self.clock.at(self.clock.now())))
        await self._read_again(done)
        return done.reply

    async def _read_again(self, done: CommandResult) -> None:
        backoff = Backoff()
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(backoff.pause())
            try:
                await self._look(done.touched)
            except CommandRefused as refused:
                _log.info("command_reread_refused", reason=str(refused))
                return
            except PbxError as error:
                reason = str(error)
            else:
                return
        self.want_all()
        made = f" Its id is {done.reply['id']}." if "id" in done.reply else ""
        raise CommandOutcomeUnknown(
            f"The PBX has done it, but could not be read afterwards: what is shown may be out of "
            f"date.{made} {reason}"
        )

    async def _look(self, touched: ReadBack) -> None:
        if touched.directory:
            self.known.amended(await self.reader.again(self.known.directory, touched))
        for id_ in touched.contacts:
            self.known.contact_read(await self.reader.contact(id_))
        if touched.call is not None:
            self.poller.request_read()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_WITHIN_S):
                    await self._look_at_call(*touched.call)

    async def _look_at_call(self, dn: str, participant_id: int | None) -> None:
        if participant_id is not None:
            await self.listener.read_and_wait(dn, participant_id)
        else:
            await self.poller.read_and_wait()
