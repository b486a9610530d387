"""Logging for every process of callmon: structlog, and the standard library's loggers through the same renderer."""

from __future__ import annotations

import logging
import sys
from typing import Literal

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


class _Leveled(structlog.make_filtering_bound_logger(logging.DEBUG)):  # type: ignore[misc]  # a class made at run time
    """What every logger is made of. Its methods are exchanged with the level, for loggers that exist already too."""


def configure(level: Literal["debug", "info", "warning", "error"], form: Literal["human", "json"]) -> None:
    """Send all log lines to standard error, for people or as one JSON object a line. May be called again."""
    render: list[structlog.typing.Processor]
    if form == "json":
        render = [_TRACEBACKS, structlog.processors.JSONRenderer()]
    else:
        colors = sys.stderr.isatty()
        traces = structlog.dev.plain_traceback
        render = [structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, exception_formatter=traces)]
    # What is below the level costs nothing: a debugging line stands where every change passes.
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
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=list(_SHARED),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("uvicorn.access", "websockets", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
