"""The page of `segue insight --html`: one file, no scripts, no requests; charts as SVG with the same numbers in tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape as _escape

from agents.estimates import Estimate, Value
from agents.reports import CohortReport, CourseReport
from cli.plain import plain

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #c9d1d9; --bar: #0b5cad; --soft: #f3f5f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; --bar: #58a6ff; --soft: #161b22; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
.verdict { border-left: .4rem solid var(--bar); background: var(--soft); padding: .8rem 1rem; font-size: 1.15rem; }
table { border-collapse: collapse; margin: .8rem 0 1.6rem; width: 100%; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem .25rem 0; text-align: left; vertical-align: top; }
th[scope=row] { font-weight: 400; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.n + :not(.n) { padding-left: 1rem; }
svg { width: 100%; min-width: 44rem; height: auto; } svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
.scroll { overflow-x: auto; } .scroll:focus-visible { outline: .2rem solid var(--bar); }
figure { margin: 1rem 0; }
"""
WIDTH, ROW, LABEL = 760, 30, 230
MEASURES = {
    "mastery_per_hour": "points of mastery an hour",
    "share_mastered": "share of skills mastered",
    "completion": "share who finished",
    "delayed_retention": "right after a day without practice",
    "minutes_of_those_who_finished": "minutes of those who finished",
}


def escape(text: str) -> str:
    """Text as a page may hold it."""
    return _escape(plain(text))


def page(reports: Sequence[CourseReport]) -> str:
    """The whole page."""
    parts = "".join(map(_course, reports)) or "<p>Nobody has begun a course yet.</p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Segue: does it help?</title><style>{STYLE}</style></head><body><main><h1>Does it help?</h1>{parts}"
        "<p>Intervals are 95 % bootstraps over learners. Where an interval holds 0, nothing is shown.</p>"
        "</main></body></html>"
    )


def _course(report: CourseReport) -> str:
    return "".join((
        f"<h2>{escape(report.course)}</h2><p>{report.learners:,} learners, {report.held_out:,} of them held out; ",
        f"{report.decisions:,} decisions.</p>",
        f'<p class="verdict">{escape(report.summary)}</p>',
        *_effect(report),
        *_segments(report),
        *_people(report),
    ))  # fmt: skip


def _effect(report: CourseReport) -> Iterable[str]:
    """What personalisation brings, and what other policies would have brought."""
    lines = [(MEASURES[name], *_figures(each), each.learners) for name, each in report.uplift.items()]
    yield _table("Personalised minus held out", ("measure", "difference", "95 %", "learners"), lines)
    robust = [(name, value.dr) for name, value in report.values.items() if value.trusted]
    yield _intervals("Points of mastery an hour that each policy would have brought (doubly robust)", robust)
    estimates = [
        (name, _told(v.ips), _told(v.snips), _told(v.dr), sample(v, report.followed)) for name, v in report.values.items()
    ]
    heads = ("policy", "IPS", "SNIPS", "doubly robust", "effective sample")
    yield _table("What other policies would have been worth, from logged propensities", heads, estimates)
    if estimates:
        yield (
            "<p>Each estimate answers: had another policy chosen, how many points of mastery (of 100) an hour would there "
            "have been? IPS weighs what was seen by how likely that policy was to do it, SNIPS shares the weights out to 1, "
            "doubly robust adds a model of what each segment brings. The effective sample: how many choices speak.</p>"
        )


def _segments(report: CourseReport) -> Iterable[str]:
    """Exposure, and what became of each segment."""
    yield _bars("Learners for whom a segment was chosen", [(each.id, each.learners) for each in report.segments])
    heads = ("segment", "chosen", "learners", "least probability", "completed", "skipped", "waived", "time well spent")
    lines = []
    for each in report.segments:
        least = "" if each.least_propensity is None else f"{each.least_propensity:.4f}"
        stars = "" if each.rating is None else f"{each.rating} of 5 ({each.ratings})"
        lines.append((each.id, each.chosen, each.learners, least, each.completed, each.skipped, each.waived, stars))
    yield _table("Segments", heads, lines)
    yield f"<p>Waivers that did not hold in later answers: {_told(report.false_skips)}.</p>"


def _people(report: CourseReport) -> Iterable[str]:
    """Cohorts, and who may want help."""
    heads = ("cohort", "learners", "decisions", "mastery an hour", "minutes", "false skips", "alarm")
    yield _table("Cohorts beside all others", heads, [(label, *_cohort(each)) for label, each in report.cohorts.items()])
    lines = [
        (
            each.learner,
            each.run,
            each.state.replace("_", " "),
            ", ".join(f"{name.replace(':', ' ')} {value:.3g}" for name, value in each.evidence.items()),
        )
        for each in report.trouble
    ]
    yield _table("May want help (in the order of their names)", ("learner", "run", "state", "because"), lines)


def _cohort(each: CohortReport) -> tuple[object, ...]:
    told = (_told(each.decisions), _told(each.mastery_per_hour), _told(each.minutes), _told(each.false_skips))
    return (each.learners, *told, ", ".join(each.alarms) or "none")


def _table(caption: str, heads: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    if not lines:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(str(first))}</th>{"".join(map(_cell, others))}</tr>' for first, *others in lines
    )
    head = "".join(f'<th scope="col"{_kind(value)}>{escape(name)}</th>' for name, value in zip(heads, lines[0], strict=True))
    table = f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return _scrolling(caption, table)


def _scrolling(what: str, content: str) -> str:
    """What may be wider than the screen, within reach of the keyboard."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(what)}">{content}</div>'


def _cell(value: object) -> str:
    return f"<td{_kind(value)}>{escape(str(value))}</td>"


def _kind(value: object) -> str:
    return ' class="n"' if isinstance(value, int | float) else ""


def _figures(each: Estimate) -> tuple[str, str]:
    if each.value is None:
        return "unknown", "too few learners"
    return f"{each.value:.3g}", "too few learners" if each.low is None else f"{each.low:.3g} to {each.high:.3g}"


def sample(value: Value, followed: int) -> str:
    """How much of the data speaks for an estimate."""
    return f"{value.effective_sample:.0f} of {followed}{'' if value.trusted else ', too few to trust'}"


def _told(each: Estimate) -> str:
    value, interval = _figures(each)
    return f"{value} ({interval})"


def _bars(title: str, pairs: Sequence[tuple[str, int]]) -> str:
    most = max((count for _, count in pairs), default=0)
    if not most:
        return ""
    scale = (WIDTH - LABEL - 60) / most
    marks = "".join(
        f'<text x="0" y="{y + 19}">{escape(_short(name))}</text>'
        f'<rect x="{LABEL}" y="{y + 5}" width="{count * scale:.1f}" height="18" fill="var(--bar)"/>'
        f'<text x="{LABEL + count * scale + 6:.1f}" y="{y + 19}">{count}</text>'
        for y, (name, count) in ((ROW * place, pair) for place, pair in enumerate(pairs))
    )
    return _figure(title, ROW * len(pairs), marks)


def _intervals(title: str, pairs: Sequence[tuple[str, Estimate]]) -> str:
    known = [
        (name, e.low, e.value, e.high)
        for name, e in pairs
        if e.low is not None and e.high is not None and e.value is not None
    ]
    if not known:
        return ""
    low, high = min(0.0, *(each[1] for each in known)), max(0.0, *(each[3] for each in known))
    scale = (WIDTH - LABEL - 20) / (high - low or 1.0)

    def at(value: float) -> float:
        return LABEL + (value - low) * scale

    marks = f'<line x1="{at(0):.1f}" x2="{at(0):.1f}" y1="0" y2="{ROW * len(known)}" stroke="var(--line)"/>'
    for place, (name, a, value, b) in enumerate(known):
        y = ROW * place + 15
        marks += (f'<text x="0" y="{y + 4}">{escape(_short(name))}</text><line x1="{at(a):.1f}" x2="{at(b):.1f}" y1="{y}" '
                  f'y2="{y}" stroke="var(--bar)" stroke-width="3"/><circle cx="{at(value):.1f}" cy="{y}" r="5" '
                  f'fill="var(--bar)"/>')  # fmt: skip
    bottom = ROW * len(known)
    for value, anchor in ((low, "start"), (0.0, "middle"), (high, "end")):
        if value or not low < 0.0 < high or (at(0.0) - at(low) > ROW and at(high) - at(0.0) > ROW):
            marks += f'<text x="{at(value):.1f}" y="{bottom + 16}" text-anchor="{anchor}">{value:.3g}</text>'
    return _figure(title, bottom + ROW, marks)


def _figure(title: str, height: int, marks: str) -> str:
    label = f'role="img" aria-label="{escape(title)}; a table has the numbers"'
    caption = f"<figcaption><strong>{escape(title)}</strong></figcaption>"
    chart = f'<svg viewBox="0 0 {WIDTH} {height}" {label}>{marks}</svg>'
    return f"<figure>{caption}{_scrolling(title, chart)}</figure>"


def _short(name: str) -> str:
    return name if len(name) <= 30 else name[:29] + "…"
