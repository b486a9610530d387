"""Hold the entities of one PBX: all topics, each DN in step with the calls on it. Pure.

A tracker tells what the directory, the address book and the connection are, and what each call
looks like now. The state then draws the extensions, queues and lines that a call touches, and keeps
the calls that ended. Every method that returns edits has already made them in ``state`` (contacts:
in ``book``).
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import accumulate, chain, islice, takewhile
from typing import Protocol

from msgspec.structs import replace

from monitor.pbx.facts import ConnectionChanged, ContactChanged, ContactsRead, DirectoryRead
from monitor.shared import phone_numbers
from monitor.shared.changes import Edit, apply, difference
from monitor.shared.entities import topics
from monitor.shared.phone_index import PhoneIndex, SubscriberIndex
from monitor.shared.timestamps import from_unix, moment
from monitor.tracking import entity_builder
from monitor.tracking.directory_index import DirectoryIndex

ENDED_KEPT = 1_000
ENDED_SECONDS = 24 * 3600.0
SHOWN_ON_DN = 1_000
"""Calls that an extension or a queue shows."""
LISTED = 500
LISTED_CHARACTERS = 5_000
"""DNs in each list of a call that ended, and their characters. The calls that go on have all of
theirs."""
_FROM_OUTSIDE = frozenset({"FromExternal", "Inbound", "External"})
_LOSSES = frozenset({"missed", "abandoned"})
_LISTS = ("extensions", "queues", "groups", "lines", "extgroups")
_FEW = 50
"""A changed address book is indexed again as a whole if one contact in so many has changed.

With 100,000 contacts that takes two seconds."""
_SAME_START = timedelta(seconds=1)
"""Time by which two monitors may tell the start of one call differently."""
_TAKES = timedelta(seconds=5)
"""Time by which the event of who answered may come after the row that tells of the answer."""
_LATE = 60.0
"""Seconds by which a fact may be older than another that came before it."""


class Timed(Protocol):
    """Describe a fact that tells when it held."""

    @property
    def at(self) -> float:
        """POSIX seconds on the PBX's clock."""
        ...


class EndedIndex:
    """Index the topic ``ended``; :meth:`follow` must be given all its edits."""

    def __init__(self) -> None:
        self._open_losses: SubscriberIndex[str] = SubscriberIndex()
        self._least: OrderedDict[str, None] = OrderedDict()
        self._of_call: dict[int, set[str]] = {}

    @property
    def least(self) -> Iterable[str]:
        """Return the ids of the calls with which no caller from outside was lost, in their order.

        Of too many calls, these are dropped first.
        """
        return self._least.keys()

    def follow(self, edits: Iterable[Edit]) -> None:
        """Take in what changed of the calls that ended."""
        for edit in edits:
            if isinstance(edit.before, topics.EndedCall):
                for number in _open_loss(edit.before):
                    self._open_losses.remove(number, edit.id)
                if edit.after is None:
                    self._forget_id(edit.before.call_id, edit.id)
            if not isinstance(edit.after, topics.EndedCall) or _is_loss(edit.after):
                self._least.pop(edit.id, None)
            else:
                self._least.setdefault(edit.id)
            if isinstance(edit.after, topics.EndedCall):
                for number in _open_loss(edit.after):
                    self._open_losses.add(number, edit.id)
                self._of_call.setdefault(edit.after.call_id, set()).add(edit.id)

    def _forget_id(self, call_id: int, id_: str) -> None:
        ids = self._of_call[call_id]
        ids.discard(id_)
        if not ids:
            del self._of_call[call_id]

    def of_call(self, call_id: int) -> list[str]:
        """Return the ids of the calls that had this id at the PBX, which gives an id again."""
        return sorted(self._of_call.get(call_id, ()))

    def open_losses(self, callers: Iterable[str]) -> Iterator[str]:
        """Yield the ids of the calls of these callers from outside that nobody took.

        Calls whose callers somebody has talked with since are left out. ``callers``: their numbers
        in any notation.
        """
        numbers = dict.fromkeys(
            number
            for caller in callers
            for number in phone_numbers.readings(caller[: phone_numbers.LONGEST])
        )
        ids = (id_ for number in numbers for id_ in self._open_losses.find(number))
        yield from dict.fromkeys(ids)


class PbxState:
    """Hold the state of one PBX. ``at``: the time on the PBX's clock, POSIX seconds."""

    def __init__(self, monitor: str, did_map: Mapping[str, str] | None = None) -> None:
        self.state = topics.empty_state(topics.TOPICS)
        self.book = topics.empty_state(topics.BOOK_TOPICS)
        self.directory_index = DirectoryIndex(did_map=did_map)
        self.phones = PhoneIndex()
        self.connection = ConnectionChanged("connecting", "", 0.0)
        self._store_reason = ""
        self.monitored: frozenset[str] | None = frozenset()
        """DNs whose legs the source shows; None: those of all DNs."""
        self.at = 0.0
        self._monitor = monitor
        self._did_map = dict(did_map or {})
        self._on_dn: dict[str, set[int]] = defaultdict(set)
        self._dns_of: dict[int, set[str]] = {}
        self._talks: dict[int, Mapping[str, Sequence[topics.Talk]]] = {}
        """Call id → what each DN does in the call as it is now."""
        self._touched: set[str] = set()
        self._ended = EndedIndex()
        self._unnamed: dict[int, list[str]] = {}
        """Call id → ids of lost calls whose caller is talked with in it, nobody knows by whom yet.

        A row of ActiveCalls may tell of the talk before the participant's event does. A monitor
        that begins does not know of it."""
        self._seen_before: dict[str, topics.Extension] = {}

    def advance_clock(self, fact: Timed | ContactsRead) -> None:
        """Set ``at`` from a fact, if the fact tells a time.

        A fact more than 60 s older than ``at`` means that the PBX's clock was set back: ``at``
        follows it. A fact that is a little older changes nothing.
        """
        if not isinstance(fact, ContactsRead):
            self.at = fact.at if fact.at < self.at - _LATE else max(self.at, fact.at)

    # calls

    def show(self, call: topics.Call) -> tuple[Edit, ...]:
        """Put in a call as it is now; its DNs are drawn by :meth:`settle`."""
        self._index(call.call_id, _dns(call))
        before = self.state["calls"].get(str(call.call_id))
        edits = self.commit("calls", {str(call.call_id): call})
        if call.answered_at is None:
            return edits
        if _is_answered(before):
            by = _talker(call, _TAKES) if call.call_id in self._unnamed else ""
            return (*edits, *self._name_returner(call.call_id, by))
        return (
            *edits,
            *self._return_calls(
                call.call_id, _outside_numbers(call), call.answered_at, _talker(call)
            ),
        )

    def over(self, call_id: int, ended: topics.EndedCall, at: float) -> tuple[Edit, ...]:
        """Move a call to the calls that ended; its DNs are drawn by :meth:`settle`.

        Return no edits if the call was not shown.
        """
        before = self.state["calls"].get(str(call_id))
        if before is None:
            return ()
        inbound = ended.direction in _FROM_OUTSIDE
        number, by = (ended.caller, ended.callee)[:: 1 if inbound else -1]
        by = by if by in ended.extensions else ""
        returned: tuple[Edit, ...] = ()
        if ended.answered_at is not None and not _is_answered(before):
            returned = self._return_calls(call_id, (number,), ended.answered_at, by)
        elif ended.answered_at is not None:
            returned = self._name_returner(call_id, by)
        gone = self.remove(call_id)
        unseen = self._drop(self._unseen_ends(ended))
        return (*gone, *returned, *unseen, *self.keep_ended((ended,)), *self.forget(at))

    def _unseen_ends(self, ended: topics.EndedCall) -> list[str]:
        """Return the ids under which a monitor that saw no end has told the end of this call."""
        return [
            told.id
            for told in self.ends_of(ended)
            if told.outcome == "unknown" and told.id != ended.id
        ]

    def ends_of(self, call: topics.Call | topics.EndedCall) -> list[topics.EndedCall]:
        """Return what is told of the call's end.

        That can be more than one, because two monitors may give different starts for one call.
        """
        started = moment(call.started_at)
        ended = topics.table(self.state, "ended", topics.EndedCall)
        return [
            told
            for told in map(ended.__getitem__, self._ended.of_call(call.call_id))
            if abs(moment(told.started_at) - started) <= _SAME_START
        ]

    def remove(self, call_id: int, heir: int | None = None) -> tuple[Edit, ...]:
        """Remove a call, if it is shown; its DNs are drawn by :meth:`settle`.

        ``heir``: id under which the call goes on.
        """
        self._index(call_id, set())
        unnamed = self._unnamed.pop(call_id, [])
        if unnamed and heir is not None:
            self._unnamed[heir] = [*self._unnamed.get(heir, ()), *unnamed]
        before = self.state["calls"].pop(str(call_id), None)
        return () if before is None else (Edit("calls", str(call_id), before, None),)

    def keep_ended(self, calls: Iterable[topics.EndedCall]) -> tuple[Edit, ...]:
        """Put in calls that ended, with bounded lists."""
        return self.commit("ended", {call.id: _bounded(call) for call in calls})

    def join_ended(self, found: Iterable[topics.EndedCall]) -> tuple[Edit, ...]:
        """Put in calls that another monitor saw end, each unless its end is told or it goes on.

        An end that was told without having been seen is replaced.
        """
        edits: list[Edit] = []
        for call in sorted(found, key=_ended_at):
            told = self.ends_of(call)
            known = told and (
                call.outcome == "unknown" or any(each.outcome != "unknown" for each in told)
            )
            if not known and self._is_missing(call):
                edits += (*self._drop(each.id for each in told), *self.keep_ended((call,)))
        return (*edits, *self.forget(self.at))

    def _is_missing(self, call: topics.EndedCall) -> bool:
        """Return whether a call that ended belongs to those that are shown, as far as is known."""
        ended, going_on = self.state["ended"], self.state["calls"].get(str(call.call_id))
        oldest = from_unix(self.at - ENDED_SECONDS)
        if len(ended) >= ENDED_KEPT:
            oldest = max(oldest, _ended_at(next(iter(ended.values()))))
        again = not isinstance(going_on, topics.Call) or going_on.started_at >= call.ended_at
        return again and call.ended_at >= oldest

    def correct_end(self, told: topics.EndedCall, right: topics.EndedCall) -> tuple[Edit, ...]:
        """Tell anew how a call ended, also if a full list has dropped it since."""
        again = self.keep_ended((told,))  # no edit, if it is there
        return (*again, *self.keep_ended((right,)), *self.forget(self.at))

    def _return_calls(
        self, call_id: int, numbers: Iterable[str], answered_at: str, by: str
    ) -> tuple[Edit, ...]:
        """Note at the calls that nobody took that their caller is talked with now, in this call."""
        ended = topics.table(self.state, "ended", topics.EndedCall)
        lost = [ended[id_] for id_ in self._ended.open_losses(numbers)]
        returned = {
            call.id: replace(call, returned_at=answered_at, returned_by=by)
            for call in lost
            if call.ended_at <= answered_at
        }
        if returned and not by:
            self._unnamed[call_id] = list(returned)
        return self.commit("ended", returned)

    def _name_returner(self, call_id: int, by: str) -> tuple[Edit, ...]:
        """Note who it is that talks with a caller whom nobody had taken, once that is known."""
        if not by or call_id not in self._unnamed:
            return ()
        ended = topics.table(self.state, "ended", topics.EndedCall)
        kept = [ended[id_] for id_ in self._unnamed.pop(call_id) if id_ in ended]
        return self.commit(
            "ended",
            {
                call.id: replace(call, returned_by=by)
                for call in kept
                if call.returned_at is not None and not call.returned_by
            },
        )

    def settle(self) -> tuple[Edit, ...]:
        """Draw the DNs again on which calls have changed since the last call of this method."""
        edits: list[Edit] = []
        for number in sorted(self._touched):
            if number in self.directory_index.extensions:
                edits += self.commit("extensions", {number: self._extension(number)})
            elif number in self.directory_index.lines:
                edits += self.commit("lines", {number: self._line(number)})
            elif number in self.directory_index.queues:
                edits += self.commit("queues", {number: self._queue(number)})
        self._touched.clear()
        return tuple(edits)

    def remember(
        self, ended: Mapping[str, topics.Entity], extensions: Mapping[str, topics.Extension]
    ) -> None:
        """Take over the stored calls that ended and since when extensions are in their state.

        Call it before the first directory is read.
        """
        self.state["ended"] = dict(sorted(ended.items(), key=lambda item: _ended_at(item[1])))
        self._ended = EndedIndex()
        kept = self.state["ended"].items()
        self._ended.follow(Edit("ended", id_, None, call) for id_, call in kept)
        self._seen_before = {
            number: replace(
                held, activity="Idle", since=held.since if held.activity == "Idle" else None
            )
            for number, held in extensions.items()
        }

    def forget(self, at: float) -> tuple[Edit, ...]:
        """Drop the calls that ended a day ago, and the excess over :data:`ENDED_KEPT`.

        Of the excess, the oldest go first. Calls from outside that were missed or abandoned go only
        after all others.
        """
        ended = self.state["ended"]
        horizon = from_unix(at - ENDED_SECONDS)
        old = list(takewhile(lambda id_: _ended_at(ended[id_]) < horizon, ended))
        edits = self._drop(old)
        over = max(0, len(ended) - ENDED_KEPT)
        edits += self._drop(list(islice(self._ended.least, over)))
        over = max(0, len(ended) - ENDED_KEPT)
        return (*edits, *self._drop(list(islice(ended, over))))

    def take_back(self, ended: topics.EndedCall) -> tuple[Edit, ...]:
        """Remove a call that ended, if it is there."""
        return self._drop([ended.id] if ended.id in self.state["ended"] else [])

    def _drop(self, ids: Iterable[str]) -> tuple[Edit, ...]:
        edits = tuple(Edit("ended", id_, self.state["ended"].pop(id_), None) for id_ in ids)
        self._ended.follow(edits)
        return edits

    # DNs

    def update_users(self, fact: DirectoryRead) -> tuple[frozenset[int], tuple[Edit, ...]] | None:
        """Apply a directory that differs only in the data of some users.

        Return the calls that these users are in, and the edits. Return None if more differs; then
        :meth:`replace_directory` must be used.
        """
        changed = self.directory_index.update_users(fact)
        if changed is None:
            return None
        queues = {
            queue for number in changed for queue in self.directory_index.queues_of.get(number, ())
        }
        drawn = {number: self._queue(number) for number in sorted(queues)}
        edits = (
            *self.draw_extensions(dict.fromkeys(sorted(changed))),
            *self.commit("queues", drawn),
        )
        return frozenset(id_ for number in changed for id_ in self._on_dn.get(number, ())), edits

    def replace_directory(self, fact: DirectoryRead) -> None:
        """Replace the directory; nothing of it is shown before :meth:`draw_all`."""
        directory_index = DirectoryIndex(fact, self._did_map, self.directory_index.logins)
        directory_index.inherit_kinds(self.directory_index)
        self.directory_index = directory_index

    def draw_all(self) -> None:
        """Draw every DN of the directory and drop all others."""
        directory_index = self.directory_index
        for topic, table in (
            ("groups", directory_index.groups),
            ("ivrs", directory_index.ivrs),
            ("extgroups", directory_index.extgroups),
            ("queues", {num: self._queue(num) for num in directory_index.queues}),
            ("lines", {num: self._line(num) for num in directory_index.lines}),
            ("extensions", {num: self._extension(num) for num in directory_index.extensions}),
            ("system", self._system()),
        ):
            self.state[topic] = dict(table)
        self._touched.clear()

    def set_queue_logins(self, logins: Mapping[str, Mapping[str, bool]] | None) -> tuple[Edit, ...]:
        """Set who is logged in to which queue; see :meth:`DirectoryIndex.set_queue_logins`."""
        self.directory_index.set_queue_logins(logins)
        queues = {number: self._queue(number) for number in self.directory_index.queues}
        return (
            *self.draw_extensions(self.directory_index.queues_of),
            *self.commit("queues", queues),
            *self.draw_system(),
        )

    def draw_extensions(self, numbers: Mapping[str, object] | None = None) -> tuple[Edit, ...]:
        """Draw these extensions, or all for None; numbers that are not extensions are left out."""
        chosen = (
            self.directory_index.extensions
            if numbers is None
            else [n for n in numbers if n in self.directory_index.extensions]
        )
        return self.commit("extensions", {number: self._extension(number) for number in chosen})

    # the address book

    def read_book(self, fact: ContactsRead) -> tuple[Edit, ...]:
        """Replace the whole address book."""
        before = self.book
        self.book = {"contacts": {str(contact.id): contact for contact in fact.contacts}}
        edits = difference(before, self.book)
        if len(edits) * _FEW > len(fact.contacts):
            self.phones = PhoneIndex(fact.contacts)
        else:
            self._reindex(edits)
        return edits

    def change_contact(self, fact: ContactChanged) -> tuple[Edit, ...]:
        """Set, change or remove one contact."""
        before = self.book["contacts"].get(str(fact.id))
        if before == fact.contact:
            return ()
        edit = Edit("contacts", str(fact.id), before, fact.contact)
        self._reindex((edit,))
        apply(self.book, (edit,))
        return (edit,)

    def _reindex(self, edits: Iterable[Edit]) -> None:
        for edit in edits:
            if isinstance(edit.before, topics.Contact):
                self.phones.remove(edit.before)
            if isinstance(edit.after, topics.Contact):
                self.phones.add(edit.after)

    # the connection

    def connect(self, fact: ConnectionChanged) -> tuple[Edit, ...]:
        """Set the state of the connection.

        ``since`` stays while only the reason or the source changes.
        """
        before = self.connection
        same = fact.connection == before.connection and before.at > 0  # 0: before the first fact
        at = before.at if same else fact.at
        self.connection = ConnectionChanged(
            fact.connection, fact.reason, at, fact.source or before.source
        )
        return self.draw_system()

    def draw_system(self) -> tuple[Edit, ...]:
        """Draw the entity of the PBX itself."""
        return self.commit("system", self._system())

    def note_store(self, reason: str) -> tuple[Edit, ...]:
        """Set what is wrong with the store, in words; empty if nothing is."""
        self._store_reason = reason
        return self.draw_system() if self.state["system"] else ()

    def commit(self, topic: str, entities: Mapping[str, topics.Entity]) -> tuple[Edit, ...]:
        """Replace the entities under these ids; an entity that is equal makes no edit."""
        held = self.state[topic]
        edits = tuple(
            Edit(topic, id_, held.get(id_), entity)
            for id_, entity in entities.items()
            if held.get(id_) != entity
        )
        apply(self.state, edits)
        if topic == "ended":
            self._ended.follow(edits)
        return edits

    # entities

    def _index(self, call_id: int, dns: set[str]) -> None:
        """Update the look-ups between DNs and calls, before the call changes."""
        self._talks.pop(call_id, None)
        old = self._dns_of.pop(call_id, set())
        for dn in old - dns:
            self._on_dn[dn].discard(call_id)
            if not self._on_dn[dn]:
                del self._on_dn[dn]
        for dn in dns - old:
            self._on_dn[dn].add(call_id)
        if dns:
            self._dns_of[call_id] = dns
        self._touched |= old | dns

    def _calls_on(self, dn: str) -> list[topics.Call]:
        table = topics.table(self.state, "calls", topics.Call)
        ids = map(str, sorted(self._on_dn.get(dn, ()))[:SHOWN_ON_DN])
        return [table[call_id] for call_id in ids if call_id in table]

    def _extension(self, number: str) -> topics.Extension:
        monitored = self.monitored is None or number in self.monitored
        idle = replace(self.directory_index.extensions[number], monitored=monitored)
        held = self.state["extensions"].get(number) or self._seen_before.pop(number, None)
        talks = [self._talks_of(call).get(number, ()) for call in self._calls_on(number)]
        return entity_builder.extension(idle, tuple(chain.from_iterable(talks)), held, self.at)

    def _talks_of(self, call: topics.Call) -> Mapping[str, Sequence[topics.Talk]]:
        """Return what each DN does in a call; found once for all DNs of a call as it is now."""
        found = self._talks.get(call.call_id)
        if found is None:
            found = self._talks[call.call_id] = entity_builder.talks_of(call)
        return found

    def _queue(self, number: str) -> topics.Queue:
        return entity_builder.queue(self.directory_index.queues[number], self._calls_on(number))

    def _line(self, number: str) -> topics.Line:
        return replace(self.directory_index.lines[number], in_use=len(self._on_dn.get(number, ())))

    def _reason(self) -> str:
        """Return what is wrong, in sentences: the connection, the directory's parts, the store."""
        why = self.connection.reason
        reached = self.connection.connection == "connected" or not why
        parts = self.directory_index.failing if reached else ""
        return " ".join(filter(None, (why, parts, self._store_reason)))

    def _system(self) -> dict[str, topics.Entity]:
        row = self.directory_index.system
        monitored = self.monitored
        return {
            topics.SYSTEM_ID: topics.System(
                connection=self.connection.connection,
                since=from_unix(self.connection.at),
                reason=self._reason(),
                version=row.version,
                fqdn=row.fqdn,
                licence_limit=row.max_sim_calls,
                source=self.connection.source,
                monitor=self._monitor,
                queue_rule=self.directory_index.queue_rule,
                unmonitored=0
                if monitored is None
                else sum(num not in monitored for num in self.directory_index.users),
                time_zone=row.time_zone,
            )
        }


def _dns(call: topics.Call) -> set[str]:
    dns = {leg.dn_num for leg in call.legs}
    return dns | {call.queue} if call.queue else dns


def _is_answered(entity: topics.Entity | None) -> bool:
    return isinstance(entity, topics.Call) and entity.answered_at is not None


def _outside_numbers(call: topics.Call) -> list[str]:
    return [leg.external_party for leg in call.legs if leg.dn_type == "externalline"]


def _talker(call: topics.Call, within: timedelta | None = None) -> str:
    """Return the extension that talks; empty if none does.

    ``within``: only one that has talked since the answer, or since no more than so much later.
    """
    talking = (
        leg.dn_num
        for leg in call.legs
        if leg.dn_type == "extension"
        and leg.status == "Connected"
        and not leg.listening
        and (within is None or _took(leg, call.answered_at, within))
    )
    return next(talking, "")


def _took(leg: topics.Leg, answered_at: str | None, within: timedelta) -> bool:
    if leg.since is None or answered_at is None:
        return False
    return moment(leg.since) - moment(answered_at) <= within


def _bounded(ended: topics.EndedCall) -> topics.EndedCall:
    return replace(ended, **{name: _beginning(getattr(ended, name)) for name in _LISTS})


def _beginning(dns: tuple[str, ...]) -> tuple[str, ...]:
    some = dns[:LISTED]
    sizes = accumulate(map(len, some))
    return some[: sum(size <= LISTED_CHARACTERS for size in sizes)]


def _ended_at(entity: topics.Entity) -> str:
    return entity.ended_at if isinstance(entity, topics.EndedCall) else ""


def _open_loss(ended: topics.EndedCall) -> tuple[phone_numbers.PhoneNumber, ...]:
    """Return the caller's number if nobody took this call from outside or talked with it since.

    There is one for each way to read it.
    """
    if ended.outcome in _LOSSES and ended.direction in _FROM_OUTSIDE and ended.returned_at is None:
        return phone_numbers.readings(ended.caller[: phone_numbers.LONGEST])
    return ()


def _is_loss(ended: topics.EndedCall) -> bool:
    """Return whether a caller from outside was lost with it."""
    return ended.outcome in _LOSSES and ended.direction not in ("Internal", "FromInternal")
