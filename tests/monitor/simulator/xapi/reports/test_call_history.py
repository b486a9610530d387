"""Past calls, as events told them."""

from __future__ import annotations

from monitor.simulator.xapi.reports.call_history import CallHistory, PastCall
from tests.monitor.simulator.exchange_bench import CALLER, MOBILE, NOON, TWO_DEVICES, Bench


def histories(pbx: Bench) -> CallHistory:
    return CallHistory(pbx.switchboard, pbx.directory)


def told(call: PastCall) -> list[tuple[str, float, float | None, float | None]]:
    """Who was in it: DN, and seconds after noon of its beginning, answer and end."""
    return [
        (
            leg.dn.number,
            leg.began - NOON,
            None if leg.connected is None else leg.connected - NOON,
            None if leg.ended is None else leg.ended - NOON,
        )
        for leg in call.legs
    ]


def test_a_call_through_a_queue_has_a_leg_for_each_ringing() -> None:
    pbx = Bench()
    history = histories(pbx)
    call = pbx.switchboard.arrive("10000", CALLER)
    pbx.switchboard.route(call, "800")
    pbx.now += 5
    pbx.switchboard.poll(call, ["104"])
    pbx.now += 10
    pbx.switchboard.no_answer(call)
    pbx.switchboard.poll(call, ["104", "105"])
    pbx.now += 4
    pbx.switchboard.answer(call, "105")
    assert list(history.between(0, 2**40)) == [], "it goes on"
    pbx.now += 60
    pbx.switchboard.end(call)
    (past,) = history.between(0, 2**40)
    assert told(past) == [
        ("10000", 0, 0, 79),
        ("800", 0, 0, 19),
        ("104", 5, None, 15),
        ("104", 15, None, 19),
        ("105", 15, 19, 79),
    ]
    assert (past.direction, past.legs[0].number, past.legs[1].party.number) == (
        "Inbound",
        CALLER,
        CALLER,
    )
    assert [leg.behalf for leg in past.legs[2:]] == ["800"] * 3


def test_two_devices_that_ring_are_one_leg() -> None:
    pbx = Bench()
    history = histories(pbx)
    call = pbx.inbound(TWO_DEVICES)
    pbx.now += 3
    pbx.switchboard.answer(call, TWO_DEVICES, pbx.directory.devices(TWO_DEVICES)[1].device_id)
    pbx.now += 3
    pbx.switchboard.end(call)
    (past,) = history.between(NOON, NOON)
    assert told(past)[1:] == [(TWO_DEVICES, 0, 3, 6)]


def test_a_call_that_was_handed_over_names_the_one_in_which_it_went_on() -> None:
    pbx = Bench()
    history = histories(pbx)
    first = pbx.talk("100")
    second = pbx.switchboard.dial("100", "101")
    pbx.switchboard.answer(second, "101")
    pbx.now += 10
    pbx.switchboard.merge(first, second, "100")
    pbx.now += 10
    pbx.switchboard.end(first)
    newest, oldest = sorted(history.between(0, 2**40), key=lambda call: -call.call_id)
    assert newest.main is oldest
    assert [leg.dn.number for leg in oldest.legs] == ["10002", "100", "101"]
    assert (newest.direction, oldest.direction) == ("Internal", "Inbound")


def test_a_period_is_of_the_beginnings_and_a_restart_loses_what_goes_on() -> None:
    pbx = Bench()
    history = histories(pbx)
    for _ in range(3):
        call = pbx.switchboard.dial("100", MOBILE)
        pbx.now += 10
        pbx.switchboard.end(call)
    assert [call.call_id for call in history.between(NOON + 5, NOON + 15)] == [2]
    pbx.inbound()
    pbx.switchboard.restart()
    history.lose()
    pbx.switchboard.end(pbx.inbound())
    assert [call.call_id for call in history.between(0, 2**40)] == [1, 3, 2, 1]
    assert len({call.serial for call in history.between(0, 2**40)}) == 4
    history.forget()
    assert list(history.between(0, 2**40)) == []
