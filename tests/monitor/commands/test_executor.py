"""In which turn commands are carried out, and what becomes of those whose turn does not come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from monitor.commands import executor as module
from monitor.commands.executor import CALLS_AT_ONCE, QUERIES_AT_ONCE, CommandExecutor
from monitor.shared.changes import Position
from monitor.shared.command_messages import CommandFailure, Outcome, Request
from monitor.shared.errors import (
    CommandOutcomeUnknown,
    CommandRefused,
    PbxBusy,
    PbxUnreachable,
    RefusalKind,
    TokenRefused,
)
from tests.bus import until

LIVE = Position("epoch", 7)


class Hands:
    """What carries commands out: it waits until it may go on, and fails if it is to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go_on = asyncio.Event()
        self.trouble: Exception | None = None
        self.sure = True
        self.shown = asyncio.Event()
        self.shown.set()
        self.executor = CommandExecutor("pbx", self._execute, self._written, lambda: self.sure)

    async def _execute(
        self, command: str, arguments: Mapping[str, str]
    ) -> Mapping[str, object] | bytes:
        self.begun.append(command)
        await self.go_on.wait()
        if self.trouble is not None:
            raise self.trouble
        return b'{"count": 1}' if command == "query" else {"num": arguments["num"]}

    async def _written(self, command: str) -> tuple[Position | None, Position | None]:
        await self.shown.wait()
        return LIVE, None

    def start(
        self, command: str, within: float = 60.0, *, takes_body: bool = False
    ) -> asyncio.Task[Outcome]:
        request = Request(
            "id", "gateway", command, {"num": "101"}, "tester", "", takes_body=takes_body
        )
        deadline = asyncio.get_running_loop().time() + within
        return asyncio.create_task(self.executor.outcome(request, deadline))


async def test_json_goes_as_it_is_to_gateways_that_take_it_and_as_fields_to_older_ones() -> None:
    hands = Hands()
    hands.go_on.set()
    taken = await hands.start("query", takes_body=True)
    assert taken == Outcome("id", None, None, LIVE, None, b'{"count": 1}')
    assert await hands.start("query") == Outcome("id", {"count": 1}, None, LIVE, None)


async def settled() -> None:
    """Let all that can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


def kind(outcome: Outcome) -> str:
    assert outcome.failure is not None
    assert outcome.reply is None
    return outcome.failure.kind


async def test_a_reply_comes_with_the_position_that_shows_it() -> None:
    hands = Hands()
    hands.go_on.set()
    assert await hands.start("ext.del") == Outcome("id", {"num": "101"}, None, LIVE, None)


async def test_changes_go_one_by_one_and_calls_and_queries_a_few_at_a_time() -> None:
    hands = Hands()
    tasks = [
        hands.start(command)
        for command in ("ext.del", "ext.new", "makecall", "query")
        for _ in range(20)
    ]
    await settled()
    counted = {command: hands.begun.count(command) for command in ("makecall", "query")}
    assert counted == {"makecall": CALLS_AT_ONCE, "query": QUERIES_AT_ONCE}
    assert len(hands.begun) == CALLS_AT_ONCE + QUERIES_AT_ONCE + 1, "one change of any kind"
    hands.go_on.set()
    outcomes = await asyncio.gather(*tasks)
    assert all(outcome.failure is None for outcome in outcomes)
    assert len(hands.begun) == 80


async def test_what_cannot_begin_in_time_is_refused_and_never_begun() -> None:
    hands = Hands()
    first, second = hands.start("ext.del"), hands.start("ext.new", within=0.0)
    assert kind(await second) == "too late"
    hands.go_on.set()
    await first
    assert hands.begun == ["ext.del"]
    assert (await hands.start("ext.new")).failure is None, "a turn that was not taken is free"


async def test_nothing_begins_while_it_is_not_sure_that_this_monitor_leads() -> None:
    hands = Hands()
    hands.go_on.set()
    hands.sure = False
    assert kind(await hands.start("ext.del")) == "too late"
    assert hands.begun == []
    hands.sure = True
    assert (await hands.start("ext.del")).failure is None


@pytest.mark.parametrize("refusal", ["missing", "conflict", "bad"])
async def test_a_refusal_is_passed_on_as_it_is(refusal: RefusalKind) -> None:
    hands = Hands()
    hands.go_on.set()
    hands.trouble = CommandRefused("some_code", "Not so.", refusal)
    failure = (await hands.start("ext.del")).failure
    assert failure is not None
    assert (failure.kind, failure.code, failure.message) == (refusal, "some_code", "Not so.")


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (PbxUnreachable("Away."), "unavailable"),
        (TokenRefused("No token."), "unavailable"),
        (CommandOutcomeUnknown("No answer."), "unknown"),
    ],
)
async def test_nothing_was_done_is_said_only_where_it_is_certain(
    trouble: Exception, expected: str
) -> None:
    hands = Hands()
    hands.go_on.set()
    hands.trouble = trouble
    assert kind(await hands.start("ext.del")) == expected


async def test_a_busy_database_is_told_apart_from_one_that_is_away() -> None:
    hands = Hands()
    hands.go_on.set()
    hands.trouble = PbxBusy("At work.")
    failure = (await hands.start("query")).failure
    assert failure == CommandFailure("unavailable", "busy", "At work.")


async def test_a_fault_of_ours_is_logged_whole_and_told_without_its_words() -> None:
    hands = Hands()
    hands.go_on.set()
    hands.trouble = ZeroDivisionError("secret 4711")
    with capture_logs() as logs:
        outcome = await hands.start("ext.del")
    assert kind(outcome) == "unknown"
    assert outcome.failure is not None
    assert "4711" not in outcome.failure.message
    assert [line["event"] for line in logs] == ["command_failure"]
    hands.trouble = None
    assert (await hands.start("ext.del")).failure is None


async def test_a_change_that_is_not_shown_in_time_is_done_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WRITTEN_WITHIN_S", 0.01)
    hands = Hands()
    hands.go_on.set()
    hands.shown.clear()
    assert await hands.start("ext.del") == Outcome("id", {"num": "101"}, None, None, None)


async def test_a_command_that_is_given_up_frees_its_turn() -> None:
    hands = Hands()
    first = hands.start("ext.del")
    await until(lambda: hands.begun == ["ext.del"])
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    hands.go_on.set()
    assert (await hands.start("ext.new")).failure is None
