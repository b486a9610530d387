"""Subscribers of all PBXs hold exactly what the PBXs of their keys are at their position."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.fleet import Fleet
from gateway.fanout.frames import TakenSnapshot
from gateway.fanout.view_subscribers import Subscriber
from gateway.replication.replica import Replica
from gateway.visibility import NO_LIMITS, Limits, Visibility
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.entities.pbx_summary import PbxSummary
from monitor.shared.entities.topics import TOPICS, Entity, System, empty_state
from monitor.shared.redis.key_names import SpaceKeys
from tests.gateway.entities import START, call
from tests.gateway.histories import Follower, decoded, plain

NAMES = ("east", "north", "west")
SYSTEM = System("connected", START, "", "20", "pbx", 2, "activecalls", "m", "", 0)


@dataclass
class Client:
    """One who takes what is due when asked, leaves, and comes back where it was."""

    fleet: Fleet
    view: FilteredView
    follower: Follower = field(default_factory=Follower)
    place: Subscriber | None = None

    def come(self) -> None:
        if self.place is None:
            since = self.follower.position
            self.place = self.fleet.hub.subscribe(self.view, "json", lambda: None, since)

    def leave(self) -> None:
        if self.place is not None:
            self.fleet.hub.leave(self.place)
            self.place = None

    def take(self) -> None:
        self.come()
        assert self.place is not None
        while messages := self.fleet.hub.next_messages(self.place):
            parts = messages.payloads() if isinstance(messages, TakenSnapshot) else messages
            for message in parts:
                text = message.decode() if isinstance(message, bytes) else message
                self.follower.receive(decoded(text))

    def check(self, written: dict[int, dict[str, PbxSummary]]) -> None:
        """Compare with what was written at its position."""
        position = self.follower.position
        assert position is not None
        expected: dict[str, Any] = {}
        for name, summary in written[position.seq].items():
            seen = self.view.visibility.shown("pbxs", summary)
            if seen is not None:
                expected[name] = plain(seen)
        assert self.follower.state == {"pbxs": expected}


@dataclass
class Scene:
    """Three PBXs that a gateway follows, moved by hand."""

    fleet: Fleet = field(default_factory=Fleet)
    replicas: dict[str, Replica] = field(default_factory=dict)
    written: dict[int, dict[str, PbxSummary]] = field(default_factory=dict)
    calls: int = 0

    def __post_init__(self) -> None:
        for name in NAMES:
            self.replicas[name] = Replica(SpaceKeys(name, "live"))
            self.fleet.follow(name, self.replicas[name], self.note, lambda: None)
        self.note()

    def note(self) -> None:
        summaries = self.fleet.summaries
        held = summaries.state["pbxs"].items()
        known = {name: pbx for name, pbx in held if isinstance(pbx, PbxSummary)}
        assert self.written.setdefault(summaries.position.seq, known) == known

    def begin(self, name: str, epoch: int) -> None:
        replica = self.replicas[name]
        held = replica.position
        state = empty_state(TOPICS) | {"system": {"pbx": SYSTEM}}
        at = 1 if held is None else int(held.epoch[:15]) + epoch + 1
        replica.load(Position(f"{at:015d}-t", 0), START, state)

    def move(self, name: str, topic: str, id_: str, entity: Entity | None) -> None:
        replica = self.replicas[name]
        if replica.position is None:
            self.begin(name, 0)
        elif replica.state[topic].get(id_) != entity:
            edit = Edit(topic, id_, replica.state[topic].get(id_), entity)
            to = Position(replica.position.epoch, replica.position.seq + 1)
            replica.apply(Change(to, START, (edit,)))

    def act(self, what: str, name: str) -> None:
        replica = self.replicas[name]
        match what:
            case "call":
                self.calls += 1
                self.move(name, "calls", str(self.calls), call(self.calls))
            case "end":
                held = next(iter(replica.state["calls"]), None)
                if held is not None:
                    self.move(name, "calls", held, None)
            case "lost":
                self.move(name, "system", "pbx", None)
            case "back":
                self.move(name, "system", "pbx", SYSTEM)
            case "silent":
                replica.silent(START)
            case "heard":
                replica.heard(START)
            case _:
                self.begin(name, 1)
        self.fleet.refresh(name)


ACTS = st.tuples(
    st.sampled_from(["call", "end", "lost", "back", "silent", "heard", "epoch"]),
    st.sampled_from(NAMES),
)
MOVES = st.tuples(st.sampled_from(["take", "leave", "come"]), st.integers(0, 3))


@given(
    st.lists(st.one_of(ACTS, MOVES), max_size=60),
    st.lists(st.sets(st.sampled_from(NAMES), min_size=1), min_size=4, max_size=4),
)
def test_every_subscriber_holds_the_summaries_of_its_set_at_its_position(
    acts: list[tuple[str, Any]], sets: list[set[str]]
) -> None:
    scene = Scene()
    limits = (NO_LIMITS, NO_LIMITS, NO_LIMITS, Limits(frozenset({"101"})))
    clients = [
        Client(
            scene.fleet,
            FilteredView(frozenset({"pbxs"}), Visibility(limit, pbxs=frozenset(names))),
        )
        for names, limit in zip(sets, limits, strict=True)
    ]
    for what, whom in acts:
        if isinstance(whom, str):
            scene.act(what, whom)
        else:
            getattr(clients[whom], what)()
            if what == "take":
                clients[whom].check(scene.written)
    for client in clients:
        client.take()
        client.check(scene.written)
        assert client.follower.state["pbxs"].keys() == {
            name for name in NAMES if name in client.view.visibility.pbxs
        }
        told = str(client.follower.seen)
        assert all(name in client.view.visibility.pbxs or name not in told for name in NAMES)


def test_a_visibility_without_pbxs_sees_no_summary() -> None:
    scene = Scene()
    view = FilteredView(frozenset({"pbxs"}), replace(Visibility(), pbxs=frozenset()))
    assert view.snapshot(scene.fleet.summaries) == {"pbxs": {}}
