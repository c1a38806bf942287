"""Compiled code does what the sources do, byte for byte, and keeps nothing; old code is refused, never run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime import compiled
from tests.require import need


def played(*paths: Path) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "tests.models.played"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with models/ as sources only."""
    shutil.copytree(compiled.PACKAGE, tmp_path / "models", ignore=shutil.ignore_patterns("*.so", "*.pyd", ".compiled"))
    return tmp_path


def test_compiled_code_gives_the_bytes_of_the_sources_and_keeps_nothing(sources: Path) -> None:
    need("compiled", None if compiled.is_compiled() else "models/ runs as it is; `make compile` with gcc and python3-dev")
    quick, plain = played(compiled.ROOT), played(sources, compiled.ROOT)
    assert (quick["compiled"], plain["compiled"]) == (True, False)
    assert quick["digest"] == plain["digest"]
    assert quick["telling"] == plain["telling"] > 10, "some have practised much"
    for which in (quick, plain):
        first, last = which["kept"][1], which["kept"][-1]
        assert abs(last[0] - first[0]) < 100 and abs(last[1] - first[1]) < 100, "something is kept of every record"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another folder in the place of this checkout."""
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    monkeypatch.setattr(compiled, "PACKAGE", tmp_path / "models")
    monkeypatch.setattr(compiled, "STAMP", tmp_path / "models" / ".compiled")
    compiled.PACKAGE.mkdir()
    return compiled.PACKAGE


def test_code_compiled_from_other_sources_is_refused(elsewhere: Path) -> None:
    for name in compiled.HOT:
        (elsewhere / f"{name}.py").write_text("old")
    compiled.refuse_stale()
    for library in compiled.libraries():
        library.write_bytes(b"")
    compiled.STAMP.write_text(compiled.fingerprint())
    compiled.refuse_stale()
    (elsewhere / "row.py").write_text("new")
    with pytest.raises(ImportError, match="make compile"):
        compiled.refuse_stale()
    compiled.STAMP.write_text(compiled.fingerprint())
    compiled.libraries()[0].unlink()
    with pytest.raises(ImportError, match="make compile"):
        compiled.refuse_stale()
    compiled.remove()
    compiled.refuse_stale()


def test_without_a_compiler_it_says_what_to_install_and_goes_on(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in compiled.HOT:
        (elsewhere / f"{name}.py").write_text("")
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr(sys, "argv", ["compiled"])
    assert compiled.main() == 0
    assert "apt-get install gcc" in capsys.readouterr().err and not compiled.is_compiled()
