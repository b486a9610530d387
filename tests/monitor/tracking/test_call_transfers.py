"""Test that an attended transfer leaves one story, whichever of the two call ids goes on.

A caller from outside talks with 101, who calls 102 and hands over: before 102 answers or after it.
"""

from __future__ import annotations

from itertools import product

import pytest

from monitor.pbx.facts import CallOrdered
from monitor.tracking import pbx_state
from tests.monitor.tracking.pbx_facts import SOURCES, Counted

NUMBER = "+4930555"
OUTSIDE = f"10000:{NUMBER}"
CALLER = f"10000 skyetel ({NUMBER})"
MAIN, CONSULTATION = 1, 2


def begun(source: str, *, answered: bool, ordered: bool = False) -> Counted:
    """The caller talks with 101, whose call to 102 rings or is answered.

    ``ordered``: this monitor ordered the call to 102.
    """
    pbx = Counted(source)
    pbx.see("101", 1, MAIN, "Ringing", OUTSIDE, originated_by_dn="ROUTER")
    pbx.rows((MAIN, CALLER, "101 Ext 101", "Routing"))
    pbx.see("101", 1, MAIN, "Connected", OUTSIDE)
    pbx.rows((MAIN, CALLER, "101 Ext 101", "Talking"))
    pbx.now += 60
    if ordered:
        pbx.tell(CallOrdered(CONSULTATION, "101", "102", pbx.now))
    pbx.see("101", 2, CONSULTATION, "Dialing", "102")
    pbx.see("102", 3, CONSULTATION, "Ringing", "101", 2)
    main = (MAIN, CALLER, "101 Ext 101", "Talking")
    pbx.rows(main, (CONSULTATION, "101 Ext 101", "102 Ext 102", "Routing"))
    pbx.now += 5
    if answered:
        pbx.see("101", 2, CONSULTATION, "Connected", "102")
        pbx.see("102", 3, CONSULTATION, "Connected", "101", 2)
        pbx.rows(main, (CONSULTATION, "101 Ext 101", "102 Ext 102", "Talking"))
        pbx.now += 10
    return pbx


def hand_over(pbx: Counted, into: int, *, answered: bool, leaves_first: bool) -> None:
    """101 leaves both calls; the caller and 102 are together in the call with this id."""
    word, more = ("Connected", {}) if answered else ("Ringing", {"referred_by_dn": "101"})
    if leaves_first:
        pbx.gone("101", 1)
        pbx.gone("101", 2)
    pbx.see("102", 3, into, word, OUTSIDE, 3, **more)
    if not leaves_first:
        pbx.gone("101", 2)
        pbx.gone("101", 1)
    pbx.rows((into, CALLER, "102 Ext 102", "Talking" if answered else "Transferring"))


def finish(pbx: Counted, into: int) -> None:
    """102 talks with the caller for half a minute."""
    pbx.see("102", 3, into, "Connected", OUTSIDE, 3)
    pbx.rows((into, CALLER, "102 Ext 102", "Talking"))
    pbx.now += 30
    pbx.gone("102", 3)
    pbx.rows()
    pbx.now += 60
    pbx.rows()


WAYS = list(product(SOURCES, (True, False), (MAIN, CONSULTATION), (True, False)))


@pytest.mark.parametrize(("source", "answered", "into", "leaves_first"), WAYS)
def test_the_outside_caller_stays_the_caller_in_whichever_call_goes_on(
    source: str, answered: bool, into: int, leaves_first: bool
) -> None:
    pbx = begun(source, answered=answered)
    before = pbx.call(MAIN)
    hand_over(pbx, into, answered=answered, leaves_first=leaves_first)
    assert pbx.calls == {str(into)}
    call = pbx.call(into)
    assert call.direction == "Inbound"
    assert call.owner is not None
    assert (call.owner.dn_num, call.owner.external_party) == ("10000", NUMBER)
    assert (call.started_at, call.answered_at) == (before.started_at, before.answered_at)
    assert call.continues == (() if into == MAIN else (MAIN,))
    assert set(pbx.legs(into)) == {"10000", "102"}
    assert (pbx.extension("101").status, pbx.extension("102").status) == ("Free", "Busy")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("answered", [True, False])
def test_an_order_of_the_second_call_takes_nothing_from_the_first_ones_story(
    source: str, *, answered: bool
) -> None:
    pbx = begun(source, answered=answered, ordered=True)
    hand_over(pbx, CONSULTATION, answered=answered, leaves_first=True)
    finish(pbx, CONSULTATION)
    told = {(end.direction, end.caller, end.callee) for end in pbx.ended}
    assert told == {("Inbound", NUMBER, "101"), ("Internal", "101", "102")}


@pytest.mark.parametrize(("source", "answered", "into", "leaves_first"), WAYS)
def test_it_is_one_call_in_the_list_and_in_the_figures(
    source: str, answered: bool, into: int, leaves_first: bool
) -> None:
    pbx = begun(source, answered=answered)
    hand_over(pbx, into, answered=answered, leaves_first=leaves_first)
    finish(pbx, into)
    assert pbx.calls == set()
    told = {(end.direction, end.caller, end.callee): end.outcome for end in pbx.ended}
    assert told == {
        ("Inbound", NUMBER, "101"): "answered",
        ("Internal", "101", "102"): "answered" if answered else "transferred",
    }
    day = pbx.figures("pbxstats", "pbx")
    assert (day.inbound.calls, day.inbound.answered) == (1, 1)
    assert (day.outbound.calls, day.internal.calls) == (0, 1)
    assert (day.internal.answered, day.internal.transferred) == (answered, not answered)
    assert day.inbound.pending == day.internal.pending == 0
    first, second = pbx.figures("extstats", "101"), pbx.figures("extstats", "102")
    assert (first.offered, first.answered, first.placed) == (1, 1, 1)
    assert (second.offered, second.answered) == (1 + answered, 1 + answered)
    assert second.missed == second.unknown == second.abandoned == 0


@pytest.mark.parametrize("into", [MAIN, CONSULTATION])
def test_who_calls_the_same_number_a_second_time_hands_nothing_over(into: int) -> None:
    """101 talks with the caller, calls that number in a second call, and one of them ends."""
    pbx = begun(SOURCES[0], answered=True)
    pbx.see("101", 5, 3, "Dialing", OUTSIDE)
    pbx.see("101", 5, 3, "Connected", OUTSIDE)
    pbx.gone("101", 1)
    pbx.rows(
        (CONSULTATION, "101 Ext 101", "102 Ext 102", "Talking"),
        (3, "101 Ext 101", f"10000 skyetel ({NUMBER})", "Talking"),
    )
    assert pbx.call(3).continues == ()
    assert {(end.direction, end.outcome) for end in pbx.ended} == {("Inbound", "answered")}


def test_a_transfer_of_the_called_party_into_the_second_call_is_one_though_its_first_is_empty() -> (
    None
):
    pbx = Counted(SOURCES[0])
    pbx.see("101", 1, MAIN, "Dialing", "103")
    pbx.see("103", 2, MAIN, "Ringing", "101")
    pbx.see("101", 1, MAIN, "Connected", "103")
    pbx.see("103", 2, MAIN, "Connected", "101")
    began = pbx.call(MAIN).started_at
    pbx.see("101", 3, CONSULTATION, "Dialing", "102")
    pbx.see("102", 4, CONSULTATION, "Ringing", "101")
    pbx.see("101", 3, CONSULTATION, "Connected", "102")
    pbx.see("102", 4, CONSULTATION, "Connected", "101")
    pbx.now += 30
    at = pbx.now
    pbx.see("103", 2, CONSULTATION, "Connected", "102")
    pbx.now = at
    pbx.see("102", 4, CONSULTATION, "Connected", "103")
    pbx.now = at
    pbx.gone("101", 1)
    pbx.now = at
    pbx.gone("101", 3)
    call = pbx.call(CONSULTATION)
    assert pbx.calls == {str(CONSULTATION)}
    assert (call.continues, call.started_at) == ((MAIN,), began)
    assert call.owner is not None
    assert call.owner.dn_num == "103", "it has been in the story for longer than 102"


@pytest.mark.parametrize("seconds", [1, 10])
def test_a_consultation_whose_end_came_before_the_transfer_was_seen_is_told_again(
    seconds: int,
) -> None:
    pbx = begun(SOURCES[0], answered=False)
    main = (MAIN, CALLER, "101 Ext 101", "Talking")
    at = pbx.now
    pbx.gone("101", 2)
    pbx.now = at
    pbx.gone("102", 3)
    pbx.rows(main)
    assert [end.outcome for end in pbx.ended] == ["missed"]
    pbx.now = at + seconds
    pbx.see("102", 4, MAIN, "Ringing", OUTSIDE, 3, referred_by_dn="101")
    pbx.now = at + seconds
    pbx.gone("101", 1)
    expected = "transferred" if seconds == 1 else "missed"
    assert [end.outcome for end in pbx.ended] == [expected]
    day, second = pbx.figures("pbxstats", "pbx"), pbx.figures("extstats", "102")
    assert (day.internal.transferred, day.internal.missed) == (seconds == 1, seconds != 1)
    assert second.offered == (1 if seconds == 1 else 2)


def test_it_is_counted_as_handed_over_also_where_a_full_list_has_dropped_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pbx_state, "ENDED_KEPT", 0)
    pbx = begun(SOURCES[0], answered=False)
    at = pbx.now
    pbx.gone("101", 2)
    pbx.now = at
    pbx.gone("102", 3)
    pbx.rows((MAIN, CALLER, "101 Ext 101", "Talking"))
    pbx.now = at + 1
    pbx.see("102", 4, MAIN, "Ringing", OUTSIDE, 3, referred_by_dn="101")
    pbx.now = at + 1
    pbx.gone("101", 1)
    day = pbx.figures("pbxstats", "pbx")
    assert (day.internal.transferred, day.internal.missed) == (1, 0)
    assert not pbx.ended


def test_a_first_call_that_is_listed_on_for_long_is_shown_again() -> None:
    pbx = begun(SOURCES[0], answered=True)
    hand_over(pbx, CONSULTATION, answered=True, leaves_first=True)
    both = (
        (MAIN, CALLER, "103 Ext 103", "Talking"),
        (CONSULTATION, CALLER, "102 Ext 102", "Talking"),
    )
    pbx.rows(both[1])
    pbx.see("103", 9, MAIN, "Connected", OUTSIDE, 5)
    pbx.rows(*both)
    for _ in range(12):
        pbx.now += 1
        pbx.tracker.tick(pbx.now)
    assert pbx.tracker.state["calls"].keys() == {"1", "2"}


def test_a_consultation_that_a_row_told_first_may_be_handed_over_at_once() -> None:
    pbx = Counted("callcontrol+activecalls")
    for status in ("Ringing", "Connected"):
        pbx.see("102", 2, 7, "Dialing" if status == "Ringing" else status, "101")
        pbx.see("101", 1, 7, status, "102")
    first = "102 Ext 102", "101 Ext 101", "Talking"
    pbx.rows((7, *first))
    pbx.rows((7, *first), (8, "102 Ext 102", "103 Ext 103", "Routing"))
    began = pbx.now
    for after, status in ((0.0, "Ringing"), (0.5, "Connected")):
        pbx.now = began + after
        pbx.see("102", 3, 8, "Dialing" if status == "Ringing" else status, "103")
        pbx.see("103", 4, 8, status, "102")
    for gone in (2, 3):
        pbx.now = began + 1.5
        pbx.gone("102", gone)
    pbx.now = began + 1.5
    pbx.see("101", 1, 8, "Connected", "103")
    pbx.now = began + 1.5
    pbx.see("103", 4, 8, "Connected", "101")
    call = pbx.call(8)
    assert call.owner is not None
    assert (call.owner.dn_num, call.continues) == ("101", (7,))
    assert [(ended.call_id, ended.outcome) for ended in pbx.ended] == [(8, "answered")]


@pytest.mark.parametrize("source", SOURCES)
def test_a_caller_handed_to_a_queue_is_the_only_one_who_waits_there(source: str) -> None:
    """101 calls the queue, hears that somebody waits there, and hands the caller over."""
    pbx = Counted(source)
    pbx.see("101", 1, MAIN, "Ringing", OUTSIDE, originated_by_dn="ROUTER")
    pbx.rows((MAIN, CALLER, "101 Ext 101", "Routing"))
    pbx.see("101", 1, MAIN, "Connected", OUTSIDE)
    pbx.rows((MAIN, CALLER, "101 Ext 101", "Talking"))
    pbx.now += 10
    pbx.see("101", 2, CONSULTATION, "Connected", "800")
    main = (MAIN, CALLER, "101 Ext 101", "Talking")
    pbx.rows(main, (CONSULTATION, "101 Ext 101", "800 Sales", "Talking"))
    pbx.now += 10
    pbx.gone("101", 2)
    pbx.rows((MAIN, CALLER, "800 Sales", "Talking"))
    pbx.gone("101", 1)
    pbx.rows((MAIN, CALLER, "800 Sales", "Talking"))
    assert [caller.num for caller in pbx.queue().waiting] == [NUMBER]
    pbx.see("102", 3, MAIN, "Ringing", OUTSIDE, on_behalf_of_dn="800")
    pbx.see("102", 3, MAIN, "Connected", OUTSIDE, on_behalf_of_dn="800")
    pbx.rows((MAIN, CALLER, "102 Ext 102", "Talking"))
    pbx.gone("102", 3)
    pbx.rows()
    assert [(each.call_id, each.outcome) for each in pbx.ended] == [
        (CONSULTATION, "transferred"),
        (MAIN, "answered"),
    ]
    figures = pbx.figures("queuestats", "800")
    assert (figures.offered, figures.answered, figures.abandoned) == (1, 1, 0)
