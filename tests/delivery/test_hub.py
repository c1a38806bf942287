"""Who is told goes first: a decision is with its readers before the hub asks for the next ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from delivery.hub import Hub, Subscription
from delivery.ports import LiveView
from schemas.decision import LiveEntry

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
