"""Test the documents in other languages: nothing is missing, nothing is left over, code stays."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest

from gateway.docs.asyncapi import asyncapi
from gateway.docs.openapi import openapi
from gateway.docs.stream_page import stream_text
from gateway.docs.translation import (
    ENGLISH,
    LANGUAGES,
    catalogue,
    preferred,
    said,
    translated,
)
from gateway.operations.operation_table import COMMANDS, Command
from tests.gateway.docs.document import DOCUMENT, walk

LINK = re.compile(r"\]\(([^)?]+)")
CODE = re.compile(r"`[^`]*`|\[\w+\]\(#\w+\)")
RUSSIAN = catalogue("ru")
PAGE = (
    "the interface",
    "the stream",
    "Languages",
    "Start page",
    "This page needs JavaScript.",
    "says the same without.",
)
"""What the pages say besides."""
STREAM = stream_text(asyncapi("1.2.3"))
PROSE = "\n\n".join(
    part
    for part in STREAM.split("\n\n")
    if not part.startswith("```") and not re.fullmatch(r"### \w+", part)
)
"""The stream in words, without examples and names."""


async def composed(_run: object, _given: object) -> None:
    """Do nothing: a site's own command."""


def texts_of(document: dict[str, Any]) -> list[str]:
    found: list[str] = []

    def keep(text: str) -> str:
        found.append(text)
        return text

    assert translated(document, keep) == document
    return found


OWN = Command("site.own", "control", "Does what this site needs", composition=composed)
TEXTS = texts_of(openapi([*COMMANDS.values(), OWN], "1.2.3"))


def test_every_text_of_the_documented_interface_is_in_the_catalogue() -> None:
    texts = texts_of(openapi(COMMANDS.values(), "1.2.3"))
    for command in COMMANDS.values():
        assert command.summary[:1].upper() + command.summary[1:] in texts
        for parameter in command.parameters:
            assert any(text.lower().startswith(parameter.summary.lower()) for text in texts)
    marked = dict.fromkeys(RUSSIAN, "✓")
    lines = {line for text in (*texts, *PAGE, PROSE) for line in said(text, marked).splitlines()}
    assert [line for line in lines if re.search(r"[^\W\d_]", CODE.sub("", line))] == []


def test_no_translation_is_left_over() -> None:
    said_somewhere = "\n".join((*TEXTS, *PAGE, STREAM))
    alike = re.sub(r"`\{\}`(, `\{\}`)+", "`{}`", CODE.sub("`{}`", said_somewhere))
    assert [text for text in RUSSIAN if text not in said_somewhere and text not in alike] == []


def test_code_numbers_and_links_are_the_same_in_each_translation() -> None:
    for english, russian in RUSSIAN.items():
        for kind in (CODE, LINK) if "openapi.json](" not in english else (CODE,):
            assert sorted(kind.findall(russian)) == sorted(kind.findall(english)), english
        assert numbers(russian) == numbers(english), english


def numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d+", re.sub(r"(?<=\d),(?=\d{3})", "", CODE.sub("", text))))


def test_nothing_but_texts_and_groups_differs() -> None:
    said_in_russian = translated(DOCUMENT, partial(said, texts=RUSSIAN))
    russian = dict(walk(said_in_russian))
    english = dict(walk(DOCUMENT))
    assert russian.keys() == english.keys()
    different = {
        place
        for place, value in english.items()
        if isinstance(value, str) and russian[place] != value
    }
    assert len(different) > 500
    for place in different:
        assert re.search(r"/(summary|description|tags/\d+(/name)?)$", place), place
        assert "/example" not in place
    groups = {tag["name"] for tag in said_in_russian["tags"]}
    assert "Звонки" in groups
    assert said_in_russian["paths"]["/webapi/pbx.ac.get"]["get"]["tags"] == ["Звонки"]


def test_what_has_no_translation_stays_english() -> None:
    texts = {"One.": "Раз.", "`{}`, or `{}`.": "`{}` или `{}`.", "a": "б"}
    assert said("One. Two.", texts) == "Раз. Two."
    assert said("`x`, `y`, or `z`. Two.", texts) == "`x`, `y` или `z`. Two."
    assert said("| a | c | One. |\n| --- | --- | `a` |", texts) == (
        "| б | c | Раз. |\n| --- | --- | `a` |"
    )
    assert said("## One\n\nOne.", texts) == "## One\n\nРаз."
    assert "Does what this site needs" in TEXTS


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("*", "en"),
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8,en;q=0.7", "ru"),
        ("en-GB, ru;q=0.9", "en"),
        ("en;q=0.3, RU ;q=0.8", "ru"),
        ("de-DE,de;q=0.9,ru;q=0.5", "ru"),
        ("ru;q=0", "en"),
        ("ru;q=x, en", "en"),
        ("rus, ruby", "en"),
        ("ru," * 100, "en"),
    ],
)
def test_the_browsers_language_is_taken_if_it_is_one_of_ours(accepted: str, language: str) -> None:
    assert preferred(accepted) == language


def test_english_is_the_source() -> None:
    assert LANGUAGES[0] == ENGLISH
    assert catalogue(ENGLISH) == {}


def test_examples_are_sent_as_they_are() -> None:
    document = {"description": "One.", "example": {"description": "One."}}
    assert translated(document, str.upper) == document | {"description": "ONE."}
