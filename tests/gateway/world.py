"""Hold a small PBX in the gateway's memory, and a client of the gateway's HTTP interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import fakeredis
import httpx
import msgspec
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.commands.dispatcher import CommandDispatcher
from gateway.fanout.hub import Hub
from gateway.pbx_context import PbxContext
from gateway.queries.context import QueryContext
from gateway.replication.follower import StateFollower
from gateway.replication.position_waiter import PositionWaiter
from gateway.replication.replica import Replica
from gateway.visibility import Limits
from monitor.shared.changes import Position
from monitor.shared.entities.topics import (
    BOOK_TOPICS,
    Agent,
    Call,
    Contact,
    EndedCall,
    Extension,
    Leg,
    Queue,
    QueueLogin,
    State,
    Talk,
    empty_state,
)
from monitor.shared.phone_index import PhoneIndex
from monitor.shared.redis.key_names import SpaceKeys
from tests.gateway import entities

NOW = 1_772_594_100.0
"""2026-03-04T03:15:00Z."""
ALL_SCOPES = frozenset({"read", "contacts", "control", "admin", "sql"})

FULL, READ, LIMITED, EXPIRED, BARE, OTHER = (
    "full-key-0000000000000001",
    "qRQi5xQj8SvI",
    "limited-key-00000000000003",
    "expired-key-00000000000004",
    "bare-key-000000000000000005",
    "other-key-00000000000000006",
)
LIMITS = Limits(frozenset({"101", "102"}), frozenset({"800"}), frozenset({"600"}))


def key(raw: str, scopes: frozenset[str], **more: object) -> ApiKey:
    fields: dict[str, object] = {
        "name": raw[:4],
        "digest": sha256_hex(raw),
        "pbx": "main",
        "scopes": scopes,
    }
    return ApiKey(**(fields | more))  # type: ignore[arg-type]  # a test's shorthand


def keys() -> KeyTable:
    return KeyTable(
        [
            key(FULL, ALL_SCOPES),
            key(READ, frozenset({"read"})),
            key(LIMITED, frozenset({"read", "contacts"}), limits=LIMITS),
            key(EXPIRED, ALL_SCOPES, expires="2026-03-04T03:15:00.000Z"),
            key(BARE, frozenset()),
            key(OTHER, ALL_SCOPES, pbx="elsewhere"),
        ]
    )


def leg(num: str, other: str, kind: str = "extension", status: str = "Connected") -> Leg:
    return Leg(num, kind, other, status)  # type: ignore[arg-type]  # tests pass the words of the wire


def calls() -> list[Call]:
    one, other = leg("101", "103"), leg("103", "101")
    caller = Leg("10000", "externalline", "0301234567", "Connected", name="skyetel", leg_id=1)
    rung = Leg("102", "extension", "0301234567", "Ringing", on_behalf_of="800", participant_id=7)
    return [
        Call(
            call_id=46874,
            direction="Internal",
            state="Talking",
            started_at="2022-12-29T08:37:16.000Z",
            answered_at="2022-12-29T08:37:23.000Z",
            did="",
            owner=one,
            talk_to=(other,),
            routing_to=(),
            legs=(one, other),
            extensions=("101", "103"),
        ),
        Call(
            call_id=9,
            direction="Inbound",
            state="Routing",
            started_at="2022-12-29T08:38:00.000Z",
            answered_at=None,
            did="Sales line",
            owner=caller,
            talk_to=(),
            routing_to=(rung,),
            legs=(caller, rung),
            queue="801",
            queued_at="2022-12-29T08:38:01.000Z",
            extensions=("102",),
            queues=("801",),
            lines=("10000",),
        ),
        entities.call(50_000, ("1000",), state="Initiating"),
    ]


def extensions() -> list[Extension]:
    talking = Talk(46874, "Talking", None, "103", "", False)
    ringing = Talk(9, "Ringing", None, "0301234567", "", True)
    change = msgspec.structs.replace
    busy: dict[str, object] = {"status": "Busy", "available": False}
    return [
        entities.extension("1000", extgroups=("Sales",)),
        change(
            entities.extension("101", ("800",), ("600",)),
            activity="Talking",
            talks=(talking,),
            **busy,
        ),
        change(
            entities.extension("102", ("800", "801")), activity="Ringing", talks=(ringing,), **busy
        ),
        change(entities.extension("103", ("801",), ("600",)), registered=False, available=False),
        change(
            entities.extension("99", ("800",), ("601", "600"), ("Sales", "DEFAULT")),
            name="Tom",
            lastname="Smith",
            email="tom@example.com",
            mobile="+49170",
            authid="a99",
            callerid="+4930",
            sipid="s99",
            recordcalls=2,
            q_status=(QueueLogin("800", "LoggedIn"),),
        ),
    ]


def queues() -> list[Queue]:
    return [
        entities.queue("801", ("103", "102")),
        msgspec.structs.replace(
            entities.queue("800", managers=("103", "99")),
            agents=(
                Agent("101", "N"),
                Agent("1000", "N"),
                Agent("99", "N"),
                Agent("102", "N"),
                Agent("555", "gone"),
            ),
        ),
    ]


def ended() -> list[EndedCall]:
    later = msgspec.structs.replace(
        entities.ended(3, ("1000",)), ended_at="2026-03-04T03:16:00.000Z"
    )
    return [later, entities.ended(7, ("101",)), entities.ended(5, ("1000",), ("800",))]


def live_state() -> State:
    return entities.state_of(
        system=[entities.system()],
        calls=list(calls()),
        extensions=list(extensions()),
        queues=list(queues()),
        groups=[
            entities.group("601", ("99",)),
            entities.group("600", ("103", "101", "1000", "99")),
        ],
        ivrs=[entities.ivr("HOL"), entities.ivr("777"), entities.ivr("70")],
        lines=[entities.line("90000"), entities.line("10000")],
        extgroups=[entities.extgroup("Sales", ("1000", "99")), entities.extgroup("DEFAULT", ())],
        ended=list(ended()),
        queuestats=[entities.queue_stats(queue.num, 5) for queue in queues()],
        extstats=[entities.extension_stats(extension.num) for extension in extensions()],
        pbxstats=[entities.pbx_stats(68)],
    )


def contacts() -> list[Contact]:
    return [
        Contact(
            12,
            "Анна",
            "Müller",
            "Acme",
            "vip",
            "+49 170 1234567",
            data5="anna@example.com",
            data3="030 555 1234",
        ),
        Contact(40, "Bob", phone="5551234"),
        Contact(41, company="Zeta", data9="99 1234"),
    ]


def book_state() -> State:
    state = empty_state(BOOK_TOPICS)
    state["contacts"] = {str(contact.id): contact for contact in contacts()}
    return state


def asked(**more: object) -> QueryContext:
    fields: dict[str, object] = {
        "live": live_state(),
        "book": book_state(),
        "phonebook": PhoneIndex(contacts()),
    }
    return QueryContext(**(fields | more))  # type: ignore[arg-type]  # a test's shorthand


def view(*, loaded: bool = True, name: str = "main") -> PbxContext:
    """A PBX whose feeds are not run: what is loaded is there, what is not, not."""
    redis = fakeredis.FakeAsyncRedis()
    live, book = Replica(SpaceKeys(name, "live")), Replica(SpaceKeys(name, "book"))
    if loaded:
        live.load(Position("000000000000001-aa", 5), entities.START, live_state())
        book.load(Position("000000000000001-bb", 2), entities.START, book_state())
    position_waiter = PositionWaiter(live, book)
    seen = PbxContext(
        name=name,
        live=live,
        book=book,
        live_feed=StateFollower(redis, live.keys, live, lambda: None),
        book_feed=StateFollower(redis, book.keys, book, lambda: None),
        hub=Hub(live, lambda: live.stale_since, lambda: NOW),
        book_hub=Hub(book, lambda: book.stale_since, lambda: NOW),
        phonebook=PhoneIndex(contacts() if loaded else ()),
        position_waiter=position_waiter,
        commander=CommandDispatcher(redis, name, position_waiter),
    )
    seen.join_fleet()
    seen.live_feed.connected = seen.book_feed.connected = loaded
    return seen


def app(pbxs: Mapping[str, PbxContext], table: KeyTable) -> Starlette:
    """A gateway's application, without its lifespan, at a time that stands still."""
    return create_app(pbxs, table, clock=lambda: NOW)


@asynccontextmanager
async def client(
    pbx: PbxContext | None = None, table: KeyTable | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that serves this PBX.

    Without its lifespan, so nothing moves the state.
    """
    transport = httpx.ASGITransport(app=app({"main": pbx or view()}, table or keys()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield http


def error(response: httpx.Response) -> str:
    """The error's code, after a check of the documented shape of a failure."""
    body = response.json()
    assert list(body) == ["result", "error"]
    assert body["result"] is False
    assert list(body["error"]) == ["code", "message"]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    return str(body["error"]["code"])


def message(response: httpx.Response) -> str:
    return str(response.json()["error"]["message"])
