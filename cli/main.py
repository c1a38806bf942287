"""The one door: `segue COMMAND`. Exit codes: 0 fine, 1 found a problem, 2 called wrongly."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from cli.plain import escape
from runtime.logging import set_up_logging
from runtime.settings import PARENT, Settings, load_settings, misspelt
from schemas.errors import Misconfigured, Rejection, SegueError

app = typer.Typer(
    name="segue",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
course_app = typer.Typer(no_args_is_help=True, help="Check and publish course files.")
app.add_typer(course_app, name="course")
evidence_app = typer.Typer(no_args_is_help=True, help="Prove who was shown what of the compulsory content.")
app.add_typer(evidence_app, name="evidence")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Url = Annotated[str, typer.Option(help="A running gateway.", envvar="SEGUE_URL")]
Key = Annotated[str, typer.Option(help="Its key; `segue up` prints it.", envvar="SEGUE_KEY")]
Data = Annotated[Path | None, typer.Option(help="Folder of a standalone service.")]
Learners = Annotated[int | None, typer.Option(min=1, help="How many learners.")]
LOCAL = "http://127.0.0.1:8765"


def settings_for(part: str, **given: object) -> Settings:
    """Settings and logging of one process; what is wrong with the settings ends it with exit code 2."""
    try:
        settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    except Misconfigured as fault:
        fail(str(fault), 2)
    set_up_logging(part, settings.log_format, settings.log_level)
    if PARENT not in os.environ:
        for told in misspelt(os.environ):
            Console(stderr=True).print(f"[yellow]segue:[/yellow] {escape(told)}", highlight=False, soft_wrap=True)
    return settings


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong on stderr, and end."""
    Console(stderr=True).print(f"[bold red]segue:[/bold red] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def guarded(call: Callable[[], Any]) -> Any:
    """Run a command; our own errors become a sentence and an exit code, bugs keep their trace."""
    try:
        return call()
    except (Misconfigured, Rejection) as fault:
        fail(str(fault), 2)
    except SegueError as fault:
        fail(str(fault), 1)


def _tell_version(asked: bool) -> None:
    if asked:
        print(metadata.version("segue"))
        raise typer.Exit


@app.callback()
def segue(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Event-driven real-time adaptation for learning. Start with [bold]segue up[/bold]."""


@app.command(epilog="Example: segue up --port 8765 --data ./segue-data")
def up(
    port: Annotated[
        int | None, typer.Option(help="Where the gateway listens (0: any free port). SEGUE_PORT, else 8765.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the embedded store. SEGUE_DATA, else segue-data.")] = None,
    durable: Annotated[
        bool | None, typer.Option(help="Write every event to disk before it is accepted. SEGUE_DURABLE, else no.")
    ] = None,
    course: Annotated[Path | None, typer.Option(help="Publish this course file once the service is up.")] = None,
) -> None:
    """Start the whole service on this machine: embedded store, worker, gateway. Ctrl-C stops it."""
    from cli.up import run_up

    settings = settings_for("up", port=port, data=data, durable=durable)
    guarded(lambda: run_up(settings, course))


@app.command(epilog="Example: SEGUE_BROKER=kafka SEGUE_KAFKA=kafka:9092 SEGUE_REDIS_URL=redis://valkey:6379/0 segue worker")
def worker() -> None:
    """Run one worker: it turns events into decisions. Start as many as you like against one Kafka."""
    from cli.beside import Beside
    from cli.process import run
    from cli.worker import run_worker

    settings = settings_for("worker")
    with Beside() as beside:
        guarded(lambda: run(run_worker(settings, beside)))


@app.command(epilog="Example: SEGUE_KEY=secret SEGUE_REDIS_URL=redis://127.0.0.1:6379/0 segue gateway")
def gateway() -> None:
    """Run one gateway: HTTP in, server-sent events out."""
    from cli.gateway import run_gateway
    from cli.process import run

    settings = settings_for("gateway")
    guarded(lambda: run(run_gateway(settings)))


@app.command(epilog="Example: segue demo --seconds 20")
def demo(
    seconds: Annotated[float, typer.Option(min=1, help="How long learners learn.")] = 20.0,
    learners: Annotated[int, typer.Option(min=1, max=500, help="How many at once.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the simulated learners.")] = 7,
) -> None:
    """The main job, end to end, in half a minute; leaves nothing running. The last line is JSON."""
    from cli.demo import run_demo

    report(lambda: run_demo(settings_for("demo", port=0, log_level="warning"), seconds, learners, seed))


@app.command(epilog="Example: segue simulate --learners 20 --seconds 60 --key KEY")
def simulate(
    key: Key,
    url: Url = LOCAL,
    course: Annotated[str, typer.Option(help="Id of a published course.")] = "personal-data",
    learners: Annotated[int, typer.Option(min=1, help="How many at once.")] = 10,
    seconds: Annotated[float, typer.Option(min=1)] = 30.0,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Send simulated learners through a running service. The last line is JSON."""
    from cli.demo import run_simulate

    report(lambda: run_simulate(url, key, course, learners, seconds, seed))


@app.command(epilog="Example: segue replay log.parquet --learners 60")
def replay(
    data: Annotated[Path, typer.Argument(help="Parquet: learner, seq, ts, item, skill, correct, latency_ms, ...")],
    learners: Learners = None,
    broker: Annotated[str, typer.Option(help="standalone or kafka")] = "standalone",
    url: Annotated[str, typer.Option(help="Use the service at this address instead of starting one.")] = "",
    key: Annotated[str, typer.Option(help="Its key.", envvar="SEGUE_KEY")] = "",
    workers: Annotated[int, typer.Option(min=1, max=16, help="Workers to start (Kafka).")] = 1,
) -> None:
    """Stream a real log through a service and report what came back. The last line is JSON."""
    from cli.replay import run_replay

    report(lambda: run_replay(data, learners, broker, url, key, workers))


@app.command(epilog="Example: segue explain default/personal-data/1/ana/7 --replay")
def explain(
    name: Annotated[str, typer.Argument(metavar="ID", help="A decision's id: tenant/course/run/learner/number.")],
    replay: Annotated[bool, typer.Option("--replay", help="Compute it again; exit code 1 when that differs.")] = False,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Say why a decision was made, from what is stored; with --replay check that it can be made again bit for bit."""
    import asyncio

    from cli.explain import explain as run

    settings = settings_for("explain", data=data, log_level="error")
    guarded(lambda: asyncio.run(run(settings, name, replay, as_json)))


@app.command("insight", epilog="Example: segue insight --html report.html --cohorts cohorts.csv")
def show_insight(
    course: Annotated[str, typer.Option(help="Only this course.")] = "",
    html: Annotated[Path | None, typer.Option(help="Write a page with plots here.")] = None,
    cohorts: Annotated[
        Path | None, typer.Option(help="CSV with the columns learner and cohort, to watch for parity.")
    ] = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Say whether personalisation helps, for whom, and what each segment is worth, with intervals."""
    from cli.insight import insight as run

    settings = settings_for("insight", data=data, log_level="error")
    guarded(lambda: run(settings, course, cohorts, html, as_json))


@evidence_app.command("verify", epilog="Example: segue evidence verify --data ./segue-data")
def evidence_verify(as_json: Json = False, data: Data = None) -> None:
    """Check the evidence chains: edits, deletions, reorders and cut-off ends are found. Exit code 1 when there is one."""
    import asyncio

    from cli.evidence import verify_evidence

    settings = settings_for("evidence", data=data, log_level="error")
    guarded(lambda: asyncio.run(verify_evidence(settings, as_json)))


@evidence_app.command("report", epilog="Example: segue evidence report --course personal-data --csv > proof.csv")
def evidence_report(
    course: Annotated[str, typer.Option(help="Only this course.")] = "",
    learner: Annotated[str, typer.Option(help="Only this learner.")] = "",
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    data: Data = None,
) -> None:
    """Say who has been shown what of the compulsory content: decided, delivered, rendered, completed, waived."""
    import asyncio

    from cli.evidence import report_evidence

    settings = settings_for("evidence", data=data, log_level="error")
    guarded(lambda: asyncio.run(report_evidence(settings, course, learner, as_json, as_csv)))


@course_app.command("check", epilog="Example: segue course check examples/personal-data.yaml")
def course_check(file: Path, as_json: Json = False) -> None:
    """Read a course file and say what is wrong with it. Exit code 1 when there is an error."""
    from cli.course import check_file

    guarded(lambda: check_file(file, as_json))


@course_app.command("publish", epilog="Example: segue course publish examples/personal-data.yaml --key KEY")
def course_publish(file: Path, key: Key, url: Url = LOCAL) -> None:
    """Publish a course version to a running service. A published version never changes."""
    from cli.course import publish_file

    guarded(lambda: publish_file(file, url, key))


def report(call: Callable[[], dict[str, Any]]) -> None:
    """Run a command whose last line is one JSON object, also when it fails."""
    from msgspec import json

    try:
        found = call()
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        print(json.encode({"error": "interrupted"}).decode())
        raise typer.Exit(130) from None
    except SegueError as fault:
        print(json.encode({"error": str(fault)}).decode())
        raise typer.Exit(2 if isinstance(fault, Misconfigured | Rejection) else 1) from None
    except Exception as bug:
        print(json.encode({"error": f"{type(bug).__name__}: {bug}"}).decode(), flush=True)
        raise
    print(json.encode(found).decode())
    if found.get("lost") or found.get("double"):
        raise typer.Exit(1)


def main() -> None:
    """Entry point of the `segue` script."""
    try:
        app(prog_name="segue")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
