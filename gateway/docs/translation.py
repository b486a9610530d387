"""Say the documents in other languages than English.

English is the source. A catalogue beside this file (``russian.json``) has a translation for each
paragraph or, where that is missing, for each sentence in it. Code may be ```{}``` there, on
both sides, for texts that differ in it alone. What has no translation stays English.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from itertools import zip_longest
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

ENGLISH: Final = "en"
_CATALOGUES: Final = {"ru": "russian.json"}
LANGUAGES: Final = (ENGLISH, *_CATALOGUES)

_SENTENCES: Final = re.compile(r"(?<=[.!?]) (?=\S)")
_CODE: Final = re.compile(r"`[^`]*`|\[\w+\]\(#\w+\)")
"""Code, or a link to a part of the same page: what no language changes."""
_ANY_CODE: Final = "`{}`"
_RANGE: Final = re.compile(r"([a-z]{2})(?:-[a-z0-9-]*)?(?:\s*;\s*q=([01](?:\.\d{0,3})?))?")
_LONGEST_HEADER: Final = 256
"""Characters of an ``Accept-Language`` that is read; browsers send about 40."""


def preferred(accepted: str) -> str:
    """Return the language that an ``Accept-Language`` wants most (RFC 9110, 12.5.4).

    It is English if the header names none of ours, or is longer than any browser needs.
    """
    parts = accepted.lower().split(",") if len(accepted) <= _LONGEST_HEADER else ()
    ranges = (found.groups() for part in parts if (found := _RANGE.fullmatch(part.strip())))
    wanted = [(float(weight or 1), name) for name, weight in ranges if name in LANGUAGES]
    return max([(0.0, ENGLISH), *wanted], key=itemgetter(0))[1]


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """Return the English texts of a language's catalogue, each with its translation."""
    if language == ENGLISH:
        return {}
    texts = (Path(__file__).parent / _CATALOGUES[language]).read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(texts)
    return found


def translated(node: Any, say: Callable[[str], str]) -> Any:
    """Return the document with what is for people said anew. ``say``: says one text."""
    match node:
        case list():
            return [translated(one, say) for one in node]
        case dict():
            return {name: _translated(name, value, say) for name, value in node.items()}
        case _:
            return node


def _translated(name: str, value: Any, say: Callable[[str], str]) -> Any:
    match name, value:
        case "summary" | "description", str():
            return say(value)
        case "tags", list():
            return [
                say(tag)
                if isinstance(tag, str)
                else translated(tag, say) | {"name": say(tag["name"])}
                for tag in value
            ]
        case "example" | "examples", _:
            return value
        case _:
            return translated(value, say)


def said(text: str, texts: Mapping[str, str]) -> str:
    """Return a text in Markdown, said with the translations of a catalogue."""
    return "\n\n".join(_paragraph(part, texts) for part in text.split("\n\n"))


def _paragraph(text: str, texts: Mapping[str, str]) -> str:
    if text.startswith("|"):
        rows = (row.split("|") for row in text.split("\n"))
        return "\n".join("|".join(_cell(cell, texts) for cell in row) for row in rows)
    return _found(text, texts) or " ".join(
        _found(sentence, texts) or sentence for sentence in _SENTENCES.split(text)
    )


def _cell(text: str, texts: Mapping[str, str]) -> str:
    told = text.strip()
    return f" {_paragraph(told, texts)} " if told else text


def _found(text: str, texts: Mapping[str, str]) -> str | None:
    if text in texts:
        return texts[text]
    outline, codes = _outlined(text)
    if (told := texts.get(outline)) is None:
        return None
    parts = zip_longest(told.split(_ANY_CODE), codes, fillvalue="")
    return "".join(part + code for part, code in parts)


def _outlined(text: str) -> tuple[str, list[str]]:
    """Return the text with a placeholder for each code, and the codes; a list of them is one."""
    parts: list[str] = []
    codes: list[str] = []
    end = 0
    for found in _CODE.finditer(text):
        between = text[end : found.start()]
        if codes and between == ", ":
            codes[-1] += between + found[0]
        else:
            parts.append(between)
            codes.append(found[0])
        end = found.end()
    return _ANY_CODE.join([*parts, text[end:]]), codes
