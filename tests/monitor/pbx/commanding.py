"""Execute commands at a simulated PBX, and ask everybody who can tell what became of them.

The source reads nothing by itself while a test runs: what the tracker shows after a command was
read for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from threecx import ODataQuery, ThreeCXClient  # type: ignore[import-untyped]  # it has no py.typed
from threecx.models.users import User  # type: ignore[import-untyped]  # it has no py.typed

from monitor.pbx.facts import ConnectionChanged, ContactsRead, DirectoryRead, Fact
from monitor.pbx.v20_client import PbxSettings
from monitor.pbx.v20_source import PbxSource
from monitor.shared.entities import topics
from monitor.shared.errors import CommandRefused
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data.templates import service_principal
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from monitor.tracking.tracker import Tracker

NEVER = 3600.0
_READER = "reader"
SECRETS = {"authpass": "hunter2", "vmpin": "4711"}
T = TypeVar("T")


@dataclass
class Desk:
    """Where commands are given."""

    pbx: SimulatedPbx
    facts: list[Fact] = field(default_factory=list)
    tracker: Tracker = field(default_factory=lambda: Tracker("test"))
    news: asyncio.Event = field(default_factory=asyncio.Event)
    source: PbxSource = field(init=False)

    def emit(self, fact: Fact) -> None:
        self.facts.append(fact)
        self.tracker.apply(fact)
        self.news.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until facts have made it so."""
        async with asyncio.timeout(60):
            while not is_so():
                self.news.clear()
                await self.news.wait()

    async def do(self, command: str, **arguments: str) -> Mapping[str, object]:
        async with asyncio.timeout(60):
            return await self.source.execute(command, arguments)

    async def refused(self, command: str, **arguments: str) -> CommandRefused:
        """The refusal of a command that must change nothing."""
        before = self.configuration()
        with pytest.raises(CommandRefused) as caught:
            await self.do(command, **arguments)
        assert self.configuration() == before
        assert caught.value.code.replace("_", "").isalnum()
        assert str(caught.value).endswith((".", ")"))
        return caught.value

    def configuration(self) -> object:
        """All of the PBX's configuration that commands can change."""
        directory = self.pbx.directory
        return deepcopy(
            (
                directory.users,
                directory.queues,
                directory.ring_groups,
                directory.groups,
                directory.contacts,
            )
        )

    async def sdk(self, work: Callable[[ThreeCXClient], T]) -> T:
        """What a third party's SDK gives.

        It blocks, so it works in a thread, with an API client of its own.
        """
        directory = self.pbx.directory
        if directory.dn(_READER) is None:
            principal = service_principal(_READER)
            principal["Groups"][0]["GroupId"] = next(iter(directory.groups))
            directory.add("routepoint", principal)
            directory.secrets[_READER] = "reading"

        def working() -> T:
            with ThreeCXClient(self.pbx.url, _READER, "reading") as client:
                return work(client)

        async with asyncio.timeout(120):
            return await asyncio.to_thread(working)

    def user(self, number: str) -> dict[str, Any]:
        """What the PBX itself holds."""
        entity = self.pbx.directory.entity(number)
        assert entity is not None
        return entity

    def extension(self, number: str) -> topics.Extension:
        return topics.table(self.tracker.state, "extensions", topics.Extension)[number]

    def queue(self, number: str) -> topics.Queue:
        return topics.table(self.tracker.state, "queues", topics.Queue)[number]

    def group(self, number: str) -> topics.RingGroup:
        return topics.table(self.tracker.state, "groups", topics.RingGroup)[number]

    def contact(self, id_: int) -> topics.Contact | None:
        return topics.table(self.tracker.book, "contacts", topics.Contact).get(str(id_))

    def last(self, kind: type[T]) -> T:
        return next(fact for fact in reversed(self.facts) if isinstance(fact, kind))


@asynccontextmanager
async def commanding(
    switches: Switches | None = None, *, web_client: bool = False, **changes: Any
) -> AsyncIterator[Desk]:
    """A desk whose source has read everything. ``changes``: of the settings of the source."""
    settings = SimulatorSettings(
        extensions=20,
        queues=2,
        contacts=10,
        traffic=False,
        switches=switches or Switches(secrets="shown"),
        web_client=web_client,
    )
    async with SimulatedPbx(settings) as pbx:
        desk = Desk(pbx)
        to: dict[str, Any] = {
            "poll_interval": 0.2,
            "watchdog_interval": NEVER,
            "directory_interval": NEVER,
            "contacts_interval": NEVER,
            "logins_interval": NEVER,
            "request_timeout": 5.0,
        }
        desk.source = PbxSource(
            PbxSettings(pbx.url, pbx.client_id, pbx.client_secret, **to | changes), desk.emit
        )
        running = asyncio.create_task(desk.source.run())
        try:
            await desk.until(lambda: _has_read(desk.facts))
            yield desk
        finally:
            assert not running.done(), running
            running.cancel()
            await asyncio.wait([running])


def _has_read(facts: list[Fact]) -> bool:
    kinds = {type(fact) for fact in facts}
    connected = any(
        isinstance(fact, ConnectionChanged) and fact.connection == "connected" for fact in facts
    )
    return connected and {DirectoryRead, ContactsRead} <= kinds


async def read(desk: Desk, number: str) -> User:
    """The user as a third party's SDK reads him."""
    return await desk.sdk(lambda client: client.users.get_by_number(number))


async def profiles(desk: Desk, number: str) -> dict[str, Any]:
    def work(client: Any) -> dict[str, Any]:
        (user,) = client.users.list(
            ODataQuery().filter(f"Number eq '{number}'").expand("ForwardingProfiles")
        )
        return {profile.name: profile for profile in user.forwarding_profiles}

    return await desk.sdk(work)


def word(value: Any) -> Any:
    return getattr(value, "value", value)
