"""Test how often a key may ask: the counting of reads, while the test plays Redis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.quotas import (
    ASK_AGAIN_S,
    CREDIT_FROM,
    WINDOW_S,
    ReadLease,
    RemainingQuota,
    kind_of,
)
from gateway.operations.operation_table import COMMANDS, Command
from monitor.shared.api_keys import Kind


class Counter:
    """What Redis does."""

    def __init__(self) -> None:
        self.counted = 0
        self.ends = 0.0

    def add(self, number: int, now: float) -> tuple[int, float]:
        if now >= self.ends:
            self.counted, self.ends = 0, now + WINDOW_S
        self.counted += number
        return self.counted, self.ends - now


def lease(reads: ReadLease, counter: Counter, now: float) -> None:
    wanted = reads.ask(now)
    if wanted:
        reads.answered(*counter.add(wanted, now), now)


def passed(reads: ReadLease, counter: Counter, now: float, requests: int) -> int:
    """How many of so many requests one after the other pass, with an answer after each."""
    count = 0
    for _ in range(requests):
        verdict = reads.take(now)
        lease(reads, counter, now)
        if verdict == "wait":
            verdict = reads.take(now)
            lease(reads, counter, now)
        count += verdict == "taken"
    return count


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("pbx.ac.get", "reads"),
        ("contact.get", "reads"),
        ("ext.new", "commands"),
        ("makecall", "makecall"),
        ("query", "query"),
    ],
)
def test_every_command_is_of_one_kind(command: str, kind: Kind) -> None:
    assert kind_of(COMMANDS[command]) == kind
    assert kind_of(None) == "reads"


def test_a_composition_is_a_read_as_its_parts_count_besides() -> None:
    async def nothing(run: object, arguments: object) -> dict[str, bool]:
        return {}

    assert (
        kind_of(Command("site.nothing", "control", "does nothing", composition=nothing)) == "reads"
    )


@given(limit=st.integers(1, 3_000))
def test_one_gateway_alone_lets_pass_exactly_the_budget_and_again_in_the_next_window(
    limit: int,
) -> None:
    reads, counter = ReadLease(limit), Counter()
    for now in (100.0, 100.0 + WINDOW_S, 100.0 + 5 * WINDOW_S):
        assert passed(reads, counter, now, limit + 10) == limit
        assert reads.take(now) == "spent"
        assert reads.remaining() == 0


@given(
    limit=st.integers(1, 3_000),
    turns=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 500), st.booleans()), max_size=40),
)
def test_all_gateways_together_let_pass_the_budget_and_at_most_one_batch_on_credit_each(
    limit: int, turns: list[tuple[int, int, bool]]
) -> None:
    gateways, counter = [ReadLease(limit) for _ in range(3)], Counter()
    count = 0
    for number, requests, answered in turns:
        reads = gateways[number]
        count += sum(reads.take(0.0) == "taken" for _ in range(requests))
        if answered:
            lease(reads, counter, 0.0)
    assert count <= limit + (3 * gateways[0].batch if limit >= CREDIT_FROM else 0)
    count += sum(passed(reads, counter, 0.0, limit + 10) for reads in gateways)
    assert limit <= count <= limit + (3 * gateways[0].batch if limit >= CREDIT_FROM else 0), (
        "all get what they leased"
    )


def test_a_large_budget_waits_for_no_answer_and_asks_before_its_batch_is_used_up() -> None:
    reads = ReadLease(100_000)
    assert [reads.take(0.0) for _ in range(reads.batch)] == ["taken"] * reads.batch
    assert reads.take(0.0) == "wait"
    assert reads.ask(0.0) == 2 * reads.batch, "what was used on credit, and a batch"
    assert reads.ask(0.0) == 0, "one answer at a time"
    reads.answered(2 * reads.batch, 60.0, 0.0)
    assert reads.ask(0.0) == 0, "there is a batch"
    for _ in range(reads.batch):
        reads.take(0.0)
    assert reads.ask(0.0) == reads.batch


def test_what_others_use_up_ends_the_credit() -> None:
    reads = ReadLease(1_000)
    reads.take(0.0)
    reads.ask(0.0)
    reads.answered(5_000, 30.0, 0.0)
    assert reads.take(0.0) == "spent"
    assert reads.remaining() == 0
    assert reads.ask(0.0) == 0, "there is nothing to be had"
    assert reads.take(30.0) == "taken", "their window ended"


def test_without_redis_a_gateway_counts_alone_and_asks_for_its_debt_when_it_is_back() -> None:
    reads = ReadLease(100)
    assert reads.take(0.0) == "wait"
    reads.ask(0.0)
    reads.answered(None, 0.0, 0.0)
    assert [reads.take(0.0) for _ in range(30)] == ["taken"] * 30
    assert reads.remaining() == 70
    assert reads.ask(0.0) == 0, "not at once again"
    assert reads.ask(ASK_AGAIN_S) == 30 + reads.batch
    reads.answered(90, 60.0, ASK_AGAIN_S)
    assert reads.remaining() == 100 - 90 + reads.batch
    for _ in range(reads.batch):
        assert reads.take(ASK_AGAIN_S) == "taken"


def test_who_waits_too_long_goes_on_alone() -> None:
    reads = ReadLease(10)
    assert reads.take(0.0) == "wait"
    reads.continue_offline()
    assert [reads.take(0.0) for _ in range(11)] == ["taken"] * 10 + ["spent"]


def test_a_redis_that_was_emptied_gives_a_new_window() -> None:
    reads, counter = ReadLease(100), Counter()
    assert passed(reads, counter, 0.0, 50) == 50
    counter.counted = 0
    assert passed(reads, counter, 0.0, 200) <= 100 + reads.batch


def test_the_headers_say_what_is_left() -> None:
    assert RemainingQuota("makecall", 5, 2, 31).headers == {
        "RateLimit-Policy": '"makecall";q=5;w=60',
        "RateLimit": '"makecall";r=2;t=31',
    }
