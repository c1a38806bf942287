"""The embedded engine's epoch: numbers may be used again only after a power cut, and then cursors must not be trusted."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from schemas.errors import Misconfigured, Unavailable
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


def left_behind(folder: Path) -> Engine:
    """A store whose owner was killed."""
    engine = Engine(folder)
    engine.start()
    engine.keeper.stop()
    engine._lock.close()
    return engine


def ended(engine: Engine) -> None:
    assert engine.process is not None
    engine.process.wait(timeout=20)


def test_a_store_that_was_adopted_is_started_again_when_it_dies(tmp_path: Path) -> None:
    first, second = left_behind(tmp_path), Engine(tmp_path)
    second.start()
    assert second.process is None and not second.tend()
    assert first.process is not None
    first.process.kill()
    ended(first)
    assert second.tend() and second.answers() and not second.tend()
    second.stop()


def test_a_store_that_was_adopted_is_made_durable(tmp_path: Path) -> None:
    first, second = left_behind(tmp_path), Engine(tmp_path, durable=True)
    second.start()
    with redis.Redis.from_url(second.url) as client:
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
    second.stop()
    ended(first)


def test_a_store_that_does_not_answer_gets_no_second_one_on_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = left_behind(tmp_path)
    assert first.process is not None
    first.process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(engines, "START_SECONDS", 0.5)
    with pytest.raises(Unavailable, match="does not answer"):
        Engine(tmp_path).start()
    first.process.send_signal(signal.SIGCONT)
    monkeypatch.undo()
    second = Engine(tmp_path)
    second.start()
    assert second.process is None
    second.stop()
    ended(first)
