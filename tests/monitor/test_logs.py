"""What is logged of a failure: where and why, and nothing of what the variables held."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

_FAILING = """
import logging
import structlog
from monitor import logs

logs.configure("info", {form!r})

def ask(headers):
    answer = {{"password": headers["Authorization"]}}
    raise ValueError("no answer")

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


_LOGGING = """
import logging
import structlog
from monitor import logs

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
    """What a program writes to standard error, a pipe which JOURNAL_STREAM names, or does not, as systemd would."""
    read, write = os.pipe()
    there = os.fstat(write)
    stream = f"{there.st_dev}:{there.st_ino if journal else there.st_ino + 1}"
    program = [sys.executable, "-c", _LOGGING.format(form=form)]
    environment = os.environ | {"JOURNAL_STREAM": stream}
    with os.fdopen(read, encoding="utf-8") as pipe, subprocess.Popen(program, stderr=write, env=environment):
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
        "debug": "<7>", "information": "<6>", "warning": "<4>", "error": "<3>", "crisis": "<2>", "failure": "<3>"
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
