"""Run coroutines side by side and end them reliably.

Do not use a task group around work that fails regularly. If its parent is cancelled while a child's
failure is being handled, Python 3.11 raises the failure and loses the cancellation. A loop that
retries would then run for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from monitor.shared.errors import PbxError

_AGAIN_AFTER_S = 1.0


async def together(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Run coroutines until one ends; then end the others and raise the first one's error, if any.

    If this is cancelled, all have ended before CancelledError goes on.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(tasks)
    errors = [
        error for task in done if not task.cancelled() and (error := task.exception()) is not None
    ]
    faults = [error for error in errors if not isinstance(error, PbxError)]
    for error in (*faults, *errors):
        raise error


async def all_together(coroutines: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Run coroutines side by side until all have ended.

    The first that fails ends the others, and its error is raised.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    if not tasks:
        return
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end(tasks)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


@asynccontextmanager
async def running(
    *beside: Coroutine[Any, Any, object],
) -> AsyncIterator[tuple[asyncio.Task[Any], ...]]:
    """Run coroutines beside what is done while the context is entered, and cancel them at the end.

    Yields their tasks. Their failures end nothing else.
    """
    tasks = tuple(asyncio.create_task(coroutine) for coroutine in beside)
    try:
        yield tasks
    finally:
        await end(tasks)


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks again and again until they have ended.

    Libraries lose a cancellation now and then (python/cpython#86296). If this is cancelled, so are
    the tasks at once, and all have ended before CancelledError goes on.
    """
    tasks = list(tasks)
    pending = {task for task in tasks if not task.done()}
    cancelled: asyncio.CancelledError | None = None
    while pending:
        for task in pending:
            task.cancel()
        try:
            await asyncio.wait(pending, timeout=_AGAIN_AFTER_S)
        except asyncio.CancelledError as error:
            cancelled = error
        pending = {task for task in pending if not task.done()}
    for task in tasks:
        if not task.cancelled():
            task.exception()  # retrieve it, so that asyncio does not report it as lost
    if cancelled is not None:
        raise cancelled


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the errors of a group and of the groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a task group.

    Return the group itself if it holds an error that is not a PbxError: that is a fault of ours.
    """
    errors = [*leaves(group)]
    return errors[0] if all(isinstance(error, PbxError) for error in errors) else group
