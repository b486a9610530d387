"""Kinds of calls and habits: each has a name and can be left out."""

from __future__ import annotations

import pytest

from monitor.simulator.call_kinds import KINDS, MIX, Kind, mix_with

_QUEUED: tuple[Kind, ...] = ("queue", "queue_abandoned", "menu_queue")


def test_calls_to_the_clients_own_route_point_come_only_where_they_are_asked_for() -> None:
    assert mix_with() == MIX
    assert set(KINDS) - set(MIX) == {"app"}
    assert mix_with(25)["app"] == sum(MIX.values()) / 3


def test_kinds_are_chosen_or_left_out_by_name() -> None:
    assert set(mix_with(kinds=("fax", "paging", "queue"), without=("queue",))) == {"fax", "paging"}
    assert "fax" not in mix_with(without=("fax", "letter_dns"))
    assert mix_with(kinds=("app",)) == {"app": 1.0}


def test_in_a_call_centre_most_calls_from_outside_are_for_queues() -> None:
    usual, centre = mix_with(), mix_with(call_centre=True)
    assert centre.keys() == usual.keys()
    shares = [sum(mix[kind] for kind in _QUEUED) / sum(mix.values()) for mix in (usual, centre)]
    assert shares[0] < 0.3 < 0.4 < shares[1]
    assert mix_with(kinds=("fax",), call_centre=True) == {"fax": 1}


@pytest.mark.parametrize(
    ("kinds", "without"), [(("faxes",), ()), ((), ("faxes",)), (("letter_dns",), ())]
)
def test_a_name_that_is_none_is_refused(kinds: tuple[str, ...], without: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="is not a kind of call; the kinds are queue, "):
        mix_with(kinds=kinds, without=without)
