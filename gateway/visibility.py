"""Decide what a key may see: one rule for queries and stream. Pure.

A key without limits sees everything. A key may be limited to extensions, queues, ring groups, or
several of these. Then it sees

- the extensions, queues and ring groups that are listed. If nothing is listed for a kind, none
  of that kind is seen.
- calls, running and ended, in which a listed extension has a leg or that went through a listed
  queue or ring group.
- the ``system``, the summary of the PBX without its counts, and the day's statistics of those
  extensions and queues.
- no lines, IVRs, extension groups or contacts, and no statistics of the whole PBX.

A key without the scope ``contacts``, limited or not, sees no extension's e-mail address, mobile
number and SIP authentication id: they are empty for it.

A visible call is shown whole, even if others take part in it. But who returned a missed call is
shown only if that extension is listed, as it did so in another call. In everything else lists hold
only what is visible. So a limited key never learns of an extension, queue or group because a
visible one belongs to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar, cast

import msgspec

from monitor.shared.entities.pbx_summary import PbxSummary
from monitor.shared.entities.statistics import (
    EXTENSION_STATS,
    QUEUE_STATS,
    ExtensionStats,
    QueueStats,
)
from monitor.shared.entities.topics import (
    BOOK_TOPICS,
    TOPICS,
    Call,
    EndedCall,
    Entity,
    Extension,
    Queue,
    RingGroup,
    System,
)

LIMITED_TOPICS = (
    "system",
    "calls",
    "extensions",
    "queues",
    "groups",
    "ended",
    QUEUE_STATS,
    EXTENSION_STATS,
)
"""Topics of which a limited key may see anything."""

EntityT = TypeVar("EntityT", bound=Entity)


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold the extensions, queues and ring groups, by number, to which a key is limited.

    None: nothing is said of that kind. If all three are None there are no limits. Otherwise None
    counts as empty, so that a key limited to two extensions does not see every queue.
    """

    extensions: frozenset[str] | None = None
    queues: frozenset[str] | None = None
    groups: frozenset[str] | None = None

    @property
    def any(self) -> bool:
        """Return whether there is any limit."""
        return not (self.extensions is None and self.queues is None and self.groups is None)


LONGEST_NUMBER: Final = 64


def is_number(text: str) -> bool:
    """Return whether an extension, queue or ring group can have this number: digits alone."""
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Visibility:
    """Represent what may be seen under ``limits``. Views with equal visibilities share frames.

    It is hashable. ``contacts``: whether people's own addresses and numbers may be seen too.
    ``pbxs``: the PBXs whose summaries may be seen. They are given only where summaries are asked
    for, so that keys for one PBX and for several share the frames of all else.
    """

    limits: Limits = NO_LIMITS
    contacts: bool = True
    pbxs: frozenset[str] = frozenset()

    @property
    def topics(self) -> tuple[str, ...]:
        """Return the topics of which anything may be seen.

        Contacts are among them, but also need the scope ``contacts``.
        """
        return LIMITED_TOPICS if self.limits.any else (*TOPICS, *BOOK_TOPICS)

    def visible(self, topic: str, entity: Entity) -> bool:
        """Return whether this entity of ``topic`` may be seen at all.

        The result depends on this entity alone.
        """
        if isinstance(entity, PbxSummary):
            return entity.name in self.pbxs
        if not self.limits.any:
            return True
        if topic not in LIMITED_TOPICS:
            return False
        match entity:
            case System():
                return True
            case Extension() | ExtensionStats():
                return entity.num in _listed(self.limits.extensions)
            case Queue() | QueueStats():
                return entity.num in _listed(self.limits.queues)
            case RingGroup():
                return entity.num in _listed(self.limits.groups)
            case Call() | EndedCall():
                return (
                    not _listed(self.limits.extensions).isdisjoint(entity.extensions)
                    or not _listed(self.limits.queues).isdisjoint(entity.queues)
                    or not _listed(self.limits.groups).isdisjoint(entity.groups)
                )
            case _:
                return False

    def redact(self, topic: str, entity: EntityT) -> EntityT:
        """Return a visible entity as it may be shown.

        Its lists hold visible items only, and people's own addresses are empty unless allowed.
        It is the entity itself where nothing is hidden.
        """
        if not self.contacts and isinstance(entity, Extension):
            entity = msgspec.structs.replace(entity, email="", mobile="", authid="")
        if self.limits.any and isinstance(entity, PbxSummary):
            return cast(EntityT, _without_counts(entity))
        if not self.limits.any or topic not in LIMITED_TOPICS:
            return entity
        return cast(EntityT, self._redacted(entity))

    def shown(self, topic: str, entity: EntityT) -> EntityT | None:
        """Return the entity as it may be shown, or None if it may not be seen."""
        return self.redact(topic, entity) if self.visible(topic, entity) else None

    def _redacted(self, entity: Entity) -> Entity:
        extensions = _listed(self.limits.extensions)
        queues = _listed(self.limits.queues)
        match entity:
            case Extension():  # its status stays: every call in which it has a leg is visible
                return msgspec.structs.replace(
                    entity,
                    q_status=tuple(login for login in entity.q_status if login.num in queues),
                    queues=_only(entity.queues, queues),
                    groups=_only(entity.groups, _listed(self.limits.groups)),
                    extgroups=(),
                )
            case Queue():  # its waiting calls stay: a call in a visible queue is visible
                return msgspec.structs.replace(
                    entity,
                    agents=tuple(agent for agent in entity.agents if agent.num in extensions),
                    managers=_only(entity.managers, extensions),
                    logged_in=_only(entity.logged_in, extensions),
                )
            case RingGroup():
                return msgspec.structs.replace(entity, members=_only(entity.members, extensions))
            case EndedCall() if entity.returned_by not in extensions:  # that was another call
                return msgspec.structs.replace(entity, returned_by="")
            case _:
                return entity


def _without_counts(pbx: PbxSummary) -> PbxSummary:
    """Return what a limited key may see of a PBX as a whole: what its ``system`` tells, too."""
    kept = tuple(alarm for alarm in pbx.alarms if alarm == "connection")
    return PbxSummary(
        *(pbx.name, pbx.connection, pbx.since, pbx.reason, pbx.version, pbx.licence_limit),
        alarms=kept,
    )


EVERYTHING = Visibility()
"""The view of a key without limits on one PBX."""


def _listed(numbers: frozenset[str] | None) -> frozenset[str]:
    return numbers if numbers is not None else frozenset()


def _only(numbers: tuple[str, ...], listed: frozenset[str]) -> tuple[str, ...]:
    return tuple(number for number in numbers if number in listed)
