"""Read again and again which agent is logged in to which queue, if that is allowed.

The reading uses the web client's interface. The PBX pushes some changes at once. It sends no notice
of those that were made through another interface: these are shown only after the next reading.
The PBX's own figures of the queues come with the logins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import structlog

from monitor.pbx.clock import PbxClock
from monitor.pbx.facts import QueueFiguresRead, QueueLoginsRead
from monitor.pbx.myphone.client import MyPhoneClient
from monitor.pbx.myphone.queue_table import QueueTable
from monitor.pbx.v20_client import PbxClient, PbxSettings
from monitor.shared.backoff import Backoff
from monitor.shared.errors import CommandRefused, PbxError

_BY_LOGIN_EVERY_S: Final = 30.0
"""Seconds between two readings of a PBX that tells the queues only at a login."""

_log = structlog.get_logger(__name__)


class QueueLoginReader:
    """Read the logins to single queues and emit them when they have changed.

    The figures are emitted whenever the PBX tells them.
    """

    def __init__(
        self,
        client: PbxClient,
        emit: Callable[[QueueLoginsRead | QueueFiguresRead], None],
        clock: PbxClock,
        settings: PbxSettings,
    ) -> None:
        self.web = MyPhoneClient(client, self._take)
        self._emit = emit
        self._clock = clock
        self._settings = settings
        self._known: Mapping[str, Mapping[str, bool]] | None = None
        self._refused = False
        self._wanted = asyncio.Event()

    async def run(self, connected: asyncio.Event) -> None:
        """Read the logins until cancelled, while the PBX is connected."""
        backoff = Backoff()
        while True:
            await connected.wait()
            self._wanted.clear()
            try:
                await self.read()
            except CommandRefused as refused:
                if not self._refused:
                    self._refused = True
                    _log.info("pbx_read_refused", part="queue_logins", reason=str(refused))
                self._tell(None)
                pause = self._settings.recheck_interval
            except PbxError as error:
                _log.info("pbx_read_failure", part="queue_logins", reason=str(error))
                pause = backoff.pause(error)
            else:
                self._refused = False
                backoff.reset()
                pause = self._settings.logins_interval
                if self.web.reads_by_login:
                    pause = max(pause, _BY_LOGIN_EVERY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wanted.wait()

    def want(self) -> None:
        """Read the logins soon."""
        self._wanted.set()

    async def read(self) -> None:
        """Read the logins now.

        Raises CommandRefused if the API client has no right to it, PbxError.
        """
        await self.web.queues_info()

    def _take(self, table: QueueTable) -> None:
        self._tell(table.logins)
        if figures := table.figures:
            self._emit(QueueFiguresRead(figures, self._clock.at(self._clock.now())))

    def _tell(self, logins: Mapping[str, Mapping[str, bool]] | None) -> None:
        if logins != self._known:
            self._known = logins
            self._emit(QueueLoginsRead(logins, self._clock.at(self._clock.now())))
