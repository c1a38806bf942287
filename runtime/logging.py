"""Logs: structlog, one line an incident and none an event, pretty for people or JSON for machines."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

NOISY = ("aiokafka", "faust", "mode", "uvicorn", "asyncio", "httpx")
REPEAT_SECONDS = 10.0
MOST_KINDS = 1_000


class Repeats(logging.Filter):
    """Lets a line of a library through once in REPEAT_SECONDS, then says how many like it were held back.

    A broker that is away for a minute makes tens of thousands. Tracebacks always pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info or not record.name.startswith(NOISY):
            return True
        kind = (record.name, record.levelno, str(record.msg))
        until, held = self._kinds.get(kind, (0.0, 0))
        if record.created < until:
            self._kinds[kind] = (until, held + 1)
            return False
        if len(self._kinds) >= MOST_KINDS:
            self._kinds.clear()
        self._kinds[kind] = (record.created + REPEAT_SECONDS, 0)
        if held:
            record.msg = f"{record.msg} (and {held:,} like it before)"
        return True


def set_up_logging(part: str, log_format: str, level: str) -> None:
    """Configure logging for one process. Call once, at its start."""
    logging.basicConfig(level=level.upper(), stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Repeats())
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
