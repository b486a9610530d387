"""Test all orders in which the facts of a PBX come that restarted and numbers its calls anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import permutations

import pytest

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    CallOrdered,
    ConnectionChanged,
    DirectoryRead,
    Participant,
    ParticipantSeen,
    ParticipantsRead,
)
from monitor.shared.entities import topics
from monitor.shared.timestamps import from_unix
from monitor.tracking.tracker import Tracker
from tests.monitor.pbx.scripted import ScriptedPbx, following, scripted_pbx, settings_for
from tests.monitor.tracking.pbx_facts import NOON, SOURCES, Told, participant

BEGAN = NOON + 100
OLD = ActiveCall(5, "10000 skyetel (+491701)", "800 Sales", "Talking", BEGAN, BEGAN)
RINGS = participant("101", 3, 5, "Ringing", "10000:+491701", 4, on_behalf_of_dn="800")
RESTARTED = NOON + 200


@dataclass(frozen=True, slots=True)
class Found:
    """What a PBX tells of call 5 after the break."""

    row: ActiveCall
    leg: Participant
    caller: str
    """Number of the one who began it."""


def other(caller: str, callee: str, leg: Participant, number: str) -> Found:
    """A call that began after the restart."""
    row = ActiveCall(5, caller, callee, "Routing", RESTARTED + 1, RESTARTED + 1)
    return Found(row, leg, number)


OTHERS = {
    "another caller, another phone": other(
        "10000 skyetel (+491999)",
        "104 Ext 104",
        participant("104", 4, 5, "Ringing", "10000:+491999", 4),
        "+491999",
    ),
    "another phone with the same participant id": other(
        "10000 skyetel (+491999)",
        "104 Ext 104",
        participant("104", 3, 5, "Ringing", "10000:+491999", 4),
        "+491999",
    ),
    "the same phone with the same participant id, in the same queue": other(
        "10000 skyetel (+491999)",
        "800 Sales",
        participant("101", 3, 5, "Ringing", "10000:+491999", 4, on_behalf_of_dn="800"),
        "+491999",
    ),
    "a caller from inside": other(
        "100 Ext 100", "104 Ext 104", participant("104", 4, 5, "Ringing", "100", 2), "100"
    ),
}
SAME = {
    "the phone rings on": Found(OLD, RINGS, "+491701"),
    "the phone has picked up": Found(
        replace(OLD, callee="101 Ext 101", last_change_status=RESTARTED),
        participant("101", 3, 5, "Connected", "10000:+491701", 4, on_behalf_of_dn="800"),
        "+491701",
    ),
    "another agent rings": Found(
        replace(OLD, callee="102 Ext 102", status="Routing", last_change_status=RESTARTED),
        participant("102", 8, 5, "Ringing", "10000:+491701", 5, on_behalf_of_dn="800"),
        "+491701",
    ),
    "another agent has picked up, and that is all the times tell": Found(
        replace(
            OLD,
            callee="102 Ext 102",
            last_change_status=RESTARTED + 1,
            established_at=RESTARTED + 1,
        ),
        participant("102", 8, 5, "Connected", "10000:+491701", 5, on_behalf_of_dn="800"),
        "+491701",
    ),
}


ORDERS = [
    order
    for order in permutations(("L", "full", "rows", "late rows", "event"))
    if order.index("event") > order.index("L") and order.index("rows") > order.index("late rows")
]
"""``L`` is the loss; ``late rows`` were asked for before the restart.

Events come through a socket that was opened after the loss. Reads of rows follow one another."""


def test_these_are_all_the_orders() -> None:
    assert len(ORDERS) == 30


def watched() -> Told:
    """A tracker that has seen call 5 in the queue, with one agent's phone ringing."""
    pbx = Told()
    pbx.now = BEGAN
    pbx.tell(ActiveCallsRead((OLD,), pbx.now, pbx.now))
    pbx.tell(ParticipantSeen(RINGS, pbx.now, pbx.now))
    pbx.tell(ActiveCallsRead((OLD,), pbx.now, pbx.now))
    assert pbx.queue().waiting
    return pbx


def play(pbx: Told, order: tuple[str, ...], found: Found) -> None:
    """Tell the facts in this order, and at the end all that there is."""
    asked_before, pbx.now = pbx.now, RESTARTED + 2
    dns = dict.fromkeys(("100", "101", "102", "103", "104", "105"), "Wextension")
    told: dict[str, Callable[[], object]] = {
        "L": lambda: pbx.tell(ConnectionChanged("lost", "the socket broke", pbx.now)),
        "event": lambda: pbx.tell(ParticipantSeen(found.leg, pbx.now, pbx.now)),
        "rows": lambda: pbx.tell(ActiveCallsRead((found.row,), pbx.now, pbx.now)),
        "late rows": lambda: pbx.tell(ActiveCallsRead((OLD,), asked_before, asked_before)),
        "full": lambda: pbx.tell(ParticipantsRead((found.leg,), dns, pbx.now, pbx.now)),
    }
    lost = False
    for name in order:
        told[name]()
        lost = lost or name == "L"
        if name == "full" and lost:
            pbx.tell(ConnectionChanged("connected", "", pbx.now, SOURCES[0]))
    for name in ("full", "rows"):
        told[name]()
    pbx.tell(ConnectionChanged("connected", "", pbx.now, SOURCES[0]))


@pytest.mark.parametrize("found", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
def test_a_reused_id_begins_a_new_call_in_whatever_order_the_facts_come(
    order: tuple[str, ...], found: Found
) -> None:
    pbx = watched()
    play(pbx, order, found)
    call = pbx.call(5)
    assert call.owner is not None
    assert (call.owner.external_party or call.owner.dn_num, call.started_at) == (
        found.caller if found.caller.startswith("+") else "104",
        from_unix(RESTARTED + 1),
    )
    assert found.caller in {call.owner.dn_num, call.owner.external_party}
    assert "+491701" not in {leg.external_party for leg in call.legs}
    (ended,) = pbx.ended
    assert (ended.call_id, ended.started_at, ended.caller) == (5, from_unix(BEGAN), "+491701")
    assert (ended.outcome, ended.queue) == ("unknown", "800")
    assert ended.extensions == ("101",), "nothing of the new call got into the old one"
    waiting = [caller.num for caller in pbx.queue().waiting]
    assert waiting == ([found.caller] if found.leg.on_behalf_of_dn else [])


@pytest.mark.parametrize("found", SAME.values(), ids=SAME)
@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
def test_a_call_that_goes_on_is_the_same_in_whatever_order_the_facts_come(
    order: tuple[str, ...], found: Found
) -> None:
    pbx = watched()
    queued = pbx.call(5).queued_at
    play(pbx, order, found)
    call = pbx.call(5)
    assert pbx.ended == []
    assert call.owner is not None
    assert (call.owner.external_party, call.started_at) == ("+491701", from_unix(BEGAN))
    assert (call.queues, call.queued_at) == (
        ("800",),
        queued if found.leg.status == "Ringing" else None,
    )
    assert {leg.dn_num for leg in call.legs} >= {"10000", found.leg.dn}


@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
def test_a_call_that_is_gone_after_the_break_has_ended_unseen(order: tuple[str, ...]) -> None:
    pbx = watched()
    other_id = replace(OTHERS["a caller from inside"].row, id=2)
    leg = replace(OTHERS["a caller from inside"].leg, call_id=2)
    play(pbx, order, Found(other_id, leg, "100"))
    assert pbx.calls == {"2"}
    (ended,) = pbx.ended
    assert (ended.call_id, ended.caller, ended.outcome) == (5, "+491701", "unknown")


def test_rows_alone_tell_of_a_reused_id_after_a_read_that_failed() -> None:
    pbx = Told(source=SOURCES[1])
    pbx.now = BEGAN
    pbx.tell(ActiveCallsRead((OLD,), pbx.now, pbx.now))
    pbx.tell(ActiveCallsRead((OLD,), pbx.now, pbx.now, after_failure=True))
    assert (pbx.ended, pbx.call(5).started_at) == ([], from_unix(BEGAN))
    pbx.now = RESTARTED + 2
    row = OTHERS["a caller from inside"].row
    pbx.tell(ActiveCallsRead((row,), pbx.now, pbx.now, after_failure=True))
    assert pbx.call(5).direction == "Internal"
    (ended,) = pbx.ended
    assert (ended.caller, ended.outcome, ended.extensions) == ("+491701", "unknown", ())


def test_an_order_after_the_restart_is_no_order_of_the_old_call() -> None:
    pbx = watched()
    pbx.tell(ConnectionChanged("lost", "the socket broke", pbx.now))
    pbx.tell(CallOrdered(5, "100", "104", pbx.now))
    row = ActiveCall(5, "MakeCall", "100 Ext 100", "Routing", pbx.now, pbx.now)
    pbx.full(participant("100", 3, 5, "Ringing", "", 1))
    pbx.tell(ActiveCallsRead((row,), pbx.now, pbx.now))
    assert [(ended.caller, ended.outcome) for ended in pbx.ended] == [("+491701", "unknown")]
    assert pbx.call(5).owner is not None
    assert pbx.legs(5) == {"100": ("Ringing", "104")}


def test_a_leg_of_the_old_life_goes_though_another_with_its_id_is_read_by_itself() -> None:
    pbx = watched()
    pbx.tell(ConnectionChanged("lost", "the socket broke", pbx.now))
    pbx.full(kept=frozenset({("104", 3)}))
    pbx.tell(ParticipantSeen(participant("104", 3, 6, "Ringing", "100"), pbx.now, pbx.now))
    row = ActiveCall(6, "100 Ext 100", "104 Ext 104", "Routing", pbx.now, pbx.now)
    pbx.tell(ActiveCallsRead((row,), pbx.now, pbx.now))
    assert pbx.calls == {"6"}
    assert pbx.extension("101").status == "Free"


def leg(participant_id: int, caller: str) -> dict[str, object]:
    """A participant of call 7 as Call Control tells it."""
    told: dict[str, object] = {"id": participant_id, "dn": "100", "status": "Ringing"}
    told |= {"callid": 7, "legid": 4, "party_caller_id": caller}
    return told | {"party_dn": "10000", "party_dn_type": "Wexternalline"}


def listed(caller: str, hour: int) -> dict[str, object]:
    """The row of call 7, which began at this hour."""
    began = f"2026-03-04T{hour}:00:00Z"
    times = {"LastChangeStatus": began, "EstablishedAt": began}
    texts = {"Caller": f"10000 skyetel ({caller})", "Callee": "100 Ext 100", "Status": "Routing"}
    return {"Id": 7, **texts, **times}


async def full_read_late(pbx: ScriptedPbx, restart: Callable[[], None]) -> None:
    """The rows are answered before the full read."""
    held = pbx.hold("/callcontrol")
    restart()
    await pbx.drop()
    await held.asked.wait()
    await pbx.asked("/xapi/v1/ActiveCalls", pbx.requests["/xapi/v1/ActiveCalls"] + 2)
    held.release()


async def rows_late(pbx: ScriptedPbx, restart: Callable[[], None]) -> None:
    """The rows were asked for before the restart, and answered after the full read."""
    held = pbx.hold("/xapi/v1/ActiveCalls")
    await held.asked.wait()
    restart()
    await pbx.drop()
    await pbx.asked("/callcontrol", pbx.requests["/callcontrol"] + 1)
    held.release()


async def loss_late(pbx: ScriptedPbx, restart: Callable[[], None]) -> None:
    """The socket breaks after new rows were answered."""
    restart()
    await pbx.asked("/xapi/v1/ActiveCalls", pbx.requests["/xapi/v1/ActiveCalls"] + 2)
    await pbx.drop()


@pytest.mark.parametrize("happens", [full_read_late, rows_late, loss_late])
async def test_the_source_tells_enough_to_find_a_reused_id(
    happens: Callable[[ScriptedPbx, Callable[[], None]], Awaitable[None]],
) -> None:
    async with scripted_pbx() as pbx:
        pbx.participants["100", 1] = leg(1, "+491701")
        pbx.rows = [listed("+491701", 12)]

        def restart() -> None:
            pbx.participants = {("100", 2): leg(2, "+491999")}
            pbx.rows = [listed("+491999", 13)]

        async with following(settings_for(pbx.url)) as (_, facts):
            await facts.connected()
            await facts.until(DirectoryRead)
            await happens(pbx, restart)
            lost = await facts.until(ConnectionChanged, lambda news: news.connection == "lost")
            after = facts.all.index(lost)
            full = await facts.until(ParticipantsRead, after=after)
            await facts.until(ActiveCallsRead, lambda read: read.asked > full.asked, after)
            told = list(facts.all)
    tracker = Tracker("monitor-1", {})
    for fact in told:
        tracker.apply(fact)
    (call,) = tracker.state["calls"].values()
    assert isinstance(call, topics.Call)
    assert call.owner is not None
    assert (call.owner.external_party, call.started_at[11:13]) == ("+491999", "13")
    (ended,) = tracker.state["ended"].values()
    assert isinstance(ended, topics.EndedCall)
    assert (ended.caller, ended.outcome) == ("+491701", "unknown")


def test_times_before_the_last_word_of_a_new_call_with_a_known_id_tell_no_other_call() -> None:
    """The call that took over the id is as well known as any other from the first word of it."""
    pbx = Told()
    pbx.full(participant("105", 21, 2, "Ringing", "10000:+491702", 5))
    pbx.full(participant("104", 22, 2, "Dialing", "101", 2))
    told = pbx.now
    anew = ActiveCall(2, "", "700 Main", "Rerouting", None, None)
    pbx.tell(ActiveCallsRead((anew,), told, told))
    before = ActiveCall(2, "100 Ext 100", "101 Ext 101", "Routing", told - 2, None)
    pbx.tell(ActiveCallsRead((before,), told + 50, told + 50))
    assert pbx.tracker.inconsistent_calls == set()
    later = ActiveCall(2, "102 Ext 102", "101 Ext 101", "Routing", told + 60, None)
    pbx.tell(ActiveCallsRead((later,), told + 70, told + 70))
    assert pbx.tracker.inconsistent_calls == {2}, "all that the row tells of is news"


def test_a_row_that_came_after_the_doubt_does_not_prove_that_the_call_is_the_same() -> None:
    """No row had told of the call before all its participants were replaced."""
    pbx = Told()
    pbx.full(participant("105", 21, 2, "Ringing", "10000:+491702", 5))
    pbx.full(participant("104", 22, 2, "Dialing", "101", 2))
    pbx.rows((2, "104 Ext 104", "101 Ext 101", "Routing"))
    assert [ended.caller for ended in pbx.ended] == ["+491702"]
    owner = pbx.call(2).owner
    assert owner is not None
    assert owner.dn_num == "104"
