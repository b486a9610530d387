"""Define the result of one test of ``callmon check``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Hold the result of one test.

    ``wrong``: what is wrong and what to do about it; empty if nothing is.
    """

    what: str
    detail: str = ""
    wrong: str = ""

    def __str__(self) -> str:
        return f"{'WRONG' if self.wrong else 'ok':<6}{self.what}: {self.wrong or self.detail}"
