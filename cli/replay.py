"""`segue replay`: a real log through a real service, with progress and a summary."""

from __future__ import annotations

import asyncio
import math
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cli.service import Service, running_service, tended
from runtime.logging import set_up_logging
from runtime.settings import load_settings
from schemas.errors import Code, Misconfigured, Rejection
from simulator.client import Client, Refused
from simulator.logs import Log, read_log
from simulator.replay import Replay, Tally

console = Console(soft_wrap=True)
LINE_EVERY_SECONDS = 5.0


def run_replay(data: Path, learners: int | None, broker: str, url: str, key: str, workers: int) -> dict[str, Any]:
    """Replay and report. Raises Rejection, Misconfigured or Unavailable."""
    set_up_logging("replay", "pretty", "warning")
    run = f"replay-{secrets.token_hex(4)}"
    log = read_log(data, learners, run)
    people = len({learner for learner, _ in log.events})
    console.print(f"[bold]{data.name}[/bold]: {len(log.events):,} responses of {people:,} learners, run {run}")
    with ExitStack() as stack:
        if url and not key:
            raise Misconfigured("With URL give the key of that service: SEGUE_KEY=… or --key …")
        service = None if url else _service(stack, broker, workers)
        start = time.perf_counter()
        if service is None:
            tally = asyncio.run(_replay(url, key, log, run))
        else:
            tally = asyncio.run(tended(service, _replay(service.url, service.key, log, run)))
        seconds = time.perf_counter() - start
    report = tally.report() | {"seconds": round(seconds, 1), "broker": broker, "learners": people}
    _print_table(report)
    return report


def _service(stack: ExitStack, broker: str, workers: int) -> Service:
    """A service of our own in a folder of its own; with Kafka a broker, too, where none is named."""
    from cli.kafka import local_kafka

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="segue-replay-")))
    given: dict[str, object] = {"data": folder, "port": 0, "log_level": "warning", "broker": broker}
    if broker == "standalone":
        given["redis_url"] = ""  # whatever the environment names, that log is somebody's
    else:
        given |= stack.enter_context(local_kafka(folder, console.print))
    settings = load_settings(**given)
    console.print(f"Starting a {broker} service with {workers} worker{'s' if workers > 1 else ''} …")
    return stack.enter_context(running_service(settings, workers))


async def _replay(url: str, key: str, log: Log, run: str) -> Tally:
    with _progress(len(log.events)) as told:
        async with Client(url, key) as client:
            try:
                return await Replay(client, log, run, told).go()
            except* Refused as refused:
                raise Rejection(Code.INVALID, str(refused.exceptions[0])) from None


class _progress:  # noqa: N801  (used like a function)
    """A bar for people, a line now and then for logs."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._next = 0.0
        self._bar: Progress | None = None

    def __enter__(self) -> Callable[[Tally], None]:
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=console)
            self._task = self._bar.add_task("decisions", total=self._total)
            self._bar.start()
        return self._told

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _told(self, tally: Tally) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=tally.decisions)
            return
        now, done = time.monotonic(), tally.decisions == self._total
        if now >= self._next or (done and self._next != math.inf):
            self._next = math.inf if done else now + LINE_EVERY_SECONDS
            console.print(f"  {tally.decisions:>7,} of {self._total:,} decisions")


def _print_table(report: dict[str, Any]) -> None:
    table = Table(show_header=False)
    for name in ("events", "accepted", "decisions", "lost", "double", "auc", "log_loss", "p50_ms", "p99_ms", "seconds"):
        table.add_row(name, str(report[name]))
    console.print(table)
