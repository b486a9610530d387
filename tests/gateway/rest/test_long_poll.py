"""Queries that wait until their answer is another."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.auth.api_keys import ApiKey
from gateway.fanout.watched_queries import LEAST_PAUSE_S, Question
from gateway.operations.operation_table import command_named
from gateway.parameters import NONE
from gateway.rest import long_poll
from gateway.visibility import EVERYTHING, Limits
from tests.bus import until
from tests.gateway import entities
from tests.gateway.serving import (
    KEYS,
    READER,
    http,
    serving,
)

QUERY = "/pbx.calls.get"


async def test_a_long_poll_is_answered_when_the_answer_is_another() -> None:
    async with serving() as served, http(served) as client:
        etag = (await client.get(QUERY, headers=READER)).headers["etag"]
        waiting = asyncio.create_task(
            client.get(
                QUERY, headers=READER | {"If-None-Match": etag, "Prefer": "respond-async, wait=10"}
            )
        )
        await until(lambda: len(served.view.watches) > 0)
        served.put("queues", "800", entities.queue("800"))
        await asyncio.sleep(3 * LEAST_PAUSE_S)
        assert not waiting.done(), "another answer did not change"
        served.put("calls", "1", entities.call(1))
        answer = await waiting
        assert (answer.status_code, answer.json()) == (200, {"result": 1})
        assert answer.headers["preference-applied"] == "wait=10"
        assert answer.headers["etag"] != etag
        assert len(served.view.watches) == 0


async def test_a_long_poll_ends_with_304_when_the_time_is_up() -> None:
    async with serving() as served, http(served) as client:
        etag = (await client.get(QUERY, headers=READER)).headers["etag"]
        answer = await client.get(
            QUERY, headers=READER | {"If-None-Match": etag, "Prefer": "wait=1"}
        )
        assert (answer.status_code, answer.content) == (304, b"")


async def test_one_keys_long_polls_leave_room_and_a_refused_wait_is_not_told_as_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_poll, "MOST_PER_KEY", 2)
    display = {"Authorization": "Bearer display-key"}
    async with serving() as served, http(served) as client:
        etag = (await client.get(QUERY, headers=READER)).headers["etag"]
        waits = {"If-None-Match": etag, "Prefer": "wait=60"}
        async with asyncio.TaskGroup() as tasks:
            waiting = [
                tasks.create_task(client.get(QUERY, headers=READER | waits)) for _ in range(2)
            ]
            await until(lambda: len(served.view.watches) >= 2)
            answer = await client.get(QUERY, headers=READER | waits)
            assert (answer.status_code, "preference-applied" in answer.headers) == (304, False)
            waiting.append(tasks.create_task(client.get(QUERY, headers=display | waits)))
            await until(lambda: len(served.view.watches) >= 3)
            served.put("calls", "1", entities.call(1))
        assert [one.result().headers["preference-applied"] for one in waiting] == ["wait=60"] * 3
        assert (len(served.view.watches), served.view.watches.polls) == (0, {})


async def test_subscriptions_to_queries_keep_no_request_from_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One key's connections may watch as many queries as requests of all keys may wait."""
    monkeypatch.setattr(long_poll, "MOST", 2)
    async with serving() as served:
        watches = served.view.watches
        question = Question(command_named("pbx.calls.get"), NONE, EVERYTHING)
        watchers = [watches.watch(question, "json", lambda: None) for _ in range(3)]
        assert long_poll.may_wait(served.view, "digest")
        watches.polls.update(("one", "other"))
        assert not long_poll.may_wait(served.view, "digest")
        for watcher in watchers:
            watches.leave(watcher)


@pytest.mark.parametrize(
    "headers",
    [
        {"Prefer": "wait=10"},
        {"Prefer": "wait=10", "If-None-Match": '"other"'},
        {"Prefer": "wait=x"},
    ],
    ids=["nothing known", "another known", "no number"],
)
async def test_who_does_not_have_the_answer_gets_it_at_once(headers: dict[str, str]) -> None:
    async with serving() as served, http(served) as client:
        answer = await client.get(QUERY, headers=READER | headers)
        assert (answer.status_code, answer.json()) == (200, {"result": 0})


async def test_a_long_poll_ends_with_its_client_and_with_the_gateway() -> None:
    async with serving() as served, http(served) as client:
        etag = (await client.get(QUERY, headers=READER)).headers["etag"]
        waits = READER | {"If-None-Match": etag, "Prefer": "wait=60"}
        leaving = asyncio.create_task(client.get(QUERY, headers=waits))
        await until(lambda: len(served.view.watches) > 0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await until(lambda: len(served.view.watches) == 0)
        waiting = asyncio.create_task(client.get(QUERY, headers=waits))
        await until(lambda: len(served.view.watches) > 0)
        await served.live.drain(0.0)
        assert (await waiting).status_code == 304


@pytest.mark.parametrize(
    "keys", [[], [replace(KEYS[0], limits=Limits(frozenset({"101"})))]], ids=["revoked", "limited"]
)
async def test_a_long_poll_under_a_key_that_is_another_meanwhile_tells_nothing(
    keys: list[ApiKey],
) -> None:
    async with serving() as served, http(served) as client:
        etag = (await client.get(QUERY, headers=READER)).headers["etag"]
        waits = READER | {"If-None-Match": etag, "Prefer": "wait=60"}
        waiting = asyncio.create_task(client.get(QUERY, headers=waits))
        await until(lambda: len(served.view.watches) > 0)
        served.keys.replace(keys)
        served.put("calls", "1", entities.call(1))
        assert (await waiting).status_code == 401
