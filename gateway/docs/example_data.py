"""Describe a small PBX in the middle of a morning, for the examples in the documents. Pure."""

from __future__ import annotations

from typing import Final

from gateway.replication.pbx_summaries import summary_of
from monitor.shared.entities.statistics import (
    EXTENSION_STATS,
    PBX_ID,
    PBX_STATS,
    QUEUE_STATS,
    Durations,
    ExtensionStats,
    PbxStats,
    QueueStats,
    RecentLevel,
    Traffic,
)
from monitor.shared.entities.topics import (
    BOOK_TOPICS,
    SYSTEM_ID,
    TOPICS,
    Agent,
    Call,
    Contact,
    EndedCall,
    Extension,
    ExtensionGroup,
    Ivr,
    Leg,
    Line,
    Queue,
    QueueLogin,
    RingGroup,
    State,
    System,
    Talk,
    WaitingCaller,
    empty_state,
)

AT: Final = "2026-03-04T08:15:30.250Z"
"""Instant of everything that happens in the examples."""

_DATE: Final = "2026-03-04"
_STARTED: Final = "2026-03-04T08:15:02.113Z"
_QUEUED: Final = "2026-03-04T08:15:09.870Z"


def live_state() -> State:
    """Return the small PBX: two calls, four extensions, a queue, a ring group and the rest."""
    return empty_state(TOPICS) | {
        "system": {SYSTEM_ID: _system()},
        "calls": {str(call.call_id): call for call in _calls()},
        "extensions": {extension.num: extension for extension in _extensions()},
        "queues": {"800": _queue()},
        "groups": {"600": RingGroup("600", "Office", ("100", "101", "103"), "RingAll")},
        "ivrs": {"700": Ivr("700", "Welcome")},
        "lines": {"10000": Line("10000", "Provider", True, 1, 8, "+4930555010")},
        "extgroups": {"Sales": ExtensionGroup("Sales", "GRP0001", ("101", "102"))},
        "ended": {_ended().id: _ended()},
        QUEUE_STATS: {"800": queue_stats()},
        EXTENSION_STATS: {"101": extension_stats()},
        PBX_STATS: {PBX_ID: pbx_stats()},
    }


def book_state() -> State:
    """Return the address book of the small PBX."""
    return empty_state(BOOK_TOPICS) | {
        "contacts": {str(contact.id): contact for contact in contacts()}
    }


def fleet_state() -> State:
    """Return the summary of the small PBX."""
    return {"pbxs": {"main": summary_of("main", live_state(), None)}}


def contacts() -> tuple[Contact, ...]:
    """Return the entries of the address book."""
    return (
        Contact(
            12, "Maria", "Weber", "Weber KG", "vip", "+4915112345678", data5="maria@example.com"
        ),
        Contact(40, company="Example GmbH", data3="+493055512345"),
    )


def queue_stats() -> QueueStats:
    """Return the statistics of the queue."""
    return QueueStats(
        num="800",
        date=_DATE,
        target=30,
        short_below=5,
        offered=42,
        answered=36,
        answered_in_target=31,
        abandoned=3,
        short_abandoned=1,
        diverted=1,
        unknown=0,
        waiting=1,
        service_level=77.5,
        waits=Durations(36, 511.2, 14.2, 71.0),
        abandons=Durations(3, 143.1, 47.7, 80.3),
        talks=Durations(35, 6_402.5, 182.9, 913.8),
        unanswered=5,
        callbacks=2,
        callbacks_failed=1,
        sla_breaches=7,
        last_half_hour=RecentLevel(6, 6, 100.0),
        last_hour=RecentLevel(11, 10, 90.9),
    )


def extension_stats() -> ExtensionStats:
    """Return the statistics of one of the queue's agents."""
    return ExtensionStats(
        num="101",
        date=_DATE,
        target=20,
        short_below=5,
        offered=21,
        answered=17,
        answered_in_target=16,
        abandoned=1,
        short_abandoned=0,
        missed=2,
        elsewhere=1,
        unknown=0,
        ringing=0,
        service_level=80.0,
        waits=Durations(17, 127.5, 7.5, 24.1),
        abandons=Durations(1, 12.4, 12.4, 12.4),
        talks=Durations(16, 2_912.0, 182.0, 640.2),
        queue_offered=18,
        queue_answered=15,
        placed=4,
        placed_answered=3,
        placed_talks=Durations(3, 301.5, 100.5, 180.0),
        unanswered=4,
    )


def pbx_stats() -> PbxStats:
    """Return the statistics of the whole PBX."""
    return PbxStats(
        date=_DATE,
        zone="Europe/Berlin",
        since="2026-03-03T23:00:00.000Z",
        counted_since="2026-03-03T23:00:00.000Z",
        calls=68,
        answered=55,
        inbound=Traffic(47, 38, 4, 4, 0, 0, 1, Durations(37, 6_641.5, 179.5, 913.8)),
        outbound=Traffic(14, 11, 0, 0, 3, 0, 0, Durations(11, 1_298.0, 118.0, 402.9)),
        internal=Traffic(7, 6, 0, 0, 1, 0, 0, Durations(6, 291.0, 48.5, 121.7)),
        peak=7,
        peak_at="2026-03-04T07:41:12.300Z",
        active=3,
    )


def _system() -> System:
    return System(
        connection="connected",
        since="2026-03-04T06:00:00.000Z",
        reason="",
        version="20.0.8.1109",
        fqdn="pbx.example.com",
        licence_limit=32,
        source="callcontrol+activecalls",
        monitor="monitor-1",
        queue_rule="enabled, registered, logged in globally and to this queue, not in a call",
        unmonitored=0,
        time_zone="Europe/Berlin",
    )


def _calls() -> tuple[Call, ...]:
    mine = Leg(
        "101",
        "extension",
        "103",
        "Connected",
        "Anna Fischer",
        "Ivan Petrov",
        "103",
        leg_id=1,
        since=_STARTED,
    )
    his = Leg(
        "103",
        "extension",
        "101",
        "Connected",
        "Ivan Petrov",
        "Anna Fischer",
        "101",
        leg_id=2,
        since=_STARTED,
    )
    caller = Leg(
        "10000", "externalline", "+4915112345678", "Connected", "Provider", "Maria Weber", leg_id=1
    )
    rung = Leg(
        "102",
        "extension",
        "+4915112345678",
        "Ringing",
        "Tom Smith",
        "Maria Weber",
        "10000",
        "800",
        leg_id=3,
    )
    return (
        Call(
            call_id=46874,
            direction="Internal",
            state="Talking",
            started_at=_STARTED,
            answered_at="2026-03-04T08:15:07.902Z",
            did="",
            owner=mine,
            talk_to=(his,),
            routing_to=(),
            legs=(mine, his),
            extensions=("101", "103"),
            extgroups=("Sales",),
        ),
        Call(
            call_id=46875,
            direction="Inbound",
            state="Routing",
            started_at="2026-03-04T08:15:08.004Z",
            answered_at=None,
            did="Hotline",
            owner=caller,
            talk_to=(),
            routing_to=(rung,),
            legs=(caller, rung),
            queue="800",
            queued_at=_QUEUED,
            extensions=("102",),
            queues=("800",),
            lines=("10000",),
            extgroups=("Sales",),
        ),
    )


def _extensions() -> tuple[Extension, ...]:
    ringing = Talk(46875, "Ringing", _QUEUED, "+4915112345678", "Maria Weber", True, "800")
    return (
        _extension("100", "Olga", "Ivanova"),
        _extension(
            "101", "Anna", "Fischer", Talk(46874, "Talking", _STARTED, "103", "Ivan Petrov", False)
        ),
        _extension("102", "Tom", "Smith", ringing),
        _extension(
            "103", "Ivan", "Petrov", Talk(46874, "Talking", _STARTED, "101", "Anna Fischer", False)
        ),
    )


def _extension(num: str, name: str, lastname: str, *talks: Talk) -> Extension:
    queues = ("800",) if num in [agent.num for agent in _queue().agents] else ()
    return Extension(
        num=num,
        name=name,
        lastname=lastname,
        email=f"{name.lower()}.{lastname.lower()}@example.com",
        mobile="",
        authid=f"auth{num}",
        callerid="",
        enabled=1,
        deliveraudio=0,
        recordcalls=0,
        sipid="",
        reinvite=None,
        replaces=None,
        vmemail=2,
        vmenabled=1,
        vmplaycallerid=1,
        vmplaydatetime=2,
        internal=0,
        noanswertimeout=20,
        registered=True,
        status="Busy" if talks else "Free",
        fwd_name="Available",
        q_global_status="LoggedIn",
        q_status=tuple(QueueLogin(queue, "LoggedIn") for queue in queues),
        activity=talks[0].activity if talks else "Idle",
        since=talks[0].since if talks else None,
        talks=talks,
        available=not talks,
        queues=queues,
        groups=("600",) if num != "102" else (),
        extgroups=("Sales",) if num in ("101", "102") else (),
    )


def _queue() -> Queue:
    return Queue(
        num="800",
        name="Hotline",
        agents=(
            Agent("100", "Olga Ivanova"),
            Agent("101", "Anna Fischer"),
            Agent("102", "Tom Smith"),
        ),
        managers=("103",),
        logged_in=("100", "101", "102"),
        waiting=(WaitingCaller(46875, "+4915112345678", "Maria Weber", _QUEUED),),
        sla_time=30,
    )


def _ended() -> EndedCall:
    return EndedCall(
        call_id=46870,
        direction="Inbound",
        did="Hotline",
        queue="800",
        started_at="2026-03-04T08:10:11.000Z",
        answered_at="2026-03-04T08:10:24.350Z",
        ended_at="2026-03-04T08:13:40.021Z",
        outcome="answered",
        caller="+493055512345",
        caller_name="Example GmbH",
        callee="101",
        callee_name="Anna Fischer",
        extensions=("101",),
        queues=("800",),
        lines=("10000",),
        extgroups=("Sales",),
        queued_at="2026-03-04T08:10:14.100Z",
    )
