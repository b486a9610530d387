"""Play a PBX call by call, as the tracker shows it.

It notes by itself what a day's statistics must say.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.shared.changes import Edit, apply
from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix

NOON = 1_772_625_600.0
"""2026-03-04T12:00:00Z."""
EXTENSIONS = ("101", "102", "103")
QUEUES = ("800", "801")
TRUNK = "10000"


def queue(num: str, sla_time: int | None = None) -> topics.Queue:
    return topics.Queue(num, "", (), (), (), (), sla_time)


def extension(num: str) -> topics.Extension:
    return topics.Extension(
        num=num,
        name="Ext",
        lastname=num,
        email="",
        mobile="",
        authid="",
        callerid="",
        enabled=1,
        deliveraudio=None,
        recordcalls=0,
        sipid="",
        reinvite=None,
        replaces=None,
        vmemail=None,
        vmenabled=None,
        vmplaycallerid=None,
        vmplaydatetime=None,
        internal=0,
        noanswertimeout=None,
        registered=True,
        status="Free",
        fwd_name="",
        q_global_status=None,
        q_status=(),
        activity="Idle",
        since=None,
        talks=(),
        available=True,
    )


def system(connection: topics.Connection) -> topics.System:
    return topics.System(connection, from_unix(NOON), "", "", "", None, "activecalls", "m", "", 0)


@dataclass
class Line:
    """A call as it is. ``legs``: extension → status and since when."""

    id: int
    caller: str
    external: bool
    started: float
    legs: dict[str, tuple[str, float]] = field(default_factory=dict)
    queue: str = ""
    queued: float = 0.0
    queues: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    menu: bool = False
    """Connected to an IVR or the like."""
    outside: bool = False
    """Goes out by a trunk."""
    answered: float | None = None
    unmonitored: set[str] = field(default_factory=set)
    """Extensions of whose legs no event tells."""
    rang: str = ""

    def call(self) -> topics.Call:
        """As the tracker shows it."""
        trunk = topics.Leg(
            TRUNK, "externalline", self.caller, "Connected", since=from_unix(self.started), leg_id=1
        )
        legs = [
            topics.Leg(
                num,
                "extension",
                "",
                status,
                since=from_unix(since),
                leg_id=2,
                participant_id=int(num) * 100 + self.id if num not in self.unmonitored else None,
            )
            for num, (status, since) in self.legs.items()
        ]
        if self.external:
            legs.insert(0, trunk)
        elif self.outside:
            status = "Connected" if self.answered is not None else "Ringing"
            since = self.answered or self.started
            legs.append(
                topics.Leg(TRUNK, "externalline", "+49", status, since=from_unix(since), leg_id=2)
            )
        if self.queue:
            legs.append(
                topics.Leg(
                    self.queue, "queue", self.caller, "Connected", since=from_unix(self.queued)
                )
            )
        return topics.Call(
            call_id=self.id,
            direction=self.direction,
            state="Routing",
            started_at=from_unix(self.started),
            answered_at=None if self.answered is None else from_unix(self.answered),
            did="",
            owner=trunk
            if self.external
            else next((leg for leg in legs if leg.dn_num == self.caller), None),
            talk_to=(),
            routing_to=(),
            legs=tuple(legs),
            queue=self.queue,
            queued_at=from_unix(self.queued) if self.queue else None,
            extensions=tuple(sorted(self.legs)),
            queues=tuple(sorted(self.queues)),
            lines=(TRUNK,) if self.external or self.outside else (),
        )

    @property
    def direction(self) -> topics.Direction:
        if self.external:
            return "Inbound" if self.seen else "FromExternal"
        return (
            "Outbound"
            if self.outside
            else "Internal"
            if self.seen - {self.caller}
            else "FromInternal"
        )

    def ended(self, at: float, outcome: topics.Outcome) -> topics.EndedCall:
        return topics.EndedCall(
            call_id=self.id,
            direction=self.direction,
            did="",
            queue=max(self.queues, default=""),
            started_at=from_unix(self.started),
            answered_at=None if self.answered is None else from_unix(self.answered),
            ended_at=from_unix(at),
            outcome=outcome,
            caller=self.caller,
            caller_name="",
            callee=self.rang,
            callee_name="",
            extensions=tuple(sorted(self.seen)),
            queues=tuple(sorted(self.queues)),
        )

    @property
    def outcome(self) -> topics.Outcome:
        if self.answered is not None:
            return "answered"
        if self.queue or self.menu:
            return "abandoned"
        return "missed" if self.external or self.rang else "unanswered"


@dataclass
class Wait:
    """What really became of a wait in a queue."""

    queue: str
    since: float
    end: str = "waiting"
    until: float = 0.0


class Scene:
    """Calls that go on at the PBX. Each step gives its edits, already made in ``state``."""

    def __init__(self, at: float = NOON) -> None:
        self.at = at
        self.state = topics.empty_state(topics.TOPICS)
        self.lines: dict[int, Line] = {}
        self.waits: dict[int, list[Wait]] = {}
        self.started: list[tuple[float, str]] = []
        self._setup = (
            *(Edit("queues", num, None, queue(num)) for num in QUEUES),
            *(Edit("extensions", num, None, extension(num)) for num in EXTENSIONS),
        )

    def begin(self) -> tuple[Edit, ...]:
        """The first edits: all queues and extensions."""
        apply(self.state, self._setup)
        return self._setup

    def arrive(self, id_: int) -> tuple[Edit, ...]:
        """A call comes in."""
        self.lines[id_] = Line(id_, f"+49{id_}", True, self.at, menu=True)
        self.started.append((self.at, "inbound"))
        return self._show(id_)

    def dial(self, id_: int, ext: str, *, outside: bool = False) -> tuple[Edit, ...]:
        """An extension calls somebody."""
        line = self.lines[id_] = Line(id_, ext, False, self.at, outside=outside)
        line.legs[ext] = ("Dialing", self.at)
        line.seen.add(ext)
        self.started.append((self.at, "outbound" if outside else "internal"))
        return self._show(id_)

    def wait(self, id_: int, num: str) -> tuple[Edit, ...]:
        """The caller comes into a queue; those who talked with him leave, and nothing rings."""
        line = self.lines[id_]
        self._over(id_, "diverted")
        line.legs = {num: leg for num, leg in line.legs.items() if num == line.caller}
        line.queue, line.queued, line.menu = num, self.at, False
        line.queues.add(num)
        self.waits.setdefault(id_, []).append(Wait(num, self.at))
        return self._show(id_)

    def menu(self, id_: int) -> tuple[Edit, ...]:
        """The caller is led to a voice menu."""
        line = self.lines[id_]
        self._over(id_, "diverted")
        line.legs = {num: leg for num, leg in line.legs.items() if num == line.caller}
        line.queue, line.menu = "", True
        return self._show(id_)

    def ring(self, id_: int, ext: str) -> tuple[Edit, ...]:
        """An extension rings."""
        line = self.lines[id_]
        line.legs[ext] = ("Ringing", self.at)
        line.seen.add(ext)
        line.rang, line.menu = ext, False
        return self._show(id_)

    def silence(self, id_: int, ext: str) -> tuple[Edit, ...]:
        """An extension rings or talks no more."""
        self.lines[id_].legs.pop(ext, None)
        return self._show(id_)

    def answer(self, id_: int, ext: str) -> tuple[Edit, ...]:
        """An extension that rings takes the call; the others ring no more."""
        line = self.lines[id_]
        line.legs = {num: leg for num, leg in line.legs.items() if leg[0] != "Ringing"}
        line.legs[ext] = ("Connected", self.at)
        if not line.external:
            line.legs[line.caller] = ("Connected", self.at)
        line.answered = line.answered if line.answered is not None else self.at
        line.rang, line.queue, line.menu = ext, "", False
        self._over(id_, "answered")
        return self._show(id_)

    def answer_outside(self, id_: int) -> tuple[Edit, ...]:
        """Whom an extension called outside takes the call."""
        line = self.lines[id_]
        line.answered = self.at
        line.legs[line.caller] = ("Connected", self.at)
        return self._show(id_)

    def end(self, id_: int, outcome: topics.Outcome | None = None) -> tuple[Edit, ...]:
        """The call is over."""
        line = self.lines.pop(id_)
        self._over(id_, "abandoned")
        self.waits.setdefault(id_, []).append(
            Wait("", self.at, "over")
        )  # the next call of this id waits anew
        ended = line.ended(self.at, outcome or line.outcome)
        before = self.state["calls"][str(id_)]
        edits = (Edit("calls", str(id_), before, None), Edit("ended", ended.id, None, ended))
        apply(self.state, edits)
        return edits

    def all_waits(self) -> list[Wait]:
        """All that ever were."""
        return [wait for waits in self.waits.values() for wait in waits if wait.queue]

    def _over(self, id_: int, end: str) -> None:
        waits = self.waits.get(id_)
        if waits and waits[-1].end == "waiting":
            waits[-1].end, waits[-1].until = end, self.at

    def _show(self, id_: int) -> tuple[Edit, ...]:
        after = self.lines[id_].call()
        before = self.state["calls"].get(str(id_))
        edits = (Edit("calls", str(id_), before, after),) if before != after else ()
        apply(self.state, edits)
        return edits
