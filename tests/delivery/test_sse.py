"""A connection's frames when its store is away for a moment."""

from __future__ import annotations

from typing import cast

from delivery.hub import Subscription
from delivery.ports import LiveView, Tail
from delivery.session import Session
from delivery.sse import _frames
from schemas.errors import Unavailable

ROW = "default/tiny/1/ada"


class Shaky:
    """A view that refuses the first reading of a tail."""

    refusals = 1

    async def tail(self, partition: int, row: str, after: int, limit: int = 100) -> Tail:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("store", "connection lost")
        return Tail(3, [(2, b"second")], 1, 3)


async def test_a_store_that_is_away_for_a_moment_does_not_cut_the_connection() -> None:
    subscription, view = Subscription(), cast("LiveView", Shaky())
    told: list[bytes] = []
    subscription.push(ROW, 3, b"third")
    subscription.close()
    async for frame in _frames(Session({ROW: 1}), [], subscription, view, 4, told.append):
        assert frame.event != "gap"
    assert told == [b"second", b"third"]
