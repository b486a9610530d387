"""Callers wait for a position of the replicas, and read their own writes."""

from __future__ import annotations

import asyncio

import pytest

from gateway.replication.position_waiter import PositionWaiter
from gateway.replication.replica import Replica
from monitor.shared.changes import Change, Position
from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS, empty_state
from monitor.shared.redis.key_names import SpaceKeys
from tests.gateway.entities import START

LIVE, BOOK = Position("2-live", 5), Position("2-book", 5)


class Desk:
    """Two replicas, both at 5 of their second epochs."""

    def __init__(self) -> None:
        self.live, self.book = (Replica(SpaceKeys("main", space)) for space in ("live", "book"))
        self.live.load(LIVE, START, empty_state(TOPICS))
        self.book.load(BOOK, START, empty_state(BOOK_TOPICS))
        self.waiter = PositionWaiter(self.live, self.book)

    def move(self, replica: Replica) -> None:
        assert replica.position is not None
        position = Position(replica.position.epoch, replica.position.seq + 1)
        assert replica.apply(Change(position, START, ()))
        self.waiter.moved()


def later(position: Position, by: int = 1) -> Position:
    return Position(position.epoch, position.seq + by)


@pytest.mark.parametrize(
    ("live", "book", "reached"),
    [
        (None, None, True),
        (LIVE, BOOK, True),
        (later(LIVE, -1), None, True),
        (later(LIVE), None, False),
        (LIVE, later(BOOK), False),
        (Position("1-live", 99), None, True),
        (Position("3-live", 0), None, False),
    ],
    ids=str,
)
async def test_a_position_is_reached_there_and_further_on(
    live: Position | None, book: Position | None, reached: bool
) -> None:
    waiter = Desk().waiter
    assert waiter.reached(live, book) is reached
    assert await waiter.wait(live, book, 0.0) is reached
    assert waiter.waiting == 0


def test_without_a_state_nothing_is_reached_but_nothing_itself() -> None:
    empty = PositionWaiter(*(Replica(SpaceKeys("main", space)) for space in ("live", "book")))
    assert empty.reached(None, None)
    assert not empty.reached(Position("1-a", 0), None)
    assert not empty.monitor_heard


async def test_who_waits_is_woken_by_both_replicas_and_not_before() -> None:
    desk = Desk()
    both = asyncio.create_task(desk.waiter.wait(later(LIVE, 2), later(BOOK), 60.0))
    one = asyncio.create_task(desk.waiter.wait(later(LIVE), None, 60.0))
    await asyncio.sleep(0)
    assert desk.waiter.waiting == 2
    desk.move(desk.live)
    assert await one
    assert not both.done()
    desk.move(desk.live)
    await asyncio.sleep(0)
    assert not both.done(), "the other replica is behind"
    desk.move(desk.book)
    assert await both
    assert desk.waiter.waiting == 0


async def test_a_new_epoch_reaches_what_was_waited_for_in_the_old_one() -> None:
    desk = Desk()
    waiting = asyncio.create_task(desk.waiter.wait(later(LIVE, 10**6), None, 60.0))
    await asyncio.sleep(0)
    desk.live.load(Position("3-live", 0), START, empty_state(TOPICS))
    desk.waiter.moved()
    assert await waiting


async def test_who_has_gone_or_waited_long_enough_is_forgotten() -> None:
    desk = Desk()
    assert not await desk.waiter.wait(later(LIVE), None, 0.01)
    gone = asyncio.create_task(desk.waiter.wait(later(LIVE), None, 60.0))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert desk.waiter.waiting == 0
    desk.move(desk.live)  # wakes nobody who is gone


def test_the_monitor_is_heard_until_its_silence_is_told() -> None:
    desk = Desk()
    assert desk.waiter.monitor_heard
    desk.live.silent(START)
    assert not desk.waiter.monitor_heard


def test_a_position_is_of_the_space_that_has_its_epoch() -> None:
    waiter = Desk().waiter
    assert waiter.space_of(later(LIVE, 7), "book") == "live"
    assert waiter.space_of(later(BOOK, 7), "live") == "book"
    assert [waiter.space_of(Position("1-old", 1), space) for space in ("live", "book")] == [
        "live", "book"
    ]  # fmt: skip
