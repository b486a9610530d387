"""Test the stream's Python client, with the gateway and with a server that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from gateway.fanout.frames import Encoding
from gateway.stream.admission import LiveSettings
from gateway.stream_client import (
    StreamClient,
    StreamPosition,
    StreamRefused,
    Subscription,
    SubscriptionId,
    Update,
)
from gateway.stream_client.connect import Trouble
from monitor.shared.codec import from_json, to_json
from monitor.shared.entities.topics import TOPICS
from tests.bus import free_port, until
from tests.gateway.entities import START, call, extension, queue
from tests.gateway.histories import plain
from tests.gateway.serving import ALL_TOPICS, Served, serving

Script = Callable[[ServerConnection], Awaitable[None]]
EMPTY: dict[str, Any] = {"calls": {}}


async def following(client: StreamClient, until: Callable[[Update], bool]) -> Update:
    """The first update of which this holds."""
    async with asyncio.timeout(60):
        async for update in client:
            if until(update):
                return update
    raise AssertionError("it ended")


def now_at(served: Served) -> StreamPosition:
    """The gateway's position, as the client names it."""
    return StreamPosition(served.position.epoch, served.position.seq)


def client_of(served: Served, key: str = "reader-key", encoding: Encoding = "json") -> StreamClient:
    return StreamClient(served.url(), key, ALL_TOPICS, encoding)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_it_holds_the_state_exactly_at_its_position(encoding: Encoding) -> None:
    async with serving(heartbeat=1.0) as served, client_of(served, encoding=encoding) as client:
        first = await following(client, lambda update: update.kind == "snapshot")
        assert first.state == {topic: {} for topic in TOPICS}
        for number in range(50):
            served.put(
                "calls",
                str(number % 7),
                None if number % 3 == 0 and number > 6 else call(number % 7 + number),
            )
            if number % 5 == 0:
                now = now_at(served)
                update = await following(client, lambda update, now=now: update.position >= now)  # type: ignore[misc]
                assert update.state == plain(served.view.live.state)
        served.start_epoch()
        served.put("extensions", "101", extension("101"))
        update = await following(client, lambda update: update.position == now_at(served))
        assert update.state == client.state == plain(served.view.live.state)
        update = await following(client, lambda update: update.kind == "heartbeat")
        assert update.stale_since is None
        assert (client.reconnects, client.repairs) == (0, 0)


async def test_it_comes_back_after_the_gateway_was_away() -> None:
    port = free_port()
    async with serving(port=port) as served:
        client = client_of(served)
        await following(client, lambda update: update.kind == "snapshot")
    async with serving(port=port) as served, client:
        served.put("calls", "1", call(1))
        update = await following(client, lambda update: update.position == now_at(served))
        assert update.state == plain(served.view.live.state)
        assert client.reconnects > 0


async def test_it_comes_back_when_asked_to_within_the_range_it_was_given() -> None:
    async with serving() as served, client_of(served) as client:
        await following(client, lambda update: update.kind == "snapshot")
        await served.live.drain(0, (0.01, 0.02))
        served.live._admission.draining = False
        served.put("calls", "1", call(1))
        update = await following(client, lambda update: update.position == now_at(served))
        assert update.state == plain(served.view.live.state)
        assert (update.kind, client.reconnects, client.resumed) == ("change", 1, 1)


@pytest.mark.parametrize(
    ("key", "status"), [("no-such-key", 401), ("dialler-key", 403), ("elsewhere-key", 404)]
)
async def test_it_does_not_come_back_when_refused(key: str, status: int) -> None:
    async with serving() as served, client_of(served, key) as client:
        with pytest.raises(StreamRefused) as refused:
            await following(client, lambda _: True)
        assert refused.value.code == status
        assert refused.value.reason
        assert key not in str(refused.value)


async def test_it_does_not_come_back_when_its_key_was_revoked_or_its_subscription_is_wrong() -> (
    None
):
    async with serving() as served:
        async with client_of(served) as client:
            await following(client, lambda update: update.kind == "snapshot")
            served.live.revoke("reader")
            with pytest.raises(StreamRefused, match="key revoked"):
                await following(client, lambda _: False)
        async with StreamClient(served.url(), "reader-key", ["cals"]) as client:
            with pytest.raises(StreamRefused, match="cals"):
                await following(client, lambda _: True)


@asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[StreamClient]:
    """A client of a server whose first connection follows the first script, and so on.

    The last one goes on.
    """
    count = 0

    async def answer(connection: ServerConnection) -> None:
        nonlocal count
        script = scripts[min(count, len(scripts) - 1)]
        count += 1
        await send(connection, type="hello", heartbeat=60)
        await script(connection)
        await connection.wait_closed()

    async with (
        serve(answer, "127.0.0.1", 0) as server,
        StreamClient(f"ws://127.0.0.1:{_port(server)}/", "key", ["calls"]) as client,
    ):
        yield client


def _port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


async def send(connection: ServerConnection, **frame: Any) -> None:
    await connection.send(to_json({"server_time": START, **frame}).decode())


async def heard(connection: ServerConnection) -> Any:
    return from_json(await connection.recv())


async def snapshot(
    connection: ServerConnection, seq: int, state: Any, epoch: str = "1", more: bool = False
) -> None:
    await send(connection, type="snapshot", epoch=epoch, seq=seq, state=state, more=more)


async def change(
    connection: ServerConnection, start: int, seq: int, calls: Any, epoch: str = "1"
) -> None:
    upsert = {"calls": calls}
    await send(
        connection, **{"from": start}, type="change", epoch=epoch, seq=seq, upsert=upsert, remove={}
    )


async def test_it_tells_the_server_which_version_it_is() -> None:
    told = asyncio.get_running_loop().create_future()

    async def script(connection: ServerConnection) -> None:
        assert connection.request is not None
        told.set_result(connection.request.headers["User-Agent"])
        await heard(connection)
        await snapshot(connection, 1, {"calls": {}})

    async with scripted(script) as client:
        await following(client, lambda _: True)
    assert await told == f"callmon/{metadata.version('callmon')}"


async def test_overlap_does_no_harm_and_what_is_old_is_passed_over() -> None:
    async def script(connection: ServerConnection) -> None:
        await snapshot(connection, 5, EMPTY)
        await change(connection, 3, 7, {"1": {"v": 7}})
        await change(connection, 4, 6, {"1": {"v": 6}})
        await change(connection, 7, 8, {"2": {"v": 8}})

    async with scripted(script) as client:
        update = await following(client, lambda update: update.position.seq == 8)
        assert update.state == {"calls": {"1": {"v": 7}, "2": {"v": 8}}}
        assert client.repairs == 0


@pytest.mark.parametrize(
    "what", ["a change beyond", "a change of another epoch", "a heartbeat of another epoch"]
)
async def test_a_gap_is_repaired_by_subscribing_again(what: str) -> None:
    async def script(connection: ServerConnection) -> None:
        assert await heard(connection) == {"type": "subscribe", "topics": ["calls"]}
        await snapshot(connection, 5, EMPTY)
        match what:
            case "a change beyond":
                await change(connection, 6, 7, {"1": {"v": 7}})
            case "a change of another epoch":
                await change(connection, 5, 6, {"1": {"v": 7}}, epoch="2")
            case _:
                await send(connection, type="heartbeat", epoch="2", seq=6, stale_since=None)
        await change(connection, 7, 8, {"1": {"v": 8}})  # on its way already
        assert (await heard(connection))["type"] == "subscribe"
        await snapshot(connection, 8, {"calls": {"1": {"v": 8}}})

    async with scripted(script) as client:
        update = await following(client, lambda update: update.position.seq == 8)
        assert update.state == {"calls": {"1": {"v": 8}}}
        assert (client.repairs, client.reconnects) == (1, 0)


async def test_a_snapshot_in_parts_counts_with_its_last_part_only() -> None:
    async def breaks_off(connection: ServerConnection) -> None:
        await heard(connection)
        await snapshot(connection, 1, {"calls": {"1": {}}})
        await snapshot(connection, 2, {"calls": {"2": {}}}, more=True)
        await connection.close(1011)

    async def whole(connection: ServerConnection) -> None:
        await snapshot(connection, 2, {"calls": {"2": {}}}, more=True)
        await snapshot(connection, 2, {"calls": {"3": {}}})

    async with scripted(breaks_off, whole) as client:
        states = [plain((await following(client, lambda _: True)).state) for _ in range(2)]
        assert states == [{"calls": {"1": {}}}, {"calls": {"2": {}, "3": {}}}]


async def test_silence_is_answered_with_a_ping_and_more_silence_with_a_new_connection() -> None:
    pinged = asyncio.Event()

    async def silent(connection: ServerConnection) -> None:
        await send(connection, type="hello", heartbeat=0.1)
        for _ in range(2):
            assert (await heard(connection))["type"] == "subscribe"  # after each hello
        await snapshot(connection, 1, EMPTY)
        assert (await heard(connection))["type"] == "ping"
        pinged.set()

    async def well(connection: ServerConnection) -> None:
        await snapshot(connection, 2, EMPTY)

    async with scripted(silent, well) as client:
        await following(client, lambda update: update.position == StreamPosition("1", 2))
        assert pinged.is_set()
        assert client.reconnects == 1


@pytest.mark.parametrize(
    "nonsense", ["[]", "{", '{"type":"change"}', '{"type":"snapshot","state":3}']
)
async def test_what_is_no_frame_leads_to_a_new_connection(nonsense: str) -> None:
    async def bad(connection: ServerConnection) -> None:
        await connection.send(nonsense)

    async def good(connection: ServerConnection) -> None:
        await connection.send('{"type":"something new"}')
        await snapshot(connection, 1, EMPTY)

    async with scripted(bad, good) as client:
        assert (await following(client, lambda _: True)).kind == "snapshot"
        assert client.reconnects == 1


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long it would have waited before it came back, each time; it does not wait."""
    found: list[float] = []
    delay = StreamClient._delay

    def noted(client: StreamClient, trouble: Trouble) -> float:
        found.append(delay(client, trouble))
        return 0.0

    monkeypatch.setattr(StreamClient, "_delay", noted)
    return found


@pytest.mark.parametrize(
    ("code", "reason", "least", "most"),
    [
        (4100, "", 5.0, 16.0),
        (4103, "no state yet", 5.0, 16.0),
        (4202, "", 0.0, 5.0),
        (4200, '{"retry_in":[2,3]}', 2.0, 3.0),
    ],
)
async def test_it_comes_back_when_the_close_code_says(
    delays: list[float], code: int, reason: str, least: float, most: float
) -> None:
    async def sent_away(connection: ServerConnection) -> None:
        await connection.close(code, reason)

    async def well(connection: ServerConnection) -> None:
        await snapshot(connection, 2, EMPTY)

    async with scripted(sent_away, well) as client:
        await following(client, lambda _: True)
    assert len(delays) == 1
    assert least <= delays[0] <= most


async def test_it_comes_back_when_an_answer_to_its_handshake_says(delays: list[float]) -> None:
    async with serving(LiveSettings(connections_per_key=1)) as served, client_of(served) as client:
        async with served.connect():
            refused = asyncio.create_task(
                following(client, lambda update: update.kind == "snapshot")
            )
            await until(lambda: bool(delays))
        await refused
    assert all(10 <= delay <= 20 for delay in delays)


async def test_it_takes_compressed_frames() -> None:
    offered: list[str] = []

    async def script(connection: ServerConnection) -> None:
        assert connection.request is not None
        offered.append(connection.request.headers.get("Sec-WebSocket-Extensions", ""))
        assert connection.protocol.extensions, "agreed on"
        await heard(connection)
        await send(connection, type="snapshot", epoch="e", seq=1, state=EMPTY, more=False)

    async with scripted(script) as client:
        await following(client, lambda update: update.kind == "snapshot")
    assert "permessage-deflate" in offered[0]


async def test_a_newer_gateway_is_asked_for_patches_and_the_state_is_whole() -> None:
    async def script(connection: ServerConnection) -> None:
        await send(connection, type="hello", heartbeat=60, version="1.1")
        await heard(connection)  # what it said to the hello of version 1.0
        assert await heard(connection) == {"type": "subscribe", "topics": ["calls"], "patch": True}
        await snapshot(connection, 5, {"calls": {"1": {"v": 5, "w": 5}, "2": {"v": 5}}})
        frame: dict[str, Any] = {"type": "change", "epoch": "1", "from": 5, "seq": 6}
        patch = {"calls": {"1": {"v": 6}}}
        await send(connection, **frame, upsert={}, remove={"calls": ["2"]}, patch=patch)

    async with scripted(script) as client:
        before = (await following(client, lambda _: True)).state["calls"]["1"]
        update = await following(client, lambda update: update.position.seq == 6)
        assert update.state == {"calls": {"1": {"v": 6, "w": 5}}}
        assert update.upsert == {"calls": {"1": {"v": 6, "w": 5}}}
        assert update.remove == {"calls": ["2"]}
        assert before == {"v": 5, "w": 5}, "who holds the old entity still holds it"


async def test_several_subscriptions_share_one_connection_and_each_is_exact() -> None:
    more: dict[SubscriptionId, Subscription] = {
        "waiting": Subscription(["queues"], fields=["waiting"]),
        7: Subscription(["calls"], wanted={"ext": ["101"]}, merge=False),
    }
    async with serving() as served:
        served.put("queues", "800", queue("800", ("101",)))
        served.put("calls", "1", call(1, ("101",)))
        served.put("calls", "2", call(2, ("102",)))
        async with StreamClient(served.url(), "reader-key", ["lines"], more=more) as client:
            waiting = {None, "waiting", 7}
            while waiting:
                waiting.discard((await following(client, lambda _: True)).id)
            assert client.state == {"lines": {}}
            assert more["waiting"].state == {"queues": {"800": {"num": "800", "waiting": []}}}
            assert set(more[7].state["calls"]) == {"1"}
            assert len(served.live) == 1
            served.put("calls", "1", call(1, ("101",), state="Routing"))
            update = await following(client, lambda update: update.kind == "change")
            assert (update.id, update.state) == (7, more[7].state)
            assert update.upsert["calls"]["1"]["state"] == "Routing"
            assert more[7].state["calls"]["1"] == plain(call(1, ("101",), state="Routing"))
            left = more[7].position
            for session in served.live.sessions:
                session.end(4200, '{"retry_in":[0,0]}')
            served.put("calls", "3", call(3, ("101",)))
            update = await following(client, lambda update: bool(update.upsert))
            assert (update.id, set(update.upsert["calls"])) == (7, {"3"})
            assert left is not None
            assert (client.reconnects, client.repairs) == (1, 0)


async def test_a_gap_of_one_of_several_is_repaired_by_itself() -> None:
    more: dict[SubscriptionId, Subscription] = {"a": Subscription(["calls"])}

    def calls(seq: int, start: int | None = None) -> dict[str, Any]:
        if start is None:
            return {"type": "snapshot", "epoch": "1", "seq": seq, "state": {"calls": {}}}
        frame = {"type": "change", "epoch": "1", "from": start, "seq": seq, "remove": {}}
        return frame | {"upsert": {"calls": {"1": {"v": seq}}}}

    async def answer(connection: ServerConnection) -> None:
        await send(connection, type="hello", heartbeat=60, version="1.1")
        said = [await heard(connection) for _ in "12"]
        assert [one.get("id") for one in said] == [None, "a"]
        await snapshot(connection, 5, EMPTY)
        await send(connection, id="a", **calls(5))
        await send(connection, id="a", **calls(7, 6))
        await send(connection, id="a", **calls(6, 5))  # on its way already
        assert await heard(connection) == {"type": "unsubscribe", "id": "a"}
        assert (await heard(connection))["since"] == {"epoch": "1", "seq": 5}
        await send(connection, id="a", **calls(6, 5))
        await send(connection, id="a", type="unsubscribed")
        await send(connection, id="a", **calls(9, 5))
        await connection.wait_closed()

    async with (
        serve(answer, "127.0.0.1", 0) as server,
        StreamClient(f"ws://127.0.0.1:{_port(server)}/", "key", ["calls"], more=more) as client,
    ):
        update = await following(client, lambda update: update.kind == "change")
        assert (update.id, update.position.seq, update.state) == (
            "a",
            9,
            {"calls": {"1": {"v": 9}}},
        )
        assert (client.repairs, client.reconnects) == (1, 0)
        assert client.position == StreamPosition("1", 5)
