"""What is logged of a failure: where and why, and nothing of what the variables held."""

from __future__ import annotations

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


_CHANGING = """
import structlog
from monitor import logs

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
    said = subprocess.run([sys.executable, "-c", _CHANGING], capture_output=True, text=True, check=True).stderr
    assert "not said" not in said
    assert said.count('"event": "said as json"') == 2
    assert said.count("said at last") == 2
    assert len(said.splitlines()) == 6
