"""Make entities with as few fields set as possible, for tests of the gateway."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.docs import example_data
from monitor.shared.entities.pbx_summary import PbxSummary
from monitor.shared.entities.statistics import PBX_ID, ExtensionStats, PbxStats, QueueStats
from monitor.shared.entities.topics import (
    TOPICS,
    Agent,
    Call,
    EndedCall,
    Entity,
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
    empty_state,
)

START = "2026-03-04T03:15:00.000Z"


def call(
    call_id: int,
    extensions: tuple[str, ...] = (),
    queues: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    state: str = "Talking",
) -> Call:
    legs = tuple(Leg(num, "extension", "0301234567", "Connected") for num in extensions)
    return Call(
        call_id=call_id,
        direction="Inbound",
        state=state,  # type: ignore[arg-type]  # tests pass the words of the wire
        started_at=START,
        answered_at=None,
        did="",
        owner=legs[0] if legs else None,
        talk_to=legs[1:],
        routing_to=(),
        legs=legs,
        extensions=extensions,
        queues=queues,
        groups=groups,
    )


def ended(
    call_id: int,
    extensions: tuple[str, ...] = (),
    queues: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
) -> EndedCall:
    return EndedCall(
        call_id=call_id,
        direction="Inbound",
        did="",
        queue="",
        started_at=START,
        answered_at=None,
        ended_at=START,
        outcome="missed",
        caller="0301234567",
        caller_name="",
        callee="",
        callee_name="",
        extensions=extensions,
        queues=queues,
        groups=groups,
    )


def extension(
    num: str,
    queues: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    extgroups: tuple[str, ...] = (),
    activity: str = "Idle",
) -> Extension:
    return Extension(
        num=num,
        name=f"N{num}",
        lastname="",
        email="",
        mobile="",
        authid="",
        callerid="",
        enabled=1,
        deliveraudio=0,
        recordcalls=0,
        sipid="",
        reinvite=None,
        replaces=None,
        vmemail=0,
        vmenabled=0,
        vmplaycallerid=0,
        vmplaydatetime=0,
        internal=0,
        noanswertimeout=20,
        registered=True,
        status="Free",
        fwd_name="Available",
        q_global_status="LoggedIn",
        q_status=tuple(QueueLogin(queue, None) for queue in queues),
        activity=activity,  # type: ignore[arg-type]  # tests pass the words of the wire
        since=None,
        talks=(),
        available=True,
        queues=queues,
        groups=groups,
        extgroups=extgroups,
    )


def queue(num: str, agents: tuple[str, ...] = (), managers: tuple[str, ...] = ()) -> Queue:
    return Queue(
        num=num,
        name=f"Q{num}",
        agents=tuple(Agent(agent, f"N{agent}") for agent in agents),
        managers=managers,
        logged_in=agents,
        waiting=(),
    )


def group(num: str, members: tuple[str, ...] = ()) -> RingGroup:
    return RingGroup(num, f"G{num}", members)


def ivr(num: str) -> Ivr:
    return Ivr(num, f"I{num}")


def line(num: str, in_use: int = 0) -> Line:
    return Line(num, f"L{num}", True, in_use, None)


def extgroup(name: str, members: tuple[str, ...] = ()) -> ExtensionGroup:
    return ExtensionGroup(name, "", members)


def system(connection: str = "connected") -> System:
    return System(
        connection=connection,  # type: ignore[arg-type]  # tests pass the words of the wire
        since=START,
        reason="",
        version="20.0",
        fqdn="pbx.example",
        licence_limit=32,
        source="callcontrol+activecalls",
        monitor="m1",
        queue_rule="",
        unmonitored=0,
    )


def state_of(**topics: list[Entity]) -> State:
    """A live state with these entities under their ids."""
    state = empty_state(TOPICS)
    for topic, entities in topics.items():
        state[topic] = {id_of(entity): entity for entity in entities}
    return state


def queue_stats(num: str, offered: int = 0) -> QueueStats:
    return replace(example_data.queue_stats(), num=num, offered=offered)


def extension_stats(num: str, offered: int = 0) -> ExtensionStats:
    return replace(example_data.extension_stats(), num=num, offered=offered)


def pbx_stats(calls: int = 0) -> PbxStats:
    return replace(example_data.pbx_stats(), calls=calls)


def id_of(entity: Entity) -> str:
    match entity:
        case Call():
            return str(entity.call_id)
        case System():
            return "pbx"
        case ExtensionGroup():
            return entity.name
        case Extension() | Queue() | RingGroup() | Ivr() | Line():
            return entity.num
        case PbxSummary():
            return entity.name
        case QueueStats() | ExtensionStats():
            return entity.num
        case PbxStats():
            return PBX_ID
        case _:
            return str(entity.id)
