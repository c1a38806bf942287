"""The window of event ids: at least the last 1,000 are known, and only one chunk changes an event."""

from __future__ import annotations

from agents.window import CHUNK, SLOTS, IdWindow


def name(number: int) -> bytes:
    return number.to_bytes(8, "little")


def test_the_last_thousand_ids_are_known_and_old_ones_go() -> None:
    window = IdWindow(0, {})
    for number in range(5_000):
        window.remember(name(number), b"body", number)
    assert all(window.find(name(number)) is not None for number in range(4_000, 5_000))
    assert window.find(name(0)) is None
    assert sum(len(chunk) for chunk in window.slots.values()) <= SLOTS * CHUNK * 16


def test_a_window_comes_back_from_its_chunks() -> None:
    window, stored = IdWindow(0, {}), dict[int, bytes]()
    for number in range(1_500):
        slot, chunk = window.remember(name(number), b"b%03d" % (number % 1000), number)
        stored[slot] = chunk
        if number % 97 == 0:
            window = IdWindow(number + 1, dict(stored))
    known = window.find(name(1_400))
    assert known is not None and (known.body, known.seq) == (b"b400", 1_400)
