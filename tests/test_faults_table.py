"""Test that each test exists that the table of faults names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NAMED = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (TESTS / "FAULTS.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_test_that_is_named_exists(file: str, name: str) -> None:
    assert re.search(
        rf"^(async )?def {name}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE
    )


def test_the_table_is_not_empty() -> None:
    assert len(NAMED) > 30
    assert len(NAMED) == len(set(NAMED))
