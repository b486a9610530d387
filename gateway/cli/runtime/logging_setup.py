"""Set up logging for every process of callmon.

structlog and the standard library's loggers use the same renderer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import sys
import time
import traceback
from types import TracebackType
from typing import Final, Literal, Self, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from monitor.shared.errors import CallmonError
from monitor.shared.printable_text import printable
from monitor.shared.version import VERSION

_LONGEST_REASON: Final = 300
"""Characters of an error in the log's last line at most."""

_SHARED: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)
_TRACEBACKS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
"""Renders traces without the values of variables, as everywhere here: keys, tokens and passwords
are among them."""
_PRIORITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
"""Lowest log level → syslog's priority. Below all of them the priority is 7."""


class _Leveled(structlog.make_filtering_bound_logger(logging.DEBUG)):  # type: ignore[misc]  # a class made at run time
    """Base class of every logger.

    :func:`configure` replaces its methods with those of the level, also for existing loggers.
    """


def configure(
    level: Literal["debug", "info", "warning", "error"], form: Literal["human", "json"]
) -> None:
    """Send all log lines to standard error, for people or as one JSON object per line.

    May be called again.
    """
    render: list[structlog.typing.Processor]
    if form == "json":
        render = [_TRACEBACKS, structlog.processors.JSONRenderer()]
    else:
        colors = sys.stderr.isatty()
        render = [
            _printable,
            structlog.dev.ConsoleRenderer(
                colors=colors, pad_event_to=0, exception_formatter=_plain_traceback
            ),
        ]
    # Lines below the level must cost nothing: every change passes a debugging line.
    leveled = structlog.make_filtering_bound_logger(getattr(logging, level.upper()))
    for name, method in vars(leveled).items():
        if not name.startswith("__"):
            setattr(_Leveled, name, method)
    structlog.configure(
        wrapper_class=_Leveled,
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
    sys.excepthook = _uncaught
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("uvicorn.access", "websockets", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # warns of what anybody may send


def _printable(
    _logger: structlog.typing.WrappedLogger, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Remove from a line for people what its terminal would interpret.

    Values that are not text are shown by their repr.
    """
    return {
        key: printable(value) if isinstance(value, str) else value for key, value in event.items()
    }


def _plain_traceback(out: TextIO, trace: structlog.typing.ExcInfo) -> None:
    out.write("\n" + _trace_text(*trace))


def _trace_text(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> str:
    """Return a trace without control characters; other people may have written the message.

    A line break in a message is followed by spaces, so that no message forges a line of the log.
    """
    pieces = traceback.format_exception(kind, error, trace)
    text = "\n".join(piece.rstrip("\n").replace("\n", "\n  ") for piece in pieces)
    return printable(text, keep="\n\t")


class ProgramLog:
    """Write the first and the last line of a program's log, at every level."""

    def __init__(self, program: str, **facts: object) -> None:
        """Take the facts for the first line. Facts that are None are left out."""
        self._program = program
        self._facts = facts
        self._begun = time.monotonic()
        self._started = False
        self.reason = "done"
        """The reason of the end, if neither a signal nor an error caused it."""

    def start(self, **facts: object) -> None:
        """Write the first line: versions, settings file, and the address if it listens."""
        self._started = True
        told = {name: value for name, value in (self._facts | facts).items() if value is not None}
        _always().info(
            "program_start",
            program=self._program,
            version=VERSION,
            python=platform.python_version(),
            **told,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the last line: the reason of the end, and the uptime in seconds."""
        if not self._started:
            self.start()
        told: dict[str, object] = {"program": self._program}
        if self._facts.get("worker") is not None:
            told["worker"] = self._facts["worker"]
        told["uptime_s"] = round(time.monotonic() - self._begun, 1)
        if error is None:
            _always().info("program_end", reason=self.reason, **told)
        elif isinstance(error, asyncio.CancelledError):  # the canceller passes the signal's name
            _always().info(
                "program_end", reason=str(error.args[0]) if error.args else "cancelled", **told
            )
        else:
            _always().error("program_end", reason="error", error=_told(error), **told)


def _always() -> structlog.typing.FilteringBoundLogger:
    """Return a logger that writes information at every level."""
    logger = logging.getLogger("callmon")
    logger.setLevel(logging.INFO)
    wrapper = structlog.make_filtering_bound_logger(logging.INFO)
    made: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        logger, wrapper_class=wrapper
    )
    return made


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = str(error) if isinstance(error, CallmonError) else f"{type(error).__name__}: {error}"
    return text[:_LONGEST_REASON]


def say(text: str, level: int = logging.ERROR) -> None:
    """Print to standard error for the user.

    In the journal each line has the level's priority.
    """
    print(_marked(text, level) if to_journal(sys.stderr) else text, file=sys.stderr)


def to_journal(stream: TextIO) -> bool:
    """Return whether this stream goes to systemd's journal.

    JOURNAL_STREAM says so, see systemd.exec(5).
    """
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or not a file of the operating system
        return False
    return (device, inode) == (str(there.st_dev), str(there.st_ino))


class _JournalFormatter(structlog.stdlib.ProcessorFormatter):
    """Format lines for the journal, with a priority that the journal removes again.

    So JSON is JSON there.
    """

    def format(self, record: logging.LogRecord) -> str:
        return _marked(super().format(record), record.levelno)


def _marked(text: str, level: int) -> str:
    """Return the text with the priority before each of its lines (sd-daemon(3)).

    Each line is an entry of its own in the journal.
    """
    priority = next((priority for least, priority in _PRIORITIES if level >= least), 7)
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    say(_trace_text(kind, error, trace), logging.CRITICAL)
