"""Test the stream's document in words."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.docs.asyncapi import asyncapi
from gateway.docs.stream_page import stream_text


def _document(field: dict[str, Any], example: object = None) -> dict[str, Any]:
    document = asyncapi("1")
    document["components"]["schemas"]["Pong"]["properties"] = {"at": field}
    if example is not None:
        document["components"]["messages"]["pong"]["examples"] = [{"payload": example}]
    return document


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ({"type": "string"}, "text"),
        ({"type": ["string", "null"]}, "text or nothing"),
        ({"type": "string", "format": "date-time"}, "instant"),
        ({"const": "pong"}, "`pong`"),
        ({"const": 3}, "`3`"),
        ({"enum": ["a", "b"]}, "`a`, `b`"),
        ({"$ref": "#/components/schemas/Leg"}, "[Leg](#Leg)"),
        ({"type": "array", "items": {"$ref": "#/x/Leg"}}, "list of [Leg](#Leg)"),
        ({"type": "array"}, "list of anything"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or nothing"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "map to true or false"),
    ],
)
def test_a_fields_type_is_told_in_words(field: dict[str, Any], kind: str) -> None:
    assert f"| {kind} |  |" in stream_text(_document(field))


def test_a_cell_stays_in_its_row() -> None:
    said = {"type": "string", "description": "one | two\nthree", "examples": ["x"]}
    assert "| text | one \\| two three For example `x`. |" in stream_text(_document(said))


def test_a_long_example_is_cut() -> None:
    text = stream_text(_document({"type": "string"}, {"at": "y" * 5_000}))
    assert "y" * 1_400 in text
    assert "y" * 1_501 not in text
