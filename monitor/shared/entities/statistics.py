"""Define the statistics of the day: entities like others, always sent whole.

Durations are seconds, to the tenth. The text of each field ends with its equivalent in 3CX: a
property of 3CX's reports (``Pbx.DetailedQueueStatistics`` and the like in its OpenAPI file) or of
its settings, or ``none``.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

QUEUE_STATS = "queuestats"
EXTENSION_STATS = "extstats"
PBX_STATS = "pbxstats"
PBX_ID = "pbx"


class Durations(Struct, frozen=True, gc=False, rename="camel"):
    """Durations in seconds, to the tenth. ``average`` and ``longest`` are null while there is none.

    ``count``: how many durations are known. What nobody saw from beginning to end is counted
    elsewhere, but not timed.
    """

    count: int
    total: float
    average: float | None
    longest: float | None


class RecentLevel(Struct, frozen=True, gc=False, rename="camel"):
    """A queue's service level of late, by the callers who came in since a full minute."""

    counted: int
    """Callers that count, by the rules of ``serviceLevel``. 3CX: none."""
    answered_in_target: int
    """Those of ``counted`` who were answered within the target. 3CX: none."""
    service_level: float | None
    """Percent, to the tenth: ``answeredInTarget`` divided by ``counted``. Null if no caller
    counts. 3CX: none."""


class QueueStats(Struct, frozen=True, gc=False, rename="camel"):
    """A queue's day. Topic ``queuestats``; the id is the queue's number.

    A caller counts once for each time that the call comes into the queue, in the day in which it
    comes in. An answer or an end after midnight counts in that day too, which is then
    ``yesterday``. ``offered`` = ``answered`` + ``abandoned`` + ``shortAbandoned`` + ``diverted`` +
    ``unknown`` + ``waiting``.
    """

    num: str
    """The queue's number. 3CX: ``QueueDnNumber``."""
    date: str
    """The day at the PBX, ``2026-03-29``. 3CX: the reports' ``startDt`` and ``endDt``."""
    target: int
    """Seconds within which a call should be answered. 3CX: ``Queue.SLATime``, if it is set."""
    short_below: int
    """Seconds. A caller who gives up earlier counts as a short abandon. 3CX: none."""
    offered: int
    """Callers who came in. 3CX: ``CallsCount``, ``QueueReceivedCount``, ``ReceivedCount``."""
    answered: int
    """Callers who were answered. 3CX: ``AnsweredCount``, ``QueueAnsweredCount``."""
    answered_in_target: int
    """Callers who were answered within the target. 3CX: none; see ``slaBreaches``."""
    abandoned: int
    """Callers who gave up waiting, without the short abandons. 3CX: the rows of
    ``ReportAbandonedQueueCalls``, which are all that nobody answered: ``unanswered``."""
    short_abandoned: int
    """Callers who gave up at once. 3CX: none; they are among the abandoned."""
    diverted: int
    """Callers who left the queue for another destination, unanswered. 3CX: none; they are among
    the abandoned."""
    unknown: int
    """Callers whose wait ended unseen: the monitor or its PBX was away, and nothing tells of an
    answer. 3CX: none."""
    waiting: int
    """Callers who came in on this day and wait now. 3CX: none in reports; the web client's field 4
    of a queue's statistics."""
    service_level: float | None
    """Percent, to the tenth: ``answeredInTarget`` divided by the callers that count. These are
    ``offered`` without ``shortAbandoned``, without those who wait and are not yet beyond the
    target, and without those whose wait or its end nobody saw. Null if no caller counts. 3CX: 100
    × (``ReceivedCount`` − ``BadSlaCallsCount``) / ``ReceivedCount``; see ``slaBreaches``."""
    waits: Durations
    """Waits of answered callers, from coming into the queue to the answer. 3CX: ``RingTime``,
    ``AvgRingTime``."""
    abandons: Durations
    """Waits of callers who abandoned, from coming into the queue to giving up. 3CX: ``WaitTime``
    in ``ReportAbandonedQueueCalls``."""
    talks: Durations
    """Talks of answered callers, from the answer to the call's end or the next queue. Calls that
    still go on are not included. 3CX: ``TalkTime``, ``AvgTalkTime``."""
    unanswered: int = 0
    """``offered`` − ``answered`` − ``waiting``. 3CX: ``CallsCount`` − ``AnsweredCount``."""
    callbacks: int = 0
    """Calls that the queue placed, to call back callers who asked for it. Who asks for that leaves
    the queue, and is also among ``abandoned``, ``shortAbandoned`` or ``diverted``. 3CX:
    ``CallbacksCount``."""
    callbacks_failed: int = 0
    """Those of ``callbacks`` that are over and nobody answered. 3CX: ``FailCallbacksCount``."""
    sla_breaches: int = 0
    """Callers who waited longer than the queue's SLA time, however their wait ended, with those
    who wait now. The SLA time is the one set at the PBX, else ``target``. 3CX:
    ``BadSlaCallsCount``, the rows of ``ReportBreachesSla``."""
    last_half_hour: RecentLevel | None = None
    """The service level of the last 30 minutes, and of the minute under way. It goes on over
    midnight. Null in ``yesterday``. 3CX: none."""
    last_hour: RecentLevel | None = None
    """The same for 60 minutes. 3CX: none."""
    yesterday: QueueStats | None = None
    """The day before, with what its callers came to after midnight; null if it was not counted,
    and in ``yesterday`` itself. 3CX: its reports of that day."""


class ExtensionStats(Struct, frozen=True, gc=False, rename="camel"):
    """An extension's day. Topic ``extstats``; the id is the extension's number.

    A call counts once, however often it rings there, in the day in which it first rang, dialled or
    talked there. ``offered`` = ``answered`` + ``abandoned`` + ``shortAbandoned`` + ``missed`` +
    ``elsewhere`` + ``unknown`` + ``ringing``. A call that this extension talked in without a ring
    is offered and answered too: an attended transfer handed it over, a parked caller was taken, or
    the phone answered an intercom call or announcement by itself. Listening as a supervisor counts
    nowhere.
    """

    num: str
    """The extension's number. 3CX: ``Dn``."""
    date: str
    """The day at the PBX, ``2026-03-29``. 3CX: the reports' ``startDt`` and ``endDt``."""
    target: int
    """Seconds within which a call should be answered. 3CX: none."""
    short_below: int
    """Seconds. A caller who gives up earlier counts as a short abandon. 3CX: none."""
    offered: int
    """Calls that rang there, or that were answered there without a ring. 3CX:
    ``InboundAnsweredCount`` + ``InboundUnansweredCount``."""
    answered: int
    """Calls that were answered there. 3CX: ``InboundAnsweredCount``."""
    answered_in_target: int
    """Calls that were answered there within the target. 3CX: none."""
    abandoned: int
    """Calls whose caller gave up while it rang, without the short abandons. 3CX: none; they are
    among ``InboundUnansweredCount``."""
    short_abandoned: int
    """Calls whose caller gave up at once. 3CX: none; they are among
    ``InboundUnansweredCount``."""
    missed: int
    """Calls that rang, were not taken, and went on elsewhere. 3CX: none; they are among
    ``InboundUnansweredCount``."""
    elsewhere: int
    """Calls that somebody else took while they rang. 3CX: none; for queues ``LostCount``."""
    unknown: int
    """Calls whose ringing ended unseen. 3CX: none."""
    ringing: int
    """Calls that ring now. 3CX: none."""
    service_level: float | None
    """Percent, to the tenth: ``answeredInTarget`` divided by the calls that count. These are
    ``offered`` without ``shortAbandoned``, without ``elsewhere``, without those that ring and are
    not yet beyond the target, and without those that did not ring or whose ringing or its end
    nobody saw. Null if no call counts. 3CX: none."""
    waits: Durations
    """Ringing times of answered calls, from the first ring to the answer. 3CX: ``RingTime``,
    ``AvgRingTime``."""
    abandons: Durations
    """Ringing times of abandoned calls, from the first ring to giving up. 3CX: none."""
    talks: Durations
    """Time that this extension was in each answered call. A talk that still goes on is not
    included. 3CX: ``InboundAnsweredTalkingDur``."""
    queue_offered: int
    """Calls among ``offered`` that came from a queue. 3CX: ``ExtensionAnsweredCount`` +
    ``ExtensionDroppedCount``."""
    queue_answered: int
    """Calls among ``answered`` that came from a queue. 3CX: ``ExtensionAnsweredCount``."""
    placed: int
    """Calls that began here. 3CX: ``OutboundAnsweredCount`` + ``OutboundUnansweredCount``."""
    placed_answered: int
    """Placed calls that were answered. 3CX: ``OutboundAnsweredCount``."""
    placed_talks: Durations
    """The same as ``talks``, for placed calls that were answered. 3CX:
    ``OutboundAnsweredTalkingDur``."""
    unanswered: int = 0
    """``offered`` − ``answered`` − ``ringing``. 3CX: ``InboundUnansweredCount``."""
    yesterday: ExtensionStats | None = None
    """The day before, with what its calls came to after midnight; null if it was not counted, and
    in ``yesterday`` itself. 3CX: its reports of that day."""


class Traffic(Struct, frozen=True, gc=False, rename="camel"):
    """Calls of one direction, by how they ended. The words are those of ``ended`` calls.

    ``calls`` = ``answered`` + ``missed`` + ``abandoned`` + ``unanswered`` + ``unknown`` +
    ``handled`` + ``transferred`` + ``pending``.
    """

    calls: int
    """Calls of this direction. 3CX: the calls of ``ReportCallLogData``, by ``Direction``."""
    answered: int
    """Calls in which two people talked. 3CX: those with ``Answered``."""
    missed: int
    """Calls that rang, and nobody took them. 3CX: those without ``Answered``."""
    abandoned: int
    """Calls whose caller gave up in a queue or a menu. 3CX: those without ``Answered``."""
    unanswered: int
    """Calls that began here and that nobody took. 3CX: those without ``Answered``."""
    unknown: int
    """Calls whose end nobody saw. 3CX: none."""
    pending: int
    """Calls that go on and are not answered yet. 3CX: none."""
    talks: Durations
    """Time in which two people talked, for calls that are over: without waiting after a transfer,
    parking and menus. 3CX: ``TalkingDuration``."""
    handled: int = 0
    """Calls that a machine took: a fax, an app, voicemail that an extension called … 3CX: none;
    they count as answered."""
    transferred: int = 0
    """Consultations that were handed over before an answer. 3CX: none; they are parts of the call
    for which they were made."""


class PbxStats(Struct, frozen=True, gc=False, rename="camel"):
    """The PBX's day. Topic ``pbxstats``; the only id is ``pbx``.

    A call counts on the day on which it began, also if it is answered or ends after midnight.
    """

    date: str
    """The day at the PBX, ``2026-03-29``. 3CX: the reports' dates."""
    zone: str
    """The PBX's time zone, an IANA name. 3CX: ``TimeZoneId`` of its office hours."""
    since: str
    """Local midnight, as an instant. 3CX: none."""
    counted_since: str
    """Instant since which everything was counted; later than ``since`` if counting began during the
    day. 3CX: none."""
    calls: int
    """Calls in all directions. 3CX: the calls of ``ReportCallLogData``."""
    answered: int
    """Answered calls in all directions. 3CX: those with ``Answered``."""
    inbound: Traffic
    """Calls from outside. 3CX: ``Direction`` Inbound."""
    outbound: Traffic
    """Calls to outside. 3CX: ``Direction`` Outbound."""
    internal: Traffic
    """Calls between extensions. 3CX: ``Direction`` Internal."""
    peak: int
    """Most calls at the same time, including those that began before midnight. 3CX: none."""
    peak_at: str | None
    """Instant at which ``peak`` was first reached; null if there was no call. 3CX: none."""
    active: int = 0
    """Calls that go on now, also those that a subscriber's filter hides. 3CX:
    ``SystemStatus.CallsActive``."""
    yesterday: PbxStats | None = None
    """The day before, with what its calls came to after midnight; null if it was not counted, and
    in ``yesterday`` itself. 3CX: its reports of that day."""


StatisticsEntity: TypeAlias = QueueStats | ExtensionStats | PbxStats
