"""Hold every conversation with the Python client and with the JavaScript client."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from tests.browser import node
from tests.conversations import driver, peer
from tests.conversations.conversation import Conversation, conversations, wrong
from tests.conversations.driven import driven

ALL = conversations(driver.VERSION)
DRIVER = Path(__file__).with_name("driver.mjs")


async def with_python(wanted: list[Conversation]) -> list[str]:
    """What the Python client does wrong in these, all at the same time."""
    async with peer.serving(wanted) as (address, peers):
        reports = await asyncio.gather(*(driver.hold(address, each) for each in wanted))
    told = [
        fault for each, found in zip(wanted, reports, strict=True) for fault in wrong(each, found)
    ]
    return told + peer.faults(peers)


async def test_the_python_client_holds_them() -> None:
    assert await with_python(ALL) == []


async def test_the_javascript_client_holds_them() -> None:
    command = (*node.with_websocket(), "--no-warnings", str(DRIVER))
    assert await driven(command, ALL) == []


async def test_a_client_that_does_otherwise_is_found() -> None:
    """The judge is right only if it can be wrong: each of these has one false word."""
    by_name = {each.name: each for each in ALL}
    changes, gap, later = by_name["changes"], by_name["gap"], by_name["later"]
    subscribing = {"expect": {"type": "subscribe", "topics": ["queues"]}}
    steps = tuple(subscribing if "expect" in each else each for each in changes.server)
    gone = replace(gap, client=tuple(each | {"seq": 9} for each in gap.client))
    late = replace(later, client=(later.client[0], later.client[1] | {"retry_in": [0, 1]}))
    faults = await with_python([replace(changes, server=steps), gone, late])
    assert [fault.partition(" is ")[0].partition(" says ")[0] for fault in faults] == [
        "report 1 of gap: seq",
        "report 3 of gap: seq",
        "report 2 of later: retry_in",
        "changes: it",
    ]
