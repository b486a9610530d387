"""Test the stories against what somebody would write down by hand."""

from __future__ import annotations

import pytest

from tests.truth.acts import story, watched
from tests.truth.calls import plain

RINGS_AT_AGENT = """
    0 arrived L1(+491) >800
    1 routed >Q1
    1 entered Q1
    1 unheard Q1
    2 waits Q1
    4 polled Q1
    4 ringing 101 >Q1
    4 ringing 102 >Q1
"""
ANSWERED = (
    RINGS_AT_AGENT
    + """
    9 picked_up 102
    9 silent 101
    9 left Q1
"""
)


@pytest.mark.parametrize(
    ("lines", "state", "direction", "queue"),
    [
        (1, "Initiating", "FromExternal", ""),
        (4, "Transferring", "FromExternal", "Q1"),
        (5, "Talking", "FromExternal", "Q1"),
        (8, "Routing", "Inbound", "Q1"),
        (12, "Talking", "Inbound", ""),
    ],
)
def test_a_caller_goes_through_a_queue(lines: int, state: str, direction: str, queue: str) -> None:
    it = story("\n".join(ANSWERED.strip().splitlines()[:lines]))
    assert (it.state, it.direction, it.queue) == (state, direction, queue)


def test_the_agent_who_picks_up_answers_and_the_others_rang_for_somebody_else() -> None:
    it = story(ANSWERED + "20 hung_up 102\n20 ended")
    assert (it.outcome, it.answered_at, it.callees, it.talk_time) == ("answered", 9, {"102"}, 11)
    assert (it.queue, it.lasting, it.caller) == ("Q1", "Inbound", "+491")
    (visit,) = it.visits
    assert (visit.since, visit.how, visit.until, visit.talked_until) == (1, "answered", 9, 20)
    assert (it.turns["101"].how, it.turns["101"].until) == ("elsewhere", 9)
    assert (it.turns["102"].how, it.turns["102"].talked) == ("answered", 11)
    assert all(turn.from_queue for turn in it.turns.values())


def test_a_caller_who_leaves_the_queue_has_abandoned_it_also_while_agents_ring() -> None:
    it = story(RINGS_AT_AGENT + "12 ended")
    assert (it.outcome, it.queue, it.callees) == ("abandoned", "Q1", {"101", "102"})
    assert (it.visits[0].how, it.visits[0].until) == ("abandoned", 12)
    assert {turn.how for turn in it.turns.values()} == {"abandoned"}
    waited = story("0 arrived L1(+491)\n1 routed >Q1\n1 entered Q1\n5 ended")
    assert (waited.outcome, waited.callees) == ("abandoned", {"Q1"})


def test_an_agent_whose_phone_rang_out_before_the_caller_left_has_missed_the_call() -> None:
    it = story(RINGS_AT_AGENT + "11 timed_out 101\n11 silent 101\n11 silent 102\n12 ended")
    assert it.outcome == "abandoned"
    assert {turn.how for turn in it.turns.values()} == {"missed"}


@pytest.mark.parametrize(
    ("journal", "outcome", "callee"),
    [
        ("0 dialled 101 >102\n0 entered V1\n5 ended", "missed", "102"),
        ("0 dialled 101 >V1\n0 entered V1\n5 ended", "handled", "V1"),
        ("0 dialled 101 >M1\n0 entered M1\n5 ended", "handled", "M1"),
        ("0 dialled 101 >P1\n0 entered P1\n5 ended", "handled", "P1"),
        ("0 dialled 101 >102\n0 ringing 102\n5 ended", "missed", "102"),
        ("0 dialled 101 >+492\n0 ringing L1(+492)\n5 ended", "unanswered", "+492"),
        ("0 ordered 101 >102\n0 ringing 101\n5 ended", "unanswered", ""),
        ("0 arrived L1(+491)\n5 ended", "missed", ""),
        ("0 arrived L1(+491)\n1 routed >M1\n1 entered M1\n5 ended", "abandoned", ""),
        ("0 arrived L1(+491)\n1 routed >102\n1 entered V1\n5 ended", "missed", "102"),
        (
            "0 arrived L1(+491)\n1 ringing A1\n1 picked_up A1\n2 left A1\n2 entered Q1\n5 ended",
            "abandoned",
            "Q1",
        ),
        ("0 arrived L1(+491)\n1 routed >F1\n1 entered F1\n5 ended", "handled", "F1"),
        ("0 arrived L1(+491)\n1 routed >P1\n1 entered P1\n5 ended", "missed", ""),
        (
            "0 arrived L1(+491)\n1 routed >A1\n1 ringing A1\n1 picked_up A1\n5 ended",
            "handled",
            "A1",
        ),
        ("0 arrived L1(+491)\n1 routed >A1\n1 ringing A1\n5 ended", "missed", "A1"),
        ("0 arrived L1(+491)\n1 routed >+492\n1 ringing L2(+492)\n5 ended", "missed", "+492"),
    ],
)
def test_calls_that_nobody_answers_end_in_their_own_ways(
    journal: str, outcome: str, callee: str
) -> None:
    it = story(journal)
    assert (it.outcome, it.callees, it.answered_at) == (outcome, {callee}, None)


@pytest.mark.parametrize(
    ("journal", "direction"),
    [
        ("0 dialled 101 >Q1\n0 entered Q1", "FromInternal"),
        ("0 dialled 101 >M1\n0 entered M1", "Internal"),
        ("0 dialled 101 >102\n0 ringing 102", "Internal"),
        ("0 dialled 101 >+492\n0 ringing L1(+492)", "Outbound"),
        ("0 arrived L1(+491)\n0 routed >M1\n0 entered M1", "FromExternal"),
        ("0 arrived L1(+491)\n0 routed >102\n0 entered V1", "Inbound"),
        ("0 arrived L1(+491)\n0 routed >+492\n0 ringing L2(+492)", "External"),
    ],
)
def test_the_direction_says_who_began_it_and_whom_it_has_reached(
    journal: str, direction: str
) -> None:
    assert story(journal).direction == direction


TALK = "0 arrived L1(+491)\n1 routed >101\n1 ringing 101\n4 picked_up 101\n"
TRANSFERRED = TALK + "10 transferred 101 >102\n10 left 101\n10 ringing 102\n"


def test_a_transfer_that_nobody_takes_comes_back() -> None:
    assert story(TRANSFERRED).state == "Transferring"
    back = TRANSFERRED + "15 timed_out 102\n15 silent 102\n15 returned 101\n15 ringing 101\n"
    assert story(back).state == "Rerouting"
    it = story(back + "18 picked_up 101\n25 hung_up L1\n25 ended")
    assert (it.answered_at, it.callees, it.talk_time) == (4, {"101"}, 6 + 7)
    first, second = it.turns["101"], it.turns["102"]
    assert (first.how, first.answered_at, first.talked) == ("answered", 4, 6 + 7)
    assert (second.how, second.until, second.talked) == ("missed", 15, 0)


def test_a_phone_that_a_transfer_reaches_talks_only_once_it_is_picked_up() -> None:
    it = story(TRANSFERRED + "13 picked_up 102\n20 ended")
    assert (it.turns["101"].talked, it.turns["102"].talked) == (6, 7)
    unanswered = story(TRANSFERRED + "13 silent 102\n13 ended")
    assert (unanswered.turns["102"].how, unanswered.turns["102"].until) == ("abandoned", 13)


def test_a_merged_party_goes_on_talking_and_its_own_call_ends_answered() -> None:
    both = watched(
        TALK
        + """
        call 2
        8 dialled 101 >102
        8 ringing 102
        9 picked_up 102
        call 1
        12 merged 101 >102 of 2
        12 left 101
        call 2
        12 ended
        call 1
        20 ended
        """
    )
    second, first = both.over
    assert (first.id, second.id) == (1, 2)
    assert (second.outcome, second.talk_time, second.handed_over) == ("answered", 3, True)
    assert (second.turns["102"].how, second.turns["102"].talked) == ("answered", 3)
    assert set(first.parties) == {"L1", "102"}
    handed = first.turns["102"]
    assert (handed.rings, handed.how, handed.answered_at, handed.talked) == (0, "answered", 12, 8)


def test_a_ring_that_is_merged_goes_on_in_the_other_call() -> None:
    both = watched(
        TALK
        + """
        call 2
        8 dialled 101 >102
        8 ringing 102
        call 1
        12 merged 101 >102 of 2
        12 left 101
        call 2
        12 ended
        call 1
        15 picked_up 102
        20 ended
        """
    )
    second, first = both.over
    assert (second.outcome, set(second.turns)) == ("transferred", {"101"})
    turn = first.turns["102"]
    assert (turn.since, turn.how, turn.answered_at, turn.talked) == (12, "answered", 15, 5)


@pytest.mark.parametrize("answered", [True, False])
def test_a_story_goes_on_under_the_id_of_the_consultation(answered: bool) -> None:
    both = watched(
        TALK
        + f"""
        call 2
        8 dialled 101 >102
        8 ringing 102
        {"9 picked_up 102" if answered else ""}
        12 merged 101 >L1 of 1
        call 1
        12 left 101
        call 2
        12 left 101
        call 1
        12 ended
        call 2
        {"" if answered else "15 picked_up 102"}
        20 hung_up 102
        20 ended
        """
    )
    second, first = both.over
    assert (second.id, second.caller, second.continues, second.ended_at) == (2, "101", (), 12)
    assert second.outcome == ("answered" if answered else "transferred")
    assert set(second.turns) == ({"101", "102"} if answered else {"101"})
    assert (first.id, first.caller, first.continues, first.ended_at) == (2, "+491", (1,), 20)
    assert (first.started_at, first.answered_at, first.outcome) == (0, 4, "answered")
    assert (first.callees, first.lasting) == ({"101"}, "Inbound")
    assert first.talk_time == (16 if answered else 8 + 5)
    turn = first.turns["102"]
    assert (turn.since, turn.rings, turn.talked) == ((12, 0, 8) if answered else (12, 1, 5))


def test_a_phone_in_two_talks_talks_in_the_one_that_it_came_to_last() -> None:
    both = watched(
        TALK
        + """
        call 2
        10 dialled 101 >102
        10 ringing 102
        13 picked_up 102
        19 hung_up 102
        19 ended
        call 1
        30 hung_up L1
        30 ended
        """
    )
    second, first = both.over
    assert (first.turns["101"].talked, second.turns["101"].talked) == (9 + 11, 6)
    assert (first.talk_time, second.talk_time) == (26, 6), "the partners are not counted apart"


def test_who_talked_and_gives_up_in_a_queue_has_abandoned_and_was_answered() -> None:
    it = story(TALK + "10 transferred 101 >Q1\n10 left 101\n10 entered Q1\n25 ended")
    assert (it.outcome, it.queue, it.answered_at, it.talk_time) == ("abandoned", "Q1", 4, 6)
    assert it.callees == {"101"}


def test_the_time_in_a_parking_place_is_no_talk_and_who_takes_the_caller_did_not_ring() -> None:
    journal = TALK + "10 transferred 101 >P1\n10 left 101\n10 entered P1\n"
    it = story(journal + "18 retrieved 102\n18 left P1\n25 hung_up L1\n25 ended")
    assert (it.outcome, it.talk_time, it.callees) == ("answered", 6 + 7, {"101"})
    turn = it.turns["102"]
    assert (turn.rings, turn.how, turn.answered_at, turn.talked) == (0, "answered", 18, 7)


def test_nobody_answers_a_page_to_a_group_but_its_phones_hear_it() -> None:
    journal = "0 paged 101 >600\n0 auto_answered 102\n0 auto_answered 103\n9 hung_up 101\n9 ended"
    it = story(journal)
    assert (it.outcome, it.answered_at, it.lasting, it.talk_time) == (
        "handled",
        None,
        "Internal",
        None,
    )
    assert it.callees == {"600"}
    assert it.turns["101"].placed
    assert set(it.turns) == {"101"}


def test_an_intercom_call_to_one_phone_is_a_talk_of_two() -> None:
    it = story("0 paged 101 >102\n0 auto_answered 102\n9 hung_up 101\n9 ended")
    assert (it.outcome, it.answered_at, it.callees, it.talk_time) == ("answered", 0, {"102"}, 9)
    assert (it.turns["102"].rings, it.turns["102"].talked) == (0, 9)


def test_a_supervisor_is_in_the_call_and_not_in_the_talk() -> None:
    it = story(TALK + "6 listens 110 >101")
    assert (it.parties["110"].how, it.state, set(it.turns)) == ("Connected", "Talking", {"101"})
    alone = story(TALK + "6 listens 110 >101\n9 left 101\n12 ended")
    assert alone.talk_time == 5, "who listens does not talk to the caller"


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+49 (0)30 123", "+4930123"),
        ("(030) 12-34", "0301234"),
        ("sip:0301234@10.0.0.1;user=phone", "0301234"),
        ("+49301234;ext=12", "+49301234"),
        ("anonymous", ""),
    ],
)
def test_a_callers_number_is_its_digits(written: str, number: str) -> None:
    assert plain(written) == number


def test_a_talk_stays_a_talk_while_a_guest_is_called_into_a_conference() -> None:
    journal = TALK + "6 invited 101 >102\n6 entered C1\n6 ringing 102\n"
    assert story(journal).state == "Talking"
    it = story(journal + "8 picked_up 102\n9 hung_up 101\n9 left 101\n15 ended")
    assert (it.answered_at, it.callees) == (4, {"101"})
    assert (it.turns["101"].talked, it.turns["102"].talked) == (5, 7)


def test_a_ring_that_is_sent_on_was_missed_there() -> None:
    journal = """
    0 arrived L1(+491)
    1 routed >101
    1 ringing 101
    9 diverted 101 >+492
    9 silent 101
    9 ringing L2(+492)
    """
    assert story(journal).state == "Rerouting"
    it = story(journal + "10 picked_up L2\n20 ended")
    assert (it.turns["101"].how, it.lasting, it.callees) == ("missed", "External", {"+492"})


def test_an_ordered_call_dials_once_its_own_phone_is_picked_up() -> None:
    journal = "0 ordered 101 >102\n0 ringing 101\n3 picked_up 101\n3 ringing 102"
    it = story(journal)
    assert {dn: party.how for dn, party in it.parties.items()} == {
        "101": "Dialing",
        "102": "Ringing",
    }
    assert (it.state, it.answered_at, it.turns["101"].placed) == ("Routing", None, True)


def test_a_restart_loses_what_was_going_on() -> None:
    watcher = watched(TALK + "5 restarted\ncall 1\n9 arrived L2(+492)")
    assert ([call.caller for call in watcher.calls.values()], watcher.over) == (["+492"], [])
