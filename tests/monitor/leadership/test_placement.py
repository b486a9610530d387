"""Test who should lead what: the spread, what moves, and who counts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.leadership.placement import (
    CALM_S,
    FORGIVEN_AFTER_S,
    LONGEST_SETTLE_S,
    SETTLE_S,
    LiveMonitor,
    Placement,
)

PBXS = tuple(f"pbx{number}" for number in range(300))
LATER = SETTLE_S + 0.01


def site(**weights: float) -> dict[str, Placement]:
    """Monitors with these weights that have seen each other for long enough at ``LATER``."""
    members = {f"{name}/1": LiveMonitor(name, weight, PBXS) for name, weight in weights.items()}
    made = {name: Placement(f"{name}/1", name, weight) for name, weight in weights.items()}
    for placement in made.values():
        placement.saw(members, 0.0)
    return made


def leaders(made: dict[str, Placement]) -> dict[str, str]:
    """PBX → the one monitor that takes itself to be the one, by every monitor's own view."""
    found: dict[str, str] = {}
    for pbx in PBXS:
        (found[pbx],) = [name for name, one in made.items() if one.chosen(pbx, LATER) is None]
        others = {one.chosen(pbx, LATER) for name, one in made.items() if name != found[pbx]}
        assert others <= {f"{found[pbx]}/1"}, "all agree"
    return found


def test_equal_monitors_get_equal_shares() -> None:
    counts = Counter(leaders(site(a=1, b=1, c=1)).values())
    assert all(70 <= count <= 130 for count in counts.values()), counts


def test_shares_follow_the_weights() -> None:
    counts = Counter(leaders(site(a=3, b=1)).values())
    assert 195 <= counts["a"] <= 255, counts


def test_a_monitor_without_weight_leads_only_where_nobody_else_can() -> None:
    assert set(leaders(site(a=1, spare=0)).values()) == {"a"}
    assert set(leaders(site(one=0, two=0)).values()) == {"one", "two"}


@settings(max_examples=20)
@given(st.integers(min_value=1, max_value=4), st.floats(min_value=0.1, max_value=10))
def test_when_one_comes_only_what_it_gets_moves(count: int, weight: float) -> None:
    weights = {f"m{number}": 1.0 for number in range(count)}
    before, after = leaders(site(**weights)), leaders(site(**weights, new=weight))
    assert {after[pbx] for pbx in PBXS if after[pbx] != before[pbx]} <= {"new"}


def test_only_monitors_that_watch_the_pbx_take_part() -> None:
    one = Placement("a/1", "a", 1)
    one.saw({"b/1": LiveMonitor("b", 100, ("other",))}, 0.0)
    assert one.chosen("pbx1", LATER) is None
    assert one.successor("pbx1", LATER) is None
    assert (one.count("pbx1", LATER), one.count("other", LATER)) == (1, 2)


def test_a_monitor_counts_after_a_while_and_stops_to_count_at_once() -> None:
    one, seen = Placement("a/1", "a", 0), {"b/1": LiveMonitor("b", 1, ("pbx1",))}
    one.saw(seen, 100.0)
    assert one.chosen("pbx1", 100.0 + SETTLE_S - 0.01) is None
    assert one.successor("pbx1", 100.0) == "b/1", "better than nobody"
    assert one.chosen("pbx1", 100.0 + SETTLE_S) == "b/1"
    one.saw({}, 103.0)
    assert one.chosen("pbx1", 103.0) is None
    assert one.successor("pbx1", 103.0) is None


def test_a_monitor_that_flaps_counts_later_each_time_until_that_is_forgiven() -> None:
    one, now, waits = Placement("a/1", "a", 0), 0.0, []
    for times in range(9):
        one.saw(
            {f"b/{times}": LiveMonitor("b", 1, ("pbx1",))}, now
        )  # restarted: a new id, same name
        since = now
        while one.chosen("pbx1", now) is None:
            now += 0.5
        waits.append(now - since)
        one.saw({}, now)
    assert waits == [2, 2, 4, 8, 16, 32, 64, 120, 120]
    assert waits[-1] == LONGEST_SETTLE_S
    now += FORGIVEN_AFTER_S
    one.saw({"b/x": LiveMonitor("b", 1, ("pbx1",))}, now)
    assert one.chosen("pbx1", now + SETTLE_S) == "b/x"


def test_a_monitor_that_is_restarted_now_and_then_counts_as_soon_as_a_new_one() -> None:
    one, now = Placement("a/1", "a", 0), 0.0
    for times in range(20):
        one.saw({f"b/{times}": LiveMonitor("b", 1, ("pbx1",))}, now)
        assert one.chosen("pbx1", now + SETTLE_S - 0.01) is None
        assert one.chosen("pbx1", now + SETTLE_S) == f"b/{times}", "it flaps not"
        now += SETTLE_S + CALM_S
        one.saw({}, now)


def test_calm_makes_good_for_one_comeback_after_the_other() -> None:
    one, now = Placement("a/1", "a", 0), 0.0
    for times in range(6):
        one.saw({f"b/{times}": LiveMonitor("b", 1, ("pbx1",))}, now)
        one.saw({}, now)
    one.saw({"b/6": LiveMonitor("b", 1, ("pbx1",))}, now)
    assert one.chosen("pbx1", now + 32 * SETTLE_S - 0.01) is None
    assert one.chosen("pbx1", now + 32 * SETTLE_S) == "b/6"
    now += 32 * SETTLE_S + 3 * CALM_S
    one.saw({}, now)
    one.saw({"b/7": LiveMonitor("b", 1, ("pbx1",))}, now)
    assert one.chosen("pbx1", now + 8 * SETTLE_S - 0.01) is None
    assert one.chosen("pbx1", now + 8 * SETTLE_S) == "b/7"


def test_a_restarted_monitor_gets_the_same_pbxs() -> None:
    one = Placement("a/1", "a", 1)
    got = []
    for id_ in ("b/1", "b/2"):
        one.saw({id_: LiveMonitor("b", 1, PBXS)}, 0.0)
        got.append({pbx for pbx in PBXS if one.chosen(pbx, LATER) == id_})
    assert got[0] == got[1]
    assert got[0]


def test_monitors_that_share_a_name_share_the_pbxs() -> None:
    members = {id_: LiveMonitor("same", 1, PBXS) for id_ in ("same/1", "same/2")}
    first, second = Placement("same/1", "same", 1), Placement("same/2", "same", 1)
    for one in (first, second):
        one.saw(members, 0.0)
    ours = {pbx for pbx in PBXS if first.chosen(pbx, LATER) is None}
    assert ours == {pbx for pbx in PBXS if second.chosen(pbx, LATER) == "same/1"}
    assert 110 <= len(ours) <= 190


def test_a_monitor_that_did_not_take_a_lease_up_is_left_alone_for_a_while() -> None:
    one = Placement("a/1", "a", 0)
    one.saw({"b/1": LiveMonitor("b", 1, ("pbx1", "pbx2"))}, 0.0)
    one.refused("pbx1", "b/1", 5.0)
    one.refused("pbx1", "gone/1", 5.0)
    assert one.chosen("pbx1", 5.0 + 3 * SETTLE_S) is None
    assert one.chosen("pbx1", 5.0 + 4 * SETTLE_S) == "b/1"
    assert one.chosen("pbx2", 5.0) == "b/1"
