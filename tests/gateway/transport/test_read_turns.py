"""Many sockets that are read at once leave everything else its turn."""

from __future__ import annotations

import asyncio
from functools import partial

from gateway.transport.read_turns import READING_A_TURN_S, ReadTurns
from tests.bus import until


async def test_what_many_sent_at_once_is_read_in_order_and_others_have_their_turns() -> None:
    now, read, seen = 0.0, list[int](), list[int]()
    turns = ReadTurns(lambda: now)

    def reading(number: int) -> None:
        nonlocal now
        now += 0.6 * READING_A_TURN_S
        read.append(number)

    def look() -> None:
        seen.append(len(read))
        if len(read) < 10:
            asyncio.get_running_loop().call_soon(look)

    at_once = [turns.begin(partial(reading, number)) for number in range(10)]
    assert at_once == [True, True] + [False] * 8
    look()
    await until(lambda: len(read) == 10)
    assert read == [*range(10)]
    assert {2, 4, 6, 8} <= {*seen}, "a few milliseconds, and then others"
    await asyncio.sleep(0.01)
    assert turns.begin(lambda: reading(10)), "in a new turn"


async def test_a_failure_in_one_socket_does_not_keep_the_others_from_being_read() -> None:
    now, read = 0.0, list[str]()
    turns = ReadTurns(lambda: now)

    def long() -> None:
        nonlocal now
        now += READING_A_TURN_S

    assert turns.begin(long)
    failures = list[object]()

    def note(_: asyncio.AbstractEventLoop, told: dict[str, object]) -> None:
        failures.append(told)
        assert not turns.begin(lambda: read.append("last"))

    asyncio.get_running_loop().set_exception_handler(note)
    turns.begin(lambda: read.remove("nothing"))
    turns.begin(lambda: read.append("next"))
    await until(lambda: len(read) == 2)
    assert read == ["next", "last"]
    assert len(failures) == 1
