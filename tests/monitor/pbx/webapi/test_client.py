"""Requests to a service with the documented interface."""

from __future__ import annotations

import pytest

from monitor.pbx.clock import PbxClock
from monitor.pbx.http_client.secret import Secret
from monitor.pbx.webapi.client import WebApiClient, WebApiSettings
from monitor.pbx.webapi.source import ServedDatabase
from monitor.shared.errors import CommandRefused, PbxRefused, PbxUnreachable
from tests.bus import until
from tests.monitor.pbx.documented import KEY, Documented, documented
from tests.monitor.pbx.webapi.test_source import following, settings_for


async def test_whoever_asks_for_time_gets_it(service: Documented) -> None:
    service.refusals["ext.state.get"] = (429, {"Retry-After": "1"})
    async with following(service) as follower:
        await until(lambda: service.asked["ext.state.get"] >= 3)
        service.refusals.clear()
        await follower.until(follower.connected)
        assert service.asked["ext.state.get"] < 30


async def test_a_wrong_key_is_said_and_stands_in_no_message(service: Documented) -> None:
    async with following(service, key="a-wrong-secret") as follower:
        await follower.until(lambda: follower.system is not None and follower.system.reason != "")
        assert follower.system is not None
        assert follower.system.connection == "connecting"
        assert "a-wrong-secret" not in follower.system.reason
        assert "a-wrong-secret" not in repr(settings_for(service, key="a-wrong-secret"))


async def test_what_the_service_refuses_is_refused(service: Documented) -> None:
    async with following(service) as follower:
        await follower.until(follower.connected)
        with pytest.raises(CommandRefused, match=r"ext\.fwd\.set failed"):
            await follower.source.execute("ext.fwd.set", {"num": "101", "status": "Nowhere"})
        assert await follower.source.execute(
            "ext.queueglobal.set", {"num": "101", "log": "on"}
        ) == {"result": False}
        with pytest.raises(CommandRefused) as unserved:
            await follower.source.execute("ext.del", {"num": "101"})
        assert unserved.value.kind == "missing"
        service.final_status = "Rejected"
        with pytest.raises(CommandRefused, match="rejected") as failed:
            await follower.source.execute("makecall", {"first": "101", "second": "+1"})
        assert (failed.value.code, failed.value.kind) == ("call_failed", "conflict")
        service.refusals["contact.new"] = (403, {})
        with pytest.raises(CommandRefused, match="callmon's key") as forbidden:
            await follower.source.execute("contact.new", {"firstname": "Pat", "phone": "1"})
        assert forbidden.value.code == "not_permitted"
        service.refusals["makecall"] = (503, {})
        with pytest.raises(PbxUnreachable, match="Nothing was done"):
            await follower.source.execute("makecall", {"first": "101", "second": "+1"})
        with pytest.raises(CommandRefused):
            await ServedDatabase(settings_for(service)).answer("select 1", 1)


async def test_the_key_stands_in_the_path_where_the_service_is_no_callmon(
    service: Documented,
) -> None:
    client = WebApiClient(settings_for(service), PbxClock())
    try:
        assert (await client.who())["product"] == "3CX REST API"
        assert (await client.get("pbx.calls.get", lambda answer: answer)).value == {"result": 0}
    finally:
        await client.close()
    assert "Authorization" in service.headers[0], "first it is tried as a callmon takes it"
    assert "Authorization" not in service.headers[-1]


async def test_the_next_request_takes_a_key_that_was_exchanged() -> None:
    async with documented() as service:
        key = Secret("another")
        client = WebApiClient(WebApiSettings(service.url, key), PbxClock())
        try:
            with pytest.raises(PbxRefused):
                await client.who()
            key.exchange(KEY)
            assert await client.who()
        finally:
            await client.close()
