"""The calls that ended: which are open losses, which go first, and what a look-up costs."""

from __future__ import annotations

from itertools import count

import pytest
from msgspec.structs import replace

from monitor.shared import phone_numbers
from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix
from monitor.tracking import pbx_state
from monitor.tracking.pbx_state import LISTED, SHOWN_ON_DN, EndedIndex, PbxState
from tests.monitor.tracking.pbx_facts import NOON, directory
from tests.steps import steps

LATER = from_unix(NOON + 7200)


def ended(id_: int, caller: str, outcome: topics.Outcome = "missed") -> topics.EndedCall:
    at = from_unix(NOON + id_ / 1000)
    return topics.EndedCall(
        id_, "Inbound", "", "", at, None, at, outcome, caller, "", "101", "", ("101",)
    )


def holding(*calls: topics.EndedCall) -> PbxState:
    held = PbxState("monitor-1")
    held.replace_directory(directory())
    held.remember({call.id: call for call in calls}, {})
    return held


def talk(id_: int, number: str, answered_at: str | None) -> topics.Call:
    """A call between extension 101 and this number."""
    legs = (
        topics.Leg("10000", "externalline", number, "Connected"),
        topics.Leg("101", "extension", "10000", "Connected"),
    )
    return topics.Call(
        call_id=id_,
        direction="Inbound",
        state="Talking",
        started_at=from_unix(NOON),
        answered_at=answered_at,
        did="",
        owner=legs[0],
        talk_to=legs[1:],
        routing_to=(),
        legs=legs,
    )


def test_a_loss_is_open_until_its_caller_is_talked_with_or_it_is_dropped() -> None:
    index = EndedIndex()
    lost, taken = ended(1, "030123456"), ended(2, "030123456", "answered")
    index.follow(Edit("ended", call.id, None, call) for call in (lost, taken))
    assert list(index.open_losses(["+4930123456", "030123456", "", "1"])) == [lost.id]
    assert list(index.least) == [taken.id]
    returned = replace(lost, returned_at=LATER)
    index.follow([Edit("ended", lost.id, lost, returned)])
    assert list(index.open_losses(["+4930123456"])) == []
    index.follow([Edit("ended", lost.id, returned, lost), Edit("ended", taken.id, taken, None)])
    assert list(index.open_losses(["+4930123456"])) == [lost.id]
    index.follow([Edit("ended", lost.id, lost, None)])
    assert (list(index.open_losses(["+4930123456"])), list(index.least)) == ([], [])


@pytest.mark.parametrize(
    "caller", ["+4930555123", "004930555123", "030555123", "30555123", "4930555123", "0030555123"]
)
@pytest.mark.parametrize(
    "dialled",
    [
        *("+4930555123", "004930555123", "030555123", "4930555123", "0030555123", "9030555123"),
        *("0004930555123", "9004930555123", "0 49 30 555123", "94930555123"),
    ],
)
def test_a_caller_is_called_back_with_a_calling_code_or_an_outside_line_in_front(
    caller: str, dialled: str
) -> None:
    index, lost = EndedIndex(), ended(1, caller)
    index.follow([Edit("ended", lost.id, None, lost)])
    assert list(index.open_losses([dialled])) == [lost.id]
    index.follow([Edit("ended", lost.id, lost, replace(lost, returned_at=LATER))])
    assert list(index.open_losses([dialled])) == []


@pytest.mark.parametrize(
    ("caller", "dialled"),
    [
        ("+4930555123", "030555124"),
        ("+4930555123", "040555123"),
        ("+4930555123", "0040555123"),
        ("+4930555123", "0043 30555123"),
        ("+4930555123", "4330555123"),
        ("+4930555123", "555123"),
        ("+4930555123", "9555123"),
        ("030555123", "90555123"),
        ("+15551234567", "9 555 123 4568"),
        ("+15551234567", "95551234"),
        ("anonymous", "0anonymous"),
    ],
)
def test_another_number_calls_nobody_back(caller: str, dialled: str) -> None:
    index, lost = EndedIndex(), ended(1, caller)
    index.follow([Edit("ended", lost.id, None, lost)])
    assert list(index.open_losses([dialled])) == []


@pytest.mark.parametrize("dialled", ["95551234567", "9 1 555 123 4567", "15551234567"])
def test_an_american_number_is_called_back_by_an_outside_line(dialled: str) -> None:
    index, lost = EndedIndex(), ended(1, "+15551234567")
    index.follow([Edit("ended", lost.id, None, lost)])
    assert list(index.open_losses([dialled])) == [lost.id]


@pytest.mark.parametrize("shared", [False, True], ids=["each its number", "numbers alike"])
def test_a_returned_call_costs_the_same_after_a_day_of_four_times_the_missed_calls(
    shared: bool,
) -> None:
    def cost(size: int) -> int:
        # Alike: the same digits without a calling code might be meant; they are other subscribers.
        numbers = (f"+49{n:03}123456" if shared else f"+4930{n:07}" for n in count())
        calls = [ended(n, next(numbers)) for n in range(size)]
        held = holding(*calls)
        held.show(talk(99_999, calls[7].caller, None))
        answered = talk(99_999, calls[7].caller, LATER)
        work = steps(lambda: edits.extend(held.show(answered)))
        assert [edit.id for edit in edits if edit.topic == "ended"] == [calls[7].id]
        return work

    edits: list[Edit] = []
    few = cost(5_000)
    edits.clear()
    assert cost(20_000) < 1.2 * few


def test_the_outside_legs_of_one_call_cost_a_look_up_each_and_no_scan() -> None:
    def cost(size: int, losses: int) -> int:
        held = holding(*(ended(n, f"+4930{n:07}") for n in range(losses)))
        call = talk(1, "", LATER)
        numbers = [f"+4940{n:07}" for n in range(size)]
        assert all(map(phone_numbers.readings, numbers)), "parsed already, for both sizes"
        legs = tuple(replace(call.legs[0], external_party=number) for number in numbers)
        return steps(lambda: held.show(replace(call, legs=legs)))

    few = cost(400, 1_000)
    assert cost(400, 4_000) < 1.2 * few
    assert few < 5 * cost(100, 1_000)


@pytest.mark.parametrize("outcome", ["missed", "answered"])
def test_what_goes_when_there_are_too_many_is_found_without_a_scan(
    outcome: topics.Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cost(size: int) -> int:
        monkeypatch.setattr(pbx_state, "ENDED_KEPT", size)
        calls = [ended(n, f"+4930{n:07}", outcome) for n in range(size)]
        held = holding(*calls)
        new = ended(size, "+49401", outcome)
        held.commit("ended", {new.id: new})
        work = steps(lambda: gone.extend(held.forget(NOON)))
        assert [edit.id for edit in gone] == [calls[0].id]
        return work

    gone: list[Edit] = []
    few = cost(1_000)
    gone.clear()
    assert cost(4_000) < 1.2 * few


def test_calls_with_which_nobody_was_lost_go_first_then_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pbx_state, "ENDED_KEPT", 2)
    calls = [ended(n, "1", "answered" if n in (1, 3) else "missed") for n in range(5)]
    held = holding(*calls)
    assert [edit.id for edit in held.forget(NOON)] == [calls[n].id for n in (1, 3, 0)]
    assert list(held.state["ended"]) == [calls[2].id, calls[4].id]


def test_a_call_that_rang_everywhere_lists_a_bounded_number_of_dns() -> None:
    held = holding()
    held.show(talk(1, "+49301", None))
    everywhere = tuple(f"{n:05}" for n in range(LISTED + 1))
    long = ("x" * 1_500, "y" * 1_500, "z" * 2_500)
    word = replace(ended(1, "+49301"), extensions=everywhere, extgroups=long)
    held.over(1, word, NOON)
    (kept,) = topics.table(held.state, "ended", topics.EndedCall).values()
    assert kept.extensions == everywhere[:LISTED]
    assert kept.extgroups == long[:2]
    assert replace(kept, extensions=everywhere, extgroups=long) == word


def test_an_extension_in_very_many_calls_shows_the_first_and_costs_no_more() -> None:
    def cost(size: int) -> int:
        held = holding()
        held.draw_all()
        for id_ in range(size):
            held.show(talk(id_, "+49301", LATER))
        held.settle()
        held.show(talk(0, "+49302", LATER))
        work = steps(held.settle)
        extension = topics.table(held.state, "extensions", topics.Extension)["101"]
        assert [shown.call_id for shown in extension.talks] == [*range(SHOWN_ON_DN)]
        return work

    assert cost(4 * SHOWN_ON_DN) < 1.1 * cost(SHOWN_ON_DN)
