"""Test that every figure of the day is defined beside its equivalent in 3CX."""

from __future__ import annotations

import re

import msgspec
import pytest
from msgspec import Struct

from gateway.docs.schemas import field_notes
from monitor.shared.entities.statistics import (
    Durations,
    ExtensionStats,
    PbxStats,
    QueueStats,
    RecentLevel,
    Traffic,
)


@pytest.mark.parametrize("kind", [QueueStats, RecentLevel, ExtensionStats, PbxStats, Traffic])
def test_every_field_says_what_it_is_in_3cx(kind: type[Struct]) -> None:
    notes = field_notes(kind)
    assert set(notes) == set(kind.__struct_fields__)
    for name, note in notes.items():
        assert re.search(r"[.…] 3CX: \S", note), f"{kind.__name__}.{name}"


def test_statistics_that_an_older_monitor_wrote_are_read() -> None:
    none = Durations(0, 0.0, None, None)
    new = QueueStats("800", "2026-03-04", 20, 5, 0, 0, 0, 0, 0, 0, 0, 0, None, none, none, none)
    old = msgspec.to_builtins(new)
    added = {"unanswered", "callbacks", "callbacksFailed", "slaBreaches"}
    for name in added | {"lastHalfHour", "lastHour", "yesterday"}:
        del old[name]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=QueueStats) == new
    later = msgspec.msgpack.encode(msgspec.to_builtins(new) | {"later": 1})
    assert msgspec.msgpack.decode(later, type=QueueStats) == new
