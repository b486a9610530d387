"""The figures of the day: entities like others, sent whole. Durations are seconds, to the tenth."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

QUEUE_STATS = "queuestats"
EXTENSION_STATS = "extstats"
PBX_STATS = "pbxstats"
PBX_ID = "pbx"


class Durations(Struct, frozen=True, rename="camel"):
    """Durations in seconds, to the tenth. ``average`` and ``longest`` are null while there is none.

    ``count``: how many are known; what nobody saw whole is counted elsewhere but not timed.
    """

    count: int
    total: float
    average: float | None
    longest: float | None


class QueueStats(Struct, frozen=True, rename="camel"):
    """A queue's day. Topic ``queuestats``, its id is the number.

    A caller counts once each time that he comes into the queue. ``offered`` = ``answered`` + ``abandoned`` +
    ``shortAbandoned`` + ``diverted`` + ``unknown`` + ``waiting``.
    """

    num: str
    date: str
    """The day at the PBX, ``2026-03-29``."""
    target: int
    """Seconds within which a call should be answered."""
    short_below: int
    """Seconds before which giving up is a short abandon."""
    offered: int
    answered: int
    answered_in_target: int
    abandoned: int
    """Gave up waiting; short abandons are apart."""
    short_abandoned: int
    diverted: int
    """Left the queue for another destination, unanswered."""
    unknown: int
    """Nobody saw how their wait ended: the monitor or its PBX was away, and nothing tells of an answer."""
    waiting: int
    """Came in today and wait now."""
    service_level: float | None
    """Percent, to the tenth: ``answeredInTarget`` of ``offered`` − ``shortAbandoned`` − those who wait and are not yet
    beyond the target − those whose wait or its end nobody saw. Null if that is nobody."""
    waits: Durations
    """Of those answered, from coming into the queue to the answer."""
    abandons: Durations
    """Of those abandoned, from coming into the queue to giving up."""
    talks: Durations
    """Of those answered, from the answer to the call's end or the next queue; calls that go on are not in it."""


class ExtensionStats(Struct, frozen=True, rename="camel"):
    """An extension's day. Topic ``extstats``, its id is the number.

    A call counts once, however often it rings there. ``offered`` (the calls that rang there) = ``answered`` +
    ``abandoned`` + ``shortAbandoned`` + ``missed`` + ``elsewhere`` + ``unknown`` + ``ringing``.
    """

    num: str
    date: str
    """The day at the PBX, ``2026-03-29``."""
    target: int
    """Seconds within which a call should be answered."""
    short_below: int
    """Seconds before which giving up is a short abandon."""
    offered: int
    answered: int
    answered_in_target: int
    abandoned: int
    """The caller gave up while it rang; short abandons are apart."""
    short_abandoned: int
    missed: int
    """It rang and was not taken, and the call went on."""
    elsewhere: int
    """Somebody else took it while it rang."""
    unknown: int
    """Nobody saw how the ringing ended."""
    ringing: int
    """Rings now."""
    service_level: float | None
    """Percent, to the tenth: ``answeredInTarget`` of ``offered`` − ``shortAbandoned`` − ``elsewhere`` − those that ring
    and are not yet beyond the target − those whose ringing or its end nobody saw. Null if that is none."""
    waits: Durations
    """Of those answered, from the first ring to the answer."""
    abandons: Durations
    """Of those abandoned, from the first ring to giving up."""
    talks: Durations
    """Of answered calls, how long this extension was in each; what it talks now is not in it."""
    queue_offered: int
    """Of ``offered``, those from a queue."""
    queue_answered: int
    """Of ``answered``, those from a queue."""
    placed: int
    """Calls that began here."""
    placed_answered: int
    placed_talks: Durations
    """Of placed calls that were answered, as ``talks``."""


class Traffic(Struct, frozen=True, rename="camel"):
    """Calls of one direction, by how they ended; the words are those of ``ended`` calls.

    ``calls`` = ``answered`` + ``missed`` + ``abandoned`` + ``unanswered`` + ``unknown`` + ``pending``.
    """

    calls: int
    answered: int
    missed: int
    abandoned: int
    unanswered: int
    unknown: int
    pending: int
    """Go on and are not answered yet."""
    talks: Durations
    """From the answer to the end, of calls that are over."""


class PbxStats(Struct, frozen=True, rename="camel"):
    """The PBX's day. Topic ``pbxstats``; the only id is ``pbx``. A call counts in the day in which it began."""

    date: str
    """The day at the PBX, ``2026-03-29``."""
    zone: str
    """The PBX's time zone, an IANA name."""
    since: str
    """Local midnight, as an instant."""
    counted_since: str
    """From when on all was counted: later than ``since`` if counting began within the day."""
    calls: int
    """Of all directions."""
    answered: int
    inbound: Traffic
    outbound: Traffic
    internal: Traffic
    peak: int
    """Most calls at the same time, those begun before midnight included."""
    peak_at: str | None
    """When that was first reached; null if there was no call."""
    active: int = 0
    """Calls that go on now, whatever a subscriber's filter lets through of them."""


Figure: TypeAlias = QueueStats | ExtensionStats | PbxStats
