"""``callmon tail`` and ``callmon snapshot``: the stream in lines."""

from __future__ import annotations

import pytest

from gateway.cli import tail_and_snapshot
from gateway.cli.terminal_output import say
from gateway.stream_client import Update
from monitor.shared.changes import Position

HOSTILE = "\x1b]52;c;cm0gLXJmIH4=\x07\x9b2J\r\nroot\u202egnp.exe\u2028\x7f\ud800\U000e0041"


OBEYED = set("\x1b\x07\x9b\r\u202e\u2028\x7f\x85") | {"\ud800", "\U000e0041"}


def test_tail_writes_each_change_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    system = {"fqdn": HOSTILE, "connection": "lost", "reason": HOSTILE}
    change = Update(
        "change",
        Position("e", 1),
        "2026-01-01T00:00:00.000Z",
        None,
        {},
        {"system": {"pbx": system}},
        {},
    )
    for line in (*tail_and_snapshot._lines(change), *tail_and_snapshot._json_lines(change)):
        say(line)
    out = capsys.readouterr().out
    assert not OBEYED & set(out)
    assert len(out.splitlines()) == 2
