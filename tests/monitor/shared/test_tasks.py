from __future__ import annotations

import asyncio

import pytest

from monitor.shared.errors import PbxUnreachable
from monitor.shared.tasks import end, first_error, running, together


async def fails(error: Exception) -> None:
    await asyncio.sleep(0)
    raise error


async def test_the_first_that_fails_ends_the_others() -> None:
    other = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            other.set()

    with pytest.raises(PbxUnreachable):
        await together(endless(), fails(PbxUnreachable("away")))
    assert other.is_set()


async def test_a_fault_of_ours_goes_before_one_of_the_pbx() -> None:
    with pytest.raises(KeyError):
        await together(fails(PbxUnreachable("away")), fails(KeyError("ours")))


async def test_a_cancellation_at_the_moment_of_a_failure_is_not_lost() -> None:
    for steps in range(12):

        async def retrying() -> None:
            while True:
                try:
                    await together(fails(PbxUnreachable("a")), fails(PbxUnreachable("b")))
                except PbxUnreachable:
                    continue

        task = asyncio.create_task(retrying())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(60):
            await asyncio.wait([task])
        assert task.cancelled()


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    lost = 0

    async def loses_one() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost > 1:
                    raise

    task = asyncio.create_task(loses_one())
    await asyncio.sleep(0)
    await end([task])
    assert task.cancelled()
    assert lost == 2


def test_the_error_that_counts_is_the_pbx_own_unless_there_is_a_fault_of_ours() -> None:
    away = PbxUnreachable("away")
    nested = ExceptionGroup("", [ExceptionGroup("", [away])])
    assert first_error(nested) is away
    faulty = ExceptionGroup("", [nested, KeyError()])
    assert first_error(faulty) is faulty


async def test_what_runs_beside_the_work_has_ended_when_the_work_has() -> None:
    begun = asyncio.Event()
    ended = False

    async def beside() -> None:
        nonlocal ended
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            ended = True

    async with running(beside()):
        await begun.wait()
        assert not ended
    assert ended


async def test_a_failure_of_what_runs_beside_the_work_does_not_end_the_work() -> None:
    async def beside() -> None:
        raise RuntimeError("a fault")

    async with running(beside()):
        await asyncio.sleep(0)


async def test_a_second_cancellation_leaves_nothing_behind_that_runs_beside() -> None:
    ends = 0

    async def tidies_up() -> None:
        nonlocal ends
        try:
            await asyncio.Event().wait()
        finally:
            try:
                await asyncio.Event().wait()  # what it would wait for takes long
            finally:
                await asyncio.sleep(0)
                ends += 1

    async def work() -> None:
        async with running(tidies_up(), tidies_up()):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    for _ in range(2):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ends == 2
