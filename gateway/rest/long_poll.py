"""Conditional long poll: a query whose answer the client has already, and who would rather wait for another.

``If-None-Match`` with ``Prefer: wait=30`` (RFC 7240): 200 as soon as the answer is another, 304 when the time is up.
``Preference-Applied`` says so; who may not wait, as too many do, is answered at once and without it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request

from gateway.fanout.watched_queries import Question
from gateway.pbx_view import PbxView
from gateway.queries.answer_cache import Answer
from gateway.rest.query_responses import matches

LONGEST: Final = 60
"""Seconds; who asks for more waits so long."""
MOST: Final = 2_000
"""Who waits or watches at once at a PBX; others are answered at once."""
MOST_PER_KEY: Final = 500
"""Who waits at once with one key: nobody's key keeps all others from waiting."""

_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?(?=$|[,;\s])", re.IGNORECASE)


def wanted(request: Request) -> int | None:
    """For how many seconds the client would wait; None if it would not."""
    found = _WAIT.search(",".join(request.headers.getlist("prefer")))
    return None if found is None else min(int(found[1]), LONGEST)


def may_wait(view: PbxView, digest: str) -> bool:
    """Whether one more may wait, with the key of this digest."""
    return len(view.watches) < MOST and view.watches.polls[digest] < MOST_PER_KEY


async def other(
    request: Request,
    view: PbxView,
    question: Question,
    answer: Answer,
    known: str,
    seconds: int,
    digest: str,
    turn: Callable[[], Awaitable[None]],
) -> Answer:
    """Wait until the answer is none of the ``known`` tags any more; the last one when the time is up.

    ``digest``: of the key; ``turn``: waits until its requests may go on. Raises what the query comes to refuse, and
    starlette's ClientDisconnect.
    """
    polls = view.watches.polls
    moved = asyncio.Event()
    watcher = view.watches.watch(question, "json", moved.set)
    polls[digest] += 1
    gone = asyncio.create_task(_gone(request, moved))
    try:
        async with asyncio.timeout(seconds):
            while matches(known, answer.etag) and not view.watches.closing:
                await moved.wait()
                await turn()
                moved.clear()
                if gone.done():
                    raise ClientDisconnect
                answer = view.ask(question)
    except TimeoutError:
        await turn()
        return answer
    finally:
        view.watches.leave(watcher)
        polls[digest] -= 1
        if not polls[digest]:
            del polls[digest]
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    return answer


async def _gone(request: Request, moved: asyncio.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    moved.set()
