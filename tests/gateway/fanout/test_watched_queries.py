"""Queries that are watched: evaluated once for all, told when their answer is another."""

from __future__ import annotations

import asyncio

import pytest

from gateway.fanout.watched_queries import Question
from gateway.operations.operation_table import command_named
from gateway.queries.answer_cache import Answer
from gateway.visibility import EVERYTHING
from monitor.shared.changes import Position
from tests.gateway import entities
from tests.gateway.entities import START
from tests.gateway.histories import decoded
from tests.gateway.serving import frame, frame_of, position, say, serving, silence


async def test_a_watched_query_s_answer_is_never_older_than_the_one_that_the_client_has() -> None:
    async with serving(heartbeat=0.1) as served, served.connect() as connection:
        await frame(connection)
        ahead = Position(served.position.epoch, served.position.seq + 1)
        served.view.live.silent(START)
        await say(
            connection, {"type": "subscribe", "query": "pbx.ac.get", "since": position(ahead)}
        )
        for _ in range(5):
            beat = await frame(connection)
            assert (beat["type"], beat["stale_since"]) == ("heartbeat", START)
            assert Position(beat["epoch"], beat["seq"]) == ahead
        served.put("calls", "1", entities.call(1))
        result = await frame_of(connection, "result")
        assert Position(result["epoch"], result["seq"]) == ahead


async def test_a_watched_query_is_answered_anew_when_its_answer_is_another() -> None:
    async with serving() as served, served.connect() as connection:
        await frame(connection)
        await say(connection, {"type": "subscribe", "query": "pbx.calls.get"})
        first = await frame(connection)
        assert (first["type"], first["result"], first["seq"]) == (
            "result",
            {"result": 0},
            served.position.seq,
        )
        served.put("queues", "800", entities.queue("800"))
        await silence(connection)
        served.put("calls", "1", entities.call(1))
        second = await frame(connection)
        assert (second["type"], second["result"], second["seq"]) == (
            "result",
            {"result": 1},
            served.position.seq,
        )


@pytest.mark.parametrize("subprotocol", ["callmon.v1.json", "callmon.v1.msgpack"])
async def test_a_watched_query_takes_its_parameters_and_says_when_they_mean_nothing(
    subprotocol: str,
) -> None:
    encoding = "msgpack" if subprotocol.endswith("msgpack") else "json"
    async with serving() as served, served.connect(offer=[subprotocol]) as connection:
        await connection.recv()
        watch = {"type": "subscribe", "query": "ext.state.get", "params": {"num": 101}}
        await say(connection, watch, encoding)  # type: ignore[arg-type]
        missing = decoded(await connection.recv())
        assert (missing["type"], missing["code"]) == ("error", "unknown_extension")
        served.put("extensions", "101", entities.extension("101"))
        found = decoded(await connection.recv())
        assert (found["type"], found["result"]["num"], found["result"]["status"]) == (
            "result",
            "101",
            "Free",
        )
        served.put("extensions", "101", None)
        assert decoded(await connection.recv())["code"] == "unknown_extension"


async def test_a_limited_keys_watched_query_tells_what_its_queries_tell() -> None:
    async with serving() as served, served.connect("limited-key") as connection:
        served.put_all([("extensions", num, entities.extension(num)) for num in ("101", "102")])
        await frame(connection)
        await say(connection, {"type": "subscribe", "query": "all.ext.get"})
        assert (await frame(connection))["result"] == {"nums": ["101"]}


async def test_a_watched_query_is_evaluated_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Question] = []
    async with serving(heartbeat=3_600.0) as served:
        ask = served.view.watches._ask

        def counted(question: Question) -> Answer:
            asked.append(question)
            return ask(question)

        monkeypatch.setattr(served.view.watches, "_ask", counted)
        connections = [await served.connect() for _ in range(20)]
        for connection in connections:
            await frame(connection)
            await say(connection, {"type": "subscribe", "query": "pbx.callsinfo.get"})
            await frame(connection)
        served.put("calls", "1", entities.call(1))
        for connection in connections:
            assert (await frame(connection))["result"]["count"] == 1
            await connection.close()
    assert len(asked) == 2


async def test_a_watched_query_that_fails_is_no_matter_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as served, served.connect() as failing, served.connect() as other:
        ask = served.view.watches._ask

        def fails(question: Question) -> Answer:
            if question.command.name == "all.ext.get":
                raise ZeroDivisionError
            return ask(question)

        monkeypatch.setattr(served.view.watches, "_ask", fails)
        for connection, query in ((failing, "all.ext.get"), (other, "pbx.calls.get")):
            await frame(connection)
            await say(connection, {"type": "subscribe", "query": query})
        assert (await frame(failing))["code"] == "internal"
        assert (await frame(other))["result"] == {"result": 0}
        for number in (1, 2):
            served.put("calls", str(number), entities.call(number))
            assert (await frame_of(other, "result"))["result"] == {"result": number}
        await say(failing, {"type": "subscribe", "query": "pbx.calls.get"})
        assert (await frame_of(failing, "result"))["result"] == {"result": 2}


async def test_many_watched_queries_are_evaluated_without_holding_up_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.fanout.watched_queries._SLICE_S", 0.0)
    turns, evaluated_in = 0, set()
    done = asyncio.Event()
    async with serving() as served:
        watches, ask = served.view.watches, served.view.watches._ask

        def noted(question: Question) -> Answer:
            evaluated_in.add(turns)
            if len(evaluated_in) == 100:
                done.set()
            return ask(question)

        command = command_named("ext.state.get")
        for number in range(100):
            question = Question(command, command.check([("num", str(number))]), EVERYTHING)
            watches.watch(question, "json", lambda: None)
        monkeypatch.setattr(watches, "_ask", noted)
        served.put("calls", "1", entities.call(1))
        async with asyncio.timeout(60):
            while not done.is_set():
                await asyncio.sleep(0)
                turns += 1


async def test_watchers_get_heartbeats_that_tell_when_nothing_is_heard() -> None:
    async with serving(heartbeat=0.1) as served, served.connect() as connection:
        await frame(connection)
        await say(connection, {"type": "subscribe", "query": "pbx.calls.get"})
        assert (await frame(connection))["type"] == "result"
        beat = await frame(connection)
        assert (beat["type"], beat["seq"], beat["stale_since"]) == (
            "heartbeat",
            served.position.seq,
            None,
        )
        served.view.live.silent(entities.START)
        served.view.watches.changed()
        while (beat := await frame(connection))["stale_since"] is None:
            assert beat["type"] == "heartbeat"
        assert beat["stale_since"] == entities.START
