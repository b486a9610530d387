"""Test health and readiness: each thing that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import fakeredis
import httpx
import pytest

from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.pbx_context import PbxContext
from gateway.rest.health import readiness
from gateway.stream.server import StreamServer
from monitor.shared.redis.rejected_values import RejectedValues
from tests.gateway import entities
from tests.gateway.world import FULL, client, view
from tests.system.stack import gateway

KEY = {"Authorization": f"Bearer {FULL}"}


async def test_the_process_is_alive_whatever_else_is_the_matter() -> None:
    async with client(view(loaded=False), KeyTable(None)) as http:
        got = await http.get("/healthz")
        assert (got.status_code, got.json()["alive"]) == (200, True)
        assert (await http.head("/healthz")).content == b""


async def test_a_gateway_that_follows_a_connected_pbx_is_ready() -> None:
    async with client() as http:
        got = await http.get("/readyz", headers=KEY)
        assert (got.status_code, got.headers["cache-control"]) == (200, "no-store")
        assert got.json() == {
            "ready": True,
            "keys": True,
            "draining": False,
            "pbxs": {
                "main": {
                    "bus": True,
                    "snapshot": True,
                    "monitor": True,
                    "pbx": True,
                    "position": "000000000000001-aa/5",
                    "bookPosition": "000000000000001-bb/2",
                    "staleSince": None,
                    "monitorName": "m1",
                    "connection": "connected",
                    "reason": "",
                    "rejected": [],
                    "followed": True,
                }
            },
        }


def bus_lost(pbx: PbxContext) -> None:
    pbx.live_feed.connected = False


def book_bus_lost(pbx: PbxContext) -> None:
    pbx.book_feed.connected = False


def no_book(pbx: PbxContext) -> None:
    pbx.book.position = None


def monitor_silent(pbx: PbxContext) -> None:
    pbx.live.silent("2026-03-04T03:14:00.000Z")


def pbx_lost(pbx: PbxContext) -> None:
    pbx.live.state["system"]["pbx"] = entities.system("lost")


def no_system(pbx: PbxContext) -> None:
    pbx.live.state["system"].clear()


@pytest.mark.parametrize(
    ("harm", "field", "shared"),
    [
        (bus_lost, "bus", False),
        (book_bus_lost, "bus", False),
        (no_book, "snapshot", False),
        (monitor_silent, "monitor", True),
        (pbx_lost, "pbx", True),
        (no_system, "pbx", True),
    ],
)
async def test_what_stands_in_the_way_is_named(
    harm: Callable[[PbxContext], None], field: str, shared: bool
) -> None:
    pbx = view()
    harm(pbx)
    async with client(pbx) as http:
        got = await http.get("/readyz", headers=KEY)
        assert (got.status_code, got.json()["ready"]) == (503, False)
        main = got.json()["pbxs"]["main"]
        assert [name for name in ("bus", "snapshot", "monitor", "pbx") if not main[name]] == [field]
    beside_another = readiness({"main": pbx, "other": view(name="other")}, keys_loaded=True)
    assert beside_another.ready is shared


async def test_before_there_is_a_state_nothing_is_ready() -> None:
    async with client(view(loaded=False)) as http:
        got = await http.get("/readyz", headers=KEY)
        assert got.status_code == 503
        main = got.json()["pbxs"]["main"]
        assert not any(main[name] for name in ("bus", "snapshot", "monitor", "pbx"))
        assert (main["position"], main["connection"]) == (None, "unknown")


async def test_without_keys_nobody_could_be_answered() -> None:
    async with client(table=KeyTable(None)) as http:
        got = await http.get("/readyz")
        assert (got.status_code, got.json()) == (503, {"ready": False, "draining": False})
        assert (await http.get("/readyz", headers=KEY)).json() == {
            "ready": False,
            "draining": False,
        }


async def test_who_shows_no_key_is_told_nothing_but_whether_it_is_ready() -> None:
    lost = view()
    pbx_lost(lost)
    for pbx, ready in ((view(), True), (lost, False)):
        async with client(pbx) as http:
            for method in ("GET", "HEAD"):
                got = await http.request(method, "/readyz")
                assert got.status_code == (200 if ready else 503)
            assert (await http.get("/readyz")).json() == {"ready": ready, "draining": False}


def test_who_shows_no_key_has_no_pbx_described() -> None:
    """It would take milliseconds at a gateway of hundreds, and anybody may ask."""
    asked: list[str | None] = []

    class Rejected(RejectedValues):
        def reasons(self, pbx: str | None = None) -> dict[str, str]:
            asked.append(pbx)
            return {}

    pbxs = {name: view(name=name) for name in ("east", "west")}
    for described, told in (((), []), (("west",), ["west"]), (None, ["east", "west"])):
        asked.clear()
        state = readiness(pbxs, keys_loaded=True, rejected=Rejected(), described=described)
        assert (state.ready, [*state.pbxs], asked) == (True, told, told)


async def test_an_invalid_key_is_refused_and_a_valid_one_is_told_of_its_own_pbx_alone() -> None:
    elsewhere = ApiKey("other", sha256_hex("other-key-of-tests"), "other", frozenset({"control"}))
    near = replace(
        elsewhere, name="near", digest=sha256_hex("near-key-of-tests"), networks=("192.0.2.0/24",)
    )
    async with client(table=KeyTable([elsewhere, near])) as http:
        refused = await http.get("/readyz", headers={"X-API-Key": "no-key-of-ours"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "key_unknown")
        assert (await http.get("/readyz?key=near-key-of-tests")).json()["error"][
            "code"
        ] == "address_not_allowed"
        assert (await http.get("/readyz?key=other-key-of-tests")).json()["pbxs"] == {}


async def test_a_gateway_that_is_told_to_end_is_not_ready_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bool] = []
    drain = StreamServer.drain

    async def watched(live: StreamServer, within: float) -> None:
        await drain(live, within)
        async with httpx.AsyncClient(timeout=60) as http:
            got = await http.get(f"{address}/readyz")
            seen.append(got.json()["draining"] and got.status_code == 503)

    monkeypatch.setattr(StreamServer, "drain", watched)
    async with (
        gateway(fakeredis.FakeAsyncRedis()) as address,
        httpx.AsyncClient(timeout=60) as http,
    ):
        assert (await http.get(f"{address}/readyz")).json()["draining"] is False
    assert seen == [True]
    assert not readiness({"main": view()}, keys_loaded=True, draining=True).ready
