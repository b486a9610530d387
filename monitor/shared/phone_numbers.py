"""Read telephone numbers as people, address books and trunks write them. Pure.

Three questions are answered here, for all of the product: is a number withheld, what is to be
dialled, and do two texts name the same subscriber. Texts come with spaces, brackets, dashes of any
kind, the marks of right-to-left text, digits of other scripts, ``tel:`` and SIP addresses,
extensions after the number, and sometimes two numbers in one field.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

LONGEST: Final = 200
"""Characters of a text that are looked at; no number is that long."""
_WITHHELD: Final = frozenset(
    (
        "anonymous",
        "blocked",
        "hidden",
        "private",
        "restricted",
        "unavailable",
        "unknown",
        "withheld",
        "anonymous caller",
        "anonymous.invalid",
        "caller id blocked",
        "clir",
        "id unavailable",
        "n/a",
        "no caller id",
        "no number",
        "not available",
        "number withheld",
        "out of area",
        "private caller",
        "private number",
        "unknown caller",
        "unknown number",
        "withheld number",
        *("anonym", "privat", "unbekannt", "unterdrückt"),
        *("anonyme", "inconnu", "masqué", "numéro masqué", "privé"),
        *("anónimo", "desconocido", "número oculto", "número privado", "oculto", "privado"),
        *("anonimo", "nascosto", "numero privato", "privato", "sconosciuto"),
        *("anoniem", "onbekend", "anonimowy", "nieznany", "zastrzeżony"),
        *("аноним", "анонимный", "неизвестен", "неизвестный", "скрыт", "скрытый номер"),
    )
)
_WORDS_APART: Final = re.compile(r"[\s_-]+")
_SEPARATORS: Final = re.compile(r"[\s().\[\]/\-_]+")
_USUAL: Final = re.compile(r"(\+?)[\d .()/\-]+")
_DROPPED: Final = str.maketrans("", "", " .()/-")
_TRUNK_ZERO: Final = re.compile(
    r"^\(?((?:\+|00|011) ?(\d{1,3}))\)?[\s.\-/]*(?:\(0\)|\[0\]|\(0 ?(?=\d{1,9}\)))"
)
"""A calling code, and behind it the zero that is dialled inside the country alone."""
_ZERO_STAYS: Final = frozenset(("39", "225", "241", "242", "378", "379"))
"""Calling codes of countries where the zero is a part of the number (Italy, Gabon …)."""
_EXTENSION: Final = re.compile(
    r"(?<=\d)(?:[ ,.]{0,3}(?:;ext=|x|ext\.?|extension|доб\.?|вн\.?|dw\.?|durchwahl|poste)"
    r"| {1,3}#)[ .:]{0,2}\d{1,8}$",
    re.IGNORECASE,
)
_NOT_SHOWN: Final = re.compile(r"(?:[*#]31[*#]|\*67)(?=[\s(+\d])")
"""A code dialled before a number so that the own one is withheld (GSM, ETSI; North America)."""
_URI_PARAMETER: Final = re.compile(r";[A-Za-z]")
_PAUSE: Final = re.compile(r"[,;pw]", re.IGNORECASE)
_PAUSES: Final = frozenset(",;pwPW0123456789*#")
_SCHEME: Final = re.compile(r"^(?:tel|sips?|callto):", re.IGNORECASE)
_APART: Final = re.compile(r"\s/\s|[,;|\n]")
_SEVERAL: Final = re.compile(r"[,;/|\n]| (?=\+)")
_RUN: Final = re.compile(r"[+(\d][\d ().\-/]*")
_TWINS: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    ord(char): twin for char, twin in zip("−⁃ー‧·•⁄∕", "------//", strict=True)
}
"""Characters of other scripts that stand for one of ASCII: wide ones, dots, minus, slashes."""
_WHOLE: Final = {"+": 8, "00": 10, "0": 7, "": 6}
"""Digits that a part of a text must have to be a number of its own, by its first characters.

Fewer behind them are a calling code and an area code: ``+49 171/2345678``, ``033203/123456``."""
_CALLING_CODE: Final = re.compile(
    r"[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|\d{3}"
)
"""The calling codes of ITU-T E.164: one, two or three digits, none the beginning of another."""
_PREFIXES: Final = {"1": "1", "7": "8", "36": "06", "370": "8", "375": "80"}
"""The digits dialled before a national number, by calling code, where they are not one 0."""
_MOBILE_MARKS: Final = {"52": "1", "54": "9"}
"""The digit that stands behind the calling codes of Mexico and Argentina before a mobile number, in
some notations only. With it the national number has :data:`_WITH_MARK` digits."""
_WITH_MARK: Final = 11
_ABROAD: Final = ("011", "810")
"""Digits dialled before a number abroad in North America and in Russia. Elsewhere they are an area
code, so the whole must have :data:`_FEWEST_ABROAD` digits."""
_FEWEST_ABROAD: Final = 13
_SHORTEST: Final = 6
"""Digits of a national number that may be compared with one in another notation."""
_OUTSIDE_LINE: Final = frozenset("09")
"""Digits that PBXs have dialled before a number to reach an outside line."""
_FEWEST_BEHIND: Final = 8
"""Digits of the shortest number behind such a digit. Fewer may be a number of the own town."""
_FEWEST_WHOLE: Final = 10
"""Digits of the shortest number with a calling code that is known as such without a ``+``."""


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """Hold a number, taken apart. ``country``: the calling code; empty if the text has none."""

    country: str
    national: str
    """The digits after the calling code; else all digits as they are written."""


def is_withheld(text: str) -> bool:
    """Return whether a caller's number is withheld: the text is empty or says so."""
    said = _SCHEME.sub("", _address(text[:LONGEST]).strip().strip("<>\"'"))
    word = _WORDS_APART.sub(" ", said.partition(";")[0].casefold()).strip(" +")
    user = word.partition("@")[0]
    return word in _WITHHELD or user in _WITHHELD or not user.strip(" +-")


def plain(text: str) -> str:
    """Return the number in a text without its notation; a text that is not a number as it is.

    ``+49 (0)30 1234567`` and ``tel:+49-30-1234567`` are ``+49301234567``. ``*62`` and ``#9`` stay.
    An extension after the number is left out. Of a SIP address the user part counts. The zero
    behind a calling code is left out (``+49 (030)``), but not where it is a part of the number.
    """
    text = text[:LONGEST]
    if text.isdigit() and text.isascii():
        return text
    cleaned = _cleaned(text)
    if cleaned.isascii() and (usual := _USUAL.fullmatch(cleaned)) and "(0" not in cleaned:
        return usual[1] + cleaned[usual.end(1) :].translate(_DROPPED)
    number = _SEPARATORS.sub("", _TRUNK_ZERO.sub(_without_zero, _EXTENSION.sub("", cleaned)))
    if number and all(
        char in "0123456789*#" or (char == "+" and not at) for at, char in enumerate(number)
    ):
        return number
    return cleaned


def several(text: str) -> tuple[str, ...]:
    """Return the numbers in a text that holds more than one, else the whole text."""
    text = text[:LONGEST]
    for parts in (
        _APART.split(text),
        _SEVERAL.split(text),
        _RUN.findall(text) if " " in text else (),
    ):
        whole = [part.strip() for part in map(_cleaned, parts) if _is_number(part)]
        if len(whole) > 1:
            return tuple(whole)
    return (text,)


def parse(text: str) -> PhoneNumber | None:
    """Take a number apart; return None for a text that holds no number.

    Nothing but zeros is none: exchanges write so that the number is withheld. What is dialled
    before a number to withhold the own one is no part of it.
    """
    return _parse(text[:LONGEST])  # cut before the cache: it would keep the whole text


@lru_cache(maxsize=4_096)
def _parse(text: str) -> PhoneNumber | None:
    number = plain(_bare(text))
    digits = number.lstrip("+")
    if not _is_digits(digits):
        number = _only_number(number)
        digits = number.lstrip("+")
        if not _is_digits(digits):
            return None
    if not digits.strip("0"):
        return None
    if number.startswith("+"):
        return _international(digits)
    abroad = _behind_prefix(digits)
    return PhoneNumber("", digits) if abroad is None else _international(abroad)


@lru_cache(maxsize=4_096)
def readings(text: str) -> tuple[PhoneNumber, ...]:
    """Return what the number in a call's text may stand for; nothing for a text without a number.

    First as :func:`parse` reads it. Without a ``+`` it may also begin with a calling code, or with
    the 0 or 9 that is dialled to reach an outside line.
    """
    text = text[:LONGEST]
    number = _parse(text)
    digits = plain(_bare(text))
    if number is None or not _is_digits(digits):
        return () if number is None else (number,)
    found = [number, _with_calling_code(digits)]
    behind = digits[1:]
    if digits[0] in _OUTSIDE_LINE and len(behind) >= _FEWEST_BEHIND:
        found += _parse(behind), _with_calling_code(behind)
    return tuple(dict.fromkeys(reading for reading in found if reading is not None))


def _behind_prefix(digits: str) -> str | None:
    """Return a number with its calling code from behind what is dialled before one; else None."""
    if digits.startswith("0011"):  # from Australia: no number of +1 has an area code of 1…
        return digits[4:]
    if digits.startswith("00") and len(digits) > _SHORTEST + 2:
        return digits[2:]
    if digits.startswith(_ABROAD) and len(digits) >= _FEWEST_ABROAD:
        return digits[3:]
    return None


def _with_calling_code(digits: str) -> PhoneNumber | None:
    """Return a number whose calling code stands first without a ``+``; None if none can."""
    whole = len(digits) >= _FEWEST_WHOLE and not digits.startswith("0")
    return _international(digits) if whole else None


def same_subscriber(one: PhoneNumber, other: PhoneNumber) -> bool:
    """Return whether two numbers reach the same subscriber, as far as their notation tells.

    Two numbers with calling codes must be equal. If one has none, its digits must be the other's
    national number, with or without the digit that is dialled before it in a country (0, 8, 1), or
    the whole number without its ``+``.
    """
    if one == other:
        return True
    if one.country and other.country:
        return False
    if one.country:
        return other.national in _national_forms(one)
    if other.country:
        return one.national in _national_forms(other)
    shorter, longer = sorted((one.national, other.national), key=len)
    return len(shorter) >= _SHORTEST and shorter in _without_prefix(longer)


def keys(number: PhoneNumber) -> frozenset[str]:
    """Return texts of which two numbers of one subscriber have at least one in common."""
    if number.country:
        prefix = _PREFIXES.get(number.country, "")
        return frozenset(
            (number.national, number.country + number.national, prefix + number.national)
        )
    return frozenset(
        (number.national, *_without_prefix(number.national), *_without_two(number.national))
    )


def _national_forms(number: PhoneNumber) -> frozenset[str]:
    national = number.national
    if len(national) < _SHORTEST:
        return frozenset()
    forms = {national, f"0{national}", number.country + national}
    if number.country in _PREFIXES:
        forms.add(_PREFIXES[number.country] + national)
    return frozenset(forms)


def _without_prefix(digits: str) -> frozenset[str]:
    """Return the digits without the one that is dialled first inside a country."""
    prefixed = digits.startswith("0") or (len(digits) == 11 and digits[0] in "18")
    return frozenset((digits[1:],)) if prefixed and len(digits) > _SHORTEST else frozenset()


def _without_two(digits: str) -> frozenset[str]:
    """Return the digits without a prefix of two, as in Hungary (06) and Belarus (80)."""
    prefixed = digits.startswith(("06", "80")) and len(digits) > _SHORTEST + 2
    return frozenset((digits[2:],)) if prefixed else frozenset()


def _international(digits: str) -> PhoneNumber | None:
    code = _CALLING_CODE.match(digits)
    if code is None or code.end() == len(digits):
        return None
    national = digits[code.end() :]
    if code[0] not in _ZERO_STAYS and len(national) > _SHORTEST:
        national = national.removeprefix("0")
    if len(national) == _WITH_MARK:
        national = national.removeprefix(_MOBILE_MARKS.get(code[0], ""))
    return PhoneNumber(code[0], national)


def _without_zero(match: re.Match[str]) -> str:
    """Return the calling code, and the zero behind it if it is a part of the number."""
    return match[1] + "0" * (match[2] in _ZERO_STAYS)


def _bare(text: str) -> str:
    """Return the number without what is dialled before it to withhold the own one.

    Also without what is dialled once somebody has answered (``,,42#``).
    """
    text = _NOT_SHOWN.sub("", text, 1)
    pause = _PAUSE.search(text)
    if pause and text[: pause.start()][-1:].isdigit() and _PAUSES.issuperset(text[pause.end() :]):
        return text[: pause.start()]
    return text


def _only_number(text: str) -> str:
    """Return the one number in a text of several words; empty if there is none or are more."""
    runs = [run for run in _RUN.findall(text) if _is_number(run)] if " " in text else []
    return plain(runs[0]) if len(runs) == 1 else ""


def _cleaned(text: str) -> str:
    """Return the text without marks that nobody sees, with ASCII digits, without its scheme."""
    seen = text[:LONGEST].strip()
    if not (seen.isascii() and seen.isprintable()):
        seen = "".join(map(_in_ascii, seen.translate(_TWINS))).strip()
    seen = _address(seen)
    scheme = _SCHEME.match(seen)
    if scheme:
        seen = _URI_PARAMETER.split(seen[scheme.end() :].partition("@")[0], 1)[0]
        seen = unquote(seen)
    return seen


def _in_ascii(char: str) -> str:
    """Return a digit, a dash or a space as in ASCII, nothing for a mark that nobody sees."""
    if char.isascii() and char.isprintable():
        return char
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    if char.isspace():
        return " "
    category = unicodedata.category(char)
    return "" if category in ("Cf", "Cc") else "-" if category == "Pd" else char


def _address(text: str) -> str:
    """Return the address of a text such as ``"Ann" <sip:101@pbx>``; another text as it is."""
    _, bracket, rest = text.partition("<")
    address = rest.partition(">")[0].strip()
    return address if bracket and address else text


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_number(part: str) -> bool:
    number = plain(part)
    digits = number.removeprefix("+")
    if not digits.isdigit():
        return False
    begins = next(begin for begin in _WHOLE if number.startswith(begin))
    return len(digits) >= _WHOLE[begins]
