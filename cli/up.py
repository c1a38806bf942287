"""`segue up`: a service of one's own, and what to type next."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from rich.console import Console

from authoring.load import load_course
from cli.course import publish
from cli.service import Service, running_service
from runtime.settings import Settings


def run_up(settings: Settings, course: Path | None) -> None:
    """Run until SIGINT, SIGTERM, or the terminal is closed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, signal.default_int_handler)
    console = Console()
    given = load_course(course) if course is not None else None
    try:
        with running_service(settings) as service:
            if given is not None:
                publish(given, service.url, service.key)
            _tell(console, settings, service, given.id if given else None)
            while True:
                time.sleep(0.2)
                service.tend()
    except KeyboardInterrupt:
        console.print("Stopped: batches are finished, everything is on disk.")


def _tell(console: Console, settings: Settings, service: Service, course: str | None) -> None:
    console.print(f"[bold green]Segue is up[/bold green] at {service.url}  (docs: {service.url}/docs)")
    console.print(f"  development key   [bold]{service.key}[/bold]", highlight=False)
    console.print(f"  data              {settings.data.resolve()}", highlight=False, soft_wrap=True)
    if course is None:
        line = f"segue course publish examples/personal-data.yaml --url {service.url} --key {service.key}"
        console.print(f"  publish a course  {line}", highlight=False, soft_wrap=True)
    console.print("Ctrl-C stops it.")
