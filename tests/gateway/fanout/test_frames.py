"""Test frames: sizes, parts, the same content in both encodings, encoded once."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.filters import EntityFilter
from gateway.fanout.frames import (
    PART_BYTES,
    Encoding,
    ErrorFrame,
    FrameCache,
    Hello,
    Message,
    Pong,
    SnapshotParts,
    TakenSnapshot,
    encode,
    size,
)
from gateway.visibility import EVERYTHING
from monitor.shared.changes import Position
from monitor.shared.entities.topics import TOPICS
from tests.gateway.entities import START, call, extension
from tests.gateway.histories import Follower, Ledger, Put, decoded, plain, puts, views

ALL = FilteredView(frozenset(TOPICS), EVERYTHING)


def messages(parts: SnapshotParts) -> list[Message]:
    """All parts as a client gets them, and counted."""
    sizes: list[int] = []
    taken = list(TakenSnapshot(parts, sizes.append))
    assert sizes == [size(part) for part in taken]
    return taken


@dataclass
class Clock:
    now: float = 1_772_594_100.0

    def __call__(self) -> float:
        return self.now


def busy_ledger(extensions: int) -> Ledger:
    call_registry = Ledger()
    for number in range(extensions):
        call_registry.state["extensions"][str(number)] = extension(
            str(number), queues=("800",) * 10
        )
    call_registry.start_epoch()
    return call_registry


def test_the_frames_are_as_the_protocol_says() -> None:
    call_registry = Ledger()
    call_registry.start_epoch()
    frames = FrameCache(call_registry, Clock())
    view = FilteredView(frozenset({"calls"}), EVERYTHING)
    head = {"epoch": "000000000000001-t", "server_time": START}
    [part] = messages(frames.snapshot(view, "json", 0))
    assert decoded(part) == {
        "type": "snapshot",
        "seq": 0,
        "state": {"calls": {}},
        "more": False,
        **head,
    }
    beat = frames.heartbeat("json", None)
    assert decoded(beat) == {"type": "heartbeat", "seq": 0, "stale_since": None, **head}
    call_registry.put([("calls", "7", call(7))])
    change = frames.change(view, "json", 0, 0)
    assert change is not None
    upsert = {"calls": {"7": plain(call(7))}}
    assert decoded(change) == {
        "type": "change",
        "from": 0,
        "seq": 1,
        "upsert": upsert,
        "remove": {},
        **head,
    }
    call_registry.put([("calls", "7", None)])
    change = frames.change(view, "json", 1, 1)
    assert change is not None
    assert decoded(change) == {
        "type": "change",
        "from": 1,
        "seq": 2,
        "upsert": {},
        "remove": {"calls": ["7"]},
        **head,
    }
    hello = encode(Hello(1, "callmon", "main", 5.0, START, ("calls",)), "json")
    assert hello == (
        '{"type":"hello","protocol":1,"server":"callmon","pbx":"main","heartbeat":5.0,'
        f'"server_time":"{START}","topics":["calls"],"version":"1.1"}}'
    )
    assert decoded(encode(ErrorFrame("bad_message", "no"), "json")) == {
        "type": "error",
        "code": "bad_message",
        "message": "no",
    }
    assert decoded(encode(Pong(3, START), "msgpack")) == {
        "type": "pong",
        "at": 3,
        "server_time": START,
    }


@given(st.lists(puts(), min_size=1, max_size=5), views())
def test_both_encodings_say_the_same(history: list[list[Put]], view: FilteredView) -> None:
    call_registry = Ledger()
    call_registry.start_epoch()
    for change in history:
        call_registry.put(change)
    frames = FrameCache(call_registry, Clock())
    pairs = [
        (frames.change(view, "json", 0, 0), frames.change(view, "msgpack", 0, 0)),
        (
            messages(frames.snapshot(view, "json", 0))[0],
            messages(frames.snapshot(view, "msgpack", 0))[0],
        ),
        (frames.heartbeat("json", START), frames.heartbeat("msgpack", START)),
    ]
    for text, binary in pairs:
        assert isinstance(text, str)
        assert isinstance(binary, bytes)
        assert decoded(text) == decoded(binary)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_large_snapshot_comes_in_parts_of_bounded_size_that_are_swapped_in_on_the_last(
    encoding: Encoding,
) -> None:
    call_registry = busy_ledger(1200)
    parts = messages(FrameCache(call_registry, Clock()).snapshot(ALL, encoding, 0))
    assert len(parts) > 2
    sizes = [len(part if isinstance(part, bytes) else part.encode()) for part in parts]
    assert max(sizes) <= PART_BYTES == 64 * 1024
    assert min(sizes[:-1]) > PART_BYTES * 0.9
    assert [decoded(part)["more"] for part in parts] == [True] * (len(sizes) - 1) + [False]
    follower = Follower()
    for part in parts[:-1]:
        follower.receive(decoded(part))
    assert follower.state == {}
    follower.receive(decoded(parts[-1]))
    assert follower.state == plain(call_registry.state)


def test_a_part_is_made_when_the_first_client_takes_it_and_is_the_same_for_all() -> None:
    """Also while the state moves on: all parts are of the position at which the first began."""
    call_registry = busy_ledger(1200)
    was = plain(call_registry.state)
    parts = FrameCache(call_registry, Clock()).snapshot(ALL, "json", 0)
    fast, slow = parts.payloads(), parts.payloads()
    first = next(fast)
    assert parts.size == len(first), "no other is made before somebody takes it"
    expected = parts.expected_size
    assert next(slow) is first
    call_registry.put([("extensions", "1199", None), ("calls", "1", call(1))])
    rest = list(fast)
    assert len(rest) > 2
    assert all(one is other for one, other in zip(rest, slow, strict=True))
    assert parts.size == parts.expected_size == sum(map(len, (first, *rest)))
    assert 0.8 * parts.size < expected < 1.2 * parts.size
    follower = Follower()
    for payload in (first, *rest):
        follower.receive(decoded(payload.decode()))
    assert follower.state == was
    assert follower.position == Position(f"{1:015d}-t", 0)


def test_a_snapshot_that_nobody_takes_is_freed_once_it_is_too_old_to_be_shared() -> None:
    clock = Clock()
    frames = FrameCache(busy_ledger(1200), clock)
    client = TakenSnapshot(frames.snapshot(ALL, "json", 0), lambda _: None)
    other = frames.snapshot(ALL, "json", 0).payloads()
    next(other)
    held = weakref.ref(client.parts)
    clock.now += 1.1
    frames.forget()
    assert frames._snapshots_size == 0
    assert len(list(client)) > 2, "who has begun gets it all"
    assert len([*other]) > 1
    del client
    assert held() is None


def test_a_change_too_large_for_a_frame_is_left_to_a_snapshot() -> None:
    call_registry = busy_ledger(0)
    frames = FrameCache(call_registry, Clock())
    call_registry.put(
        [("extensions", str(n), extension(str(n), queues=("800",) * 10)) for n in range(1200)]
    )
    assert frames.change(ALL, "json", 0, 0) is None
    call_registry.put([("calls", "1", call(1))])
    assert frames.change(ALL, "json", 1, 1) is not None


def test_equal_views_get_the_very_same_bytes() -> None:
    call_registry = busy_ledger(3)
    frames = FrameCache(call_registry, Clock())
    twin = FilteredView(frozenset(TOPICS), EVERYTHING)
    assert frames.snapshot(ALL, "json", 0) is frames.snapshot(twin, "json", 0)
    call_registry.put([("calls", "1", call(1))])
    assert frames.change(ALL, "json", 0, 0) is frames.change(twin, "json", 0, 0)


def test_a_snapshot_is_shared_for_a_second_but_never_older_than_the_clients_position() -> None:
    call_registry = busy_ledger(3)
    clock = Clock()
    frames = FrameCache(call_registry, clock)
    frames.forget()
    clock.now += 0.1
    first = frames.snapshot(ALL, "json", 0)
    call_registry.put([("calls", "1", call(1))])
    assert frames.snapshot(ALL, "json", 0) is first
    assert frames.snapshot(ALL, "json", 1).position.seq == 1
    clock.now += 1.1
    call_registry.put([("calls", "1", None)])
    assert frames.snapshot(ALL, "json", 0).position.seq == 2


def test_many_who_come_at_once_with_a_view_of_their_own_each_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call_registry, clock = busy_ledger(100), Clock()
    frames = FrameCache(call_registry, clock)
    one = frames.snapshot(ALL, "json", 0)
    messages(one)
    room = 3 * one.size + 100
    monkeypatch.setattr("gateway.fanout.frames._SNAPSHOTS_KEPT_BYTES", room)
    for number in range(20):
        own = FilteredView(
            frozenset(TOPICS), EVERYTHING, EntityFilter(call=frozenset({str(number)}))
        )
        messages(frames.snapshot(own, "json", 0))
        assert frames.snapshot(ALL, "json", 0) is one, "what is asked for again and again is kept"
        assert (
            sum(parts.size for _, parts in frames._snapshots.values())
            == frames._snapshots_size
            <= room
        )
    call_registry.put([("calls", "1", call(1))])
    messages(frames.snapshot(ALL, "json", 1))
    assert (
        sum(parts.size for _, parts in frames._snapshots.values()) == frames._snapshots_size <= room
    )
    clock.now += 2
    frames.forget()
    assert frames._snapshots_size == len(frames._snapshots) == 0
    monkeypatch.setattr("gateway.fanout.frames._SNAPSHOTS_KEPT_BYTES", 1)
    assert frames.snapshot(ALL, "json", 0) is frames.snapshot(ALL, "json", 0), (
        "the last one is shared however large"
    )


def test_a_shared_snapshot_is_not_given_out_where_no_change_leads_on_from_it() -> None:
    call_registry = busy_ledger(3)
    call_registry.log_length = 1
    frames = FrameCache(call_registry, Clock())
    frames.snapshot(ALL, "json", 0)
    call_registry.put([("calls", "1", call(1))])
    call_registry.put([("calls", "1", None)])
    assert frames.snapshot(ALL, "json", 0).position.seq == 2
    call_registry.start_epoch()
    assert frames.snapshot(ALL, "json", 0).position == call_registry.position


def test_many_who_lag_differently_do_not_fill_the_memory() -> None:
    call_registry = busy_ledger(3)
    for number in range(200):
        call_registry.put([("calls", str(number), call(number))])
    frames = FrameCache(call_registry, Clock())
    for seq in range(200):
        assert frames.change(ALL, "json", seq, seq) is not None
    assert len(frames._changes) <= 64


def test_there_are_no_frames_without_a_state() -> None:
    with pytest.raises(ValueError, match="no state yet"):
        FrameCache(Ledger(), Clock()).heartbeat("json", None)


def test_a_change_from_so_far_back_that_a_snapshot_costs_less_is_left_to_a_snapshot() -> None:
    call_registry = busy_ledger(3)
    frames = FrameCache(call_registry, Clock())
    numbers = [str(number) for number in range(100)]
    for number in range(30):
        call_registry.put([("extensions", num, extension(num, (f"{number}",))) for num in numbers])
    assert frames.change(ALL, "json", 0, 0) is None
    assert frames.change(ALL, "json", 15, 15) is not None
