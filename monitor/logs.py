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
