"""Represent the simulated PBX's numbers and the telephones registered at them. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

DnKind: TypeAlias = Literal[
    "extension",
    "queue",
    "ringgroup",
    "ivr",
    "externalline",
    "routepoint",
    "conference",
    "specialmenu",
    "parking",
    "fax",
]


@dataclass(frozen=True, slots=True)
class Dn:
    """Represent a number of the PBX.

    ``name`` is the name that the PBX shows; an extension's is ``Last, First``.
    """

    number: str
    kind: DnKind
    name: str
    id: int


@dataclass(frozen=True, slots=True)
class Device:
    """Represent a telephone or app registered at an extension, or the device of a route point.

    ``device_id`` is its SIP contact.
    """

    dn: str
    device_id: str
    user_agent: str

    @property
    def on_desk(self) -> bool:
        """Return whether it is a desk phone. A computer can tell these to answer (uaCSTA)."""
        return self.user_agent.startswith(("Yealink", "Fanvil"))
