"""`segue insight`: whether it helps, for whom, and what each segment is worth; printed, and as a page of HTML."""

from __future__ import annotations

import asyncio
import csv
from pathlib import Path

from msgspec import json
from rich.console import Console
from rich.table import Table

from agents.books import TopicBooks
from agents.estimates import Estimate
from agents.insight import Insight
from agents.reports import CourseReport
from cli.insight_page import page, sample
from cli.parts import Shared, shared_parts
from cli.plain import escape
from cli.reading import all_rows, everything, reading
from runtime.settings import Settings
from schemas import topics
from schemas.codec import decode_decision, decode_interaction
from schemas.course import Course
from schemas.errors import Code, Misconfigured, Rejection
from schemas.ids import DEFAULT_TENANT
from schemas.interaction import LogRecord

MOST_TROUBLE = 20


def insight(settings: Settings, course: str, cohorts: Path | None, html: Path | None, as_json: bool) -> None:
    """Read log, decisions and rows; print what they tell, and write the page if there is a place for it."""
    labels = _labels(cohorts) if cohorts is not None else {}
    if html is not None and (html.is_dir() or not html.parent.is_dir()):
        what = "is a folder" if html.is_dir() else f"cannot be written: there is no folder {html.parent}"
        raise Misconfigured(f"{html} {what}.")
    reports = asyncio.run(_read(settings, course, labels))
    if html is not None:
        try:
            html.write_text(page(reports), encoding="utf-8")
        except OSError as fault:
            raise Misconfigured(f"{html} cannot be written: {fault.strerror}.") from None
    if as_json:
        print(json.encode({"courses": reports, "html": str(html) if html else None}).decode())
        return
    for report in reports:
        _print(report)
    if not reports:
        Console().print("Nobody has begun a course yet.")
    if html is not None:
        Console(soft_wrap=True).print(f"Page written: {html}", highlight=False)


def _labels(path: Path) -> dict[str, str]:
    """Cohort by learner, from a file with the columns learner and cohort. Raises Misconfigured."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file)
            for name in ("learner", "cohort"):
                if name not in (lines.fieldnames or ()):
                    raise Misconfigured(f"{path}: there is no column {name!r}; its first line must name learner and cohort.")
            return {line["learner"]: line["cohort"] or "" for line in lines}
    except (OSError, csv.Error, UnicodeDecodeError) as fault:
        raise Misconfigured(f"{path}: not a file of comma-separated values in UTF-8 ({fault}).") from None


async def _read(settings: Settings, course: str, labels: dict[str, str]) -> list[CourseReport]:
    async with shared_parts(settings, reading=True) as parts:
        return await _reports(parts, settings, course, labels)


async def _reports(parts: Shared, settings: Settings, wanted: str, labels: dict[str, str]) -> list[CourseReport]:
    books = TopicBooks(parts.shared)
    await books.tail.start()
    try:
        courses = [each for each in books.courses.all(DEFAULT_TENANT) if wanted in ("", each.id)]
        if wanted and not courses:
            raise Rejection(Code.UNKNOWN_COURSE, f"There is no course {wanted!r}.")
        seeing = {each.id: _begin(books, each) for each in courses}
    finally:
        await books.tail.stop()
    async with reading(parts, topics.DECISIONS, topics.INTERACTIONS) as (decisions, log):
        caused: dict[tuple[str, str], LogRecord] = {}
        async for _, record in everything(decisions, settings.partitions):
            decision = decode_decision(record.value)
            caused.setdefault((decision.id.rpartition("/")[0], decision.for_event), record)
        async for _, record in everything(log, settings.partitions):
            try:
                said = decode_interaction(record)
            except Rejection:
                continue
            collecting = seeing.get(said.event.course)
            if collecting is not None:
                told = caused.pop((said.key, str(said.event.id)), None)
                before = dict(told.headers).get("row") if told is not None else None
                collecting.see(said, decode_decision(told.value) if told is not None else None, before)
    rows, _ = await all_rows(parts, settings)
    return [report for each in seeing.values() if (report := each.report(rows, labels)).learners]


def _begin(books: TopicBooks, course: Course) -> Insight:
    versions = books.courses.versions(DEFAULT_TENANT, course.id)
    return Insight(DEFAULT_TENANT, course, books.populations.newest(DEFAULT_TENANT, course.id), versions)


def _print(report: CourseReport) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{escape(report.course)}[/bold]  {report.learners:,} learners ({report.held_out:,} held out), "
                  f"{report.decisions:,} decisions")  # fmt: skip
    console.print(escape(report.summary), style="bold" if report.effect_shown else "yellow")
    table = Table("personalised minus held out", "value", "95 %", box=None)
    for name, each in report.uplift.items():
        table.add_row(name.replace("_", " "), number(each.value), interval(each))
    console.print(table)
    values = Table("policy", "IPS", "SNIPS", "doubly robust", "effective sample", box=None)
    for name, value in report.values.items():
        values.add_row(name, *(f"{number(e.value)} ({interval(e)})" for e in (value.ips, value.snips, value.dr)),
                       sample(value, report.followed))  # fmt: skip
    if report.values:
        console.print("\nPoints of mastery an hour that a policy would have brought, from logged propensities:")
        console.print(values)
    segments = Table("segment", "chosen", "learners", "completed", "skipped", "waived", "rating", box=None)
    for segment in report.segments:
        stars = "" if segment.rating is None else f"{segment.rating} ({segment.ratings})"
        counts = (segment.chosen, segment.learners, segment.completed, segment.skipped, segment.waived)
        segments.add_row(escape(segment.id), *map(str, counts), stars)
    console.print(segments)
    console.print(f"Waivers that did not hold: {number(report.false_skips.value)} ({interval(report.false_skips)})")
    for label, cohort in report.cohorts.items():
        alarm = f"[bold red]differs in {', '.join(cohort.alarms)}[/bold red]" if cohort.alarms else "no difference shown"
        console.print(f"Cohort {escape(label)}: {cohort.learners} learners, {alarm}")
    for trouble in report.trouble[:MOST_TROUBLE]:
        told = ", ".join(f"{name} {value:.2f}" for name, value in trouble.evidence.items())
        console.print(f"May want help: {escape(trouble.learner)}, {trouble.state} ({escape(told)})")
    if len(report.trouble) > MOST_TROUBLE:
        console.print(f"... and {len(report.trouble) - MOST_TROUBLE} more (--json and --html have all).")


def number(value: float | None) -> str:
    """A figure as people read it."""
    return "unknown" if value is None else f"{value:.3g}"


def interval(each: Estimate) -> str:
    """An interval as people read it."""
    return "too few" if each.low is None or each.high is None else f"{each.low:.3g} to {each.high:.3g}"
