"""Test that a terminal obeys nothing in a command's output that others wrote."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import pty
import sys
from pathlib import Path

import pytest

import gateway.cli
from gateway.cli.terminal_output import say, say_text
from monitor.persistence.sqlite_store import STORE, Store
from tests.gateway.cli.console import HOSTILE, OBEYED, ROOT
from tests.monitor.persistence.test_sqlite_store import record


def test_one_door_prints_and_a_line_stays_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"call {HOSTILE}")
    say_text(json.dumps({"name": HOSTILE}, ensure_ascii=False, indent=2))
    out = capsys.readouterr().out
    assert not OBEYED & set(out)
    assert len(out.splitlines()) == 4


def test_nothing_else_in_the_command_line_prints() -> None:
    for file in sorted(Path(gateway.cli.__file__).parent.rglob("*.py")):
        called = {
            node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
        }
        allowed = (
            {"print"}
            if file.name in ("terminal_output.py", "tables.py", "logging_setup.py")
            else set()
        )
        assert not called & {"print", "echo", "secho", "print_json"} - allowed, file.name


async def test_the_audit_log_in_a_real_terminal(tmp_path: Path) -> None:
    store = Store(tmp_path / STORE)
    await store.open()
    await store.begin(record("1", arguments=f"x={HOSTILE[:-2]}", result=HOSTILE[:-2]))
    await store.close()
    config = tmp_path / "callmon.toml"
    pbx = '[[pbx]]\nname = "main"\nurl = "http://127.0.0.1:9"\nkey = "k"\n'
    config.write_text(f'[monitor]\nstate_dir = "{tmp_path}"\n{pbx}')
    ours, its = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "audit", "--config", str(config)),
        stdin=its, stdout=its, stderr=its, cwd=ROOT,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
    )  # fmt: skip
    os.close(its)
    said = await asyncio.to_thread(_all, ours)
    assert await process.wait() == 0, said
    for harm in (b"\x1b]", b"\x07", b"\xc2\x9b", "\u202e".encode(), b"\x7f"):
        assert harm not in said
    assert b"\\u001b]52;c;" in said.replace(b"\r\n", b"")


def _all(terminal: int) -> bytes:
    said = b""
    try:
        while more := os.read(terminal, 65_536):
            said += more
    except OSError:  # what a pty says when its other end is closed
        pass
    finally:
        os.close(terminal)
    return said
