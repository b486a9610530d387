"""``callmon top`` and ``callmon tail`` speak the wall's words, and so do the pages about them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from gateway.cli.top.rows import SHEETS
from gateway.cli.wall_words import (
    RUSSIAN,
    WORDS,
    direction,
    leg_word,
    outcome,
    progress,
    words_of,
)
from monitor.shared.entities.calls import Direction, Outcome
from monitor.shared.entities.topics import Call, DnType, EndedCall, Leg
from tests.gateway import entities
from tests.gateway.cli.console import ROOT
from tests.gateway.histories import plain

OWN = {"Call", "", "No.", "Talked"}
"""Titles of ``callmon top`` for what the wall has no word for."""


CLI = Path(ROOT) / "gateway" / "cli"
_TRANSLATED = re.compile(r'translated\(\s*((?:"[^"]*"\s*)+)')
wall = cache(words_of)


def sources() -> str:
    """The code of ``top`` and ``tail``."""
    files = [*(CLI / "top").glob("*.py"), CLI / "tail_and_snapshot.py", CLI / "wall_words.py"]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def test_words_are_those_of_the_wall_in_either_language() -> None:
    used = set(re.findall(r'WORDS\["([\w.]+)"\]', sources()))
    assert len(used) > 30
    for language in ("en", "ru"):
        assert used - set(wall(language)) == set(), language
    assert (wall("en")["day.level"], wall("ru")["day.abandoned"]) == ("SL", "Потер.")
    assert wall("ru")["profiles.Out of office"] == "Вне офиса"
    assert wall("en") == WORDS


def test_each_text_that_the_wall_does_not_have_is_there_in_russian() -> None:
    texts = {"".join(re.findall(r'"([^"]*)"', found)) for found in _TRANSLATED.findall(sources())}
    assert len(texts) > 40
    assert texts - set(RUSSIAN) == set()
    for text, russian in RUSSIAN.items():
        places = set(re.findall(r"\{\w+\}", text))
        assert set(re.findall(r"\{\w+\}", russian)) <= places, text
        assert re.search("[а-яё№]", russian.lower()), text


def test_top_and_tail_speak_russian_with_a_russian_locale() -> None:
    code = """
from gateway.cli.top.details import details
from gateway.cli.top.rows import SHEETS, duration
from gateway.cli.wall_words import leg_word, outcome
from tests.gateway.cli.top import scene

print(*(sheet.title for sheet in SHEETS), *(column.title for column in SHEETS[0].columns))
print(duration(90_000), leg_word({"status": "Connected"}), outcome({"outcome": "transferred"}))
for sheet, topic in (("Calls", "calls"), ("Queues", "queues"), ("Agents", "extensions")):
    for id_ in scene.state()[topic]:
        found = details(sheet, id_, scene.state(), scene.NOW)
        print(found.title, *found.lines, *(text for row in found.table[:1] for text in row))
"""
    environment = os.environ | {"LC_ALL": "ru_RU.UTF-8", "PYTHONUTF8": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("Звонки Очереди Операторы Пропущенные Звонок  От кого Кому Через")
    assert "1 д 1 ч На связи Передан" in ran.stdout
    english = r"\b(?:Today|Answered|Waits|Call|Queue|Extension|Skill|Leg|began|registered|Type)\b"
    assert not re.findall(english, ran.stdout), ran.stdout


def test_titles_of_top_are_words_of_the_wall() -> None:
    titles = {column.title for sheet in SHEETS for column in sheet.columns}
    assert titles - set(WORDS.values()) == OWN
    assert {sheet.name for sheet in SHEETS} <= set(WORDS.values())


def glossary(page: str) -> list[list[str]]:
    """The cells of the table in which a page explains the words."""
    text = (Path(ROOT) / "deploy" / page).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    begins = max(place for place, row in enumerate(rows) if row.startswith("| ---"))
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows[begins + 1 :]]


def test_the_glossaries_explain_words_that_the_wall_shows() -> None:
    english, russian = glossary("wallboard.md"), glossary("wallboard.ru.md")
    assert len(english) > 12
    assert {row[0] for row in english} - set(wall("en").values()) == set()
    assert {row[0] for row in russian} - set(wall("ru").values()) == set()


def test_the_russian_glossary_has_the_same_words_in_the_same_order() -> None:
    english, russian = glossary("wallboard.md"), glossary("wallboard.ru.md")
    assert [row[2] for row in russian] == [row[0] for row in english]
    there, here = wall("en"), wall("ru")
    for word, _, told in russian:
        keys = [key for key, text in there.items() if text == told]
        assert word in [here.get(key) for key in keys], (word, told)


def call(state: str, *legs: tuple[DnType, str], rings: bool = False, **more: Any) -> dict[str, Any]:
    """A call whose legs talk, or ring with ``rings``."""
    made = tuple(Leg("1", kind, "", status) for kind, status in legs)
    found: Call = replace(entities.call(1, state=state), legs=made, **more)
    found = replace(found, **{"routing_to" if rings else "talk_to": made})
    made_plain: dict[str, Any] = plain(found)
    return made_plain


@pytest.mark.parametrize(
    ("made", "key"),
    [
        (call("Talking", ("extension", "Connected")), "talking"),
        (call("Talking", ("queue", "Connected"), queue="800"), "inQueue"),
        (call("Talking", ("ivr", "Connected")), "inMenu"),
        (call("Transferring", ("extension", "Connected")), "transferring"),
        (call("Rerouting", ("extension", "Ringing"), rings=True), "transferring"),
        (call("Routing", ("extension", "Ringing"), rings=True, queue="800"), "ringing"),
        (call("Routing", ("externalline", "Ringing"), rings=True, direction="Outbound"), "dialing"),
        (call("Routing", queue="800"), "inQueue"),
        (call("Initiating"), "routing"),
    ],
)
def test_what_goes_on_in_a_call_has_a_word(made: dict[str, Any], key: str) -> None:
    assert progress(made) == key
    assert key in WORDS


def test_every_direction_and_outcome_has_words() -> None:
    for way in get_args(Direction):
        assert direction({"direction": way}) in WORDS
    ended: EndedCall = entities.ended(1)
    for told in get_args(Outcome):
        assert outcome(plain(replace(ended, outcome=told))) != told
    assert outcome(plain(replace(ended, outcome="abandoned"))) == "Abandoned in menu"
    assert outcome(plain(replace(ended, outcome="abandoned", queues=("800",)))) == (
        "Abandoned in queue"
    )


def test_a_legs_word_is_the_pbxs_where_the_wall_has_none() -> None:
    assert leg_word({"status": "Ringing"}) == "Ringing"
    assert leg_word({"status": "Connected"}) == "Connected"
    assert leg_word({"status": "Connected", "listening": True}) == "Listening"
