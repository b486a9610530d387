"""Numbers of the simulated PBX, and the telephones registered at them. Plain data."""

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
    """A number of the PBX. ``name`` as the PBX shows it; an extension's is ``Last, First``."""

    number: str
    kind: DnKind
    name: str
    id: int


@dataclass(frozen=True, slots=True)
class Device:
    """A registered telephone or app of an extension, or what stands for one at a route point.

    ``device_id`` is its SIP contact.
    """

    dn: str
    device_id: str
    user_agent: str

    @property
    def on_desk(self) -> bool:
        """Whether it is a desk phone, which a computer can tell to answer (uaCSTA)."""
        return self.user_agent.startswith(("Yealink", "Fanvil"))
