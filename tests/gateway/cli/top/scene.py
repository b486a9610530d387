"""A PBX as the stream sends it: a caller waits while an agent rings, and two talk."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.docs.example_data import extension_stats, pbx_stats, queue_stats
from gateway.stream_client import Entities
from monitor.shared.entities.topics import (
    Agent,
    Call,
    EndedCall,
    Extension,
    Leg,
    Queue,
    Talk,
    WaitingCaller,
)
from monitor.shared.timestamps import from_unix, moment
from tests.gateway import entities

NOW = moment(entities.START).timestamp() + 65.0


LATER = from_unix(NOW - 5.0)


def plain(entity: Any) -> dict[str, Any]:
    """As the stream sends it."""
    found: dict[str, Any] = msgspec.to_builtins(entity)
    return found


def extension(num: str, **more: Any) -> dict[str, Any]:
    made: Extension = msgspec.structs.replace(
        entities.extension(num), registered=True, enabled=1, **more
    )
    return plain(made)


def _missed() -> tuple[EndedCall, ...]:
    """Calls that ended: four of those that nobody took, and three that no list of these has."""
    made = replace(
        entities.ended(20), started_at=from_unix(NOW - 80.0), ended_at=from_unix(NOW - 60.0)
    )
    return (
        replace(made, callee="101", callee_name="Ann"),
        replace(made, outcome="abandoned", queues=("800",), queued_at=from_unix(NOW - 75.0)),
        replace(made, outcome="abandoned", did="Main number", caller="", hidden=True),
        replace(made, groups=("600",), returned_at=from_unix(NOW - 9.0), returned_by="102"),
        replace(made, outcome="answered"),
        replace(made, direction="Internal"),
        replace(made, ended_at=from_unix(NOW - 90_000.0)),  # yesterday
    )


def state() -> Entities:
    """A caller who waits while an agent rings, and two who talk."""
    line = Leg(
        "10000", "externalline", "+493012345", "Connected", name="trunk", party_name="Юрий Иванов"
    )
    rings = Leg("101", "extension", "+493012345", "Ringing")
    waits: Call = msgspec.structs.replace(
        entities.call(7, queues=("800",), state="Routing"),
        legs=(line, Leg("800", "queue", "+493012345", "Connected"), rings),
        routing_to=(rings,),
        owner=line,
        queue="800",
        queued_at=entities.START,
        direction="FromExternal",
    )
    inside: Call = msgspec.structs.replace(entities.call(12, ("102", "103")), direction="Internal")
    queue: Queue = msgspec.structs.replace(
        entities.queue("800"),
        name="Sales",
        agents=(Agent("101", "Ann"), Agent("102", "Ben", "2"), Agent("104", "Dan")),
        logged_in=("101", "102"),
        waiting=(WaitingCaller(7, "+493012345", "Юрий Иванов", entities.START),),
    )
    talk = Talk(12, "Talking", entities.START, "103", "Kim", external=False)
    rung = Talk(7, "Ringing", entities.START, "", "", external=True, queue="800")
    return {
        "calls": {"7": plain(waits), "12": plain(inside)},
        "queues": {"800": plain(queue)},
        "extensions": {
            "101": extension("101", activity="Ringing", talks=(rung,)),
            "102": extension("102", activity="Talking", talks=(talk,)),
            "104": extension("104", q_global_status="LoggedIn"),  # but to none of his queues
            "105": extension("105"),
        },
        "ended": {str(n): plain(call) for n, call in enumerate(_missed(), 1)},
        "queuestats": {"800": plain(queue_stats())},
        "extstats": {"101": plain(extension_stats())},
        "pbxstats": {"pbx": plain(pbx_stats())},
    }
