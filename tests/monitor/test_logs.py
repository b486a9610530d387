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
