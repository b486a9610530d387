from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.simulator.pbx_data import templates
from monitor.simulator.pbx_data.address_book import Book
from monitor.simulator.pbx_data.directory import Device, Directory, Dn
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.pbx_data.templates import contact, trunk


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
    assert directory.ring_group_numbers() == ["600", "601"]
    assert directory.ivr_numbers() == ["700", "701"]
    assert directory.trunk_numbers() == ["10000", "10001", "10002"]
    kinds = {
        "990": "conference",
        "999": "specialmenu",
        "7990": "parking",
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


def test_an_agent_takes_calls_if_nothing_speaks_against_it() -> None:
    directory = Directory()
    user = directory.add("extension", templates.user("100", "Tom", "Smith"))
    queue = templates.blank("Queue", Number="800", Name="Sales")
    directory.add("queue", queue | {"Agents": [{"Number": "100", "SkillGroup": "1"}]})
    assert directory.agents("800") == ["100"]
    assert directory.available_agents("800") == []
    directory.set_devices("100", [Device("100", "sip:100@127.0.0.1:5060", "phone")])
    assert directory.available_agents("800") == ["100"]
    for name, value in (
        ("Enabled", False),
        ("QueueStatus", "LoggedOut"),
        ("CurrentProfileName", "Away"),
    ):
        before = user[name]
        directory.update(user, {name: value})
        assert directory.available_agents("800") == []
        directory.update(user, {name: before})
    assert directory.agents("100") == []


def test_whoever_is_deleted_is_in_no_list_any_more() -> None:
    directory = make_directory(1, 20, 3)
    heard: list[str] = []
    directory.on_change(heard.append)
    agent = directory.agents("800")[0]
    directory.remove(agent)
    assert heard == [agent]
    assert directory.dn(agent) is None
    assert agent not in directory.extensions()
    assert agent not in directory.peers("callmon")
    assert all(agent not in directory.agents(queue) for queue in directory.queue_numbers())
    assert all(agent not in directory.members(group) for group in directory.ring_group_numbers())
    assert directory.devices(agent) == []
    with pytest.raises(KeyError):
        directory.remove(agent)


def test_a_deleted_trunk_takes_its_rules_and_dids_along() -> None:
    directory = make_directory(1, 20, 3)
    directory.remove("10000")
    assert {rule["TrunkDN"]["Number"] for rule in directory.inbound_rules.values()} == {"10001"}
    assert [row["Number"] for row in directory.did_numbers.values()] == ["+74951234567"]


def test_a_number_in_use_is_not_given_again() -> None:
    directory = make_directory(1, 20, 3)
    with pytest.raises(ValueError, match="100 is in use"):
        directory.add("queue", templates.blank("Queue", Number="100"))
    assert directory.first_free("extension") == "120"
    assert directory.first_free("queue") == "803"
    assert directory.first_free("externalline") == "10003"
    with pytest.raises(ValueError, match="no trunk"):
        directory.add_did("+1", "55555")


def test_a_range_that_is_used_up_has_no_free_number() -> None:
    directory = Directory(first_extension=98)
    directory.add("extension", templates.user("98"))
    assert directory.first_free("extension") == "99"
    directory.add("extension", templates.user("99"))
    assert directory.first_free("extension") is None


def test_a_number_stays_whatever_is_set() -> None:
    directory = make_directory(1, 20, 3)
    user = directory.entity("100")
    assert user is not None
    directory.update(user, {"Number": "999999", "Id": 7, "Mobile": "+1"})
    assert (user["Number"], user["Mobile"]) == ("100", "+1")
    assert user["Id"] != 7


def test_names_are_those_that_the_pbx_shows() -> None:
    assert templates.display_name("John", "Smith") == "Smith, John"
    assert templates.display_name("", "Smith") == "Smith"
    assert templates.display_name("John", "") == "John"
    directory = Directory()
    directory.add("externalline", trunk("10000", "skyetel"))
    assert directory.dn("10000") == Dn("10000", "externalline", "skyetel", 1)


_DIGITS = st.text("012", min_size=1, max_size=7)
_PHONES = st.tuples(_DIGITS, _DIGITS | st.just(""))


@settings(max_examples=150)
@given(
    st.lists(_PHONES, max_size=8),
    st.lists(st.tuples(st.integers(1, 8), _PHONES | st.none()), max_size=6),
    _DIGITS,
    st.booleans(),
)
def test_contacts_are_found_as_by_looking_at_each(
    phones: list[tuple[str, str]],
    changes: list[tuple[int, tuple[str, str] | None]],
    asked: str,
    early: bool,
) -> None:
    book = Book()
    for mobile, business in phones:
        book.add(
            contact("A", phone=f"+{mobile}") | {"Business": f"({business[:2]}) {business[2:]}"}
        )
    if early:
        book.find(asked, "exact")
    for contact_id, change in changes:
        if contact_id in book.contacts and change is None:
            book.remove(contact_id)
        elif contact_id in book.contacts and change is not None:
            book.update(contact_id, {"PhoneNumber": change[0], "Business": change[1]})

    def numbers(entry: dict[str, str]) -> set[str]:
        texts = ("".join(filter(str.isdigit, entry[name])) for name in ("PhoneNumber", "Business"))
        return {text for text in texts if text}

    exact = [key for key, entry in sorted(book.contacts.items()) if asked in numbers(entry)]
    tail = [
        key
        for key, entry in sorted(book.contacts.items())
        if any(number.endswith(asked) or asked.endswith(number) for number in numbers(entry))
    ]
    assert [entry["Id"] for entry in book.find(f"+{asked}", "exact")] == exact
    assert [entry["Id"] for entry in book.find(asked, "tail")] == tail
    assert book.find("no digits", "tail") == []
