"""For which queues and extensions a call counts, and when they are looked at again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.statistics.call_account import CallAccount
from monitor.statistics.extension_visits import ExtensionVisit
from monitor.statistics.queue_visits import QueueVisit
from monitor.statistics.subjects import PBX, Subjects

CALL = CallAccount(
    1,
    0,
    "+49",
    (),
    "inbound",
    visits=(QueueVisit("800", 5),),
    turns=(ExtensionVisit("101", 9, False), ExtensionVisit("102", 9, False)),
)
QUEUE, FIRST, SECOND = ("queues", "800"), ("extensions", "101"), ("extensions", "102")
ACCOUNTS = st.builds(
    CallAccount,
    call_id=st.just(1),
    started=st.integers(0, 1),
    caller=st.just(""),
    handles=st.just(()),
    kind=st.just("inbound"),
    visits=st.lists(st.builds(QueueVisit, st.sampled_from("89"), st.just(1)), max_size=2).map(
        tuple
    ),
    turns=st.sets(st.sampled_from("12"))
    .map(sorted)
    .map(lambda nums: tuple(ExtensionVisit(num, 1, False) for num in nums)),
    ended=st.none() | st.just(5),
)


def after(one: CallAccount, other: CallAccount | None) -> set[tuple[str, str]]:
    """The places that are touched when one follows the other."""
    subjects = Subjects()
    subjects.show("1", one)
    subjects.touched.clear()
    subjects.show("1", other)
    return subjects.touched


def test_a_new_call_touches_all_its_places_and_is_found_at_each() -> None:
    subjects = Subjects()
    subjects.show("1", CALL)
    assert subjects.touched == {PBX, QUEUE, FIRST, SECOND}
    assert all(list(subjects.of(place)) == [CALL] for place in subjects.touched)
    assert list(subjects.of(("queues", "801"))) == []


def test_a_call_told_again_touches_nothing() -> None:
    assert after(CALL, replace(CALL)) == set()
    assert after(CALL, replace(CALL, caller="+50")) == set(), "nobody counts by its number"


def test_a_phone_that_stops_ringing_is_touched_alone() -> None:
    first, second = CALL.turns
    assert after(CALL, replace(CALL, turns=(replace(first, ceased=12), second))) == {FIRST}


def test_an_answer_at_one_phone_touches_the_others_that_ring() -> None:
    first, second = CALL.turns
    taken = replace(CALL, turns=(replace(first, answered=12, talking=12), second))
    assert after(CALL, taken) == {FIRST, SECOND}


def test_a_calls_end_touches_all_and_a_call_taken_away_counts_nowhere() -> None:
    everywhere = {PBX, QUEUE, FIRST, SECOND}
    assert after(CALL, replace(CALL, ended=20, outcome="abandoned")) == everywhere
    assert after(CALL, None) == everywhere


def test_a_place_that_a_call_was_put_out_of_is_touched_and_empty() -> None:
    subjects = Subjects()
    subjects.show("1", CALL)
    subjects.touched.clear()
    subjects.show("1", replace(CALL, visits=()))
    assert subjects.touched == {QUEUE}
    assert list(subjects.of(QUEUE)) == []


@given(st.lists(st.tuples(st.sampled_from("ab"), ACCOUNTS | st.none()), max_size=12))
def test_each_place_has_the_accounts_that_name_it(
    steps: list[tuple[str, CallAccount | None]],
) -> None:
    subjects, held = Subjects(), dict[str, CallAccount]()
    for key, account in steps:
        subjects.show(key, account)
        held.pop(key, None)
        if account is not None:
            held[key] = account
    for num in "89":
        expected = [one for one in held.values() if num in {visit.queue for visit in one.visits}]
        assert sorted(map(repr, subjects.of(("queues", num)))) == sorted(map(repr, expected))
    for num in "12":
        expected = [one for one in held.values() if num in {turn.num for turn in one.turns}]
        assert sorted(map(repr, subjects.of(("extensions", num)))) == sorted(map(repr, expected))
    assert len(list(subjects.of(PBX))) == len(held)


def test_a_place_for_which_nothing_counts_any_more_leaves_nothing_behind() -> None:
    places = Subjects()
    places.show("1", CALL)
    places.show("1", None)
    assert not places._at
