"""Compare a few calls under each setting; ``make compare`` compares 10,000 under each."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final, get_args

import pytest

from monitor.simulator.kinds import KINDS, Kind
from tests.comparison.differences import Excuse
from tests.comparison.report import SETTINGS, Result, compared, table

CALLS: Final = 30
README: Final = Path(__file__).parents[1] / "truth" / "README.md"

EVEN: Final[dict[Kind, float]] = dict.fromkeys(KINDS, 1.0)
"""In so few calls, rare kinds would not occur."""
_RINGS: Final = ("route_point=rings",)
FAULTS: Final[dict[str, tuple[str, ...]]] = {
    # An app that begins to ring at the moment of the read is seen with the next one.
    "party missing: routepoint Ringing": _RINGS,
    "live direction FromExternal instead of Inbound": _RINGS,
    # A supervisor comes in so soon after a late answer that it may be a transfer's party.
    "counts for a phone that never rang": ("latency=0.1",),
}
"""Kinds of faults that are known and not mended yet → settings under which they occur.

To be emptied; nothing is to be added."""


@cache
def _result(setting: str) -> Result:
    return compared(setting, CALLS, seed=list(SETTINGS).index(setting), mix=EVEN)


@pytest.mark.parametrize("setting", SETTINGS)
def test_callmon_holds_what_people_did(setting: str) -> None:
    result = _result(setting)
    new = [found for kind, found in result.faults.items() if setting not in FAULTS.get(kind, ())]
    assert not new, table([result])
    assert result.calls >= CALLS
    assert len(result.kinds) >= 10, f"too few kinds of calls to prove anything: {result.kinds}"


def test_the_table_counts_each_kind_and_gives_an_example_with_its_journal() -> None:
    result = _result("monitored=half")
    found = next(found for found in result.found.values() if found.kind.startswith("endedAt"))
    drawn = table([result, result])
    assert f"{result.calls * 2} calls under 2 settings" in drawn
    assert f"{len(found.calls) * 2:7} calls,  2 settings | {found.kind}" in drawn
    example = drawn[drawn.index(f"{found.kind} (") :].partition("\n\n")[0].splitlines()
    assert f"call {found.example.call}" in example[0]
    assert found.example.held in example[1]
    assert len(example) == 2 + len(found.journal)
    assert example[-1].endswith(" ended")


def test_the_page_gives_a_reason_for_each_excuse() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| \S", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(get_args(Excuse))
