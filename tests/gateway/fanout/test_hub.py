"""Test that a subscriber's state is exact at its position and reaches the newest."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.filters import filter_of
from gateway.fanout.frames import Encoding, FrameCache, Message, TakenSnapshot
from gateway.fanout.hub import Hub
from gateway.fanout.view_subscribers import Subscriber
from gateway.transport.websocket_protocol import ReadyFrame
from gateway.visibility import EVERYTHING, Limits, Visibility
from monitor.shared.changes import Change, Position
from monitor.shared.entities.topics import TOPICS
from monitor.shared.tasks import running
from tests.bus import until
from tests.examples import examples
from tests.gateway.entities import START, call, extension, queue
from tests.gateway.fanout.test_frames import Clock
from tests.gateway.histories import Follower, Ledger, Put, decoded, plain, puts, views

ALL = FilteredView(frozenset(TOPICS), EVERYTHING)


@dataclass
class Wire:
    """A line as the server has it: takes ready-made frames while nothing stands against it."""

    follower: Follower
    open: bool = True
    compresses: bool = False

    @property
    def ready(self) -> bool:
        return self.open

    def push(self, frame: ReadyFrame) -> bool:
        if self.open:
            data = frame.compressed() if self.compresses else frame.plain
            self.follower.receive(decoded(unframed(data)))
        return self.open


def unframed(frame: bytes) -> str | bytes:
    """The message in a WebSocket frame, as RFC 6455 has it."""
    size, at = frame[1], 2
    if size >= 126:
        at = 4 if size == 126 else 10
        size = int.from_bytes(frame[2:at], "big")
    assert len(frame) == at + size, "a frame is its head and its payload"
    payload = frame[at:]
    if frame[0] & 0x40:  # compressed, as RFC 7692 has it
        payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
    return payload.decode() if frame[0] & 15 == 1 else payload


@dataclass
class World:
    """A space, its hub, and subscribers with their clients."""

    call_registry: Ledger
    clock: Clock = field(default_factory=Clock)
    stale_since: str | None = None
    woken: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hub = Hub(self.call_registry, lambda: self.stale_since, self.clock, heartbeat=0.01)
        self.places: list[tuple[Subscriber, Follower]] = []

    def join(
        self,
        view: FilteredView,
        encoding: Encoding = "json",
        *,
        merge: bool = True,
        wired: bool = False,
    ) -> tuple[Subscriber, Follower]:
        number, follower = len(self.places), Follower()
        wake = partial(self.woken.append, number)
        line = Wire(follower, compresses=number % 2 == 0) if wired else None
        place = (self.hub.subscribe(view, encoding, wake, merge=merge, line=line), follower)
        self.places.append(place)
        return place

    def put(self, *puts: Put) -> None:
        self.call_registry.put(list(puts))
        self.hub.changed()

    def beat(self) -> None:
        for slot in self.hub._slots:
            self.hub._send_heartbeats(slot)

    def read(self, place: tuple[Subscriber, Follower]) -> bool:
        """The client takes what there is next, if anything, and must be exact there."""
        subscriber, follower = place
        messages = self.hub.next_messages(subscriber)
        for message in messages:
            follower.receive(decoded(message))
        if messages:
            assert follower.position == subscriber.position
            assert follower.position is not None
            assert follower.state == plain(
                subscriber.view.snapshot(self.call_registry.at(follower.position))
            )
        return bool(messages)

    def read_all(self, place: tuple[Subscriber, Follower]) -> list[str]:
        follower = place[1]
        before = len(follower.seen)
        while self.read(place):
            pass
        return [frame["type"] for frame in follower.seen[before:]]


@dataclass(frozen=True)
class Step:
    """Something that happens, to the subscriber ``who`` where it happens to one."""

    what: str
    who: int
    view: FilteredView
    puts: list[Put]


HAPPENINGS = (
    "put",
    "put",
    "put",
    "read",
    "read",
    "read",
    "view",
    "epoch",
    "beat",
    "stale",
    "later",
    "unheard",
    "leave",
    "resume",
    "resume",
    "unmerged",
    "line",
)


def steps() -> st.SearchStrategy[list[Step]]:
    """What may happen, in any order."""
    return st.lists(
        st.builds(Step, st.sampled_from(HAPPENINGS), st.integers(0, 2), views(), puts()),
        min_size=1,
        max_size=30,
    )


def play(world: World, step: Step) -> None:  # noqa: C901 - one case a happening
    place = world.places[step.who]
    match step.what:
        case "put":
            world.put(*step.puts)
        case "view":
            world.hub.change_view(place[0], step.view)
        case "read":
            world.read(place)
        case "epoch":
            world.call_registry.start_epoch()
            world.hub.changed()
        case "unheard":  # the replica moves several times before the hub looks
            world.call_registry.put([("calls", "1", call(1, ("x101",)))])
            world.call_registry.put([("calls", "1", None)])
        case "beat":
            world.beat()
        case "stale":
            world.stale_since = START if world.stale_since is None else None
            world.hub.changed()
        case "later":
            world.clock.now += 0.7
        case "resume" | "unmerged" | "leave":
            rejoin(world, step)
        case "line" if isinstance(place[0].line, Wire):
            place[0].line.open = not place[0].line.open


def rejoin(world: World, step: Step) -> None:
    """It goes and comes back: with what it holds, perhaps to another gateway, or with nothing."""
    subscriber, follower = world.places[step.who]
    world.hub.leave(subscriber)
    if step.what != "resume":
        follower = Follower()
    line = None if subscriber.line is None else Wire(follower, compresses=bool(step.puts))
    merge, since = step.what != "unmerged", follower.position
    if subscriber.snapshot_due and not subscriber.resuming:
        since = None  # what it holds is of the view that it had before
    again = world.hub.subscribe(
        subscriber.view, subscriber.encoding, lambda: None, since, merge=merge, line=line
    )
    world.places[step.who] = (again, follower)


@examples(60)
@given(
    st.lists(views(), min_size=1, max_size=3),
    steps(),
    st.integers(1, 6),
    st.sampled_from(("json", "msgpack")),
)
def test_every_subscriber_is_exact_at_its_position_and_reaches_the_newest(
    their_views: list[FilteredView], history: list[Step], log_length: int, encoding: Encoding
) -> None:
    call_registry = Ledger(log_length)
    call_registry.start_epoch()
    world = World(call_registry)
    for number in range(3):
        world.join(their_views[number % len(their_views)], encoding, wired=number > 0)
    for step in history:
        play(world, step)
    world.hub.changed()
    world.beat()
    for place in world.places:
        world.read_all(place)
        assert place[1].position == call_registry.position
        assert place[1].state == plain(place[0].view.snapshot(call_registry))
        assert place[1].stale_since == world.stale_since
        world.hub.leave(place[0])
    assert len(world.hub) == 0
    assert world.hub._tracks == {}


def started() -> World:
    call_registry = Ledger()
    call_registry.start_epoch()
    return World(call_registry)


def test_one_who_lags_gets_one_merged_change() -> None:
    world = started()
    place = world.join(ALL)
    assert world.read_all(place) == ["snapshot"]
    for number in range(5):
        world.put(("calls", str(number), call(number)))
    world.put(("calls", "0", None))
    assert world.read_all(place) == ["change"]
    frame = place[1].seen[-1]
    assert (frame["from"], frame["seq"]) == (0, 6)
    assert sorted(frame["upsert"]["calls"]) == ["1", "2", "3", "4"]


def test_nothing_is_made_for_those_who_can_take_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = started()
    stuck = [world.join(ALL, wired=True) for _ in range(3)]
    reading = world.join(ALL, wired=True)
    for number, place in enumerate(stuck):  # each stops somewhere else
        world.read_all(place)
        world.put(("calls", str(number), call(number)))
        line = place[0].line
        assert isinstance(line, Wire)
        line.open = False
    world.read_all(reading)
    made: list[int] = []
    change = FrameCache.change

    def counted(
        self: FrameCache, view: FilteredView, encoding: Encoding, from_seq: int, *more: Any
    ) -> Message | None:
        made.append(from_seq)
        return change(self, view, encoding, from_seq, *more)

    monkeypatch.setattr(FrameCache, "change", counted)
    for number in range(10, 15):
        world.put(("calls", str(number), call(number)))
    assert made == [3, 4, 5, 6, 7], "one frame a change, for the one who reads"
    assert reading[1].position == world.call_registry.position


def test_one_whom_the_log_does_not_reach_gets_a_snapshot() -> None:
    world = started()
    world.call_registry.log_length = 2
    place = world.join(ALL)
    world.read_all(place)
    for number in range(3):
        world.put(("calls", str(number), call(number)))
    assert world.read_all(place) == ["snapshot"]


def test_a_change_too_large_for_a_frame_comes_as_a_snapshot_in_parts() -> None:
    world = started()
    place = world.join(ALL)
    world.read_all(place)
    world.put(
        *(("extensions", str(n), extension(str(n), queues=("800",) * 10)) for n in range(1200))
    )
    assert set(world.read_all(place)) == {"snapshot"}
    assert place[1].position == world.call_registry.position


def test_only_those_whose_view_changes_are_woken_and_told() -> None:
    world = started()
    everyone = world.join(ALL)
    limited = world.join(
        FilteredView(frozenset(TOPICS), Visibility(Limits(extensions=frozenset({"101"}))))
    )
    for place in (everyone, limited):
        world.read_all(place)
    world.woken.clear()
    world.put(("calls", "1", call(1, ("102",))))
    assert world.woken == [0]
    assert world.read_all(limited) == []
    assert world.read_all(everyone) == ["change"]
    world.put(("calls", "1", call(1, ("102", "101"))))
    assert world.woken == [0, 0, 1]
    assert world.read_all(limited) == ["change"]
    assert limited[1].seen[-1]["from"] == 0


def test_those_between_whose_positions_a_view_did_not_change_share_one_frame() -> None:
    world = started()
    calls_only = FilteredView(frozenset({"calls"}), EVERYTHING)
    early = world.join(calls_only)
    world.read_all(early)
    world.put(("extensions", "101", extension("101")))
    world.clock.now += 2
    late = world.join(calls_only)
    world.read_all(late)
    world.put(("calls", "1", call(1)))
    [one] = world.hub.next_messages(early[0])
    [other] = world.hub.next_messages(late[0])
    assert one is other


def test_a_heartbeat_moves_the_position_of_a_view_that_did_not_change() -> None:
    world = started()
    place = world.join(FilteredView(frozenset({"queues"}), EVERYTHING))
    world.read_all(place)
    world.put(("calls", "1", call(1)))
    assert world.read_all(place) == []
    world.beat()
    assert world.read_all(place) == ["heartbeat"]
    assert place[1].position == world.call_registry.position


def test_a_heartbeat_never_runs_ahead_of_a_change() -> None:
    world = started()
    place = world.join(ALL)
    world.read_all(place)
    world.put(("calls", "1", call(1)))
    world.beat()
    assert world.read_all(place) == ["change", "heartbeat"]


def test_silence_of_the_bus_and_its_end_are_told_at_once_and_to_newcomers() -> None:
    world = started()
    place = world.join(ALL)
    world.read_all(place)
    world.stale_since = START
    world.hub.changed()
    assert world.read_all(place) == ["heartbeat"]
    assert place[1].stale_since == START
    newcomer = world.join(ALL)
    assert world.read_all(newcomer) == ["snapshot", "heartbeat"]
    assert newcomer[1].stale_since == START
    world.stale_since = None
    world.hub.changed()
    assert world.read_all(place) == ["heartbeat"]
    assert place[1].stale_since is None


def test_a_new_epoch_is_a_snapshot_for_everyone_encoded_once_a_view() -> None:
    world = started()
    places = [world.join(ALL), world.join(ALL)]
    for place in places:
        world.read_all(place)
    world.call_registry.start_epoch()
    world.hub.changed()
    one, other = (world.hub.next_messages(place[0]) for place in places)
    assert isinstance(one, TakenSnapshot)
    assert isinstance(other, TakenSnapshot)
    assert one.parts is other.parts
    assert [decoded(message)["type"] for message in one] == ["snapshot"]


def test_without_a_state_there_is_nothing_to_send_until_there_is() -> None:
    world = World(Ledger())
    place = world.join(ALL)
    assert not world.hub.ready
    assert world.read_all(place) == []
    world.beat()
    assert world.read_all(place) == []
    world.call_registry.start_epoch()
    world.hub.changed()
    assert world.woken
    assert world.read_all(place) == ["snapshot", "heartbeat"]


def test_a_view_subscribed_to_again_never_gets_an_older_snapshot_than_was_sent() -> None:
    world = started()
    place = world.join(ALL)
    world.read_all(place)
    world.put(("calls", "1", call(1)))
    world.read_all(place)
    world.hub.change_view(place[0], FilteredView(frozenset({"queues"}), EVERYTHING))
    world.hub.change_view(place[0], ALL)
    assert world.read_all(place) == ["snapshot"]
    assert place[1].position == world.call_registry.position


def test_the_change_is_sent_though_the_log_lacks_the_first_of_equal_positions() -> None:
    world = started()
    calls_only = FilteredView(frozenset({"calls"}), EVERYTHING)
    place = world.join(calls_only)
    world.read_all(place)
    world.call_registry.log_length = 2
    for number in range(5):
        world.put(("queues", str(number), queue(str(number))))
    world.beat()
    assert world.read_all(place) == ["heartbeat"]
    world.put(("calls", "1", call(1)))
    assert world.read_all(place) == ["change"]


def test_very_many_changes_of_a_view_are_not_all_remembered() -> None:
    world = started()
    world.call_registry.log_length = 10
    place = world.join(ALL)
    world.read_all(place)
    world.call_registry.past.clear()
    for number in range(10_000):
        world.put(("calls", "1", call(number)))
        world.call_registry.past.clear()
    [track] = world.hub._tracks.values()
    assert len(track._touched) <= 4096


async def test_everyone_gets_a_heartbeat_within_its_time_when_nothing_happens() -> None:
    world = started()
    places = [world.join(ALL) for _ in range(50)]
    for place in places:
        world.read_all(place)
    async with running(world.hub.run()), asyncio.timeout(60):
        waiting = list(places)
        while waiting:
            await asyncio.sleep(0)
            waiting = [place for place in waiting if world.read_all(place) != ["heartbeat"]]


def test_who_is_in_step_is_written_to_at_once_and_who_is_not_is_woken() -> None:
    world = started()
    wired, other = world.join(ALL, wired=True), world.join(ALL)
    for place in (wired, other):
        world.read_all(place)
    world.woken.clear()
    world.put(("calls", "1", call(1)))
    assert world.woken == [1]
    assert wired[1].position == wired[0].position == world.call_registry.position
    assert wired[1].state == plain(ALL.snapshot(world.call_registry))
    assert isinstance(wired[0].line, Wire)
    wired[0].line.open = False
    world.put(("calls", "2", call(2)))
    assert 0 in world.woken
    wired[0].line.open = True
    assert world.read_all(wired) == ["change"]
    assert wired[1].state == plain(ALL.snapshot(world.call_registry))


async def test_under_load_changes_are_told_as_one_and_none_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.fanout.hub._SLICE_S", 0.0)
    world = started()
    places = [world.join(ALL, wired=True) for _ in range(300)]
    for place in places:
        world.read_all(place)
    frames = len(places[0][1].seen)
    for number in range(200):
        world.put(("calls", str(number % 10), call(number)))
    await until(lambda: world.hub._continuation is None)
    assert all(follower.position == world.call_registry.position for _, follower in places)
    assert len(places[0][1].seen) - frames < 200


async def test_what_changes_while_the_others_wait_to_be_told_reaches_everyone_without_a_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.fanout.hub._SLICE_S", 0.0)
    world = started()
    places = [world.join(ALL, wired=True) for _ in range(400)]
    for place in places:
        world.read_all(place)
    for number in range(3):
        world.put(("calls", str(number), call(number)))
        assert world.hub._continuation is not None, "it takes more than one turn to tell so many"
        world.hub.next_messages(places[-1][0])  # somebody looks in between
        world.beat()
    leaving = places.pop(0)
    world.hub.leave(leaving[0])
    await until(lambda: world.hub._continuation is None)
    assert {follower.position for _, follower in places[:-1]} == {world.call_registry.position}


async def test_many_views_are_checked_in_turns_and_those_that_select_nothing_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.fanout.hub._SLICE_S", 0.0)
    world = started()
    chosen = [
        world.join(FilteredView(ALL.topics, EVERYTHING, filter_of({"ext": [str(number)]})))
        for number in range(100, 150)
    ]
    whole = world.join(ALL, wired=True)
    for place in (*chosen, whole):
        world.read_all(place)
    checked: list[FilteredView] = []
    affected_by = FilteredView.affected_by

    def counting(view: FilteredView, change: Change) -> bool:
        checked.append(view)
        return affected_by(view, change)

    monkeypatch.setattr(FilteredView, "affected_by", counting)
    world.put(("calls", "1", call(1, ("149",))))
    world.beat()
    assert checked == [ALL], "neither a change nor heartbeats check all of them in one go"
    assert whole[1].position == world.call_registry.position
    left = chosen.pop(0)
    world.hub.leave(left[0])
    await until(lambda: world.hub._continuation is None)
    assert len(checked) == 1 + len(chosen)
    assert "change" in world.read_all(chosen[-1])


def test_one_who_counts_from_far_back_has_a_long_log_read_piece_by_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.fanout.view_subscribers._MOST_EDITS", 10)
    world = started()
    world.put(("queues", "800", queue("800")))
    since = world.call_registry.position
    assert since is not None
    place = world.join(ALL)
    world.read_all(place)
    for number in range(25):
        world.put(("calls", "1", call(1 + number % 2)))
    world.put(("queues", "800", queue("800", ("101",))))
    for number in range(25):
        world.put(("calls", "1", call(1 + number % 2)))
    checked: list[int] = []
    affected_by = FilteredView.affected_by

    def counting(view: FilteredView, change: Change) -> bool:
        checked.append(change.position.seq)
        return affected_by(view, change)

    monkeypatch.setattr(FilteredView, "affected_by", counting)
    view = FilteredView(frozenset({"queues"}), EVERYTHING)
    world.hub.change_view(place[0], view, since, merge=False)
    place[0].position, place[0].resuming = since, True
    place[1].position, place[1].state = since, plain(view.snapshot(world.call_registry.at(since)))
    while world.read(place):
        assert len(checked) <= 2 * 10
        checked.clear()
    assert place[1].state == plain(view.snapshot(world.call_registry))


async def test_who_was_told_in_this_round_is_not_told_again_as_others_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.fanout.hub._SLICE_S", 0.0)
    world = started()
    places = [world.join(ALL, wired=True) for _ in range(300)]
    for place in places:
        world.read_all(place)
    world.woken.clear()
    world.put(("calls", "1", call(1)))
    for _ in range(5):
        assert world.hub._continuation is not None, "it takes more than one turn to tell so many"
        world.hub.leave(places.pop(0)[0])
    await until(lambda: world.hub._continuation is None)
    assert {follower.position for _, follower in places} == {world.call_registry.position}
    assert world.woken == []


def test_what_one_who_counts_has_missed_is_not_gone_through_anew_for_each_change() -> None:
    world = started()
    place = world.join(ALL)
    world.read_all(place)
    since = place[0].position
    for number in range(500):
        world.call_registry.put([("calls", "1", call(number))])
    gone_through = 0
    look = world.call_registry.since

    def counted(seq: int, to: int | None = None) -> tuple[Change, ...] | None:
        nonlocal gone_through
        changes = look(seq, to)
        gone_through += len(changes or ())
        return changes

    world.call_registry.since = counted  # type: ignore[method-assign]
    counting = world.hub.subscribe(ALL, "json", lambda: None, since, merge=False)
    taken = 0
    while world.hub.next_messages(counting):
        taken += 1
    assert taken == 500
    assert gone_through < 500 * 100


def _ahead(world: World, **options: Any) -> tuple[Subscriber, Follower]:
    """A client that comes from another gateway, five positions further on than this one."""
    now = world.call_registry.position
    assert now is not None
    held = Position(now.epoch, now.seq + 5)
    place = (world.hub.subscribe(ALL, "json", lambda: None, held, **options), Follower())
    place[1].position = held
    return place


def test_a_client_that_is_ahead_of_a_gateway_cut_off_is_not_sent_back_but_told_it_is_stale() -> (
    None
):
    world = started()
    world.put(("calls", "1", call(1)))
    place = _ahead(world)
    world.stale_since = START
    for _ in range(10):
        world.beat()
        (beat,) = [decoded(message) for message in world.hub.next_messages(place[0])]
        assert (beat["type"], beat["stale_since"]) == ("heartbeat", START)
        assert Position(beat["epoch"], beat["seq"]) == place[1].position
        assert world.hub.next_messages(place[0]) == ()
    world.stale_since = None
    for number in range(7):
        world.put(("calls", "2", call(2, (str(number),))))
    (change,) = [decoded(message) for message in world.hub.next_messages(place[0])]
    assert (change["type"], change["from"]) == ("change", 6)


def test_who_says_that_he_is_ahead_is_waited_for_until_the_monitor_was_heard_twice() -> None:
    world = started()
    heard = ["2026-01-01T00:00:00.000Z"]
    world.hub._heard = lambda: heard[-1]
    place = _ahead(world)
    for _ in range(10):  # heartbeats of ours say nothing about the monitor
        world.beat()
        assert world.hub.next_messages(place[0]) == ()
    for at in ("2026-01-01T00:00:01.000Z", "2026-01-01T00:00:02.000Z"):
        heard.append(at)
        assert world.hub.next_messages(place[0]) == ()
        world.beat()
    assert [decoded(message)["type"] for message in world.hub.next_messages(place[0])] == [
        "snapshot"
    ]
