"""Parse the Caller and Callee texts of XAPI's ActiveCalls into DNs, numbers and names. Pure.

The PBX writes ``DN name``; for a trunk ``DN name (outside number)``; for a number without a DN
``name (number)`` or the number alone. Names may hold digits, commas, brackets and any script, and a
DN may have letters (``SP11``, ``HOL``, an API client's route point). So the directory decides:

- The first word is a DN if the directory knows it, whatever its characters. The rest is its name.
- A bracket at the end is an outside number only behind a trunk, or where no DN stands before it. A
  trunk's own name may end in a bracket: what follows the name that the directory has is the number.
- The number in a bracket may be written in any notation, or say that it is withheld.
- ``MakeCall`` stands for the PBX's service that rings the phone of an ordered call first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from monitor.pbx.facts import Participant
from monitor.shared import phone_numbers
from monitor.tracking.directory_index import DirectoryIndex, dn_type

MAKE_CALL: Final = "MakeCall"
"""The text in place of a caller while the PBX rings the phone of a call that was ordered."""
_FEWEST_DIGITS: Final = 3
"""Digits of the shortest outside number (110, 112). Fewer in a bracket belong to a name."""
_NUMBER: Final = re.compile(r"^([+*#]?\d[\d*#]*)(?:\s+|$)")
_LONGEST: Final = 1_000
"""Characters of a text that are looked at."""


@dataclass(frozen=True, slots=True)
class PartyText:
    """Hold one side of a call as the text tells it. Each field may be empty."""

    dn: str
    """DN known to the directory: an extension, a queue, or the trunk that connects an outside
    number."""
    number: str
    """The party's own number: the outside number for a trunk, else the DN's."""
    name: str
    withheld: bool = False
    """True if the text says that the outside number is withheld."""


NOBODY = PartyText("", "", "")


def parse(text: str, directory: DirectoryIndex) -> PartyText:
    """Parse one party's text; return :data:`NOBODY` for an empty text."""
    text = text[:_LONGEST].strip()
    if not text:
        return NOBODY
    word, _, rest = text.partition(" ")
    if directory.kind(word) != "unknown" and not _is_named_after(text, directory):
        return _known(word, rest.strip(), directory)
    head, bracket = _bracket(text)
    if bracket is None:
        return _unknown(text, directory)
    if directory.kind(bracket) != "unknown":
        return PartyText(bracket, bracket, head)
    if phone_numbers.is_withheld(bracket):
        return PartyText("", "", head, withheld=True)
    number = phone_numbers.plain(bracket)
    return PartyText("", number, head) if _is_outside(number) else PartyText("", "", text)


def plain_participant(participant: Participant) -> Participant:
    """Return the participant with its outside number in plain form, empty if it is withheld."""
    number = participant.party_caller_id
    outside = dn_type(participant.party_dn_type) == "externalline"
    if (number.isdigit() and len(number) <= phone_numbers.LONGEST) or not (number or outside):
        return participant
    if phone_numbers.is_withheld(number):
        return replace(participant, party_caller_id="", withheld=True)
    plain = phone_numbers.plain(number)
    return participant if plain == number else replace(participant, party_caller_id=plain)


def parse_several(text: str, directory: DirectoryIndex) -> tuple[PartyText, ...]:
    """Parse a text that may name several parties, joined by commas.

    Each party must begin with a known DN; a part that does not belongs to the name before it.
    """
    merged: list[str] = []
    for part in text[:_LONGEST].split(","):
        if merged and directory.kind(part.strip().partition(" ")[0]) == "unknown":
            merged[-1] += "," + part
        else:
            merged.append(part)
    return tuple(party for party in (parse(part, directory) for part in merged) if party != NOBODY)


def _known(dn: str, rest: str, directory: DirectoryIndex) -> PartyText:
    """Return the party of a text that begins with a known DN."""
    if directory.kind(dn) != "externalline":
        return PartyText(dn, dn, rest)
    name = directory.name(dn)
    if name and rest.startswith(name):
        after = rest[len(name) :].strip()
        if not after:
            return PartyText(dn, "", name)
        return _on_trunk(dn, name, after[1:-1] if after[:1] + after[-1:] == "()" else after)
    head, bracket = _bracket(rest)
    if bracket is None or directory.kind(bracket) != "unknown" or not _may_be_number(bracket):
        return PartyText(dn, "", rest)
    return _on_trunk(dn, head, bracket)


def _on_trunk(dn: str, name: str, number: str) -> PartyText:
    if phone_numbers.is_withheld(number):
        return PartyText(dn, "", name, withheld=True)
    return PartyText(dn, phone_numbers.plain(number), name)


def _unknown(text: str, directory: DirectoryIndex) -> PartyText:
    leading = _NUMBER.match(text)
    number = phone_numbers.plain(text)
    if _is_outside(number) and number != text:
        return PartyText("", number, "")
    if leading and directory.kind(leading[1]) == "unknown":
        return PartyText("", leading[1], text[leading.end() :].strip())
    return PartyText("", "", text, withheld=phone_numbers.is_withheld(text))


def _is_named_after(text: str, directory: DirectoryIndex) -> bool:
    """Return whether a DN in a bracket bears the name before it, as in ``112 113 (100)``."""
    head, bracket = _bracket(text)
    return bracket is not None and bool(head) and directory.name(bracket) == head


def _bracket(text: str) -> tuple[str, str | None]:
    """Split off the bracket at the end of a text, which may hold brackets itself."""
    if not text.endswith(")"):
        return text, None
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth == 0:
            return text[:at].strip(), text[at + 1 : -1].strip()
    return text, None


def _may_be_number(bracket: str) -> bool:
    digits = phone_numbers.plain(bracket).lstrip("+")
    return (
        phone_numbers.is_withheld(bracket)
        or bracket.lower().startswith(("sip:", "sips:"))
        or (_is_outside(digits) and len(digits) >= _FEWEST_DIGITS)
    )


def _is_outside(number: str) -> bool:
    digits = number.lstrip("+*#")
    return digits.isascii() and digits[:1].isdigit() and digits.replace("*", "").isdigit()
