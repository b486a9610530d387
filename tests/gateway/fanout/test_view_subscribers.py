"""Test that no subscriber with news is skipped while others come and go."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.fanout.filtered_view import FilteredView
from gateway.fanout.view_subscribers import Subscriber, ViewSubscribers
from gateway.visibility import EVERYTHING
from monitor.shared.entities.topics import TOPICS
from tests.gateway.histories import Ledger

ALL = FilteredView(frozenset(TOPICS), EVERYTHING)
HAPPENINGS = ("portion", "portion", "join", "leave", "change")
COMES_IN_THE_MIDDLE = [("change", 0), ("portion", 0), ("change", 0), ("join", 0)]


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 1000)), max_size=40),
)
@example(100, COMES_IN_THE_MIDDLE)
def test_everyone_has_a_turn_after_a_change(
    at_first: int, happenings: list[tuple[str, int]]
) -> None:
    track = ViewSubscribers(ALL, Ledger())
    untold: set[Subscriber] = set()

    def join() -> None:
        track.add(Subscriber(ALL, "json", lambda: None, 0))

    for _ in range(at_first):
        join()
    for what, number in happenings:
        match what:
            case "join":
                join()
            case "leave" if track.subscribers:
                leaving = track.subscribers[number % len(track.subscribers)]
                track.remove(leaving)
                untold.discard(leaving)
            case "change":
                track.left = len(track.subscribers)
                untold = set(track.subscribers)
            case "portion":
                untold.difference_update(track.next_batch())
    turns = 0
    while track.left:
        untold.difference_update(track.next_batch())
        turns += 1
        assert turns < 100, "there is an end to it"
    assert not untold
