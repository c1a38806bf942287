"""Benches understand what they are asked, or say what they cannot."""

from __future__ import annotations

import pytest

from benchmarks.asked import brokers, number_from


@pytest.mark.parametrize(("given", "found"), [(None, 220), ("", 220), ("15", 15)])
def test_a_number_is_read_or_has_a_default(monkeypatch: pytest.MonkeyPatch, given: str | None, found: int) -> None:
    monkeypatch.delenv("RATE", raising=False)
    if given is not None:
        monkeypatch.setenv("RATE", given)
    assert number_from("RATE", 220) == found


@pytest.mark.parametrize("given", ["many", "0", "-3", "1.5"])
def test_what_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("RATE", given)
    with pytest.raises(SystemExit, match=f"RATE is '{given}'"):
        number_from("RATE", 220)


def test_an_unknown_broker_is_named() -> None:
    assert brokers("standalone,kafka") == ["standalone", "kafka"]
    with pytest.raises(SystemExit, match="there is no 'rabbit'"):
        brokers("kafka,rabbit")
