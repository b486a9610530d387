"""The stream as ``callmon top`` follows it."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator

import pytest

from gateway.cli.top import follower
from gateway.cli.top.follower import Follower, Standing
from gateway.stream_client import Connection, Entities, StreamPosition, StreamRefused, Update
from monitor.shared.printable_text import printable
from monitor.shared.timestamps import from_unix, moment
from tests.gateway.cli.console import HOSTILE, OBEYED
from tests.gateway.entities import START


def test_the_top_holds_nothing_to_be_obeyed() -> None:
    state = {
        "calls": {"1": {"AConnList": [{"name": HOSTILE, "n": 1}], "did": HOSTILE, "queue": None}}
    }
    follower._clean(state)
    leg = state["calls"]["1"]["AConnList"][0]  # type: ignore[index]
    assert leg == {"name": printable(HOSTILE), "n": 1}
    assert state["calls"]["1"]["did"] == printable(HOSTILE)


def at(seconds: float) -> str:
    return from_unix(NOW + seconds)


NOW = moment(START).timestamp()


class Stream:
    """A gateway's stream, its updates given by hand."""

    def __init__(self) -> None:
        self.state: Entities = {}
        self.position: StreamPosition | None = None
        self.stale_since: str | None = None
        self.connection = Connection("live")
        self.updates: list[Update | StreamRefused] = []

    async def __aiter__(self) -> AsyncIterator[Update]:
        for one in self.updates:
            if isinstance(one, StreamRefused):
                raise one
            self.position = one.position
            if one.kind == "snapshot":
                self.state = one.state
            yield one

    def system(self, connection: str = "connected", reason: str = "") -> None:
        system = {"connection": connection, "since": START, "reason": reason}
        self.updates.append(
            Update("snapshot", StreamPosition("e", 1), at(0), None, {"system": {"pbx": system}})
        )


async def followed(stream: Stream) -> tuple[Follower, int]:
    """The follower after all updates, and how often it said that something changed."""
    changes = 0

    def changed() -> None:
        nonlocal changes
        changes += 1

    follower = Follower(stream, changed)  # type: ignore[arg-type]  # what it reads of a client
    await follower.run()
    return follower, changes


async def test_all_is_live_while_every_link_of_the_chain_holds() -> None:
    stream = Stream()
    stream.system()
    follower, changes = await followed(stream)
    assert follower.standing() == Standing("live", "Live")
    assert (follower.begun, follower.updates, changes) == (True, 1, 1)


async def test_the_nearest_break_is_named() -> None:
    stream = Stream()
    stream.system("lost", "it hangs")
    follower, _ = await followed(stream)
    found = follower.standing()
    assert found.health == "stale"
    assert re.fullmatch(r"PBX lost since \d\d:\d\d:\d\d: it hangs", found.words)
    stream.stale_since = START
    assert follower.standing().words.startswith("Nothing is heard from the monitor since ")
    stream.connection = Connection("waiting", "Nothing listens.")
    assert re.fullmatch(
        r"The gateway is not reached since [\d:]{8}: Nothing listens\. Trying again",
        follower.standing().words,
    )


async def test_before_anything_came_it_says_how_to_leave() -> None:
    stream = Stream()
    follower, _ = await followed(stream)
    assert follower.standing().words == "Nothing is known of the PBX yet"
    stream.connection = Connection("connecting")
    assert follower.standing().words == "Connecting to the gateway"
    stream.connection = Connection("waiting", "Nothing listens.")
    assert follower.standing().words == "Nothing listens. Trying again; q quits"


async def test_a_refusal_ends_it_and_is_said_before_all_else() -> None:
    stream = Stream()
    stream.system()
    stream.updates.append(StreamRefused(4001, f"key revoked{HOSTILE}"))
    follower, changes = await followed(stream)
    found = follower.standing()
    assert (found.health, changes) == ("refused", 2)
    assert found.words.startswith("The gateway stopped sending: key revoked")
    assert not OBEYED & set(found.words)


async def test_the_clock_is_the_gateways_as_the_least_delayed_frame_tells_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    stream = Stream()
    for ahead in (3.0, 5.0, 4.0):
        stream.updates.append(Update("heartbeat", StreamPosition("e", 1), at(ahead), None, {}))
    follower, _ = await followed(stream)
    assert follower.now == pytest.approx(NOW + 5.0)
