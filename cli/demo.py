"""`segue demo` and `segue simulate`: simulated learners, decisions as they arrive, and a table of latencies."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from authoring.load import load_course
from cli.service import running_service, tended
from runtime.settings import Settings
from schemas.errors import Code, Rejection, Unavailable
from simulator.client import Client, Refused
from simulator.cohort import Cohort, CohortTally
from simulator.scores import percentile, rounded

SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "personal-data.yaml"
SHOWN_EVERY_SECONDS = 0.4
AWAY_SECONDS = 30.0
"""How long beyond its time a simulation waits for a service that is away."""
console = Console(soft_wrap=True)


def run_demo(settings: Settings, seconds: float, learners: int, seed: int) -> dict[str, Any]:
    """Start a service in a folder of its own, let learners learn, stop it, report."""
    course = msgspec.to_builtins(load_course(SAMPLE))
    console.print(f"[bold]Segue[/bold]: starting store, worker and gateway, then {learners} learners for {seconds:.0f} s …")
    with tempfile.TemporaryDirectory(prefix="segue-demo-") as folder:
        own = settings.model_copy(update={"data": Path(folder), "broker": "standalone", "redis_url": ""})
        with running_service(own) as service:
            console.print(f"Up at {service.url}. Course: “{course['title']}”. Decisions as they arrive:\n")
            learning = _learn(service.url, service.key, course, learners, seconds, seed)
            tally = asyncio.run(tended(service, learning))
    _print_table(tally)
    console.print("\nFor good:  [bold].venv/bin/segue up --course examples/personal-data.yaml[/bold]\n")
    return _report(tally)


def run_simulate(url: str, key: str, course: str, learners: int, seconds: float, seed: int) -> dict[str, Any]:
    """Simulated learners against a running service, in a run of their own."""
    tally = asyncio.run(_learn(url, key, course, learners, seconds, seed))
    _print_table(tally)
    return _report(tally)


async def _learn(url: str, key: str, course: dict[str, Any] | str, learners: int, seconds: float,
                 seed: int) -> CohortTally:  # fmt: skip
    shown = _Shown()
    async with Client(url, key) as client:
        try:
            await client.hello()
            if isinstance(course, str):
                course = await client.course(course)
            else:
                await client.publish(course)
            cohort = Cohort(client, course, f"simulation-{seed}", seed=seed, pause_seconds=0.35, shown=shown.decision)
            async with asyncio.timeout(seconds + AWAY_SECONDS):
                tally = await cohort.go(learners, seconds)
        except* Refused as refused:
            raise Rejection(Code.INVALID, str(refused.exceptions[0])) from None
        except* TimeoutError:
            raise Unavailable("gateway", f"{url} has not answered for {AWAY_SECONDS:.0f} s") from None
    return tally


class _Shown:
    """Prints a decision now and then, so that a person can read along."""

    def __init__(self) -> None:
        self._next = 0.0

    def decision(self, learner: str, decision: dict[str, Any], latency_ms: float) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return
        self._next = now + SHOWN_EVERY_SECONDS
        chance = "" if decision["predicted"] is None else f"  [dim]p(right) was {decision['predicted']:.2f}[/dim]"
        console.print(
            f"  {latency_ms:6.1f} ms  [cyan]{learner}[/cyan] #{decision['seq']:<3} "
            f"[bold]{decision['segment'] or '—'}[/bold]  {decision['why']}{chance}",
            highlight=False,
        )


def _print_table(tally: CohortTally) -> None:
    table = Table(title="Event sent → decision received", title_justify="left")
    for name in ("decisions", "p50", "p90", "p99", "max"):
        table.add_column(name, justify="right")
    cells = [_ms(percentile(tally.latencies_ms, share)) for share in (0.5, 0.9, 0.99, 1.0)]
    table.add_row(str(tally.decisions), *cells)
    console.print()
    console.print(table)
    console.print(
        f"{tally.accepted} events accepted, {tally.due} asked for a decision, {tally.decisions} decisions came, "
        f"{tally.lost} lost, {tally.double} doubled; {tally.finished} learners finished the course."
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ms"


def _report(tally: CohortTally) -> dict[str, Any]:
    return {
        "accepted": tally.accepted,
        "decisions": tally.decisions,
        "lost": tally.lost,
        "double": tally.double,
        "p50_ms": rounded(percentile(tally.latencies_ms, 0.50), 2),
        "p99_ms": rounded(percentile(tally.latencies_ms, 0.99), 2),
        "finished": tally.finished,
    }
