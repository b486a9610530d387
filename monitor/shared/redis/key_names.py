"""Name the keys and channels on Redis.

All keys of a PBX share a hash tag, so that on a Cluster they live on one node and fit in one
transaction. A *space* is a history of its own: ``live`` (calls, extensions, queues …) and ``book``
(contacts).

======================================= ======= ====================================================
``callmon:{pbx}:lease``                 string  name of the monitor that may write, with expiry
``callmon:{pbx}:figures``               string  the day's statistics, msgpack
``callmon:{pbx}:directory``             string  the PBX's directory as last read, msgpack
``callmon:{pbx}:<space>:position``      hash    ``epoch``, ``seq``, ``id`` of the last publish;
                                                ``at``: heartbeat
``callmon:{pbx}:<space>:seen``          string  the newest epoch that a follower has seen, if it
                                                is newer than the position's
``callmon:{pbx}:<space>:state:<topic>`` hash    entity's id → entity, msgpack
``callmon:{pbx}:<space>:log``           stream  recent changes; the entry id is ``<seq>-0``, the
                                                field ``change``
``callmon:{pbx}:live:found``            hash    calls that ended, by id, msgpack: a monitor that
                                                led before offers them to the leader, with expiry
``callmon:{pbx}:<space>``               channel announcements
``callmon:{pbx}:requests``              channel commands for the leading monitor
``callmon:{pbx}:request:<id>``          string  ``open`` until its deadline; then the name of the
                                                monitor that claimed it, or ``refused``
``callmon:{pbx}:result:<id>``           string  its outcome, msgpack, with expiry
``callmon:{pbx}:once:<digest>``         string  the request made under an Idempotency-Key, for a day
``callmon:{pbx}:replies:<gateway>``     channel tells a gateway: request claimed, result stored,
                                                position reached
``callmon:{pbx}:reached``               channel asks all gateways to tell when they reach a position
``callmon:{pbx}:keys``                  hash    API key's name → key (its digest), msgpack; revoked
                                                ones too
``callmon:{pbx}:keys:kept``             hash    API key's name → its change in the monitor's file
``callmon:{pbx}:keys:ready``            string  exists if the table of keys is whole
``callmon:{pbx}:keys:changed``          channel tells that a key was changed, or stored in the file
``callmon:{pbx}:records``               stream  commands' records for the other monitors; the field
                                                is ``record``
``callmon:{pbx}:records:generation``    string  changes whenever a new stream was begun
``callmon:{pbx}:records:mirrored``      hash    monitor → how far it has read the stream, and a
                                                count that moves
``callmon:{pbx}:ticket:<digest>``       string  the key for which a ticket stands, authenticated,
                                                with expiry
``callmon:{pbx}:spent:<kind>:<digest>`` string  requests that an API key made in this minute, with
                                                expiry
``callmon:{site}:processes``            set     ids of the monitors and gateways that run, with
                                                expiry
``callmon:{site}:process:<id>``         string  what one of them told of itself last, msgpack, with
                                                expiry
``callmon:{site}:monitors``             set     ids of the monitors that live, with expiry
``callmon:{site}:monitor:<id>``         string  a monitor's name, weight and PBXs, msgpack, with
                                                expiry: its sign of life for the other monitors
======================================= ======= ====================================================

``site`` is a literal word there: a process tells of itself once, for all its PBXs together.

A follower may find the store at an older epoch than its own: the store was rolled back. It then
writes the name of its epoch to ``seen``. So the writer, which may not know that epoch, starts a
newer one. ``seen`` is a key of its own, so that gateways need no right to write the position.

The id of a process begins with its program, ``monitor/`` or ``gateway/``: each of the two users of
Redis may write only the reports of its own program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS, Entity

RedisCommand: TypeAlias = tuple[str | bytes | int, ...]
"""The words of a Redis command, as Redis' documentation spells them."""

Space: TypeAlias = Literal["live", "book"]

SPACES: dict[Space, dict[str, type[Entity]]] = {"live": TOPICS, "book": BOOK_TOPICS}


@dataclass(frozen=True, slots=True)
class SpaceKeys:
    """Name the keys of one space of one PBX."""

    pbx: str
    space: Space

    @property
    def topics(self) -> dict[str, type[Entity]]:
        """Return the topics of this space."""
        return SPACES[self.space]

    @property
    def lease(self) -> str:
        """Return the key of the lease, which all spaces of the PBX share."""
        return f"callmon:{{{self.pbx}}}:lease"

    @property
    def statistics(self) -> str:
        """Return the key of the day's statistics, for the next monitor."""
        return f"callmon:{{{self.pbx}}}:figures"

    @property
    def directory(self) -> str:
        """Return the key of the PBX's directory, for the next monitor."""
        return f"callmon:{{{self.pbx}}}:directory"

    @property
    def found(self) -> str:
        """Return the key of the ended calls that another monitor offers to the leader."""
        return f"callmon:{{{self.pbx}}}:live:found"

    @property
    def position(self) -> str:
        """Return the key of the position: every publish is a compare-and-set on it."""
        return f"callmon:{{{self.pbx}}}:{self.space}:position"

    @property
    def seen(self) -> str:
        """Return the key of the newest epoch that a follower has seen."""
        return f"callmon:{{{self.pbx}}}:{self.space}:seen"

    @property
    def log(self) -> str:
        """Return the key of the bounded log of recent changes."""
        return f"callmon:{{{self.pbx}}}:{self.space}:log"

    @property
    def channel(self) -> str:
        """Return the channel on which changes and heartbeats are announced."""
        return f"callmon:{{{self.pbx}}}:{self.space}"

    def state(self, topic: str) -> str:
        """Return the key of the hash that holds a topic's entities."""
        return f"callmon:{{{self.pbx}}}:{self.space}:state:{topic}"


@dataclass(frozen=True, slots=True)
class RequestKeys:
    """Name the keys of commands on their way to one PBX and back."""

    pbx: str

    @property
    def requests(self) -> str:
        """Return the channel on which the leading monitor listens."""
        return f"callmon:{{{self.pbx}}}:requests"

    @property
    def reached(self) -> str:
        """Return the channel on which the gateways listen for each other."""
        return f"callmon:{{{self.pbx}}}:reached"

    def request(self, id_: str) -> str:
        """Return the key that tells which monitor has claimed a request."""
        return f"callmon:{{{self.pbx}}}:request:{id_}"

    def result(self, id_: str) -> str:
        """Return the key of a request's outcome."""
        return f"callmon:{{{self.pbx}}}:result:{id_}"

    def once(self, digest: str) -> str:
        """Return the key of the request that was made under an Idempotency-Key."""
        return f"callmon:{{{self.pbx}}}:once:{digest}"

    def replies(self, gateway: str) -> str:
        """Return the channel of notifications to a gateway."""
        return f"callmon:{{{self.pbx}}}:replies:{gateway}"


@dataclass(frozen=True, slots=True)
class RecordKeys:
    """Name the keys of one PBX's command records, by which monitors know what others did."""

    pbx: str

    @property
    def log(self) -> str:
        """Return the key of the records, a bounded stream."""
        return f"callmon:{{{self.pbx}}}:records"

    @property
    def generation(self) -> str:
        """Return the key whose value tells this stream from one before it."""
        return f"callmon:{{{self.pbx}}}:records:generation"

    @property
    def mirrored(self) -> str:
        """Return the key that tells how far each monitor has read."""
        return f"callmon:{{{self.pbx}}}:records:mirrored"


@dataclass(frozen=True, slots=True)
class AccessKeys:
    """Name the keys of one PBX's API keys."""

    pbx: str

    @property
    def table(self) -> str:
        """Return the key of the table of all API keys."""
        return f"callmon:{{{self.pbx}}}:keys"

    @property
    def kept(self) -> str:
        """Return the key that tells which changes are in the monitor's file."""
        return f"callmon:{{{self.pbx}}}:keys:kept"

    @property
    def ready(self) -> str:
        """Return the key that exists if the table is whole."""
        return f"callmon:{{{self.pbx}}}:keys:ready"

    @property
    def channel(self) -> str:
        """Return the channel that tells of changed keys."""
        return f"callmon:{{{self.pbx}}}:keys:changed"

    def ticket(self, digest: str) -> str:
        """Return the key that tells for which API key a ticket stands."""
        return f"callmon:{{{self.pbx}}}:ticket:{digest}"

    def spent(self, kind: str, digest: str) -> str:
        """Return the key that tells how much of a budget is spent, or leased to gateways."""
        return f"callmon:{{{self.pbx}}}:spent:{kind}:{digest}"


SITE = "site"
"""Used in place of a PBX's name: as the argument for a client, and as the hash tag of the names
below."""
PROCESSES = f"callmon:{{{SITE}}}:processes"
"""The set of the processes that run."""


def process_key(id_: str) -> str:
    """Return the key of what this process told of itself."""
    return f"callmon:{{{SITE}}}:process:{id_}"


MONITORS = f"callmon:{{{SITE}}}:monitors"
"""The set of the monitors that live, which share the PBXs among them. No gateway writes it."""


def monitor_key(id_: str) -> str:
    """Return the key of a monitor's sign of life for the other monitors."""
    return f"callmon:{{{SITE}}}:monitor:{id_}"
