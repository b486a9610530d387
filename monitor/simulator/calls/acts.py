"""Describe what people, programs and the PBX do in calls: one act after the other. Pure.

The journal tells what somebody in the building would see and hear. It says nothing of how a call
looks to a program: no state, no direction, no owner. Tests reckon from it alone what callmon must
show. Each act of a call comes before its consequences: a phone is picked up, then the others fall
silent, then the queue is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from monitor.simulator.pbx_data.dn import DnKind

Deed: TypeAlias = Literal[
    "arrived",
    "dialled",
    "ordered",
    "paged",
    "routed",
    "ringing",
    "silent",
    "timed_out",
    "picked_up",
    "auto_answered",
    "retrieved",
    "listens",
    "entered",
    "unheard",
    "waits",
    "polled",
    "left",
    "rejected",
    "diverted",
    "forked",
    "transferred",
    "returned",
    "merged",
    "invited",
    "hung_up",
    "ended",
    "restarted",
]
"""The kind of an act. ``dn`` does it, or it is done to ``dn``:

- ``arrived``: a call from ``number`` came in on the line ``dn``; ``to`` is the number dialled.
- ``dialled``: ``dn`` called ``to``. ``ordered``: a program had ``dn`` rung first, to call ``to``.
  ``paged``: ``dn`` called the phone or the paging group ``to``; its phones answer by themselves.
- ``routed``: the PBX or the caller's choice in a menu sent the waiting caller on to ``to``.
- ``ringing``, ``silent``: a phone, or ``number`` outside on the line ``dn``, began or ceased to
  ring; ``to`` is the queue or ring group for which it rings. ``timed_out``: it rang long enough.
- ``picked_up``: somebody answered at ``dn``. ``auto_answered``: it answered by itself, without a
  ring. ``retrieved``: somebody took the parked caller at ``dn``, which had not rung.
- ``listens``: a supervisor at ``dn`` began to hear the talk of ``to``, and takes no part in it.
- ``entered``: a queue, menu, voicemail, parking place, fax or conference has the caller now.
  ``unheard``: it is a queue that has no greeting, and the caller hears nothing of it yet.
  ``waits``: now the caller hears the queue. ``polled``: the queue looked for agents.
- ``left``: a party or such a place is in the call no more.
- ``rejected``: ``dn`` refused the ring. ``diverted``: it sent the ring on to ``to``.
  ``forked``: it let ``to`` ring as well, or in its own place.
- ``transferred``: ``dn`` sent its partner to ``to`` and left. ``returned``: nobody took that, and
  the PBX rings ``dn`` again.
- ``merged``: ``dn`` joined the party ``to`` of the call ``other`` to this call and left both. The
  call ``other`` ends by that. Either of the two may have been the first.
- ``invited``: ``dn`` had ``to`` called into a conference.
- ``hung_up``: ``dn`` hung up. ``ended``: the call is over; if nobody hung up just before, the
  caller gave up, the PBX gave up or a program ended it.
- ``restarted``: the PBX lost all its calls, and ids begin again.
"""


@dataclass(frozen=True, slots=True)
class Act:
    """Represent one act. ``at``: POSIX seconds. Texts are empty if the deed has no such part."""

    at: float
    deed: Deed
    call: int = 0
    """Id of the call; 0 if the act concerns all calls."""
    dn: str = ""
    kind: DnKind | None = None
    """Kind of ``dn``."""
    number: str = ""
    """Number outside; only if ``dn`` is a line."""
    to: str = ""
    """The other DN or number of the deed."""
    other: int = 0
    """Id of the other call; 0 if there is none."""
