"""Test that the log of a failure says where and why, and nothing of what variables held."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import pytest

from gateway.cli.runtime import logging_setup
from monitor.shared.errors import ConfigError
from monitor.shared.version import VERSION

_FAILING = """
import logging
import structlog
from gateway.cli.runtime import logging_setup as logs

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


def program(
    capsys: pytest.CaptureFixture[str], error: BaseException | None, **facts: object
) -> list[dict[str, Any]]:
    """Run a program that ends so; what it logged."""
    logging_setup.configure("error", "json")
    expected = nullcontext() if error is None else pytest.raises(type(error))
    with expected, logging_setup.ProgramLog("monitor", settings="here", **facts) as log:
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


def test_what_fails_before_it_listens_has_a_first_line_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging_setup.configure("info", "json")
    with pytest.raises(ConfigError), logging_setup.ProgramLog("gateway"):
        raise ConfigError("Cannot listen.")
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["program_start", "program_end"]


_CHANGING = """
import structlog
from gateway.cli.runtime import logging_setup as logs

lazy = structlog.get_logger("lazy")
logs.configure("warning", "human")
bound = structlog.get_logger("bound").bind(pbx="main")
for log in (lazy, bound):
    log.info("not said yet")
    log.warning("said")
logs.configure("debug", "json")
for log in (lazy, bound):
    log.debug("said as json")
logs.configure("error", "human")
for log in (lazy, bound):
    log.warning("not said any more")
    log.error("said at last")
"""


def test_level_and_form_change_for_loggers_that_exist_already() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _CHANGING], capture_output=True, text=True, check=True
    ).stderr
    assert "not said" not in said
    assert said.count('"event": "said as json"') == 2
    assert said.count("said at last") == 2
    assert len(said.splitlines()) == 6


_LOGGING = """
import logging
import structlog
from gateway.cli.runtime import logging_setup as logs

logs.configure("debug", {form!r})
log = structlog.get_logger("ours")
log.debug("of debug")
log.info("of information")
log.warning("of warning")
logging.getLogger("another's").error("of error")
log.critical("of crisis")
try:
    raise ValueError("no answer")
except ValueError:
    log.exception("of a failure")
logs.say("callmon: one\\ntwo")
raise KeyError("uncaught")
"""


def journaled(form: str, *, journal: bool) -> list[str]:
    """Return a program's standard error; ``journal``: JOURNAL_STREAM names the pipe."""
    read, write = os.pipe()
    there = os.fstat(write)
    stream = f"{there.st_dev}:{there.st_ino if journal else there.st_ino + 1}"
    program = [sys.executable, "-c", _LOGGING.format(form=form)]
    environment = os.environ | {"JOURNAL_STREAM": stream}
    with (
        os.fdopen(read, encoding="utf-8") as pipe,
        subprocess.Popen(program, stderr=write, env=environment),
    ):
        os.close(write)
        return pipe.read().splitlines()


@pytest.mark.parametrize("form", ["human", "json"])
def test_each_line_bears_its_priority_in_the_journal(form: str) -> None:
    lines = journaled(form, journal=True)
    found = {
        word: line
        for line in lines
        for word in ("debug", "information", "warning", "error", "crisis", "failure")
        if f"of {word}" in line or f"of a {word}" in line
    }
    assert {word: line[:3] for word, line in found.items()} == {
        "debug": "<7>", "information": "<6>", "warning": "<4>",
        "error": "<3>", "crisis": "<2>", "failure": "<3>",
    }  # fmt: skip
    assert [line for line in lines if not re.match(r"<[2-7]>", line)] == []
    assert "<3>callmon: one" in lines
    assert "<3>two" in lines
    assert lines[-1] == "<2>KeyError: 'uncaught'"
    if form == "json":
        assert json.loads(found["warning"][3:])["event"] == "of warning"
    else:
        assert "<3>ValueError: no answer" in lines, "a trace has several lines"


@pytest.mark.parametrize("form", ["human", "json"])
def test_elsewhere_no_line_bears_a_priority(form: str) -> None:
    lines = journaled(form, journal=False)
    assert any("of warning" in line for line in lines)
    assert [line for line in lines if line.startswith("<")] == []


_HOSTILE = """
import logging
import structlog
from gateway.cli.runtime import logging_setup as logs

hostile = "\\x1b]52;c;eA==\\x07\\r\\n2026-01-01 [\\u202e\\x9b"
logs.configure("info", "human")
structlog.get_logger("x").info(f"said_{hostile}", reason=hostile, bare="\\x1b[2J", listed=[hostile])
logging.getLogger("other").warning("another library's %s", hostile)
try:
    raise ValueError(hostile)
except ValueError:
    structlog.get_logger("x").exception("failed")
raise RuntimeError(f"uncaught{hostile}")
"""


def test_a_line_for_people_holds_nothing_that_a_terminal_obeys() -> None:
    program = [sys.executable, "-c", _HOSTILE]
    said = subprocess.run(program, capture_output=True, check=False).stderr.decode()
    assert "RuntimeError: uncaught\\u001b]52;c;eA==" in said
    assert not set("\x1b\x07\r\u202e\x9b") & set(said)
    assert sum(line.startswith("20") and "[" in line for line in said.splitlines()) == 3
    assert "\\u001b]52;c;eA==" in said


_MISSENT = """
import asyncio
from starlette.requests import Request
from gateway.cli.runtime import logging_setup as logs
from gateway.errors import BadBody
from gateway.rest.request_parser import parse_request

logs.configure("info", "json")

async def receive():
    return {"type": "http.request", "body": b"--another", "more_body": False}

kind = (b"content-type", b"multipart/form-data; boundary=one")
scope = {"type": "http", "method": "POST", "query_string": b"", "headers": [kind]}
try:
    asyncio.run(parse_request(Request(scope, receive)))
except BadBody:
    print("refused")
"""


def test_a_form_that_cannot_be_read_writes_no_line_of_its_own() -> None:
    program = [sys.executable, "-c", _MISSENT]
    said = subprocess.run(program, capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == ("refused\n", "")
