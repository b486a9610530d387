"""Test rare calls: led out by the trunk they came in by, begun by a queue, found half-way."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    AgentRow,
    ConnectionChanged,
    InboundRuleRow,
    ParticipantSeen,
    PeerRow,
    QueueRow,
)
from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix, moment
from monitor.tracking import call_recovery, pbx_state
from tests.monitor.tracking.pbx_facts import (
    NOON,
    SOURCES,
    Counted,
    Told,
    directory,
    participant,
)

CALLER = "10000 skyetel (+491701)"


@pytest.fixture
def pbx() -> Told:
    return Told()


def tell_row(pbx: Told, id_: int, caller: str, callee: str, word: str, since: float) -> None:
    """Tell of a call's row, whose word is so since then."""
    row = ActiveCall(id_, caller, callee, word, since, NOON)
    pbx.tell(ActiveCallsRead((row,), pbx.now, pbx.now))


@pytest.mark.parametrize("sees_callee", [True, False], ids=["inside", "outside"])
def test_an_ordered_call_is_answered_by_its_destination_not_by_the_phone_that_ordered_it(
    pbx: Told, sees_callee: bool
) -> None:
    """101's phone rings first, is picked up, and names whom the PBX calls for it."""
    party, callee = ("102", "102 Ext 102") if sees_callee else ("10000:+49", "10000 skyetel (+49)")
    pbx.see("101", 1, 8, "Ringing", "", originated_by_dn="101")
    tell_row(pbx, 8, "MakeCall", "101 Ext 101", "Routing", pbx.now)
    tell_row(pbx, 8, "MakeCall", "101 Ext 101", "Talking", pbx.now)
    assert pbx.call(8).answered_at is None
    pbx.see("101", 1, 8, "Connected", party, originated_by_dn="101")
    assert pbx.call(8).answered_at is None
    if sees_callee:
        pbx.see("102", 2, 8, "Ringing", "101", 2)
    for _ in range(2):
        tell_row(pbx, 8, "101 Ext 101", callee, "Routing", pbx.now)
    assert [leg.dn_num for leg in pbx.call(8).routing_to] == [party.partition(":")[0]]
    assert pbx.call(8).answered_at is None
    since = pbx.now
    if sees_callee:
        pbx.see("102", 2, 8, "Connected", "101", 2)
    tell_row(pbx, 8, "101 Ext 101", callee, "Talking", since)
    tell_row(pbx, 8, "101 Ext 101", callee, "Talking", since)
    assert pbx.call(8).answered_at == from_unix(since)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
def test_a_call_that_an_app_makes_is_answered_by_the_person_whom_it_calls(
    source: str, inside: bool
) -> None:
    pbx = Counted(source)
    pbx.tell(replace(directory(), peers=(PeerRow("crm", "CRM", "RoutePoint"),)))
    party, callee = ("102", "102 Ext 102") if inside else ("10000:+49", "10000 skyetel (+49)")

    def at_the_phone(status: str) -> None:
        called = replace(participant("102", 2, 8, status, "crm", 2), party_dn_type="Wroutepoint")
        if inside and source == SOURCES[0]:
            pbx.tell(ParticipantSeen(called, pbx.now, pbx.now))

    pbx.see("crm", 1, 8, "Dialing", party)
    at_the_phone("Ringing")
    pbx.rows((8, "crm CRM", callee, "Routing"))
    assert pbx.call(8).answered_at is None
    at_the_phone("Connected")
    pbx.see("crm", 1, 8, "Connected", party)
    pbx.rows((8, "crm CRM", callee, "Talking"))
    assert pbx.extension("102").activity == ("Talking" if inside else "Idle")
    pbx.gone("102", 2)
    pbx.gone("crm", 1)
    pbx.rows()
    (ended,) = pbx.ended
    called = "102" if inside else "+49"
    assert (ended.outcome, ended.caller, ended.callee) == ("answered", "crm", called)
    if inside:
        assert pbx.figures("extstats", "102").answered == 1


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("where", ["extension", "group", "outside"])
def test_a_queue_that_sent_its_caller_on_has_no_part_in_how_the_call_went(
    source: str, where: str, answered: bool
) -> None:
    """The call's queue and the queue's statistics agree."""
    pbx = Counted(source)
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    pbx.now += 30
    rung, taker = {
        "extension": ("105 Ext 105", "105 Ext 105"),
        "group": ("600 Office", "105 Ext 105"),
        "outside": ("10001 other (+49170)", "10001 other (+49170)"),
    }[where]
    pbx.rows((8, CALLER, rung, "Routing"))
    if where != "outside":
        pbx.see("105", 1, 8, "Ringing", "10000:+491701", 4)
    pbx.now += 10
    if answered:
        if where != "outside":
            pbx.see("105", 1, 8, "Connected", "10000:+491701", 4)
        pbx.rows((8, CALLER, taker, "Talking"))
        pbx.now += 10
    pbx.gone("105", 1)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.queue) == ("answered" if answered else "missed", "")
    figures = pbx.figures("queuestats", "800")
    assert (figures.offered, figures.answered, figures.diverted) == (1, 0, 1)


def test_a_caller_whose_leg_goes_on_naming_the_queue_waited_there_once() -> None:
    pbx = Counted(SOURCES[0])
    pbx.see("105", 1, 8, "Connected", "800")
    pbx.rows((8, "105 Ext 105", "800 Sales", "Talking"))
    pbx.see("101", 2, 8, "Ringing", "105", 2, on_behalf_of_dn="800")
    pbx.see("101", 2, 8, "Connected", "105", 2, on_behalf_of_dn="800")
    pbx.rows((8, "105 Ext 105", "101 Ext 101", "Talking"))
    pbx.now += 30
    assert [leg.dn_num for leg in pbx.call(8).talk_to] == ["101"]
    pbx.gone("101", 2)
    assert pbx.queue().waiting == ()
    pbx.gone("105", 1)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.queue, ended.callee) == ("answered", "800", "101")
    figures = pbx.figures("queuestats", "800")
    assert (figures.offered, figures.answered) == (1, 1)


@pytest.mark.parametrize("source", SOURCES)
def test_an_extension_that_gives_up_in_a_queue_is_not_called_back_by_it(source: str) -> None:
    pbx = Counted(source)
    pbx.see("105", 1, 8, "Connected", "800")
    pbx.rows((8, "105 Ext 105", "800 Sales", "Talking"))
    pbx.gone("105", 1)
    pbx.rows()
    figures = pbx.figures("queuestats", "800")
    assert (figures.offered, figures.callbacks, figures.callbacks_failed) == (1, 0, 0)


def test_a_call_led_out_on_the_trunk_by_which_it_came_goes_from_outside_to_outside(
    pbx: Told,
) -> None:
    pbx.rows((8, CALLER, "", "Initiating"))
    pbx.rows((8, CALLER, "10000 skyetel (+49888)", "Routing"))
    call = pbx.call(8)
    assert (call.direction, call.lines, call.answered_at) == ("External", ("10000",), None)
    assert [(leg.dn_num, leg.external_party) for leg in call.routing_to] == [("10000", "+49888")]
    answered = pbx.now
    pbx.rows((8, CALLER, "10000 skyetel (+49888)", "Talking"))
    call = pbx.call(8)
    assert call.owner is not None
    assert (call.owner.external_party, [leg.external_party for leg in call.talk_to]) == (
        "+491701",
        ["+49888"],
    )
    assert call.answered_at == f"2026-03-04T12:00:{answered - NOON:06.3f}Z"
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.direction, ended.caller, ended.callee) == (
        "answered",
        "External",
        "+491701",
        "+49888",
    )
    assert ended.lines == ("10000",)


def test_two_legs_on_a_monitored_trunk_are_two_and_ring_and_talk_apart(pbx: Told) -> None:
    pbx.see("10000", 1, 8, "Connected", "800:+491701", 1)
    pbx.see("10000", 2, 8, "Ringing", "10000:+49888", 5)
    pbx.rows((8, CALLER, "10000 skyetel (+49888)", "Routing"))
    pbx.see("10000", 1, 8, "Connected", "10000:+491701", 1)
    call = pbx.call(8)
    assert call.answered_at is None, "the second leg rings"
    assert [(leg.external_party, leg.status) for leg in call.legs] == [
        ("+491701", "Connected"),
        ("+49888", "Ringing"),
    ]
    pbx.see("10000", 2, 8, "Connected", "10000:+49888", 5)
    assert pbx.call(8).answered_at is not None
    assert [leg.external_party for leg in pbx.call(8).talk_to] == ["+49888"]


def test_a_rule_with_a_star_has_every_did_that_ends_so_the_longest_first(pbx: Told) -> None:
    rules = [
        ("Any", "*"),
        ("Short", "*200"),
        ("Long", "*30200"),
        ("Exact", "+4930201"),
        ("Other", "*0201"),
    ]
    rows = tuple(InboundRuleRow(name, "BasedOnDID", data, "10000") for name, data in rules)
    pbx.tell(directory(inbound_rules=rows))
    for id_, dialled, name in (
        (7, "+4930200", "Long"),
        (8, "+4940200", "Short"),
        (9, "+4930201", "Exact"),
    ):
        pbx.see("104", id_, id_, "Ringing", "10000:+491701", 4, party_did=dialled)
        assert pbx.call(id_).did == name
    pbx.see("104", 10, 10, "Ringing", "10000:+491701", 4, party_did="+4930999")
    assert pbx.call(10).did == "+4930999"


def test_when_rows_are_done_without_nobody_knows_how_a_waiting_caller_ended(pbx: Told) -> None:
    pbx.rows((7, CALLER, "800 Sales", "Talking"), (8, CALLER, "104 Ext 104", "Routing"))
    pbx.see("104", 1, 8, "Ringing", "10000:+491701", 4)
    pbx.tell(
        ConnectionChanged("connected", "Without ActiveCalls: out of order", pbx.now, "callcontrol")
    )
    pbx.rows()
    assert [(ended.call_id, ended.outcome) for ended in pbx.ended] == [(7, "unknown")], (
        "he waits on, for all we know"
    )
    pbx.gone("104", 1)
    pbx.now += 10
    pbx.tracker.tick(pbx.now)
    assert [(ended.call_id, ended.outcome) for ended in pbx.ended[1:]] == [(8, "missed")]


def test_a_queue_that_calls_somebody_back_calls_out_and_nobody_waits_in_it(pbx: Told) -> None:
    pbx.rows((8, "800 Sales", "10000 skyetel (+49888)", "Routing"))
    assert (pbx.call(8).direction, pbx.call(8).did) == ("Outbound", "")
    pbx.see(
        "101", 1, 8, "Ringing", "10000:+49888", 4, on_behalf_of_dn="800", on_behalf_of_type="Wqueue"
    )
    assert (pbx.call(8).queue, pbx.call(8).queues, pbx.queue().waiting) == ("", ("800",), ())
    pbx.see(
        "101",
        1,
        8,
        "Connected",
        "10000:+49888",
        4,
        on_behalf_of_dn="800",
        on_behalf_of_type="Wqueue",
    )
    pbx.gone("101", 1)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.direction, ended.callee) == ("answered", "Outbound", "101")


@pytest.mark.parametrize(
    ("party", "direction", "owner"),
    [("10000:+491701", "Inbound", "10000"), ("100", "Internal", "100")],
)
def test_a_routed_call_found_talking_where_there_are_no_rows_was_begun_by_the_other_side(
    party: str, direction: str, owner: str
) -> None:
    pbx = Told(source="callcontrol")
    pbx.full(participant("104", 3, 8, "Connected", party, 4, originated_by_dn="ROUTER"))
    call = pbx.call(8)
    assert call.owner is not None
    assert (call.direction, call.owner.dn_num) == (direction, owner)


@pytest.mark.parametrize("status", ["Hold", "Held", "TryingToTransfer"])
def test_whoever_is_held_does_not_ring(pbx: Told, status: str) -> None:
    pbx.see("104", 3, 8, "Ringing", "10000:+491701", 4)
    pbx.see("104", 3, 8, "Connected", "10000:+491701", 4)
    pbx.see("104", 3, 8, status, "10000:+491701", 4)
    assert pbx.legs(8) == {"10000": ("Connected", "+491701"), "104": (status, "+491701")}
    assert pbx.call(8).state == "Talking"


def test_an_answer_out_of_a_queue_is_not_as_old_as_the_word_talking() -> None:
    pbx = Told(source="activecalls")
    entered = pbx.now
    pbx.tell(_talking("700 Main", entered, entered))
    queued = pbx.now
    pbx.tell(_talking("800 Sales", entered, queued))
    assert pbx.call(8).queued_at == from_unix(queued), (
        "the caller was in a menu before, in the same state"
    )
    answered = queued + 30
    pbx.tell(_talking("101 Ext 101", entered, answered))
    assert pbx.call(8).answered_at == from_unix(answered)


def _talking(callee: str, since: float, asked: float) -> ActiveCallsRead:
    return ActiveCallsRead((ActiveCall(8, CALLER, callee, "Talking", since, since),), asked, asked)


def test_a_caller_who_went_on_to_another_queue_while_nobody_led_waits_there_since_then(
    pbx: Told,
) -> None:
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    first = pbx.call(8).queued_at
    heir = Told(memories=pbx.tracker.state)
    other = QueueRow(9, "801", "Support", (AgentRow("104"),))
    heir.tell(directory(queues=(*directory().queues, other)))
    heir.now += 60
    moved = heir.now
    heir.rows((8, CALLER, "801 Support", "Talking"))
    call = heir.call(8)
    assert (call.queue, call.queued_at, call.queues) == ("801", from_unix(moved), ("800", "801"))
    heir.rows()
    assert (heir.ended[0].queue, heir.ended[0].queued_at) == ("801", first), (
        "it first came into the other"
    )


@pytest.mark.parametrize("caller", [CALLER, "100 Ext 100", "10000 skyetel (Anonymous)"])
def test_a_call_of_which_only_the_time_of_its_last_change_is_told_is_known_again(
    caller: str,
) -> None:
    pbx = Told(source="activecalls")
    began = pbx.now
    pbx.rows((8, caller, "101 Ext 101", "Routing"))
    pbx.now += 30
    answered = pbx.now
    talking = ActiveCall(8, caller, "101 Ext 101", "Talking", answered, answered)
    pbx.tell(ActiveCallsRead((talking,), answered, answered))
    heir = Told(source="activecalls", memories=pbx.tracker.state)
    heir.tell(ActiveCallsRead((talking,), answered + 60, answered + 60))
    heir.tracker.tick(answered + 61)
    assert (heir.call(8).started_at, heir.call(8).answered_at) == (
        from_unix(began),
        from_unix(answered),
    )
    assert heir.ended == [], "it did not end unseen"


@pytest.mark.parametrize("later", [0.0, 0.053, -0.4])
def test_an_end_that_another_monitor_told_is_not_told_again(later: float) -> None:
    pbx = Told(source="activecalls")
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    began = moment(pbx.call(8).started_at).timestamp()
    # It led while this one was cut off, and has another start of the call.
    told = msgspec.structs.replace(
        call_recovery.ended_unseen(pbx.call(8), began + 3), started_at=from_unix(began + later)
    )
    left = pbx.tracker.state | {"ended": {told.id: told}}
    heir = Told(source="activecalls", memories=left)
    heir.now += 60
    heir.rows()
    heir.tracker.tick(heir.now + 1)
    assert heir.ended == [told]


def test_a_call_of_an_ended_calls_id_that_began_later_ends_too() -> None:
    pbx = Told(source="activecalls")
    pbx.rows((8, CALLER, "800 Sales", "Talking"))
    began = moment(pbx.call(8).started_at).timestamp()
    told = msgspec.structs.replace(
        call_recovery.ended_unseen(pbx.call(8), began - 20), started_at=from_unix(began - 30)
    )
    heir = Told(source="activecalls", memories=pbx.tracker.state | {"ended": {told.id: told}})
    heir.now += 60
    heir.rows()
    heir.tracker.tick(heir.now + 1)
    assert [call.started_at for call in heir.ended] == [told.started_at, from_unix(began)]


def found_call(pbx: Told, began: float, lasted: float = 3.0) -> topics.EndedCall:
    """A call with the id of the one that goes on, as a monitor saw it end."""
    return msgspec.structs.replace(
        call_recovery.ended_unseen(pbx.call(8), began + lasted),
        started_at=from_unix(began),
        outcome="missed",
    )


def test_an_end_that_another_monitor_saw_replaces_one_that_nobody_saw_and_no_other() -> None:
    pbx = Told(source="activecalls")
    pbx.rows((8, CALLER, "101 Ext 101", "Routing"))
    began = moment(pbx.call(8).started_at).timestamp()
    seen = found_call(pbx, began + 0.05)
    heir = Told(source="activecalls", memories=pbx.tracker.state)
    heir.now += 60
    heir.rows()
    heir.tracker.tick(heir.now + 1)
    assert [call.outcome for call in heir.ended] == ["unknown"]
    heir.tracker.join_ended([seen])
    assert heir.ended == [seen]
    for later in (seen, found_call(pbx, began), call_recovery.ended_unseen(pbx.call(8), began)):
        assert heir.tracker.join_ended([later]) == ()
    assert heir.ended == [seen]


def test_an_earlier_call_that_another_monitor_saw_end_is_put_in_and_one_that_goes_on_is_not() -> (
    None
):
    pbx = Told(source="activecalls")
    pbx.rows((8, CALLER, "101 Ext 101", "Routing"))
    began = moment(pbx.call(8).started_at).timestamp()
    earlier, same = found_call(pbx, began - 30), found_call(pbx, began)
    assert {edit.topic for edit in pbx.tracker.join_ended([earlier, same])} == {"ended"}
    assert pbx.ended == [earlier]
    assert pbx.call(8).started_at == same.started_at


def test_a_call_that_would_be_dropped_again_is_not_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pbx_state, "ENDED_KEPT", 2)
    pbx = Told(source="activecalls")
    pbx.rows((8, CALLER, "101 Ext 101", "Routing"))
    old, early, middle, late = (
        found_call(pbx, pbx.now - ago) for ago in (100_000.0, 300.0, 200.0, 100.0)
    )
    assert pbx.tracker.join_ended([old]) == ()
    pbx.tracker.join_ended([middle, late])
    assert pbx.tracker.join_ended([early]) == ()
    assert pbx.ended == [middle, late]


def test_another_call_of_the_same_extension_and_id_is_another() -> None:
    pbx = Told(source="activecalls")
    pbx.rows((8, "100 Ext 100", "101 Ext 101", "Talking"))
    heir = Told(source="activecalls", memories=pbx.tracker.state)
    heir.now += 3600
    heir.rows((8, "100 Ext 100", "101 Ext 101", "Routing"))
    heir.tracker.tick(heir.now)
    assert heir.call(8).answered_at is None
    assert [ended.call_id for ended in heir.ended] == [8], (
        "the PBX was restarted and numbers its calls anew"
    )


def test_a_call_that_voicemail_takes_without_a_ring_was_for_the_mailboxs_owner(pbx: Told) -> None:
    at_voicemail = replace(participant("100", 1, 8, "Connected", "999"), party_caller_id="101")
    pbx.tell(ParticipantSeen(at_voicemail, pbx.now, pbx.now))
    pbx.gone("100", 1)
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.callee, ended.mailbox) == ("missed", "101", "101")


def test_a_route_point_that_nobody_answered_at_is_the_callee_of_a_missed_call(pbx: Told) -> None:
    pbx.tell(replace(directory(), peers=(PeerRow("app", "App", "routepoint"),)))
    pbx.rows((8, CALLER, "app App", "Routing"))
    assert (pbx.legs(8)["10000"][0], pbx.legs(8)["app"][0]) == ("Dialing", "Ringing")
    assert [leg.dn_num for leg in pbx.call(8).routing_to] == ["app"]
    assert (pbx.call(8).direction, pbx.call(8).answered_at) == ("Inbound", None)
    pbx.rows((8, CALLER, "", "Routing"))
    pbx.rows()
    (ended,) = pbx.ended
    assert (ended.outcome, ended.direction) == ("missed", "Inbound")
