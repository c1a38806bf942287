"""A process ends when its main coroutine does, whatever libraries leave behind."""

from __future__ import annotations

import subprocess
import sys

STUBBORN = """
import asyncio
from cli import process

process.LEFT_SECONDS = 0.5

async def stubborn(times):
    while times:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            times -= 1

async def main():
    main.task = asyncio.create_task(stubborn({times}))
    await asyncio.sleep(0)
    print("done", flush=True)

process.run(main())
print("returned", flush=True)
"""


def ended(times: int) -> subprocess.CompletedProcess[str]:
    """A process whose main coroutine leaves a task that loses so many cancellations."""
    script = STUBBORN.replace("{times}", str(times))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)


def test_a_task_that_loses_a_cancellation_is_asked_again() -> None:
    done = ended(1)
    assert (done.returncode, done.stdout.split()) == (0, ["done", "returned"]), done.stderr


def test_a_task_that_never_ends_does_not_keep_a_stopped_process() -> None:
    done = ended(1_000)
    assert (done.returncode, done.stdout.split()) == (1, ["done"])
    assert "these tasks do not end" in done.stderr and "stubborn" in done.stderr


WAITING = """
import asyncio, os, signal
from cli import process

async def main():
    stop = process.stop_signal()
    print("begun", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    async with process.starting(stop):
        await asyncio.Event().wait()
    print("started", flush=True)

process.run(main())
print("returned", flush=True)
"""


def test_who_is_told_to_stop_while_starting_gives_up_whatever_it_waits_for() -> None:
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert "begun" in done.stdout and "returned" in done.stdout and "started" not in done.stdout.split()
