"""Describe the entries of the audit log: caller, address, command and result. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

SECRET_ARGUMENTS = frozenset({"authpass", "vmpin"})
MASK = "***"
MAX_VALUE_CHARS: Final = 400
"""Characters of one value. Of a longer one, the beginning, the end and a digest are kept, so
that nothing hides behind padding."""
_MAX_LINE_CHARS: Final = 20_000
"""Characters of all values together. A longer line is cut; no real command's parameters come to
that."""
_DIGEST_CHARS: Final = 16


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Hold the audit log's entry for one command.

    ``at``: POSIX seconds. ``key``: the key's name. ``client``: the caller's address. ``arguments``:
    as :func:`masked` returns them. ``result``: as :func:`monitor.commands.outcome_rules.result_of`
    returns it.
    """

    at: float
    pbx: str
    key: str
    client: str
    command: str
    arguments: str
    result: str


def masked(arguments: Mapping[str, str]) -> str:
    """Return the arguments as one line of text without secrets.

    Passwords and PINs become ``***``; long values are cut.
    """
    shown = {
        name: MASK if name in SECRET_ARGUMENTS else cut(value) for name, value in arguments.items()
    }
    line = " ".join(f"{name}={value!r}" for name, value in shown.items())
    return line if len(line) <= _MAX_LINE_CHARS else line[: _MAX_LINE_CHARS - 1] + "…"


def share(sizes: Iterable[int], whole: int) -> int:
    """Return how many bytes each key may keep, so that all together keep at most ``whole``.

    ``sizes``: the bytes that each key has. A key with less than an equal part leaves the rest of it
    to the others. So a key that writes without end drives out its own entries before those of
    others.
    """
    left, rest = whole, sorted(sizes)
    for number, size in enumerate(rest):
        part = left // (len(rest) - number)
        if size > part:
            return part
        left -= size
    return whole


def cut(value: str) -> str:
    """Return a value, or a shortened form of a long one.

    The shortened form has the beginning, the end, the length and a digest of the whole. Runs of
    white space count as one space there, so that padding does not displace real text. The digest is
    the beginning of the SHA-256 of the value's UTF-8.
    """
    if len(value) <= MAX_VALUE_CHARS:
        return value
    digest = sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]
    said = " ".join(value.split())
    half = MAX_VALUE_CHARS // 2
    middle = f" … [{len(value)} characters, SHA-256 {digest}] … "
    return said + middle if len(said) <= MAX_VALUE_CHARS else said[:half] + middle + said[-half:]
