"""Who is let in to the stream, and what may stand in its address."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from gateway.stream.admission import LiveSettings
from tests.bus import until
from tests.gateway import entities
from tests.gateway.histories import decoded
from tests.gateway.serving import (
    Served,
    closed,
    frame,
    frame_of,
    http,
    serving,
    without_denials,
)


async def _by_address(served: Served, query: str) -> dict[str, Any]:
    async with served.connect(path=f"/webapi/stream?{query}") as connection:
        await frame(connection)
        return await frame(connection)


async def test_a_subscription_may_stand_in_the_address() -> None:
    async with serving() as served:
        served.put("calls", "1", entities.call(1, ("101",)))
        left = served.position
        served.put("calls", "2", entities.call(2, ("102",)))
        served.put("extensions", "101", entities.extension("101"))
        snapshot = await _by_address(served, "topics=calls,extensions&ext=101,103")
        assert {topic: set(found) for topic, found in snapshot["state"].items()} == {
            "calls": {"1"},
            "extensions": {"101"},
        }
        change = await _by_address(
            served, f"topics=calls&since={left.epoch}/{left.seq}&merge=false"
        )
        assert (change["type"], set(change["upsert"]["calls"])) == ("change", {"2"})
        result = await _by_address(served, "query=ext.state.get&num=101")
        assert (result["type"], result["result"]["num"]) == ("result", "101")


@pytest.mark.parametrize(
    ("query", "close"),
    [
        ("topics=cals", 4000),
        ("ext=101", 4000),
        ("topics=calls&num=101", 4000),
        ("topics=calls&topics=queues", 4000),
        ("topics=calls&since=x", 4000),
        ("topics=calls&merge=perhaps", 4000),
        ("query=ext.state.get", 4000),
        ("query=makecall&first=101&second=102", 4003),
    ],
)
async def test_a_wrong_address_is_refused(query: str, close: int) -> None:
    async with (
        serving(wrap=without_denials) as served,
        served.connect(path=f"/webapi/stream?{query}") as connection,
    ):
        assert (await closed(connection))[0] == close


async def refusal(served: Served, **how: Any) -> tuple[int, str]:
    """HTTP status and error code with which a handshake is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with served.connect(**how):
            pass
    body = decoded(bytes(refused.value.response.body or b"").decode())
    assert body["result"] is False
    return refused.value.response.status_code, str(body["error"]["code"])


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/webapi/reader-key/stream", {}),
        ("/webapi/stream?key=reader-key", {}),
        ("/webapi/stream", {"X-API-Key": "reader-key"}),
        ("/webapi/stream", {"Authorization": "Bearer reader-key"}),
    ],
)
async def test_a_key_may_be_given_in_any_documented_way(path: str, headers: dict[str, str]) -> None:
    async with serving() as served, served.connect(None, path, headers=headers) as connection:
        assert (await frame(connection))["type"] == "hello"


async def test_a_refusal_is_an_http_answer_to_the_handshake() -> None:
    settings = LiveSettings(connections_per_key=1, origins=frozenset({"https://ours"}))
    async with serving(settings) as served:
        assert await refusal(served, key="no-such-key") == (401, "key_unknown")
        assert await refusal(served, key=None) == (401, "key_missing")
        assert await refusal(served, key="old-key") == (401, "key_expired")
        assert await refusal(served, key="dialler-key") == (403, "scope_missing")
        assert await refusal(served, key="elsewhere-key") == (404, "unknown_pbx")
        assert await refusal(served, key="early-key") == (503, "no_state")
        assert await refusal(served, offer=["graphql"]) == (400, "unknown_subprotocol")
        assert await refusal(served, path="/webapi/stream?topics=cals") == (400, "bad_message")
        assert await refusal(served, key="display-key", path="/webapi/stream?topics=contacts") == (
            403,
            "not_allowed",
        )
        assert await refusal(served, headers={"Origin": "https://theirs"}) == (
            403,
            "origin_not_allowed",
        )
        async with served.connect(headers={"Origin": "https://ours"}):
            assert await refusal(served) == (429, "too_many_connections")
        await served.live.drain(0)
        assert await refusal(served) == (503, "draining")


async def test_a_plain_request_for_the_address_tells_why_a_handshake_is_refused() -> None:
    """A browser hides the answer to a handshake from its page, so the page asks in this way."""
    limited = LiveSettings(connections_per_key=1)
    async with serving(limited) as served, http(served) as client:

        async def asked(key: str | None) -> tuple[int, str, str | None]:
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            answer = await client.get("/stream", headers=headers)
            code = answer.json()["error"]["code"]
            return answer.status_code, code, answer.headers.get("Retry-After")

        assert await asked("reader-key") == (426, "upgrade_required", None)
        assert await asked("no-such-key") == (401, "key_unknown", None)
        assert await asked(None) == (401, "key_missing", None)
        assert await asked("dialler-key") == (403, "scope_missing", None)
        assert await asked("early-key") == (503, "no_state", "1")
        assert (await client.get("/no-such-key/stream")).json()["error"]["code"] == "key_unknown"
        assert served.live.counters.refused["key_unknown"] == 2
        async with served.connect():
            assert await asked("reader-key") == (429, "too_many_connections", "10")
        await served.live.drain(0)
        assert await asked("reader-key") == (503, "draining", "1")


async def test_where_a_handshake_cannot_be_answered_the_close_code_says_it() -> None:
    async with serving(wrap=without_denials) as served:
        for key, code in (
            ("no-such-key", 4001),
            ("dialler-key", 4003),
            ("elsewhere-key", 4004),
            ("early-key", 4103),
        ):
            async with served.connect(key) as connection:
                assert (await closed(connection))[0] == code


async def test_a_subscription_in_the_address_counts_as_one_of_its_keys_messages() -> None:
    settings = LiveSettings(message_burst_per_key=2, messages_per_second_per_key=0.001)
    async with (
        serving(settings) as served,
        httpx.AsyncClient(base_url=f"http://{served.host}", timeout=60) as http,
    ):
        for _ in range(2):
            async with served.connect(path="/webapi/stream?topics=calls") as connection:
                assert await frame_of(connection, "snapshot")
        with pytest.raises(InvalidStatus) as refused:
            await served.connect(path="/webapi/stream?topics=calls")
        assert refused.value.response.status_code == 429
        assert (await http.get("/webapi/reader-key/events?topics=calls")).status_code == 429
        async with served.connect("display-key", "/webapi/stream?topics=calls") as other:
            assert await frame_of(other, "snapshot")
        await until(lambda: len(served.live) == 0)
