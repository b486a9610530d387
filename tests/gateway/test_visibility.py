"""Test what a key may see."""

from __future__ import annotations

import msgspec
import pytest

from gateway.visibility import EVERYTHING, NO_LIMITS, Limits, Visibility
from monitor.shared.entities.topics import Entity
from tests.gateway.entities import call, ended, extension, extgroup, group, ivr, line, queue, system

LIMITED = Visibility(
    Limits(extensions=frozenset({"101"}), queues=frozenset({"800"}), groups=frozenset({"600"}))
)
ONLY_EXTENSION = Visibility(Limits(extensions=frozenset({"101"})))


def test_a_key_without_limits_sees_everything_as_it_is() -> None:
    whole = queue("800", agents=("101", "102"))
    assert EVERYTHING.shown("queues", whole) is whole
    assert EVERYTHING.visible("lines", line("10000"))
    assert "contacts" in EVERYTHING.topics


@pytest.mark.parametrize(
    ("topic", "entity", "seen"),
    [
        ("system", system(), True),
        ("extensions", extension("101"), True),
        ("extensions", extension("102"), False),
        ("queues", queue("800"), True),
        ("queues", queue("801", agents=("101",)), False),
        ("groups", group("600"), True),
        ("groups", group("601", members=("101",)), False),
        ("calls", call(1, extensions=("102", "101")), True),
        ("calls", call(1, extensions=("102",), queues=("800",)), True),
        ("calls", call(1, extensions=("102",), groups=("600",)), True),
        ("calls", call(1, extensions=("102",), queues=("801",), groups=("601",)), False),
        ("ended", ended(1, extensions=("101",)), True),
        ("ended", ended(1, extensions=("102",)), False),
        ("lines", line("10000"), False),
        ("ivrs", ivr("700"), False),
        ("extgroups", extgroup("Sales", members=("101",)), False),
    ],
)
def test_a_limited_key_sees_what_is_listed_and_the_calls_of_it(
    topic: str, entity: Entity, seen: bool
) -> None:
    assert LIMITED.visible(topic, entity) is seen
    assert (LIMITED.shown(topic, entity) is not None) is seen


def test_a_kind_that_is_not_listed_is_not_seen_when_another_is() -> None:
    assert not ONLY_EXTENSION.visible("queues", queue("800"))
    assert not ONLY_EXTENSION.visible("calls", call(1, extensions=("102",), queues=("800",)))
    assert ONLY_EXTENSION.visible("calls", call(1, extensions=("101",), queues=("800",)))


def test_an_empty_limit_is_a_limit() -> None:
    nobody = Visibility(Limits(extensions=frozenset()))
    assert nobody.limits.any
    assert not nobody.visible("extensions", extension("101"))
    assert nobody.visible("system", system())


def test_lists_within_a_visible_entity_hold_visible_items_only() -> None:
    seen = LIMITED.redact("queues", queue("800", agents=("100", "101"), managers=("100",)))
    assert [agent.num for agent in seen.agents] == ["101"]
    assert (seen.managers, seen.logged_in) == ((), ("101",))
    assert LIMITED.redact("groups", group("600", members=("100", "101"))).members == ("101",)
    ext = LIMITED.redact("extensions", extension("101", ("800", "801"), ("600", "601"), ("Sales",)))
    assert [login.num for login in ext.q_status] == ["800"]
    assert (ext.queues, ext.groups, ext.extgroups) == (("800",), ("600",), ())


@pytest.mark.parametrize("limits", [NO_LIMITS, LIMITED.limits])
def test_without_contacts_peoples_own_addresses_are_not_seen(limits: Limits) -> None:
    whole = msgspec.structs.replace(
        extension("101"), email="a@example.com", mobile="+49151", authid="s3cret"
    )
    seen = Visibility(limits, contacts=False).shown("extensions", whole)
    assert seen == msgspec.structs.replace(
        Visibility(limits).shown("extensions", whole) or whole, email="", mobile="", authid=""
    )
    with_contacts = Visibility(limits, contacts=True).shown("extensions", whole)
    assert with_contacts is not None
    assert (with_contacts.email, with_contacts.mobile, with_contacts.authid) == (
        "a@example.com",
        "+49151",
        "s3cret",
    )


def test_a_visible_call_is_whole() -> None:
    whole = call(1, extensions=("101", "102"), queues=("801",))
    assert LIMITED.shown("calls", whole) is whole


@pytest.mark.parametrize(("returned_by", "seen"), [("101", "101"), ("102", ""), ("", "")])
def test_who_returned_a_missed_call_is_shown_only_if_listed(returned_by: str, seen: str) -> None:
    """They did so in another call, which may not be seen."""
    missed = msgspec.structs.replace(ended(1, queues=("800",)), returned_by=returned_by)
    shown = LIMITED.shown("ended", missed)
    assert shown is not None
    assert shown.returned_by == seen
    assert EVERYTHING.shown("ended", missed) is missed
