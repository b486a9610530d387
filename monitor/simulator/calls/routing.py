"""Find where a dialled number leads. Pure: it changes no call."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, TypeAlias

from monitor.simulator.calls.model import HOSTS, OperationRefused, Reason
from monitor.simulator.pbx_data.directory import Directory, Dn, DnKind

_OUTSIDE: Final = re.compile(r"\+?\d{6,}")


@dataclass(frozen=True, slots=True)
class ToPhones:
    """Ring phones. ``group``: the ring group that they belong to; empty if none."""

    phones: tuple[Dn, ...]
    group: str = ""


@dataclass(frozen=True, slots=True)
class ToOutside:
    """Call a number outside over a trunk."""

    trunk: Dn
    number: str


@dataclass(frozen=True, slots=True)
class ToHost:
    """Connect the caller to a queue, a menu, voicemail or a conference."""

    host: Dn


Route: TypeAlias = ToPhones | ToOutside | ToHost


class Router:
    """Resolve numbers. ``busy`` returns whether an extension is in a call."""

    def __init__(self, directory: Directory, busy: Callable[[str], bool]) -> None:
        self._directory = directory
        self._busy = busy
        self._special: dict[DnKind, Dn | None] = {}
        directory.on_change(lambda _: self._special.clear())

    def resolve(self, destination: str, there: Collection[str] = (), trunk: str = "") -> Route:
        """Return where a number leads for a call in which the DNs ``there`` have legs.

        ``trunk``: the trunk for a call to the outside; empty: the first that is not in the call.
        Voicemail answers for an extension that is busy, disabled or without a phone, if it has a
        mailbox. Raises OperationRefused if the number leads nowhere.
        """
        if destination in there:
            raise OperationRefused("RoutingLoopDetected", f"{destination} is in the call already")
        dn = self._directory.dn(destination)
        if dn is None:
            return self._outside(destination, there, trunk)
        if dn.kind == "extension":
            return self._extension(dn, there)
        if dn.kind == "ringgroup":
            return self._group(dn, there)
        if dn.kind == "routepoint":
            return ToPhones((dn,))
        if dn.kind in HOSTS or dn.kind == "conference":
            return ToHost(dn)
        raise OperationRefused("UnknownDestination", f"{destination} cannot be called")

    def special(self, kind: DnKind) -> Dn | None:
        """Return the PBX's only DN of a kind, or None. Examples: its conference, its voicemail."""
        if kind not in self._special:
            self._special[kind] = next(
                (dn for dn in self._directory.dns() if dn.kind == kind), None
            )
        return self._special[kind]

    def phone(self, number: str) -> Dn:
        """Return an extension that can be rung. Raises OperationRefused if it cannot."""
        dn = self._directory.dn(number)
        if dn is None or dn.kind != "extension":
            raise OperationRefused("UnknownDestination", f"{number} is not an extension")
        if not self._directory.devices(number):
            raise OperationRefused("DestinationIsNotRegistered", f"{number} has no phone")
        return dn

    def _extension(self, dn: Dn, there: Collection[str]) -> Route:
        user = self._directory.entity(dn.number)
        absent = not self._directory.devices(dn.number)
        if user is not None and user["Enabled"] and not absent and not self._busy(dn.number):
            return ToPhones((dn,))
        voicemail = self.special("specialmenu")
        if (
            voicemail is not None
            and voicemail.number not in there
            and user is not None
            and user["VMEnabled"]
        ):
            return ToHost(voicemail)
        reason: Reason = "DestinationIsNotRegistered" if absent else "DestinationBusy"
        raise OperationRefused(
            reason, f"{dn.number} {'has no phone' if absent else 'is busy'}, and no mailbox"
        )

    def _group(self, dn: Dn, there: Collection[str]) -> Route:
        members = (
            self._directory.dn(number)
            for number in self._directory.rung_members(dn.number)
            if number not in there
        )
        free = tuple(
            m
            for m in members
            if m and self._directory.devices(m.number) and not self._busy(m.number)
        )
        if not free:
            raise OperationRefused(
                "DestinationIsNotReachable", f"nobody of ring group {dn.number} can be rung"
            )
        return ToPhones(free, dn.number)

    def _outside(self, number: str, there: Collection[str], trunk: str) -> Route:
        if not _OUTSIDE.fullmatch(number):
            raise OperationRefused("UnknownDestination", f"{number} is not a number")
        trunks = [trunk] if trunk else self._directory.trunk_numbers()
        dn = next(
            (dn for name in trunks if name not in there and (dn := self._directory.dn(name))), None
        )
        if dn is None:
            raise OperationRefused("DestinationIsNotReachable", "no trunk is left for the call")
        return ToOutside(dn, number)
