"""Who is told goes first: a decision is with its readers before the hub asks for the next ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from delivery.hub import Hub, Subscription
from delivery.ports import LiveView, Tail
from schemas.decision import LiveEntry
from schemas.errors import Unavailable
from tests.agents.world import until

ROW = "default/tiny/1/ada"


class OneDecision:
    """A view with one decision, whose readers write down what they do."""

    def __init__(self, said: list[str]) -> None:
        self.said, self.asked_again = said, asyncio.Event()

    async def newest(self) -> dict[int, int]:
        return {0: 0}

    async def read(self, after: Mapping[int, int], wait_seconds: float) -> Sequence[LiveEntry]:
        self.said.append(f"read after {after[0]}")
        if after[0]:
            self.asked_again.set()
            await asyncio.Event().wait()
        return [LiveEntry(partition=0, offset=0, row=ROW, seq=1, body=b"first")]


async def test_a_reader_has_a_decision_before_the_next_one_is_asked_for() -> None:
    said: list[str] = []
    view, subscription = OneDecision(said), Subscription()
    hub = Hub(cast("LiveView", view), 1)

    async def listen() -> None:
        told = await subscription.next()
        said.append(f"told {told}")

    leave = hub.subscribe([ROW], subscription)
    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    await hub.start()
    async with asyncio.timeout(5):
        await listening
        await view.asked_again.wait()
    assert said == ["read after 0", f"told {(ROW, 1, b'first')}", "read after 1"]
    leave()
    await hub.stop()


async def test_who_comes_after_the_end_is_sent_away_at_once() -> None:
    hub, late = Hub(cast("LiveView", OneDecision([])), 1), Subscription()
    await hub.start()
    await hub.stop()
    leave = hub.subscribe([ROW], late)
    async with asyncio.timeout(5):
        assert await late.next() is None
    leave()


class ShortMemory:
    """A view that keeps the last ten live entries, and every learner's tail. Its reader is away while fifteen are made."""

    def __init__(self) -> None:
        self.made = [LiveEntry(partition=0, offset=0, row="default/tiny/1/l0", seq=1, body=b"0")]
        self.away, self.refused = False, 0

    @property
    def held(self) -> list[LiveEntry]:
        return self.made[-10:]

    async def newest(self) -> dict[int, int]:
        return {0: self.made[-1].offset + 1}

    async def oldest(self) -> dict[int, int]:
        return {0: self.held[0].offset + 1}

    async def applied(self) -> dict[int, int]:
        return {0: self.made[-1].offset}

    async def read(self, after: Mapping[int, int], wait_seconds: float) -> Sequence[LiveEntry]:
        await asyncio.sleep(0.01)
        if self.away:
            self.refused += 1
            raise Unavailable("store", "gone")
        return [entry for entry in self.held if entry.offset + 1 > after[0]]

    async def tail(self, partition: int, row: str, after: int, limit: int = 100) -> Tail:
        bodies = [(entry.seq, entry.body or b"") for entry in self.made if entry.row == row and entry.seq > after]
        return Tail(self.made[-1].offset, bodies, 1, bodies[-1][0] if bodies else 0)


async def test_decisions_that_were_dropped_unread_are_told_from_the_learners_tails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delivery.hub.AWAY_SECONDS", 0.1)
    view, early, late = ShortMemory(), Subscription(), Subscription()
    hub = Hub(cast("LiveView", view), 1)
    hub.subscribe(["default/tiny/1/l1"], early)
    hub.subscribe(["default/tiny/1/l15"], late)
    await hub.start()
    async with asyncio.timeout(10):
        view.away = True
        view.made += [LiveEntry(partition=0, offset=n, row=f"default/tiny/1/l{n}", seq=1, body=b"d") for n in range(1, 16)]
        await until(lambda: view.refused >= 2)  # a reader that was refused rests for longer than AWAY_SECONDS is here
        view.away = False
        assert await early.next() == ("default/tiny/1/l1", 1, b"d")
        assert await late.next() == ("default/tiny/1/l15", 1, b"d")
    await hub.stop()
