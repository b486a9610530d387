"""Compare a few calls under each setting; ``make compare`` compares 10,000 under each."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final, get_args

import pytest

from monitor.simulator.call_kinds import KINDS, Kind
from tests.comparison.differences import Excuse
from tests.comparison.report import SETTINGS, Result, compared, table

CALLS: Final = 30
README: Final = Path(__file__).parents[1] / "truth" / "README.md"

EVEN: Final[dict[Kind, float]] = dict.fromkeys(KINDS, 1.0)
"""In so few calls, rare kinds would not occur."""


@cache
def _result(setting: str) -> Result:
    return compared(setting, CALLS, seed=list(SETTINGS).index(setting), mix=EVEN)


@pytest.mark.parametrize("setting", SETTINGS)
def test_callmon_holds_what_people_did(setting: str) -> None:
    result = _result(setting)
    assert not result.faults, table([result])
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


def test_who_listens_to_a_phone_that_is_not_monitored_may_count_and_nobody_else() -> None:
    result = compared("monitored=half", CALLS, seed=1, mix={"supervised": 1.0})
    assert not result.faults, table([result])
    kind = "counts for a phone that never rang"
    assert (kind, "phone not monitored") in result.found, "too few calls to prove anything"


def test_the_page_gives_a_reason_for_each_excuse() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| \S", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(get_args(Excuse))
