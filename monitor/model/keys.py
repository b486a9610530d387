"""Names of the keys and channels on Redis.

All keys of a PBX share a hash tag, so that on a Cluster they live on one node and fit in one transaction. A *space*
is a history of its own: ``live`` (calls, extensions, queues …) and ``book`` (contacts).

========================================= ======= ==============================================================
``callmon:{pbx}:lease``                   string  name of the monitor that may write, with expiry
``callmon:{pbx}:<space>:position``        hash    ``epoch``, ``seq``, ``id`` of the last publish, ``at`` heartbeat
``callmon:{pbx}:<space>:state:<topic>``   hash    entity's id → entity, msgpack
``callmon:{pbx}:<space>:log``             stream  recent changes; a change's entry id is ``<seq>-0``, field ``change``
``callmon:{pbx}:<space>``                 channel announcements
========================================= ======= ==============================================================

The position has one more field, ``seen``: a follower who finds the store at an older epoch than his own (it was rolled
back) leaves his epoch's name there, so that the writer, who may not know it, starts a newer one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from monitor.model.entities import BOOK_TOPICS, TOPICS, Entity

Space: TypeAlias = Literal["live", "book"]

SPACES: dict[Space, dict[str, type[Entity]]] = {"live": TOPICS, "book": BOOK_TOPICS}


@dataclass(frozen=True, slots=True)
class Keys:
    """The names for one space of one PBX."""

    pbx: str
    space: Space

    @property
    def topics(self) -> dict[str, type[Entity]]:
        """The topics of this space."""
        return SPACES[self.space]

    @property
    def lease(self) -> str:
        """Shared by all spaces of the PBX."""
        return f"callmon:{{{self.pbx}}}:lease"

    @property
    def position(self) -> str:
        """The position key: every publish is a compare-and-set on it."""
        return f"callmon:{{{self.pbx}}}:{self.space}:position"

    @property
    def log(self) -> str:
        """The bounded log of recent changes."""
        return f"callmon:{{{self.pbx}}}:{self.space}:log"

    @property
    def channel(self) -> str:
        """Where changes and heartbeats are announced."""
        return f"callmon:{{{self.pbx}}}:{self.space}"

    def state(self, topic: str) -> str:
        """The hash that holds a topic's entities."""
        return f"callmon:{{{self.pbx}}}:{self.space}:state:{topic}"
