"""Answer the queries about lists, extensions, queues and groups.

An agent counts as free if it is ready to take a queue's call. All of these must hold: the
extension is enabled, registered, in no call, and logged in globally. Where the PBX tells the login
for each queue, it is not logged out of this one. Only where the PBX does not tell the global login,
the name of the profile decides. Members of a ring group need no login, but a profile that does not
take them out of ring groups. For a key, things that it may not see do not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

from gateway.errors import UnknownExtension, UnknownExtgroup, UnknownGroup, UnknownQueue
from gateway.queries.calls import Result
from gateway.queries.context import QueryContext, in_order
from monitor.shared.entities.topics import (
    Extension,
    ExtensionGroup,
    Ivr,
    Line,
    Queue,
    QueueLogin,
    RingGroup,
)


class Numbers(Struct, frozen=True):
    """The answer of every command that lists numbers."""

    nums: tuple[str, ...]


class ExtensionGroups(Struct, frozen=True):
    """The answer of ``all.extgroup.get``."""

    names: tuple[str, ...] = field(name="extGroups")


class ExtensionInfo(Struct, frozen=True):
    """The answer of ``ext.info.get``, without secrets.

    ``name`` is the first name. Fields that ``ext.update`` can set have the same names there.
    Null: the PBX has no such setting. ``email``, ``mobile`` and ``authid`` are empty for a key
    without the scope ``contacts``.
    """

    num: str
    name: str
    lastname: str
    email: str
    firstname: str
    mobile: str
    authid: str
    callerid: str
    enabled: int | None
    deliveraudio: int | None
    recordcalls: int | None
    sipid: str
    reinvite: int | None
    replaces: int | None
    vmemail: int | None
    vmenabled: int | None
    vmplaycallerid: int | None
    vmplaydatetime: int | None
    internal: int | None
    noanswertimeout: int | None
    queues: tuple[str, ...]
    groups: tuple[str, ...]
    extgroups: tuple[str, ...]


class ExtensionState(Struct, frozen=True, rename="camel"):
    """The answer of ``ext.state.get``."""

    num: str
    registered: bool
    status: Literal["Free", "Busy"]
    fwd_name: str
    q_global_status: Literal["LoggedIn", "LoggedOut"] | None
    q_status: tuple[QueueLogin, ...]


def all_extensions(asked: QueryContext) -> Numbers:
    """Return all user extensions (``all.ext.get``)."""
    return _numbers(extension.num for extension in asked.all("extensions", Extension))


def all_registered(asked: QueryContext) -> Numbers:
    """Return all user extensions with a registered phone (``all.registered.get``)."""
    return _numbers(
        extension.num for extension in asked.all("extensions", Extension) if extension.registered
    )


def all_groups(asked: QueryContext) -> Numbers:
    """Return all ring groups (``all.group.get``)."""
    return _numbers(group.num for group in asked.all("groups", RingGroup))


def all_queues(asked: QueryContext) -> Numbers:
    """Return all call queues (``all.queue.get``)."""
    return _numbers(queue.num for queue in asked.all("queues", Queue))


def all_ivrs(asked: QueryContext) -> Numbers:
    """Return all digital receptionists (``all.ivr.get``)."""
    return _numbers(ivr.num for ivr in asked.all("ivrs", Ivr))


def all_lines(asked: QueryContext) -> Numbers:
    """Return all trunks (``all.line.get``)."""
    return _numbers(line.num for line in asked.all("lines", Line))


def all_extgroups(asked: QueryContext) -> ExtensionGroups:
    """Return the names of all extension groups (``all.extgroup.get``)."""
    return ExtensionGroups(
        tuple(sorted(group.name for group in asked.all("extgroups", ExtensionGroup)))
    )


def extension_info(asked: QueryContext) -> ExtensionInfo:
    """Return an extension's information fields (``ext.info.get``). Raises UnknownExtension."""
    ext = _extension(asked)
    return ExtensionInfo(
        num=ext.num,
        name=ext.name,
        lastname=ext.lastname,
        email=ext.email,
        firstname=ext.name,
        mobile=ext.mobile,
        authid=ext.authid,
        callerid=ext.callerid,
        enabled=ext.enabled,
        deliveraudio=ext.deliveraudio,
        recordcalls=ext.recordcalls,
        sipid=ext.sipid,
        reinvite=ext.reinvite,
        replaces=ext.replaces,
        vmemail=ext.vmemail,
        vmenabled=ext.vmenabled,
        vmplaycallerid=ext.vmplaycallerid,
        vmplaydatetime=ext.vmplaydatetime,
        internal=ext.internal,
        noanswertimeout=ext.noanswertimeout,
        queues=in_order(ext.queues),
        groups=in_order(ext.groups),
        extgroups=tuple(sorted(ext.extgroups)),
    )


def extension_state(asked: QueryContext) -> ExtensionState:
    """Return an extension's registration, status and logins (``ext.state.get``).

    Raises UnknownExtension.
    """
    ext = _extension(asked)
    return ExtensionState(
        ext.num, ext.registered, ext.status, ext.fwd_name, ext.q_global_status, ext.q_status
    )


def queue_members(asked: QueryContext) -> Numbers:
    """Return all agents of the queue (``queue.members.get``). Raises UnknownQueue."""
    return _as_listed(agent.num for agent in _queue(asked).agents)


def queue_managers(asked: QueryContext) -> Numbers:
    """Return all managers of the queue (``queue.managers.get``). Raises UnknownQueue."""
    return _as_listed(_queue(asked).managers)


def queue_free(asked: QueryContext) -> Numbers:
    """Return the agents who are ready to take a call (``queue.free.get``). Raises UnknownQueue."""
    queue = _queue(asked)
    return _as_listed(
        agent.num for agent in _agents(asked, queue) if _takes_calls_of(agent, queue.num)
    )


def queue_talk(asked: QueryContext) -> Numbers:
    """Return the agents who are in a conversation (``queue.talk.get``). Raises UnknownQueue."""
    return _as_listed(agent.num for agent in _agents(asked, _queue(asked)) if _talks(agent))


def queue_isfree(asked: QueryContext) -> Result:
    """Return whether an agent is ready to take a call (``queue.isfree.get``).

    Raises UnknownQueue.
    """
    queue = _queue(asked)
    return Result(any(_takes_calls_of(agent, queue.num) for agent in _agents(asked, queue)))


def group_members(asked: QueryContext) -> Numbers:
    """Return all members of the ring group (``group.members.get``). Raises UnknownGroup."""
    return _as_listed(_group(asked).members)


def group_free(asked: QueryContext) -> Numbers:
    """Return the members that the ring group can ring now (``group.free.get``).

    Raises UnknownGroup.
    """
    members = _extensions(asked, _group(asked).members)
    return _as_listed(
        member.num
        for member in members
        if member.registered
        and member.status == "Free"
        and member.enabled != 0
        and member.in_ring_groups
    )


def extgroup_members(asked: QueryContext) -> Numbers:
    """Return the extensions of the extension group (``extgroup.members.get``).

    Raises UnknownExtgroup.
    """
    group = asked.named("extgroups", ExtensionGroup, UnknownExtgroup, "extension group", "name")
    return _numbers(group.members)


def _extension(asked: QueryContext) -> Extension:
    return asked.named("extensions", Extension, UnknownExtension, "extension")


def _queue(asked: QueryContext) -> Queue:
    return asked.named("queues", Queue, UnknownQueue, "queue")


def _group(asked: QueryContext) -> RingGroup:
    return asked.named("groups", RingGroup, UnknownGroup, "ring group")


def _agents(asked: QueryContext, queue: Queue) -> list[Extension]:
    return _extensions(asked, (agent.num for agent in queue.agents))


def _extensions(asked: QueryContext, numbers: Iterable[str]) -> list[Extension]:
    found = (asked.one("extensions", Extension, number) for number in numbers)
    return [extension for extension in found if extension is not None]


def _takes_calls_of(agent: Extension, queue: str) -> bool:
    return agent.available and all(
        login.status != "LoggedOut" for login in agent.q_status if login.num == queue
    )


def _talks(extension: Extension) -> bool:
    return any(talk.activity == "Talking" for talk in extension.talks)


def _numbers(numbers: Iterable[str]) -> Numbers:
    return Numbers(in_order(numbers))


def _as_listed(numbers: Iterable[str]) -> Numbers:
    """Return each number once, in the PBX's order: in it, a queue or group that hunts rings."""
    return Numbers(tuple(dict.fromkeys(numbers)))
