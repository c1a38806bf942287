"""What every long-running process does: end on SIGTERM and SIGINT, and never outlive the supervisor that made it."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from runtime.logging import logger
from runtime.settings import PARENT
from runtime.tasks import cancel_all
from schemas.errors import Misconfigured

log = logger("segue.process")
MANY_FILES = 65_536
LEFT_SECONDS = 3.0
"""What libraries leave running is given this long to end."""

GC_THRESHOLD = (20_000, 50, 100)
"""Rows and records are made and dropped by the hundred, and hardly anything in them forms a circle."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine on uvloop.

    A failure ends the process even where a library's thread would keep it alive (and its place in the group with it), and
    the end of `main` even where a library's task would.
    """
    collect_seldom()
    allow_many_streams()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_alone(main))
    except BaseException:
        if all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate()):
            raise
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


async def _alone(main: Coroutine[Any, Any, None]) -> None:
    """Run `main`, then end what tasks libraries left behind: one that loses a cancellation is asked again."""
    try:
        await main
    except StoppedWhileStartingError:
        log.info("stopped before it was ready")
    finally:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        try:
            async with asyncio.timeout(LEFT_SECONDS):
                await cancel_all(left)
        except TimeoutError:
            names = ", ".join(sorted(repr(task.get_coro()) for task in left if not task.done()))
            sys.stderr.write(f"segue: everything is stopped, but these tasks do not end: {names}\n")
            sys.stderr.flush()
            os._exit(1)


def collect_seldom() -> None:
    """What was loaded stays, so Python's collector need not look at it, nor often at the rest."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


def allow_many_streams() -> None:
    """A stream is an open file, and shells allow 1,024: ask for as many as we may have, up to MANY_FILES."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if most == resource.RLIM_INFINITY else min(most, MANY_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def listen(host: str, port: int, backlog: int | None = None) -> socket.socket:
    """A socket that listens there, which nobody else does. Raises Misconfigured."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as fault:
        raise Misconfigured(
            f"The gateway cannot listen on {host}:{port} ({fault.strerror}).\n"
            "If another service runs there, stop it, or set SEGUE_PORT to another port."
        ) from None


def stop_signal() -> asyncio.Event:
    """An event that is set when the process is to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


class StoppedWhileStartingError(Exception):
    """The process was told to end before it was ready."""


@asynccontextmanager
async def starting(stop: asyncio.Event) -> AsyncIterator[None]:
    """What is done in here is given up when `stop` is set, whatever it waits for: StoppedWhileStartingError."""
    task = asyncio.current_task()
    assert task is not None

    async def give_up() -> None:
        await until_stopped(stop)
        task.cancel()

    watching = asyncio.create_task(give_up())
    try:
        yield
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        task.uncancel()
        raise StoppedWhileStartingError from None
    finally:
        watching.cancel()


async def until_stopped(stop: asyncio.Event) -> None:
    """Returns when `stop` is set, or when the supervisor is gone."""
    parent, owner = int(os.environ.get(PARENT, "0")), multiprocessing.parent_process()
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), 1.0)
        except TimeoutError:
            if (parent and os.getppid() != parent) or (owner is not None and not owner.is_alive()):
                stop.set()


async def until_stopped_or_failed(stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Returns at `stop`, or when one of `tasks` ends; raises what it failed with.

    A lane that halted ends by itself and leaves the others working: tasks named `lane:...` may end.
    """
    stopping = asyncio.create_task(until_stopped(stop))
    running: set[asyncio.Task[None]] = {stopping, *tasks}
    try:
        while not stopping.done():
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if any(not task.get_name().startswith("lane:") for task in done):
                return
    finally:
        stopping.cancel()
