"""Tell the story of each call as somebody would who watched the building and heard every phone.

Definitions, in the words of callmon's promises (deploy/rest.md, deploy/stream.md and the entities):

- *Parties* are those who are in the call: phones, lines to the outside, and the places that hold a
  caller (queue, menu, voicemail, parking, fax, conference, app). A party is Dialing if it called
  and nobody and nothing has accepted it yet, Ringing while it rings, else Connected.
- *Caller*: the number from which the call came, in plain digits with its plus; none if withheld.
- *Started*: the moment at which the call came in, or at which a phone or a program called.
- *Answered*: the first moment at which two can talk: two of phone, line to the outside, conference,
  and an app or a menu that called.
  A supervisor who listens is none of them, nor is a phone of a paging group: it plays the page.
- *Talk time*: all the time in which two can talk. What comes between (waiting after a transfer,
  parking, a menu, a queue) is none.
- A *phone's talk* in a call: the time in which it and somebody else can talk there. A phone that is
  in the talk of several calls talks in the one that it came to last; the others wait until then.
- *Direction*: who began it, and whom it has reached. From outside: Inbound while a phone here has
  it or rings, or a place where a call can end (voicemail, conference, parking, fax, app); else
  External while there is a second line; else FromExternal. A queue and a menu only distribute
  calls. From inside: Outbound while a line is in it; Internal while anybody else is; else
  FromInternal. A menu that a phone dialled is what it wanted; a queue is not.
  A call keeps the last direction that reached somebody, also between two rings and at its end
  (*lasting*); until it has reached somebody, it has the first one.
- *State*: what is going on. Initiating: nothing is done with the call yet. Routing: phones ring.
  Rerouting: phones ring because one of them, or one that talks, sent the call on, or because a
  transfer has come back. Transferring: the target of a transfer rings, or a queue without a
  greeting has taken the call and the caller does not hear it yet. Talking: the rest.
- *Queue*, of a call in progress: the queue that has the caller, also while its agents ring. Of a
  call that is over: the queue in which the caller was at its end, else the queue whose ring was the
  first that was answered.
- *Callee*: who made it answered, by picking up first (of phones that answered together by
  themselves, any); else the machine that handled it. If nobody
  took it: who rang last (of several that rang together, any), or whose voicemail took the call
  without a ring; if nobody ever rang, the last queue. An app that sent the call on has rung no more
  than a menu has.
- *Attended transfer*: somebody who talks in one call begins a second one, the consultation, and
  joins the others of both. The *first* call's story goes on, whichever id the PBX keeps: who began
  it, when, when it was answered. It ``continues`` the id that it lost. The consultation is over at
  that moment. A phone that rings goes on ringing, from then on for the first call.
- *Outcome*: ``abandoned`` if a queue had the caller when the call ended, also after a talk. Else
  ``answered`` if it was. Else ``transferred`` if it was a consultation that was handed over. Else
  by where the call was when it ended:
  a fax or an app had it, or it was a page to a group: ``handled``;
  a menu: ``abandoned``, but ``handled`` for a phone here that called it;
  a parking place: ``handled`` for a phone here; voicemail: ``handled`` for a phone that called it.
  Anything else from outside is ``missed``. From inside it is ``missed`` if a phone here rang last
  or voicemail took it, and ``unanswered`` if a phone outside rang last or none ever rang.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from monitor.simulator.calls.acts import Act

How: TypeAlias = Literal["Dialing", "Ringing", "Connected"]

TALKS: Final = frozenset({"extension", "externalline", "conference"})
PLACES: Final = frozenset({"queue", "ivr", "specialmenu", "parking", "fax"})


@dataclass(slots=True)
class Party:
    """One who is in a call. ``number``: the number outside, if it is a line."""

    dn: str
    kind: str
    number: str
    how: How
    since: float
    listens: bool = False
    """True for a supervisor, who hears the talk of others."""

    @property
    def called(self) -> str:
        """Its number as the others know it."""
        return self.number or self.dn


@dataclass(slots=True)
class QueueVisit:
    """A caller's stay in a queue."""

    queue: str
    since: float
    until: float | None = None
    how: Literal["waiting", "answered", "abandoned", "diverted"] = "waiting"
    talked_until: float | None = None
    """End of the talk: the next queue or the call's end."""


@dataclass(slots=True)
class Turn:
    """What a call was for one phone here. Without ``rings``, it came to a talk in another way."""

    since: float
    placed: bool
    rings: int = 0
    from_queue: bool = False
    how: Literal["", "ringing", "answered", "abandoned", "missed", "elsewhere"] = ""
    until: float | None = None
    """End of the last ring; of an answered call, of the first ring that led to the talk."""
    answered_at: float | None = None
    talking_since: float | None = None
    talked: float = 0.0


@dataclass(slots=True)
class Story:
    """One call, from the acts so far."""

    id: int
    outside: bool
    """True if it came from outside."""
    beginner: str
    """DN of the phone or the line at which it began."""
    caller: str
    started_at: float
    acts: list[Act] = field(default_factory=list)
    parties: dict[str, Party] = field(default_factory=dict)
    state: str = "Initiating"
    answered_at: float | None = None
    callee: str = ""
    answered_in: str = ""
    """Queue whose ring was the first to be answered."""
    ended_at: float | None = None
    outcome: str = ""
    lasting: str = ""
    talks: list[tuple[float, float]] = field(default_factory=list)
    """Begin and end of each time in which two could talk."""
    talking_since: float | None = None
    talking: dict[str, float] = field(default_factory=dict)
    """Phones that can talk with somebody now, and since when."""
    visits: list[QueueVisit] = field(default_factory=list)
    turns: dict[str, Turn] = field(default_factory=dict)
    phases: list[tuple[str, float]] = field(default_factory=list)
    """DN of a party, and since when it was as it was: once for each change."""
    tried: dict[str, str] = field(default_factory=dict)
    """Those who rang last, together: number → kind."""
    rang: bool = False
    """True if it ever rang at anybody but the phone that ordered it."""
    picked_up_at: float | None = None
    handed_over: bool = False
    """True if it was a consultation, whose parties went on in the first call."""
    continues: tuple[int, ...] = ()
    """Ids under which it went on before, the oldest first."""
    together: set[str] = field(default_factory=set)
    """Phones that answered by themselves at the moment of the answer."""
    _ringing_means: str = "Routing"
    _sent_to: str = ""
    _ordered: bool = False
    _paged: str = ""
    """The paging group, if the call is a page to one."""

    # what is so now

    @property
    def direction(self) -> str:
        """The direction of the present parties."""
        return direction(self.outside, self.beginner, self.parties.values())

    @property
    def queue(self) -> str:
        """The queue that has the caller, or that had a part in how the call went."""
        if self.ended_at is not None and self.outcome == "answered":
            return self.answered_in
        return next((party.dn for party in self.parties.values() if party.kind == "queue"), "")

    @property
    def place(self) -> Party | None:
        """The place that has the caller, or None."""
        return next((p for p in self.parties.values() if p.kind in PLACES), None)

    @property
    def callees(self) -> set[str]:
        """Everybody who may be called the callee."""
        if self.answered_at is not None:
            return {self.callee} | self.together
        if self._paged:
            return {self._paged}
        if self.outcome == "handled":
            return {p.dn for p in self.parties.values() if p.kind in PLACES | {"routepoint"}}
        return set(self.tried) or {self.visits[-1].queue if self.visits else ""}

    @property
    def talk_time(self) -> float | None:
        """Seconds in which two could talk; None if there was no answer or is no end."""
        if self.answered_at is None or self.ended_at is None:
            return None
        return self.talk_between(self.answered_at, self.ended_at)

    def talk_between(self, since: float, until: float) -> float:
        """Seconds within this time in which two could talk."""
        return sum(max(0.0, min(until, end) - max(since, began)) for began, end in self.talks)

    # acts

    def take(self, act: Act) -> None:
        """Go on with the next act of this call."""
        self.acts.append(act)
        deed = _DEEDS.get(act.deed)
        if deed is not None:
            deed(self, act)
        if self.ended_at is None:
            self._reckon(act.at)

    def _begin(self, act: Act) -> None:
        self._come(act, "Dialing")
        self._sent_to = act.to
        if not self.outside:
            self.turns[act.dn] = Turn(act.at, placed=True)

    def _order(self, act: Act) -> None:
        self._ordered, self._sent_to = True, act.to
        self.turns[act.dn] = Turn(act.at, placed=True)

    def _send(self, act: Act) -> None:
        self._sent_to = act.to or self._sent_to
        self._ringing_means = _RINGING_MEANS[act.deed]

    def _invite(self, _: Act) -> None:
        self._ringing_means = ""  # the others go on talking

    def _ring(self, act: Act) -> None:
        if not any(party.how == "Ringing" for party in self.parties.values()):
            self.tried = {}
        party = self._come(act, "Ringing")
        self.state = self._ringing_means or self.state
        if self._ordered and act.dn == self.beginner:
            return
        self.rang = True
        self.tried[party.called] = party.kind
        if party.kind == "extension":
            self._ring_at(act.dn, act.at)

    def _ring_at(self, dn: str, at: float) -> None:
        turn = self.turns.setdefault(dn, Turn(at, placed=False))
        turn.rings += 1
        if not turn.placed and turn.answered_at is None:
            turn.how = "ringing"
            turn.from_queue = turn.from_queue or self.queue != ""

    def _fall_silent(self, act: Act) -> None:
        self.parties.pop(act.dn, None)
        turn = self.turns.get(act.dn)
        if turn is not None and turn.how == "ringing":
            turn.how = "elsewhere" if self.picked_up_at == act.at else "missed"
            turn.until = act.at
        rings = any(party.how == "Ringing" for party in self.parties.values())
        if not rings and (self._talkers() or self.place is not None):
            self.state = "Talking"

    def _pick_up(self, act: Act) -> None:
        party = self.parties[act.dn]
        if self._ordered and act.dn == self.beginner:
            self._ordered = False
            self._ringing_means = "Routing"
            self._become(party, "Dialing", act.at)
            return
        self._become(party, "Connected", act.at)
        self._take_up(party, act.at)

    def _come_connected(self, act: Act) -> None:
        """A phone is in the talk without a ring, or plays a page."""
        if self.acts[0].deed == "paged" and act.dn != self._sent_to:
            self._paged, self.state = self._sent_to, "Talking"
            self._come(act, "Connected").listens = True
            self._accept(act.at)
            return
        if act.deed == "auto_answered" and self.answered_at in (None, act.at):
            self.together.add(act.dn)
        self._take_up(self._come(act, "Connected"), act.at)

    def _listen(self, act: Act) -> None:
        self._come(act, "Connected").listens = True

    def _take_up(self, party: Party, at: float) -> None:
        self.picked_up_at = at
        self._accept(at)
        self.state = "Talking"
        if party.kind in TALKS and self.visits and self.visits[-1].how == "waiting":
            self.visits[-1].how, self.visits[-1].until = "answered", at
            if self.answered_at is None:
                self.answered_in = self.visits[-1].queue
            if party.dn in self.turns:
                self.turns[party.dn].from_queue = True
        if self.answered_at is None:
            self.callee = party.called

    def _enter(self, act: Act) -> None:
        self._come(act, "Connected")
        if act.kind == "conference" and self.answered_at is not None:
            return  # a talk has become a conference
        self._accept(act.at)
        self.state = "Talking"
        if act.kind == "queue":
            if self.visits:
                self.visits[-1].talked_until = act.at
            self.visits.append(QueueVisit(act.dn, act.at))
        if act.kind == "conference":
            self.callee = act.dn
        if act.kind == "specialmenu" and self._sent_to not in ("", act.dn):
            self.tried = {self._sent_to: "extension"}

    def _accept(self, at: float) -> None:
        for party in self.parties.values():
            if party.how == "Dialing":
                self._become(party, "Connected", at)

    def _come(self, act: Act, how: How) -> Party:
        party = Party(act.dn, act.kind or "", act.number, how, act.at)
        self.parties[act.dn] = party
        self.phases.append((act.dn, act.at))
        return party

    def _become(self, party: Party, how: How, at: float) -> None:
        party.how, party.since = how, at
        self.phases.append((party.dn, at))

    def _hear_nothing(self, _: Act) -> None:
        self.state = "Transferring"

    def _wait(self, _: Act) -> None:
        self.state = "Talking"

    def _leave(self, act: Act) -> None:
        party = self.parties.pop(act.dn, None)
        if party is not None and party.kind == "routepoint":
            self.tried.pop(party.called, None)
        waits = party is not None and party.kind == "queue" and self.visits
        if waits and self.visits[-1].how == "waiting":
            self.visits[-1].how, self.visits[-1].until = "diverted", act.at

    def _end(self, act: Act) -> None:
        at = act.at
        self._reckon(at)
        if self.handed_over and self.answered_at is None:
            self.turns = {dn: turn for dn, turn in self.turns.items() if turn.placed}
        for dn, turn in self.turns.items():
            if turn.how == "ringing" or (turn.how == "missed" and turn.until == at):
                turn.how, turn.until = "abandoned", at
            self.rest(dn, at)
        self.talking.clear()
        self._talk_ends(at)
        if self.visits:
            last = self.visits[-1]
            last.talked_until = at
            if last.how == "waiting":
                last.how, last.until = "abandoned", at
        self.outcome = self._outcome()
        self.ended_at = at

    def join(self, moved: Party, at: float) -> None:
        """Take over the party of its consultation."""
        self.parties[moved.dn] = Party(moved.dn, moved.kind, moved.number, moved.how, at)
        self.phases.append((moved.dn, at))
        if moved.how == "Connected":
            self._accept(at)
            self.state = "Talking"
        else:
            self.state = self._ringing_means = "Transferring"
            if moved.kind == "extension":
                self._ring_at(moved.dn, at)
        self._reckon(at)

    # what follows

    def _reckon(self, at: float) -> None:
        """See who talks now, and which direction the call has."""
        talking = self._talkers()
        if talking and self.answered_at is None:
            self.answered_at = at
        if not talking:
            self._talk_ends(at)
        elif self.talking_since is None:
            self.talking_since = at
        for dn in self.talking.keys() - talking:
            del self.talking[dn]
            self.rest(dn, at)
        for dn in talking:
            if self.parties[dn].kind == "extension":
                self.talking.setdefault(dn, at)
                turn = self.turns.setdefault(dn, Turn(at, placed=False))
                if turn.answered_at is None:
                    turn.answered_at, turn.how, turn.until = at, "answered", at
        if self.parties:
            now = self.direction
            if not self.lasting or not now.startswith("From"):
                self.lasting = now

    def _talkers(self) -> set[str]:
        """DNs that can talk to each other; none if it is one alone."""
        there = (
            p
            for p in self.parties.values()
            if (p.kind in TALKS or self._is_program(p)) and not p.listens
        )
        talkers = {party.dn for party in there if party.how == "Connected"}
        return talkers if len(talkers) > 1 else set()

    def _is_program(self, party: Party) -> bool:
        """Whether an app or a menu called, of itself."""
        return party.dn == self.beginner and party.kind in ("routepoint", "ivr")

    def _talk_ends(self, at: float) -> None:
        if self.talking_since is not None:
            self.talks.append((self.talking_since, at))
            self.talking_since = None

    def speak(self, dn: str, at: float) -> None:
        """Have a phone that is in the talk really talk here."""
        turn = self.turns[dn]
        if turn.talking_since is None:
            turn.talking_since = at

    def rest(self, dn: str, at: float) -> None:
        """Have a phone talk here no more, for now."""
        turn = self.turns[dn]
        if turn.talking_since is not None:
            turn.talked += at - turn.talking_since
            turn.talking_since = None

    def _outcome(self) -> str:
        place = self.place
        if place is not None and place.kind == "queue":
            return "abandoned"
        if self.answered_at is not None:
            return "answered"
        if self.handed_over:
            return "transferred"
        app = any(p.kind == "routepoint" and p.how == "Connected" for p in self.parties.values())
        if self._paged or app or (place is not None and place.kind == "fax"):
            return "handled"
        if place is not None and place.kind == "ivr":
            return "abandoned" if self.outside else "handled"
        if self.outside:
            return "missed"
        if place is not None:
            called = place.kind == "parking" or (self._sent_to == place.dn and not self.tried)
            return "handled" if called else "missed"
        return "missed" if "extension" in self.tried.values() else "unanswered"


_RINGING_MEANS: Final = {
    "routed": "Routing",
    "polled": "Routing",
    "diverted": "Rerouting",
    "forked": "Rerouting",
    "returned": "Rerouting",
    "transferred": "Transferring",
}

_DEEDS: Final[dict[str, Callable[[Story, Act], None]]] = {
    "arrived": Story._begin,
    "dialled": Story._begin,
    "ordered": Story._order,
    "paged": Story._begin,
    "invited": Story._invite,
    "ringing": Story._ring,
    "silent": Story._fall_silent,
    "picked_up": Story._pick_up,
    "auto_answered": Story._come_connected,
    "retrieved": Story._come_connected,
    "listens": Story._listen,
    "entered": Story._enter,
    "unheard": Story._hear_nothing,
    "waits": Story._wait,
    "left": Story._leave,
    "ended": Story._end,
    **dict.fromkeys(_RINGING_MEANS, Story._send),
}


def direction(outside: bool, beginner: str, parties: Iterable[Party]) -> str:
    """The direction of a call with these parties; see the head of this module."""
    others = [party for party in parties if party.dn != beginner]
    lines = any(party.kind == "externalline" for party in others)
    distributing = ("externalline", "queue", "ivr") if outside else ("externalline", "queue")
    reached = any(party.kind not in distributing for party in others)
    if outside:
        return "Inbound" if reached else "External" if lines else "FromExternal"
    return "Outbound" if lines else "Internal" if reached else "FromInternal"


def plain(number: str) -> str:
    """The digits of a number as a trunk writes it; empty if it has none, as it is withheld."""
    own = re.split("[;@]", number.removeprefix("sip:"))[0]
    digits = re.sub("[^0-9]", "", own.replace("(0)", ""))
    return f"+{digits}" if own.startswith("+") else digits


class Watcher:
    """Somebody who watches the building: takes every act and tells the stories of all calls."""

    def __init__(self) -> None:
        self.calls: dict[int, Story] = {}
        """Calls in progress by id."""
        self.over: list[Story] = []
        """Calls that are over, the oldest end first. What a restart cut off is not among them."""
        self._renamed: set[int] = set()
        """Ids of calls that go on under another id, until the PBX has ended these."""
        self._talks_of: dict[str, dict[int, Story]] = {}
        """Phone → the calls in whose talk it is, by the identity of the story."""

    def saw(self, act: Act) -> None:
        """Take the next act."""
        if act.deed == "restarted":
            self.calls.clear()
            self._talks_of.clear()
            return
        if act.call in self._renamed:
            if act.deed == "ended":
                self._renamed.remove(act.call)
            return
        if act.deed in ("arrived", "dialled", "ordered", "paged"):
            outside = act.deed == "arrived"
            caller = plain(act.number) if outside else act.dn
            self.calls[act.call] = Story(act.call, outside, act.dn, caller, act.at)
        story = self.calls[act.call]
        if act.deed == "merged":
            self._merge(act, story, self.calls[act.other])
            return
        story.take(act)
        self._share_talks(story, act.at)
        if act.deed == "ended":
            self.over.append(self.calls.pop(act.call))

    def _merge(self, act: Act, goes_on: Story, other: Story) -> None:
        """Let the first of two calls go on with the party of the second, under the id it has."""
        if (goes_on.started_at, goes_on.id) < (other.started_at, other.id):
            moved = other.parties[act.to]
            other.handed_over = True
            goes_on.take(act)
            goes_on.join(moved, act.at)
            self._share_talks(goes_on, act.at)
            return
        first, consultation = other, goes_on
        moved = next(p for p in consultation.parties.values() if p.dn != act.dn)
        consultation.handed_over = True
        consultation.take(Act(act.at, "ended", consultation.id))
        self._share_talks(consultation, act.at)
        self.over.append(consultation)
        first.take(act)
        del first.parties[act.dn]
        first.join(moved, act.at)
        first.continues, first.id = (*first.continues, first.id), act.call
        del self.calls[act.other]
        self.calls[act.call] = first
        self._renamed.add(act.other)
        self._share_talks(first, act.at)

    def _share_talks(self, story: Story, at: float) -> None:
        """Have each phone of a call talk in the call to whose talk it came last."""
        for dn in story.turns:
            mine = self._talks_of.setdefault(dn, {})
            mine.pop(id(story), None)
            if dn in story.talking:
                mine[id(story)] = story
            if not mine:
                del self._talks_of[dn]
                continue
            latest = max(mine.values(), key=lambda each: (each.talking[dn], each.started_at))
            for each in mine.values():
                if each is latest:
                    each.speak(dn, at)
                else:
                    each.rest(dn, at)
