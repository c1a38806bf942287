"""Libraries repeat themselves while a broker is away; the log does not."""

from __future__ import annotations

import logging

import pytest

from runtime import logging as logs
from runtime.logging import Repeats


def line(text: str, *values: object, name: str = "aiokafka.client", at: float = 100.0) -> logging.LogRecord:
    record = logging.LogRecord(name, logging.ERROR, "", 0, text, values, None)
    record.created = at
    return record


def test_a_repeated_line_passes_once_in_a_while_and_says_how_many_were_held_back() -> None:
    repeats = Repeats()
    assert repeats.filter(line("no connection to node %s", 1))
    assert not any(repeats.filter(line("no connection to node %s", node, at=105.0)) for node in (1, 2, 3))
    assert repeats.filter(line("another line", at=105.0))
    later = line("no connection to node %s", 1, at=111.0)
    assert repeats.filter(later)
    assert later.getMessage() == "no connection to node 1 (and 3 like it before)"


def test_our_own_lines_and_tracebacks_always_pass() -> None:
    repeats = Repeats()
    for _ in range(2):
        assert repeats.filter(line("store died", name="segue.up"))
        failed = line("failed")
        failed.exc_info = (ValueError, ValueError("x"), None)
        assert repeats.filter(failed)


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_KINDS", 10)
    repeats = Repeats()
    assert all(repeats.filter(line(f"line {number}")) for number in range(100))
    assert len(repeats._kinds) <= 10
