"""Represent a participant and a row of ActiveCalls as the APIs show them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from monitor.simulator.behaviour_options import Switches

_NOBODY: Final = ("", "None")


@dataclass(frozen=True, slots=True)
class ParticipantView:
    """Represent a participant as Call Control shows it. Fields are in documented order.

    The switches, which hide some of them, are applied in :meth:`to_json`.
    """

    id: int
    status: Status
    dn: str
    party_caller_name: str
    party_dn: str
    party_caller_id: str
    party_did: str
    device_id: str
    party_dn_type: str
    direct_control: bool
    originated_by_dn: str
    originated_by_type: str
    referred_by_dn: str
    referred_by_type: str
    on_behalf_of_dn: str
    on_behalf_of_type: str
    callid: int
    legid: int

    def to_json(self, switches: Switches) -> dict[str, object]:
        """Return the documented fields in order. Those that the switches hide are empty."""
        hidden: dict[str, object] = {} if switches.party_did else {"party_did": ""}
        if not switches.on_behalf_of:
            hidden |= {"on_behalf_of_dn": _NOBODY[0], "on_behalf_of_type": _NOBODY[1]}
        return {name: getattr(self, name) for name in self.__slots__} | hidden


@dataclass(frozen=True, slots=True)
class ActiveCallRow:
    """Represent a row of XAPI's ActiveCalls. Times are POSIX seconds.

    ``dns``: the DNs that the texts name.
    """

    id: int
    caller: str
    callee: str
    status: Word
    last_change_status: float
    established_at: float
    dns: frozenset[str]


Status: TypeAlias = Literal["Dialing", "Ringing", "Connected"]


Word: TypeAlias = Literal["Initiating", "Routing", "Talking", "Transferring", "Rerouting"]
