"""Test what the audit log and the metrics say of an outcome."""

from __future__ import annotations

import pytest

from monitor.commands.outcome_rules import result_of
from monitor.shared.command_messages import CommandFailure, Outcome


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome("1", {}), "success"),
        (Outcome("1", {"result": True, "id": 41}), "success"),
        (Outcome("1", {"result": False}), "false"),
        (
            Outcome("1", None, CommandFailure("missing", "unknown_queue", "No 800.")),
            "unknown_queue",
        ),
    ],
)
def test_only_what_was_done_is_called_a_success(outcome: Outcome, result: str) -> None:
    assert result_of(outcome) == result
