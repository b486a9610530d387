"""The one way in which commands print: whoever wrote what is printed, the terminal obeys none of it."""

from __future__ import annotations

from monitor.shared.printable_text import printable


def say(*lines: str, error: bool = False) -> None:
    """Print each text as one line, at once; to standard error for an ``error``."""
    for line in lines or ("",):
        if error:
            from gateway.cli.runtime import logging_setup as logs  # structlog, which what ends well may do without

            logs.say(printable(line, keep="\t"))
        else:
            print(printable(line, keep="\t"), flush=True)


def say_text(text: str) -> None:
    """Print a text that has lines of its own, none of them by what others wrote: JSON, or words of ours."""
    say(*text.split("\n"))
