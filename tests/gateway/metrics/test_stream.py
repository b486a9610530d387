"""Who is on the stream, what was sent and how late, in numbers."""

from __future__ import annotations

import time

from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection

from gateway.auth.shared_rate_limiter import RateLimiter
from gateway.counters import RequestCounters
from gateway.fanout.filtered_view import FilteredView
from gateway.metrics.collector import GatewayCollector
from gateway.rest.fast_path import QueryFastPath
from gateway.visibility import EVERYTHING
from monitor.shared.api_keys import Budgets
from tests.bus import until
from tests.gateway.entities import call
from tests.gateway.metrics.samples import labels, samples
from tests.gateway.serving import (
    Served,
    closed,
    events,
    frame,
    frame_of,
    say,
    serving,
    subscribed,
)

LIMITER = RateLimiter({}, Budgets())

CALLS = {"type": "subscribe", "topics": ["calls"]}


def read(served: Served, name: str, **of: str) -> float:
    fast_path = QueryFastPath(Starlette(), served.keys, LIMITER, time.time)
    collector = GatewayCollector(
        {"main": served.view},
        served.keys,
        served.live,
        RequestCounters(),
        fast_path,
        LIMITER,
        time.time,
    )
    found = samples(collector.collect())
    return found["callmon_gateway_" + name, labels(**of)]


async def watching(connection: ClientConnection, **more: object) -> None:
    await say(connection, CALLS | more)
    await frame_of(connection, "snapshot")


async def test_clients_are_counted_while_they_are_there_by_how_they_came() -> None:
    async with serving() as served:
        async with served.connect() as one, served.connect(), events(served, "topics=calls") as sse:
            await watching(one)
            await sse.of("snapshot")
            assert read(served, "connections", transport="websocket") == 2
            assert read(served, "connections", transport="sse") == 1
            assert read(served, "subscribers", pbx="main", space="live", encoding="json") == 2
            assert read(served, "subscribers", pbx="main", space="live", encoding="msgpack") == 0
            assert read(served, "topic_subscribers", pbx="main", topic="calls") == 2
            assert read(served, "stuck_subscribers") == 0
        await until(lambda: not len(served.live))
        assert read(served, "connections", transport="websocket") == 0
        assert read(served, "connections_accepted_total", transport="websocket") == 2
        assert read(served, "connections_ended_total", code="gone") == 3


async def test_one_that_is_sent_away_is_counted_by_its_code() -> None:
    async with serving() as served:
        async with served.connect() as connection:
            await frame(connection)
            served.live.revoke("reader")
            assert (await closed(connection))[0] == 4001
        await until(lambda: not len(served.live))
        assert read(served, "connections_ended_total", code="4001") == 1


async def test_views_are_counted_once_however_many_share_them() -> None:
    async with (
        serving() as served,
        served.connect() as one,
        served.connect() as two,
        served.connect() as filtered,
        served.connect("limited-key") as limited,
    ):
        for connection in (one, two, limited):
            await watching(connection)
        await watching(filtered, filter={"ext": ["101"]})
        found = {
            kind: read(served, "views", pbx="main", space="live", kind=kind)
            for kind in ("whole", "filtered", "limited")
        }
        assert found == {"whole": 1, "filtered": 1, "limited": 1}
        assert read(served, "views", pbx="main", space="book", kind="whole") == 0


async def test_what_was_sent_is_counted_in_frames_and_bytes() -> None:
    async with serving() as served, served.connect() as connection:
        await subscribed(connection, ["calls"])
        before = read(served, "frame_bytes_total", pbx="main", space="live", type="change")
        served.put("calls", "1", call(1))
        await frame_of(connection, "change")
        size = read(served, "frame_bytes_total", pbx="main", space="live", type="change") - before
        assert size > 100
        assert read(served, "frames_total", pbx="main", space="live", type="change") == 1
        assert read(served, "frames_total", pbx="main", space="live", type="snapshot") == 1
        assert read(served, "snapshots_total", pbx="main", space="live", reason="subscribed") == 1
        assert read(served, "snapshots_total", pbx="main", space="live", reason="log") == 0
        assert read(served, "merged_frames_total", pbx="main", space="live") == 0


async def test_who_has_not_been_told_of_a_change_lags() -> None:
    async with serving() as served:
        view = served.view.hub
        place = view.subscribe(FilteredView(frozenset({"calls"}), EVERYTHING), "json", lambda: None)
        assert read(served, "lagging_subscribers", pbx="main", space="live") == 1
        view.next_messages(place)
        assert read(served, "lagging_subscribers", pbx="main", space="live") == 0
        served.put("queues", "800", None)
        assert read(served, "lagging_subscribers", pbx="main", space="live") == 0, "not its view"
        served.put("calls", "1", call(1))
        assert read(served, "lagging_subscribers", pbx="main", space="live") == 1
        view.next_messages(place)
        view.leave(place)
        assert read(served, "lagging_subscribers", pbx="main", space="live") == 0


async def test_who_watches_a_query_is_counted_apart() -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await say(connection, {"type": "subscribe", "query": "pbx.calls.get"})
        await frame_of(connection, "result")
        assert read(served, "query_watchers", pbx="main") == 1
        assert read(served, "subscribers", pbx="main", space="live", encoding="json") == 0
