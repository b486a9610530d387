"""Make random histories of a space, and a subscriber that follows the protocol's rules exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import strategies as st

from gateway.fanout.field_selection import FieldSelection, names_of
from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.filters import WORDS, EntityFilter
from gateway.fanout.frames import Message
from gateway.visibility import Limits, Visibility
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.changes import apply as apply_edits
from monitor.shared.entities.topics import TOPICS, Entity, State, empty_state
from tests.gateway.entities import (
    START,
    call,
    ended,
    extension,
    extension_stats,
    extgroup,
    group,
    id_of,
    ivr,
    line,
    pbx_stats,
    queue,
    queue_stats,
    system,
)

EXTENSIONS = ("x101", "x102", "x103")
QUEUES = ("q800", "q801")
GROUPS = ("g600", "g601")
LINES = ("t10000",)

Put = tuple[str, str, Entity | None]
"""Topic, id, what it becomes."""


def _some(numbers: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(numbers), unique=True).map(lambda some: tuple(sorted(some)))


def _entities() -> st.SearchStrategy[tuple[str, Entity]]:
    exts, queues, groups = _some(EXTENSIONS), _some(QUEUES), _some(GROUPS)
    activity = st.sampled_from(("Idle", "Talking"))
    return st.one_of(
        st.builds(
            call, st.integers(1, 3), exts, queues, groups, st.sampled_from(("Routing", "Talking"))
        ).map(lambda e: ("calls", e)),
        st.builds(ended, st.integers(1, 3), exts, queues, groups).map(lambda e: ("ended", e)),
        st.builds(
            extension, st.sampled_from(EXTENSIONS), queues, groups, st.just(("Sales",)), activity
        ).map(lambda e: ("extensions", e)),
        st.builds(queue, st.sampled_from(QUEUES), exts, exts).map(lambda e: ("queues", e)),
        st.builds(group, st.sampled_from(GROUPS), exts).map(lambda e: ("groups", e)),
        st.builds(line, st.sampled_from(LINES), st.integers(0, 2)).map(lambda e: ("lines", e)),
        st.just(("ivrs", ivr("i700"))),
        st.builds(extgroup, st.just("Sales"), exts).map(lambda e: ("extgroups", e)),
        st.builds(system, st.sampled_from(("connected", "lost"))).map(lambda e: ("system", e)),
        st.builds(queue_stats, st.sampled_from(QUEUES), st.integers(0, 2)).map(
            lambda e: ("queuestats", e)
        ),
        st.builds(extension_stats, st.sampled_from(EXTENSIONS), st.integers(0, 2)).map(
            lambda e: ("extstats", e)
        ),
        st.builds(pbx_stats, st.integers(0, 2)).map(lambda e: ("pbxstats", e)),
    )


def puts() -> st.SearchStrategy[list[Put]]:
    """What one change puts in and takes away."""
    ids = {
        "calls": ("1", "2", "3"),
        "ended": tuple(f"{number}@{START}" for number in (1, 2, 3)),
        "extensions": EXTENSIONS,
        "queues": QUEUES,
        "groups": GROUPS,
        "queuestats": QUEUES,
        "extstats": EXTENSIONS,
    }
    upsert: st.SearchStrategy[Put] = _entities().map(
        lambda pair: (pair[0], id_of(pair[1]), pair[1])
    )
    remove: st.SearchStrategy[Put] = st.sampled_from(
        [(topic, id_, None) for topic in ids for id_ in ids[topic]]
    )
    return st.lists(st.one_of(upsert, upsert, remove), min_size=1, max_size=4)


def limits() -> st.SearchStrategy[Limits]:
    """Any limits, none included."""

    def kind(numbers: tuple[str, ...]) -> st.SearchStrategy[frozenset[str] | None]:
        return st.none() | st.frozensets(st.sampled_from(numbers))

    return st.builds(Limits, kind(EXTENSIONS), kind(QUEUES), kind(GROUPS))


@dataclass(frozen=True)
class Matching:
    """A filter such as a later subscription may bring: by extension, and queues' agents by name."""

    nums: frozenset[str]

    def __call__(self, topic: str, entity: Entity) -> bool:
        text = msgspec.json.encode(entity).decode()
        return topic == "system" or any(num in text for num in self.nums)


def entity_filters() -> st.SearchStrategy[EntityFilter]:
    """Filters by some of the protocol's fields."""

    def values(of: Sequence[str]) -> st.SearchStrategy[frozenset[str] | None]:
        return st.none() | st.frozensets(st.sampled_from(of), min_size=1)

    return st.builds(
        EntityFilter,
        ext=values(EXTENSIONS),
        queue=values(QUEUES),
        group=values(GROUPS),
        direction=values(WORDS["direction"]),
        state=values(WORDS["state"]),
        call=values(("1", "2", "3")),
    )


def views() -> st.SearchStrategy[FilteredView]:
    """Any view: topics, limits, with and without a filter, with all fields and with some."""
    topics = st.frozensets(st.sampled_from(tuple(TOPICS)), min_size=1) | st.just(frozenset(TOPICS))
    filters = (
        st.none()
        | st.builds(Matching, st.frozensets(st.sampled_from(EXTENSIONS + QUEUES)))
        | entity_filters()
    )
    fields = st.none() | field_selections()
    seen = st.builds(Visibility, limits())
    return st.builds(FilteredView, topics, seen, filters, fields, st.booleans())


def field_selections() -> st.SearchStrategy[FieldSelection]:
    """Some fields of any topics."""
    names = sorted({name for topic in TOPICS for name in names_of(topic)})
    some = st.frozensets(st.sampled_from(names), min_size=1, max_size=8)
    return st.builds(FieldSelection, some)


@dataclass
class Ledger:
    """A space moved by hand, with a log of so many changes. Remembers what every position was."""

    log_length: int = 1000
    state: State = field(default_factory=lambda: empty_state(TOPICS))
    position: Position | None = None
    log: list[Change] = field(default_factory=list)
    past: dict[Position, State] = field(default_factory=dict)
    epochs: int = 0

    def start_epoch(self) -> None:
        """A new epoch with the state as it is."""
        self.epochs += 1
        self.position = Position(f"{self.epochs:015d}-t", 0)
        self.log = []
        self._remember()

    def put(self, puts: list[Put]) -> None:
        """One change. What changes nothing is left out; if nothing is left there is no change."""
        before = {topic: dict(entities) for topic, entities in self.state.items()}
        for topic, id_, entity in puts:
            if entity is None:
                self.state[topic].pop(id_, None)
            else:
                self.state[topic][id_] = entity
        touched = dict.fromkeys((topic, id_) for topic, id_, _ in puts)
        edits = tuple(
            Edit(topic, id_, before[topic].get(id_), self.state[topic].get(id_))
            for topic, id_ in touched
            if before[topic].get(id_) != self.state[topic].get(id_)
        )
        if edits:
            self.state = before
            self.apply(edits)

    def apply(self, edits: tuple[Edit, ...]) -> None:
        """One change of these edits."""
        assert self.position is not None
        self.position = Position(self.position.epoch, self.position.seq + 1)
        apply_edits(self.state, edits)
        self.log = [*self.log, Change(self.position, START, edits)][-self.log_length :]
        self._remember()

    def since(self, seq: int, to: int | None = None) -> tuple[Change, ...] | None:
        assert self.position is not None
        if seq > self.position.seq or seq < self.position.seq - len(self.log):
            return None
        last = self.position.seq if to is None else to
        return tuple(change for change in self.log if seq < change.position.seq <= last)

    def told_since(self, seq: int) -> tuple[Change, ...]:
        """The same where the log is known to reach back."""
        changes = self.since(seq)
        assert changes is not None
        return changes

    def at(self, position: Position) -> Ledger:
        """The space as it was."""
        return Ledger(state=self.past[position], position=position)

    def _remember(self) -> None:
        assert self.position is not None
        self.past[self.position] = {topic: dict(entities) for topic, entities in self.state.items()}


def plain(value: Any) -> Any:
    """Entities as the plain containers that a client holds."""
    return msgspec.json.decode(msgspec.json.encode(value))


def decoded(message: Message) -> dict[str, Any]:
    """A frame as a client reads it."""
    frame = (
        msgspec.json.decode(message)
        if isinstance(message, str)
        else msgspec.msgpack.decode(message)
    )
    assert isinstance(frame, dict)
    return frame


def patched(
    state: Mapping[str, dict[str, Any]], patch: Mapping[str, Mapping[str, dict[str, Any]]]
) -> None:
    """Put the fields in their places; each must belong to an entity that is there."""
    for topic, entities in patch.items():
        for id_, fields in entities.items():
            held = state[topic][id_]
            assert fields.keys() <= held.keys()
            state[topic][id_] = held | fields


@dataclass
class Follower:
    """A client by the rules of the protocol; anything against them fails."""

    state: dict[str, dict[str, Any]] = field(default_factory=dict)
    position: Position | None = None
    stale_since: str | None = None
    parts: dict[str, dict[str, Any]] | None = None
    seen: list[dict[str, Any]] = field(default_factory=list)

    def receive(self, frame: Mapping[str, Any]) -> None:
        self.seen.append(dict(frame))
        position = Position(frame["epoch"], frame["seq"])
        if self.parts is not None:
            assert frame["type"] == "snapshot", "nothing comes between the parts of a snapshot"
        match frame["type"]:
            case "snapshot":
                self._snapshot(frame, position)
            case "change":
                assert self.position is not None
                assert self.position.epoch == position.epoch, "an epoch changes by a snapshot only"
                if frame["from"] == position.seq == self.position.seq:
                    assert (frame["upsert"], frame["remove"]) == ({}, {}), "nothing had changed"
                    assert not frame.get("patch"), "nothing had changed"
                    return
                assert frame["from"] <= self.position.seq < position.seq, (
                    "a change that cannot be applied"
                )
                for topic, entities in frame["upsert"].items():
                    self.state[topic].update(entities)
                for topic, ids in frame["remove"].items():
                    for id_ in ids:
                        self.state[topic].pop(id_, None)
                patched(self.state, frame.get("patch", {}))
                self.position = position
            case "heartbeat":
                assert self.position is not None
                assert self.position.epoch == position.epoch
                assert self.position.seq <= position.seq
                self.position = position
                self.stale_since = frame["stale_since"]
            case other:
                raise AssertionError(other)

    def _snapshot(self, frame: Mapping[str, Any], position: Position) -> None:
        if self.parts is None:
            self.parts = {}
        for topic, entities in frame["state"].items():
            self.parts.setdefault(topic, {}).update(entities)
        if not frame["more"]:
            assert self.position is None or position >= self.position, "a position never falls"
            self.state, self.position, self.parts = self.parts, position, None
