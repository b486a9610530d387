"""How the replicas follow, in numbers."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.metrics import replication
from gateway.metrics.collector import TABLE
from gateway.pbx_context import PbxContext
from monitor.shared.changes import Change, Position
from tests.gateway.entities import START
from tests.gateway.metrics.samples import Labels, labels, samples
from tests.gateway.world import NOW, view


def collected(pbxs: Mapping[str, PbxContext], now: float) -> dict[tuple[str, Labels], float]:
    return samples(
        TABLE.families(
            sample
            for name, pbx in pbxs.items()
            for space, replica, feed in (
                ("live", pbx.live, pbx.live_feed),
                ("book", pbx.book, pbx.book_feed),
            )
            for sample in replication.samples(name, space, replica, feed, now)
        )
    )


def read(now: float = NOW, **pbxs: PbxContext) -> dict[str, dict[str, float]]:
    """Each metric's values by ``pbx/space``, or by what else tells them apart."""
    found: dict[str, dict[str, float]] = {}
    for (name, of), value in collected(pbxs, now).items():
        told = dict(of)
        place = "/".join(told[part] for part in ("pbx", "space", "topic", "reason") if part in told)
        found.setdefault(name.removeprefix("callmon_gateway_"), {})[place] = value
    return found


def test_each_space_of_each_pbx_is_told_apart() -> None:
    one, other = view(), view(loaded=False)
    found = read(main=one, branch=other)
    assert found["feed_connected"] == {
        "main/live": 1, "main/book": 1, "branch/live": 0, "branch/book": 0
    }  # fmt: skip
    assert found["stale"] == {
        "main/live": 0, "main/book": 0, "branch/live": 1, "branch/book": 1
    }  # fmt: skip


def test_a_silent_monitor_makes_its_space_stale_and_no_other() -> None:
    pbx = view()
    pbx.live.silent(START)
    assert read(main=pbx)["stale"] == {"main/live": 1, "main/book": 0}


def test_an_age_is_counted_from_when_something_was_heard_and_is_never_below_zero() -> None:
    pbx = view()
    pbx.live_feed._heard_wall = NOW - 2.5
    pbx.book_feed._heard_wall = NOW + 1.0
    assert read(main=pbx)["heard_age_seconds"] == {"main/live": 2.5, "main/book": 0}
    pbx.live_feed._heard_wall = 0.0
    assert read(main=pbx)["heard_age_seconds"]["main/live"] == 0, "nothing was heard yet"


def test_what_was_done_is_told_by_its_reason() -> None:
    pbx = view()
    counters = pbx.live_feed.counters
    counters.changes, counters.loads, counters.losses, counters.behind = 7, 2, 1, 5
    counters.catch_ups.update(gap=3, compared=1)
    found = read(main=pbx)
    assert [
        found[name]["main/live"]
        for name in (
            "changes_total",
            "states_loaded_total",
            "feed_losses_total",
            "behind_positions",
        )
    ] == [7, 2, 1, 5]
    assert found["changes_total"]["main/book"] == 0
    assert {
        place: value for place, value in found["catch_ups_total"].items() if "live" in place
    } == {
        "main/live/gap": 3,
        "main/live/announced": 0,
        "main/live/compared": 1,
        "main/live/subscribed": 0,
    }


def test_what_is_held_is_counted() -> None:
    pbx = view()
    assert pbx.live.position is not None
    position = Position(pbx.live.position.epoch, pbx.live.position.seq + 1)
    pbx.live.apply(Change(position, START, ()))
    found = read(main=pbx)
    assert found["log_changes"] == {"main/live": 1, "main/book": 0}
    assert found["entities"]["main/extensions"] == len(pbx.live.state["extensions"]) == 5
    assert found["entities"]["main/contacts"] == 3
    name = ("callmon_gateway_entities", labels(pbx="main", topic="calls"))
    assert collected({"main": pbx}, NOW)[name] == 3
