"""`segue explain ID`: why a decision was made, in three layers, and with `--replay` whether it can be made again."""

from __future__ import annotations

from typing import Any, NamedTuple

import typer
from msgspec import json, to_builtins
from rich.console import Console
from rich.table import Table

from agents.books import TopicBooks
from agents.recompute import Recomputed, Stored, find, recompute
from agents.step import ENGINE
from cli.parts import Shared, shared_parts
from cli.plain import escape
from cli.reading import reading
from models.belief import shares
from models.entries import LEVELS, NO_BELIEF
from models.features import states_of
from models.gain import View
from models.row import Row
from models.terms import TOP, Term, terms
from runtime.settings import Settings
from schemas import topics


async def explain(settings: Settings, name: str, replay: bool, as_json: bool) -> None:
    """Print it; exit code 1 when the recomputed decision differs."""
    async with (
        shared_parts(settings, reading=True) as parts,
        reading(parts, topics.DECISIONS, topics.INTERACTIONS) as (decisions, log),
    ):
        stored = await find(name, decisions, log, settings.partitions)
        again = await _again(stored, parts) if replay or stored.decision.engine == ENGINE else None
    same = again.outcome.decision == stored.record.value if replay and again is not None else None
    believed = _believed(stored, again) if again is not None else []
    if as_json:
        found: dict[str, Any] = to_builtins(stored.decision)
        found |= {"offset": stored.offset, "recomputed_bit_for_bit": same,
                  "mastery": [each._asdict() | {"terms": dict(each.terms)} for each in believed]}  # fmt: skip
        print(json.encode(found).decode())
    else:
        _print(stored, believed, same)
    if same is False:
        raise typer.Exit(1)


async def _again(stored: Stored, parts: Shared) -> Recomputed:
    books = TopicBooks(parts.shared)
    await books.tail.start()
    try:
        return await recompute(stored, books)
    finally:
        await books.tail.stop()


class Belief(NamedTuple):
    """Mastery of one skill when the decision was made, and the likeliest levels; where nothing is believed yet, the largest
    parts of its logit."""

    skill: str
    mastery: float
    terms: list[Term]


def _believed(stored: Stored, again: Recomputed) -> list[Belief]:
    """What the model believed of the skills of the segment that was chosen."""
    row = Row.unpack(again.outcome.row)
    segment = again.course.by_id.get(stored.decision.segment or "")
    skills = segment.skills if segment is not None else {}
    view = View(row, again.course, again.population, row.last_at_ms)
    return [Belief(skill, view.mastery(skill), _parts(view, skill)[:TOP]) for skill in skills]


def _parts(view: View, skill: str) -> list[Term]:
    """What a mastery is made of, largest first."""
    (state,) = states_of(view.row, [skill])
    if state.known == NO_BELIEF:
        effects = view.learned.effects
        first = () if state.tries else (effects.newness, effects.spread)
        return terms(view.row, view.population, None, [skill], view.now_ms, effects.typical, *first)
    levels = [Term(f"level {place} of {LEVELS}", share) for place, share in enumerate(shares(state.known), 1)]
    return sorted(levels, key=lambda level: -level.value)


def _print(stored: Stored, believed: list[Belief], same: bool | None) -> None:
    told, console = stored.decision, Console(soft_wrap=True)
    console.print(f"[bold]{escape(told.segment or 'nothing left')}[/bold]  {escape(told.why)}", highlight=False)
    table = Table(box=None, show_header=False)
    for term, value in told.terms:
        table.add_row(escape(term), f"{value:+.4f}")
    for belief in believed:
        parts = "; ".join(f"{term.name} {term.value:+.2f}" for term in belief.terms)
        table.add_row(
            f"mastery of {escape(belief.skill)}", f"{belief.mastery:.3f}" + (f" = {escape(parts)}" if parts else "")
        )
    if told.predicted is not None:
        table.add_row("predicted for the answer before", f"{told.predicted:.3f}")
    table.add_row("arm, propensity", f"{told.arm}, {told.propensity:.4f}")
    table.add_row("eligible", str(int(told.eligible, 16).bit_count()))
    if told.runner_up is not None:
        table.add_row(
            "runner-up",
            f"{escape(told.runner_up.segment)} ({told.runner_up.score:.4f}), needs {escape(told.runner_up.needs)}",
        )
    versions = f"course {told.course_version}, population {told.population[0]}, policy {told.policy}, engine {told.engine}"
    table.add_row("made from", escape(f"partition {stored.partition}, offset {stored.offset}, {versions}"))
    console.print(table)
    if same is not None:
        console.print(
            "[green]Recomputed bit for bit.[/green]" if same else "[bold red]Recomputed: NOT the same bytes.[/bold red]"
        )
