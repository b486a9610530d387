"""Drive StreamClient through a conversation, as ``driver.mjs`` does callmon.js. See README.md."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any, Final

from gateway.stream_client import Connection, StreamClient, StreamRefused, Subscription
from tests.conversations.conversation import LIMIT_S, Conversation

VERSION: Final = "1.1"
"""Of the protocol, as both clients here speak it."""


async def hold(address: str, conversation: Conversation) -> list[dict[str, Any]]:
    """Hold it with its server at this address; what the client reports, up to the last expected."""
    reports: list[dict[str, Any]] = []
    done = asyncio.Event()

    def report(told: str, **fields: Any) -> None:
        if not done.is_set():
            reports.append({"told": told, **fields})
        if len(reports) == len(conversation.client):
            done.set()

    def changed(connection: Connection) -> None:
        if connection.status in ("waiting", "refused"):
            report(connection.status, code=connection.code, retry_in=connection.retry_in)

    wanted = conversation.subscribe
    client = StreamClient(
        f"{address}/{conversation.name}/webapi/stream",
        "key",
        wanted["topics"],
        wanted=wanted.get("filter"),
        fields=wanted.get("fields"),
        merge=wanted.get("merge", True),
        more={
            id_: Subscription(more["topics"], wanted=more.get("filter"), fields=more.get("fields"))
            for id_, more in wanted.get("more", {}).items()
        },
        on_connection=changed,
    )

    async def follow() -> None:
        try:
            async for update in client:
                report(
                    update.kind,
                    id=update.id,
                    epoch=update.position.epoch,
                    seq=update.position.seq,
                    state=deepcopy(update.state),
                    upsert=update.upsert,
                    remove=update.remove,
                    stale_since=update.stale_since,
                )
        except StreamRefused:
            done.set()

    following = asyncio.create_task(follow())
    try:
        async with asyncio.timeout(LIMIT_S):
            await done.wait()
    except TimeoutError:
        pass  # it is judged by what it reported
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await client.close()
    return reports
