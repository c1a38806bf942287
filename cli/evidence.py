"""`segue evidence verify` and `segue evidence report`."""

from __future__ import annotations

import asyncio
import csv
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import typer
from msgspec import json, to_builtins
from rich.console import Console
from rich.table import Table

from agents.books import TopicBooks
from agents.chain import Finding, Head, Verdict, verify
from agents.coverage import Line, coverage
from cli.parts import Shared, shared_parts
from cli.plain import escape
from cli.reading import all_rows, everything, reading
from runtime.settings import Settings
from schemas import topics
from schemas.errors import Rejection
from schemas.evidence import KINDS, EvidenceRecord, decode_evidence
from schemas.ids import DEFAULT_TENANT
from schemas.interaction import LogRecord

PATIENCE_SECONDS = 5.0
MOST_LINES = 200


async def verify_evidence(settings: Settings, as_json: bool) -> None:
    """Check every chain against its rows; exit code 1 when something is not as it was written."""
    async with shared_parts(settings, reading=True) as parts:
        found, corrupt = await _settled(parts, settings)
    wrong = [*found.findings, *found.missing_ends]
    if as_json:
        told = {"records": found.records, "copies": found.copies, "rows": found.rows, "whole": not wrong and not corrupt,
                "corrupt_rows": corrupt, "findings": to_builtins(wrong)}  # fmt: skip
        print(json.encode(told).decode())
    else:
        _print_verdict(found, corrupt)
    if wrong or corrupt:
        raise typer.Exit(1)


async def _settled(parts: Shared, settings: Settings) -> tuple[Verdict, list[str]]:
    """The verdict. What a row knows of and the topic has not may be on its way, so it is looked for again for a while."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    found, corrupt = await _look(parts, settings)
    while found.missing_ends and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.3)
        again, corrupt = await _look(parts, settings)
        again.missing_ends = [each for each in again.missing_ends if _in(each, found.missing_ends)]
        found = again
    return found, corrupt


async def _look(parts: Shared, settings: Settings) -> tuple[Verdict, list[str]]:
    """Records first and rows after them: a row is never behind its records."""
    records = await _records(parts, settings)
    rows, corrupt = await all_rows(parts, settings)
    heads = {key: Head(row.evidence, row.head) for key, row in rows.items() if row.evidence}
    return verify(records, heads), corrupt


def _in(end: Finding, others: list[Finding]) -> bool:
    return any((end.row, end.number) == (other.row, other.number) for other in others)


async def _records(parts: Shared, settings: Settings) -> list[LogRecord]:
    async with reading(parts, topics.EVIDENCE) as (evidence,):
        return [record async for _, record in everything(evidence, settings.partitions)]


async def report_evidence(settings: Settings, course: str, learner: str, as_json: bool, as_csv: bool) -> None:
    """Print who has been shown what of the compulsory content; exit code 1 when its evidence is not as it was written."""
    async with shared_parts(settings, reading=True) as parts:
        books = TopicBooks(parts.shared)
        await books.tail.start()
        try:
            courses = {each.id: each for each in books.courses.all(DEFAULT_TENANT)}
        finally:
            await books.tail.stop()
        if course and course not in courses:
            there = f"there are {', '.join(sorted(courses))}" if courses else "none is published yet"
            print(f"There is no course {course!r}; {there}.", file=sys.stderr)
            raise typer.Exit(1)
        written = await _records(parts, settings)
        rows, _ = await all_rows(parts, settings)
    heads = {key: Head(row.evidence, row.head) for key, row in rows.items() if row.evidence}
    wrong = verify(written, heads).findings
    lines = [
        line
        for line in coverage(_readable(written), rows, courses)
        if course in ("", line.course) and learner in ("", line.learner)
    ]
    if as_json:
        print(json.encode({"lines": lines}).decode())
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(Line.__struct_fields__)
        writer.writerows(_cells(line) for line in lines)
    else:
        _print_lines(lines)
    if wrong:
        told = f"{wrong[0].row} record {wrong[0].number}: {wrong[0].what}"
        print(f"This evidence is not as it was written ({told}); see `segue evidence verify`.", file=sys.stderr)
        raise typer.Exit(1)


def _readable(records: Iterable[LogRecord]) -> Iterator[EvidenceRecord]:
    for each in records:
        try:
            yield decode_evidence(each.value)
        except Rejection:  # told of by verify
            continue


def _cells(line: Line) -> list[object]:
    """A line as a spreadsheet reads it: moments in UTC."""
    return [
        datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds")
        if name in KINDS and value is not None
        else value
        for name, value in to_builtins(line).items()
    ]


def _print_verdict(found: Verdict, corrupt: list[str]) -> None:
    console, wrong = Console(soft_wrap=True), [*found.findings, *found.missing_ends]
    console.print(f"{found.records:,} records of {found.rows:,} learners, {found.copies:,} copies.", highlight=False)
    for each in wrong:
        console.print(f"[bold red]{escape(each.row)}[/bold red] record {each.number}: {escape(each.what)}", highlight=False)
    for key in corrupt:
        console.print(f"[bold red]{escape(key)}[/bold red]: the row fails its checksum", highlight=False)
    if not wrong and not corrupt:
        console.print("[green]Every chain is whole, and ends where its row says.[/green]")


def _print_lines(lines: list[Line]) -> None:
    table = Table(box=None)
    for name in ("course", "learner", "segment", "state", "since (UTC)"):
        table.add_column(name, overflow="fold")
    for line in lines[:MOST_LINES]:
        learner = line.learner if line.run == "1" else f"{line.learner} (run {line.run})"
        since = getattr(line, line.state) if line.state in KINDS else None
        segment = escape(line.segment) if line.compulsory else f"{escape(line.segment)} [dim](not compulsory now)[/dim]"
        table.add_row(line.course, escape(learner), segment, line.state, _time(since))
    console = Console(soft_wrap=True)
    console.print(table)
    if len(lines) > MOST_LINES:
        console.print(
            f"... and {len(lines) - MOST_LINES:,} more; --json and --csv print all, with every time.", highlight=False
        )
    if not lines:
        console.print("No compulsory content, or nobody has begun.")


def _time(ms: int | None) -> str:
    return "" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
