"""`segue course check` and `segue course publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import typer
from msgspec import MsgspecError, json
from rich.console import Console

from authoring.check import Finding, check
from authoring.load import load_course
from cli.plain import escape
from schemas.course import Course
from schemas.errors import Code, Rejection, Unavailable

PUBLISH_SECONDS = 15.0


def check_file(path: Path, as_json: bool) -> None:
    """Print findings; exit code 1 when one is an error."""
    course = load_course(path)
    findings = check(course)
    errors = sum(finding.error for finding in findings)
    if as_json:
        print(json.encode({"course": course.id, "version": course.version, "errors": errors, "findings": findings}).decode())
    else:
        _print(course, findings, errors)
    if errors:
        raise typer.Exit(1)


def publish_file(path: Path, url: str, key: str) -> None:
    """Check, then publish."""
    course = load_course(path)
    findings = [finding for finding in check(course) if finding.error]
    if findings:
        _print(course, findings, len(findings))
        raise typer.Exit(1)
    publish(course, url, key)
    Console().print(f"Published [bold]{course.id}[/bold] version {course.version}: {len(course.segments)} segments.")


def publish(course: Course, url: str, key: str) -> None:
    """Publish over HTTP. Raises Rejection or Unavailable."""
    try:
        answer = httpx.put(
            f"{url.rstrip('/')}/v1/courses/{course.id}",
            content=json.encode(course),
            headers=[(b"Authorization", f"Bearer {key}".encode()), (b"Content-Type", b"application/json")],
            timeout=PUBLISH_SECONDS,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as fault:
        raise Unavailable("gateway", f"{url} does not answer ({fault}); is `segue up` running?") from None
    if answer.status_code >= 500:
        raise Unavailable("gateway", answer.text)
    if answer.is_redirect:
        raise Unavailable("gateway", f"{url} sends on to {answer.headers.get('location', '?')}; name that with --url")
    told = _told(answer)
    if answer.status_code >= 400:
        raise Rejection(Code.INVALID, str(told.get("detail", answer.text)))
    if told.get("version") != course.version:
        raise Unavailable("gateway", f"{url} answers, but not as a gateway of Segue does; is it the right address?")


def _told(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = json.decode(answer.content)
    except MsgspecError:
        return {}
    return told if isinstance(told, dict) else {}


def _print(course: Course, findings: list[Finding], errors: int) -> None:
    console = Console(soft_wrap=True)
    for finding in findings:
        kind = "[bold red]error  [/bold red]" if finding.error else "[yellow]warning[/yellow]"
        console.print(f"{kind}  [bold]{escape(finding.where)}[/bold]  {escape(finding.message)}", highlight=False)
    compulsory = sum(segment.compulsory for segment in course.segments)
    console.print(
        f"{course.id} {course.version}: {len(course.skills)} skills, {len(course.segments)} segments, "
        f"{compulsory} compulsory; {_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
