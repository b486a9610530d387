"""Test a takeover at a large or slow PBX: the standby begins with the directory on Redis."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from gateway.stream_client import Update
from monitor.shared.redis.key_names import SpaceKeys
from monitor.simulator.server import SimulatedPbx, SimulatorSettings
from tests.bus import RealBus, patient, until, until_async
from tests.system.processes import LEASE, Site, watching
from tests.system.stack import PBX, Subscriber
from tests.system.test_restarts import WITHIN, right

EXTENSIONS = 2_000


MANY = 100
"""Extensions, so many that not all of them are called while nobody leads."""


def known(held: Subscriber) -> dict[str, str]:
    """Who is in no call, and since when, where that is known."""
    extensions = held.state["extensions"].values()
    return {
        one["num"]: one["since"] for one in extensions if one["activity"] == "Idle" and one["since"]
    }


@pytest.fixture
async def pbx() -> AsyncIterator[SimulatedPbx]:
    """A large one in a rush."""
    settings = SimulatorSettings(extensions=EXTENSIONS, queues=20, rate=300, speed=5)
    async with SimulatedPbx(settings) as simulated:
        yield simulated


async def test_a_take_over_at_a_large_pbx_does_not_wait_for_the_directory(
    pbx: SimulatedPbx, place: Site, valkey: RealBus, record_property: Callable[[str, object], None]
) -> None:
    first, redis = min(pbx.directory.extensions()), patient(valkey)
    async with watching(place) as held:
        await right(pbx, held)
        await until_async(lambda: _kept(redis))
        # However slow the machine is, the take-over comes before these reads end.
        unhurried = {"CALLMON_MONITOR__WEIGHT": "0", "CALLMON_PBX__0__REQUEST_TIMEOUT": "200"}
        epoch = held.epoch  # on a busy machine the standby may lead before the other is killed
        await place.start("monitor", **unhurried)
        seen = Seen(held, first)
        for part in ("Users", "Contacts"):
            pbx.faults.hang(f"/xapi/v1/{part}")
        await until(lambda: len(known(held)) >= MANY, WITHIN)
        before = known(held)
        killed = time.monotonic()
        await place.running[0].kill()
        await until(lambda: held.epoch > epoch, WITHIN)
        took = time.monotonic() - killed
        record_property("seconds", round(took, 1))
        print(f"taken over after {took:.1f} s, with a lease of {LEASE:g} s")
        await right(pbx, held)
        after = known(held)
        assert any(after.get(number) == began for number, began in before.items()), (
            "since when who is free is known"
        )
        assert not seen.returned, "no call vanished for a while"
        assert seen.callers, "somebody of the address book was in a call all the time"
        assert not seen.forgotten, "a name that was known is still shown"
        assert seen.extensions == {EXTENSIONS}, "nobody was shown a directory that was not whole"
        assert seen.names == {held.state["extensions"][first]["name"]}

        entity = pbx.directory.entity(first)
        assert entity is not None
        pbx.directory.update(entity, {"FirstName": "Renamed"})
        pbx.faults.release()
        await until(lambda: held.state["extensions"][first]["name"] == "Renamed", WITHIN)
        await right(pbx, held)


async def _kept(redis: Redis) -> bool:
    """Whether directory and address book are in Redis.

    They are not written in the same moment as the calls.
    """
    contacts = SpaceKeys(PBX, "book").state("contacts")
    return await redis.exists(SpaceKeys(PBX, "live").directory, contacts) == 2


class Seen:
    """What a subscriber was shown of the directory from now on."""

    def __init__(self, held: Subscriber, extension: str) -> None:
        self.extensions: set[int] = set()
        self.names: set[str] = set()
        self.callers: dict[tuple[str, str, str], str] = {}
        """Call, leg and its other side → name."""
        self.returned: set[str] = set()
        self._calls: set[str] = set()
        self._over: set[str] = set()
        self.forgotten: dict[tuple[str, str, str], str] = {}
        """Calls with names that were shown and then were not, though Call Control was followed."""
        self._held, self._extension = held, extension
        held.on_update(self._take)

    def _take(self, _: Update) -> None:
        table = self._held.state["extensions"]
        self.extensions.add(len(table))
        calls = self._held.state["calls"].keys()
        self._over |= self._calls - calls
        self.returned |= self._over & calls
        self._calls = set(calls)
        for id_, call in self._held.state["calls"].items():
            for leg in call["AConnList"]:
                who = id_, leg["dnNum"], leg["externalParty"]
                if leg["partyName"]:
                    self.callers[who] = leg["partyName"]
                elif (
                    who in self.callers
                    and "callcontrol" in self._held.state["system"]["pbx"]["source"]
                ):
                    self.forgotten[who] = self.callers[who]
        self.names.add(str(table[self._extension]["name"]))
