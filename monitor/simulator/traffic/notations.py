"""Write telephone numbers in the notations that trunks and people use. Pure."""

from __future__ import annotations

import random
import re
from typing import Final

HIDDEN: Final = ("anonymous", "Restricted", "unavailable", "")
"""Texts in place of the number of a caller who hides it."""
_GERMAN: Final = re.compile(r"(?:\+49|0049|0)(30)(\d{5,})")
_AMERICAN: Final = re.compile(r"(?:\+1|001|1)?([2-9]\d\d)(\d{3})(\d{4})")


def presented(number: str, rng: random.Random) -> str:
    """Return a number of digits as some trunk presents it, formatted or with an extension."""
    return rng.choice(
        (
            f"sip:{number}@sip.example",
            f"sip:{number}@10.0.0.1;user=phone",
            f"{number};ext={rng.randrange(10, 100)}",
            *_spaced(number),
        )
    )


def redialled(number: str) -> str:
    """Return a number in another notation that can be dialled: digits, perhaps a leading plus."""
    if found := _GERMAN.fullmatch(number):
        local = f"0{found[1]}{found[2]}"
        return f"+49{found[1]}{found[2]}" if number == local else local
    if number.startswith("+"):
        return f"00{number[1:]}"
    return f"+{number[2:]}" if number.startswith("00") else number


def _spaced(number: str) -> tuple[str, ...]:
    if found := _GERMAN.fullmatch(number):
        area, rest = found.groups()
        own = (f"(0{area}) {rest}", f"0{area}/{rest}")
        return (f"+49 {area} {rest}", f"+49 (0){area} {rest}") if number.startswith("+") else own
    if found := _AMERICAN.fullmatch(number):
        area, middle, rest = found.groups()
        own = (f"({area}) {middle}-{rest}", f"{area}-{middle}-{rest}")
        return (f"+1 {area} {middle} {rest}",) if number.startswith("+1") else own
    return (f"{number[:-4]} {number[-4:]}", f"{number[:-4]}-{number[-4:]}")
