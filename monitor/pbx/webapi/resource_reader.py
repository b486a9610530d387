"""Read everything that the documented interface tells, as far as a service serves it.

- A command that is not served is left out. It is asked again with the next reading of the lists.
- A command that was served and is refused now is a failure. Otherwise everything that it told
  would seem to be gone.
- An answer that was asked for before a command was carried out may be old. It is asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from monitor.pbx.clock import PbxClock
from monitor.pbx.facts import (
    AgentRow,
    ContactChanged,
    DepartmentRow,
    DirectoryRead,
    IvrRow,
    QueueRow,
    RingGroupRow,
    SystemRow,
    TrunkRow,
    UserRow,
)
from monitor.pbx.webapi import parser
from monitor.pbx.webapi.client import CachedResponse, WebApiClient, not_served
from monitor.pbx.webapi.facts import CallsTold, EndedTold
from monitor.shared.entities.topics import Contact
from monitor.shared.errors import PbxGarbled, PbxRefused, TokenRefused
from monitor.shared.tasks import all_together

T = TypeVar("T")
Fields = Mapping[str, Any]

CALLS: Final = ("pbx.ac.get", "pbx.callsinfo.get")
_LISTS: Final = (
    "all.ext.get",
    "all.registered.get",
    "all.group.get",
    "all.queue.get",
    "all.ivr.get",
    "all.line.get",
)
_MEMBERS: Final = {
    "queue.members.get": "all.queue.get",
    "queue.managers.get": "all.queue.get",
    "group.members.get": "all.group.get",
    "extgroup.members.get": "all.extgroup.get",
}
"""Commands that tell members → the command that lists the queues or groups that have them."""
_OF_EXTENSIONS: Final = {"ext.info.get": "all.ext.get", "ext.state.get": "all.ext.get"}
_DEFAULT_GROUP: Final = "__DEFAULT__"
"""3CX's own name for the extension group that everybody belongs to."""
_AGAIN: Final = 3
MOST_LISTED: Final = 1_000_000
"""Entries of all lists that are kept. Each answer is bounded, but each queue has a list."""
_ENDINGS: Final = "0123456789"
"""Every number ends with one of these. Asking for each finds all contacts with a number."""


class WebApiReader:
    """Read one service and keep what was read last.

    The methods that read raise the kinds of PbxError.
    """

    def __init__(self, client: WebApiClient, clock: PbxClock) -> None:
        self._client, self._clock = client, clock
        self._kept: dict[tuple[str, str], CachedResponse[Any]] = {}
        self._listed = 0
        self._served: set[str] = set()
        self._changed = float("-inf")
        self._side_by_side = asyncio.Semaphore(client.settings.parallel_reads)
        self._system = SystemRow()
        self.lacking: dict[str, str] = {}
        """Commands that are not served → the reason."""
        self.stale_since = ""
        """Time since which the service, a callmon, has heard nothing of its PBX; else empty."""

    def changed(self) -> None:
        """Note that something was changed at the service just now.

        An answer that was asked for before this may be old.
        """
        self._changed = self._clock.now()

    # calls

    async def calls(self) -> tuple[CallsTold, bool]:
        """Return all calls, and whether the two answers that tell of them fit together.

        There are no calls if neither command is served.
        """
        at = self._clock.at(self._clock.now())
        by_legs = await self._ask(CALLS[0], parser.connections, patient=False)
        by_info = await self._ask(CALLS[1], parser.infos, patient=False)
        stale = [
            kept.stale_since
            for kept in (self._kept.get((command, "")) for command in CALLS)
            if kept is not None
        ]
        self.stale_since = max(stale, default="")
        if by_legs is None or by_info is None:
            found = by_legs or by_info or {}
            return CallsTold(tuple(found[id_] for id_ in sorted(found)), at), True
        calls, fits = parser.joined(by_legs, by_info)
        return CallsTold(calls, at), fits

    @property
    def knows_calls(self) -> bool:
        """Return whether the service serves one of the two commands that tell of calls."""
        return not all(command in self.lacking for command in CALLS)

    async def ended(self) -> EndedTold | None:
        """Return the calls that ended, or None if the service keeps no list of them."""
        at = self._clock.at(self._clock.now())
        ended = await self._ask("pbx.ended.get", parser.ended)
        return None if ended is None else EndedTold(ended, at)

    # the directory

    async def lists(self) -> None:
        """Read the whole directory except the extensions' states.

        Raises TokenRefused too if the service serves none of the documented lists.
        """
        self.lacking.clear()
        try:
            self._system = parser.system(await self._client.who())
        except (PbxRefused, PbxGarbled):
            self._system = SystemRow()  # older services serve nothing at the bare address
        await all_together(
            (
                *(self._ask(command, parser.numbers) for command in _LISTS),
                self._ask("all.extgroup.get", parser.names),
            )
        )
        if all(command in self.lacking for command in _LISTS):
            raise TokenRefused(
                f"The service serves none of the documented lists; is the key right? {self._why()}"
            )
        await self.infos(self._numbers("all.ext.get"))
        for command, list_ in _MEMBERS.items():
            await self.members(command, self._numbers(list_))
        for command, list_ in (_MEMBERS | _OF_EXTENSIONS).items():
            self._keep(command, self._numbers(list_))

    async def states(self) -> None:
        """Read the states of all extensions."""
        if "all.registered.get" not in self.lacking:
            await self._ask("all.registered.get", parser.numbers)
        await self._each(
            "ext.state.get", parser.extension_fields, "num", self._numbers("all.ext.get")
        )

    async def extensions(self) -> None:
        """Read which extensions there are, and the list of registered ones."""
        await all_together(self._ask(command, parser.numbers) for command in _LISTS[:2])

    async def infos(self, numbers: Iterable[str]) -> None:
        """Read the information fields of these extensions."""
        await self._each("ext.info.get", parser.extension_fields, "num", numbers)

    async def state(self, number: str) -> None:
        """Read the state of one extension."""
        await self._each("ext.state.get", parser.extension_fields, "num", (number,))

    async def members(self, command: str, of: Iterable[str]) -> None:
        """Read the members of these queues, ring groups or extension groups.

        ``command``: one of the commands that tell members.
        """
        await self._each(
            command, parser.numbers, "name" if command == "extgroup.members.get" else "num", of
        )

    def directory(self) -> DirectoryRead:
        """Return the directory as it was read last."""
        registered = frozenset(self._numbers("all.registered.get"))
        return DirectoryRead(
            users=tuple(self._user(number, registered) for number in self._numbers("all.ext.get")),
            queues=tuple(
                QueueRow(
                    0,
                    number,
                    "",
                    tuple(AgentRow(agent) for agent in self._of("queue.members.get", number)),
                    self._of("queue.managers.get", number),
                )
                for number in self._numbers("all.queue.get")
            ),
            ring_groups=tuple(
                RingGroupRow(0, number, "", self._of("group.members.get", number))
                for number in self._numbers("all.group.get")
            ),
            ivrs=tuple(IvrRow(0, number, "") for number in self._numbers("all.ivr.get")),
            trunks=tuple(TrunkRow(0, number, "") for number in self._numbers("all.line.get")),
            departments=tuple(
                DepartmentRow(
                    0, name, "", self._of("extgroup.members.get", name), name == _DEFAULT_GROUP
                )
                for name in self._numbers("all.extgroup.get")
            ),
            inbound_rules=(),
            system=self._system,
            at=self._clock.at(self._clock.now()),
        )

    def logins(self) -> dict[str, dict[str, bool]] | None:
        """Return queue → agent's extension → True if logged in; None if the service tells none."""
        found: dict[str, dict[str, bool]] = {}
        for number in self._numbers("all.ext.get"):
            for queue, logged_in in parser.queue_logins(
                self._fields("ext.state.get", number)
            ).items():
                found.setdefault(queue, {})[number] = logged_in
        return found or None

    def busy(self) -> frozenset[str]:
        """Return the extensions that are in a call by their own state."""
        numbers = self._numbers("all.ext.get")
        return frozenset(num for num in numbers if parser.busy(self._fields("ext.state.get", num)))

    # the address book

    async def contact_ids(self) -> frozenset[int]:
        """Return the ids of all contacts that can be found: those with a number.

        Empty if contacts are not served.
        """
        found: set[int] = set()
        for ending in _ENDINGS:
            ids = await self._ask(
                "contact.find", parser.ids, ending, {"num": ending, "min_len": "1"}
            )
            found.update(ids or ())
        return frozenset(found)

    async def contact(self, id_: int) -> ContactChanged:
        """Read one contact and return it as it is now."""

        def parse(answer: Any) -> Contact:
            return parser.contact(id_, answer)

        found = await self._ask("contact.get", parse, str(id_), {"id": str(id_)})
        return ContactChanged(id_, found, self._clock.at(self._clock.now()))

    def forget_contacts(self, ids: frozenset[int]) -> None:
        """Forget the answers about all contacts but these."""
        self._keep("contact.get", {str(id_) for id_ in ids})

    # asking

    async def _each(
        self, command: str, parse: Callable[[Any], Any], parameter: str, subjects: Iterable[str]
    ) -> None:
        """Ask a command about each subject. If none is answered, it counts as not served."""
        subjects = tuple(subjects)

        async def one(subject: str) -> None:
            async with self._side_by_side:
                await self._ask(command, parse, subject, {parameter: subject})

        if command in self.lacking:
            return
        await all_together(one(subject) for subject in subjects)
        if subjects and not any((command, subject) in self._kept for subject in subjects):
            self.lacking.setdefault(command, f"The service does not answer {command}.")

    def _keep(self, command: str, subjects: Iterable[str]) -> None:
        """Forget what this command answered about any other subjects."""
        there = frozenset(subjects)
        for place in [
            place for place in self._kept if place[0] == command and place[1] not in there
        ]:
            self._drop(place)

    async def _ask(
        self,
        command: str,
        parse: Callable[[Any], T],
        subject: str = "",
        arguments: Mapping[str, str] | None = None,
        *,
        patient: bool = True,
    ) -> T | None:
        """Return a command's answer; None if it is not served or does not know the subject."""
        if command in self.lacking:
            return None
        place = (command, subject)
        for _ in range(_AGAIN):
            asked = self._clock.now()
            kept: CachedResponse[T] | None = self._kept.get(place)
            try:
                told = await self._client.get(command, parse, arguments, kept, patient=patient)
            except PbxRefused as refused:
                if not subject or not_served(refused):
                    if command in self._served:
                        raise
                    self.lacking[command] = str(refused)
                self._drop(place)
                return None
            if asked > self._changed:
                break
        listed = self._listed + _entries(told) - _entries(self._kept.get(place))
        if listed > MOST_LISTED:
            raise PbxGarbled(
                f"The service's lists hold more than {MOST_LISTED} entries; {command} is not used."
            )
        self._listed, self._kept[place] = listed, told
        self._served.add(command)
        return told.value

    def _drop(self, place: tuple[str, str]) -> None:
        self._listed -= _entries(self._kept.pop(place, None))

    def _why(self) -> str:
        return next(iter(self.lacking.values()), "")

    def _numbers(self, command: str) -> tuple[str, ...]:
        return self._of(command, "")

    def _of(self, command: str, subject: str) -> tuple[str, ...]:
        kept: CachedResponse[tuple[str, ...]] | None = self._kept.get((command, subject))
        return () if kept is None else kept.value

    def _fields(self, command: str, number: str) -> Fields:
        kept: CachedResponse[Fields] | None = self._kept.get((command, number))
        return {} if kept is None else kept.value

    def _user(self, number: str, registered: frozenset[str]) -> UserRow:
        info, state = self._fields("ext.info.get", number), self._fields("ext.state.get", number)
        return parser.extension(number, info, state, registered=number in registered)


def _entries(kept: CachedResponse[Any] | None) -> int:
    return len(kept.value) if kept is not None and isinstance(kept.value, tuple) else 0
