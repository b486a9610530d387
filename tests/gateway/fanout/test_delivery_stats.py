"""How old what a hub sends is, and why it sent it."""

from __future__ import annotations

import pytest

from gateway.counters import FanoutCounters
from gateway.fanout.delivery_stats import DeliveryStats
from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.hub import Hub
from gateway.replication.replica import Replica
from gateway.transport.websocket_protocol import ReadyFrame
from gateway.visibility import Visibility
from monitor.shared.changes import Change, Edit, Position
from monitor.shared.entities.topics import TOPICS, Ivr, empty_state
from monitor.shared.redis.key_names import SpaceKeys
from tests.gateway.entities import START


class _Line:
    """A connection whose client takes all, or nothing."""

    def __init__(self) -> None:
        self.ready = True
        self.frames: list[ReadyFrame] = []

    def push(self, frame: ReadyFrame) -> bool:
        if self.ready:
            self.frames.append(frame)
        return self.ready


class _Desk:
    """A hub on a replica with a short log, a clock of the test's own, and subscribers on lines."""

    def __init__(self, log_length: int = 10) -> None:
        self.now = 1_000.0
        self.replica = Replica(SpaceKeys("main", "live"), log_length)
        self.replica.load(Position("1-t", 0), START, empty_state(TOPICS))
        self.hub = Hub(self.replica, lambda: None, lambda: self.now)
        self.view = FilteredView(frozenset({"ivrs"}), Visibility())

    @property
    def counters(self) -> FanoutCounters:
        return self.hub.counters

    def change(self, heard: float) -> None:
        assert self.replica.position is not None
        seq = self.replica.position.seq + 1
        before = self.replica.state["ivrs"].get("1")
        edit = Edit("ivrs", "1", before, Ivr("1", f"name {seq}"))
        self.replica.apply(Change(Position("1-t", seq), START, (edit,), "trace", heard))


def test_a_delivery_is_as_old_as_the_oldest_change_in_its_frame() -> None:
    desk = _Desk()
    quick, slow = _Line(), _Line()
    places = [
        desk.hub.subscribe(desk.view, "json", lambda: None, line=line)
        for line in (quick, slow, slow)
    ]
    for place in places:
        desk.hub.next_messages(place)
    slow.ready = False
    desk.change(heard=999.0)
    desk.hub.changed()
    assert (desk.counters.written.count, desk.counters.written.total) == (1, 1.0)
    assert (desk.counters.changes, desk.counters.merged) == (1, 0)
    desk.now += 2.0
    desk.change(heard=1_001.5)
    desk.hub.changed()
    assert desk.counters.written.total == pytest.approx(1.5)
    for place in places[1:]:
        (message,) = desk.hub.next_messages(place)
    assert desk.counters.awaited.count == 2
    assert desk.counters.awaited.total == pytest.approx(2 * 3.0)
    assert (desk.counters.changes, desk.counters.merged) == (4, 2)
    assert desk.counters.change_bytes == sum(len(frame.plain) for frame in quick.frames) + 2 * len(
        message
    )


def test_a_change_of_an_older_monitor_has_no_age() -> None:
    desk = _Desk()
    line = _Line()
    desk.hub.next_messages(desk.hub.subscribe(desk.view, "json", lambda: None, line=line))
    desk.change(heard=0.0)
    desk.hub.changed()
    assert (desk.counters.changes, desk.counters.written.count) == (1, 0)


def test_snapshots_are_told_apart_by_why_they_were_sent() -> None:
    desk = _Desk(log_length=2)
    lagging = desk.hub.subscribe(desk.view, "json", lambda: None)
    desk.hub.next_messages(lagging)
    for _ in range(3):
        desk.change(heard=999.0)
        desk.hub.changed()
    desk.hub.next_messages(lagging)
    assert desk.counters.snapshots == {"subscribed": 1, "log": 1}
    desk.hub.next_messages(
        desk.hub.subscribe(desk.view, "json", lambda: None, since=Position("1-t", 0))
    )
    assert desk.counters.snapshots["log"] == 2
    desk.replica.load(Position("2-t", 0), START, empty_state(TOPICS))
    desk.hub.changed()
    desk.hub.next_messages(lagging)
    assert desk.counters.snapshots["epoch"] == 1


def test_a_snapshot_in_the_place_of_a_change_is_due_to_the_log_or_to_the_changes_size() -> None:
    desk = _Desk(log_length=2)
    stats = DeliveryStats(desk.replica, lambda: desk.now)
    for _ in range(3):
        desk.change(heard=999.0)
    assert [stats.why_none(seq) for seq in (0, 1, 2)] == ["log", "size", "size"]
