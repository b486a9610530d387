"""Follow a PBX through the documented interface, by asking again and again.

Four loops run side by side: the calls, at a pace that follows the changes; the extensions' states;
the lists with all that seldom changes; the address book. A service that serves only some of the
commands is followed as far as possible. Commands that change something are passed on. What they
change is read again before their success is reported.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from monitor.pbx.clock import PbxClock
from monitor.pbx.counters import PbxCounters
from monitor.pbx.facts import (
    ConnectionChanged,
    ContactChanged,
    ContactsRead,
    DirectoryRead,
    QueueLoginsRead,
)
from monitor.pbx.http_client import secret
from monitor.pbx.parsing.json_fields import tell_too_long
from monitor.pbx.silence_watch import watch_silence
from monitor.pbx.webapi import parser
from monitor.pbx.webapi.calls_poller import CallsFollower
from monitor.pbx.webapi.client import WebApiClient, WebApiSettings
from monitor.pbx.webapi.facts import BusyTold, ToldFact
from monitor.pbx.webapi.resource_reader import WebApiReader
from monitor.shared.backoff import Backoff
from monitor.shared.codec import to_json
from monitor.shared.command_messages import VISIBLE
from monitor.shared.entities.topics import Connection, Contact
from monitor.shared.errors import CommandOutcomeUnknown, CommandRefused, PbxError, PbxRefused
from monitor.shared.tasks import all_together, together

_PATIENCE: Final = 2
"""Failures in a row after which a connected service counts as lost.

A single failure may be a connection that had grown old."""
_SOON_S: Final = 2.0
"""Seconds after which an empty list is read again: a new callmon knows nothing yet."""
_AT_ONCE: Final = 4
"""Contacts asked for at the same time."""

_LISTS: Final = {
    "queue.agents.set": ("queue.members.get", "agents"),
    "queue.managers.set": ("queue.managers.get", "managers"),
    "group.members.set": ("group.members.get", "members"),
}
"""Commands that replace a list → the command that tells it, and the argument that holds it."""

_log = structlog.get_logger(__name__)


class WebApiSource:
    """Follow one service.

    ``emit`` is called synchronously. Raises ConfigError if ``ca_file`` cannot be read.
    """

    def __init__(
        self,
        settings: WebApiSettings,
        emit: Callable[[ToldFact], None],
        counters: PbxCounters | None = None,
    ) -> None:
        self._settings, self._emit = settings, emit
        self._clock = clock = PbxClock()
        now = clock.now()
        clock.learn(clock.at(now), now, now)  # take our own clock until the service tells its time
        self._counters = counters = PbxCounters() if counters is None else counters
        counters.clock = clock
        self._client = WebApiClient(settings, clock, counters)
        self._reader = WebApiReader(self._client, clock)
        self._calls = CallsFollower(self._reader, settings, clock, emit, self._judge, self._failed)
        self._lists_wanted = asyncio.Event()
        self._directory: DirectoryRead | None = None
        self._logins: Mapping[str, Mapping[str, bool]] | None = None
        self._busy: frozenset[str] | None = None
        self._contacts: dict[int, Contact] = {}
        self._book_changes = 0
        self._told: tuple[Connection, str] = ("connecting", "")
        self._log = _log.bind(url=settings.url)

    async def run(self) -> None:
        """Follow the service until cancelled; retry all that fails and tell it as a fact."""
        tell_too_long(partial(self._log.warning, "pbx_text_too_long"))
        self._emit(ConnectionChanged("connecting", "", self._now()))
        try:
            await together(
                self._calls.run(),
                self._calls.run_ended(),
                watch_silence(self._settings.silence_timeout, self._awaited_since, self._silent),
                self._retry("lists", self._read_lists),
                self._retry("states", self._read_states),
                self._retry("contacts", self._read_contacts),
            )
        finally:
            await self.close()

    async def close(self) -> None:
        """Close all connections. May be called again."""
        await self._client.close()

    def request_full_read(self) -> None:
        """Read the calls soon."""
        self._calls.request_read()

    async def execute(self, command: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
        """Pass a command on and return the reply's fields.

        What it changed has been emitted as facts before this returns. Raises CommandRefused,
        PbxUnreachable and TokenRefused if nothing was done. Raises CommandOutcomeUnknown if that is
        not known, or if it was done and cannot be shown.
        """
        try:
            reply = await self._client.order(command, await self._passed_on(command, arguments))
        except CommandOutcomeUnknown:
            self._reader.changed()
            self._lists_wanted.set()
            raise
        self._reader.changed()
        try:
            await self._read_again(command, arguments, reply)
        except PbxError as error:
            self._lists_wanted.set()
            made = f" Its id is {reply['id']}." if "id" in reply else ""
            text = (
                f"It was done, but could not be read afterwards: what is shown may be out of "
                f"date.{made} {error}"
            )
            raise CommandOutcomeUnknown(text) from error
        return reply

    async def _passed_on(self, command: str, arguments: Mapping[str, str]) -> Mapping[str, str]:
        """Return the arguments to pass on.

        Members of a list that are hidden from the caller's key are added to the list. Raises
        CommandRefused, and what a read raises.
        """
        if VISIBLE not in arguments or command not in _LISTS:
            return arguments
        members, name = _LISTS[command]
        given = {key: value for key, value in arguments.items() if key != VISIBLE}
        try:
            now = (await self._client.get(members, parser.numbers, {"num": given["num"]})).value
        except PbxRefused as refused:
            raise CommandRefused(refused.code or "pbx_refused", str(refused)) from refused
        visible = frozenset(arguments[VISIBLE].split(","))
        wanted = dict.fromkeys(number.strip() for number in given[name].split(","))
        stay = [number for number in now if number in wanted or number not in visible]
        given[name] = ",".join(dict.fromkeys([*stay, *filter(None, wanted)]))
        return given

    # lists, states, contacts

    async def _retry(self, what: str, read: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff()
        while True:
            try:
                await read()
            except PbxError as error:
                self._log.info("pbx_read_failure", part=what, reason=str(error))
                if self._directory is None:
                    self._tell("connecting", str(error))
                await secret.pause(backoff.pause(error), self._settings.key)
            else:
                backoff.reset()

    async def _read_lists(self) -> None:
        self._lists_wanted.clear()
        first = self._directory is None
        await self._reader.lists()
        if first:
            await self._reader.states()
        self._tell_directory()
        if lacking := self._reader.lacking:
            self._log.info("commands_unavailable", commands=sorted(lacking))
        self._counters.reads["directory"] += 1
        self._judge()
        known = self._directory is not None and self._directory.users
        try:
            async with asyncio.timeout(
                min(self._settings.directory_interval, math.inf if known else _SOON_S)
            ):
                await self._lists_wanted.wait()
        except TimeoutError:
            return

    async def _read_states(self) -> None:
        began = self._clock.now()
        if self._directory is not None:
            await self._reader.states()
            self._tell_directory()
        await asyncio.sleep(max(self._settings.states_interval, self._clock.now() - began))

    async def _read_contacts(self) -> None:
        changes = self._book_changes
        ids = await self._reader.contact_ids()
        todo = deque(sorted(ids))
        found: dict[int, Contact] = {}

        async def ask() -> None:
            while todo:
                id_ = todo.popleft()
                told = await self._reader.contact(id_)
                if told.contact is not None:
                    found[id_] = told.contact

        await all_together(ask() for _ in range(_AT_ONCE))
        self._reader.forget_contacts(ids)
        if changes != self._book_changes:
            return  # a command has changed a contact meanwhile: some of this may be old
        self._contacts = dict(sorted(found.items()))
        self._counters.reads["contacts"] += 1
        self._emit(ContactsRead(tuple(self._contacts.values())))
        await asyncio.sleep(min(self._settings.contacts_interval, math.inf if found else _SOON_S))

    def _tell_directory(self) -> None:
        read, logins = self._reader.directory(), self._reader.logins()
        if self._directory is None or replace(self._directory, at=read.at) != read:
            self._directory = read
            self._emit(read)
        if logins != self._logins:
            self._logins = logins
            self._emit(QueueLoginsRead(logins, read.at))
        busy = None if self._reader.knows_calls else self._reader.busy()
        if busy != self._busy:
            self._busy = busy
            self._emit(BusyTold(busy, read.at))

    # after a command

    async def _read_again(
        self, command: str, arguments: Mapping[str, str], reply: Mapping[str, object]
    ) -> None:
        number = arguments.get("num", "")
        match command:
            case "makecall":
                await self._calls.read_and_wait()
                return
            case "contact.update" | "contact.new" | "contact.del":
                id_ = reply.get("id", arguments.get("id", ""))
                if str(id_).isdigit():
                    self._tell_contact(await self._reader.contact(int(str(id_))))
                return
            case "ext.fwd.set" | "ext.queueglobal.set" | "ext.queue.set":
                await self._reader.state(number)
            case "ext.options.set" | "ext.update":
                await self._reader.infos((number,))
                await self._reader.state(number)
            case "queue.agents.set":
                await self._reader.members("queue.members.get", (number,))
            case "queue.managers.set":
                await self._reader.members("queue.managers.get", (number,))
            case "group.members.set":
                await self._reader.members("group.members.get", (number,))
            case "query":
                return
            case _:
                await self._reader.lists()
                await self._reader.states()
        self._tell_directory()

    def _tell_contact(self, told: ContactChanged) -> None:
        self._book_changes += 1
        if told.contact is None:
            self._contacts.pop(told.id, None)
        else:
            self._contacts[told.id] = told.contact
        self._emit(told)

    # the connection

    def _failed(self, error: PbxError) -> None:
        if self._told[0] != "connected" or self._calls.failures >= _PATIENCE:
            self._tell(
                "lost" if self._told[0] in ("connected", "lost") else "connecting", str(error)
            )

    def _awaited_since(self) -> float | None:
        asked = self._calls.asked_at
        return (
            None
            if asked is None or self._told[0] != "connected"
            else max(asked, self._client.heard_at)
        )

    def _silent(self) -> None:
        longest = self._settings.silence_timeout
        self._tell("lost", f"The service has said nothing in {longest:g} s, though it was asked.")

    def _judge(self) -> None:
        """Emit that the PBX is connected once calls and directory have been read.

        If the service itself has lost its PBX, emit that instead.
        """
        if not self._calls.read or self._directory is None or self._calls.failures:
            return
        stale = self._reader.stale_since
        if stale:
            text = f"The service has heard nothing of its PBX since {stale}."
            self._tell("lost" if self._told[0] != "connecting" else "connecting", text)
            return
        lacking = ", ".join(sorted(self._reader.lacking.keys() - {"pbx.ended.get"}))
        self._tell("connected", f"Not served: {lacking}." if lacking else "")

    def _tell(self, connection: Connection, reason: str) -> None:
        if (connection, reason) == self._told:
            return
        self._told = (connection, reason)
        say = self._log.warning if connection == "lost" or reason else self._log.info
        source = "webapi" if connection == "connected" else ""
        say("pbx_connection", connection=connection, source=source, reason=reason)
        self._emit(ConnectionChanged(connection, reason, self._now(), source))

    def _now(self) -> float:
        return self._clock.at(self._clock.now())


class ServedDatabase:
    """Run SQL at a service that offers it: the command ``query`` is passed on."""

    def __init__(self, settings: WebApiSettings) -> None:
        self._settings = settings

    async def answer(self, sql: str, count: int) -> bytes:
        """Return the reply as JSON.

        Raises CommandRefused, CommandOutcomeUnknown, PbxUnreachable, TokenRefused.
        """
        client = WebApiClient(self._settings, PbxClock())
        try:
            return to_json(await client.order("query", {"query": sql, "count": str(count)}))
        finally:
            await client.close()
