from __future__ import annotations

from typing import Any

import pytest
from threecx import NotFoundError  # type: ignore[import-untyped]  # it has no py.typed
from threecx.models.contacts import Contact  # type: ignore[import-untyped]  # it has no py.typed

from monitor.pbx.facts import ContactChanged
from monitor.shared.errors import CommandOutcomeUnknown, PbxUnreachable
from tests.monitor.pbx.commanding import Desk

FIELDS = {
    "firstname": "first_name",
    "lastname": "last_name",
    "company": "company_name",
    "tag": "tag",
    "phone": "phone_number",
    "data0": "mobile2",
    "data1": "home",
    "data3": "business",
    "data4": "business2",
    "data5": "email",
    "data6": "other",
    "data7": "business_fax",
    "data9": "pager",
}
EVERYTHING = {field: f"+7 {position} {field}" for position, field in enumerate(FIELDS)}


async def read(desk: Desk, id_: int) -> Contact:
    return await desk.sdk(lambda client: client.contacts.get(id_))


async def test_every_field_of_a_contact_is_changed_alone(desk: Desk) -> None:
    for field, attribute in FIELDS.items():
        before = {**desk.pbx.directory.contacts[3]}
        assert await desk.do("contact.update", id="3", **{field: "+49 30 1"}) == {}
        assert getattr(await read(desk, 3), attribute) == "+49 30 1"
        assert getattr(desk.contact(3), field) == "+49 30 1"
        after = desk.pbx.directory.contacts[3]
        assert len([name for name in before if before[name] != after[name]]) == 1


async def test_a_number_that_lost_its_plus_in_an_address_is_not_stored(desk: Desk) -> None:
    for field in FIELDS:
        if field.startswith(("phone", "data")) and field != "data5":
            refused = await desk.refused("contact.update", id="3", **{field: " 49301234"})
            assert (refused.code, refused.kind) == ("bad_value", "bad")
            assert f"{field} begins with a space: a + in an address is written %2B" in str(refused)
    refused = await desk.refused("contact.new", firstname="Ann", phone=" 49301234")
    assert refused.code == "bad_value"
    await desk.do("contact.update", id="3", firstname=" Ann", phone=" ")


async def test_a_field_may_be_emptied(desk: Desk) -> None:
    await desk.do("contact.update", id="3", tag="x")
    await desk.do("contact.update", id="3", tag="")
    assert (await read(desk, 3)).tag == ""


async def test_a_contact_is_made_with_every_field(desk: Desk) -> None:
    assert await desk.do("contact.new", **EVERYTHING, data8="1") == {
        "id": 11,
        "unsupported": ["data8"],
    }
    made, shown = await read(desk, 11), desk.contact(11)
    assert {field: getattr(made, attribute) for field, attribute in FIELDS.items()} == EVERYTHING
    assert {field: getattr(shown, field) for field in FIELDS} == EVERYTHING


async def test_what_a_3cx_has_not_is_named(desk: Desk) -> None:
    reply = await desk.do(
        "contact.update", id="3", company="Acme", data2="1", data8="2", crmcontactdata="3"
    )
    assert reply == {"unsupported": ["crmcontactdata", "data2", "data8"]}
    assert (await read(desk, 3)).company_name == "Acme"
    for command, arguments in (("contact.update", {"id": "3"}), ("contact.new", {})):
        refused = await desk.refused(command, **arguments, data2="1", crmcontactdata="3")
        assert (refused.code, refused.kind) == ("unsupported", "conflict")
        assert "crmcontactdata, data2" in str(refused)


async def test_a_contact_is_deleted(desk: Desk) -> None:
    assert await desk.do("contact.del", id="3") == {}
    with pytest.raises(NotFoundError):
        await read(desk, 3)
    assert desk.contact(3) is None
    assert desk.last(ContactChanged).contact is None


REFUSED: list[tuple[str, dict[str, str], str, str]] = [
    ("contact.update", {"id": "999", "tag": "x"}, "unknown_contact", "missing"),
    ("contact.update", {"id": "9007199254740991", "tag": "x"}, "unknown_contact", "missing"),
    ("contact.update", {"id": "3"}, "nothing_to_set", "bad"),
    (
        "contact.update",
        {"id": "3", "firstname": "", "lastname": "", "company": ""},
        "contact_needs_name",
        "bad",
    ),
    ("contact.update", {"id": "3", "tag": "x" * 256}, "too_long", "bad"),
    ("contact.new", {}, "nothing_to_set", "bad"),
    ("contact.new", {"firstname": "A"}, "contact_needs_phone", "bad"),
    ("contact.new", {"phone": "1"}, "contact_needs_name", "bad"),
    ("contact.del", {"id": "999"}, "unknown_contact", "missing"),
    ("contact.del", {"id": "9007199254740991"}, "unknown_contact", "missing"),
]


async def test_what_is_refused(desk: Desk) -> None:
    for command, arguments, code, kind in REFUSED:
        refused = await desk.refused(command, **arguments)
        assert (refused.code, refused.kind) == (code, kind), arguments


ASKS: list[tuple[str, str, dict[str, str]]] = [
    ("PATCH", "contact.update", {"id": "3", "tag": "x"}),
    ("POST", "contact.new", {"firstname": "A", "phone": "1"}),
    ("DELETE", "contact.del", {"id": "3"}),
]


async def test_rights_are_asked_for(desk: Desk) -> None:
    for method, command, arguments in ASKS:
        desk.pbx.faults.answer_with(403, 1, "/xapi/v1/Contacts", method=method)
        assert (await desk.refused(command, **arguments)).code == "not_permitted"


async def test_a_pbx_that_has_enough_has_done_nothing(desk: Desk) -> None:
    for method, command, arguments in ASKS:
        before = desk.configuration()
        desk.pbx.faults.answer_with(429, 1, "/xapi/v1/Contacts", method=method, retry_after=3)
        with pytest.raises(PbxUnreachable):
            await desk.do(command, **arguments)
        assert desk.configuration() == before


async def test_an_answer_that_is_lost_is_not_known_and_what_was_done_is_shown_all_the_same(
    desk: Desk,
) -> None:
    for method, command, arguments in ASKS:
        desk.pbx.faults.lose_answers(1, "/xapi/v1/Contacts", method=method)
        with pytest.raises(CommandOutcomeUnknown):
            await desk.do(command, **arguments)
    await desk.until(lambda: desk.contact(3) is None and desk.contact(11) is not None)


async def test_a_contact_made_and_not_to_be_read_is_not_called_a_success(desk: Desk) -> None:
    desk.pbx.faults.answer_with(503, 4, "/xapi/v1/Contacts", method="GET")
    with pytest.raises(CommandOutcomeUnknown, match=r"has done it.*id is 11"):
        await desk.do("contact.new", firstname="A", phone="1")
    await desk.until(lambda: desk.contact(11) is not None)


async def test_one_failure_to_read_does_no_harm(desk: Desk) -> None:
    desk.pbx.faults.answer_with(503, 1, "/xapi/v1/Contacts", method="GET")
    assert await desk.do("contact.new", firstname="A", phone="1") == {"id": 11}
    assert desk.contact(11) is not None


async def test_an_answer_without_an_id_is_not_known(desk: Desk) -> None:
    body: Any = {"FirstName": "A"}
    desk.pbx.faults.answer_with(201, 1, "/xapi/v1/Contacts", method="POST", body=body)
    with pytest.raises(CommandOutcomeUnknown, match="did not return its id"):
        await desk.do("contact.new", firstname="A", phone="1")
