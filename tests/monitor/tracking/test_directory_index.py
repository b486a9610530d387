"""Look-ups in the directory: which rule a dialled number has, what is learnt, and their cost."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.pbx.facts import InboundRuleRow, PeerRow
from monitor.tracking.directory_index import LEARNT_KEPT, DirectoryIndex
from tests.monitor.tracking.pbx_facts import directory
from tests.steps import steps

_number = st.text("12*", max_size=3)
_rules = st.lists(
    st.builds(
        InboundRuleRow,
        st.sampled_from(("", "a", "b", "c", "d")),
        st.sampled_from(("BasedOnDID", "BasedOnDID", "BasedOnCallerID")),
        _number,
        st.sampled_from(("10000", "10001")),
    ),
    max_size=12,
)


def by_scan(rules: list[InboundRuleRow], dialled: str, trunk: str) -> str:
    """The documented rule, word by word, over every rule: the first of the best ones."""
    by_trunk = dict.fromkeys(rule.trunk for rule in rules)
    known = [rule for name in (trunk, *by_trunk) for rule in rules if rule.trunk == name]
    fitting = [
        rule
        for rule in known
        if rule.condition == "BasedOnDID"
        and (
            rule.data == dialled
            or (len(rule.data) > 1 and rule.data[0] == "*" and dialled.endswith(rule.data[1:]))
        )
    ]
    best = max(fitting, key=lambda rule: (rule.data == dialled, len(rule.data)), default=None)
    return dialled if best is None else best.name or dialled


@given(_rules, _number.filter(bool), st.sampled_from(("10000", "10001", "10002")))
@example([InboundRuleRow("a", "BasedOnDID", "*", "10000")], "1", "10000")
def test_a_dialled_number_has_the_rule_that_a_scan_of_all_rules_finds(
    rules: list[InboundRuleRow], dialled: str, trunk: str
) -> None:
    index = DirectoryIndex(directory(inbound_rules=tuple(rules)))
    assert index.did(dialled, trunk) == by_scan(rules, dialled, trunk)


@pytest.mark.parametrize("dialled", ["+4930000007", "+4939999999"], ids=["known", "unknown"])
def test_the_rule_of_a_number_costs_the_same_with_four_times_the_rules(dialled: str) -> None:
    def cost(size: int) -> int:
        rules = tuple(
            InboundRuleRow(f"r{n}", "BasedOnDID", f"*3{n:07}", f"1000{n % 7}") for n in range(size)
        )
        index = DirectoryIndex(directory(inbound_rules=rules))
        assert index.did("+4930000007", "10000") == "r7"
        return steps(lambda: index.did(dialled, "10000"))

    assert cost(4_000) == cost(1_000)


def test_of_the_dns_that_calls_name_the_oldest_are_forgotten_and_no_dn_of_the_directory() -> None:
    index = DirectoryIndex(directory(peers=(PeerRow("777", "Room", "Conference"),)))
    for n in range(LEARNT_KEPT + 5):
        index.set_kind(f"c{n}", "Wconference")
        index.set_kind("777", "Wextension")  # what the directory says counts
    assert [index.kind(f"c{n}") for n in (0, 4, 5, LEARNT_KEPT + 4)] == [
        *["unknown"] * 2,
        *["conference"] * 2,
    ]
    assert index.kind("777") == "conference"
    assert index.kind("100") == "extension"

    read_again = DirectoryIndex(directory())
    read_again.inherit_kinds(index)
    read_again.set_kind("new", "Wconference")
    kept = [f"c{n}" for n in range(5, LEARNT_KEPT + 5)]
    assert sum(read_again.kind(dn) == "conference" for dn in (*kept, "777", "new")) == LEARNT_KEPT
    assert read_again.kind("new") == "conference"


def test_a_dn_that_is_no_longer_in_the_directory_keeps_its_kind_if_calls_alone_may_name_it() -> (
    None
):
    before = DirectoryIndex(directory(peers=(PeerRow("777", "Room", "Conference"),)))
    before.set_kind("SP1", "Wparking")
    before.set_kind("999", "Wextension")
    now = DirectoryIndex(directory())
    now.inherit_kinds(before)
    assert [now.kind(dn) for dn in ("777", "SP1", "999")] == ["conference", "parking", "unknown"]
