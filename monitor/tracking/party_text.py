"""Parse the Caller and Callee texts of XAPI's ActiveCalls into DNs, numbers and names. Pure.

Forms seen (reports of live systems): ``100 Smith, John`` · ``10000 skyetel (+15153182968)``
(trunk's DN, its name, the outside number; ``anonymous`` if it is hidden) · ``800 Sales`` · ``Nick
Sample (001231234)`` · ``+4912341234`` · ``(100)`` · ``112 113 (100)``. Names may hold digits,
commas and any script, so the directory decides what a leading number is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from monitor.shared.entities.topics import DnType

_TRAILING = re.compile(r"\(([+*#]?\d[\d*#]*|[Aa]nonymous)\)$")
_LEADING = re.compile(r"^([+*#]?\d[\d*#]*)(?:\s+|$)")
_JOINT = re.compile(r",\s*(?=[+*#]?\d[\d*#]*(?:\s|$))")

Kind = Callable[[str], DnType]
"""Function that returns the kind of a DN by its number; ``unknown`` for numbers not in the
directory."""


@dataclass(frozen=True, slots=True)
class PartyText:
    """Hold one side of a call as the text tells it. Each field may be empty."""

    dn: str
    """DN known to the directory: an extension, a queue, or the trunk that connects an outside
    number."""
    number: str
    """The party's own number: the outside number for a trunk, else the DN's."""
    name: str


NOBODY = PartyText("", "", "")


def parse(text: str, kind: Kind) -> PartyText:
    """Parse one party's text; return :data:`NOBODY` for an empty text."""
    text = text.strip()
    trailing = _TRAILING.search(text)
    leading = _LEADING.match(text)
    if trailing:
        head, number = text[: trailing.start()].strip(), trailing[1]
        if leading and kind(leading[1]) == "externalline":
            return PartyText(leading[1], number, head[len(leading[1]) :].strip())
        return PartyText(number if kind(number) != "unknown" else "", number, head)
    if leading:
        number, name = leading[1], text[leading.end() :].strip()
        if kind(number) == "externalline":
            return PartyText(number, "", name)
        return PartyText(number if kind(number) != "unknown" else "", number, name)
    return PartyText("", "", text)


def parse_several(text: str, kind: Kind) -> tuple[PartyText, ...]:
    """Parse a text that may name several parties, joined by commas.

    Each party must begin with a known DN; a part that does not belongs to the name before it.
    """
    parts = _JOINT.split(text.strip())
    merged: list[str] = []
    for part in parts:
        head = _LEADING.match(part)
        if merged and not (head and kind(head[1]) != "unknown"):
            merged[-1] += ", " + part
        else:
            merged.append(part)
    return tuple(party for party in (parse(part, kind) for part in merged) if party != NOBODY)
