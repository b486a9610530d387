"""Text of others shown in a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.shared.printable_text import printable
from tests.gateway.cli.console import OBEYED


@pytest.mark.parametrize(
    "text",
    [
        "Smith, John",
        "Иванова 👩\u200d🔧",
        "名前",
        "→ ü\u00a0x",
        "می\u200cخواهم",
        "",
        "\ufffd\ue000",
    ],
)
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text


def test_what_a_terminal_obeys_is_shown() -> None:
    assert (
        printable("a\x1b]52;c;x\x07b\nc\x9b\u202e")
        == "a\\u001b]52;c;x\\u0007b\\u000ac\\u009b\\u202e"
    )


@given(st.text(st.characters(codec=None)))
def test_no_text_leaves_anything_to_be_obeyed(text: str) -> None:
    shown = printable(text)
    assert not OBEYED & set(shown)
    assert "\n" not in shown
    shown.encode()
    if (
        "\\" not in text
        and '"' not in text
        and not any(0xD800 <= ord(char) < 0xE000 for char in text)
    ):
        assert json.loads(f'"{shown}"') == text


@given(st.text())
def test_json_says_the_same_as_before(text: str) -> None:
    value = {"name": text}
    assert json.loads(printable(json.dumps(value, ensure_ascii=False))) == value
