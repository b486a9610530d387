"""What is logged of a failure: where and why, and nothing of what the variables held."""

from __future__ import annotations

import asyncio
import json
import platform
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import pytest

from monitor import logs
from monitor.errors import ConfigError
from monitor.model.version import VERSION

_FAILING = """
import logging
import structlog
from monitor import logs

logs.configure("info", {form!r})

def ask(headers):
    answer = {{"password": headers["Authorization"]}}
    raise ValueError(" ".join(("no", "answer")))  # apart: Python 3.13 shows this line in a trace

for log in (structlog.get_logger("ours"), logging.getLogger("another's")):
    try:
        ask({{"Authorization": " ".join(("Bearer", "a" + "-key"))}})
    except ValueError:
        log.exception("failed")
"""


@pytest.mark.parametrize("form", ["human", "json"])
def test_no_value_of_a_variable_is_logged_with_a_failure(form: str) -> None:
    program = [sys.executable, "-c", _FAILING.format(form=form)]
    said = subprocess.run(program, capture_output=True, text=True, check=True).stderr
    assert said.count("no answer") == 2
    assert said.count("ask") >= 2, "where it was is told"
    assert "a-key" not in said


def program(capsys: pytest.CaptureFixture[str], error: BaseException | None, **facts: object) -> list[dict[str, Any]]:
    """Run a program that ends so; what it logged."""
    logs.configure("error", "json")
    expected = nullcontext() if error is None else pytest.raises(type(error))
    with expected, logs.ProgramLog("monitor", settings="here", **facts) as log:
        log.start(address="there")
        if error is not None:
            raise error
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_the_first_line_says_what_runs_at_any_level(capsys: pytest.CaptureFixture[str]) -> None:
    first, last = program(capsys, None, worker=None)
    told = {name: first[name] for name in first if name not in ("timestamp", "logger", "level")}
    assert told == {
        "event": "program_start",
        "program": "monitor",
        "version": VERSION,
        "python": platform.python_version(),
        "settings": "here",
        "address": "there",
    }
    assert (last["event"], last["reason"], last["level"]) == ("program_end", "done", "info")
    assert last["uptime_s"] >= 0


@pytest.mark.parametrize(
    ("error", "reason", "says"),
    [
        (asyncio.CancelledError("SIGTERM"), "SIGTERM", None),
        (asyncio.CancelledError(), "cancelled", None),
        (ExceptionGroup("several", [ConfigError("No such PBX.")]), "error", "No such PBX."),
        (RuntimeError("it ended"), "error", "RuntimeError: it ended"),
    ],
)
def test_the_last_line_says_why(
    capsys: pytest.CaptureFixture[str], error: BaseException, reason: str, says: str | None
) -> None:
    _, last = program(capsys, error, worker=3)
    assert (last["reason"], last.get("error"), last["worker"]) == (reason, says, 3)
    assert last["level"] == ("error" if says else "info")


def test_what_fails_before_it_listens_has_a_first_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    with pytest.raises(ConfigError), logs.ProgramLog("gateway"):
        raise ConfigError("Cannot listen.")
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["program_start", "program_end"]


_HOSTILE = """
import logging
import structlog
from monitor import logs

hostile = "\\x1b]52;c;eA==\\x07\\r\\n2026-01-01 [\\u202e\\x9b"
logs.configure("info", "human")
structlog.get_logger("x").info(f"said_{hostile}", reason=hostile, bare="\\x1b[2J", listed=[hostile])
logging.getLogger("other").warning("another library's %s", hostile)
try:
    raise ValueError("\\x1b]52;c;eA==\\x07\\x9b")
except ValueError:
    structlog.get_logger("x").exception("failed")
"""


def test_a_line_for_people_holds_nothing_that_a_terminal_obeys() -> None:
    said = subprocess.run([sys.executable, "-c", _HOSTILE], check=True, capture_output=True).stderr.decode()
    assert not set("\x1b\x07\r\u202e\x9b") & set(said)
    assert sum(line.startswith("20") and "[" in line for line in said.splitlines()) == 3
    assert "\\u001b]52;c;eA==" in said
