"""Test every kind of call, fact by fact, and the races between events and answers."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    ConnectionChanged,
    ContactsRead,
    ParticipantGone,
    ParticipantSeen,
    PeerRow,
)
from monitor.shared.entities.topics import Contact, System, table
from monitor.shared.timestamps import from_unix, moment
from monitor.tracking.pbx_state import ENDED_KEPT
from monitor.tracking.tracker import Tracker
from tests.monitor.tracking.pbx_facts import NOON, Told, directory, participant

CALLER = "10000 skyetel (+491701)"


@pytest.fixture
def pbx() -> Told:
    return Told()


def test_an_internal_call_rings_talks_and_ends(pbx: Told) -> None:
    pbx.see("100", 1, 7, "Dialing", "101")
    assert pbx.call(7).direction == "Internal"
    assert pbx.legs(7) == {"100": ("Dialing", "101"), "101": ("Ringing", "100")}
    pbx.see("101", 2, 7, "Ringing", "100", 2)
    call = pbx.call(7)
    assert (call.state, call.answered_at) == ("Routing", None)
    assert [leg.dn_num for leg in call.routing_to] == ["101"]
    assert call.owner is not None
    assert call.owner.dn_num == "100"
    assert (pbx.extension("101").activity, pbx.extension("101").status) == ("Ringing", "Busy")
    pbx.see("101", 2, 7, "Connected", "100", 2)
    answered = pbx.now
    pbx.see("100", 1, 7, "Connected", "101")
    call = pbx.call(7)
    assert call.state == "Talking"
    assert call.answered_at == f"2026-03-04T12:00:{answered - NOON:06.3f}Z"
    assert [leg.dn_num for leg in call.talk_to] == ["101"]
    pbx.gone("100", 1)
    pbx.gone("101", 2)
    assert pbx.extension("101").status == "Free"
    assert pbx.calls == {"7"}, (
        "only an answer of ActiveCalls can tell that a call without visible legs is over"
    )
    pbx.rows()
    assert pbx.calls == set()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.direction, ended.caller, ended.callee) == (
        "answered",
        "Internal",
        "100",
        "101",
    )


def test_an_inbound_call_has_its_trunks_leg_and_the_rule_of_its_trunk(pbx: Told) -> None:
    pbx.rows((8, CALLER, "", "Initiating"))
    assert (pbx.call(8).direction, pbx.call(8).state) == ("FromExternal", "Initiating")
    assert pbx.legs(8) == {"10000": ("Dialing", "+491701")}
    pbx.see(
        "104",
        3,
        8,
        "Ringing",
        "10000:+491701",
        4,
        originated_by_dn="ROUTER",
        originated_by_type="Wroutepoint",
    )
    assert pbx.legs(8) == {"10000": ("Dialing", "+491701"), "104": ("Ringing", "+491701")}
    assert (pbx.call(8).direction, pbx.call(8).did) == ("Inbound", "Main number")
    pbx.see("104", 3, 8, "Connected", "10000:+491701", 4)
    assert pbx.legs(8) == {"10000": ("Connected", "+491701"), "104": ("Connected", "+491701")}
    assert pbx.call(8).lines == ("10000",)
    line = pbx.tracker.state["lines"]["10000"]
    assert line.in_use == 1  # type: ignore[union-attr]  # the topic holds lines


def test_a_trunk_with_several_rules_names_none_unless_the_pbx_or_the_settings_do(pbx: Told) -> None:
    pbx.see("104", 3, 8, "Ringing", "10001:+491701", 4)
    assert pbx.call(8).did == ""
    pbx.see("104", 4, 9, "Ringing", "10001:+491701", 4, party_did="+4930200")
    assert pbx.call(9).did == "Hotline"
    mapped = Told(did_map={"10001": "Shop"})
    mapped.see("104", 3, 8, "Ringing", "10001:+491701", 4)
    assert mapped.call(8).did == "Shop"


def test_an_outbound_call_rings_on_the_trunk(pbx: Told) -> None:
    pbx.see("100", 1, 7, "Dialing", "10001:0123456789")
    assert pbx.legs(7) == {"100": ("Dialing", "0123456789"), "10001": ("Ringing", "0123456789")}
    assert (pbx.call(7).direction, pbx.call(7).state, pbx.call(7).did) == (
        "Outbound",
        "Routing",
        "",
    )
    pbx.gone("100", 1)
    pbx.rows()
    assert (pbx.ended[0].outcome, pbx.ended[0].callee) == ("unanswered", "0123456789")


def test_a_queue_call_waits_rings_and_is_answered(pbx: Told) -> None:
    waited = pbx.now
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    assert pbx.legs(8) == {"10000": ("Connected", "+491701"), "800": ("Connected", "+491701")}
    assert (pbx.call(8).direction, pbx.call(8).answered_at, pbx.call(8).queue) == (
        "FromExternal",
        None,
        "800",
    )
    (caller,) = pbx.queue().waiting
    assert (caller.num, caller.since) == ("+491701", f"2026-03-04T12:00:{waited - NOON:06.3f}Z")
    pbx.see("101", 1, 8, "Ringing", "10000:+491701", 4)
    pbx.see("102", 2, 8, "Ringing", "10000:+491701", 5)
    assert pbx.legs(8)["800"] == ("Connected", "+491701")
    assert pbx.legs(8)["10000"] == ("Connected", "+491701")
    assert {leg.dn_num for leg in pbx.call(8).routing_to} == {"101", "102"}
    pbx.rows((8, CALLER, "101 Ext 101", "Routing"))
    assert pbx.call(8).queue == "800", "a row that names a ringing agent does not end the waiting"
    pbx.see("101", 1, 8, "Connected", "10000:+491701", 4)
    assert pbx.queue().waiting == ()
    assert set(pbx.legs(8)) == {"10000", "101", "102"}
    assert pbx.call(8).queues == ("800",)
    pbx.gone("102", 2)
    pbx.rows((8, CALLER, "101 Ext 101", "Talking"))
    assert pbx.legs(8) == {"10000": ("Connected", "+491701"), "101": ("Connected", "+491701")}


def test_a_caller_who_leaves_the_queue_has_abandoned(pbx: Told) -> None:
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    queued = pbx.call(8).queued_at
    pbx.see("101", 1, 8, "Ringing", "10000:+491701", 4)
    pbx.gone("101", 1)
    left = pbx.now
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.queue, ended.direction, ended.caller) == (
        "abandoned",
        "800",
        "Inbound",
        "+491701",
    )
    assert ended.ended_at <= f"2026-03-04T12:00:{left - NOON:06.3f}Z"
    assert ended.queued_at == queued


def test_a_call_overflowing_to_somebody_who_is_no_agent_waits_no_more(pbx: Told) -> None:
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    pbx.rows((8, CALLER, "104 Ext 104", "Routing"))
    assert pbx.call(8).queue == ""
    assert pbx.queue().waiting == ()


def test_a_row_that_named_the_queue_just_before_an_agent_rang_still_tells_it(pbx: Told) -> None:
    asked = pbx.now
    pbx.see("101", 1, 8, "Ringing", "10000:+491701", 4)
    pbx.rows((8, CALLER, "800 Sales", "Transferring"), asked=asked)
    assert pbx.call(8).queue == "800"
    pbx.rows((8, CALLER, "101 Ext 101", "Routing"))
    assert pbx.legs(8)["800"] == ("Connected", "+491701")
    assert pbx.legs(8)["10000"] == ("Connected", "+491701")


def test_a_trunk_that_is_monitored_names_the_extension_that_calls_out(pbx: Told) -> None:
    pbx.tell(
        ParticipantSeen(participant("10000", 1, 7, "Ringing", "150:+4830", 2), pbx.now, pbx.now)
    )
    pbx.see("150", 2, 7, "Dialing", "10000:+4830")
    pbx.gone("150", 2)
    pbx.gone("10000", 1)
    pbx.rows()
    assert (pbx.ended[0].caller, pbx.ended[0].direction) == ("150", "Outbound")


def test_a_leg_on_behalf_of_a_queue_tells_the_queue(pbx: Told) -> None:
    pbx.see(
        "101",
        1,
        8,
        "Ringing",
        "10000:+491701",
        4,
        on_behalf_of_dn="800",
        on_behalf_of_type="Wqueue",
    )
    assert pbx.call(8).queue == "800"
    assert pbx.legs(8)["800"] == ("Connected", "+491701")


def test_an_extension_that_waits_in_a_queue_shows_it_itself(pbx: Told) -> None:
    pbx.see("100", 1, 7, "Connected", "800")
    assert (pbx.call(7).direction, pbx.call(7).queue, pbx.call(7).answered_at) == (
        "FromInternal",
        "800",
        None,
    )
    assert pbx.legs(7) == {"100": ("Connected", "800"), "800": ("Connected", "100")}
    pbx.see("101", 2, 7, "Ringing", "100", 3)
    assert pbx.call(7).direction == "Internal"
    assert pbx.legs(7)["100"] == ("Connected", "800")
    pbx.see("101", 2, 7, "Connected", "100", 3)
    pbx.see("100", 1, 7, "Connected", "101")
    assert set(pbx.legs(7)) == {"100", "101"}
    assert pbx.call(7).answered_at is not None


def test_an_ivr_accepts_the_caller_and_routes_him_on(pbx: Told) -> None:
    pbx.rows((8, CALLER, "700 Main", "Talking"))
    assert pbx.legs(8) == {"10000": ("Connected", "+491701"), "700": ("Connected", "+491701")}
    pbx.see("104", 1, 8, "Ringing", "10000:+491701", 5)
    assert pbx.legs(8) == {"10000": ("Connected", "+491701"), "104": ("Ringing", "+491701")}
    assert pbx.call(8).answered_at is None


@pytest.mark.parametrize("host", ["700 Main", "800 Sales"])
def test_an_acceptance_that_an_event_overtakes_on_its_way_counts(pbx: Told, host: str) -> None:
    pbx.rows((8, CALLER, "", "Initiating"))
    asked = pbx.now
    pbx.see("104", 3, 8, "Ringing", "10000:+491701", 4)
    pbx.rows((8, CALLER, host, "Talking"), asked=asked)
    assert pbx.legs(8)["10000"][0] == "Connected"
    pbx.rows((8, CALLER, "104 Ext 104", "Routing"))
    assert pbx.legs(8)["10000"][0] == "Connected"


def test_a_caller_who_leaves_in_the_ivr_has_abandoned(pbx: Told) -> None:
    pbx.rows((8, CALLER, "700 Main", "Talking"))
    pbx.rows()
    assert pbx.ended[0].outcome == "abandoned"


def test_a_call_that_was_being_handed_on_when_it_was_first_seen_ends_nobody_knows_how() -> None:
    pbx = Told(source="activecalls")
    pbx.rows((8, CALLER, "101 Ext", "Transferring"))
    pbx.rows()
    assert pbx.ended[0].outcome == "unknown"


def test_a_call_first_seen_past_its_ringing_that_is_then_answered_was_answered() -> None:
    pbx = Told(source="activecalls")
    pbx.rows((8, CALLER, "101 Ext", "Transferring"))
    pbx.rows((8, CALLER, "101 Ext", "Talking"))
    pbx.rows()
    assert pbx.ended[0].outcome == "answered"


def test_a_call_that_an_earlier_monitor_saw_handed_on_unanswered_was_missed() -> None:
    before = Told(source="activecalls")
    before.rows((8, CALLER, "101 Ext", "Routing"))
    pbx = Told(source="activecalls", memories=before.tracker.state)
    pbx.rows((8, CALLER, "101 Ext", "Transferring"))
    pbx.rows()
    assert pbx.ended[0].outcome == "missed"


@pytest.mark.parametrize(("unread", "outcome"), [(0, "missed"), (1, "unknown")])
def test_a_phone_that_rang_and_changed_unread_may_have_been_answered(
    pbx: Told, unread: int, outcome: str
) -> None:
    pbx.see("100", 1, 7, "Dialing", "104")
    pbx.see("104", 2, 7, "Ringing", "100", 2)
    pbx.tell(ParticipantGone("104", 2, pbx.now, pbx.now, unread))
    pbx.tell(
        ParticipantGone("100", 1, pbx.now, pbx.now, 1)
    )  # the one who is called tells it, not this one
    pbx.rows()
    assert pbx.ended[0].outcome == outcome


@pytest.mark.parametrize(("unread", "outcome"), [(1, "missed"), (2, "unknown")])
def test_a_leg_that_was_never_read_may_have_answered_if_more_than_its_beginning_was_told(
    pbx: Told, unread: int, outcome: str
) -> None:
    pbx.rows((8, CALLER, "104 Ext 104", "Routing"), (9, CALLER, "105 Ext 105", "Routing"))
    pbx.see("100", 1, 7, "Dialing", "104")
    pbx.gone("100", 1)
    pbx.tell(ParticipantGone("104", 2, pbx.now, pbx.now, unread))
    pbx.rows()
    assert [ended.outcome for ended in pbx.ended] == [outcome, outcome, "missed"]


def test_a_call_of_which_no_leg_was_seen_may_have_rung_somebody(pbx: Told) -> None:
    pbx.rows((7, "100 Ext 100", "104 Ext 104", "Routing"))
    pbx.rows()
    assert [ended.outcome for ended in pbx.ended] == ["unknown"]


@pytest.mark.parametrize(("unread", "outcome"), [(0, "unanswered"), (1, "unknown")])
def test_of_a_call_to_outside_the_caller_s_leg_alone_tells_an_answer(
    pbx: Told, unread: int, outcome: str
) -> None:
    pbx.see("100", 1, 7, "Dialing", "10001:0123456789")
    pbx.tell(ParticipantGone("100", 1, pbx.now, pbx.now, unread))
    pbx.rows()
    assert pbx.ended[0].outcome == outcome


@pytest.mark.parametrize("rung", [True, False])
def test_a_row_that_an_event_overtakes_proves_the_answer(pbx: Told, *, rung: bool) -> None:
    pbx.rows((8, CALLER, "104 Ext 104", "Routing"))
    if rung:
        pbx.see("104", 3, 8, "Ringing", "10000:+491701", 4)
    asked = pbx.now
    pbx.see("104", 3, 8, "Ringing", "10000:+491701", 4)
    pbx.gone("104", 3)
    pbx.rows((8, CALLER, "104 Ext 104", "Talking"), asked=asked)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.callee) == ("answered", "104")
    assert ended.answered_at == from_unix(asked)


@pytest.mark.parametrize(("host", "outcome"), [("800 Sales", "abandoned"), ("700 Main", "missed")])
def test_a_row_whose_word_stays_talking_while_the_next_phone_rings_proves_nothing(
    pbx: Told, host: str, outcome: str
) -> None:
    pbx.rows((8, CALLER, host, "Talking"))
    pbx.see("101", 3, 8, "Ringing", "10000:+491701", 4)
    asked = pbx.now
    pbx.rows((8, CALLER, "101 Ext 101", "Talking"), asked=asked - 2)
    pbx.gone("101", 3)
    pbx.rows()
    assert pbx.ended[0].answered_at is None
    assert pbx.ended[0].outcome == outcome


def test_voicemail_is_no_answer(pbx: Told) -> None:
    pbx.see("100", 1, 7, "Dialing", "101")
    pbx.see("101", 2, 7, "Ringing", "100", 2)
    pbx.gone("101", 2)
    pbx.see("100", 1, 7, "Connected", "999")
    assert pbx.legs(7) == {"100": ("Connected", "999"), "999": ("Connected", "100")}
    assert pbx.call(7).answered_at is None
    pbx.gone("100", 1)
    pbx.rows()
    assert pbx.ended[0].outcome == "missed"


def test_two_trunks_without_an_extension_are_an_external_call(pbx: Told) -> None:
    pbx.rows((8, CALLER, "10001 other (+48555)", "Routing"))
    assert pbx.call(8).direction == "External"
    assert pbx.legs(8) == {"10000": ("Dialing", "+491701"), "10001": ("Ringing", "+48555")}
    answered = pbx.now
    pbx.rows((8, CALLER, "10001 other (+48555)", "Talking"))
    assert pbx.legs(8)["10001"] == ("Connected", "+48555")
    assert pbx.call(8).answered_at == f"2026-03-04T12:00:{answered - NOON:06.3f}Z"


def test_a_blind_transfer_keeps_originator_answer_and_caller(pbx: Told) -> None:
    pbx.see("101", 1, 8, "Ringing", "10000:+491701", 4)
    pbx.see("101", 1, 8, "Connected", "10000:+491701", 4)
    answered = pbx.call(8).answered_at
    pbx.see(
        "102",
        2,
        8,
        "Ringing",
        "10000:+491701",
        5,
        referred_by_dn="101",
        referred_by_type="Wextension",
    )
    pbx.gone("101", 1)
    call = pbx.call(8)
    assert call.state == "Transferring"
    assert pbx.legs(8) == {"10000": ("Connected", "+491701"), "102": ("Ringing", "+491701")}
    pbx.see("102", 2, 8, "Connected", "10000:+491701", 5)
    call = pbx.call(8)
    assert (call.answered_at, call.direction) == (answered, "Inbound")
    assert call.owner is not None
    assert call.owner.dn_num == "10000"


def test_an_attended_transfer_moves_the_participant_to_the_first_call(pbx: Told) -> None:
    pbx.see("101", 1, 8, "Ringing", "10000:+491701", 4)
    pbx.see("101", 1, 8, "Connected", "10000:+491701", 4)
    pbx.see("101", 2, 9, "Dialing", "102")
    pbx.see("102", 3, 9, "Ringing", "101", 2)
    pbx.see("102", 3, 9, "Connected", "101", 2)
    pbx.see("101", 2, 9, "Connected", "102")
    assert {talk.call_id for talk in pbx.extension("101").talks} == {8, 9}
    pbx.gone("101", 2)
    pbx.gone("101", 1)
    pbx.see("102", 3, 8, "Connected", "10000:+491701", 6)
    pbx.rows((8, CALLER, "102 Ext 102", "Talking"))
    assert pbx.calls == {"8"}
    assert pbx.legs(8) == {"10000": ("Connected", "+491701"), "102": ("Connected", "+491701")}
    assert [(ended.call_id, ended.outcome) for ended in pbx.ended] == [(9, "answered")]


def test_several_devices_of_one_extension_are_one_leg(pbx: Told) -> None:
    pbx.see("100", 1, 7, "Dialing", "101")
    pbx.see("101", 2, 7, "Ringing", "100", 2)
    pbx.see("101", 3, 7, "Ringing", "100", 3)
    assert len(pbx.call(7).legs) == 2
    pbx.see("101", 3, 7, "Connected", "100", 3)
    assert pbx.legs(7)["101"] == ("Connected", "100")
    assert len(pbx.extension("101").talks) == 1


def test_an_answer_asked_for_before_an_event_never_overrides_it(pbx: Told) -> None:
    asked = pbx.now
    pbx.see("100", 1, 7, "Dialing", "101")
    pbx.rows(asked=asked)
    assert pbx.calls == {"7"}
    asked = pbx.now
    pbx.see("101", 2, 7, "Connected", "100", 2)
    pbx.see("100", 1, 7, "Connected", "101")
    pbx.rows((7, "100 Ext 100", "101 Ext 101", "Routing"), asked=asked)
    assert pbx.call(7).state == "Talking"
    asked = pbx.now
    pbx.gone("100", 1)
    pbx.gone("101", 2)
    pbx.rows((7, "100 Ext 100", "101 Ext 101", "Talking"), asked=asked)
    pbx.rows()
    assert pbx.calls == set()


def test_a_lost_removal_is_doubted_and_found_by_the_next_full_read(pbx: Told) -> None:
    pbx.see("100", 1, 7, "Dialing", "101")
    pbx.rows()
    assert pbx.calls == {"7"}
    assert pbx.tracker.inconsistent_calls == {7}
    pbx.full()
    pbx.rows()
    assert pbx.calls == set()
    assert pbx.tracker.inconsistent_calls == set()


def test_a_full_read_says_nothing_of_participants_with_newer_events(pbx: Told) -> None:
    pbx.see("100", 1, 7, "Dialing", "101")
    pbx.full(participant("105", 9, 6, "Connected", "104"), kept=frozenset({("100", 1)}))
    assert pbx.calls == {"6", "7"}
    pbx.full(participant("105", 9, 6, "Connected", "104"))
    assert pbx.legs(7) == {}


def test_calls_survive_a_lost_connection_and_end_unknown_if_they_are_gone_after_it(
    pbx: Told,
) -> None:
    pbx.see("104", 3, 8, "Ringing", "10000:+491701", 4)
    pbx.see("105", 4, 9, "Ringing", "10000:+491702", 4)
    pbx.tell(ConnectionChanged("lost", "the socket broke", pbx.now))
    assert pbx.calls == {"8", "9"}
    system = pbx.tracker.state["system"]["pbx"]
    assert (system.connection, system.reason) == ("lost", "the socket broke")  # type: ignore[union-attr]  # System
    pbx.tell(ConnectionChanged("connected", "", pbx.now))
    pbx.full(participant("105", 4, 9, "Ringing", "10000:+491702", 4))
    pbx.rows((9, "10000 skyetel (+491702)", "105 Ext 105", "Routing"))
    assert pbx.calls == {"9"}
    assert [(ended.call_id, ended.outcome) for ended in pbx.ended] == [(8, "unknown")]


def test_a_pbx_that_was_never_reached_is_so_since_that_was_told() -> None:
    tracker = Tracker("monitor-1", {})
    for at in (NOON, NOON + 9):
        tracker.apply(ConnectionChanged("connecting", "refused", at))
    assert tracker.state["system"]["pbx"].since == from_unix(NOON)  # type: ignore[union-attr]  # System


def test_what_is_wrong_with_the_store_stands_behind_the_other_reasons() -> None:
    tracker = Tracker("monitor-1", {})

    def reason() -> str:
        (system,) = table(tracker.state, "system", System).values()
        return system.reason

    assert tracker.note_store("Something is left out.") == ()  # nothing is shown yet
    tracker.apply(ConnectionChanged("connected", "", NOON))
    assert reason() == "Something is left out."
    tracker.apply(ConnectionChanged("connected", "Without ActiveCalls: no right.", NOON))
    assert reason() == "Without ActiveCalls: no right. Something is left out."
    (edit,) = tracker.note_store("")
    assert edit.topic == "system"
    assert reason() == "Without ActiveCalls: no right."


def test_a_restarted_pbx_that_reuses_an_id_does_not_continue_the_old_call(pbx: Told) -> None:
    pbx.rows((1, CALLER, "800 Sales", "Talking"))
    pbx.tell(ConnectionChanged("lost", "refused", pbx.now))
    pbx.tell(ConnectionChanged("connected", "", pbx.now))
    pbx.full(participant("104", 1, 1, "Ringing", "10000:+491999", 4))
    pbx.rows((1, "10000 skyetel (+491999)", "104 Ext 104", "Routing"))
    assert pbx.call(1).queues == ()
    assert pbx.call(1).owner is not None
    assert pbx.legs(1)["10000"] == ("Dialing", "+491999")
    assert [(ended.caller, ended.outcome) for ended in pbx.ended] == [("+491701", "unknown")]
    assert pbx.queue().waiting == ()


def test_without_active_calls_a_call_ends_two_seconds_after_its_last_leg() -> None:
    pbx = Told(source="callcontrol")
    pbx.see("100", 1, 7, "Dialing", "101")
    gone_at = pbx.now
    pbx.gone("100", 1)
    assert pbx.tracker.tick(gone_at + 1.9) == ()
    edits = pbx.tracker.tick(gone_at + 2.1)
    assert {edit.topic for edit in edits} == {"calls", "ended"}
    assert pbx.calls == set()


def test_callers_are_named_from_the_address_book(pbx: Told) -> None:
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    pbx.tell(ContactsRead((Contact(id=1, firstname="Анна", lastname="Вайс", phone="+49 1701"),)))
    assert pbx.queue().waiting[0].name == "Анна Вайс"
    assert pbx.call(8).legs[0].party_name == "Анна Вайс"


def test_a_changed_membership_reissues_everything_that_it_touches(pbx: Told) -> None:
    pbx.see("105", 4, 9, "Ringing", "10000:+491702", 4)
    read = directory()
    moved = directory(
        departments=tuple(
            d if d.name != "Sales" else type(d)(d.id, d.name, d.number, ("101", "105"))
            for d in read.departments
        )
    )
    edits = pbx.tell(moved)
    assert {(edit.topic, edit.id) for edit in edits} == {
        ("extensions", "105"),
        ("extgroups", "Sales"),
        ("calls", "9"),
    }
    assert pbx.call(9).extgroups == ("DEFAULT", "Sales")


def test_what_did_not_change_is_no_edit(pbx: Told) -> None:
    pbx.see("100", 1, 7, "Dialing", "101")
    assert pbx.see("100", 1, 7, "Dialing", "101") == ()
    assert pbx.tell(directory()) == ()
    pbx.rows((7, "100 Ext 100", "101 Ext 101", "Routing"), asked=NOON + 50)
    assert pbx.rows((7, "100 Ext 100", "101 Ext 101", "Routing"), asked=NOON + 50) == ()


def test_an_agent_is_available_by_the_rule_that_system_names(pbx: Told) -> None:
    assert pbx.extension("101").available
    pbx.see("101", 1, 7, "Dialing", "102")
    assert not pbx.extension("101").available
    users: dict[str, Any] = {row.number: row for row in directory().users}
    away = type(users["102"])(
        **{f: getattr(users["102"], f) for f in users["102"].__slots__} | {"profile": "Away"}
    )
    pbx.tell(directory(users=(*(row for n, row in users.items() if n != "102"), away)))
    assert not pbx.extension("102").available
    assert pbx.extension("103").available


def test_only_the_last_thousand_ended_calls_are_kept(pbx: Told) -> None:
    pbx.rows(*((number, CALLER, "700 Main", "Talking") for number in range(ENDED_KEPT + 5)))
    pbx.rows()
    assert len(pbx.ended) == ENDED_KEPT
    assert pbx.ended[-1].call_id == ENDED_KEPT + 4


def test_of_too_many_ended_calls_those_that_nobody_lost_go_first(pbx: Told) -> None:
    pbx.rows((1, CALLER, "700 Main", "Routing"))
    pbx.rows()
    assert [call.outcome for call in pbx.ended] == ["abandoned"]
    pbx.rows(*((number, "101 Anna", "102 Bob", "Talking") for number in range(2, ENDED_KEPT + 5)))
    pbx.rows()
    assert len(pbx.ended) == ENDED_KEPT
    assert [call.call_id for call in pbx.ended[:2]] == [1, 6]
    pbx.rows(
        *((number, CALLER, "700 Main", "Routing") for number in range(5_000, 5_000 + ENDED_KEPT))
    )
    pbx.rows()
    assert [pbx.ended[0].call_id, len(pbx.ended)] == [5_000, ENDED_KEPT]


def test_a_new_monitor_takes_over_what_the_last_one_knew_of_a_call(pbx: Told) -> None:
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    pbx.see("101", 1, 8, "Ringing", "10000:+491701", 4)
    pbx.see("102", 4, 9, "Connected", "10001:+49555", 4)
    known = pbx.call(8), pbx.call(9)
    pbx.rows(
        (8, CALLER, "101 Ext 101", "Routing"), (9, "10001 other (+49555)", "102 Ext 102", "Talking")
    )
    successor = Told(memories=pbx.tracker.state)
    successor.now = pbx.now + 60
    successor.full(
        participant("101", 1, 8, "Ringing", "10000:+491701", 4),
        participant("102", 4, 9, "Connected", "10001:+49555", 4),
    )
    successor.rows(
        (8, CALLER, "101 Ext 101", "Routing"), (9, "10001 other (+49555)", "102 Ext 102", "Talking")
    )
    assert successor.call(8).queue == "800"
    assert successor.legs(8) == pbx.legs(8)
    assert (successor.call(8).started_at, successor.call(8).queued_at) == (
        known[0].started_at,
        known[0].queued_at,
    )
    assert successor.call(9).answered_at == known[1].answered_at


def test_calls_that_ended_between_two_monitors_are_not_lost_and_old_ones_stay(pbx: Told) -> None:
    pbx.rows((7, CALLER, "700 Main", "Talking"))
    pbx.rows()
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    successor = Told(memories=pbx.tracker.state)
    assert successor.tracker.ready
    successor.tracker.tick(pbx.now + 60)
    assert [(ended.call_id, ended.outcome) for ended in successor.ended] == [
        (7, "abandoned"),
        (8, "unknown"),
    ]
    assert successor.calls == set()


@pytest.mark.parametrize(
    ("later", "ends"), [(0.03, ["abandoned"]), (30.0, ["unknown", "abandoned"])]
)
def test_a_call_whose_end_nobody_saw_and_that_went_on_ends_once(
    pbx: Told, later: float, ends: list[str]
) -> None:
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    began = moment(pbx.call(8).started_at).timestamp()
    successor = Told(memories=pbx.tracker.state)
    tracker, at = successor.tracker, pbx.now + 60
    tracker.tick(at)
    row = ActiveCall(8, CALLER, "800 Sales", "Talking", began + later, began + later)
    tracker.apply(ActiveCallsRead((row,), at + 1, at + 1))
    tracker.apply(ActiveCallsRead((), at + 2, at + 2))
    assert [ended.outcome for ended in successor.ended] == ends


def test_a_call_that_had_shown_no_leg_yet_goes_on_at_the_next_monitor(pbx: Told) -> None:
    pbx.rows((8, "102 Ext 102", "104 Ext 104", "Routing"))  # its participants are still being read
    assert pbx.call(8).legs == ()
    successor = Told(memories=pbx.tracker.state)
    successor.now = pbx.now + 60
    successor.see("102", 1, 8, "Dialing", "104", 1)
    successor.see("104", 2, 8, "Ringing", "102", 2)
    assert successor.call(8).started_at == pbx.call(8).started_at
    successor.gone("104", 2)
    successor.gone("102", 1)
    successor.rows()
    assert [(ended.call_id, ended.outcome) for ended in successor.ended] == [(8, "missed")]


def test_another_call_under_a_known_id_takes_nothing_over(pbx: Told) -> None:
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    successor = Told(memories=pbx.tracker.state)
    successor.now = pbx.now + 60
    successor.rows((8, "10001 other (+49555)", "104 Ext 104", "Routing"))
    assert successor.call(8).queues == ()
    assert successor.call(8).started_at > pbx.call(8).started_at


def test_the_tracker_is_ready_when_everything_that_the_source_offers_was_read() -> None:
    tracker = Tracker("monitor-1")
    assert not tracker.ready
    tracker.apply(ConnectionChanged("connected", "", NOON, "activecalls"))
    tracker.apply(directory())
    assert not tracker.ready
    told = Told(source="activecalls")
    assert told.tracker.ready


HIDDEN = "10000 skyetel (anonymous)"


def test_a_withheld_number_is_empty_and_told_as_hidden(pbx: Told) -> None:
    pbx.rows((8, HIDDEN, "800 Sales", "Talking"))
    call = pbx.call(8)
    assert [(leg.external_party, leg.hidden) for leg in call.legs] == [("", True), ("", True)]
    (waiting,) = pbx.queue().waiting
    assert (waiting.num, waiting.hidden) == ("", True)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.caller, ended.hidden, ended.outcome) == ("", True, "abandoned")


def test_a_participants_withheld_number_is_told_as_hidden(pbx: Told) -> None:
    pbx.see("104", 3, 8, "Ringing", "10000:Restricted", 4, originated_by_dn="ROUTER")
    assert {leg.dn_num: leg.hidden for leg in pbx.call(8).legs} == {"10000": True, "104": True}


def missed(pbx: Told, id_: int, caller: str) -> None:
    pbx.see("104", id_, id_, "Ringing", f"10000:{caller}", 4, originated_by_dn="ROUTER")
    pbx.gone("104", id_)
    pbx.rows()


def test_a_missed_caller_who_is_called_back_is_told_as_returned(pbx: Told) -> None:
    missed(pbx, 1, "+49301234567")
    missed(pbx, 2, "+4940999999")
    pbx.see("101", 3, 3, "Dialing", "10000:0301234567")
    assert [call.returned_at for call in pbx.ended] == [None, None], "nobody has answered yet"
    pbx.see("101", 3, 3, "Connected", "10000:0301234567")
    pbx.rows((3, "101 B", "10000 skyetel (0301234567)", "Talking"))
    first, second = pbx.ended
    assert (first.returned_at, first.returned_by) == (pbx.call(3).answered_at, "101")
    assert (second.returned_at, second.returned_by) == (None, "")


@pytest.mark.parametrize("told", ["event", "end"])
def test_who_called_back_is_told_also_if_the_talk_is_known_before_the_talker(
    pbx: Told, told: str
) -> None:
    missed(pbx, 1, "+49301234567")
    pbx.see("101", 3, 3, "Dialing", "10000:0301234567")
    pbx.rows((3, "101 B", "10000 skyetel (0301234567)", "Talking"))
    (ended,) = pbx.ended
    since = pbx.call(3).answered_at
    assert (ended.returned_at, ended.returned_by) == (since, "")
    if told == "event":
        pbx.see("101", 3, 3, "Connected", "10000:0301234567")
    else:
        pbx.gone("101", 3)
        pbx.rows()
    first = next(call for call in pbx.ended if call.call_id == 1)
    assert (first.returned_at, first.returned_by) == (since, "101")


def test_who_comes_into_the_talk_later_did_not_call_back(pbx: Told) -> None:
    missed(pbx, 1, "+49301234567")
    pbx.see("101", 3, 3, "Dialing", "10000:0301234567")
    pbx.rows((3, "101 B", "10000 skyetel (0301234567)", "Talking"))
    pbx.now += 600
    pbx.see("102", 4, 3, "Connected", "10000:0301234567")
    (ended,) = pbx.ended
    assert (ended.returned_at, ended.returned_by) == (pbx.call(3).answered_at, "")


def test_another_call_of_the_same_id_does_not_name_who_called_back(pbx: Told) -> None:
    missed(pbx, 1, "+49301234567")
    pbx.rows((3, "10000 skyetel (0301234567)", "10001 mobile (0171999)", "Talking"))
    pbx.rows()
    pbx.now += 60
    pbx.see("101", 3, 3, "Dialing", "10000:0897777777")
    pbx.see("101", 3, 3, "Connected", "10000:0897777777")
    first = next(call for call in pbx.ended if call.call_id == 1)
    assert first.returned_at is not None
    assert first.returned_by == ""


def test_a_missed_caller_who_calls_again_and_is_taken_is_told_as_returned(pbx: Told) -> None:
    missed(pbx, 1, "0049 30 1234567")
    pbx.see("104", 3, 3, "Ringing", "10000:+49301234567", 4, originated_by_dn="ROUTER")
    pbx.see("104", 3, 3, "Connected", "10000:+49301234567", 4)
    (ended,) = pbx.ended
    assert (ended.returned_at, ended.returned_by) == (pbx.call(3).answered_at, "104")


@pytest.mark.parametrize("number", ["anonymous", "0", "0000000000"])
def test_a_caller_with_a_withheld_number_is_never_returned(pbx: Told, number: str) -> None:
    missed(pbx, 1, number)
    pbx.see("104", 3, 3, "Ringing", f"10000:{number}", 4, originated_by_dn="ROUTER")
    pbx.see("104", 3, 3, "Connected", f"10000:{number}", 4)
    (ended,) = pbx.ended
    assert ended.returned_at is None


def test_an_ordered_call_is_begun_by_who_ordered_it() -> None:
    pbx = Told(source="activecalls")
    pbx.rows((5, "MakeCall", "101 B", "Routing"))
    call = pbx.call(5)
    assert (call.direction, call.owner and call.owner.dn_num) == ("FromInternal", "101")
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.caller) == ("unanswered", "101"), "its own phone was not taken"


def test_an_ordered_call_to_outside_is_outbound(pbx: Told) -> None:
    pbx.see("101", 1, 5, "Ringing", "MakeCall", originated_by_dn="101")
    pbx.see("101", 1, 5, "Connected", "10000:+491701", originated_by_dn="101")
    pbx.rows((5, "101 B", "10000 skyetel (+491701)", "Talking"))
    call = pbx.call(5)
    assert (call.direction, call.owner and call.owner.dn_num) == ("Outbound", "101")


def test_a_caller_of_whom_nothing_can_be_read_leaves_the_origin_open(pbx: Told) -> None:
    pbx.rows((5, "SP12 Not in the directory", "101 B", "Routing"))
    assert pbx.call(5).direction != "Inbound"
    pbx.rows()
    assert [call.direction for call in pbx.ended if call.direction == "FromExternal"] == []


@pytest.mark.parametrize(
    ("rings", "talks", "callee"),
    [
        ("101 B", "102 C", "102"),
        ("104 E, 105 F", "104 E", "104"),
        ("101 B", "10001 other (+49170999)", "+49170999"),
    ],
)
def test_the_callee_of_an_ended_call_is_who_answered(rings: str, talks: str, callee: str) -> None:
    pbx = Told(source="activecalls")
    pbx.rows((7, CALLER, rings, "Routing"))
    pbx.rows((7, CALLER, talks, "Talking"))
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.callee) == ("answered", callee)


@pytest.mark.parametrize(("word", "state"), [("Connected", "Talking"), ("", "Talking")])
def test_a_word_that_is_not_known_takes_nothing_from_what_the_legs_tell(
    pbx: Told, word: str, state: str
) -> None:
    pbx.see("104", 3, 8, "Ringing", "10000:+491701", 4, originated_by_dn="ROUTER")
    pbx.see("104", 3, 8, "Connected", "10000:+491701", 4)
    pbx.rows((8, CALLER, "104 E", word))
    assert pbx.call(8).state == state


def outcome(pbx: Told) -> tuple[str, str, str]:
    pbx.rows()
    (ended,) = pbx.ended
    return ended.outcome, ended.direction, ended.callee


def test_an_extension_that_listens_to_its_voicemail_missed_nobody(pbx: Told) -> None:
    pbx.see("101", 1, 7, "Connected", "999:101")
    assert pbx.legs(7)["101"] == ("Connected", "999")
    pbx.gone("101", 1)
    assert outcome(pbx) == ("handled", "Internal", "999")
    assert pbx.ended[0].mailbox == "101"


def test_voicemail_of_another_extension_is_a_missed_call(pbx: Told) -> None:
    pbx.see("101", 1, 7, "Connected", "999:102")
    pbx.gone("101", 1)
    assert outcome(pbx)[:2] == ("missed", "Internal")
    assert pbx.ended[0].mailbox == "102"


def test_an_ivr_that_an_extension_calls_is_a_place_inside(pbx: Told) -> None:
    pbx.see("101", 1, 7, "Connected", "700")
    assert pbx.call(7).direction == "Internal"
    pbx.gone("101", 1)
    assert outcome(pbx) == ("handled", "Internal", "700")


def test_a_caller_from_outside_who_leaves_a_menu_has_abandoned(pbx: Told) -> None:
    pbx.rows((7, CALLER, "700 Main", "Talking"))
    assert pbx.call(7).direction == "FromExternal"
    assert outcome(pbx)[:2] == ("abandoned", "FromExternal")


def test_a_fax_or_an_app_that_takes_a_call_has_handled_it(pbx: Told) -> None:
    pbx.tell(directory(peers=(PeerRow("888", "Fax", "Fax"), PeerRow("bot", "Agent", "RoutePoint"))))
    for id_, callee in ((7, "888"), (8, "bot")):
        pbx.rows((id_, CALLER, f"{callee} name", "Talking"))
        pbx.rows()
        assert (pbx.ended[-1].outcome, pbx.ended[-1].callee) == ("handled", callee)


def test_an_app_that_hands_on_to_a_phone_that_nobody_takes_has_not_handled_it(pbx: Told) -> None:
    pbx.tell(directory(peers=(PeerRow("bot", "Agent", "RoutePoint"),)))
    pbx.rows((7, CALLER, "bot Agent", "Talking"))
    pbx.see("104", 3, 7, "Ringing", "10000:+491701", 4, originated_by_dn="ROUTER")
    pbx.rows((7, CALLER, "104 E", "Routing"))
    pbx.gone("104", 3)
    assert outcome(pbx)[0] == "missed"


def test_a_ring_that_went_without_an_event_may_have_been_answered(pbx: Told) -> None:
    pbx.see("104", 3, 7, "Ringing", "10000:+491701", 4, originated_by_dn="ROUTER")
    pbx.full()
    assert outcome(pbx)[0] == "unknown"
