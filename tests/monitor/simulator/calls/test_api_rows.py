"""Participants in JSON, as Call Control documents them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.api_rows import ParticipantView
from tests.monitor.simulator.exchange_bench import Bench


@pytest.fixture
def view() -> ParticipantView:
    """An agent who rings from a queue for a call from outside."""
    pbx = Bench()
    call = pbx.switchboard.arrive("10002", "+491701234567", did="+493012345")
    pbx.switchboard.route(call, "800")
    pbx.switchboard.wait(call)
    pbx.switchboard.poll(call, ("104",))
    return pbx.one("104")


def test_every_documented_field_is_there_in_order(view: ParticipantView) -> None:
    assert list(view.to_json(Switches())) == [field.name for field in fields(view)]


def test_fields_that_a_pbx_does_not_tell_are_empty_and_never_left_out(
    view: ParticipantView,
) -> None:
    told = view.to_json(Switches(on_behalf_of=True, party_did=True))
    silent = view.to_json(Switches(on_behalf_of=False, party_did=False))
    assert (told["on_behalf_of_dn"], told["on_behalf_of_type"]) == ("800", "Wqueue")
    assert (silent["on_behalf_of_dn"], silent["on_behalf_of_type"]) == ("", "None")
    assert (told["party_did"], silent["party_did"]) == ("+493012345", "")
    assert list(silent) == list(told)
    differing = {name for name in told if told[name] != silent[name]}
    assert differing <= {"on_behalf_of_dn", "on_behalf_of_type", "party_did"}
