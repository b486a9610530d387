"""JSON Schemas of what is sent, and the texts that describe them."""

from __future__ import annotations

from typing import Literal

import jsonschema
import pytest
from msgspec import UNSET, Struct, UnsetType

from gateway.docs.schemas import PLACE, field_notes, in_markdown, ref, schemas_of
from monitor.shared.codec import from_json, to_json


class Inner(Struct, frozen=True):
    """What an :class:`Outer` holds."""

    text: str


class Outer(Struct, frozen=True, rename="camel", tag="outer"):
    """The first line, which
    goes on.

    The second paragraph, with ``code``.
    """

    started_at: str
    """The instant at which it began."""
    ended_at: str | None
    held: Inner
    """The one that it holds."""
    many: tuple[Inner, ...] = ()
    direction: Literal["in", "out"] = "in"
    more: int | UnsetType = UNSET


SCHEMAS = schemas_of([Outer])


def sent_as(struct: Struct) -> dict[str, object]:
    found: dict[str, object] = from_json(to_json(struct))
    return found


def allows(value: object) -> bool:
    whole = {"components": {"schemas": SCHEMAS}, "$ref": ref(Outer)["$ref"]}
    return jsonschema.Draft202012Validator(whole).is_valid(value)


def test_what_is_sent_is_what_the_schema_says() -> None:
    for sent in (
        Outer("a", None, Inner("x")),
        Outer("a", "b", Inner("x"), (Inner("y"),), "out", 7),
    ):
        assert allows(sent_as(sent))


@pytest.mark.parametrize(
    "change",
    [
        {"type": "inner"},
        {"startedAt": None},
        {"endedAt": 1},
        {"held": {}},
        {"many": [1]},
        {"direction": "up"},
        {"more": None},
    ],
    ids=str,
)
def test_what_is_never_sent_is_not_what_the_schema_says(change: dict[str, object]) -> None:
    sent = sent_as(Outer("a", None, Inner("x")))
    assert not allows(sent | change)


@pytest.mark.parametrize("field", ["type", "startedAt", "endedAt", "held", "many", "direction"])
def test_whatever_is_always_sent_is_required(field: str) -> None:
    sent = sent_as(Outer("a", None, Inner("x")))
    del sent[field]
    assert not allows(sent)


def test_structs_within_are_found_and_referred_to() -> None:
    assert set(SCHEMAS) == {"Inner", "Outer"}
    assert SCHEMAS["Outer"]["properties"]["many"]["items"] == {"$ref": f"{PLACE}Inner"}


def test_an_instant_is_said_to_be_one_also_where_it_may_be_null() -> None:
    fields = SCHEMAS["Outer"]["properties"]
    assert fields["startedAt"]["format"] == fields["endedAt"]["format"] == "date-time"
    assert fields["endedAt"]["type"] == ["string", "null"]
    assert "format" not in fields["direction"]


def test_fields_are_described_by_the_texts_under_them() -> None:
    fields = SCHEMAS["Outer"]["properties"]
    assert fields["startedAt"]["description"] == "The instant at which it began."
    assert fields["held"] == {"allOf": [ref(Inner)], "description": "The one that it holds."}
    assert "description" not in fields["endedAt"], "a text belongs to the field above it alone"
    assert field_notes(type("OfNoSource", (), {})) == {}


def test_a_docstring_becomes_markdown() -> None:
    assert SCHEMAS["Outer"]["description"] == (
        "The first line, which goes on.\n\nThe second paragraph, with `code`."
    )
    assert SCHEMAS["Inner"]["description"] == "What an `Outer` holds."
    assert in_markdown(":class:`~a.b.C` and :meth:`d`") == "`a.b.C` and `d`"
