"""Define the facts that a source of events hands to the tracker: what the PBX said, parsed. Pure.

Rows carry 3CX's own names in snake_case. A fact that answers a question carries ``asked``, the
monotonic time at which the question was sent. So an answer that is older than an event never
overrides it. ``at`` is the same moment on the PBX's wall clock (our clock plus the offset learnt
from ``ServerNow``), in POSIX seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from monitor.shared.entities.topics import Connection, Contact

Source: TypeAlias = Literal["auto", "callcontrol+activecalls", "activecalls"]
"""The interfaces from which calls come.

``auto``: from both, but an interface that the PBX refuses is left out. The others are demanded."""


@dataclass(frozen=True, slots=True)
class Participant:
    """Represent a Call Control participant: one leg at one device. Any text may be empty."""

    id: int
    dn: str
    status: str
    call_id: int
    leg_id: int | None
    party_caller_name: str = ""
    party_dn: str = ""
    party_caller_id: str = ""
    party_did: str = ""
    party_dn_type: str = "None"
    device_id: str = ""
    direct_control: bool = False
    originated_by_dn: str = ""
    originated_by_type: str = "None"
    referred_by_dn: str = ""
    referred_by_type: str = "None"
    on_behalf_of_dn: str = ""
    on_behalf_of_type: str = "None"
    withheld: bool = False
    """True if the outside party's number is withheld; ``party_caller_id`` is empty then."""


@dataclass(frozen=True, slots=True)
class ActiveCall:
    """Represent a row of XAPI's ActiveCalls. Times are POSIX seconds on the PBX's clock."""

    id: int
    caller: str
    callee: str
    status: str
    last_change_status: float | None
    established_at: float | None


VM_EMAIL = ("None", "Notification", "Attachment", "AttachmentAndDelete")
"""XAPI's words for the numbers 0, 1 … of ``vmemail``."""
VM_DATE_TIME = ("None", "Play12Hr", "Play24Hr")
"""XAPI's words for the numbers 0, 1 … of ``vmplaydatetime``."""


@dataclass(frozen=True, slots=True)
class UserRow:
    """Represent a user extension as XAPI's Users give it, with its profiles expanded."""

    id: int
    number: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    mobile: str = ""
    auth_id: str = ""
    outbound_caller_id: str = ""
    enabled: bool | None = None
    deliver_audio: bool | None = None
    record_calls: bool | None = None
    record_external_only: bool | None = None
    sip_id: str = ""
    reinvite: bool | None = None
    """None on a 3CX v20, as is ``replaces``. The documented interface may tell both."""
    replaces: bool | None = None
    vm_email_options: str = ""
    vm_enabled: bool | None = None
    vm_play_caller_id: bool | None = None
    vm_play_msg_date_time: str = ""
    internal: bool | None = None
    registered: bool = False
    profile: str = ""
    no_answer_timeout: int | None = None
    """Seconds, from the profile in force."""
    queue_status: Literal["LoggedIn", "LoggedOut"] | None = None
    in_ring_groups: bool = True
    """False if the profile in force takes the extension out of ring groups."""


@dataclass(frozen=True, slots=True)
class AgentRow:
    """Represent an agent of a queue."""

    number: str
    name: str = ""
    skill_group: str = ""


@dataclass(frozen=True, slots=True)
class QueueRow:
    """Represent a call queue, with its agents in order of priority."""

    id: int
    number: str
    name: str
    agents: tuple[AgentRow, ...] = ()
    managers: tuple[str, ...] = ()
    sla_time: int | None = None


@dataclass(frozen=True, slots=True)
class RingGroupRow:
    """Represent a ring group."""

    id: int
    number: str
    name: str
    members: tuple[str, ...] = ()
    strategy: str = ""


@dataclass(frozen=True, slots=True)
class IvrRow:
    """Represent a digital receptionist."""

    id: int
    number: str
    name: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class TrunkRow:
    """Represent a trunk: one line DN."""

    id: int
    number: str
    name: str
    online: bool | None = None
    simultaneous_calls: int | None = None
    external_number: str = ""
    did_numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InboundRuleRow:
    """Represent a rule for calls from an external line.

    ``data`` is the DID if ``condition`` is ``BasedOnDID``. ``destinations``: DNs to which it leads
    at any hour.
    """

    name: str
    condition: str
    data: str
    trunk: str
    destinations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DepartmentRow:
    """Represent a department (extension group) with the numbers of its extensions."""

    id: int
    name: str
    number: str
    members: tuple[str, ...] = ()
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class PeerRow:
    """Represent any other DN (conference, voicemail menu, parking place …).

    ``kind``: 3CX's PeerType.
    """

    number: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class SystemRow:
    """Hold the fields of SystemStatus and OfficeHours."""

    version: str = ""
    fqdn: str = ""
    max_sim_calls: int | None = None
    time_zone: str = ""
    """An IANA name, from OfficeHours; empty if the PBX does not say."""


@dataclass(frozen=True, slots=True)
class DirectoryRead:
    """Hold the whole directory, read in one go."""

    users: tuple[UserRow, ...]
    queues: tuple[QueueRow, ...]
    ring_groups: tuple[RingGroupRow, ...]
    ivrs: tuple[IvrRow, ...]
    trunks: tuple[TrunkRow, ...]
    departments: tuple[DepartmentRow, ...]
    inbound_rules: tuple[InboundRuleRow, ...]
    system: SystemRow
    at: float
    peers: tuple[PeerRow, ...] = ()
    """DNs that are none of the others."""
    failing: tuple[str, ...] = ()
    """Parts that could not be read, each with the reason; they are as they were last, or empty."""
    refused: tuple[str, ...] = ()
    """Parts that the PBX refuses to show, each with what is missing therefore; they are empty."""


@dataclass(frozen=True, slots=True)
class ContactsRead:
    """Hold the whole address book."""

    contacts: tuple[Contact, ...]


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """Hold one contact as it is now, or None if it is gone."""

    id: int
    contact: Contact | None
    at: float


@dataclass(frozen=True, slots=True)
class QueueLoginsRead:
    """Hold the logins to single queues: queue → agent's extension → True if logged in.

    ``logins`` is None if the PBX does not tell them any more.
    """

    logins: Mapping[str, Mapping[str, bool]] | None
    at: float


@dataclass(frozen=True, slots=True)
class QueueFiguresRead:
    """Hold the PBX's own figures of its queues: queue → name → figure.

    Names: ``waiting`` and ``ringing`` (callers now), ``offered``, ``answered`` and ``abandoned``
    (callers since the PBX began to count), ``average_wait`` and ``longest_wait`` (seconds).
    """

    figures: Mapping[str, Mapping[str, float]]
    at: float


@dataclass(frozen=True, slots=True)
class ParticipantSeen:
    """Hold a participant that came with its event or was read after it.

    ``heard``: monotonic time of that event. ``at``: its wall clock.
    """

    participant: Participant
    heard: float
    at: float


@dataclass(frozen=True, slots=True)
class ParticipantGone:
    """Tell that a participant was removed, or was not found any more.

    ``heard``, ``at``: the times of the event. ``unread``: earlier events of this participant whose
    news no read has shown.
    """

    dn: str
    participant_id: int
    heard: float
    at: float
    unread: int = 0


@dataclass(frozen=True, slots=True)
class ParticipantsRead:
    """Hold Call Control's full state: all participants of all DNs that may be monitored.

    ``kept``: DN and id of the participants with events newer than ``asked``. The full read says
    nothing of these, even if it lists them: each of them is read by itself. ``dns``: number →
    W-type of every visible DN.
    """

    participants: tuple[Participant, ...]
    dns: dict[str, str]
    asked: float
    at: float
    kept: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class ActiveCallsRead:
    """Hold all rows of ActiveCalls.

    ``asked``: monotonic time of the question. ``at``: the PBX's clock at that moment.
    ``after_failure``: whether the PBX gave no answer in between: it may have restarted then.
    """

    rows: tuple[ActiveCall, ...]
    asked: float
    at: float
    after_failure: bool = False


@dataclass(frozen=True, slots=True)
class CallOrdered:
    """Tell of a call that the PBX makes for us, as its answer to the order says.

    ``dn``: the extension that calls. ``at``: when the answer came.
    """

    call_id: int
    dn: str
    destination: str
    at: float


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """Tell that the connection to the PBX came up or went down."""

    connection: Connection
    reason: str
    at: float
    source: str = ""
    """The source of calls; given with ``connected``."""


Fact: TypeAlias = (
    DirectoryRead
    | ContactsRead
    | ContactChanged
    | QueueLoginsRead
    | QueueFiguresRead
    | ParticipantSeen
    | ParticipantGone
    | ParticipantsRead
    | ActiveCallsRead
    | CallOrdered
    | ConnectionChanged
)

HandoverFact: TypeAlias = DirectoryRead | QueueLoginsRead
"""A fact that holds until the PBX says otherwise: a monitor hands it over to the next one."""
