"""Parties that are free for a call."""

from __future__ import annotations

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.switchboard import Switchboard
from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.traffic.generator import TrafficGenerator
from tests.monitor.simulator.exchange_bench import NOON
from tests.monitor.simulator.traffic.test_generator import day, run_to_the_end


def test_an_inbound_call_has_the_rule_of_its_line_or_none() -> None:
    today = day(60.0, limit=150)
    rules = {
        rule["RuleName"]: rule["TrunkDN"]["Number"]
        for rule in today.directory.inbound_rules.values()
    }
    dids = set()
    for end in run_to_the_end(today):
        if end.direction in ("Inbound", "FromExternal", "External"):
            trunks = [leg.dn for leg in end.legs if leg.dn_type == "externalline"]
            assert not end.did or rules[end.did] in trunks
            only = today.directory.rules(trunks[0])
            assert len(only) != 1 or end.did == only[0]["RuleName"]
            dids.add(end.did)
        else:
            assert end.did == ""
    assert "" in dids
    assert len(dids) > 3


def test_busy_extensions_are_not_chosen_for_direct_calls() -> None:
    today = day(1200.0, limit=300, kinds=("direct", "internal", "outbound"), extensions=40)
    for _ in range(600):
        today.traffic.advance(0.5)
        for number in today.directory.extensions():
            assert today.switchboard.in_use(number) <= 1
    assert today.traffic.stats.skipped > 0, "more was wanted than there are people"


def test_a_pbx_without_people_has_no_traffic() -> None:
    directory = Directory()
    traffic = TrafficGenerator(Switchboard(directory, Switches(), lambda: NOON), directory, 1, 60.0)
    traffic.advance(60.0)
    assert (traffic.stats.started, traffic.plan(0)) == (0, None)
