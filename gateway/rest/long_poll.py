"""Hold a query until its answer differs from the one that the client has: conditional long poll.

The client sends ``If-None-Match`` with ``Prefer: wait=30`` (RFC 7240). It gets 200 as soon as
the answer differs, and 304 when the time is up. ``Preference-Applied`` says that the request
could wait. If too many clients wait already, the request is answered at once and without that
header.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request

from gateway.fanout.watched_queries import Question
from gateway.pbx_context import PbxContext
from gateway.queries.answer_cache import Answer
from gateway.rest.query_responses import matches
from monitor.shared.tasks import end

LONGEST_S: Final = 60
"""Seconds that a request waits, at most. A client that asks for more waits so long."""
MOST: Final = 2_000
"""Requests that may wait for queries of a PBX at once; others are answered at once."""
MOST_PER_KEY: Final = 500
"""Requests with one key that may wait at once, so that no key keeps all others from waiting."""

_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?(?=$|[,;\s])", re.IGNORECASE)


def wanted(request: Request) -> int | None:
    """Return the seconds that the client wants to wait; None if it does not.

    At most :data:`LONGEST_S`.
    """
    found = _WAIT.search(",".join(request.headers.getlist("prefer")))
    return None if found is None else min(int(found[1]), LONGEST_S)


def may_wait(view: PbxContext, digest: str) -> bool:
    """Return whether one more request may wait with the key of this digest."""
    polls = view.watches.polls
    return polls.total() < MOST and polls[digest] < MOST_PER_KEY


async def other(
    request: Request,
    view: PbxContext,
    question: Question,
    answer: Answer,
    known: str,
    seconds: int,
    digest: str,
    turn: Callable[[], Awaitable[None]],
) -> Answer:
    """Wait until the answer matches none of the ``known`` tags, and return it.

    After ``seconds`` it returns the last answer. ``known``: the value of ``If-None-Match``.
    ``digest``: that of the key. ``turn``: waits until the key's requests may go on. Raises what
    the query refuses, and starlette's ClientDisconnect.
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
        await end([gone])
    return answer


async def _gone(request: Request, moved: asyncio.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    moved.set()
