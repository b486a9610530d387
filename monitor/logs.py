"""Logging for every process of callmon: structlog, and the standard library's loggers through the same renderer."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from types import TracebackType
from typing import Final, Literal, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer

_SHARED: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)
_TRACEBACKS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
"""As everywhere here, without the values of variables: keys, tokens and passwords are among them."""
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""From which level on a line has which of syslog's priorities; below all of them it is 7."""


def configure(level: Literal["debug", "info", "warning", "error"], form: Literal["human", "json"]) -> None:
    """Send all log lines to standard error, for people or as one JSON object a line. To be called once."""
    render: list[structlog.typing.Processor]
    if form == "json":
        render = [_TRACEBACKS, structlog.processors.JSONRenderer()]
    else:
        colors = sys.stderr.isatty()
        traces = structlog.dev.plain_traceback
        render = [structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, exception_formatter=traces)]
    structlog.configure(
        # What is below the level costs nothing: a debugging line stands where every change passes.
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    kind = _JournalFormatter if to_journal(sys.stderr) else structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        kind(
            foreign_pre_chain=list(_SHARED),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    if to_journal(sys.stderr):
        sys.excepthook = _uncaught
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("uvicorn.access", "websockets", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def say(text: str, level: int = logging.ERROR) -> None:
    """Print to standard error for who started this; in the journal each line has the level's priority."""
    print(_marked(text, level) if to_journal(sys.stderr) else text, file=sys.stderr)


def to_journal(stream: TextIO) -> bool:
    """Whether what is written there goes to systemd's journal, as JOURNAL_STREAM says (systemd.exec(5))."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or none of the system's
        return False
    return (device, inode) == (str(there.st_dev), str(there.st_ino))


class _JournalFormatter(structlog.stdlib.ProcessorFormatter):
    """Lines as the journal wants them, which takes the priority off again: JSON is JSON there."""

    def format(self, record: logging.LogRecord) -> str:
        return _marked(super().format(record), record.levelno)


def _marked(text: str, level: int) -> str:
    """Return the text with the priority before each of its lines (sd-daemon(3)), as each is an entry of its own."""
    priority = next((priority for least, priority in _PRIORITIES if level >= least), 7)
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    say("".join(traceback.format_exception(kind, error, trace)).rstrip(), logging.CRITICAL)
