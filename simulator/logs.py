"""Real learner logs: parquet of the documented columns, to a course and a list of events in the order to be sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from schemas.errors import Code, Rejection

COLUMNS = ("learner", "seq", "ts", "item", "skill", "correct", "latency_ms", "attempt", "hints")
NEEDED = ("learner", "seq", "item", "skill", "correct")
MAX_LATENCY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Log:
    """A log ready to be sent: the course made from it, and its events as (learner, event) in order."""

    course: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]


def read_log(path: Path, learners: int | None, run: str) -> Log:
    """Read a parquet file; `learners` keeps the first so many in order of first appearance. Raises Rejection."""
    rows = _rows(path)
    if learners is not None:
        first = dict.fromkeys(row["learner"] for row in rows)
        kept = set(list(first)[:learners])
        rows = [row for row in rows if row["learner"] in kept]
    course = _course(path.stem, rows)
    if rows and all(row["ts"] is not None for row in rows):
        rows.sort(key=lambda row: (row["ts"], row["seq"]))
    else:
        rows = _learner_by_learner(rows)
    return Log(course, [(row["learner"], _event(row, course["id"], run)) for row in rows])


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise Rejection(Code.INVALID, "Reading parquet needs pyarrow: `uv sync --extra replay`.") from None
    try:
        table = parquet.read_table(path)
    except FileNotFoundError:
        raise Rejection(Code.INVALID, f"There is no file {path}.") from None
    except (ArrowException, OSError) as fault:
        raise Rejection(Code.MALFORMED, f"{path} is not a parquet file: {fault}.") from None
    missing = [name for name in NEEDED if name not in table.column_names]
    if missing:
        raise Rejection(Code.INVALID, f"{path} lacks the columns {', '.join(missing)}.")
    table = table.select([name for name in COLUMNS if name in table.column_names])
    return [_row(path, number, row) for number, row in enumerate(table.to_pylist())]


def _row(path: Path, number: int, row: dict[str, Any]) -> dict[str, Any]:
    """A row with all columns, of the types that the rest expects. Raises Rejection that names it."""
    whole = {name: _whole(row.get(name)) for name in ("seq", "ts", "latency_ms", "attempt", "hints")}
    if row["correct"] not in (0, 1) or whole["seq"] is None:
        raise Rejection(Code.INVALID, f"{path}, row {number}: `correct` is 0 or 1 and `seq` a whole number.")
    texts = {name: _name(row[name]) for name in ("learner", "item")}
    return {**whole, **texts, "skill": str(row["skill"] or "none"), "correct": bool(row["correct"])}


def _whole(value: Any) -> int | None:
    """A whole number, or None for what is not one (null, NaN, text)."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _learner_by_learner(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without a clock: whole learners in order of first appearance, each in the order of `seq`."""
    place = {learner: n for n, learner in enumerate(dict.fromkeys(row["learner"] for row in rows))}
    return sorted(rows, key=lambda row: (place[row["learner"]], row["seq"]))


def _course(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One segment per distinct skill string, no prerequisites, nothing compulsory."""
    strings = list(dict.fromkeys(row["skill"] for row in rows))
    skills = list(dict.fromkeys(skill for string in strings for skill in _skills(string)))
    version = blake2b("\n".join(strings).encode(), digest_size=6).hexdigest()
    return {
        "id": re.sub(r"[^A-Za-z0-9._~-]", "-", name)[:128] or "log",
        "version": version,
        "title": name,
        "skills": [{"id": skill, "title": skill} for skill in skills],
        "segments": [
            {"id": _name(s), "title": s[:80], "skills": dict.fromkeys(_skills(s), 1.0), "repeatable": True} for s in strings
        ],
    }


def _skills(string: str) -> Iterator[str]:
    return (_name(part) for part in string.split("~") if part)


def _event(row: dict[str, Any], course: str, run: str) -> dict[str, Any]:
    """A response as an event. Its id names the response, so a replay that is sent again has no second effect."""
    event: dict[str, Any] = {
        "id": str(uuid5(UUID(int=0), f"{course}/{run}/{row['learner']}/{row['seq']}")),
        "type": "answered",
        "learner": row["learner"],
        "course": course,
        "run": run,
        "segment": _name(row["skill"]),
        "item": row["item"],
        "correct": row["correct"],
    }
    if row["ts"] is not None:
        event["at"] = datetime.fromtimestamp(row["ts"] / 1000, UTC).isoformat()
    for name, least, most in (("latency_ms", 0, MAX_LATENCY_MS), ("attempt", 1, 65_535), ("hints", 0, 65_535)):
        if row[name] is not None:
            event[name] = min(max(int(row[name]), least), most)
    return event


def _name(value: object) -> str:
    """An id of at most 128 characters; longer ones keep their beginning and get a hash."""
    text = str(value) or "none"
    if len(text) <= 128:
        return text
    return f"{text[:100]}~{blake2b(text.encode(), digest_size=8).hexdigest()}"
