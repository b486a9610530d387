"""Carry out the claimed commands, each in its turn.

A makecall may take as long as a phone rings, so several run side by side. All other commands that
change something run one after the other, because 3CX's lists are replaced whole. A command that
cannot begin in time is refused, and its caller is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import structlog

from monitor.commands.outcome_rules import failed
from monitor.shared.changes import Position
from monitor.shared.codec import from_json
from monitor.shared.command_messages import BUSY, CommandFailure, Outcome, Request
from monitor.shared.errors import CommandOutcomeUnknown, CommandRefused, PbxBusy, PbxError

CALLS_AT_ONCE = 16
QUERIES_AT_ONCE = 4
"""Queries that may run at the same time: one for each slot of
:mod:`monitor.pbx.database.backend_slots`."""
WRITTEN_WITHIN_S = 5.0
"""Seconds to wait until a change is in the store. After that the answer is sent without its
position."""

_log = structlog.get_logger(__name__)

Execute: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[Mapping[str, object] | bytes]]
"""Documented command, documented arguments → fields of the reply, or all of it as JSON. Raises
CommandRefused, CommandOutcomeUnknown, PbxError."""
Written: TypeAlias = Callable[[str], Awaitable[tuple[Position | None, Position | None]]]
"""Command → positions (live, book) that contain its changes, once they are in the store."""


class CommandExecutor:
    """Carry out the commands of one PBX.

    ``sure()``: True while this monitor certainly leads. No command begins while it does not.
    """

    def __init__(
        self, pbx: str, execute: Execute, written: Written, sure: Callable[[], bool]
    ) -> None:
        self._execute = execute
        self._written = written
        self._sure = sure
        self._one_by_one = asyncio.Lock()
        self._calls = asyncio.Semaphore(CALLS_AT_ONCE)
        self._queries = asyncio.Semaphore(QUERIES_AT_ONCE)
        self._log = _log.bind(pbx=pbx)

    async def outcome(self, request: Request, deadline: float) -> Outcome:
        """Carry out a command and return its outcome.

        ``deadline``: the event loop's time until which it may begin.
        """
        try:
            async with self._execution_slot(request.command, deadline):
                reply = await self._execute(request.command, request.arguments)
                live, book = await self._positions(request.command)
                if not isinstance(reply, bytes):
                    return Outcome(request.id, dict(reply), None, live, book)
                if request.takes_body:
                    return Outcome(request.id, None, None, live, book, reply)
                return Outcome(request.id, from_json(reply), None, live, book)
        except _TooLate:
            text = "It was not done: its turn did not come in time."
            return failed(request, CommandFailure("too late", "too_late", text))
        except CommandRefused as error:
            return failed(request, CommandFailure(error.kind, error.code, str(error)))
        except CommandOutcomeUnknown as error:
            return failed(request, CommandFailure("unknown", "outcome_unknown", str(error)))
        except PbxBusy as error:
            return failed(request, CommandFailure("unavailable", BUSY, str(error)))
        except PbxError as error:
            return failed(request, CommandFailure("unavailable", "pbx_unreachable", str(error)))
        except Exception:  # a bug in one command must not stop watching the calls
            self._log.exception("command_failure", command=request.command, trace=request.trace)
            text = (
                "Something went wrong in the monitor, and its log says what. Check the PBX "
                "before you repeat it."
            )
            return failed(request, CommandFailure("unknown", "outcome_unknown", text))

    async def _positions(self, command: str) -> tuple[Position | None, Position | None]:
        """Return the positions (live, book) that contain the command's changes.

        Returns (None, None) if that takes more than ``WRITTEN_WITHIN_S`` seconds, for example
        during the first reading of the PBX.
        """
        try:
            async with asyncio.timeout(WRITTEN_WITHIN_S):
                return await self._written(command)
        except TimeoutError:
            self._log.warning("command_publish_timeout", command=command)
            return None, None

    @asynccontextmanager
    async def _execution_slot(self, command: str, deadline: float) -> AsyncIterator[None]:
        """Wait for this command's turn.

        Raises _TooLate if the turn does not come before ``deadline`` or the lease is not sure.
        """
        turn = {"makecall": self._calls, "query": self._queries}.get(command, self._one_by_one)
        try:
            async with asyncio.timeout_at(deadline):
                await turn.acquire()
        except TimeoutError:
            raise _TooLate from None
        try:
            if not self._sure():
                raise _TooLate
            yield
        finally:
            turn.release()


class _TooLate(Exception):
    """Signal that the command's turn did not come in time."""
