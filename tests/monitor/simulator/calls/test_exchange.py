"""Who is in which call, and who is told of it when."""

from __future__ import annotations

import pytest

from monitor.simulator.calls import exchange
from monitor.simulator.calls.exchange import ParticipantRemove, ParticipantUpsert
from tests.monitor.simulator.exchange_bench import TWO_DEVICES, Bench


def test_a_dn_is_busy_from_its_first_call_to_the_end_of_its_last(pbx: Bench) -> None:
    first, second = pbx.inbound(), pbx.switchboard.dial("100", "101")
    assert (pbx.switchboard.busy("100"), pbx.switchboard.in_use("100")) == (True, 2)
    pbx.switchboard.end(first)
    assert (pbx.switchboard.busy("100"), pbx.switchboard.in_use("100")) == (True, 1)
    pbx.switchboard.end(second)
    assert (pbx.switchboard.busy("100"), pbx.switchboard.in_use("100")) == (False, 0)


def test_who_has_left_the_last_call_is_told_once_and_after_the_events(pbx: Bench) -> None:
    idle: list[tuple[str, int]] = []
    pbx.switchboard.on_idle(lambda number: idle.append((number, len(pbx.events))))
    first, second = pbx.inbound(), pbx.switchboard.dial("100", "101")
    pbx.switchboard.end(first)
    assert [number for number, _ in idle] == ["10002"]
    idle.clear()
    pbx.switchboard.end(second)
    assert sorted(number for number, _ in idle) == ["100", "101"]
    assert {told for _, told in idle} == {len(pbx.events)}


def test_events_tell_of_changes_and_of_nothing_else(pbx: Bench) -> None:
    call = pbx.inbound()
    pbx.events.clear()
    pbx.switchboard._commit(call)
    assert pbx.events == []
    pbx.switchboard.answer(call, "100")
    assert {type(event) for event in pbx.events} == {ParticipantUpsert}
    pbx.events.clear()
    pbx.switchboard.end(call)
    assert {type(event) for event in pbx.events} == {ParticipantRemove}
    assert sorted(event.dn for event in pbx.events) == ["100", "10002"]


def test_a_participant_is_found_at_its_own_dn_alone_and_while_it_is_there(pbx: Bench) -> None:
    call = pbx.inbound(TWO_DEVICES)
    one, other = pbx.switchboard.participants(TWO_DEVICES)
    assert one.id != other.id
    assert pbx.switchboard.participant(TWO_DEVICES, one.id) == one
    assert pbx.switchboard.participant("100", one.id) is None
    pbx.switchboard.end(call)
    assert pbx.switchboard.participant(TWO_DEVICES, one.id) is None


def test_no_id_is_given_twice_until_a_restart_begins_anew(pbx: Bench) -> None:
    first = pbx.inbound()
    pbx.switchboard.end(first)
    assert pbx.inbound().id == first.id + 1
    pbx.switchboard.restart()
    assert pbx.switchboard.calls == {}
    assert pbx.inbound().id == first.id


def test_ended_calls_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "ENDED_KEPT", 5)
    kept, pbx = 5, Bench()
    for _ in range(kept + 3):
        pbx.switchboard.end(pbx.switchboard.dial("100", "101"))
    ended = [end.call_id for end in pbx.switchboard.ended()]
    assert ended == list(range(4, kept + 4))
    assert len(pbx.switchboard._over) == kept


def test_a_calls_word_has_the_time_at_which_it_changed(pbx: Bench) -> None:
    call = pbx.inbound()
    (row,) = pbx.switchboard.active_calls()
    pbx.now += 9
    pbx.switchboard.answer(call, "100")
    (later,) = pbx.switchboard.active_calls()
    assert later.last_change_status - row.last_change_status == 9
    assert later.status != row.status
