"""Read the PBX's directory and address book through XAPI.

:mod:`monitor.pbx.parsing.xapi` gives the rows their meaning. If the role may not read a part of
the directory, that part stays empty and the others are read. The log says so once, and the reading
tells it in ``refused``, with what is missing for that reason (:data:`MISSING`).

Some installations answer one collection with an error, a web page or nonsense for good. A part that
fails so twice in a row stays as it was last read, or empty, and the others are read. The reading
tells it in ``failing``. Without the users nothing can be told: if these fail or are refused and
were never read, the reading fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar, cast

import structlog

from monitor.pbx.clock import PbxClock
from monitor.pbx.command_result import ReadBack
from monitor.pbx.facts import ContactChanged, ContactsRead, DirectoryRead, SystemRow, UserRow
from monitor.pbx.parsing import xapi as rows
from monitor.pbx.parsing.json_fields import MOST_OF_A_KIND, check_number, integer, objects
from monitor.pbx.v20_client import XAPI, PbxClient
from monitor.pbx.xapi.directory_cache import DirectoryPatch, listing
from monitor.shared.entities.topics import Contact
from monitor.shared.errors import PbxRefused, PbxUnreachable
from monitor.shared.tasks import end
from monitor.shared.time_zones import ZoneRow, iana_name

T = TypeVar("T")

_BAD_REQUEST: Final = 400

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Part(Generic[T]):
    """Describe how a collection is read.

    ``name``: the collection's name. ``row``: makes a fact's row of each row. ``select``: the
    properties that are needed. ``expand``: navigation property → the properties needed of it.
    """

    name: str
    row: Callable[[Mapping[str, Any]], T | None]
    select: str
    expand: Mapping[str, str]
    filter: str = ""
    """OData filter for what is read. A row that comes all the same must do no harm."""

    def narrowed(self, condition: str) -> _Part[T]:
        """Return a part with only the rows for which this OData condition holds."""
        return replace(self, filter=condition)

    def query(self) -> dict[str, str]:
        """Return a query for only what is needed.

        A whole user with whole profiles is about 10 KB.
        """
        expand = ",".join(f"{name}($select={select})" for name, select in self.expand.items())
        query = {"$select": self.select, "$expand": expand, "$filter": self.filter}
        return {name: value for name, value in query.items() if value}

    def plain_query(self) -> dict[str, str]:
        """Return the query for a version that does not know one of the properties."""
        query = {
            "$expand": ",".join(self.expand),
            "$filter": self.filter if self.name != "Peers" else "",
        }
        return {name: value for name, value in query.items() if value}


_USERS = _Part(
    "Users",
    rows.user,
    "Id,Number,FirstName,LastName,EmailAddress,Mobile,AuthID,OutboundCallerID,Enabled,PbxDeliversAudio,RecordCalls,"
    "RecordExternalCallsOnly,SIPID,VMEmailOptions,VMEnabled,VMPlayCallerID,VMPlayMsgDateTime,Internal,IsRegistered,"
    "CurrentProfileName,QueueStatus",
    {"ForwardingProfiles": "Name,NoAnswerTimeout,DisableRingGroupCalls"},
)
_QUEUES = _Part(
    "Queues",
    rows.queue,
    "Id,Number,Name,SLATime",
    {"Agents": "Number,Name,SkillGroup", "Managers": "Number"},
)
_RING_GROUPS = _Part(
    "RingGroups", rows.ring_group, "Id,Number,Name,RingStrategy", {"Members": "Number"}
)
_IVRS = _Part("Receptionists", rows.ivr, "Id,Number,Name,IVRType", {})
_TRUNKS = _Part(
    "Trunks",
    rows.trunk,
    "Id,Number,Gateway,IsOnline,SimultaneousCalls,ExternalNumber,DidNumbers",
    {},
)
_GROUPS = _Part("Groups", rows.department, "Id,Name,Number,IsDefault", {"Members": "Number,Type"})
_INBOUND_RULES = _Part(
    "InboundRules",
    rows.inbound_rule,
    "Id,RuleName,Condition,Data,OfficeHoursDestination,OutOfOfficeHoursDestination,HolidaysDestination,"
    "AlterDestinationDuringOutOfOfficeHours,AlterDestinationDuringHolidays",
    {"TrunkDN": "Number"},
)
_PEERS = _Part("Peers", rows.peer, "Id,Number,Name,Type", {}, "Type ne 'Extension'")
_CONTACTS = _Part(
    "Contacts",
    rows.contact,
    "Id,FirstName,LastName,CompanyName,Tag,PhoneNumber,Mobile2,Home,Business,Business2,Email,Other,BusinessFax,Pager",
    {},
)
COLLECTIONS: Final = tuple(
    part.name
    for part in (
        _USERS,
        _QUEUES,
        _RING_GROUPS,
        _IVRS,
        _TRUNKS,
        _GROUPS,
        _INBOUND_RULES,
        _PEERS,
        _CONTACTS,
    )
)
"""All collections of XAPI that are read here."""
MISSING: Final = {
    "Users": "no extensions, so nothing can be shown",
    "Queues": "no queues, their waiting callers, agents and statistics",
    "RingGroups": "no ring groups",
    "Receptionists": "no menus (IVRs)",
    "Trunks": "no lines",
    "Groups": "no departments",
    "InboundRules": "no DID of a call where only its rule tells it",
    "Peers": "voicemail, parking places, fax and apps count as unknown numbers",
    "Contacts": "no address book, so no names from it",
    "SystemStatus": "no version, address and licence limit of the PBX",
    "OfficeHours": "no time zone of the PBX: days begin at midnight UTC unless time_zone is set",
    "Defs/TimeZones": "no time zone of the PBX: days begin at midnight UTC unless time_zone is set",
}
"""Part of XAPI → what is missing if the PBX refuses to show it."""


class DirectoryReader:
    """Read the directory and the address book.

    The methods raise PbxUnreachable, PbxGarbled or TokenRefused when the whole reading failed.
    """

    def __init__(self, client: PbxClient, clock: PbxClock) -> None:
        self._client, self._clock = client, clock
        self._refusals: dict[str, int] = {}
        """Part that the PBX refused to show → the HTTP status."""
        self._plain: set[str] = set()
        self._zone = ("", "")
        self._last: dict[str, Any] = {}
        self._failures: dict[str, tuple[int, str]] = {}

    @property
    def refused(self) -> tuple[str, ...]:
        """Return the parts that the PBX refused to show, each with what is missing therefore."""
        return tuple(
            f"{name} ({status}): {MISSING[name]}" for name, status in sorted(self._refusals.items())
        )

    async def directory(self) -> DirectoryRead:
        """Return the whole directory."""
        tasks = _Tasks()
        users = tasks.add(self._lenient(_USERS.name, self._users(), None))
        queues = tasks.add(self._lenient(_QUEUES.name, self._part(_QUEUES), ()))
        ring_groups = tasks.add(self._lenient(_RING_GROUPS.name, self._part(_RING_GROUPS), ()))
        ivrs = tasks.add(self._lenient(_IVRS.name, self._part(_IVRS), ()))
        trunks = tasks.add(self._lenient(_TRUNKS.name, self._part(_TRUNKS), ()))
        departments = tasks.add(self._lenient(_GROUPS.name, self._part(_GROUPS), ()))
        inbound_rules = tasks.add(
            self._lenient(_INBOUND_RULES.name, self._part(_INBOUND_RULES), ())
        )
        peers = tasks.add(self._lenient(_PEERS.name, self._part(_PEERS), ()))
        system = tasks.add(self._lenient("SystemStatus", self._system(), SystemRow()))
        time_zone = tasks.add(self._lenient("OfficeHours", self._time_zone(), ""))
        await tasks.done()
        return DirectoryRead(
            users=users.result() or (),
            queues=queues.result(),
            ring_groups=ring_groups.result(),
            ivrs=ivrs.result(),
            trunks=trunks.result(),
            departments=departments.result(),
            inbound_rules=inbound_rules.result(),
            system=replace(system.result(), time_zone=time_zone.result()),
            at=self._clock.at(self._clock.now()),
            peers=peers.result(),
            failing=tuple(
                f"{name}: {reason}"
                for name, (count, reason) in sorted(self._failures.items())
                if count > 1
            ),
            refused=self.refused,
        )

    async def again(self, last: DirectoryRead | None, touched: ReadBack) -> DirectoryPatch:
        """Read again what a command has changed.

        ``last``: the directory as it was known before. A user that is gone has left queues and ring
        groups; these are read too. The departments of a new user are read too.
        """
        at = self._clock.at(self._clock.now())
        users = await self._numbered(_USERS, touched.users)
        queues, ring_groups = set(touched.queues), set(touched.ring_groups)
        known = {row.number for row in last.users} if last is not None else set()
        joined: dict[str, frozenset[int]] = {}
        for number, user in users.items():
            if user is None and last is not None:
                left_queues, left_groups = listing(last, number)
                queues |= left_queues
                ring_groups |= left_groups
            elif user is not None and number not in known:
                joined[number] = await self._departments_of(user)
        queue_rows = await self._numbered(_QUEUES, queues)
        ring_group_rows = await self._numbered(_RING_GROUPS, ring_groups)
        return DirectoryPatch(at, users, queue_rows, ring_group_rows, joined)

    async def contact(self, id_: int) -> ContactChanged:
        """Return one contact."""
        at = self._clock.at(self._clock.now())
        found = await self._part(_CONTACTS.narrowed(f"Id eq {id_}"))
        return ContactChanged(id_, found[0] if found else None, at)

    async def contacts(self) -> ContactsRead:
        """Return the whole address book. If that fails twice in a row, ``failing`` tells it."""
        try:
            contacts: tuple[Contact, ...] = await self._part(_CONTACTS)
        except PbxUnreachable as error:
            self._note_failure(_CONTACTS.name, error)
            raise
        self._failures.pop(_CONTACTS.name, None)
        return ContactsRead(contacts)

    async def _numbered(self, part: _Part[T], numbers: Collection[str]) -> dict[str, T | None]:
        found: dict[str, T | None] = {}
        for number in sorted(numbers):
            quoted = number.replace("'", "''")
            found[number] = next(
                iter(await self._part(part.narrowed(f"Number eq '{quoted}'"))), None
            )
        return found

    async def _departments_of(self, user: UserRow) -> frozenset[int]:
        query = {"$select": "Id", "$expand": "Groups($select=GroupId)"}
        try:
            row = await self._client.get_json(f"{XAPI}/Users({user.id})", query)
        except PbxRefused as refused:
            self._refused("Groups", refused)
            return frozenset()
        groups = objects(row.get("Groups")) if isinstance(row, dict) else ()
        return frozenset(id_ for group in groups if (id_ := integer(group, "GroupId")) is not None)

    async def _lenient(self, name: str, reading: Coroutine[Any, Any, T], empty: T) -> T:
        """Return what is read of a part, or if that fails again what was read last.

        ``empty``: what stands for a part that was never read; None if nothing does. Raises what the
        reading raised if it is the first failure in a row (it may be over soon), or if nothing can
        stand for the part.
        """
        try:
            self._last[name] = found = await reading
        except (PbxUnreachable, PbxRefused) as error:
            count = self._note_failure(name, error)
            if count == 0 or (empty is None and name not in self._last):
                raise
            if count == 1:
                _log.warning("pbx_read_failure", part=name, reason=str(error))
            return cast(T, self._last.get(name, empty))
        self._failures.pop(name, None)
        return found

    def _note_failure(self, name: str, error: Exception) -> int:
        """Note that a part could not be read; return how often in a row it failed before."""
        count, _ = self._failures.get(name, (0, ""))
        self._failures[name] = count + 1, str(error)
        return count

    async def _users(self) -> tuple[UserRow, ...] | None:
        """Return all users. Raises PbxRefused too: without users the PBX would seem empty."""
        listed = await self._collection(_USERS)
        return tuple(user for row in listed if (user := rows.user(row)) is not None)

    async def _part(self, part: _Part[T]) -> tuple[T, ...]:
        try:
            listed = await self._collection(part)
        except PbxRefused as refused:
            self._refused(part.name, refused)
            return ()
        self._refusals.pop(part.name, None)
        return tuple(found for row in listed if (found := part.row(row)) is not None)

    async def _collection(self, part: _Part[T]) -> list[dict[str, Any]]:
        listed = await self._all_rows(part)
        if part.name != _CONTACTS.name:
            check_number(len(listed), MOST_OF_A_KIND, part.name)
        return listed

    async def _all_rows(self, part: _Part[T]) -> list[dict[str, Any]]:
        if part.name not in self._plain:
            try:
                return await self._client.collection(part.name, part.query())
            except PbxRefused as refused:
                if refused.status != _BAD_REQUEST:
                    raise
            self._plain.add(part.name)
        return await self._client.collection(part.name, part.plain_query())

    async def _system(self) -> SystemRow:
        try:
            status = await self._client.system_status()
        except PbxRefused as refused:
            self._refused("SystemStatus", refused)
            return SystemRow()
        self._refusals.pop("SystemStatus", None)
        return status

    async def _time_zone(self) -> str:
        """Return the time zone's IANA name; look it up only when the PBX names another zone."""
        try:
            told = await self._client.time_zone()
        except PbxRefused as refused:
            self._refused("OfficeHours", refused)
            return ""
        self._refusals.pop("OfficeHours", None)
        if told != self._zone[0] or "Defs/TimeZones" in self._refusals:
            self._zone = told, await self._zone_name(told)
        return self._zone[1]

    async def _zone_name(self, told: str) -> str:
        """Return a zone's IANA name; empty if neither it nor the PBX's list tells it."""
        refused: PbxRefused | None = None
        zones: tuple[ZoneRow, ...] = ()
        try:
            zones = await self._client.time_zones(told)
        except PbxRefused as error:
            refused = error
        name = iana_name(told, zones) or ""
        if refused is None or name:  # a name needs no list
            self._refusals.pop("Defs/TimeZones", None)
        else:
            self._refused("Defs/TimeZones", refused)
        return name

    def _refused(self, name: str, refused: PbxRefused) -> None:
        if name not in self._refusals:
            _log.warning("pbx_read_refused", part=name, reason=str(refused))
        self._refusals[name] = refused.status


class _Tasks:
    """Run tasks that all must succeed.

    See :mod:`monitor.shared.tasks` for why this is not a task group.
    """

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    def add(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(coroutine)
        self._tasks.append(task)
        return task

    async def done(self) -> None:
        """Wait for all tasks, or for the first that fails, and raise its error.

        No task is left running.
        """
        try:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await end(self._tasks)
        for task in done:
            task.result()
