"""Print for all commands, without control characters that the terminal would obey."""

from __future__ import annotations

from monitor.shared.printable_text import printable


def say(*lines: str, error: bool = False) -> None:
    """Print each text as one line, at once; to standard error if ``error``."""
    for line in lines or ("",):
        if error:
            from gateway.cli.runtime import (
                logging_setup,
            )  # imports structlog, which is needed only for errors

            logging_setup.say(printable(line, keep="\t"))
        else:
            print(printable(line, keep="\t"), flush=True)


def say_text(text: str) -> None:
    """Print a text of several lines.

    Its line breaks must come from us: JSON, or our own words.
    """
    say(*text.split("\n"))
