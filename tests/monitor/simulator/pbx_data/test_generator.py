"""A company made up from a seed."""

from __future__ import annotations

import re

import pytest

from monitor.simulator.pbx_data.generator import make_directory


def test_the_same_seed_makes_the_same_company() -> None:
    one, other = make_directory(42, 40, 4), make_directory(42, 40, 4)
    assert one.users == other.users
    assert one.queues == other.queues
    assert one.contacts == other.contacts
    assert [one.devices(number) for number in one.extensions()] == [
        other.devices(number) for number in other.extensions()
    ]
    assert one.users != make_directory(43, 40, 4).users


def test_numbers_are_where_they_are_said_to_be() -> None:
    directory = make_directory(1, 40, 4)
    assert directory.extensions()[0] == "100"
    assert directory.queue_numbers() == ["800", "801", "802", "803"]
    assert directory.ring_group_numbers() == ["600", "601", "690"]
    assert directory.ivr_numbers() == ["700", "701", "HOL", "QCB"]
    assert directory.trunk_numbers() == ["10000", "10001", "10002"]
    kinds = {
        "990": "conference",
        "999": "specialmenu",
        "7990": "parking",
        "SP0": "parking",
        "SP11": "parking",
        "HOL": "ivr",
        "QCB": "ivr",
        "crmintegration": "routepoint",
        "callmon": "routepoint",
        "10000": "externalline",
    }
    for number, kind in kinds.items():
        dn = directory.dn(number)
        assert dn is not None
        assert dn.kind == kind
    assert directory.dn("12345") is None


@pytest.mark.parametrize(
    ("extensions", "first", "queue"),
    [(1, "100", "800"), (880, "100", "800"), (901, "1000", "8000"), (5000, "1000", "8000")],
)
def test_no_number_is_given_twice(extensions: int, first: str, queue: str) -> None:
    directory = make_directory(3, extensions, 6, contacts=0)
    assert directory.extensions()[0] == first
    assert directory.queue_numbers()[0] == queue
    assert len(directory.extensions()) == extensions
    numbers = [dn.number for dn in directory.dns()]
    assert len(numbers) == len(set(numbers))


def test_every_habit_of_the_data_can_be_left_out() -> None:
    usual = make_directory(1, 40, 4)
    names = {dn.number: dn.name for dn in usual.dns()}
    assert (names["10001"], names["801"]) == ("SIP Trunk (1)", "Support (2)")
    assert names["105"] == "Sales (106)", "the bracket names another extension"
    assert any(usual.rung_members(group) != usual.members(group) for group in ("600", "601"))
    plain = make_directory(1, 40, 4, without=("letter_dns", "bracket_names", "ring_group_opt_out"))
    assert [dn.number for dn in plain.dns() if not dn.number.isdigit()] == ["callmon"]
    assert not any("(" in dn.name for dn in plain.dns())
    assert all(plain.rung_members(group) == plain.members(group) for group in ("600", "601"))


def test_names_are_those_of_an_ordinary_company_unless_odd_ones_are_wanted() -> None:
    usual = {dn.name for dn in make_directory(1, 200, 8).dns()}
    odd = {dn.name for dn in make_directory(1, 200, 8, odd_names=True).dns()}
    latin = re.compile(r"[\w .,()'&/+-]+")
    assert all(latin.fullmatch(name) and len(name) < 30 for name in usual)
    assert not any(re.search(r"[^\x00-\u1eff]", name) for name in usual), "Latin letters only"
    assert any(len(name) > 40 for name in odd)
    assert any("\N{ROCKET}" in name for name in odd)
    assert any(re.search("[а-я]", name) for name in odd)


def test_the_rest_of_the_company_does_not_depend_on_the_names() -> None:
    usual, odd = make_directory(1, 40, 4), make_directory(1, 40, 4, odd_names=True)
    assert [usual.agents(n) for n in usual.queue_numbers()] == [
        odd.agents(n) for n in odd.queue_numbers()
    ]
    assert [usual.devices(n) for n in usual.extensions()] == [
        odd.devices(n) for n in odd.extensions()
    ]


def test_one_extension_is_an_ai_agent_and_no_person() -> None:
    directory = make_directory(1, 40, 4)
    robots = set(directory.extensions()) - set(directory.people())
    assert robots == {"121"}
    assert [device.user_agent for device in directory.devices("121")] == ["3CX AI Agent"]
    assert not any("121" in directory.agents(queue) for queue in directory.queue_numbers())


def test_more_numbers_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="more than a PBX can number"):
        make_directory(1, 10_000_000, 1)


def test_trunks_have_the_rules_that_dids_are_told_by() -> None:
    directory = make_directory(1, 40, 4)
    assert len(directory.dids("10000")) > 3
    assert sorted(rule["Data"] for rule in directory.rules("10000")) == sorted(
        directory.dids("10000")
    )
    assert {rule["Condition"] for rule in directory.rules("10000")} == {"BasedOnDID"}
    assert len(directory.rules("10001")) == 1
    assert directory.rules("10002") == []
    assert directory.dids("99") == []


@pytest.mark.parametrize("monitored", ["extensions", "all", "half"])
def test_the_api_client_may_monitor_what_was_chosen(monitored: str) -> None:
    directory = make_directory(1, 41, 4, monitored=monitored)  # type: ignore[arg-type]  # parametrized words
    peers = directory.peers("callmon")
    match monitored:
        case "extensions":
            assert peers == directory.extensions()
        case "half":
            assert len(peers) == 21
        case _:
            assert {"800", "600", "700", "10000", *directory.extensions()} <= set(peers)
    assert directory.peers("somebody") == []


def test_there_are_extensions_with_two_devices_and_with_none() -> None:
    directory = make_directory(1, 40, 4)
    counts = {number: len(directory.devices(number)) for number in directory.extensions()}
    assert set(counts.values()) == {0, 1, 2}
    assert all(directory.registered(number) == (count > 0) for number, count in counts.items())
    assert directory.registered("800")
    assert not directory.registered("12345")
