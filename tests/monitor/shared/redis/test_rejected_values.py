"""What was left out on Redis, until it is right again or not seen any more."""

from __future__ import annotations

import asyncio

from monitor.shared.redis.connection import accepted, rejected
from monitor.shared.redis.rejected_values import HELD_S, RejectedValues, collecting


def test_a_value_counts_as_wrong_until_it_is_right_or_not_seen_for_a_while() -> None:
    now = 0.0
    values = RejectedValues(lambda: now)
    values.reject("callmon:{a}:keys", "garbage")
    values.reject("callmon:{b}:lease", "x" * 1000)
    values.reject("callmon:{b}:lease", "one of its fields", "fields")
    assert values.reasons("a") == {"callmon:{a}:keys": "garbage"}
    assert [*values.reasons("b")] == ["callmon:{b}:lease", "callmon:{b}:lease (fields)"]
    assert max(map(len, values.reasons().values())) == 200
    values.accept("callmon:{b}:lease")
    assert [*values.reasons("b")] == ["callmon:{b}:lease (fields)"]
    now = HELD_S - 1
    values.reject("callmon:{a}:keys", "other garbage")
    now = HELD_S
    assert values.reasons() == {"callmon:{a}:keys": "other garbage"}
    now = 2 * HELD_S
    assert (values.reasons(), values.sentence()) == ({}, "")


def test_a_pbx_whose_name_begins_like_anothers_has_its_own() -> None:
    values = RejectedValues()
    values.reject("callmon:{ab}:keys", "garbage")
    assert values.reasons("a") == {}


def test_no_digest_is_told_and_many_keys_take_no_more_memory() -> None:
    values = RejectedValues()
    for number in range(1000):
        values.reject(f"callmon:{{a}}:spent:reads:{number:064x}", "not a counter")
        values.reject(f"callmon:{{a}}:{number}", "garbage")
    assert len(values.reasons()) == 100
    assert not any("0" * 32 in key for key in values.reasons())
    assert "callmon:{a}:spent:reads:*" in values.reasons()
    values.accept(f"callmon:{{a}}:spent:reads:{7:064x}")
    assert "callmon:{a}:spent:reads:*" not in values.reasons()
    said = values.sentence()
    assert said.startswith("Values on Redis that callmon did not write are left out: callmon:{a}:")
    assert said.endswith(" and 94 more.")


async def test_tasks_tell_the_collection_in_which_they_were_begun() -> None:
    one, other = RejectedValues(), RejectedValues()

    async def read(key: str) -> None:
        await asyncio.sleep(0)
        rejected(key, "garbage")

    with collecting(one):
        first = asyncio.create_task(read("x"))
        with collecting(other):
            second = asyncio.create_task(read("y"))
    await asyncio.gather(first, second, read("nobody's"))
    assert (one.reasons(), other.reasons()) == ({"x": "garbage"}, {"y": "garbage"})
    with collecting(one):
        accepted("x")
    assert one.reasons() == {}
