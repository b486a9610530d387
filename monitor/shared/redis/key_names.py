"""Names of the keys and channels on Redis.

All keys of a PBX share a hash tag, so that on a Cluster they live on one node and fit in one transaction. A *space*
is a history of its own: ``live`` (calls, extensions, queues …) and ``book`` (contacts).

========================================= ======= ==============================================================
``callmon:{pbx}:lease``                   string  name of the monitor that may write, with expiry
``callmon:{pbx}:figures``                 string  what is counted of the day, msgpack
``callmon:{pbx}:directory``               string  the PBX's directory as last read, msgpack
``callmon:{pbx}:<space>:position``        hash    ``epoch``, ``seq``, ``id`` of the last publish, ``at`` heartbeat
``callmon:{pbx}:<space>:state:<topic>``   hash    entity's id → entity, msgpack
``callmon:{pbx}:<space>:log``             stream  recent changes; a change's entry id is ``<seq>-0``, field ``change``
``callmon:{pbx}:<space>``                 channel announcements
``callmon:{pbx}:requests``                channel commands for the leading monitor
``callmon:{pbx}:request:<id>``            string  ``open`` until its deadline; then whoever claimed or refused it
``callmon:{pbx}:result:<id>``             string  its outcome, msgpack, with expiry
``callmon:{pbx}:once:<digest>``           string  the request made under an Idempotency-Key, for a day
``callmon:{pbx}:replies:<gateway>``       channel doorbell: request claimed, result there, position reached
``callmon:{pbx}:reached``                 channel asks all gateways to tell when a position is reached
``callmon:{pbx}:keys``                    hash    API key's name → key (its digest), msgpack; revoked ones too
``callmon:{pbx}:keys:kept``               hash    API key's name → its change that stands in the monitor's file
``callmon:{pbx}:keys:ready``              string  there if the table of keys is whole
``callmon:{pbx}:keys:changed``            channel doorbell: a key was changed, or is kept
``callmon:{pbx}:records``                 stream  commands' records for the other monitors, field ``record``
``callmon:{pbx}:records:generation``      string  another one whenever the stream was begun anew
``callmon:{pbx}:records:mirrored``        hash    monitor → how far it has read the stream, and a count that moves
``callmon:{pbx}:ticket:<digest>``         string  the key for which a ticket stands, with expiry
``callmon:{pbx}:spent:<kind>:<digest>``   string  requests that an API key made in this minute, with expiry
``callmon:{site}:processes``              set     ids of the monitors and gateways that run, with expiry
``callmon:{site}:process:<id>``           string  what one of them told of itself last, msgpack, with expiry
========================================= ======= ==============================================================

``site`` stands for itself there: a process tells of itself once, however many PBXs it is for.

The position has one more field, ``seen``: a follower who finds the store at an older epoch than his own (it was rolled
back) leaves his epoch's name there, so that the writer, who may not know it, starts a newer one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS, Entity

RedisCommand: TypeAlias = tuple[str | bytes | int, ...]
"""A Redis command's words, as its documentation spells them."""

Space: TypeAlias = Literal["live", "book"]

SPACES: dict[Space, dict[str, type[Entity]]] = {"live": TOPICS, "book": BOOK_TOPICS}


@dataclass(frozen=True, slots=True)
class SpaceKeys:
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
    def figures(self) -> str:
        """What is counted of the day, for the next monitor."""
        return f"callmon:{{{self.pbx}}}:figures"

    @property
    def directory(self) -> str:
        """The PBX's directory, for the next monitor."""
        return f"callmon:{{{self.pbx}}}:directory"

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


@dataclass(frozen=True, slots=True)
class RequestKeys:
    """The names for commands on their way to one PBX and back."""

    pbx: str

    @property
    def requests(self) -> str:
        """Where the leading monitor listens."""
        return f"callmon:{{{self.pbx}}}:requests"

    @property
    def reached(self) -> str:
        """Where the gateways listen for each other."""
        return f"callmon:{{{self.pbx}}}:reached"

    def request(self, id_: str) -> str:
        """Tells who has a request in hand."""
        return f"callmon:{{{self.pbx}}}:request:{id_}"

    def result(self, id_: str) -> str:
        """Holds a request's outcome."""
        return f"callmon:{{{self.pbx}}}:result:{id_}"

    def once(self, digest: str) -> str:
        """Holds the request that was made under an Idempotency-Key."""
        return f"callmon:{{{self.pbx}}}:once:{digest}"

    def replies(self, gateway: str) -> str:
        """A gateway's doorbell."""
        return f"callmon:{{{self.pbx}}}:replies:{gateway}"


@dataclass(frozen=True, slots=True)
class RecordKeys:
    """The names for the records of one PBX's commands, by which monitors know what others did."""

    pbx: str

    @property
    def log(self) -> str:
        """The records, a bounded stream."""
        return f"callmon:{{{self.pbx}}}:records"

    @property
    def generation(self) -> str:
        """Tells this stream from one before it."""
        return f"callmon:{{{self.pbx}}}:records:generation"

    @property
    def mirrored(self) -> str:
        """How far each monitor has read."""
        return f"callmon:{{{self.pbx}}}:records:mirrored"


@dataclass(frozen=True, slots=True)
class AccessKeys:
    """The names for one PBX's API keys."""

    pbx: str

    @property
    def table(self) -> str:
        """All keys."""
        return f"callmon:{{{self.pbx}}}:keys"

    @property
    def kept(self) -> str:
        """Which changes are in the monitor's file."""
        return f"callmon:{{{self.pbx}}}:keys:kept"

    @property
    def ready(self) -> str:
        """There if the table is whole."""
        return f"callmon:{{{self.pbx}}}:keys:ready"

    @property
    def channel(self) -> str:
        """The doorbell."""
        return f"callmon:{{{self.pbx}}}:keys:changed"

    def ticket(self, digest: str) -> str:
        """For which key this ticket stands."""
        return f"callmon:{{{self.pbx}}}:ticket:{digest}"

    def spent(self, kind: str, digest: str) -> str:
        """How much of a key's budget is spent, or leased to gateways."""
        return f"callmon:{{{self.pbx}}}:spent:{kind}:{digest}"


SITE = "site"
"""In place of a PBX's name: for whose keys a client is asked, and the hash tag of the names below."""
PROCESSES = f"callmon:{{{SITE}}}:processes"
"""Which processes run."""


def process_key(id_: str) -> str:
    """What this process told of itself."""
    return f"callmon:{{{SITE}}}:process:{id_}"
