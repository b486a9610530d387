"""Parse the Caller and Callee texts of XAPI's ActiveCalls into DNs, numbers and names. Pure.

The PBX writes ``DN name``; for a trunk ``DN name (outside number)``; for a number without a DN
``name (number)`` or the number alone. Names may hold digits, commas, brackets and any script, and a
DN may have letters (``SP11``, ``HOL``, an API client's route point). So the directory decides:

- The first word is a DN if the directory knows it, whatever its characters. The rest is its name.
  A word ends at any space or bracket; marks that nobody sees do not belong to it.
- A bracket at the end is an outside number only behind a trunk, or where no DN stands before it. A
  trunk's own name may end in a bracket: what follows the name that the directory has is the number.
  It may also be longer than the directory has it: what follows is the number only if it stands in a
  bracket, or is one.
- The number in a bracket may be written in any notation, or say that it is withheld.
- Name and number may stand the other way round, or as a SIP address. A SIP address may be a DN's.
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
_GROUPED: Final = re.compile(r"^(\+\d{1,7}(?:[ ().\-/]{1,2}\d+)+\)?)(?:\s+|$)")
"""A number with its calling code in groups of digits."""
_UNSEEN: Final = "\ufeff\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069"
_WORD: Final = re.compile(rf"^[\s{_UNSEEN}]*([^\s({_UNSEEN}]+)[{_UNSEEN}]*(?=[\s(]|$)")
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
    word, rest = _first_word(text)
    if directory.kind(word) != "unknown" and not _is_named_after(text, directory):
        return _known(word, rest, directory)
    head, bracket = _bracket(text)
    if bracket is None:
        return _unknown(text, directory)
    return _in_bracket(head, bracket, directory) or PartyText("", "", text)


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

    Each party must begin with a known DN; a part that does not belongs to the name before it. So
    does a part behind a comma that the directory has in that name.
    """
    merged: list[str] = []
    for part in text[:_LONGEST].split(","):
        if merged and (
            directory.kind(_first_word(part)[0]) == "unknown" or _breaks_off(merged[-1], directory)
        ):
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
        behind, bracket = _bracket(after)
        if bracket is not None and not behind:
            return _on_trunk(dn, name, bracket)
        if not after:
            return PartyText(dn, "", name)
        if _may_be_number(after):
            return _on_trunk(dn, name, after)
    head, bracket = _bracket(rest)
    if bracket is None or directory.kind(bracket) != "unknown" or not _may_be_number(bracket):
        return PartyText(dn, "", rest)
    return _on_trunk(dn, head, bracket)


def _on_trunk(dn: str, name: str, number: str) -> PartyText:
    if phone_numbers.is_withheld(number):
        return PartyText(dn, "", name, withheld=True)
    return PartyText(dn, phone_numbers.plain(number), name)


def _in_bracket(head: str, bracket: str, directory: DirectoryIndex) -> PartyText | None:
    """Return the party of a text with a bracket and no DN before it; None if it tells none."""
    if directory.kind(bracket) == "externalline" and head and _may_be_number(head):
        return _on_trunk(bracket, "", head)
    if directory.kind(bracket) != "unknown":
        return _at_number(bracket, head, directory)
    if phone_numbers.is_withheld(bracket):
        return PartyText("", "", head, withheld=True)
    number = phone_numbers.plain(bracket)
    if _is_outside(number):
        return _at_number(number, head, directory)
    number = phone_numbers.plain(head)
    long = len(number.lstrip("+")) >= _FEWEST_DIGITS
    return PartyText("", number, bracket) if long and _is_outside(number) else None


def _at_number(number: str, name: str, directory: DirectoryIndex) -> PartyText:
    """Return the party of a number out of a notation: it may be a DN's, in a SIP address."""
    kind = directory.kind(number)
    if kind == "externalline":
        return PartyText(number, "", name)
    return PartyText("" if kind == "unknown" else number, number, name)


def _unknown(text: str, directory: DirectoryIndex) -> PartyText:
    leading = _GROUPED.match(text) or _NUMBER.match(text)
    number = phone_numbers.plain(text)
    if _is_outside(number) and number != text:
        name = text.partition("<")[0].strip(' "') if "<" in text else ""
        return _at_number(number, name, directory)
    if leading and leading.re is _GROUPED:
        return PartyText("", phone_numbers.plain(leading[1]), text[leading.end() :].strip())
    if leading and directory.kind(leading[1]) == "unknown":
        return PartyText("", leading[1], text[leading.end() :].strip())
    return PartyText("", "", text, withheld=phone_numbers.is_withheld(text))


def _is_named_after(text: str, directory: DirectoryIndex) -> bool:
    """Return whether a DN in a bracket bears the name before it, as in ``112 113 (100)``."""
    head, bracket = _bracket(text)
    return bracket is not None and bool(head) and directory.name(bracket) == head


def _first_word(text: str) -> tuple[str, str]:
    """Return the first word of a text and what follows it."""
    word = _WORD.match(text)
    return (word[1], text[word.end() :].strip()) if word else ("", text)


def _breaks_off(party: str, directory: DirectoryIndex) -> bool:
    """Return whether the directory has a longer name of this party, with a comma right here."""
    dn, name = _first_word(party)
    return directory.name(dn).startswith(f"{name},")


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
