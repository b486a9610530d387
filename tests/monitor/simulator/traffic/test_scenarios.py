"""Every kind of call, played to its end."""

from __future__ import annotations

import pytest

from monitor.simulator.call_kinds import KINDS, Kind
from monitor.simulator.calls.ground_truth import TruthCall
from monitor.simulator.calls.switchboard import ControlRequest
from tests.monitor.simulator.traffic.test_generator import day, run_to_the_end


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_call_is_played_to_its_end(kind: Kind) -> None:
    today = day(6.0, limit=12, kinds=(kind,))
    seen: set[str] = set()
    queued = False
    for _ in range(30_000):
        today.traffic.advance(0.5)
        for truth in today.switchboard.truth():
            seen.update(leg.dn_type for leg in truth.legs)
            queued = queued or bool(truth.queue)
        if today.traffic.stats.over == 12:
            break
    ended = today.switchboard.ended()
    stats = today.traffic.stats
    assert (stats.started, stats.over, today.switchboard.calls) == (12, 12, {})
    assert len(ended) >= 12
    assert today.client.table == {}
    assert today.client.errors == []
    if kind.endswith("unanswered") and kind != "blind_unanswered":
        assert {end.outcome for end in ended} <= {"missed", "unanswered"}
    if kind in ("queue_abandoned", "menu_abandoned"):
        assert {end.outcome for end in ended} == {"abandoned"}
    if kind in ("outbound", "forward", "conference", "attended", "internal"):
        assert "answered" in {end.outcome for end in ended}
    wanted = {
        "conference": {"conference"},
        "forward": {"externalline"},
        "internal_busy": {"specialmenu"},
        "menu_queue": {"ivr", "queue"},
    }
    assert wanted.get(kind, set()) <= seen
    assert queued == ("queue" in kind or kind in ("rung_twice", "waiting_agent", "crm_app"))


def test_all_truths_of_a_busy_hour_are_sound() -> None:
    today = day(600.0, limit=600, extensions=150)
    most = 0
    for _ in range(4000):
        today.traffic.advance(1.0)
        most = max(most, len(today.switchboard.calls))
        for truth in today.switchboard.truth():
            _sound(truth)
        if today.traffic.stats.over >= 600:
            break
    assert most > 100
    assert today.traffic.stats.over == 600
    assert today.client.errors == []
    assert all(
        end.started_at <= (end.answered_at or end.ended_at) <= end.ended_at
        for end in today.switchboard.ended()
    )


def test_calls_that_others_end_or_change_do_not_stop_the_traffic() -> None:
    today = day(600.0, limit=400, extensions=100)
    actions = ("drop", "answer", "divert", "routeto", "transferto")
    for step in range(3000):
        today.traffic.advance(0.7)
        calls = list(today.switchboard.calls.values())
        if calls and step % 2:
            call = calls[step % len(calls)]
            views = list(call.views.values())
            view = views[step % len(views)]
            request = ControlRequest(destination=("800", "150", "+15155550123", "600")[step % 4])
            today.switchboard.act(view.dn, view.id, actions[step % len(actions)], request)
        elif calls:
            today.switchboard.drop_call(calls[step % len(calls)].id)
    run_to_the_end(today)
    assert today.traffic.stats.started == today.traffic.stats.over == 400
    assert today.client.errors == []
    assert today.client.table == {}


def test_a_queue_serves_its_callers_in_the_order_of_their_coming() -> None:
    today = day(120.0, limit=60, kinds=("queue",))
    came: dict[str, list[int]] = {}
    rung: dict[str, list[int]] = {}
    for _ in range(20_000):
        today.traffic.advance(0.05)
        for call in today.switchboard.truth():
            if call.queue:
                for orders in (came, rung) if call.routing_to else (came,):
                    order = orders.setdefault(call.queue, [])
                    if call.call_id not in order:
                        order.append(call.call_id)
        if today.traffic.stats.over == 60:
            break
    assert sum(len(order) for order in rung.values()) > 30
    for queue, order in rung.items():
        assert order == [call for call in came[queue] if call in order]


def _sound(truth: TruthCall) -> None:
    dns = {leg.dn for leg in truth.legs}
    assert truth.owner in dns
    assert {*truth.talk_to, *truth.routing_to} <= dns
    assert truth.state != "Initiating" or dns == {truth.owner}
    assert not truth.queue or truth.answered_at is None
    assert (truth.direction in ("Inbound", "External", "FromExternal")) == (
        truth.legs[0].dn_type == "externalline"
    ) or (truth.direction in ("Outbound", "Internal", "Inbound"))
