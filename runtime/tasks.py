"""Small rules for asyncio: how to retry a fault where it arises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from schemas.errors import Unavailable

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


async def retry(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the part that it needs answers. Ends by success, by another error, or by cancellation."""
    pause = FIRST_PAUSE
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel and await. Asks again: a client library may lose a cancellation that comes while it closes a connection."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.2)
