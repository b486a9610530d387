"""Test who began a call and where the caller is: in a queue, at a machine, with a person."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.pbx.facts import AgentRow, Participant, PeerRow, QueueRow
from monitor.tracking.call_evidence import CallReading, read_evidence
from monitor.tracking.caller_rules import Originator, Place, find_originator, find_place
from monitor.tracking.directory_index import DirectoryIndex
from tests.monitor.tracking.pbx_facts import NOON, Counted, Told, directory, participant
from tests.monitor.tracking.test_call_evidence import evidence, reading, row

INDEX = DirectoryIndex(directory())
OUTSIDE = Originator("10000", external=True, number="+49")
WAITING = Place(
    queue="800",
    queued_at=NOON,
    last_queue="800",
    first_queued_at=NOON,
    queues=frozenset({"800"}),
    hosted=True,
    caller_connected=True,
)


def begun(said: CallReading) -> tuple[str, bool | None, str]:
    found = find_originator(said, Originator(), INDEX, 0.0)
    return found.dn, found.external, found.number


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (participant("100", 1, 1, "Dialing", "101"), ("100", False, "100")),
        (participant("101", 1, 1, "Ringing", "100"), ("100", False, "100")),
        (participant("101", 1, 1, "Ringing", "10000:+49"), ("10000", True, "+49")),
        (participant("10000", 1, 1, "Connected", "800:+49", 1), ("10000", True, "+49")),
        (
            participant("100", 1, 1, "Ringing", "", originated_by_dn="100"),
            ("100", False, "100"),
        ),
        (
            participant("101", 1, 1, "Connected", "10000:+49", 2, originated_by_dn="ROUTER"),
            ("10000", True, "+49"),
        ),
        (participant("101", 1, 1, "Ringing", "100", referred_by_dn="102"), ("", None, "")),
        (participant("101", 1, 1, "Ringing", "800"), ("", None, "")),
    ],
)
def test_a_participant_tells_who_began(
    seen: Participant, expected: tuple[str, bool | None, str]
) -> None:
    assert begun(reading(seen)) == expected


def test_the_row_tells_who_began_and_whom_an_ordered_call_is_for() -> None:
    assert begun(reading(row=row("10000 skyetel (+491701)", ""))) == ("10000", True, "+491701")
    assert begun(reading(row=row("MakeCall", "101 Ext 101"))) == ("101", False, "101")
    assert begun(reading(row=row("", "101 Ext 101"))) == ("", None, "")


def test_the_originator_is_kept_and_its_number_may_still_be_told() -> None:
    before = Originator("10000", external=True)
    said = reading(row=row("10000 skyetel (+491701)", "101 Ext 101"))
    assert find_originator(said, before, INDEX, 0.0).number == "+491701"
    inside = Originator("100", external=False, number="100")
    assert find_originator(said, inside, INDEX, 0.0) == inside


def test_a_withheld_number_stays_withheld() -> None:
    hidden = find_originator(
        reading(row=row("10000 skyetel (anonymous)", "")), Originator(), INDEX, 0.0
    )
    assert (hidden.external, hidden.number, hidden.withheld) == (True, "", True)
    said = reading(row=row("10000 skyetel (+491701)", ""))
    assert find_originator(said, hidden, INDEX, 0.0).withheld


def test_a_queue_or_menu_that_calls_back_through_an_agents_phone_orders_the_call() -> None:
    for caller in ("800 Sales", "700 Main"):
        back = reading(row=row(caller, "101 Ext 101", "Routing"))
        assert begun(back) == ("101", False, "101")
    out = reading(row=row("800 Sales", "10000 skyetel (+49)", "Routing"))
    assert begun(out)[0] == "800"


@pytest.mark.parametrize("first", ["the leg", "the row"])
def test_a_call_back_is_answered_by_who_is_called_back_whatever_is_told_first(first: str) -> None:
    pbx = Told()
    if first == "the leg":
        pbx.see("101", 1, 7, "Ringing", "800", 2, originated_by_dn="800")
    pbx.rows((7, "800 Sales", "101 Ext 101", "Routing"))
    pbx.see("101", 1, 7, "Ringing", "800", 2, originated_by_dn="800")
    pbx.see("101", 1, 7, "Connected", "10000:+491701", 2)
    pbx.rows((7, "800 Sales", "10000 skyetel (+491701)", "Transferring"))
    assert pbx.legs(7) == {"101": ("Connected", "+491701"), "10000": ("Ringing", "+491701")}
    assert pbx.extension("101").activity == "Waiting"
    pbx.gone("101", 1)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.caller, ended.callee, ended.outcome) == ("101", "+491701", "unanswered")


@pytest.mark.parametrize("dn", ["800", "700"])
def test_nobody_waits_in_a_queue_or_menu_that_was_ordered_to_call(dn: str) -> None:
    pbx = Counted("activecalls")
    pbx.rows((7, "MakeCall", f"{dn} Sales", "Routing"))
    pbx.rows((7, f"{dn} Sales", "10000 skyetel (+491701)", "Routing"))
    pbx.rows((7, f"{dn} Sales", "10000 skyetel (+491701)", "Talking"))
    assert (pbx.call(7).queue, pbx.call(7).queued_at, pbx.call(7).direction) == (
        "",
        None,
        "Outbound",
    )
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.caller, ended.callee, ended.queue, ended.queued_at) == (dn, "+491701", "", None)
    assert pbx.figures("queuestats", "800").offered == 0


def place(said: CallReading, before: Place, *, answered: bool = False) -> Place:
    return find_place(
        said, OUTSIDE, before, INDEX, NOON + 9, hosted=before.hosted, answered=answered
    )


def test_a_row_whose_callee_is_a_queue_shows_that_the_caller_waits_there() -> None:
    found = place(reading(row=row("10000 skyetel (+49)", "800 Sales")), Place())
    assert (found.queue, found.queued_at, found.first_queued_at) == ("800", NOON + 9, NOON + 9)
    assert (found.caller_connected, found.hosted, found.routed_on) == (True, True, True)


def test_the_wait_goes_on_while_an_agent_rings_and_ends_with_the_answer() -> None:
    ringing = participant("101", 1, 1, "Ringing", "10000:+49")
    assert place(reading(ringing), WAITING).queue == "800"
    told = place(reading(participant("101", 1, 1, "Connected", "10000:+49")), WAITING)
    assert (told.queue, told.queued_at, told.last_queue) == ("", None, "800")
    assert (told.caller_connected, told.routed_on) == (True, False)


def test_the_wait_ends_when_the_row_names_somebody_who_is_no_agent() -> None:
    agent = reading(row=row("10000 skyetel (+49)", "101 Ext 101", "Routing"))
    assert place(agent, WAITING).queue == "800"
    other = reading(row=row("10000 skyetel (+49)", "105 Ext 105", "Routing"))
    assert place(other, WAITING).queue == ""


@pytest.mark.parametrize("word", ["Routing", "Talking"])
@pytest.mark.parametrize("callee", ["666 Voicemail", "+491702", "Night (0301234)"])
def test_the_wait_ends_also_at_a_number_that_the_directory_does_not_list(
    callee: str, word: str
) -> None:
    found = place(reading(row=row("10000 skyetel (+49)", callee, word)), WAITING)
    assert (found.queue, found.diverted_at) == ("", NOON + 9)
    nobody = place(reading(row=row("10000 skyetel (+49)", "Night", word)), WAITING)
    assert nobody.queue == "800", "a name alone tells nobody"


def test_the_wait_goes_on_while_an_agent_of_another_system_rings() -> None:
    sales = QueueRow(1, "800", "Sales", (AgentRow("555"),), (), 20)
    index = DirectoryIndex(directory(queues=(sales,)))
    said = reading(row=row("10000 skyetel (+49)", "555 Remote", "Routing"))
    assert find_place(said, OUTSIDE, WAITING, index, NOON, hosted=True, answered=False).queue


def test_the_callers_own_leg_does_not_show_an_answer_while_the_next_phone_rings() -> None:
    own = participant("10000", 1, 1, "Connected", "101:+49")
    assert not place(reading(own), Place()).routed_on
    assert place(reading(own), WAITING).routed_on
    assert not place(reading(own), WAITING, answered=True).routed_on
    both = reading(own, participant("101", 2, 1, "Connected", "10000:+49"))
    assert not place(both, WAITING).routed_on


def test_a_queue_that_calls_back_was_in_the_call_but_nobody_waits_in_it() -> None:
    said = reading(participant("101", 1, 1, "Ringing", "100", on_behalf_of_dn="800"))
    found = find_place(
        said, Originator("800", external=False), Place(), INDEX, NOON, hosted=False, answered=False
    )
    assert found.queue == ""
    assert found.queues == {"800"}


def test_only_a_row_tells_of_a_machine_and_an_extension_that_rings_ends_it() -> None:
    ivr = reading(row=row("10000 skyetel (+49)", "700 Main"))
    held = place(ivr, Place())
    assert held.machine_dn == "700"
    rings = reading(participant("101", 1, 1, "Ringing", "10000:+49"))
    assert place(rings, held).machine_dn == ""


def test_a_programs_route_point_has_the_caller_only_once_it_took_the_call() -> None:
    index = DirectoryIndex(replace(directory(), peers=(PeerRow("app", "App", "routepoint"),)))

    def at(word: str) -> Place:
        said = read_evidence(evidence(row=row("10000 skyetel (+49)", "app App", word)), None, index)
        return find_place(said, OUTSIDE, Place(), index, NOON, hosted=False, answered=False)

    rings, took = at("Routing"), at("Talking")
    assert (rings.machine_dn, rings.hosted, rings.caller_connected) == ("", False, False)
    assert (took.machine_dn, took.hosted, took.caller_connected) == ("app", True, True)


def test_a_machine_whose_legs_are_shown_has_nobody_once_its_own_is_gone() -> None:
    held = place(reading(row=row("10000 skyetel (+49)", "700 Main")), Place())
    fresh = reading(participant("10000", 1, 1, "Connected", "800:+49"))
    own = reading(
        participant("10000", 1, 1, "Connected", "700:+49"),
        participant("700", 2, 1, "Connected", "10000:+49"),
    )

    def machine(said: CallReading, *visible: str) -> str:
        return find_place(
            replace(said, fresh=False),
            OUTSIDE,
            held,
            INDEX,
            NOON,
            hosted=True,
            answered=False,
            visible=frozenset(visible),
        ).machine_dn

    assert machine(fresh, "700") == ""
    assert machine(fresh) == "700", "Call Control does not show its legs"
    assert machine(own, "700") == "700"
    assert machine(reading(), "700") == "700", "the call is over: it ended there"
