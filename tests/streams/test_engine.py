"""The embedded engine's epoch: numbers may be used again only after a power cut, and then cursors must not be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from schemas.errors import Misconfigured
from streams import engine as engines
from streams.engine import Engine
from streams.keys import EPOCH


@contextmanager
def started(folder: Path) -> Iterator[tuple[Engine, int]]:
    engine = Engine(folder)
    engine.start()
    with redis.Redis.from_url(engine.url) as client:
        yield engine, int(client.get(EPOCH))


def killed(folder: Path) -> int:
    """One life that ends with kill -9 of store and owner; its epoch."""
    with started(folder) as (engine, epoch):
        assert engine.process is not None
        engine.process.kill()
        engine.process.wait()
        engine._lock.close()
    return epoch


def test_an_epoch_ends_with_the_machine_and_not_with_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "boot_id", lambda: "monday")
    assert killed(tmp_path) == 0
    assert killed(tmp_path) == 0, "what a killed process wrote is still with the kernel"
    monkeypatch.setattr(engines, "boot_id", lambda: "tuesday")
    assert killed(tmp_path) == 1, "the machine went down while the store ran"
    monkeypatch.setattr(engines, "boot_id", lambda: "")
    with started(tmp_path) as (engine, epoch):
        assert epoch == 2, "where nobody names the start of the machine, every unclean end counts"
        engine.stop()
    monkeypatch.setattr(engines, "boot_id", lambda: "wednesday")
    with started(tmp_path) as (engine, epoch):
        assert epoch == 2, "a clean end has everything on disk"
        engine.stop()


def test_a_store_that_died_and_was_started_again_keeps_its_epoch(tmp_path: Path) -> None:
    with started(tmp_path) as (engine, _):
        assert engine.process is not None
        engine.process.kill()
        engine.process.wait()
        assert engine.tend()
        with redis.Redis.from_url(engine.url) as client:
            assert client.get(EPOCH) == b"0"
        engine.stop()


def test_a_damaged_epoch_is_said(tmp_path: Path) -> None:
    (tmp_path / "epoch").write_text("what?")
    engine = Engine(tmp_path)
    with pytest.raises(Misconfigured, match="damaged"):
        engine.start()
    engine.stop()
