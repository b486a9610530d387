"""Define the statistics of the day: entities like others, always sent whole.

Durations are seconds, to the tenth.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

QUEUE_STATS = "queuestats"
EXTENSION_STATS = "extstats"
PBX_STATS = "pbxstats"
PBX_ID = "pbx"


class Durations(Struct, frozen=True, rename="camel"):
    """Durations in seconds, to the tenth. ``average`` and ``longest`` are null while there is none.

    ``count``: how many durations are known. What nobody saw from beginning to end is counted
    elsewhere, but not timed.
    """

    count: int
    total: float
    average: float | None
    longest: float | None


class QueueStats(Struct, frozen=True, rename="camel"):
    """A queue's day. Topic ``queuestats``; the id is the queue's number.

    A caller counts once for each time that the call comes into the queue. ``offered`` =
    ``answered`` + ``abandoned`` + ``shortAbandoned`` + ``diverted`` + ``unknown`` + ``waiting``.
    """

    num: str
    date: str
    """The day at the PBX, ``2026-03-29``."""
    target: int
    """Seconds within which a call should be answered."""
    short_below: int
    """Seconds. A caller who gives up earlier counts as a short abandon."""
    offered: int
    answered: int
    answered_in_target: int
    abandoned: int
    """Callers who gave up waiting, without the short abandons."""
    short_abandoned: int
    diverted: int
    """Callers who left the queue for another destination, unanswered."""
    unknown: int
    """Callers whose wait ended unseen: the monitor or its PBX was away, and nothing tells of an
    answer."""
    waiting: int
    """Callers who came in today and wait now."""
    service_level: float | None
    """Percent, to the tenth: ``answeredInTarget`` divided by the callers that count. These are
    ``offered`` without ``shortAbandoned``, without those who wait and are not yet beyond the
    target, and without those whose wait or its end nobody saw. Null if no caller counts."""
    waits: Durations
    """Waits of answered callers, from coming into the queue to the answer."""
    abandons: Durations
    """Waits of callers who abandoned, from coming into the queue to giving up."""
    talks: Durations
    """Talks of answered callers, from the answer to the call's end or the next queue. Calls that
    still go on are not included."""


class ExtensionStats(Struct, frozen=True, rename="camel"):
    """An extension's day. Topic ``extstats``; the id is the extension's number.

    A call counts once, however often it rings there. ``offered`` (the calls that rang there) =
    ``answered`` + ``abandoned`` + ``shortAbandoned`` + ``missed`` + ``elsewhere`` + ``unknown`` +
    ``ringing``.
    """

    num: str
    date: str
    """The day at the PBX, ``2026-03-29``."""
    target: int
    """Seconds within which a call should be answered."""
    short_below: int
    """Seconds. A caller who gives up earlier counts as a short abandon."""
    offered: int
    answered: int
    answered_in_target: int
    abandoned: int
    """Calls whose caller gave up while it rang, without the short abandons."""
    short_abandoned: int
    missed: int
    """Calls that rang, were not taken, and went on elsewhere."""
    elsewhere: int
    """Calls that somebody else took while they rang."""
    unknown: int
    """Calls whose ringing ended unseen."""
    ringing: int
    """Calls that ring now."""
    service_level: float | None
    """Percent, to the tenth: ``answeredInTarget`` divided by the calls that count. These are
    ``offered`` without ``shortAbandoned``, without ``elsewhere``, without those that ring and are
    not yet beyond the target, and without those whose ringing or its end nobody saw. Null if no
    call counts."""
    waits: Durations
    """Ringing times of answered calls, from the first ring to the answer."""
    abandons: Durations
    """Ringing times of abandoned calls, from the first ring to giving up."""
    talks: Durations
    """Time that this extension was in each answered call. A talk that still goes on is not
    included."""
    queue_offered: int
    """Calls among ``offered`` that came from a queue."""
    queue_answered: int
    """Calls among ``answered`` that came from a queue."""
    placed: int
    """Calls that began here."""
    placed_answered: int
    placed_talks: Durations
    """The same as ``talks``, for placed calls that were answered."""


class Traffic(Struct, frozen=True, rename="camel"):
    """Calls of one direction, by how they ended. The words are those of ``ended`` calls.

    ``calls`` = ``answered`` + ``missed`` + ``abandoned`` + ``unanswered`` + ``unknown`` +
    ``handled`` + ``transferred`` + ``pending``.
    """

    calls: int
    answered: int
    missed: int
    abandoned: int
    unanswered: int
    unknown: int
    pending: int
    """Calls that go on and are not answered yet."""
    talks: Durations
    """From the answer to the end, for calls that are over."""
    handled: int = 0
    """Calls that a machine took: a fax, an app, voicemail that an extension called …"""
    transferred: int = 0
    """Consultations that were handed over before an answer."""


class PbxStats(Struct, frozen=True, rename="camel"):
    """The PBX's day. Topic ``pbxstats``; the only id is ``pbx``.

    A call counts on the day on which it began.
    """

    date: str
    """The day at the PBX, ``2026-03-29``."""
    zone: str
    """The PBX's time zone, an IANA name."""
    since: str
    """Local midnight, as an instant."""
    counted_since: str
    """Instant since which everything was counted; later than ``since`` if counting began during the
    day."""
    calls: int
    """Calls in all directions."""
    answered: int
    inbound: Traffic
    outbound: Traffic
    internal: Traffic
    peak: int
    """Most calls at the same time, including those that began before midnight."""
    peak_at: str | None
    """Instant at which ``peak`` was first reached; null if there was no call."""
    active: int = 0
    """Calls that go on now, also those that a subscriber's filter hides."""


StatisticsEntity: TypeAlias = QueueStats | ExtensionStats | PbxStats
