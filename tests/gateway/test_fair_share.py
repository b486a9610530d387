"""Test what a key's connections share: values in, values out.

And the turns that its work takes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from functools import partial

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from websockets.asyncio.client import ClientConnection

from gateway import fair_share as shares
from gateway.errors import FiltersTooLarge
from gateway.fair_share import (
    CHANGES_A_TURN,
    REQUESTS_A_TURN,
    KeyShare,
    RequestTurns,
    UnsentBytes,
    WorkTurns,
)
from gateway.fanout.field_selection import Selection, selection_of
from gateway.fanout.filters import filter_of
from gateway.fanout.frames import Messages
from gateway.fanout.hub import Hub
from gateway.fanout.view_subscribers import Subscriber
from gateway.rest import long_poll
from gateway.rest.endpoint import WebApiEndpoint
from tests.bus import until
from tests.gateway.entities import call, extension
from tests.gateway.histories import decoded
from tests.gateway.serving import frame_of, say, serving
from tests.steps import Turns


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def share(clock: Clock | None = None) -> KeyShare:
    return KeyShare(30, 10.0, WorkTurns(), clock or Clock())


def test_filters_are_counted_by_their_bytes_and_equal_ones_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shares, "MOST_FILTER_BYTES", 2_600)
    one, same, other = (
        Selection(filter_of(given), selection_of(["num"], ["extensions"]))
        for given in ({"ext": ["1" * 60]}, {"ext": ["1" * 60]}, {"ext": "abcdefghij"})
    )
    assert one.filter is not None
    assert one.fields is not None
    assert one.size == one.filter.size + one.fields.size
    mine = share()
    assert mine.hold(one) is one
    assert mine.hold(same) is one
    assert mine.filter_bytes == one.size
    with pytest.raises(FiltersTooLarge):
        mine.hold(other)
    mine.let_go(same)
    with pytest.raises(FiltersTooLarge):
        mine.hold(other)
    mine.let_go(one)
    assert mine.filter_bytes == 0
    assert mine.hold(other) is other


def test_who_has_had_his_work_waits_until_his_share_of_the_time_has_come() -> None:
    clock, waited = Clock(), 0.0
    mine = share(clock)
    for _ in range(100):  # a tenth of a second each
        waited += mine.owed
        clock.now += mine.owed
        mine.worked(0.1)
    assert waited == pytest.approx((100 * 0.1 - 2.0) / 0.25, abs=1.0)
    clock.now += 3600
    mine.worked(1.9)
    assert mine.owed == 0
    mine.worked(0.2)
    assert mine.owed == pytest.approx(0.4), (
        "what was not used for an hour is no more than that at once"
    )


async def test_of_work_that_many_share_nothing_is_counted() -> None:
    clock = Clock()
    mine = share(clock)
    for _ in range(1_000_000):
        mine.worked(0.0005)
    async with asyncio.timeout(60):
        await mine.turn()


async def test_between_two_who_resume_from_far_back_everything_else_has_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        shares, "_PIECE_S", 0.0
    )  # each piece counts, and takes a whole turn, however fast the machine
    monkeypatch.setattr(shares, "_TURN_S", 0.0)
    turns, taken_in, next_messages = Turns(), [], Hub.next_messages

    def watched(hub: Hub, subscriber: Subscriber) -> object:
        messages = next_messages(hub, subscriber)
        if messages:
            taken_in.append(turns.count)
        return messages

    monkeypatch.setattr(Hub, "next_messages", watched)
    async with serving() as served, asyncio.TaskGroup() as tasks, asyncio.timeout(60):
        begun = served.position
        for number in range(500):
            served.put("extensions", "101", extension("101", (f"{number}",)))
        connections = [await served.connect() for _ in range(20)]
        counting = tasks.create_task(turns.run())
        since = {"epoch": begun.epoch, "seq": begun.seq}
        for number, connection in enumerate(connections):
            wanted = {"ext": ["101", f"{number}"]}
            await say(
                connection,
                {"type": "subscribe", "topics": ["extensions"], "filter": wanted, "since": since},
            )
        for connection in connections:
            await frame_of(connection, "change")
            await connection.close()
        counting.cancel()
    assert len(taken_in) >= 20
    assert len(set(taken_in)) == len(taken_in), "no two of them in one turn of the loop"


async def test_changes_that_clients_take_one_by_one_are_made_a_few_in_a_turn() -> None:
    pace, order = WorkTurns(), list[int]()
    keys = [KeyShare(30, 10.0, pace, time.monotonic, UnsentBytes()) for _ in range(3)]

    async def take(number: int) -> None:
        await keys[number % 3].turn_to_send()
        order.append(number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(take(number))
        most = before = 0
        while before < 200:
            await asyncio.sleep(0)
            most, before = max(most, len(order) - before), len(order)
    assert order == list(range(200))
    assert 0 < most <= 2 * CHANGES_A_TURN, "some before and some after the poll"


async def _after(turns: RequestTurns, digest: str, order: list[str]) -> None:
    await turns.turn(digest)
    order.append(digest)


async def test_many_requests_of_one_key_let_others_pass_and_keep_their_order() -> None:
    turns, order = RequestTurns(), list[str]()
    async with asyncio.TaskGroup() as tasks:
        many = [tasks.create_task(_after(turns, "many", order)) for _ in range(600)]
        await asyncio.sleep(0)
        for task in many[100:200]:  # their clients went away while they were in line
            task.cancel()
        tasks.create_task(_after(turns, "other", order))
    assert order.index("other") <= 3 * REQUESTS_A_TURN
    assert order.count("many") == 500
    assert turns._waiting == {}
    await asyncio.wait_for(turns.turn("many"), 60.0)


async def test_of_all_keys_together_so_many_begin_in_a_turn_each_key_in_rotation() -> None:
    turns, order = RequestTurns(most=3), list[str]()

    def work(key: str) -> bool:
        order.append(key)
        return key != "gone"

    def fails() -> bool:
        raise ValueError

    async def in_turn() -> list[str]:
        before = len(order)
        await asyncio.sleep(0)
        return order[before:]

    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    for _ in range(6):
        turns.begin("many", partial(work, "many"))
    assert not turns.begin("gone", partial(work, "gone"))
    assert not turns.begin("faulty", fails)
    for _ in range(2):
        turns.begin("other", partial(work, "other"))
    assert order == ["many"] * 3
    assert await in_turn() == ["many", "gone"], "one fails: the next turn goes on with the others"
    assert isinstance(faults[0]["exception"], ValueError)
    assert await in_turn() == ["other", "many", "other"]
    assert await in_turn() == ["many"]
    assert turns.begin("many", partial(work, "many"))
    assert turns._waiting == {}


async def test_600_long_polls_of_one_key_do_not_hold_up_another_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_poll, "MOST_PER_KEY", 600)
    reader, other = {"Authorization": "Bearer reader-key"}, {"Authorization": "Bearer display-key"}
    order: list[str] = []

    async def ask(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
        await client.get("/webapi/pbx.calls.get", headers=headers)
        order.append(headers["Authorization"])

    async with serving() as served:
        app = Starlette(
            routes=[
                Route(
                    "/webapi/{address:path}",
                    WebApiEndpoint({"main": served.view}, served.keys, "1", time.time),
                )
            ]
        )
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            etag = (await client.get("/webapi/pbx.calls.get", headers=reader)).headers["etag"]
            waits = reader | {"If-None-Match": etag, "Prefer": "wait=60"}
            async with asyncio.TaskGroup() as tasks:
                for _ in range(600):
                    tasks.create_task(ask(client, waits))
                while served.view.watches.polls.total() < 600:  # noqa: ASYNC110 - they are on their way
                    await asyncio.sleep(0)
                served.put("calls", "1", call(1))
                while not order:  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0)
                tasks.create_task(ask(client, other))
    assert len(order) == 601
    assert order.index(other["Authorization"]) < 300


async def test_what_is_made_and_not_sent_is_counted_shared_frames_once_and_copies_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, snapshot, other = share(), b"s" * 6_000, "o" * 6_000
    size, little = sys.getsizeof(snapshot), sys.getsizeof(b"x")
    monkeypatch.setattr(shares, "MOST_UNSENT_BYTES", 4 * size)
    one.hold_unsent((snapshot,))
    one.hold_unsent((snapshot, b"x"))
    assert one.unsent_bytes == size + little + 2 * size, "the snapshot, and a copy for each"
    async with asyncio.timeout(60):
        await one.turn_to_send()
    one.hold_unsent((other,))
    waiting = [asyncio.create_task(one.turn_to_send()) for _ in range(2)]
    await asyncio.sleep(0)
    one.let_unsent_go((snapshot,))
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting), "the other still holds the snapshot"
    one.let_unsent_go((snapshot, b"x"))
    async with asyncio.timeout(60):
        await asyncio.gather(*waiting)
    one.let_unsent_go((other,))
    one.hold_unsent(())
    one.let_unsent_go(())
    assert one.unsent_bytes == 0


async def test_all_keys_together_hold_so_much_and_one_that_holds_little_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shares, "MOST_UNSENT_BYTES_IN_ALL", 40_000)
    monkeypatch.setattr(shares, "LITTLE_UNSENT_BYTES", 1_000)
    everyone = UnsentBytes()
    one, other, third = (KeyShare(30, 10.0, WorkTurns(), Clock(), everyone) for _ in range(3))
    snapshots = (b"1" * 10_000,), (b"2" * 12_000,)
    one.hold_unsent(snapshots[0])
    other.hold_unsent(snapshots[1])
    assert everyone.bytes == one.unsent_bytes + other.unsent_bytes > 40_000
    async with asyncio.timeout(60):
        await third.turn_to_send()
        waiting = [asyncio.create_task(key.turn_to_send()) for key in (one, other)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        other.let_unsent_go(snapshots[1])
        await asyncio.gather(*waiting)
    one.let_unsent_go(snapshots[0])
    assert everyone.bytes == 0


async def test_slow_subscribers_of_a_key_hold_so_much_together_and_all_get_their_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shares, "MOST_UNSENT_BYTES", 1_000_000)
    held: list[int] = []
    hold = KeyShare.hold_unsent

    def recorded(self: KeyShare, messages: Messages) -> None:
        hold(self, messages)
        held.append(self.unsent_bytes)

    monkeypatch.setattr(KeyShare, "hold_unsent", recorded)
    numbers = [str(number) for number in range(10_000)]

    async def whole(client: ClientConnection) -> int:
        bytes_, more = 0, True
        while more:
            message = await client.recv()
            found = decoded(message)
            more = found.get("more", True)
            bytes_ += len(message)
        return bytes_

    async with asyncio.timeout(60), serving() as served, AsyncExitStack() as stack:
        served.put_all([("extensions", number, extension(number)) for number in numbers])
        slow = [
            await stack.enter_async_context(
                served.connect(path=f"/webapi/stream?topics=extensions&call={number}")
            )
            for number in range(4)
        ]
        await until(lambda: any(size > 1_000_000 for size in held))
        sizes = await asyncio.gather(*map(whole, slow))
    assert min(sizes) > 4_000_000
    assert max(held) < 2 * min(sizes)
