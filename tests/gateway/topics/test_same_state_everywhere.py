"""Test the protocol's promises on real sockets: transports, encodings, ways to send, gateways.

One gateway's server lends its sockets, so frames are written ready-made; the other's does not, so
all is sent the plain way. Both follow the same history. Their subscribers, each with a view of its
own, come and go between them and resume where they were. Some have several subscriptions on one
connection. At every frame each holds exactly its view of the state at its position, and in the end
of the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.auth.api_keys import ApiKey, sha256_hex
from gateway.fanout.field_selection import FieldSelection, names_of
from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.filters import FIELDS, EntityFilter
from gateway.fanout.frames import Encoding
from gateway.transport.subscription_id import SubscriptionId
from gateway.visibility import Limits, Visibility
from monitor.shared.changes import Position
from monitor.shared.codec import from_json
from monitor.shared.entities.topics import TOPICS
from tests.bus import until
from tests.gateway.entities import START
from tests.gateway.histories import (
    EXTENSIONS,
    QUEUES,
    Follower,
    Ledger,
    Put,
    decoded,
    entity_filters,
    field_selections,
    plain,
    puts,
)
from tests.gateway.serving import Served, say, serving, without_denials

KEYS = {
    "all-key": Visibility(),
    "some-key": Visibility(Limits(frozenset(EXTENSIONS[:1]), frozenset(QUEUES[:1]))),
}
Door = Literal["websocket", "events"]
Ids = tuple[SubscriptionId | None, ...]
ONE: Ids = (None,)
KINDS: tuple[tuple[Door, Encoding, str, bool, Ids], ...] = (
    ("websocket", "json", "all-key", False, ONE),
    ("websocket", "msgpack", "some-key", False, ("a", "b")),
    ("websocket", "json", "all-key", True, (None, "a", 7)),
    ("websocket", "msgpack", "all-key", True, (None, "ж")),
    ("events", "json", "all-key", True, ONE),
    ("websocket", "json", "some-key", True, ONE),
    ("events", "json", "some-key", False, ONE),
)
"""Door, encoding, key, whether the client takes compressed frames, and its subscriptions' ids."""
QUERY = "pbx.callsinfo.get"

Step = tuple[str, int, list[Put]]


@dataclass
class Watched:
    """One subscription, and what its client holds of it."""

    key: str
    wanted: EntityFilter | None
    fields: FieldSelection | None
    merge: bool
    patch: bool
    call_registry: Ledger
    follower: Follower = field(default_factory=Follower)

    @property
    def view(self) -> FilteredView:
        topics = frozenset(KEYS[self.key].topics) & frozenset(TOPICS)
        known = {name for topic in topics for name in names_of(topic)}
        names = known & (frozenset() if self.fields is None else self.fields.names)
        fields = FieldSelection(frozenset(names)) if names else None
        return FilteredView(topics, KEYS[self.key], self.wanted, fields)

    @property
    def filter(self) -> dict[str, list[str]]:
        named = {name: getattr(self.wanted, name, None) for name in FIELDS}
        return {name: sorted(values) for name, values in named.items() if values is not None}

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = {
            "topics": sorted(self.view.topics),
            "filter": self.filter,
            "merge": self.merge,
            "patch": self.patch,
        }
        if (fields := self.view.fields) is not None:
            message["fields"] = sorted(fields.names)
        if (held := self.follower.position) is not None:
            message["since"] = {"epoch": held.epoch, "seq": held.seq}
        return {"type": "subscribe"} | message

    def take(self, frame: dict[str, Any]) -> None:
        assert ("patch" in frame) is (self.patch and frame["type"] == "change")
        self.follower.receive(frame)
        if self.follower.parts is None:
            assert self.follower.position is not None
            assert self.follower.state == self.truth(self.follower.position)

    def truth(self, position: Position) -> Any:
        return plain(self.view.snapshot(self.call_registry.at(position)))


@dataclass
class Client:
    """A client by one of the doors, of one of the gateways. ``watched``: by the ids."""

    door: Door
    encoding: Encoding
    key: str
    compressed: bool
    watched: dict[SubscriptionId | None, Watched]
    gateways: Sequence[Served]
    call_registry: Ledger
    at: int = 0
    task: asyncio.Task[None] | None = None

    def come(self) -> None:
        reading = self.over_websocket() if self.door == "websocket" else self.over_events()
        self.task = asyncio.create_task(reading)

    async def leave(self) -> None:
        assert self.task is not None
        self.task.cancel()
        ended = (await asyncio.gather(self.task, return_exceptions=True))[0]
        assert isinstance(ended, asyncio.CancelledError), f"it ended by itself: {ended!r}"
        for watched in self.watched.values():
            watched.follower.parts = None

    async def over_websocket(self) -> None:
        offer = [f"callmon.v1.{self.encoding}"]
        async with self.gateways[self.at].connect(
            self.key, offer=offer, compressed=self.compressed
        ) as connection:
            for id_, watched in self.watched.items():
                named = {} if id_ is None else {"id": id_}
                await say(connection, watched.message | named, self.encoding)
            async for data in connection:
                frame = decoded(data)
                if frame["type"] != "hello":
                    self.watched[frame.pop("id", None)].take(frame)

    async def over_events(self) -> None:
        address = f"http://{self.gateways[self.at].host}/webapi/events"
        watched = self.watched[None]
        params = {
            "topics": ",".join(sorted(watched.view.topics)),
            "merge": str(watched.merge).lower(),
            "patch": str(watched.patch).lower(),
        }
        params |= {name: ",".join(values) for name, values in watched.filter.items()}
        if (fields := watched.view.fields) is not None:
            params["fields"] = ",".join(sorted(fields.names))
        headers = {
            "X-API-Key": self.key,
            "Accept": "text/event-stream",
            "Accept-Encoding": "gzip" if self.compressed else "identity",
        }
        if (held := watched.follower.position) is not None:
            headers["Last-Event-ID"] = str(held)
        async with (
            httpx.AsyncClient(
                timeout=60.0, verify=False
            ) as http,  # to load certificates takes longer than all else
            http.stream("GET", address, params=params, headers=headers) as response,
        ):
            id_ = None
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    id_ = value
                elif name == "data":
                    frame = from_json(value)
                    if frame["type"] != "hello":
                        watched.take(frame)
                        assert id_ in (None, str(watched.follower.position))
                    id_ = None

    @property
    def newest(self) -> bool:
        assert self.task is not None
        if self.task.done():
            self.task.result()
        return all(
            watched.follower.position == self.call_registry.position
            for watched in self.watched.values()
        )


def steps() -> st.SearchStrategy[list[Step]]:
    what = st.sampled_from(("put", "put", "put", "epoch", "hop", "hop"))
    return st.lists(
        st.tuples(what, st.integers(0, len(KINDS) - 1), puts()), min_size=1, max_size=14
    )


@asynccontextmanager
async def both() -> AsyncIterator[tuple[Served, Served]]:
    """Both gateways."""
    async with (
        serving(heartbeat=0.1) as lending,
        serving(heartbeat=0.1, wrap=without_denials) as other,
    ):
        for served in (lending, other):
            served.keys.replace(
                [
                    ApiKey(name, sha256_hex(name), "main", frozenset({"read"}), limits=seen.limits)
                    for name, seen in KEYS.items()
                ]
            )
        yield lending, other


def follow(call_registry: Ledger, gateways: Sequence[Served]) -> None:
    """Take both gateways to where the ledger is."""
    assert call_registry.position is not None
    for served in gateways:
        if call_registry.position.epoch != served.position.epoch:
            state = {topic: dict(entities) for topic, entities in call_registry.state.items()}
            served.view.live.load(call_registry.position, START, state)
        elif call_registry.position != served.position:
            served.view.live.apply(call_registry.log[-1])
        served._moved()


async def play(
    history: list[Step], wanted: list[EntityFilter | None], fields: list[FieldSelection | None]
) -> None:
    call_registry = Ledger()
    call_registry.start_epoch()
    async with both() as gateways, asyncio.timeout(60):
        clients = [
            Client(
                door,
                encoding,
                key,
                compressed,
                {
                    id_: Watched(
                        key,
                        wanted[(number + place) % len(wanted)],
                        fields[(number + place) % len(fields)],
                        (number + place) % 3 != 0,
                        (number + place) % 2 == 0,
                        call_registry,
                    )
                    for place, id_ in enumerate(ids)
                },
                gateways,
                call_registry,
                number % 2,
            )
            for number, (door, encoding, key, compressed, ids) in enumerate(KINDS)
        ]
        for client in clients:
            client.come()
        for what, who, change in history:
            if what == "hop":
                await clients[who].leave()
            if what == "epoch":
                call_registry.start_epoch()
            else:
                call_registry.put(change)
            follow(call_registry, gateways)
            if what == "hop":
                clients[who].at = 1 - clients[who].at
                clients[who].come()
            for _ in range(who):
                await asyncio.sleep(0)
        await until(lambda: all(client.newest for client in clients))
        for client in clients:
            await client.leave()
        await same_answers(gateways)


async def same_answers(gateways: Sequence[Served]) -> None:
    """What is asked and what is watched is the same, at both, for each key; a refusal too."""
    for key in KEYS:
        said: list[Any] = []
        for served in gateways:
            async with httpx.AsyncClient(verify=False, timeout=60) as http:
                answer = await http.get(
                    f"http://{served.host}/webapi/{QUERY}", headers={"X-API-Key": key}
                )
                body = answer.json()
                said.append(body["error"]["code"] if "error" in body else body)
            async with served.connect(key, f"/webapi/stream?query={QUERY}") as connection:
                await connection.recv()
                told = decoded(await connection.recv())
                said.append(told["code"] if told["type"] == "error" else told["result"])
        assert all(one == said[0] for one in said)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps(),
    st.lists(st.none() | entity_filters(), min_size=1, max_size=4),
    st.lists(st.none() | field_selections(), min_size=1, max_size=5),
)
def test_every_subscriber_by_every_door_is_exact_at_every_frame_and_reaches_the_newest(
    history: list[Step], wanted: list[EntityFilter | None], fields: list[FieldSelection | None]
) -> None:
    asyncio.run(play(history, wanted, fields))
