"""Supervision: a spare takes over at once, and does nothing before its turn."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.supervisor import Child, Supervisor

SCRIPT = """
import sys, time
from pathlib import Path
from cli.process import await_turn
Path(sys.argv[1]).open("a").write("loaded\\n")
await_turn()
Path(sys.argv[1]).open("a").write("working\\n")
time.sleep(60)
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    made = Child("part", [sys.executable, "-c", SCRIPT, str(tmp_path / "said")], {})
    yield made
    supervisor = Supervisor([made])
    supervisor.stop()


def said(folder: Path, *expected: str) -> None:
    """Wait until the parts have said this."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        lines = (folder / "said").read_text().split() if (folder / "said").exists() else []
        if lines == list(expected):
            return
        time.sleep(0.02)
    raise AssertionError(f"{lines} is not {expected}")


def test_a_spare_waits_for_its_turn_and_then_works(tmp_path: Path, child: Child) -> None:
    child.start()
    said(tmp_path, "loaded", "working")
    child.prepare()
    said(tmp_path, "loaded", "working", "loaded")
    spare = child.spare
    assert child.process is not None
    child.process.kill()
    child.process.wait()
    child.start()
    assert child.process is spare and child.spare is None
    said(tmp_path, "loaded", "working", "loaded", "working")


def test_a_spare_whose_supervisor_is_gone_ends_without_working(tmp_path: Path, child: Child) -> None:
    child.prepare()
    said(tmp_path, "loaded")
    assert child.spare is not None and child.spare.stdin is not None
    child.spare.stdin.close()
    assert child.spare.wait(20) == 0
    said(tmp_path, "loaded")
