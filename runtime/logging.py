"""Logs: structlog, one line an incident and none an event, pretty for people or JSON for machines."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

NOISY = ("aiokafka", "faust", "mode", "uvicorn", "asyncio", "httpx")


def set_up_logging(part: str, log_format: str, level: str) -> None:
    """Configure logging for one process. Call once, at its start."""
    logging.basicConfig(level=level.upper(), stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(part=part)


def logger(name: str) -> Any:
    """A logger for one module."""
    return structlog.get_logger(name)
