"""What a command changed, and so what is read again."""

from __future__ import annotations

import pytest

from monitor.pbx.command_result import ReadBack, replied


@pytest.mark.parametrize(
    ("touched", "directory"),
    [
        (ReadBack(users=frozenset({"101"})), True),
        (ReadBack(queues=frozenset({"800"})), True),
        (ReadBack(ring_groups=frozenset({"600"})), True),
        (ReadBack(), False),
        (ReadBack(contacts=frozenset({7})), False),
        (ReadBack(call=("101", None)), False),
    ],
)
def test_the_directory_is_read_again_for_its_own_rows_alone(
    touched: ReadBack, directory: bool
) -> None:
    assert touched.directory is directory


def test_fields_that_could_not_be_set_are_named_and_otherwise_nothing_is() -> None:
    assert replied(["reinvite", "sipid"], id=7) == {"id": 7, "unsupported": ["reinvite", "sipid"]}
    assert replied([], id=7) == {"id": 7}
    assert replied([]) == {}
