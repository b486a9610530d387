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
        behalf = (
            (self.on_behalf_of_dn, self.on_behalf_of_type) if switches.on_behalf_of else _NOBODY
        )
        return {
            "id": self.id,
            "status": self.status,
            "dn": self.dn,
            "party_caller_name": self.party_caller_name,
            "party_dn": self.party_dn,
            "party_caller_id": self.party_caller_id,
            "party_did": self.party_did if switches.party_did else "",
            "device_id": self.device_id,
            "party_dn_type": self.party_dn_type,
            "direct_control": self.direct_control,
            "originated_by_dn": self.originated_by_dn,
            "originated_by_type": self.originated_by_type,
            "referred_by_dn": self.referred_by_dn,
            "referred_by_type": self.referred_by_type,
            "on_behalf_of_dn": behalf[0],
            "on_behalf_of_type": behalf[1],
            "callid": self.callid,
            "legid": self.legid,
        }


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
