"""What every long-running process does: end on SIGTERM and SIGINT, and never outlive the supervisor that made it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

import uvloop

PARENT = "SEGUE_PARENT"


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def stop_signal() -> asyncio.Event:
    """An event that is set when the process is to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def until_stopped(stop: asyncio.Event) -> None:
    """Returns when `stop` is set, or when the supervisor is gone."""
    parent = int(os.environ.get(PARENT, "0"))
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), 1.0)
        except TimeoutError:
            if parent and os.getppid() != parent:
                stop.set()
