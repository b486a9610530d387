"""Health and readiness: each thing that can stand in the way."""

from __future__ import annotations

from collections.abc import Callable

import fakeredis
import httpx
import pytest

from gateway.auth import KeyTable
from gateway.health import readiness
from gateway.live import Live
from gateway.pbxview import PbxView
from tests.gateway import entities
from tests.gateway.world import client, view
from tests.system.stack import gateway


async def test_the_process_is_alive_whatever_else_is_the_matter() -> None:
    async with client(view(loaded=False), KeyTable(None)) as http:
        got = await http.get("/healthz")
        assert (got.status_code, got.json()["alive"]) == (200, True)
        assert (await http.head("/healthz")).content == b""


async def test_a_gateway_that_follows_a_connected_pbx_is_ready() -> None:
    async with client() as http:
        got = await http.get("/readyz")
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
                }
            },
        }


def bus_lost(pbx: PbxView) -> None:
    pbx.live_feed.connected = False


def book_bus_lost(pbx: PbxView) -> None:
    pbx.book_feed.connected = False


def no_book(pbx: PbxView) -> None:
    pbx.book.position = None


def monitor_silent(pbx: PbxView) -> None:
    pbx.live.silent("2026-03-04T03:14:00.000Z")


def pbx_lost(pbx: PbxView) -> None:
    pbx.live.state["system"]["pbx"] = entities.system("lost")


def no_system(pbx: PbxView) -> None:
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
async def test_what_stands_in_the_way_is_named(harm: Callable[[PbxView], None], field: str, shared: bool) -> None:
    pbx = view()
    harm(pbx)
    async with client(pbx) as http:
        got = await http.get("/readyz")
        assert (got.status_code, got.json()["ready"]) == (503, False)
        main = got.json()["pbxs"]["main"]
        assert [name for name in ("bus", "snapshot", "monitor", "pbx") if not main[name]] == [field]
    beside_another = readiness({"main": pbx, "other": view(name="other")}, keys_loaded=True)
    assert beside_another.ready is shared


async def test_before_there_is_a_state_nothing_is_ready() -> None:
    async with client(view(loaded=False)) as http:
        got = await http.get("/readyz")
        assert got.status_code == 503
        main = got.json()["pbxs"]["main"]
        assert not any(main[name] for name in ("bus", "snapshot", "monitor", "pbx"))
        assert (main["position"], main["connection"]) == (None, "unknown")


async def test_without_keys_nobody_could_be_answered() -> None:
    async with client(table=KeyTable(None)) as http:
        got = await http.get("/readyz")
        assert (got.status_code, got.json()["keys"]) == (503, False)


async def test_a_gateway_that_is_told_to_end_is_not_ready_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    drain = Live.drain

    async def watched(live: Live, within: float) -> None:
        await drain(live, within)
        async with httpx.AsyncClient() as http:
            got = await http.get(f"{address}/readyz")
            seen.append(got.json()["draining"] and got.status_code == 503)

    monkeypatch.setattr(Live, "drain", watched)
    async with gateway(fakeredis.FakeAsyncRedis()) as address, httpx.AsyncClient() as http:
        assert (await http.get(f"{address}/readyz")).json()["draining"] is False
    assert seen == [True]
    assert not readiness({"main": view()}, keys_loaded=True, draining=True).ready
